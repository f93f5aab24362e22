//! The sink with a double of the HTTP Event Collector, made from its documentation: its codes, `invalid-event-number`, and
//! acknowledgements that are counted within a channel and given once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected, Retry};

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

#[derive(Default)]
struct State {
    /// Accepted events, or lines.
    accepted: Vec<Value>,
    /// Whether the token has acknowledgements.
    with_acks: bool,
    /// Questions before a request is acknowledged.
    delay: usize,
    /// Requests that are accepted and never acknowledged.
    forgotten: usize,
    /// Requests by channel and number, with the questions that are left.
    pending: BTreeMap<(String, u64), usize>,
    next: u64,
    /// Answers to the next requests.
    answers: Vec<(u16, u32)>,
    max_bytes: Option<usize>,
}

type Shared = Arc<Mutex<State>>;

fn shared(state: State) -> Shared {
    Arc::new(Mutex::new(state))
}

fn code(status: u16, code: u32, more: Value) -> Reply {
    let mut body = json!({"text": "because", "code": code});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    Reply::new(status, body)
}

fn answer(state: &Shared, call: &Call) -> Reply {
    let mut state = state.lock().unwrap();
    if call.header("authorization") != "Splunk secret-token" {
        return code(403, 4, json!({}));
    }
    let channel = call.header("x-splunk-request-channel").to_owned();
    if state.with_acks && channel.len() != 36 {
        return code(400, 10, json!({}));
    }
    if call.uri.path() == "/services/collector/ack" {
        let asked: Value = serde_json::from_str(&call.body).unwrap();
        let mut acks = serde_json::Map::new();
        for id in asked["acks"].as_array().unwrap() {
            let id = id.as_u64().unwrap();
            let key = (channel.clone(), id);
            let left = state.pending.get(&key).copied();
            if left == Some(0) {
                // An acknowledgement is given once.
                state.pending.remove(&key);
            } else if let Some(left) = left {
                state.pending.insert(key, left - 1);
            }
            acks.insert(id.to_string(), (left == Some(0)).into());
        }
        return Reply::new(200, json!({ "acks": acks }));
    }
    if let Some((status, number)) = state.answers.pop() {
        return code(status, number, json!({}));
    }
    if state.max_bytes.is_some_and(|max| call.body.len() > max) {
        return Reply::new(413, "");
    }
    let is_raw = call.uri.path() == "/services/collector/raw";
    let events: Vec<Value> = if is_raw {
        call.body.lines().map(|line| json!({"line": line, "query": call.uri.query()})).collect()
    } else {
        assert_eq!(call.uri.path(), "/services/collector/event");
        serde_json::Deserializer::from_str(&call.body).into_iter().map(Result::unwrap).collect()
    };
    for (number, event) in events.iter().enumerate().filter(|_| !is_raw) {
        let code = |number_of_code| code(400, number_of_code, json!({"invalid-event-number": number}));
        match &event["event"] {
            Value::Null => return code(12),
            Value::String(text) if text.is_empty() => return code(13),
            _ if event["index"] == "forbidden" => return code(7),
            _ => {}
        }
    }
    state.accepted.extend(events);
    if !state.with_acks {
        return code(200, 0, json!({}));
    }
    let id = state.next;
    state.next += 1;
    if state.forgotten > 0 {
        state.forgotten -= 1;
    } else {
        let delay = state.delay;
        state.pending.insert((channel, id), delay);
    }
    code(200, 0, json!({ "ackId": id }))
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}", double.address),
        "token": "secret-token",
        "encoding": {"codec": "text"},
        "batch": {"timeout": "10ms"},
        "request": {"retry_initial_backoff": "10ms", "retry_max_backoff": "20ms", "timeout": "2s"},
        "acknowledgements": {"query_interval": "10ms"},
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

async fn start(state: &Shared, more: Value) -> (Double, Running) {
    let double = Double::start({
        let state = state.clone();
        move |call| answer(&state, call)
    })
    .await;
    let sink = Running::start("splunk_hec", &options(&double, more));
    (double, sink)
}

/// The accepted events, each once.
fn events(state: &Shared) -> Vec<String> {
    let state = state.lock().unwrap();
    let events: HashSet<String> = state.accepted.iter().map(|event| event["event"].to_string()).collect();
    let mut events: Vec<String> = events.into_iter().collect();
    events.sort();
    events
}

