//! How pages become events, and how each kind of pagination goes on.

use super::server::{Api, Asked, Reply};
use super::*;
use crate::testing::{gzip, resource, texts};

#[tokio::test]
async fn elements_are_events_byte_for_byte() {
    let body = r#" {"x": [1], "data": { "items" : [ {"a":1.0,  "b":"\u00e9"} , "text",[1, 2], null ] } } "#;
    let api = Api::start(move |_| Reply::text(body)).await;
    let place = Place::new();
    let running = place.start(&api, json!({ "items_path": "body.data.items" }));
    let batch = place.rig.pop().await;
    assert_eq!(texts(&batch), [r#"{"a":1.0,  "b":"\u00e9"}"#, "\"text\"", "[1, 2]", "null"]);
    assert_eq!(resource(&batch), json!({ "name": "in", "type": "http_client", "endpoint": api.url("/logs") }));
    batch.into_ack().deliver();
    place.end(running).await;
}

#[tokio::test]
async fn a_byte_that_is_not_utf_8_becomes_a_replacement_and_the_next_page_is_asked_for() {
    for (page, options, expected) in [
        (
            &b"{\"items\":[{\"a\":\"caf\xe9\"},{\"a\":\"caf\xc3\xa9\"}],\"next\":\"p2\"}"[..],
            json!({
                "items_path": "body.items", "query": { "cursor": "{{ cursor }}" },
                "pagination": { "strategy": "cursor", "path": "body.next" },
            }),
            &["{\"a\":\"caf\u{fffd}\"}", "{\"a\":\"caf\u{e9}\"}", "1"][..],
        ),
        (b"[\"\xff\xfe\", 2]", json!({}), &["\"\u{fffd}\u{fffd}\"", "2"]),
    ] {
        let api = Api::start(move |asked| match asked.query("cursor") {
            Some(_) => Reply::text("{\"items\":[1]}"),
            None => Reply::json(&json!(null)).with_body(page),
        })
        .await;
        assert_eq!(Place::new().once().read(&api, options).await, expected);
    }
}

#[tokio::test]
async fn pages_without_a_path_are_framed_by_their_type() {
    for (reply, framing, expected) in [
        (Reply::json(&json!([1, {"a": 2}])), "auto", &["1", r#"{"a":2}"#][..]),
        (Reply::json(&json!({ "a": 2 })), "auto", &[r#"{"a":2}"#]),
        (
            Reply::text("{\"a\":1}\n{\"a\":2}\n").with("content-type", "application/json"),
            "auto",
            &[r#"{"a":1}"#, r#"{"a":2}"#],
        ),
        (
            Reply::text("{\"a\":1}\r\n\n[2]").with("content-type", "application/x-ndjson"),
            "auto",
            &[r#"{"a":1}"#, "[2]"],
        ),
        (Reply::json(&json!([1, 2])), "lines", &["[1,2]"]),
        (Reply::text("a\nb\n"), "document", &["a\nb\n"]),
        (Reply::text("\u{feff}a\nb"), "lines", &["a", "b"]),
        (Reply::text("").with_body(gzip("a\nb\n")).with("content-encoding", "gzip"), "lines", &["a", "b"]),
        (Reply::text("").with_body(gzip("a\n")), "lines", &["a"]),
        (Reply::text(" \n"), "document", &[]),
        (Reply::status(204), "auto", &[]),
    ] {
        let name = format!("{reply:?}");
        let api = Api::start(move |_| reply.clone()).await;
        assert_eq!(Place::new().once().read(&api, json!({ "framing": framing })).await, expected, "{name}");
    }
}

#[tokio::test]
async fn links_are_followed_to_the_last_page() {
    let api = Api::start(|asked| linked(asked, 10, 4)).await;
    let query = json!({ "pagination": { "strategy": "link" }, "query": { "per_page": 4, "tag": ["a b", "c&d"] } });
    assert_eq!(Place::new().once().read(&api, query).await, events(0..10));
    let targets: Vec<String> = api.asked().iter().map(|asked| asked.target.clone()).collect();
    assert_eq!(targets, ["/logs?per_page=4&tag=a%20b&tag=c%26d", "/logs?offset=4", "/logs?offset=8"]);
    assert!(api.asked().iter().all(|asked| asked.headers["user-agent"].starts_with("wattle/")));
}

#[tokio::test]
async fn the_address_of_the_next_page_can_be_in_the_body() {
    let api = Api::start(|asked| {
        let page = asked.number("p").unwrap_or(0);
        let next = if page < 2 { json!(format!("?p={}", page + 1)) } else { json!(null) };
        Reply::json(&json!({ "links": { "next": next }, "items": [event(page)] }))
    })
    .await;
    let more =
        json!({ "pagination": { "strategy": "next_url", "path": "body.links.next" }, "items_path": "body.items" });
    assert_eq!(Place::new().once().read(&api, more).await, events(0..3));
}

/// Pages with a cursor, in the query or in the body.
fn by_cursor(asked: &Asked) -> Reply {
    let cursor = match asked.method.as_str() {
        "GET" => asked.query("cursor").unwrap_or_default(),
        _ => serde_json::from_str::<Value>(&asked.body).unwrap()["cursor"].as_str().unwrap().to_owned(),
    };
    // A cursor with characters that must be escaped.
    let page: u64 = cursor.strip_prefix("c\"&").map_or(0, |number| number.parse().unwrap());
    let next = if page < 2 { format!("c\"&{}", page + 1) } else { String::new() };
    Reply::json(&json!({ "meta": { "next": next }, "items": [event(page)] })).with("x-next", &next)
}

#[tokio::test]
async fn a_cursor_goes_back_to_the_server() {
    for more in [
        json!({ "query": { "cursor": "{{ cursor }}" }, "pagination": { "strategy": "cursor", "path": "body.meta.next" } }),
        json!({ "query": { "cursor": "{{ cursor }}" }, "pagination": { "strategy": "cursor", "path": "headers.x-next" } }),
        json!({ "body": r#"{"cursor":"{{ cursor }}"}"#, "method": "post",
            "pagination": { "strategy": "cursor", "path": "body.meta.next" } }),
    ] {
        let api = Api::start(by_cursor).await;
        let mut options = more.clone();
        options["items_path"] = json!("body.items");
        assert_eq!(Place::new().once().read(&api, options).await, events(0..3), "{more}");
        let first = &api.asked()[0];
        assert!(!first.target.contains("cursor"), "the first page has no cursor");
        assert!(first.method == "GET" || first.headers["content-type"] == "application/json");
    }
}

#[tokio::test]
async fn pages_have_numbers_or_offsets_until_a_stop() {
    // Five events in pages of two: of the requests, the last one gets the rest, or nothing.
    let answer = |asked: &Asked| {
        let from = asked.number("offset").unwrap_or_else(|| 2 * (asked.number("page").unwrap() - 1)).min(5);
        let to = (from + 2).min(5);
        Reply::json(&json!({ "more": to < 5, "items": array(from..to) }))
    };
    for (strategy, more, requests) in [
        ("page", json!({}), 4),
        ("page", json!({ "page_size": 2 }), 3),
        ("page", json!({ "has_more": "body.more" }), 3),
        ("page", json!({ "start": 2, "page_size": 2 }), 2),
        ("offset", json!({}), 4),
        ("offset", json!({ "page_size": 2 }), 3),
        ("offset", json!({ "has_more": "body.more" }), 3),
        ("offset", json!({ "start": 2, "page_size": 2 }), 2),
    ] {
        let api = Api::start(answer).await;
        let mut pagination = more.clone();
        pagination["strategy"] = json!(strategy);
        let field = format!("{{{{ {strategy} }}}}");
        let options = json!({ "items_path": "body.items", "pagination": pagination, "query": { strategy: field } });
        let expected = if more["start"].is_null() { events(0..5) } else { events(2..5) };
        assert_eq!(Place::new().once().read(&api, options).await, expected, "{strategy} {more}");
        assert_eq!(api.count(), requests, "{strategy} {more}");
    }
}

#[tokio::test]
async fn a_run_ends_at_its_limits_and_the_next_one_goes_on() {
    for limits in [json!({ "max_pages": 1 }), json!({ "max_run_bytes": 10 })] {
        let api = Api::start(|asked| linked(asked, 10, 4)).await;
        let place = Place::new();
        let mut options = limits.clone();
        options["pagination"] = json!({ "strategy": "link" });
        let running = place.start(&api, options);
        assert_eq!(place.rig.take(10).await, events(0..10), "{limits}");
        place.end(running).await;
    }
}

#[tokio::test]
async fn pages_that_lead_back_end_the_run() {
    let api = Api::start(|asked| {
        let page = asked.number("p").unwrap_or(0);
        Reply::json(&array(page..page + 1)).link(&format!("/logs?p={}", if page == 2 { 1 } else { page + 1 }))
    })
    .await;
    let place = Place::new().once();
    let running = place.start(&api, json!({ "pagination": { "strategy": "link" } }));
    let (bodies, ended) = place.rig.drain(running).await;
    assert_eq!(bodies, events(0..3));
    assert!(ended.unwrap_err().to_string().contains("leads back to an earlier one"));
    assert_eq!(api.count(), 3);
}

#[tokio::test]
async fn a_missing_array_is_a_page_without_events() {
    for body in [json!({}), json!({ "items": null }), json!({ "items": [] })] {
        let api = Api::start(move |_| Reply::json(&body)).await;
        assert!(Place::new().once().read(&api, json!({ "items_path": "body.items" })).await.is_empty());
    }
}
