use std::sync::Arc;

use fastrand::Rng;
use proptest::prelude::*;
use prost::Message as _;
use wattle_batch::{Ack, Batch, Origin};

use super::*;
use crate::collector::logs::v1::ExportLogsServiceRequest;
use crate::collector::metrics::v1::ExportMetricsServiceRequest;
use crate::collector::trace::v1::ExportTraceServiceRequest;
use crate::common::any_value::Value;
use crate::common::{AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList};
use crate::messages::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use crate::messages::opentelemetry::proto::metrics::v1::exponential_histogram_data_point::Buckets;
use crate::messages::opentelemetry::proto::metrics::v1::metric::Data;
use crate::messages::opentelemetry::proto::metrics::v1::summary_data_point::ValueAtQuantile;
use crate::messages::opentelemetry::proto::metrics::v1::*;
use crate::messages::opentelemetry::proto::trace::v1::span::{Event as SpanEvent, Link};
use crate::messages::opentelemetry::proto::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use crate::resource::Resource;

const SOURCE: &str = r#"{"source":{"name":"in","type":"otlp"}}"#;

/// Makes messages in which every field has a value, the default of its type, or nothing.
struct Maker(Rng);

impl Maker {
    fn some<T: Default>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        if self.0.u8(..4) == 0 { T::default() } else { make(self) }
    }

    fn text(&mut self) -> Bytes {
        const TEXTS: [&str; 12] = [
            "",
            "a",
            "otlp",
            "source",
            "bytesValue",
            "kvlistValue",
            "doubleValue",
            "{\"a\":1}",
            "\u{1f30d} \"\\\n",
            "null",
            "5",
            "a.b[*]",
        ];
        self.0.choice(TEXTS).unwrap_or_default().into()
    }

    fn double(&mut self) -> f64 {
        const DOUBLES: [f64; 10] =
            [0.0, -0.0, 5.0, -1.5, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 9_007_199_254_740_993.0];
        self.0.choice(DOUBLES).unwrap_or_default()
    }

    fn long(&mut self) -> u64 {
        self.0
            .choice([0, 1, 1_700_000_000_123_456_789, u64::MAX, i64::MAX as u64 + 1, 9_007_199_254_740_993])
            .unwrap_or(0)
    }

    fn integer(&mut self) -> i64 {
        self.0.choice([0, 5, -1, i64::MIN, i64::MAX, 9_007_199_254_740_993]).unwrap_or(0)
    }

    fn id(&mut self, length: usize) -> Bytes {
        match self.0.u8(..5) {
            0 => Bytes::new(),
            1 => vec![0; length].into(),
            2 => vec![7; length - 1].into(),
            _ => (0..length).map(|_| self.0.u8(..)).collect(),
        }
    }

    fn value(&mut self, depth: usize) -> AnyValue {
        let value = match self.0.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => return AnyValue { value: None },
            1 => Value::BoolValue(self.0.bool()),
            2 => Value::IntValue(self.integer()),
            3 => Value::DoubleValue(self.double()),
            4 => Value::BytesValue((0..self.0.usize(..9)).map(|_| self.0.u8(..)).collect()),
            5 => Value::StringValue(self.text()),
            6 => Value::ArrayValue(ArrayValue { values: self.list(|maker| maker.value(depth - 1)) }),
            _ => Value::KvlistValue(KeyValueList { values: self.attributes_of(depth - 1) }),
        };
        AnyValue { value: Some(value) }
    }

    fn list<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.usize(..4)).map(|_| make(self)).collect()
    }

    fn full_list<T>(&mut self, mut make: impl FnMut(&mut Self, usize) -> T) -> Vec<T> {
        (0..self.0.usize(1..4)).map(|index| make(self, index)).collect()
    }

    fn attributes_of(&mut self, depth: usize) -> Vec<KeyValue> {
        self.list(|maker| KeyValue { key: maker.text(), value: Some(maker.value(depth)), key_strindex: 0 })
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.attributes_of(3)
    }

    /// A resource that differs from those with another index, because equal ones come back as one.
    fn resource(&mut self, index: usize) -> Option<Resource> {
        let entity_refs = self.list(|maker| EntityRef {
            schema_url: maker.text(),
            r#type: maker.text(),
            id_keys: maker.list(Self::text),
            description_keys: maker.list(Self::text),
        });
        let dropped_attributes_count = u32::try_from(index).unwrap();
        let resource = Resource { attributes: self.attributes(), dropped_attributes_count, entity_refs };
        Some(resource).filter(|resource| *resource != Resource::default())
    }

    fn scope(&mut self, index: usize) -> Option<InstrumentationScope> {
        let (name, version, attributes) = (self.text(), self.text(), self.attributes());
        let dropped_attributes_count = u32::try_from(index).unwrap();
        let scope = InstrumentationScope { name, version, attributes, dropped_attributes_count };
        Some(scope).filter(|scope| *scope != InstrumentationScope::default())
    }

    fn log(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.long(),
            observed_time_unix_nano: self.long(),
            severity_number: self.0.i32(-1..27),
            severity_text: self.text(),
            body: self.some(|maker| Some(maker.value(3)).filter(|body| body.value.is_some())),
            attributes: self.attributes(),
            dropped_attributes_count: self.some(|maker| maker.0.u32(..)),
            flags: self.some(|maker| maker.0.u32(..)),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.some(|maker| maker.0.u32(..)),
            name: self.text(),
            kind: self.0.i32(-1..8),
            start_time_unix_nano: self.long(),
            end_time_unix_nano: self.long(),
            attributes: self.attributes(),
            dropped_attributes_count: self.some(|maker| maker.0.u32(..)),
            events: self.list(|maker| SpanEvent {
                time_unix_nano: maker.long(),
                name: maker.text(),
                attributes: maker.attributes(),
                dropped_attributes_count: maker.some(|maker| maker.0.u32(..)),
            }),
            dropped_events_count: self.some(|maker| maker.0.u32(..)),
            links: self.list(|maker| Link {
                trace_id: maker.id(16),
                span_id: maker.id(8),
                trace_state: maker.text(),
                attributes: maker.attributes(),
                dropped_attributes_count: maker.some(|maker| maker.0.u32(..)),
                flags: maker.some(|maker| maker.0.u32(..)),
            }),
            dropped_links_count: self.some(|maker| maker.0.u32(..)),
            status: self.some(|maker| Some(Status { message: maker.text(), code: maker.0.i32(-1..4) })),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.long(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: self.some(|maker| {
                Some(match maker.0.bool() {
                    true => exemplar::Value::AsInt(maker.integer()),
                    false => exemplar::Value::AsDouble(maker.double()),
                })
            }),
        }
    }

    fn number_points(&mut self) -> Vec<NumberDataPoint> {
        self.full_list(|maker, _| NumberDataPoint {
            attributes: maker.attributes(),
            start_time_unix_nano: maker.long(),
            time_unix_nano: maker.long(),
            exemplars: maker.list(Self::exemplar),
            flags: maker.some(|maker| maker.0.u32(..)),
            value: maker.some(|maker| {
                Some(match maker.0.bool() {
                    true => number_data_point::Value::AsInt(maker.integer()),
                    false => number_data_point::Value::AsDouble(maker.double()),
                })
            }),
        })
    }

    fn buckets(&mut self) -> Option<Buckets> {
        self.some(|maker| Some(Buckets { offset: maker.0.i32(..), bucket_counts: maker.list(Self::long) }))
    }

    /// A metric that differs from those with another index.
    fn metric(&mut self, index: usize) -> Metric {
        let aggregation_temporality = self.0.i32(-1..4);
        let double = |maker: &mut Self| Some(maker.double());
        let data = match self.0.u8(..5) {
            0 => Data::Gauge(Gauge { data_points: self.number_points() }),
            1 => {
                let is_monotonic = self.0.bool();
                Data::Sum(Sum { data_points: self.number_points(), aggregation_temporality, is_monotonic })
            }
            2 => Data::Histogram(Histogram {
                aggregation_temporality,
                data_points: self.full_list(|maker, _| HistogramDataPoint {
                    attributes: maker.attributes(),
                    start_time_unix_nano: maker.long(),
                    time_unix_nano: maker.long(),
                    count: maker.long(),
                    sum: maker.some(double),
                    bucket_counts: maker.list(Self::long),
                    explicit_bounds: maker.list(Self::double),
                    exemplars: maker.list(Self::exemplar),
                    flags: maker.some(|maker| maker.0.u32(..)),
                    min: maker.some(double),
                    max: maker.some(double),
                }),
            }),
            3 => Data::ExponentialHistogram(ExponentialHistogram {
                aggregation_temporality,
                data_points: self.full_list(|maker, _| ExponentialHistogramDataPoint {
                    attributes: maker.attributes(),
                    start_time_unix_nano: maker.long(),
                    time_unix_nano: maker.long(),
                    count: maker.long(),
                    sum: maker.some(double),
                    scale: maker.0.i32(..),
                    zero_count: maker.long(),
                    positive: maker.buckets(),
                    negative: maker.buckets(),
                    flags: maker.some(|maker| maker.0.u32(..)),
                    exemplars: maker.list(Self::exemplar),
                    min: maker.some(double),
                    max: maker.some(double),
                    zero_threshold: maker.some(Self::double),
                }),
            }),
            _ => Data::Summary(Summary {
                data_points: self.full_list(|maker, _| SummaryDataPoint {
                    attributes: maker.attributes(),
                    start_time_unix_nano: maker.long(),
                    time_unix_nano: maker.long(),
                    count: maker.long(),
                    sum: maker.double(),
                    quantile_values: maker
                        .list(|maker| ValueAtQuantile { quantile: maker.double(), value: maker.double() }),
                    flags: maker.some(|maker| maker.0.u32(..)),
                }),
            }),
        };
        Metric {
            name: format!("m{index}").into(),
            description: self.text(),
            unit: self.text(),
            metadata: self.attributes(),
            data: Some(data),
        }
    }

    fn request(&mut self, signal: Signal) -> Request {
        match signal {
            Signal::Logs => Request::Logs(ExportLogsServiceRequest {
                resource_logs: self.full_list(|maker, index| ResourceLogs {
                    resource: maker.resource(index),
                    schema_url: maker.text(),
                    scope_logs: maker.full_list(|maker, index| ScopeLogs {
                        scope: maker.scope(index),
                        schema_url: maker.text(),
                        log_records: maker.full_list(|maker, _| maker.log()),
                    }),
                }),
            }),
            Signal::Metrics => Request::Metrics(ExportMetricsServiceRequest {
                resource_metrics: self.full_list(|maker, index| ResourceMetrics {
                    resource: maker.resource(index),
                    schema_url: maker.text(),
                    scope_metrics: maker.full_list(|maker, index| ScopeMetrics {
                        scope: maker.scope(index),
                        schema_url: maker.text(),
                        metrics: maker.full_list(Self::metric),
                    }),
                }),
            }),
            Signal::Traces => Request::Traces(ExportTraceServiceRequest {
                resource_spans: self.full_list(|maker, index| ResourceSpans {
                    resource: maker.resource(index),
                    schema_url: maker.text(),
                    scope_spans: maker.full_list(|maker, index| ScopeSpans {
                        scope: maker.scope(index),
                        schema_url: maker.text(),
                        spans: maker.full_list(|maker, _| maker.span()),
                    }),
                }),
            }),
        }
    }
}