#[tokio::test]
async fn events_have_their_time_metadata_and_fields() {
    let state = shared(State::default());
    let more = json!({"index": "main", "sourcetype": "{{ body.type }}", "source": "s", "compression": "gzip",
        "indexed_fields": {"team": "{{ body.team }}", "other": "{{ body.other }}"}});
    let (double, sink) = start(&state, more).await;
    let text = r#"{"type":"t\u00e4","team":"a","n":1.50}"#;
    let mut batch = sink.rig.batch(&[text, "plain \"text\"\n\u{1}"]);
    batch.set_timestamps(&[1_767_323_045_123_456_789, -1]);
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 2));
    let call = double.calls().remove(0);
    assert_eq!((call.header("content-type"), call.header("content-encoding")), ("application/json", "gzip"));
    let lines: Vec<&str> = call.body.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            "{{\"time\":1767323045.123456789,\"index\":\"main\",\"sourcetype\":\"t\u{e4}\",\"source\":\"s\",\"host\":\"h\",\
             \"fields\":{{\"team\":\"a\"}},\"event\":{text}}}"
        )
    );
    let plain: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!((&plain["event"], &plain["sourcetype"]), (&json!("plain \"text\"\n\u{1}"), &Value::Null));
}

#[tokio::test]
async fn raw_lines_of_each_source_have_their_own_requests() {
    let state = shared(State::default());
    let more = json!({"endpoint_target": "raw", "source": "{{ body.s }}", "sourcetype": "a b", "host": ""});
    let (_double, sink) = start(&state, more).await;
    sink.push(&[r#"{"s":"x&y"}"#, "line", r#"{"s":"x&y","n":2}"#]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 3));
    let mut lines: Vec<String> = state.lock().unwrap().accepted.iter().map(Value::to_string).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"{"line":"line","query":"sourcetype=a%20b"}"#,
            r#"{"line":"{\"s\":\"x&y\",\"n\":2}","query":"sourcetype=a%20b&source=x%26y"}"#,
            r#"{"line":"{\"s\":\"x&y\"}","query":"sourcetype=a%20b&source=x%26y"}"#,
        ]
    );
}

#[tokio::test]
async fn events_are_delivered_when_the_indexers_have_acknowledged_them() {
    let state = shared(State { with_acks: true, delay: 1_000_000, ..State::default() });
    let (_double, sink) = start(&state, json!({"batch": {"max_events": 1}, "request": {"concurrency": 1}})).await;
    let bodies: Vec<String> = (0..10).map(|n| format!("e{n}")).collect();
    bodies.iter().for_each(|body| sink.push(&[body]));
    sink.rig.until("all requests", || state.lock().unwrap().accepted.len() == 10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.rig.acks(), [], "accepted is not indexed, and what waits occupies no place");
    state.lock().unwrap().pending.values_mut().for_each(|left| *left = 0);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().3), (vec![Delivered; 10], 10, 0));
}

#[tokio::test]
async fn what_is_not_acknowledged_in_time_is_sent_again() {
    let state = shared(State { with_acks: true, forgotten: 1, ..State::default() });
    let more = json!({"acknowledgements": {"query_interval": "10ms", "timeout": "200ms"}});
    let (_double, sink) = start(&state, more).await;
    sink.push(&["one"]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().3), (vec![Delivered], 1, 1));
    assert_eq!(state.lock().unwrap().accepted.len(), 2);
}

#[tokio::test]
async fn a_collector_that_restarts_confirms_no_request_of_before() {
    let state = shared(State { with_acks: true, forgotten: 1, ..State::default() });
    let (_double, sink) = start(&state, json!({"batch": {"max_events": 1}})).await;
    sink.push(&["before"]);
    sink.rig.until("the request", || state.lock().unwrap().accepted.len() == 1).await;
    // The event is lost, and numbers begin again.
    {
        let mut state = state.lock().unwrap();
        state.accepted.clear();
        state.next = 0;
    }
    sink.push(&["after"]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().3), (vec![Delivered; 2], 2, 1));
    assert_eq!(events(&state), ["\"after\"", "\"before\""]);
}

#[tokio::test]
async fn events_that_wait_for_acknowledgements_are_bounded_in_bytes() {
    let state = shared(State { with_acks: true, delay: 1_000_000, ..State::default() });
    let more = json!({"batch": {"max_events": 1}, "request": {"concurrency": 1},
        "acknowledgements": {"query_interval": "10ms", "max_pending_bytes": "3KiB"}});
    let (_double, sink) = start(&state, more).await;
    let body = "x".repeat(1000);
    (0..10).for_each(|_| sink.push(&[&body]));
    sink.rig.until("some requests", || state.lock().unwrap().accepted.len() >= 3).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(state.lock().unwrap().accepted.len(), 3);
    {
        let mut state = state.lock().unwrap();
        state.delay = 0;
        state.pending.values_mut().for_each(|left| *left = 0);
    }
    assert_eq!(sink.finish().await.acks(), [Delivered; 10]);
}

