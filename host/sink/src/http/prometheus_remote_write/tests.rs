//! The sink with a double of a receiver, made from the specification of remote write 1.0 and the rules of Prometheus: a
//! request is stored as a whole or not at all, and the samples of a series must be in the order of time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use wattle_batch::Disposition::{Delivered, Rejected};
use wattle_batch::{Column, EventKind, FieldPath, Form, Root};

use super::*;
use crate::http::testing::{Call, Double, Reply};
use crate::testing::Running;

/// The samples of each series, by the text of its labels.
#[derive(Default)]
struct Store {
    series: BTreeMap<String, Vec<(i64, f64)>>,
    /// Whole requests that get this status.
    statuses: Vec<u16>,
    max_bytes: usize,
}

type Shared = Arc<Mutex<Store>>;

fn store() -> Shared {
    Arc::new(Mutex::new(Store { max_bytes: usize::MAX, ..Store::default() }))
}

fn decoded(call: &Call) -> WriteRequest {
    WriteRequest::decode(&snap::raw::Decoder::new().decompress_vec(&call.bytes).unwrap()[..]).unwrap()
}

fn labels_of(series: &TimeSeries) -> String {
    let label =
        |label: &Label| format!("{}={}", String::from_utf8_lossy(&label.name), String::from_utf8_lossy(&label.value));
    series.labels.iter().map(label).collect::<Vec<_>>().join(",")
}

fn answer(store: &Shared, call: &Call) -> Reply {
    let mut store = store.lock().unwrap();
    assert_eq!(call.uri.path(), "/api/v1/write");
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ] {
        assert_eq!(call.header(name), value);
    }
    if call.header("authorization") != "Bearer geheim" {
        return Reply::new(401, "unauthorized");
    }
    if let Some(status) = store.statuses.pop() {
        return Reply::new(status, "");
    }
    if call.bytes.len() > store.max_bytes {
        return Reply::new(413, "too large");
    }
    let mut next = store.series.clone();
    for series in decoded(call).series {
        let names: Vec<&[u8]> = series.labels.iter().map(|label| &label.name[..]).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "labels are in order, and none is there twice");
        assert!(series.labels.iter().all(|label| !label.value.is_empty()));
        let stored = next.entry(labels_of(&series)).or_default();
        for sample in &series.samples {
            match stored.last() {
                Some((time, _)) if *time > sample.timestamp => return Reply::new(400, "out of order sample"),
                Some((time, value)) if *time == sample.timestamp && *value != sample.value => {
                    return Reply::new(400, "duplicate sample for timestamp");
                }
                Some((time, _)) if *time == sample.timestamp => {}
                _ => stored.push((sample.timestamp, sample.value)),
            }
        }
    }
    store.series = next;
    Reply::new(204, "")
}

