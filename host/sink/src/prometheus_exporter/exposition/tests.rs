//! The exposition of events against golden texts.

use serde_json::{Value as Json, json};
use wattle_batch::{Column, EventKind, FieldPath, Form, Root};

use super::*;
use crate::batcher::RequestBatch;
use crate::prometheus_exporter::options;
use crate::prometheus_exporter::record::Record;
use crate::prometheus_exporter::registry::Registry;
use crate::refusal::refusal;
use crate::sink::Encoder as _;
use crate::testing::Rig;

/// The text that a scrape reads after these events: the milliseconds, the attributes and the body of each. All of them
/// must be accepted.
fn text(options: Json, events: &[(i64, Json, Json)], format: Format) -> String {
    let (encoder, settings) = wattle_options::read(&options, options::check).unwrap();
    let rig = Rig::new();
    let bodies: Vec<String> = events.iter().map(|(_, _, body)| body.to_string()).collect();
    let mut batch = rig.batch(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).of_kind(EventKind::Metric);
    let attributes = Column::from_rows(events.iter().map(|(_, attributes, _)| attributes.to_string())).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    batch.set_timestamps(&events.iter().map(|(time, _, _)| time * 1_000_000).collect::<Vec<_>>());
    let (mut registry, now) = (Registry::default(), tokio::time::Instant::now());
    for payload in encoder.encode(batch) {
        for event in RequestBatch::of(payload).events() {
            assert_eq!(refusal(event), None);
            let record = <Record as prost::Message>::decode(event).unwrap();
            registry.apply(record, &settings.limits, now).unwrap();
        }
    }
    let views = registry.view(settings.limits.expire_after, now);
    let mut exposition = Exposition::new(views, format, settings.send_timestamps);
    std::iter::from_fn(|| exposition.next_piece()).collect()
}

fn cumulative(mut body: Json) -> Json {
    body["temporality"] = json!("cumulative");
    body
}

/// An event of each type.
fn events() -> Vec<(i64, Json, Json)> {
    let counter = |value: f64| {
        cumulative(json!({"name": "http.requests", "unit": "{request}", "type": "sum", "monotonic": true,
            "description": "Requests \"by\" route \\ and\nmethod.", "value": value,
            "exemplars": [{"value": 1, "timestamp": "1970-01-01T00:00:00.25Z", "trace_id": "4bf9",
                "attributes": {"user": "\"u\""}}]}))
    };
    vec![
        (1500, json!({"z": "1", "a.b": "say \"hi\"\\\n", "m": "\u{e9}"}), counter(7.0)),
        (2000, json!({"a.b": "2"}), counter(1e21)),
        (1000, json!({}), json!({"name": "queue", "unit": "By", "type": "gauge", "value": "NaN"})),
        (1000, json!({"s": 1}), json!({"name": "queue", "unit": "By", "type": "gauge", "value": "Infinity"})),
        (1000, json!({"s": 2}), json!({"name": "queue", "unit": "By", "type": "gauge", "value": "-Infinity"})),
        (1000, json!({}), cumulative(json!({"name": "open", "type": "sum", "value": -0.5}))),
        (
            1001,
            json!({"le": "mine", "route": "/"}),
            cumulative(json!({"name": "took", "unit": "s", "type": "histogram", "count": 6, "sum": 2.5,
                "bounds": [0.1, 1], "bucket_counts": [1, 2, 3], "exemplars": [
                    {"value": 0.7, "timestamp": "1970-01-01T00:00:01Z", "trace_id": "t"}, {"value": 5}]})),
        ),
        (
            1000,
            json!({}),
            cumulative(json!({"name": "size", "type": "exponential_histogram", "count": 6, "sum": 23.5, "scale": 0,
                "zero_count": 1, "positive": {"offset": 0, "bucket_counts": [1, 2, 0, 1]},
                "negative": {"offset": -1, "bucket_counts": [1]}})),
        ),
        (
            1000,
            json!({}),
            json!({"name": "quant", "type": "summary", "count": 2, "sum": 3,
                "quantiles": [{"quantile": 0.5, "value": 1.5}, {"quantile": 1, "value": 2}]}),
        ),
    ]
}

#[test]
fn the_text_format_has_every_type_in_the_order_of_names_and_labels() {
    let expected = r#"# HELP http_requests_total Requests "by" route \\ and\nmethod.
# TYPE http_requests_total counter
http_requests_total{a_b="2"} 1000000000000000000000
http_requests_total{a_b="say \"hi\"\\\n",m="é",z="1"} 7
# TYPE open gauge
open -0.5
# TYPE quant summary
quant{quantile="0.5"} 1.5
quant{quantile="1"} 2
quant_sum 3
quant_count 2
# TYPE queue_bytes gauge
queue_bytes NaN
queue_bytes{s="1"} +Inf
queue_bytes{s="2"} -Inf
# TYPE size histogram
size_bucket{le="-0.5"} 1
size_bucket{le="0"} 2
size_bucket{le="2"} 3
size_bucket{le="4"} 5
size_bucket{le="8"} 5
size_bucket{le="16"} 6
size_bucket{le="+Inf"} 6
size_sum 23.5
size_count 6
# TYPE took_seconds histogram
took_seconds_bucket{exported_le="mine",route="/",le="0.1"} 1
took_seconds_bucket{exported_le="mine",route="/",le="1"} 3
took_seconds_bucket{exported_le="mine",route="/",le="+Inf"} 6
took_seconds_sum{exported_le="mine",route="/"} 2.5
took_seconds_count{exported_le="mine",route="/"} 6
"#;
    assert_eq!(text(json!({}), &events(), Format::Text), expected);
}