fn batches(request: Request, resource: &str, max_events: usize) -> Vec<Batch> {
    let origin = Origin { source: "in".into(), resource: resource.into(), observed: 7 };
    let origin = Arc::new(origin);
    let events = request.into_events(resource, max_events, 1 << 20);
    events.into_iter().map(|events| events.into_batch(origin.clone(), Ack::none()).unwrap()).collect()
}

fn encoded(signal: Signal, batches: &[Batch]) -> Request {
    let mut out = Vec::new();
    for batch in batches {
        let encoder = Encoder::new(batch);
        assert_eq!(encoder.signal(), signal);
        assert!((0..batch.rows()).all(|row| encoder.encode(row, &mut out)));
    }
    let joined = crate::join(signal, Encoding::Protobuf, &out).unwrap();
    Request::decode(signal, Encoding::Protobuf, joined.into()).unwrap()
}

fn written(batch: &Batch, row: usize) -> serde_json::Value {
    let mut out = Vec::new();
    batch.write_json(row, &mut out);
    serde_json::from_slice(&out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn requests_become_events_and_the_same_requests(seed: u64, max_events in 1..5_usize) {
        for signal in Signal::ALL {
            let request = Maker(Rng::with_seed(seed)).request(signal);
            let made = batches(request.clone(), SOURCE, max_events);
            for batch in &made {
                prop_assert!(batch.rows() <= max_events);
                for row in 0..batch.rows() {
                    // Also through the form in which events wait in buffers and quarantines.
                    let event = { let mut out = Vec::new(); batch.write_json(row, &mut out); out };
                    prop_assert!(wattle_json::check(&event, 600).is_ok());
                }
            }
            let back = encoded(signal, &made);
            // As bytes, because NaN does not equal itself.
            prop_assert_eq!(
                request.encode(Encoding::Protobuf), back.encode(Encoding::Protobuf), "{:?} became {:?}", &request, &back
            );
        }
    }

    #[test]
    fn json_and_protobuf_say_the_same(seed: u64) {
        for signal in Signal::ALL {
            let request = Maker(Rng::with_seed(seed)).request(signal);
            let json = request.encode(Encoding::Json);
            let back = Request::decode(signal, Encoding::Json, json.clone().into());
            let back = back.map(|back| back.encode(Encoding::Protobuf));
            prop_assert_eq!(Ok(request.encode(Encoding::Protobuf)), back, "{}", String::from_utf8_lossy(&json));
        }
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(bytes: Vec<u8>, text in "[\\[\\]{}\":,a-zA-Z0-9]{0,60}") {
        for signal in Signal::ALL {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                for body in [bytes.clone(), text.clone().into_bytes()] {
                    if let Ok(request) = Request::decode(signal, encoding, body.into()) {
                        let _ = batches(request, SOURCE, 10);
                    }
                }
            }
        }
    }

    #[test]
    fn a_request_with_a_changed_byte_is_a_request_or_an_error(seed: u64, at: prop::sample::Index, byte: u8) {
        for signal in Signal::ALL {
            let request = Maker(Rng::with_seed(seed)).request(signal);
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                let mut body = request.encode(encoding);
                let at = at.index(body.len());
                body[at] = byte;
                if let Ok(request) = Request::decode(signal, encoding, body.into()) {
                    let made = batches(request, SOURCE, 10);
                    let _ = encoded(signal, &made).encode(Encoding::Json);
                }
            }
        }
    }
}

