//! The sink with a double of the bulk API, made from its documentation: a document for each pair of lines, a status for each
//! action, and 409 for `create` with an id that exists.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected};
use wattle_batch::{Batch, Column, Origin};

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

/// The documents by index and id.
#[derive(Default)]
struct Store {
    documents: BTreeMap<(String, String), Value>,
    /// Documents with the text `busy` that are turned away with 429.
    busy: usize,
    /// Whole requests that get this status.
    statuses: Vec<u16>,
    /// Requests whose documents are stored and whose response is lost.
    lost: usize,
    max_bytes: usize,
}

type Shared = Arc<Mutex<Store>>;

fn store() -> Shared {
    Arc::new(Mutex::new(Store { max_bytes: usize::MAX, ..Store::default() }))
}

fn answer(store: &Shared, call: &Call) -> Reply {
    let mut store = store.lock().unwrap();
    assert_eq!(call.uri.path(), "/_bulk");
    if call.header("authorization") != "ApiKey a2V5" {
        return Reply::new(401, json!({"error": {"type": "security_exception"}, "status": 401}));
    }
    if let Some(status) = store.statuses.pop() {
        return Reply::new(status, "");
    }
    if call.body.len() > store.max_bytes {
        return Reply::new(413, "");
    }
    let mut lines = call.body.lines();
    let mut items = Vec::new();
    while let Some(action) = lines.next() {
        let action: BTreeMap<String, Value> = serde_json::from_str(action).unwrap();
        let (operation, target) = action.into_iter().next().unwrap();
        let document: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert!(document["@timestamp"].is_string(), "{document}");
        let text = document.to_string();
        let place = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
        let key = (place("_index"), place("_id"));
        let error = |status: u16, kind: &str| json!({"status": status, "error": {"type": kind, "reason": "because"}});
        let item = if text.contains("bad") {
            error(400, "document_parsing_exception")
        } else if text.contains("busy") && store.busy > 0 {
            store.busy -= 1;
            error(429, "es_rejected_execution_exception")
        } else if operation == "create" && store.documents.contains_key(&key) {
            error(409, "version_conflict_engine_exception")
        } else {
            store.documents.insert(key, document);
            json!({"status": 201})
        };
        items.push(json!({ operation: item }));
    }
    if store.lost > 0 {
        store.lost -= 1;
        return Reply(200, String::new(), Duration::from_secs(100));
    }
    let errors = items.iter().any(|item| item.as_object().unwrap().values().any(|item| item["status"] != 201));
    Reply::new(200, json!({"took": 1, "errors": errors, "items": items}))
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}", double.address),
        "auth": {"strategy": "api_key", "key": "a2V5"},
        "bulk": {"index": "logs"},
        "encoding": {"codec": "ndjson"},
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
    let sink = Running::start("elasticsearch", &options(&double, more));
    (double, sink)
}

/// The values of a field in all documents.
fn values(store: &Shared, field: &str) -> Vec<String> {
    let store = store.lock().unwrap();
    let mut values: Vec<String> = store.documents.values().map(|document| document[field].to_string()).collect();
    values.sort();
    values
}

