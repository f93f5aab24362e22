//! The sink with a double of ClickHouse, made from its documentation: a statement in the query, rows as JSON objects,
//! codes of errors in a header or in the body, and tokens of requests that are not stored twice.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected};
use wattle_batch::Origin;

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

#[derive(Default)]
struct Store {
    /// The rows by the table of the statement.
    rows: BTreeMap<String, Vec<Value>>,
    tokens: HashSet<String>,
    /// Whole requests that get this status and this body.
    answers: Vec<(u16, &'static str)>,
    /// Requests whose rows are stored and whose response is lost.
    lost: usize,
    max_bytes: usize,
}

type Shared = Arc<Mutex<Store>>;

fn store() -> Shared {
    Arc::new(Mutex::new(Store { max_bytes: usize::MAX, ..Store::default() }))
}

/// The parameters of a query, decoded.
fn parameters(call: &Call) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            bytes.push(*byte);
            if *byte == b'%' {
                let digits = std::str::from_utf8(&after[..2]).unwrap();
                *bytes.last_mut().unwrap() = u8::from_str_radix(digits, 16).unwrap();
                rest = &after[2..];
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = call.uri.query().unwrap().split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect()
}

fn answer(store: &Shared, call: &Call) -> Reply {
    let mut store = store.lock().unwrap();
    if call.header("authorization") != "Basic dTpnZWhlaW0=" {
        return Reply::new(403, "Code: 516. DB::Exception: u: Authentication failed");
    }
    if let Some((status, body)) = store.answers.pop() {
        return Reply::new(status, body);
    }
    if call.body.len() > store.max_bytes {
        return Reply::new(413, "");
    }
    let parameters = parameters(call);
    let statement = &parameters["query"];
    let table =
        statement.strip_prefix("INSERT INTO ").and_then(|rest| rest.strip_suffix(" FORMAT JSONEachRow")).unwrap();
    if table.contains("unknown") {
        return Reply::new(404, "Code: 60. DB::Exception: Table does not exist");
    }
    let rows: Vec<Value> = call.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty() && rows.iter().all(Value::is_object), "{rows:?}");
    if rows.iter().any(|row| row.to_string().contains("bad")) {
        return Reply::new(500, "Code: 27. DB::Exception: Cannot parse input: expected a number");
    }
    let is_new = parameters.get("insert_deduplication_token").is_none_or(|token| store.tokens.insert(token.clone()));
    if is_new {
        store.rows.entry(table.to_owned()).or_default().extend(rows);
    }
    if store.lost > 0 {
        store.lost -= 1;
        return Reply(200, String::new(), Duration::from_secs(100));
    }
    Reply::new(200, "")
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}", double.address),
        "table": "logs",
        "auth": {"strategy": "basic", "user": "u", "password": "geheim"},
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
    let sink = Running::start("clickhouse", &options(&double, more));
    (double, sink)
}

/// The values of a column in all tables, in the order of their texts.
fn values(store: &Shared, column: &str) -> Vec<String> {
    let store = store.lock().unwrap();
    let mut values: Vec<String> = store.rows.values().flatten().map(|row| row[column].to_string()).collect();
    values.sort();
    values
}

#[tokio::test]
async fn rows_arrive_in_their_tables_whose_names_are_quoted() {
    let store = store();
    let more = json!({"database": "my-db", "table": "{{ body.table }}", "skip_unknown_fields": true,
        "date_time_best_effort": "true", "insert_random_shard": true});
    let (double, sink) = start(&store, more).await;
    let hostile = "a`; DROP TABLE b\\`&query=SELECT 1#\n";
    let rows = [json!({"table": "a", "n": 1.5}), json!({"table": hostile}), json!({"table": "a", "n": null})];
    sink.push(&rows.each_ref().map(Value::to_string).each_ref().map(String::as_str));
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 3));
    let quoted = "`my-db`.`a\\`; DROP TABLE b\\\\\\`&query=SELECT 1#\n`";
    let store = store.lock().unwrap();
    assert_eq!(store.rows["`my-db`.`a`"], [rows[0].clone(), rows[2].clone()]);
    assert_eq!((store.rows.len(), &store.rows[quoted][..]), (2, &rows[1..2]));
    for call in double.calls() {
        let parameters = parameters(&call);
        for (name, value) in [
            ("wait_end_of_query", "1"),
            ("input_format_skip_unknown_fields", "1"),
            ("date_time_input_format", "best_effort"),
            ("insert_distributed_one_random_shard", "1"),
        ] {
            assert_eq!(parameters[name], value);
        }
        assert_eq!(call.header("content-encoding"), "gzip");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_becomes_the_column_message() {
    for (codec, body, expected) in [
        ("ndjson", "text \u{e4}", json!({"message": "text \u{e4}"})),
        ("text", "[1, 2]", json!({"message": [1, 2]})),
        ("text", " {\"a\":\n1}", json!({"a": 1})),
    ] {
        let store = store();
        let (_double, sink) = start(&store, json!({"encoding": {"codec": codec}})).await;
        sink.push(&[body]);
        sink.finish().await;
        assert_eq!(store.lock().unwrap().rows["`default`.`logs`"], [expected]);
    }
}

#[tokio::test]
async fn a_row_that_does_not_fit_does_not_block_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let store = store();
        let more = if with_file { json!({"dead_letter": path}) } else { json!({}) };
        let (_double, sink) = start(&store, more).await;
        sink.push(&[r#"{"n":1}"#, r#"{"n":"bad"}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (3, 1));
        assert_eq!(values(&store, "n"), ["1", "3", "4"]);
    }
    let line: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&line["status"], &line["event"]), (&json!(500), &json!("{\"n\":\"bad\"}")));
    assert!(line["reason"].as_str().unwrap().contains("Code: 27"), "{line}");
}