#[tokio::test]
async fn only_the_events_that_the_collector_names_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for (with_file, with_acks) in [(true, true), (false, false)] {
        let state = shared(State { with_acks, ..State::default() });
        let mut more = json!({"index": "{{ body.index }}", "encoding": {"codec": "ndjson"}});
        if with_file {
            more["dead_letter"] = json!(path);
        }
        let (_double, sink) = start(&state, more).await;
        sink.push(&["1", "", r#"{"index":"forbidden"}"#, "4", "null", r#"{"index":"main"}"#]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (3, 3));
        assert_eq!(events(&state), ["1", "4", r#"{"index":"main"}"#]);
        assert_eq!(state.lock().unwrap().accepted.len(), 3, "none was accepted twice");
    }
    let text = std::fs::read_to_string(path).unwrap();
    let reasons: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone()).collect();
    assert_eq!(reasons, ["code 13: because", "code 7: because", "code 12: because"]);
}

#[tokio::test]
async fn a_busy_server_and_errors_of_an_operator_are_retried() {
    let state = shared(State {
        // The last comes first.
        answers: vec![(400, 7), (400, 14), (400, 10), (403, 1), (500, 8), (503, 9), (503, 23), (200, 9), (200, 8)],
        ..State::default()
    });
    let (_double, sink) = start(&state, json!({"index": "main"})).await;
    sink.push(&["one"]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2, rig.counts().3), (vec![Delivered], 1, 0, 9));
}

#[tokio::test]
async fn an_error_with_a_status_of_success_delivers_nothing() {
    let state = shared(State { answers: vec![(200, 6)], ..State::default() });
    let (_double, sink) = start(&state, json!({})).await;
    sink.push(&["one"]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Rejected], 0));
    assert!(events(&state).is_empty());
}

#[tokio::test]
async fn a_wrong_token_rejects_nothing_and_is_reported_without_it() {
    let state = shared(State::default());
    let (double, sink) = start(&state, json!({"token": "geheim"})).await;
    sink.push(&["one"]);
    sink.rig.wait_for_retries(2).await;
    let error = sink.rig.context().stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 403: code 4: because") && !error.contains("geheim"), "{error}");
    // A reload with the right token replaces the sink; the events that it returns are sent by the next.
    sink.task.abort();
    sink.rig.wait(1).await;
    assert_eq!(sink.rig.acks(), [Retry]);
    let sink = Running::start("splunk_hec", &options(&double, json!({})));
    sink.push(&["one"]);
    assert_eq!(sink.finish().await.acks(), [Delivered]);
    assert_eq!(events(&state), ["\"one\""]);
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved_and_a_response_of_a_proxy_confirms_nothing() {
    let state = shared(State { max_bytes: Some(300), with_acks: true, delay: 1, ..State::default() });
    let (_double, sink) = start(&state, json!({})).await;
    let bodies: Vec<String> = (10..40).map(|n| format!("e{n}")).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 30));
    assert_eq!(events(&state), bodies.iter().map(|body| format!("\"{body}\"")).collect::<Vec<_>>());
    let proxy = Double::start(|_| Reply::new(200, "<html>login</html>")).await;
    let sink = Running::start("splunk_hec", &options(&proxy, json!({})));
    sink.push(&["one"]);
    sink.rig.wait_for_retries(2).await;
    assert_eq!(sink.rig.acks(), []);
}

#[tokio::test]
async fn a_slow_collector_gets_every_event_with_random_bytes() {
    let state = shared(State { with_acks: true, delay: 2, ..State::default() });
    let double = Double::start({
        let state = state.clone();
        move |call| Reply { 2: Duration::from_millis(3), ..answer(&state, call) }
    })
    .await;
    let more = json!({"batch": {"max_events": 16, "timeout": "5ms"}, "request": {"concurrency": "adaptive"}});
    let sink = Running::start("splunk_hec", &options(&double, more));
    let mut random = fastrand::Rng::with_seed(7);
    let mut expected = Vec::new();
    for number in 0..40 {
        let body = |_| {
            let text: String = (0..random.usize(0..40)).map(|_| random.char(..)).collect();
            format!("{number}{text}")
        };
        let bodies: Vec<String> = (0..10).map(body).collect();
        sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        expected.extend(bodies);
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 40], 400));
    let state = state.lock().unwrap();
    let mut found: Vec<String> = state
        .accepted
        .iter()
        .map(|event| event["event"].as_str().map_or_else(|| event["event"].to_string(), str::to_owned))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn channels_are_random_uuids() {
    let one = options::channel();
    let parts: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    let digit = |at: usize| one.chars().nth(at).unwrap();
    assert!(digit(14) == '4' && "89ab".contains(digit(19)), "{one}");
    assert_ne!(one, options::channel());
}