#[tokio::test]
async fn documents_arrive_field_for_field_in_every_mode() {
    for (more, index, operation) in [
        (json!({"bulk": {"index": "Logs {{ body.team }}-%Y.%m", "action": "create"}}), "logs_a-1970.01", "create"),
        (json!({"bulk": {"index": "logs"}}), "logs", "index"),
        (
            json!({"mode": "data_stream", "data_stream": {"dataset": "my-{{ body.team }}"}, "compression": "gzip"}),
            "logs-my_a-default",
            "create",
        ),
    ] {
        let store = store();
        let (double, sink) = start(&store, more).await;
        let text = r#"{"team":"A","text":"ü\u0000\n","number":1.50,"nested":{"a":[1, null]}}"#;
        sink.push(&[text, "no json", r#"{"@timestamp":"2026-01-02T03:04:05Z","team":"A"}"#]);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 3));
        let call = double.calls().remove(0);
        assert_eq!(call.header("content-type"), "application/x-ndjson");
        assert!(
            call.body.starts_with(&format!("{{\"{operation}\":{{\"_index\":\"{index}\",\"_id\":\"")),
            "{}",
            call.body
        );
        assert!(call.body.contains(text.strip_prefix('{').unwrap()), "{}", call.body);
        assert!(call.body.contains("{\"@timestamp\":\"1970-01-01T00:00:00Z\",\"message\":\"no json\"}\n"));
        assert!(call.body.contains("{\"@timestamp\":\"2026-01-02T03:04:05Z\",\"team\":\"A\"}\n"));
    }
}

#[tokio::test]
async fn each_document_has_its_own_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let store = store();
        store.lock().unwrap().busy = 3;
        let more = if with_file { json!({"dead_letter": path}) } else { json!({}) };
        let (double, sink) = start(&store, more).await;
        sink.push(&[r#"{"n":1}"#, r#"{"n":"bad"}"#, r#"{"n":"busy"}"#, r#"{"n":4}"#]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (3, 1));
        assert_eq!(values(&store, "n"), ["\"busy\"", "1", "4"]);
        let sizes: Vec<usize> = double.calls().iter().map(|call| call.body.lines().count() / 2).collect();
        assert_eq!(sizes, [4, 1, 1, 1], "what is busy is sent again alone");
    }
    let line: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(
        (&line["status"], &line["event"]),
        (&json!(400), &json!("{\"@timestamp\":\"1970-01-01T00:00:00Z\",\"n\":\"bad\"}"))
    );
    assert!(line["reason"].as_str().unwrap().contains("document_parsing_exception"), "{line}");
}

#[tokio::test]
async fn a_request_whose_response_is_lost_adds_no_documents() {
    for more in [json!({}), json!({"bulk": {"action": "create"}}), json!({"id_key": "body.id"})] {
        let store = store();
        store.lock().unwrap().lost = 2;
        let (_double, sink) = start(&store, more.clone()).await;
        sink.push(&[r#"{"id":"one"}"#, r#"{"id":"two"}"#, "{}", "{}"]);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().0, rig.counts().3), (vec![Delivered], 4, 2), "{more}");
        let store = store.lock().unwrap();
        assert_eq!(store.documents.len(), 4, "{more}");
        if more.get("id_key").is_some() {
            let ids: HashSet<&str> = store.documents.keys().map(|(_, id)| &**id).collect();
            assert!(ids.contains("one") && ids.contains("two"), "{ids:?}");
        }
    }
}

#[tokio::test]
async fn an_event_of_an_object_that_is_read_again_overwrites_its_document() {
    let store = store();
    let mut delivered = 0;
    for _ in 0..2 {
        // The agent restarts.
        let (_double, sink) = start(&store, json!({"encoding": {"codec": "json"}})).await;
        let origin = Origin { source: "in".into(), resource: r#"{"key":"a"}"#.into(), observed: delivered };
        let batch = Batch::new(Column::from_rows(["x", "y", "x"]).unwrap(), Arc::new(origin), sink.rig.ack()).at(7);
        for payload in sink.encoder.encode(batch) {
            assert!(sink.rig.context().input.try_push(payload).is_ok());
        }
        delivered += i64::try_from(sink.finish().await.counts().0).unwrap();
    }
    assert_eq!((delivered, store.lock().unwrap().documents.len()), (6, 3));
}

#[tokio::test]
async fn without_ids_actions_have_none_and_long_ids_are_hashed() {
    let store = store();
    let (double, sink) =
        start(&store, json!({"generate_ids": false, "id_key": "body.id", "pipeline": "p-{{ body.id }}"})).await;
    sink.push(&["{}", &format!("{{\"id\":\"{}\"}}", "x".repeat(513))]);
    sink.finish().await;
    let body = double.calls().remove(0).body;
    let actions: Vec<&str> = body.lines().step_by(2).collect();
    assert_eq!(actions[0], r#"{"index":{"_index":"logs","pipeline":"p-"}}"#);
    let id = actions[1].split("\"_id\":\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(id.len(), 22, "{}", actions[1]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_and_a_busy_server_is_asked_again() {
    let store = store();
    {
        let mut store = store.lock().unwrap();
        store.max_bytes = 400;
        store.statuses = vec![503, 429, 502];
    }
    let (double, sink) = start(&store, json!({})).await;
    let bodies: Vec<String> = (10..30).map(|n| format!("{{\"n\":{n}}}")).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 20));
    assert_eq!(values(&store, "n"), (10..30).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(double.calls().len() > 6);
}

#[tokio::test]
async fn wrong_credentials_reject_nothing_and_need_an_operator() {
    let store = store();
    let (double, sink) = start(&store, json!({"auth": {"strategy": "basic", "user": "u", "password": "geheim"}})).await;
    sink.push(&["{}"]);
    sink.rig.wait_for_retries(2).await;
    let stats = sink.rig.context().stats;
    let error = stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 401") && !error.contains("geheim"), "{error}");
    assert_eq!((stats.rejected_events.load(Ordering::Relaxed), sink.rig.acks().len()), (0, 0));
    sink.task.abort();
    sink.rig.wait(1).await;
    // The operator sets the right key; the server restarts at its address meanwhile.
    let address = double.stop().await;
    let double = Double::at(address, {
        let store = store.clone();
        move |call| answer(&store, call)
    })
    .await;
    let sink = Running::start("elasticsearch", &options(&double, json!({})));
    sink.push(&["{}"]);
    assert_eq!(sink.finish().await.acks(), [Delivered]);
}

#[tokio::test]
async fn a_slow_server_gets_every_document_once_with_any_concurrency() {
    let store = store();
    let double = Double::start({
        let store = store.clone();
        move |call| Reply { 2: Duration::from_millis(5), ..answer(&store, call) }
    })
    .await;
    let more = json!({"batch": {"max_events": 7, "timeout": "10ms"},
        "request": {"concurrency": "adaptive", "adaptive_concurrency": {"max_concurrency_limit": 8}}});
    let sink = Running::start("elasticsearch", &options(&double, more));
    for start in 0..20 {
        let bodies: Vec<String> = (0..50).map(|n| format!("{{\"n\":{}}}", 1000 + start * 50 + n)).collect();
        sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 20], 1000));
    assert_eq!(values(&store, "n"), (1000..2000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn names_of_indices_are_valid() {
    let rig = crate::testing::Rig::new();
    let name = |template: &str, body: &str| {
        let index = Index::of(template);
        let batch = rig.batch(&[body]);
        let mut out = String::new();
        index.bind(&batch).write(0, &mut out);
        out
    };
    for (value, expected) in
        [("Team A", "logs-team_a"), ("a/b*c?\\\"<>|,#:", "logs-a_b_c_________"), ("", "logs-_"), ("\u{c4}", "logs-_")]
    {
        assert_eq!(name("logs-{{ body.v }}", &json!({ "v": value }).to_string()), expected, "{value}");
    }
    assert_eq!(name("{{ body.v }}", r#"{"v":"-_+.x"}"#), "x");
    assert_eq!(name("{{ body.v }}", "{}"), "wattle");
    assert!(name(&"x".repeat(300), "{}").len() <= 255);
}
