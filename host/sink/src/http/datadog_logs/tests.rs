//! The sink with a double of the logs API, made from its documentation: its limits, and its statuses.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected};
use wattle_batch::{Column, FieldPath, Form, Root};

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

#[derive(Default)]
struct Store {
    logs: Vec<Value>,
    /// Whole requests that get this status.
    statuses: Vec<u16>,
    max_bytes: usize,
}

type Shared = Arc<Mutex<Store>>;

fn store() -> Shared {
    Arc::new(Mutex::new(Store { max_bytes: 5_000_000, ..Store::default() }))
}

fn answer(store: &Shared, call: &Call) -> Reply {
    let mut store = store.lock().unwrap();
    assert_eq!((call.uri.path(), call.header("content-type")), ("/api/v2/logs", "application/json"));
    if call.header("dd-api-key") != "geheim" {
        return Reply::new(403, json!({"errors": [{"status": "403", "title": "Forbidden"}]}));
    }
    if let Some(status) = store.statuses.pop() {
        return Reply::new(status, "");
    }
    if call.body.len() > store.max_bytes {
        return Reply::new(413, json!({"errors": [{"status": "413", "title": "Payload too large"}]}));
    }
    let logs: Vec<Value> = serde_json::from_str(&call.body).unwrap();
    assert!((1..=1000).contains(&logs.len()));
    if logs.iter().any(|log| log["message"].as_str().unwrap().contains("bad")) {
        return Reply::new(400, json!({"errors": [{"status": "400", "title": "Bad Request"}]}));
    }
    store.logs.extend(logs);
    Reply::new(202, "{}")
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}", double.address),
        "default_api_key": "geheim",
        "encoding": {"codec": "text"},
        "batch": {"timeout": "10ms"},
        "request": {"retry_initial_backoff": "10ms", "retry_max_backoff": "20ms", "timeout": "300ms"},
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

async fn start(store: &Shared, more: Value) -> (Double, Running) {
    let double = Double::start({
        let store = store.clone();
        move |call| answer(&store, call)
    })
    .await;
    let sink = Running::start("datadog_logs", &options(&double, more));
    (double, sink)
}

