//! The sink with a double of Loki, made from the documentation of its push API: entries that are too old are refused and the
//! others of the request are stored, and an entry with the time and the line of an earlier one is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected};

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

/// Entries by tenant and stream.
type Store = BTreeMap<(String, String), BTreeSet<(i64, String)>>;

#[derive(Default)]
struct State {
    store: Store,
    /// Entries in the order in which they came.
    order: Vec<(String, i64)>,
    statuses: Vec<(u16, &'static str)>,
    max_bytes: Option<usize>,
    /// Entries before this time are too old.
    oldest: i64,
}

type Shared = Arc<Mutex<State>>;

fn shared(state: State) -> Shared {
    Arc::new(Mutex::new(state))
}

fn answer(state: &Shared, call: &Call) -> Reply {
    let mut state = state.lock().unwrap();
    assert_eq!((call.uri.path(), call.header("content-type")), ("/loki/api/v1/push", "application/json"));
    if call.header("authorization") != "Basic dTpw" {
        return Reply::new(401, "no org id");
    }
    if let Some((status, text)) = state.statuses.pop() {
        return Reply::new(status, text);
    }
    if state.max_bytes.is_some_and(|max| call.body.len() > max) {
        return Reply::new(413, "");
    }
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let mut refused = 0;
    for stream in body["streams"].as_array().unwrap() {
        assert!(!stream["stream"].as_object().unwrap().is_empty(), "{stream}");
        let labels = stream["stream"].to_string();
        let mut last = i64::MIN;
        for entry in stream["values"].as_array().unwrap() {
            let time: i64 = entry[0].as_str().unwrap().parse().unwrap();
            assert!(time >= last, "entries of a stream are in order");
            last = time;
            if time < state.oldest {
                refused += 1;
                continue;
            }
            let line =
                format!("{}{}", entry[1].as_str().unwrap(), entry.get(2).map_or_else(String::new, Value::to_string));
            state.order.push((labels.clone(), time));
            state
                .store
                .entry((call.header("x-scope-orgid").to_owned(), labels.clone()))
                .or_default()
                .insert((time, line));
        }
    }
    if refused > 0 {
        Reply::new(400, format!("entry too far behind, total ignored: {refused}"))
    } else {
        Reply::new(204, "")
    }
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}", double.address),
        "auth": {"strategy": "basic", "user": "u", "password": "p"},
        "labels": {"job": "test", "level": "{{ body.level }}"},
        "encoding": {"codec": "text"},
        "batch": {"timeout": "10ms"},
        "request": {"retry_initial_backoff": "10ms", "retry_max_backoff": "20ms", "timeout": "2s"},
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
    let sink = Running::start("loki", &options(&double, more));
    (double, sink)
}

/// Sends events with these times in seconds.
fn push(sink: &Running, bodies: &[&str], seconds: &[i64]) {
    let mut batch = sink.rig.batch(bodies);
    batch.set_timestamps(&seconds.iter().map(|seconds| seconds * 1_000_000_000).collect::<Vec<_>>());
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
}

/// The lines of a stream of the tenant, with their times in nanoseconds.
fn lines(state: &Shared, tenant: &str, labels: &str) -> Vec<(i64, String)> {
    let key = (tenant.to_owned(), labels.to_owned());
    state.lock().unwrap().store.get(&key).into_iter().flatten().cloned().collect()
}

