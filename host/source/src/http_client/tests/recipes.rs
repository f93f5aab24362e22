//! The configurations of `docs/HTTP-CLIENT.md` against APIs that answer as the documentation of GitHub and Okta says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::{Api, Asked, Reply};
use super::*;

/// Milliseconds of 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

fn milliseconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// An event each 700 ms.
fn time(number: u64) -> i64 {
    START + 700 * number as i64
}

fn github_event(number: u64) -> Value {
    json!({ "@timestamp": time(number), "_document_id": number.to_string(), "action": "repo.create" })
}

/// `GET /orgs/ORG/audit-log`: `phrase` limits the events, `after` is the cursor in links, which have another path.
fn github(asked: &Asked, count: u64, base: &str) -> Reply {
    assert_eq!(asked.headers["authorization"], "Bearer github-token");
    assert_eq!(asked.headers["accept"], "application/vnd.github+json");
    assert!(asked.headers.contains_key("user-agent"), "GitHub refuses requests without it");
    assert_eq!((asked.query("order").unwrap().as_str(), asked.query("include").unwrap().as_str()), ("asc", "all"));
    let phrase = asked.query("phrase").unwrap();
    let from = milliseconds(phrase.strip_prefix("created:>=").unwrap());
    let size = asked.number("per_page").unwrap() as usize;
    let after = asked.number("after").unwrap_or(0) as usize;
    let found: Vec<u64> = (0..count).filter(|number| time(*number) >= from).collect();
    let page: Value = found.iter().skip(after).take(size).map(|number| github_event(*number)).collect();
    let reply = Reply::json(&page).with("x-ratelimit-remaining", "1700").with("x-ratelimit-reset", "4102444800");
    let next = after + size;
    if next >= found.len() {
        return reply;
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("phrase", phrase.as_str()), ("order", "asc"), ("include", "all")])
        .extend_pairs([("per_page", size.to_string()), ("after", next.to_string())])
        .finish();
    let link = format!("<{base}/organizations/1/audit-log?{query}>; rel=\"next\", <{base}/x>; rel=\"first\"");
    reply.with("link", &link)
}

#[tokio::test]
async fn the_audit_log_of_github_is_read_without_gaps_and_doubles() {
    let count = Arc::new(AtomicU64::new(250));
    let now = count.clone();
    let api = Api::start(|_| Reply::status(500)).await;
    let base = api.url("");
    api.answer(move |asked| github(asked, now.load(Ordering::SeqCst), &base));
    let options = json!({
        "endpoint": api.url("/orgs/example/audit-log"), "interval": "20ms",
        "query": { "phrase": "created:>={{ since }}", "order": "asc", "include": "all", "per_page": 100 },
        "headers": { "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28" },
        "auth": { "strategy": "bearer", "token": "github-token" }, "items_path": "body", "pagination": { "strategy": "link" },
        "since": { "path": "body.@timestamp", "start": "2026-01-01T00:00:00Z", "overlap": "5m" },
    });
    let place = Place::new();
    let running = place.rig.start("http_client", options.clone());
    let mut found = place.rig.take(250).await;
    count.store(600, Ordering::SeqCst);
    found.extend(place.rig.take(350).await);
    let asked = api.count();
    place.rig.until(|| api.count() > asked + 1).await;
    place.end(running).await;
    assert!(place.rig.queue.is_empty());
    let place = place.again();
    count.store(603, Ordering::SeqCst);
    let running = place.rig.start("http_client", options);
    found.extend(place.rig.take(3).await);
    place.end(running).await;
    assert_eq!(found, (0..603).map(|number| github_event(number).to_string()).collect::<Vec<_>>());
}

fn okta_event(number: u64) -> Value {
    let published = jiff::Timestamp::from_millisecond(time(number)).unwrap();
    json!({ "uuid": number.to_string(), "published": format!("{published:.3}"), "eventType": "user.session.start" })
}

/// `GET /api/v1/logs` in the way of polling: the link to the next page is always there.
fn okta(asked: &Asked, count: u64, base: &str) -> Reply {
    assert_eq!(asked.headers["authorization"], "SSWS okta-token");
    assert_eq!(asked.query("sortOrder").unwrap(), "ASCENDING");
    let size = asked.number("limit").unwrap();
    let from = asked.number("after").unwrap_or_else(|| {
        let since = milliseconds(&asked.query("since").unwrap());
        (0..count).find(|number| time(*number) >= since).unwrap_or(count)
    });
    let to = (from + size).min(count);
    let page: Value = (from..to).map(okta_event).collect();
    let url = format!("{base}/api/v1/logs?sortOrder=ASCENDING&limit={size}&after={to}");
    Reply::json(&page)
        .with("x-rate-limit-remaining", "100")
        .with("link", &format!("<{base}{}>; rel=\"self\"", asked.target))
        .with("link", &format!("<{url}>; rel=\"next\""))
}

#[tokio::test]
async fn the_system_log_of_okta_is_read_without_gaps_and_doubles() {
    let count = Arc::new(AtomicU64::new(2500));
    let now = count.clone();
    let api = Api::start(|_| Reply::status(500)).await;
    let base = api.url("");
    api.answer(move |asked| okta(asked, now.load(Ordering::SeqCst), &base));
    let options = json!({
        "endpoint": api.url("/api/v1/logs"), "interval": "20ms",
        "query": { "since": "{{ since }}", "sortOrder": "ASCENDING", "limit": 1000 },
        "auth": { "strategy": "header", "name": "authorization", "value": "SSWS okta-token" },
        "items_path": "body", "pagination": { "strategy": "link" },
        "since": { "path": "body.published", "format": "rfc3339_ms", "start": "2026-01-01T00:00:00Z" },
    });
    let place = Place::new();
    let running = place.rig.start("http_client", options.clone());
    let mut found = place.rig.take(2500).await;
    let asked = api.count();
    place.rig.until(|| api.count() > asked + 2).await;
    count.store(3700, Ordering::SeqCst);
    found.extend(place.rig.take(1200).await);
    let asked = api.count();
    place.rig.until(|| api.count() > asked + 2).await;
    running.kill().await;
    let place = place.again();
    count.store(3750, Ordering::SeqCst);
    let running = place.rig.start("http_client", options.clone());
    found.extend(place.rig.take(50).await);
    let asked = api.count();
    place.rig.until(|| api.count() > asked + 2).await;
    // The server forgets the link: the source begins again where everything was delivered.
    let base = api.url("");
    api.answer(move |asked| if asked.query("since").is_some() { okta(asked, 3760, &base) } else { Reply::status(410) });
    found.extend(place.rig.take(10).await);
    place.end(running).await;
    assert_eq!(found, (0..3760).map(|number| okta_event(number).to_string()).collect::<Vec<_>>());
}