fn options(double: &Double, more: Value) -> Value {
    let mut options = json!({
        "endpoint": format!("http://{}/api/v1/write", double.address),
        "auth": {"strategy": "bearer", "token": "geheim"},
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
    let sink = Running::start("prometheus_remote_write", &options(&double, more));
    (double, sink)
}

fn gauge(name: &str, value: impl serde::Serialize) -> Value {
    json!({"name": name, "unit": "", "type": "gauge", "value": value})
}

/// Queues metric events: the milliseconds, the attributes and the body of each.
fn push(sink: &Running, events: &[(i64, Value, Value)]) {
    let bodies: Vec<String> = events.iter().map(|(_, _, body)| body.to_string()).collect();
    let mut batch = sink.rig.batch(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).of_kind(EventKind::Metric);
    let attributes = Column::from_rows(events.iter().map(|(_, attributes, _)| attributes.to_string())).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    batch.set_timestamps(&events.iter().map(|(time, _, _)| time * 1_000_000 + 999_999).collect::<Vec<_>>());
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
}

#[tokio::test]
async fn metrics_of_each_type_become_samples_with_labels_and_times() {
    let store = store();
    let more = json!({"labels": {"cluster": "{{ resource.host.name }}-1", "empty": ""},
        "exponential_histograms": "classic"});
    let (_double, sink) = start(&store, more).await;
    let cumulative = |mut body: Value| {
        body.as_object_mut().unwrap().insert("temporality".to_owned(), json!("cumulative"));
        body
    };
    push(
        &sink,
        &[
            (
                1000,
                json!({"http.method": "GET", "code": 200, "none": null, "empty": ""}),
                cumulative(json!({"name": "http.requests", "unit": "1", "type": "sum", "monotonic": true, "value": 7})),
            ),
            (1000, json!({}), cumulative(json!({"name": "queue", "unit": "By", "type": "sum", "value": -0.5}))),
            (1000, json!({"a.b": "x", "a_b": "y"}), gauge("odd", "NaN")),
            (
                1000,
                json!({"le": "mine"}),
                cumulative(json!({"name": "took", "unit": "s", "type": "histogram", "count": 3, "sum": 1.5,
                    "bounds": [0.1, 1], "bucket_counts": [1, 1, 1]})),
            ),
            (
                1000,
                json!({}),
                cumulative(json!({"name": "size", "unit": "", "type": "exponential_histogram", "count": 3, "scale": 0,
                    "zero_count": 1, "positive": {"offset": 0, "bucket_counts": [2]}})),
            ),
            (
                1000,
                json!({}),
                json!({"name": "quant", "type": "summary", "count": 2, "sum": 3,
                    "quantiles": [{"quantile": 0.5, "value": 1.5}]}),
            ),
        ],
    );
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 6, 0));
    let store = store.lock().unwrap();
    let found: Vec<(&str, &[(i64, f64)])> = store.series.iter().map(|(labels, s)| (&**labels, &s[..])).collect();
    let texts: Vec<String> = found.iter().map(|(labels, samples)| format!("{labels} {:?}", samples)).collect();
    assert_eq!(
        texts,
        [
            "__name__=http_requests_total,cluster=h-1,code=200,http_method=GET [(1000, 7.0)]",
            "__name__=odd,a_b=x;y,cluster=h-1 [(1000, NaN)]",
            "__name__=quant,cluster=h-1,quantile=0.5 [(1000, 1.5)]",
            "__name__=quant_count,cluster=h-1 [(1000, 2.0)]",
            "__name__=quant_sum,cluster=h-1 [(1000, 3.0)]",
            "__name__=queue_bytes,cluster=h-1 [(1000, -0.5)]",
            "__name__=size_bucket,cluster=h-1,le=+Inf [(1000, 3.0)]",
            "__name__=size_bucket,cluster=h-1,le=0 [(1000, 1.0)]",
            "__name__=size_bucket,cluster=h-1,le=2 [(1000, 3.0)]",
            "__name__=size_count,cluster=h-1 [(1000, 3.0)]",
            "__name__=took_seconds_bucket,cluster=h-1,exported_le=mine,le=+Inf [(1000, 3.0)]",
            "__name__=took_seconds_bucket,cluster=h-1,exported_le=mine,le=0.1 [(1000, 1.0)]",
            "__name__=took_seconds_bucket,cluster=h-1,exported_le=mine,le=1 [(1000, 2.0)]",
            "__name__=took_seconds_count,cluster=h-1,exported_le=mine [(1000, 3.0)]",
            "__name__=took_seconds_sum,cluster=h-1,exported_le=mine [(1000, 1.5)]",
        ]
    );
}

#[tokio::test]
async fn the_service_of_the_resource_becomes_job_and_instance() {
    let store = store();
    let (_double, sink) = start(&store, json!({})).await;
    let mut batch =
        sink.rig.batch(&[&gauge("a", 1).to_string(), &gauge("b", 1).to_string()]).of_kind(EventKind::Metric);
    let resource = r#"{"service.namespace":"shop","service.name":"cart","service.instance.id":"i-1"}"#;
    batch.set(&FieldPath::whole(Root::Resource), Form::Json, &Column::from_rows([resource; 2]).unwrap(), &[]).unwrap();
    let attributes = Column::from_rows(["{}", r#"{"job":"mine"}"#]).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
    sink.finish().await;
    let store = store.lock().unwrap();
    assert_eq!(
        store.series.keys().collect::<Vec<_>>(),
        ["__name__=a,instance=i-1,job=shop/cart", "__name__=b,instance=i-1,job=mine"]
    );
}

#[tokio::test]
async fn exponential_histograms_become_native_ones() {
    let store = store();
    let (double, sink) = start(&store, json!({})).await;
    let body = json!({"name": "size", "unit": "By", "type": "exponential_histogram", "temporality": "cumulative",
        "count": 6, "sum": 23.5, "scale": 0, "zero_count": 1, "zero_threshold": 0.25,
        "positive": {"offset": 0, "bucket_counts": [1, 2, 0, 1]}, "negative": {"offset": -1, "bucket_counts": [1]}});
    push(&sink, &[(5, json!({}), body)]);
    assert_eq!(sink.finish().await.acks(), [Delivered]);
    let request = decoded(&double.calls()[0]);
    assert_eq!((request.series.len(), labels_of(&request.series[0])), (1, "__name__=size_bytes".to_owned()));
    let histogram = &request.series[0].histograms[0];
    assert_eq!((histogram.count, histogram.zero_count, histogram.timestamp), (Some(6), Some(1), 5));
    assert_eq!((histogram.sum, histogram.zero_threshold, histogram.schema), (23.5, 0.25, 0));
    assert_eq!((&histogram.positive_deltas[..], &histogram.negative_deltas[..]), (&[1, 1, -2, 1][..], &[1][..]));
}

#[tokio::test]
async fn samples_of_a_request_are_in_the_order_of_time() {
    let store = store();
    let (double, sink) = start(&store, json!({"batch": {"timeout": "100s"}})).await;
    push(&sink, &[(3000, json!({}), gauge("a", 3)), (1000, json!({}), gauge("a", 1))]);
    push(&sink, &[(2000, json!({}), gauge("a", 2)), (1000, json!({}), gauge("b", 1))]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), double.calls().len()), (vec![Delivered; 2], 1));
    assert_eq!(store.lock().unwrap().series["__name__=a"], [(1000, 1.0), (2000, 2.0), (3000, 3.0)]);
}