#[test]
fn a_log_record_has_its_parts_in_the_roots_of_an_event() {
    let body = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"api"}}]},
        "scopeLogs":[{"scope":{"name":"lib","version":"1"},"schema_url":"https://s","logRecords":[
          {"timeUnixNano":"1544712660300000000","observedTimeUnixNano":"1544712660300000001","severityNumber":10,
           "severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
           "body":{"stringValue":"Example log record"},"attributes":[
             {"key":"n","value":{"intValue":"637"}},{"key":"d","value":{"doubleValue":637.0}},
             {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"many"},{"boolValue":true}]}}},
             {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"bytesValue":"AQI="}}]}}}],
           "unknown":{"field":1}}]}]}]}"#;
    let request = Request::decode(Signal::Logs, Encoding::Json, Bytes::from_static(body)).unwrap();
    let made = batches(request, SOURCE, 10);
    assert_eq!(
        written(&made[0], 0),
        serde_json::json!({
            "timestamp": "2018-12-13T14:51:00.3Z",
            "severity": {"text": "Information", "number": 10},
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "scope": {"name": "lib", "version": "1"},
            "body": "Example log record",
            "attributes": {
                "otlp": {"observed_time": "2018-12-13T14:51:00.300000001Z"},
                "n": 637, "d": 637.0, "list": ["many", true], "map": {"k": {"bytesValue": "AQI="}},
            },
            "resource": {
                "source": {"name": "in", "type": "otlp"},
                "otlp": {"scope_schema_url": "https://s"},
                "service.name": "api",
            },
        })
    );
}