#[test]
fn openmetrics_has_units_exemplars_and_an_end() {
    let expected = r#"# HELP shop_http_requests Requests \"by\" route \\ and\nmethod.
# TYPE shop_http_requests counter
shop_http_requests_total{a_b="2",cluster="c"} 1000000000000000000000 2.000 # {trace_id="4bf9",user="\"u\""} 1 0.250
shop_http_requests_total{a_b="say \"hi\"\\\n",cluster="c",m="é",z="1"} 7 1.500 # {trace_id="4bf9",user="\"u\""} 1 0.250
# TYPE shop_open gauge
shop_open{cluster="c"} -0.5 1.000
# TYPE shop_quant summary
shop_quant{cluster="c",quantile="0.5"} 1.5 1.000
shop_quant{cluster="c",quantile="1.0"} 2 1.000
shop_quant_sum{cluster="c"} 3 1.000
shop_quant_count{cluster="c"} 2 1.000
# TYPE shop_queue_bytes gauge
# UNIT shop_queue_bytes bytes
shop_queue_bytes{cluster="c"} NaN 1.000
shop_queue_bytes{cluster="c",s="1"} +Inf 1.000
shop_queue_bytes{cluster="c",s="2"} -Inf 1.000
# TYPE shop_size histogram
shop_size_bucket{cluster="c",le="-0.5"} 1 1.000
shop_size_bucket{cluster="c",le="0.0"} 2 1.000
shop_size_bucket{cluster="c",le="2.0"} 3 1.000
shop_size_bucket{cluster="c",le="4.0"} 5 1.000
shop_size_bucket{cluster="c",le="8.0"} 5 1.000
shop_size_bucket{cluster="c",le="16.0"} 6 1.000
shop_size_bucket{cluster="c",le="+Inf"} 6 1.000
# TYPE shop_took_seconds histogram
# UNIT shop_took_seconds seconds
shop_took_seconds_bucket{cluster="c",exported_le="mine",route="/",le="0.1"} 1 1.001
shop_took_seconds_bucket{cluster="c",exported_le="mine",route="/",le="1.0"} 3 1.001 # {trace_id="t"} 0.7 1.000
shop_took_seconds_bucket{cluster="c",exported_le="mine",route="/",le="+Inf"} 6 1.001 # {} 5
shop_took_seconds_sum{cluster="c",exported_le="mine",route="/"} 2.5 1.001
shop_took_seconds_count{cluster="c",exported_le="mine",route="/"} 6 1.001
# EOF
"#;
    let options = json!({"default_namespace": "shop", "labels": {"cluster": "c"}, "send_timestamps": true});
    assert_eq!(text(options, &events(), Format::OpenMetrics), expected);
}

#[test]
fn changes_of_histograms_add_up_and_begin_again_with_other_bounds() {
    let change = |bounds: Json, counts: Json| {
        let body = json!({"name": "h", "type": "histogram", "temporality": "delta", "count": 3, "sum": 1,
            "bounds": bounds, "bucket_counts": counts});
        (1000, json!({}), body)
    };
    let first = || change(json!([1]), json!([1, 2]));
    let lines = |events: &[(i64, Json, Json)]| {
        let text = text(json!({"send_timestamps": true}), events, Format::Text);
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&[first(), first()]),
        ["h_bucket{le=\"1\"} 2 1000", "h_bucket{le=\"+Inf\"} 6 1000", "h_sum 2 1000", "h_count 6 1000"]
    );
    assert_eq!(
        lines(&[first(), first(), change(json!([2]), json!([3, 0]))]),
        ["h_bucket{le=\"2\"} 3 1000", "h_bucket{le=\"+Inf\"} 3 1000", "h_sum 1 1000", "h_count 3 1000"]
    );
}

#[test]
fn nothing_is_exposed_without_events() {
    assert_eq!(text(json!({}), &[], Format::Text), "");
    assert_eq!(text(json!({}), &[], Format::OpenMetrics), "# EOF\n");
}

#[test]
fn a_long_text_comes_in_pieces() {
    let gauge = |n: i64| (1000, json!({"n": n}), json!({"name": "g", "type": "gauge", "value": n}));
    let events: Vec<_> = (0..5000).map(gauge).collect();
    let (whole, expected) = (text(json!({}), &events, Format::Text), 1 + 5000);
    assert_eq!(whole.lines().count(), expected);
    assert!(whole.len() > PIECE_BYTES);
}