#[tokio::test]
async fn samples_that_the_server_refuses_do_not_block_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let store = store();
        store.lock().unwrap().series.insert("__name__=a,x=\"1\"".to_owned(), vec![(5000, 0.0)]);
        let more = if with_file { json!({"dead_letter": path}) } else { json!({}) };
        let (_double, sink) = start(&store, more).await;
        let x = json!({"x": "\"1\""});
        push(
            &sink,
            &[
                (6000, json!({}), gauge("b", 1)),
                (1000, x.clone(), gauge("a", 1.5)),
                (5000, x.clone(), gauge("a", 2)),
                (7000, x, gauge("a", 3)),
            ],
        );
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!((rig.counts().0, rig.counts().2), (2, 2));
        let store = store.lock().unwrap();
        assert_eq!(store.series["__name__=a,x=\"1\""], [(5000, 0.0), (7000, 3.0)]);
        assert_eq!(store.series["__name__=b"], [(6000, 1.0)]);
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [("out of order sample", "a{x=\"\\\"1\\\"\"} 1.5 1000"), ("duplicate", "a{x=\"\\\"1\\\"\"} 2 5000")];
    for (line, (reason, event)) in lines.iter().zip(expected) {
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        assert_eq!((&line["status"], &line["event"]), (&json!(400), &json!(event)));
    }
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn events_that_prometheus_cannot_have_are_rejected_with_the_reason_and_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let store = store();
    let (double, sink) = start(&store, json!({"dead_letter": path})).await;
    let histogram = |more: Value| {
        let mut body = json!({"name": "h", "type": "histogram", "temporality": "cumulative", "count": 3});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let cases = [
        (json!({"name": "c", "type": "sum", "temporality": "delta", "monotonic": true, "value": 1}), "is `delta`"),
        (json!({"name": "c", "type": "sum", "monotonic": true, "value": 1}), "`temporality` is missing"),
        (gauge("g", Value::Null), "has no value"),
        (gauge("g", "geheim"), "a value that does not fit"),
        (gauge("...", 1), "has no name"),
        (json!({"unit": "s"}), "or a missing one"),
        (json!("text"), "a value that does not fit"),
        (histogram(json!({"bounds": [1, 2], "bucket_counts": [1]})), "one element more"),
        (histogram(json!({"bounds": [2, 1], "bucket_counts": [1, 0, 0]})), "which must increase"),
        (histogram(json!({"bounds": [1], "bucket_counts": [2, 2]})), "more values than `count`"),
        (histogram(json!({"type": "exponential_histogram", "scale": -9})), "`scale` must be from"),
    ];
    let mut events: Vec<_> = cases.iter().map(|(body, _)| (1000, json!({}), body.clone())).collect();
    events.push((1000, json!({}), gauge("good", 1)));
    push(&sink, &events);
    sink.push(&["a log"]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered; 2], 1, 12));
    assert_eq!(store.lock().unwrap().series.keys().collect::<Vec<_>>(), ["__name__=good"]);
    assert!(double.calls().len() <= 2, "no search for rejected events");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for ((body, reason), line) in cases.iter().zip(&lines) {
        let text = line["reason"].as_str().unwrap();
        assert!(text.contains(reason) && !text.contains("geheim"), "{line}");
        let event: Value = serde_json::from_str(line["event"].as_str().unwrap()).unwrap();
        assert_eq!((&event["kind"], &event["body"]), (&json!("metric"), &json!(body.to_string())));
    }
    assert_eq!(lines.len(), 12);
    assert!(lines[11]["reason"].as_str().unwrap().contains("not a metric event"), "{}", lines[11]);
}