#[tokio::test]
async fn entries_go_to_their_streams_in_the_order_of_time() {
    let state = shared(State::default());
    let (double, sink) =
        start(&state, json!({"structured_metadata": {"n": "{{ body.n }}"}, "compression": "gzip"})).await;
    push(&sink, &["{\"level\":\"a\",\n\"n\":1}", "text \"\u{0}\u{e4}", r#"{"level":"a","n":2}"#], &[3, 2, 1]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 3));
    assert_eq!(double.calls().len(), 1);
    assert_eq!(
        lines(&state, "", r#"{"job":"test","level":"a"}"#),
        [
            (1_000_000_000, r#"{"level":"a","n":2}{"n":"2"}"#.to_owned()),
            (3_000_000_000, "{\"level\":\"a\",\n\"n\":1}{\"n\":\"1\"}".to_owned())
        ]
    );
    assert_eq!(lines(&state, "", r#"{"job":"test"}"#), [(2_000_000_000, "text \"\u{0}\u{e4}{}".to_owned())]);
}

#[tokio::test]
async fn each_tenant_has_its_own_requests() {
    let state = shared(State::default());
    let (double, sink) = start(&state, json!({"tenant_id": "{{ body.t }}", "encoding": {"codec": "json"}})).await;
    push(&sink, &[r#"{"t":"a"}"#, r#"{"t":"b\nc"}"#, "{}", r#"{"t":"a"}"#], &[1, 2, 3, 4]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered], 4));
    assert_eq!(double.calls().len(), 3);
    let count = |tenant| lines(&state, tenant, r#"{"job":"test"}"#).len();
    assert_eq!((count("a"), count("b_c"), count("")), (2, 1, 1));
    let line: Value = serde_json::from_str(&lines(&state, "b_c", r#"{"job":"test"}"#)[0].1).unwrap();
    assert_eq!((&line["body"], &line["timestamp"]), (&json!("{\"t\":\"b\\nc\"}"), &json!("1970-01-01T00:00:02Z")));
}

#[tokio::test]
async fn entries_that_are_too_old_are_rejected_and_the_others_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let state = shared(State { oldest: 100_000_000_000, ..State::default() });
        let more = if with_file { json!({"dead_letter": path}) } else { json!({}) };
        let (_double, sink) = start(&state, more).await;
        push(&sink, &["one", "old", "two", "three", "older"], &[100, 7, 200, 300, 3]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (3, 2));
        let texts: Vec<String> = lines(&state, "", r#"{"job":"test"}"#).into_iter().map(|(_, line)| line).collect();
        assert_eq!(texts, ["one", "two", "three"]);
    }
    let text = std::fs::read_to_string(path).unwrap();
    let letters: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: BTreeSet<&str> = letters.iter().map(|letter| letter["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        BTreeSet::from([
            r#"{"stream":{"job":"test"},"values":[["3000000000","older"]]}"#,
            r#"{"stream":{"job":"test"},"values":[["7000000000","old"]]}"#
        ])
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter["status"] == 400 && letter["reason"] == "entry too far behind, total ignored: 1")
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_requests_that_are_too_large_are_halved() {
    let state = shared(State {
        // The last comes first.
        statuses: vec![
            (500, "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)"),
            (503, ""),
            (429, "Ingestion rate limit exceeded"),
        ],
        max_bytes: Some(250),
        ..State::default()
    });
    let (_double, sink) = start(&state, json!({})).await;
    let bodies: Vec<String> = (10..40).map(|n| format!("line {n}")).collect();
    push(&sink, &bodies.iter().map(String::as_str).collect::<Vec<_>>(), &(10..40).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 30, 0));
    let texts: Vec<String> = lines(&state, "", r#"{"job":"test"}"#).into_iter().map(|(_, line)| line).collect();
    assert_eq!(texts, bodies);
    let order: Vec<i64> = state.lock().unwrap().order.iter().map(|(_, time)| *time).collect();
    assert!(order.is_sorted(), "one request at a time keeps the order: {order:?}");
}

#[tokio::test]
async fn wrong_credentials_reject_nothing_and_a_new_sink_sends_again() {
    let state = shared(State::default());
    let wrong = json!({"auth": {"strategy": "bearer", "token": "geheim"}});
    let (double, sink) = start(&state, wrong).await;
    push(&sink, &["one"], &[1]);
    sink.rig.wait_for_retries(2).await;
    let error = sink.rig.context().stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 401: no org id") && !error.contains("geheim"), "{error}");
    sink.task.abort();
    sink.rig.wait(1).await;
    // The server restarts while the operator changes the options.
    let address = double.stop().await;
    let double = Double::at(address, {
        let state = state.clone();
        move |call| answer(&state, call)
    })
    .await;
    for _ in 0..2 {
        let sink = Running::start("loki", &options(&double, json!({})));
        push(&sink, &["one"], &[1]);
        assert_eq!(sink.finish().await.acks(), [Delivered]);
    }
    assert_eq!(
        lines(&state, "", r#"{"job":"test"}"#),
        [(1_000_000_000, "one".to_owned())],
        "a repetition adds nothing"
    );
}

#[tokio::test]
async fn labels_with_many_values_make_no_more_streams_than_the_option_allows() {
    let state = shared(State::default());
    let more = json!({"max_streams": 3, "labels": {"job": "test", "user": "{{ body.u }}"}});
    let (_double, sink) = start(&state, more).await;
    let bodies: Vec<String> = (0..10).map(|n| format!("{{\"u\":{n}}}")).collect();
    for _ in 0..2 {
        push(&sink, &bodies.iter().map(String::as_str).collect::<Vec<_>>(), &(0..10).collect::<Vec<_>>());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 2], 20));
    assert_eq!(rig.context().stats.overflow_events.load(Ordering::Relaxed), 14);
    let streams: Vec<String> = state.lock().unwrap().store.keys().map(|(_, labels)| labels.clone()).collect();
    assert_eq!(
        streams,
        [
            r#"{"job":"test","overflow":"true"}"#,
            r#"{"job":"test","user":"0"}"#,
            r#"{"job":"test","user":"1"}"#,
            r#"{"job":"test","user":"2"}"#
        ]
    );
    assert_eq!(lines(&state, "", r#"{"job":"test","overflow":"true"}"#).len(), 7);
}

#[tokio::test]
async fn a_slow_server_gets_every_line_byte_for_byte() {
    let state = shared(State::default());
    let double = Double::start({
        let state = state.clone();
        move |call| Reply { 2: Duration::from_millis(2), ..answer(&state, call) }
    })
    .await;
    let more = json!({"labels": {"level": "{{ body.level }}"}, "batch": {"max_events": 33, "timeout": "5ms"},
        "request": {"concurrency": "adaptive"}});
    let sink = Running::start("loki", &options(&double, more));
    let mut random = fastrand::Rng::with_seed(7);
    let mut expected = Vec::new();
    for number in 0..40 {
        let body = |_| (0..random.usize(0..60)).map(|_| random.char(..)).collect::<String>();
        let bodies: Vec<String> = (0..10).map(body).collect();
        let times: Vec<i64> = (0..10).map(|row| 1 + number * 10 + row).collect();
        push(&sink, &bodies.iter().map(String::as_str).collect::<Vec<_>>(), &times);
        expected.extend(times.into_iter().map(|time| time * 1_000_000_000).zip(bodies));
    }
    let column = wattle_batch::Column::from_rows([&b"\xff\x00"[..]]).unwrap();
    let mut batch = wattle_batch::Batch::new(column, sink.rig.batch(&[]).origin().clone(), sink.rig.ack());
    batch.set_timestamps(&[0]);
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
    expected.insert(0, (0, r#"{"body_base64":"/wA="}"#.to_owned()));
    let rig = sink.finish().await;
    assert_eq!(rig.counts().0, 401);
    assert_eq!(lines(&state, "", r#"{"agent":"wattle"}"#), expected);
}