/// The messages that arrived, in the order of their texts.
fn messages(store: &Shared) -> Vec<String> {
    let store = store.lock().unwrap();
    let mut texts: Vec<String> = store.logs.iter().map(|log| log["message"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn logs_have_the_reserved_attributes_and_tags() {
    let store = store();
    let more = json!({"ddsource": "nginx", "ddtags": {"env": "a,b", "team": "{{ attributes.team }}", "none": ""}});
    let (double, sink) = start(&store, more).await;
    let mut batch = sink.rig.batch(&["line \"1\"\n\u{e4}", "two"]);
    let attributes = Column::from_rows([r#"{"team":"t"}"#, "{}"]).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    let resource = Column::from_rows([r#"{"service.name":"cart","host":{"name":"h"}}"#, "{}"]).unwrap();
    batch.set(&FieldPath::whole(Root::Resource), Form::Json, &resource, &[]).unwrap();
    let severity = Column::from_rows([r#""warning""#, r#""info""#]).unwrap();
    batch.set(&FieldPath::parse("severity.text").unwrap(), Form::Json, &severity, &[]).unwrap();
    batch.set_timestamps(&[1_767_323_045_123_999_999, 0]);
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 2));
    assert_eq!(double.calls()[0].header("content-encoding"), "gzip");
    assert_eq!(
        store.lock().unwrap().logs,
        [
            json!({"timestamp": 1_767_323_045_123_i64, "ddsource": "nginx", "service": "cart", "hostname": "h",
                "status": "warning", "ddtags": "env:a_b,team:t", "message": "line \"1\"\n\u{e4}"}),
            json!({"timestamp": 0, "ddsource": "nginx", "status": "info", "ddtags": "env:a_b", "message": "two"}),
        ]
    );
}

#[tokio::test]
async fn the_codec_json_sends_the_whole_event_as_the_message() {
    let store = store();
    let (_double, sink) = start(&store, json!({"encoding": {"codec": "json"}})).await;
    sink.push(&["x"]);
    sink.finish().await;
    let message: Value = serde_json::from_str(&messages(&store)[0]).unwrap();
    assert_eq!((&message["body"], &message["resource"]["host"]["name"]), (&json!("x"), &json!("h")));
}

#[tokio::test]
async fn a_log_that_is_refused_does_not_block_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let store = store();
        let more = if with_file { json!({"dead_letter": path}) } else { json!({}) };
        let (_double, sink) = start(&store, more).await;
        sink.push(&["1", "2", "bad", "4", "5"]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (4, 1));
        assert_eq!(messages(&store), ["1", "2", "4", "5"]);
    }
    let line: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(line["status"], 400);
    let event: Value = serde_json::from_str(line["event"].as_str().unwrap()).unwrap();
    assert_eq!((&event["message"], line["reason"].as_str().unwrap().contains("Bad Request")), (&json!("bad"), true));
}

#[tokio::test]
async fn requests_keep_the_limits_and_are_halved_and_sent_again() {
    let store = store();
    {
        let mut store = store.lock().unwrap();
        store.max_bytes = 20_000;
        store.statuses = vec![503, 429, 408, 500];
    }
    let (double, sink) = start(&store, json!({"batch": {"timeout": "100s"}})).await;
    let bodies: Vec<String> = (1000..3500).map(|n| n.to_string()).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 2500, 0));
    assert_eq!(messages(&store), bodies);
    assert!(double.calls().len() > 10, "{}", double.calls().len());
}

#[tokio::test]
async fn a_wrong_key_rejects_nothing_and_needs_an_operator() {
    let store = store();
    let (_double, sink) = start(&store, json!({"default_api_key": "falsch-4711"})).await;
    sink.push(&["x"]);
    sink.rig.wait_for_retries(2).await;
    let stats = sink.rig.context().stats;
    let error = stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 403") && !error.contains("4711"), "{error}");
    assert_eq!((stats.rejected_events.load(Ordering::Relaxed), sink.rig.acks().len()), (0, 0));
    sink.task.abort();
}

#[tokio::test]
async fn a_slow_server_gets_every_log_once_with_any_concurrency() {
    let store = store();
    let double = Double::start({
        let store = store.clone();
        move |call| Reply { 2: Duration::from_millis(5), ..answer(&store, call) }
    })
    .await;
    let more = json!({"batch": {"max_events": 7, "timeout": "10ms"},
        "request": {"concurrency": "adaptive", "adaptive_concurrency": {"max_concurrency_limit": 8}}});
    let sink = Running::start("datadog_logs", &options(&double, more));
    for start in 0..20 {
        let bodies: Vec<String> = (0..50).map(|n| (1000 + start * 50 + n).to_string()).collect();
        sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 20], 1000));
    assert_eq!(messages(&store), (1000..2000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn the_site_makes_the_address_and_secrets_are_never_printed() {
    let read = |options: Value| wattle_options::read(&options, options::check);
    for (more, uri) in [
        (json!({}), "https://http-intake.logs.datadoghq.com/api/v2/logs"),
        (json!({"site": "us5.datadoghq.com"}), "https://http-intake.logs.us5.datadoghq.com/api/v2/logs"),
        (json!({"site": "x.example", "endpoint": "http://h:1/p/"}), "http://h:1/p/api/v2/logs"),
    ] {
        let mut options = json!({"default_api_key": "geheim-4711"});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let raw = wattle_options::read(&options, |raw: options::Options, _| Some(raw)).unwrap();
        let (_, settings) = read(options).map_err(|errors| format!("{errors:?}")).ok().unwrap();
        assert_eq!(settings.uri.to_string(), uri);
        let shown = format!("{raw:?} {settings:?}");
        assert!(!shown.contains("4711"), "{shown}");
        assert_eq!(
            (settings.limits.max_events, settings.headers["dd-api-key"].to_str().unwrap()),
            (1000, "geheim-4711")
        );
    }
}