#[test]
fn buckets_with_long_labels_do_not_fill_the_memory() {
    let rig = crate::testing::Rig::new();
    let (encoder, _) = wattle_options::read(&json!({"endpoint": "http://h/"}), options::check).ok().unwrap();
    let body = json!({"name": "h", "type": "histogram", "temporality": "cumulative", "count": 0,
        "bounds": (0..500).collect::<Vec<_>>(), "bucket_counts": vec![0; 501]});
    let body = body.to_string();
    let mut batch = rig.batch(&vec![&*body; 100]).of_kind(EventKind::Metric);
    let attributes = Column::from_rows(vec![json!({"a": "x".repeat(1900)}).to_string(); 100]).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    let payloads = encoder.encode(batch);
    assert_eq!((payloads.len(), payloads[0].events), (1, 100));
    assert!(payloads[0].bytes.len() < metrics::MAX_BATCH_BYTES + (1 << 20), "{}", payloads[0].bytes.len());
    let batch = RequestBatch::of(payloads.into_iter().next().unwrap());
    let refused = batch.events().filter_map(refusal).filter(|(reason, _)| reason.contains("of a batch")).count();
    assert!((1..50).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_request_that_is_too_large_is_halved() {
    let store = store();
    {
        let mut store = store.lock().unwrap();
        store.max_bytes = 300;
        store.statuses = vec![503, 429, 500];
    }
    let (double, sink) = start(&store, json!({})).await;
    let event = |n: i64| (1000 + n, json!({"number": format!("{:032x}", fastrand::u128(..)), "n": n}), gauge("m", n));
    push(&sink, &(0..40).map(event).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 40, 0));
    assert_eq!(store.lock().unwrap().series.len(), 40);
    assert!(double.calls().len() > 6);
}

#[tokio::test]
async fn wrong_credentials_reject_nothing_and_need_an_operator() {
    let store = store();
    let (_double, sink) =
        start(&store, json!({"auth": {"strategy": "basic", "user": "u", "password": "secret-4711"}})).await;
    push(&sink, &[(1000, json!({}), gauge("a", 1))]);
    sink.rig.wait_for_retries(2).await;
    let stats = sink.rig.context().stats;
    let error = stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("status 401") && !error.contains("4711"), "{error}");
    assert_eq!((stats.rejected_events.load(Ordering::Relaxed), sink.rig.acks().len()), (0, 0));
    sink.task.abort();
}

#[tokio::test]
async fn a_server_without_native_histograms_needs_an_operator() {
    let double = Double::start(|_| Reply::new(500, "native histograms are disabled\n")).await;
    let sink = Running::start("prometheus_remote_write", &options(&double, json!({})));
    push(&sink, &[(1000, json!({}), gauge("a", 1))]);
    sink.rig.wait_for_retries(1).await;
    let error = sink.rig.context().stats.broken(Duration::ZERO).unwrap();
    assert!(error.contains("exponential_histograms"), "{error}");
    sink.task.abort();
}

#[tokio::test]
async fn a_slow_server_gets_every_sample_once_and_tenants_have_requests_of_their_own() {
    let store = store();
    let double = Double::start({
        let store = store.clone();
        move |call| Reply { 2: Duration::from_millis(5), ..answer(&store, call) }
    })
    .await;
    let more = json!({"batch": {"max_events": 7, "timeout": "10ms"}, "tenant_id": "{{ attributes.team }}",
        "request": {"concurrency": "adaptive", "adaptive_concurrency": {"max_concurrency_limit": 8}}});
    let sink = Running::start("prometheus_remote_write", &options(&double, more));
    for n in 0..20 {
        let event = |i: i64| (1000, json!({"team": format!("t/{}", i % 3), "n": n * 20 + i}), gauge("m", n));
        push(&sink, &(0..20).map(event).collect::<Vec<_>>());
    }
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 20], 400));
    assert_eq!(store.lock().unwrap().series.len(), 400);
    for call in double.calls() {
        let tenant = call.header("x-scope-orgid").to_owned();
        let teams: Vec<String> = decoded(&call).series.iter().map(labels_of).collect();
        let team = format!("team={}", tenant.replace('_', "/"));
        assert!(tenant.starts_with("t_") && teams.iter().all(|labels| labels.ends_with(&team)), "{tenant} {teams:?}");
    }
}
