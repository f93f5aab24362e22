//! What a source does when the API does not do what it should.

use std::time::{Duration, Instant, SystemTime};

use super::server::{Api, Asked, Reply};
use super::*;
use crate::stats::get;
use crate::testing::gzip;

impl Place {
    fn last_failure(&self) -> String {
        self.rig.stats.last_failure.lock().as_ref().map(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// Waits for a failure with this text.
    pub(super) async fn fails(&self, text: &str) {
        self.rig.until(|| self.last_failure().contains(text)).await;
    }
}

/// The source fails with a text as long as the API gives an answer, loses nothing, and then reads on.
async fn recovers(more: Value, text: &str, mut wrong: impl FnMut(&Asked) -> Reply + Send + 'static) {
    // The second page fails.
    let api =
        Api::start(move |asked| if asked.number("offset").is_some() { wrong(asked) } else { linked(asked, 6, 4) })
            .await;
    let place = Place::new();
    let mut options = more;
    options["pagination"] = json!({ "strategy": "link" });
    let running = place.start(&api, options);
    assert_eq!(place.rig.take(4).await, events(0..4), "{text}");
    place.fails(text).await;
    assert!(place.rig.queue.is_empty(), "{text}");
    api.answer(|asked| linked(asked, 6, 4));
    assert_eq!(place.rig.take(2).await, events(4..6), "{text}");
    place.end(running).await;
}

#[tokio::test]
async fn failures_that_pass_repeat_the_same_page() {
    recovers(json!({}), "broke off its response with status 200", |asked| linked(asked, 6, 4).cut_after(5)).await;
    recovers(json!({ "timeout": "100ms" }), "within 100ms (`timeout`)", |_| Reply::silent()).await;
    recovers(json!({}), "status 503: come back", |_| Reply::status(503).with_body("come back")).await;
    recovers(json!({}), "not valid JSON", |_| Reply::json(&json!([])).with_body("[{\"id\":4},")).await;
    recovers(json!({}), "the body", |_| {
        let whole = gzip(array(4..6).to_string());
        Reply::json(&json!(0)).with("content-encoding", "gzip").with_body(&whole[..whole.len() / 2])
    })
    .await;
    recovers(json!({ "items_path": "body" }), "of type object, not to an array", |_| {
        Reply::json(&json!({ "error": 1 }))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again() {
    let api = Api::start(|asked| linked(asked, 2, 4)).await;
    let address = api.address;
    drop(api);
    let place = Place::new();
    let options = json!({ "endpoint": format!("http://{address}/logs"), "interval": "20ms" });
    let running = place.rig.start("http_client", options);
    place.fails("nothing listens at").await;
    place.end(running).await;
}

#[tokio::test]
async fn what_an_operator_must_fix_says_how() {
    for (status, text) in [
        (301, "set `endpoint`"),
        (400, "check `query`"),
        (401, "check `auth`"),
        (403, "have no permission"),
        (404, "check `endpoint`"),
        (405, "check `method`"),
    ] {
        recovers(json!({}), text, move |_| Reply::status(status)).await;
    }
    recovers(json!({ "max_response_bytes": 100 }), "more than 100 bytes (`max_response_bytes`)", |_| {
        Reply::json(&json!(["x".repeat(200)]))
    })
    .await;
    recovers(json!({ "max_response_bytes": 1000 }), "more than 1000 bytes (`max_response_bytes`)", |_| {
        Reply::json(&json!(0)).with("content-encoding", "gzip").with_body(gzip(" ".repeat(5000)))
    })
    .await;
    recovers(json!({}), "content encoding", |_| Reply::text("x").with("content-encoding", "br")).await;
}

#[tokio::test]
async fn an_operator_failure_ends_a_source_that_reads_once() {
    let api = Api::start(|_| Reply::status(401)).await;
    let place = Place::new().once();
    let running = place.start(&api, json!({}));
    let (bodies, ended) = place.rig.drain(running).await;
    assert!(bodies.is_empty());
    assert!(ended.unwrap_err().to_string().contains("check `auth`"));
}

#[tokio::test]
async fn links_to_other_servers_get_no_request() {
    let other = Api::start(|asked| linked(asked, 6, 4)).await;
    let url = other.url("/logs?offset=4");
    let place = Place::new();
    let api = Api::start(move |asked| linked(asked, 4, 4).link(&url)).await;
    let auth = json!({ "strategy": "bearer", "token": "geheim-token" });
    let running = place.start(&api, json!({ "pagination": { "strategy": "link" }, "auth": auth }));
    place.fails("at another server than `endpoint`").await;
    // The page counts only with its link: nothing is delivered twice when the link is right.
    assert!(place.rig.queue.is_empty());
    api.answer(|asked| linked(asked, 6, 4));
    assert_eq!(place.rig.take(6).await, events(0..6));
    place.end(running).await;
    assert_eq!(other.count(), 0);
    assert!(api.asked().iter().all(|asked| asked.headers["authorization"] == "Bearer geheim-token"));
}

#[tokio::test]
async fn a_redirect_to_another_server_gets_no_request() {
    let other = Api::start(|asked| linked(asked, 6, 4)).await;
    let url = other.url("/logs");
    let api = Api::start(move |_| Reply::status(302).with("location", &url)).await;
    let place = Place::new();
    let running = place.start(&api, json!({}));
    place.fails("must not get the credentials").await;
    place.end(running).await;
    assert_eq!(other.count(), 0);
}

/// The time between the first two requests, if the first one gets this answer.
async fn wait_after(reply: Reply) -> Duration {
    let mut first = Some(reply);
    let mut asked_at = Vec::new();
    let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let api = Api::start(move |asked| {
        asked_at.push(Instant::now());
        if let [first, second] = asked_at[..] {
            report.send(second - first).unwrap();
        }
        first.take().unwrap_or_else(|| linked(asked, 2, 4))
    })
    .await;
    let place = Place::new();
    let running = place.start(&api, json!({ "pagination": { "strategy": "link" } }));
    assert_eq!(place.rig.take(2).await, events(0..2));
    place.end(running).await;
    reports.recv().await.unwrap()
}

#[tokio::test]
async fn the_server_decides_when_the_next_request_comes() {
    let reset = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3;
    let exhausted =
        |reply: Reply| reply.with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", &reset.to_string());
    let (retried, limited, refused, next) = tokio::join!(
        wait_after(Reply::status(429).with("retry-after", "2")),
        wait_after(exhausted(Reply::status(403))),
        wait_after(Reply::status(503).with("retry-after", "2")),
        wait_after(exhausted(Reply::json(&json!([])).link("/logs?offset=0"))),
    );
    for waited in [retried, refused] {
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
    }
    // The reset is a whole second, up to one before.
    for waited in [limited, next] {
        assert!(waited >= Duration::from_millis(1500), "{waited:?}");
    }
}

#[tokio::test]
async fn a_limit_of_the_rate_loses_nothing() {
    recovers(json!({}), "limits the rate of requests (status 429): slow down", |_| {
        Reply::status(429).with("retry-after", "0").with_body(r#"{"message":"slow down"}"#)
    })
    .await;
}

#[tokio::test]
async fn a_page_that_the_server_does_not_know_any_more_ends_at_the_first_page() {
    let api =
        Api::start(|asked| if asked.number("offset").is_some() { Reply::status(410) } else { linked(asked, 6, 4) })
            .await;
    let place = Place::new();
    let running = place.start(&api, json!({ "pagination": { "strategy": "link" } }));
    assert_eq!(place.rig.take(4).await, events(0..4));
    assert_eq!(place.rig.take(4).await, events(0..4), "it begins again");
    assert_eq!(get(&place.rig.stats.failures), 3, "after three refusals");
    api.answer(|asked| linked(asked, 6, 4));
    assert_eq!(place.rig.take(2).await, events(4..6), "pages that come again are not a loop then");
    place.end(running).await;
}

#[tokio::test]
async fn a_stop_ends_a_request_at_once() {
    let api = Api::start(|_| Reply::silent()).await;
    let place = Place::new();
    let running = place.start(&api, json!({ "timeout": "1h" }));
    place.rig.until(|| api.count() == 1).await;
    place.end(running).await;
}