#[tokio::test]
async fn an_event_without_a_table_or_of_a_table_that_does_not_exist_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let store = store();
    let (_double, sink) = start(&store, json!({"table": "{{ body.table }}", "dead_letter": path})).await;
    sink.push(&[r#"{"table":"unknown"}"#, r#"{"n":1}"#, r#"{"table":"a","n":2}"#]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 1, 2));
    assert_eq!(values(&store, "n"), ["2"]);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("Table does not exist") && text.contains("the name of the table is empty"), "{text}");
    // With one table for all events, an operator creates it.
    let (_double, sink) = start(&store, json!({"table": "unknown"})).await;
    sink.push(&["{}"]);
    sink.rig.wait_for_retries(1).await;
    assert!(sink.rig.context().stats.broken(Duration::ZERO).unwrap().contains("Code: 60"));
    sink.task.abort();
}

#[tokio::test]
async fn a_request_whose_response_is_lost_adds_no_rows() {
    for (more, rows) in [(json!({}), 3), (json!({"deduplicate": false}), 9)] {
        let store = store();
        store.lock().unwrap().lost = 2;
        let (_double, sink) = start(&store, more).await;
        sink.push(&["{}", "{}", r#"{"a":1}"#]);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().0, rig.counts().3), (vec![Delivered], 3, 2));
        assert_eq!(values(&store, "a").len(), rows);
    }
}

#[tokio::test]
async fn a_batch_of_an_object_that_is_read_again_adds_no_rows() {
    let store = store();
    for _ in 0..2 {
        // The agent restarts.
        let (_double, sink) = start(&store, json!({})).await;
        let origin = Origin { source: "in".into(), resource: r#"{"key":"a"}"#.into(), observed: 0 };
        let rows = wattle_batch::Column::from_rows(["{}", "{}"]).unwrap();
        let batch = Batch::new(rows, Arc::new(origin), sink.rig.ack()).at(7);
        for payload in sink.encoder.encode(batch) {
            assert!(sink.rig.context().input.try_push(payload).is_ok());
        }
        assert_eq!(sink.finish().await.counts().0, 2);
    }
    assert_eq!(values(&store, "a").len(), 2);
}

#[tokio::test]
async fn an_error_after_the_status_is_an_error_and_a_busy_server_is_asked_again() {
    let store = store();
    {
        let mut store = store.lock().unwrap();
        store.max_bytes = 60;
        store.answers = vec![
            (200, "Code: 241. DB::Exception: Memory limit exceeded"),
            (500, "Code: 252. DB::Exception: Too many parts"),
            (503, ""),
        ];
    }
    let (double, sink) = start(&store, json!({"compression": "none"})).await;
    let bodies: Vec<String> = (10..30).map(|n| format!("{{\"n\":{n}}}")).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 20, 0));
    assert_eq!(values(&store, "n"), (10..30).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(double.calls().len() > 6);
}

#[tokio::test]
async fn wrong_credentials_reject_nothing_and_need_an_operator() {
    let store = store();
    let more = json!({"auth": {"strategy": "basic", "user": "u", "password": "falsch-4711"}});
    let (_double, sink) = start(&store, more).await;
    sink.push(&["{}"]);
    sink.rig.wait_for_retries(2).await;
    let stats = sink.rig.context().stats;
    let error = stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 403") && error.contains("516") && !error.contains("4711"), "{error}");
    assert_eq!((stats.rejected_events.load(Ordering::Relaxed), sink.rig.acks().len()), (0, 0));
    sink.task.abort();
}

#[tokio::test]
async fn a_slow_server_gets_every_row_once_with_any_concurrency() {
    let store = store();
    let double = Double::start({
        let store = store.clone();
        move |call| Reply { 2: Duration::from_millis(5), ..answer(&store, call) }
    })
    .await;
    let more = json!({"batch": {"max_events": 7, "timeout": "10ms"},
        "request": {"concurrency": "adaptive", "adaptive_concurrency": {"max_concurrency_limit": 8}}});
    let sink = Running::start("clickhouse", &options(&double, more));
    for start in 0..20 {
        let bodies: Vec<String> = (0..50).map(|n| format!("{{\"n\":{}}}", 1000 + start * 50 + n)).collect();
        sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 20], 1000));
    assert_eq!(values(&store, "n"), (1000..2000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn secrets_are_never_printed() {
    let options = json!({"endpoint": "http://h/", "table": "t",
        "auth": {"strategy": "basic", "user": "u", "password": "geheim"}});
    let raw = wattle_options::read(&options, |raw: options::Options, _| Some(raw)).unwrap();
    let (_, settings) = wattle_options::read(&options, options::check).ok().unwrap();
    let shown = format!("{raw:?} {settings:?}");
    assert!(!shown.contains("geheim") && !shown.contains("dTpnZWhlaW0="), "{shown}");
}