#[test]
fn strings_that_are_not_utf_8_are_kept() {
    let text = |text: &'static [u8]| Some(AnyValue { value: Some(Value::StringValue(text.into())) });
    let attributes = vec![KeyValue { key: "k".into(), value: text(b"\xff"), key_strindex: 0 }];
    let record = LogRecord { body: text(b"a\xffb"), attributes, ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let request = Request::decode(Signal::Logs, Encoding::Protobuf, request.encode_to_vec().into()).unwrap();
    let made = batches(request, SOURCE, 10);
    assert_eq!(made[0].body().row(0), b"a\xffb");
    assert_eq!(written(&made[0], 0)["attributes"], serde_json::json!({"k": {"bytesValue": "/w=="}}));
    let Request::Logs(back) = encoded(Signal::Logs, &made) else { panic!() };
    assert_eq!(back.resource_logs[0].scope_logs[0].log_records[0].body, text(b"a\xffb"));
}

#[test]
fn events_of_other_sources_keep_their_source_and_their_attribute_otlp() {
    let resource = r#"{"source":{"name":"in","type":"file"}}"#;
    let value = Some(AnyValue { value: Some(Value::IntValue(1)) });
    let attributes = vec![KeyValue { key: "otlp".into(), value, key_strindex: 0 }];
    let record = LogRecord { attributes: attributes.clone(), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let made = batches(Request::Logs(request), resource, 10);
    let Request::Logs(back) = encoded(Signal::Logs, &made) else { panic!() };
    let resource = back.resource_logs[0].resource.as_ref().unwrap();
    assert_eq!(resource.attributes.iter().map(|a| &a.key[..]).collect::<Vec<_>>(), [&b"source"[..]]);
    let record = &back.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.attributes.last(), attributes.last());
    assert_eq!(record.observed_time_unix_nano, 7);
}

#[test]
fn what_is_wrong_in_json_is_named_with_its_path() {
    for (text, expected) in [
        (r#"[]"#, "`.` must be an object"),
        (r#"{"resourceLogs":{}}"#, "`resourceLogs` must be a list"),
        (
            r#"{"resourceLogs":[{},{"scopeLogs":[{"logRecords":[{"timeUnixNano":"x"}]}]}]}"#,
            "`resourceLogs[1].scopeLogs[0].logRecords[0].timeUnixNano` must be a whole number",
        ),
        (
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"0"}]}]}]}"#,
            "traceId` must be hexadecimal digits",
        ),
        (r#"{"resourceLogs":["#, "not valid JSON"),
    ] {
        let error = Request::decode(Signal::Logs, Encoding::Json, Bytes::from_static(text.as_bytes())).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
