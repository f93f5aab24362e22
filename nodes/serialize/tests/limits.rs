//! What a format has no form for: times, keys, numbers and depths at the limits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use serde_json::{Map, Value, json};
use wattle_node::testing::{run, run_bodies};
use wattle_node_extract::Extract;
use wattle_node_parse::Parse;
use wattle_node_serialize::Serialize;

fn body(options: &Value, event: &Value) -> String {
    run::<Serialize>(options, std::slice::from_ref(event)).unwrap().bodies("out")[0].clone()
}

/// The attributes that a text becomes.
fn parsed(options: &Value, text: &str) -> Value {
    let ran = run_bodies::<Parse>(options, &[text]).unwrap();
    assert_eq!(ran.failed.len(), 0, "{text} {:?}", ran.failed);
    ran.ports["out"][0]["attributes"].clone()
}

/// The text of an event whose time is in a field.
fn at(format: &str, time: &str) -> String {
    let options = json!({"format": format, "header": {"timestamp": "{{ attributes.t }}"}});
    body(&options, &json!({"body": "m", "attributes": {"t": time}}))
}

const FIRST: &str = "1677-09-21T00:12:43.145224192Z";
const LAST: &str = "2262-04-11T23:47:16.854775807Z";

#[test]
fn gelf_has_times_before_1970_as_one_number() {
    for (time, expected) in [
        ("1970-01-01T00:00:00Z", "0.000"),
        ("1969-12-31T23:59:59.5Z", "-0.500"),
        ("1969-12-31T23:59:59Z", "-1.000"),
        ("1969-12-31T23:59:58.25Z", "-1.750"),
        ("1900-01-01T00:00:00.001Z", "-2208988799.999"),
        // Rounded down.
        ("1969-12-31T23:59:59.9999Z", "-0.001"),
        (FIRST, "-9223372036.855"),
        (LAST, "9223372036.854"),
    ] {
        let text = at("gelf", time);
        assert!(text.contains(&format!(r#","timestamp":{expected},"#)), "{time} {text}");
    }
}

#[test]
fn syslog_has_times_as_rfc_5424_allows_them() {
    for (time, expected) in [
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05.1234567+05:30", "2026-01-02T03:04:05.123456+05:30"),
        ("2026-01-02T03:04:05.999999999999-00:30", "2026-01-02T03:04:05.999999-00:30"),
        ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.1Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05+02:00"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
        ("2026-01-02 03:04:05.5z", "2026-01-02T03:04:05.5Z"),
        ("2016-12-31T23:59:60.25Z", "2016-12-31T23:59:59.25Z"),
        (FIRST, "1677-09-21T00:12:43.145224Z"),
        (LAST, "2262-04-11T23:47:16.854775Z"),
        ("1677-09-21T00:12:43.145224191Z", "-"),
        ("yesterday", "-"),
    ] {
        let text = at("syslog", time);
        assert_eq!(text.split(' ').nth(1), Some(expected), "{time} {text}");
    }
}

#[test]
fn the_other_formats_have_the_first_and_the_last_time_too() {
    for time in [FIRST, LAST] {
        assert!(at("ecs", time).contains(&format!(r#""@timestamp":"{time}""#)));
        let template = json!({"format": "template", "template": "{{ attributes.t }}"});
        assert_eq!(body(&template, &json!({"attributes": {"t": time}})), time);
    }
    assert!(!at("ecs", "yesterday").contains("@timestamp"));
    assert!(at("otlp", LAST).contains(r#""timeUnixNano":"9223372036854775807""#));
    // OTLP has no times before 1970.
    for time in [FIRST, "1969-12-31T23:59:59Z"] {
        assert!(!at("otlp", time).contains("timeUnixNano"), "{time}");
    }
}

#[test]
fn an_empty_key_becomes_one_that_readers_take() {
    let event = json!({"body": "m", "attributes": {"x": {"": 1, "_": 2, "é": 3, "a": {"": 4}, "b": 5}}});
    for (format, keys, place) in [
        ("logfmt", ["_", "__2", "é", "a.", "b"], ""),
        ("key_value", ["_", "__2", "é", "a.", "b"], ""),
        ("cef", ["_", "__2", "__", "a.", "b"], "/extension"),
        ("leef", ["_", "__2", "__", "a.", "b"], "/attributes"),
        ("syslog", ["_", "__2", "__", "a.", "b"], "/structured_data/event@32473"),
    ] {
        let text = body(&json!({"format": format, "from": "attributes.x"}), &event);
        let read = parsed(&json!({"format": format}), &text);
        let expected: Map<String, Value> =
            keys.iter().zip(1..).map(|(key, number)| ((*key).to_owned(), json!(number.to_string()))).collect();
        assert_eq!(read.pointer(place).unwrap(), &Value::from(expected), "{format} {text}");
    }
    let gelf = body(&json!({"format": "gelf", "from": "attributes.x"}), &event);
    assert!(gelf.ends_with(r#""__":1,"___2":2,"___":3,"_a.":4,"_b":5}"#), "{gelf}");
    // JSON has empty keys.
    let flat = body(&json!({"format": "json", "flat": true, "from": "attributes.x"}), &event);
    assert_eq!(flat, r#"{"":1,"_":2,"é":3,"a.":4,"b":5}"#);
    let nested = json!({"attributes": {"": {"a": 1}, "a": 2}});
    assert_eq!(body(&json!({"format": "logfmt"}), &nested), ".a=1 a=2");
    // So does an id of structured data that is empty.
    let id = json!({"format": "syslog", "header": {"structured_data_id": "{{ attributes.none }}"}});
    let read = parsed(&json!({"format": "syslog"}), &body(&id, &json!({"body": "m", "attributes": {"k": "v"}})));
    assert_eq!(read["structured_data"], json!({"_": {"k": "v"}}));
}

#[test]
fn a_separator_of_leef_is_in_no_key() {
    let event = json!({"attributes": {"a.b": 1, "c": 2}});
    let text = body(&json!({"format": "leef", "separator": "."}), &event);
    let read = parsed(&json!({"format": "leef"}), &text);
    assert_eq!(read["attributes"], json!({"a_b": "1", "c": "2"}));
}

/// Objects in each other, so many that the value has a key of `depth` parts.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("deepest"), |inner, _| json!({"k": inner}))
}

#[test]
fn objects_too_deep_for_dotted_keys_stay_as_their_json() {
    for depth in [64, 65, 66, 67, 100] {
        let event = json!({"body": "m", "attributes": nested(depth), "timestamp": "2026-01-02T03:04:05Z"});
        let parts = depth.min(65);
        let key = vec!["k"; parts].join(".");
        let rest = nested(depth - parts);
        let as_text = rest.as_str().map_or_else(|| rest.to_string(), str::to_owned);
        let flat = body(&json!({"format": "json", "flat": true}), &event);
        assert_eq!(serde_json::from_str::<Value>(&flat).unwrap(), json!({ &key: rest }), "{depth}");
        let gelf: Value = serde_json::from_str(&body(&json!({"format": "gelf"}), &event)).unwrap();
        assert_eq!(gelf[format!("_{key}")], as_text, "{depth}");
        for (format, place) in [
            ("logfmt", String::new()),
            ("key_value", String::new()),
            ("cef", "/extension".to_owned()),
            ("leef", "/attributes".to_owned()),
        ] {
            let read = parsed(&json!({"format": format}), &body(&json!({"format": format}), &event));
            assert_eq!(read.pointer(&place).unwrap()[&key], as_text, "{format} {depth}");
        }
        // A name of structured data has 32 bytes.
        let syslog = parsed(&json!({"format": "syslog"}), &body(&json!({"format": "syslog"}), &event));
        let name = key.get(..32).unwrap();
        assert_eq!(syslog["structured_data"]["event@32473"][name], as_text, "{depth}");
        for format in ["ecs", "otlp"] {
            assert!(body(&json!({"format": format}), &event).contains("deepest"), "{format} {depth}");
        }
    }
}

#[test]
fn the_deepest_json_that_the_host_takes_is_written_completely() {
    // 512 objects: 511 are below the one of the body, which is the root.
    let object = format!("{}\"deepest\"{}", "{\"k\":".repeat(512), "}".repeat(512));
    for format in ["json", "logfmt", "key_value", "cef", "leef", "syslog", "gelf", "ecs", "otlp"] {
        let mut options = json!({"format": format, "from": "body"});
        // The body, which is the object, is not a message too.
        match format {
            "syslog" | "ecs" => options["header"] = json!({"message": ""}),
            "gelf" => options["header"] = json!({"short_message": ""}),
            "otlp" => options["header"] = json!({"body": ""}),
            _ => {}
        }
        for flat in [None, Some(true)].into_iter().take(if format == "json" { 2 } else { 1 }) {
            options["flat"] = flat.into();
            let text = body(&options, &json!({ "body": object }));
            assert_eq!(text.matches("deepest").count(), 1, "{options} {text}");
            // Each key is there, in the dotted key or in the rest; a name of structured data has 32 bytes.
            assert!(format == "syslog" || text.matches('k').count() >= 512, "{options} {text}");
        }
    }
}

#[test]
fn otlp_keeps_numbers_that_it_has_no_number_for() {
    for (number, expected) in [
        ("7", r#"{"intValue":"7"}"#),
        ("-9223372036854775808", r#"{"intValue":"-9223372036854775808"}"#),
        ("9223372036854775808", r#"{"stringValue":"9223372036854775808"}"#),
        ("123456789012345678901234567890", r#"{"stringValue":"123456789012345678901234567890"}"#),
        ("1.5", r#"{"doubleValue":1.5}"#),
        ("1e308", r#"{"doubleValue":1e308}"#),
        ("1e999", r#"{"stringValue":"1e999"}"#),
        ("-1E+400", r#"{"stringValue":"-1E+400"}"#),
        ("1e-999", r#"{"stringValue":"1e-999"}"#),
        ("0.0e-999", r#"{"doubleValue":0.0e-999}"#),
        ("-0", r#"{"doubleValue":-0}"#),
        ("-0.0", r#"{"doubleValue":-0.0}"#),
    ] {
        let options = json!({"format": "otlp", "from": "body"});
        let text = body(&options, &json!({"body": format!(r#"{{"n":{number},"a":[{number}]}}"#)}));
        assert!(text.contains(&format!(r#"{{"key":"n","value":{expected}}}"#)), "{number} {text}");
        assert!(text.contains(&format!(r#"{{"values":[{expected}]}}"#)), "{number} {text}");
    }
}

#[test]
fn otlp_brings_back_the_severity_the_ids_and_the_scope() {
    let event = json!({
        "body": "m", "timestamp": "2026-01-02T03:04:05Z", "attributes": {"a": 1},
        "severity": {"text": "custom", "number": 14}, "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331", "scope": {"name": "lib", "version": "2.1", "attributes": {"k": true}},
    });
    let text = body(&json!({"format": "otlp"}), &event);
    let scope = &serde_json::from_str::<Value>(&text).unwrap()["resourceLogs"][0]["scopeLogs"][0]["scope"];
    assert_eq!(scope["attributes"], json!([{"key": "k", "value": {"boolValue": true}}]));
    let scope = "body.resourceLogs[0].scopeLogs[0].scope";
    let record = "body.resourceLogs[0].scopeLogs[0].logRecords[0]";
    let field = |root: &str, key: &str, into: &str| json!({"from": format!("{root}.{key}"), "into": into});
    let fields = json!([
        field(scope, "name", "scope.name"),
        field(scope, "version", "scope.version"),
        field(record, "severityText", "severity.text"),
        field(record, "severityNumber", "severity.number"),
        field(record, "traceId", "trace_id"),
        field(record, "spanId", "span_id"),
        {"from": format!("{record}.timeUnixNano"), "into": "timestamp", "format": "epoch_ns"},
    ]);
    let ran = run::<Extract>(&json!({ "fields": fields }), &[json!({ "body": text })]).unwrap();
    assert_eq!(ran.failed.len(), 0, "{:?}", ran.failed);
    let read = &ran.ports["out"][0];
    for key in ["timestamp", "severity", "trace_id", "span_id"] {
        assert_eq!(read[key], event[key], "{key}");
    }
    assert_eq!(read["scope"], json!({"name": "lib", "version": "2.1"}));
}

#[test]
fn otlp_takes_severities_and_ids_of_templates_if_they_are_valid() {
    let record = |attributes: Value| {
        let header = json!({"severity_text": "{{ attributes.s }}", "severity_number": "{{ attributes.n }}",
            "trace_id": "{{ attributes.t }}", "span_id": "{{ attributes.p }}"});
        let text = body(&json!({"format": "otlp", "header": header}), &json!({"body": "", "attributes": attributes}));
        let mut otlp: Value = serde_json::from_str(&text).unwrap();
        otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].take()
    };
    for (text, number) in [
        ("TRACE", 1),
        ("trace4", 4),
        ("Debug", 5),
        ("INFO", 9),
        ("WARN2", 14),
        ("warning", 13),
        ("ERROR", 17),
        ("FATAL4", 24),
        ("crit", 21),
        ("emerg", 24),
        ("3", 17),
    ] {
        let made = record(json!({ "s": text }));
        assert_eq!((&made["severityNumber"], &made["severityText"]), (&json!(number), &json!(text)));
    }
    assert_eq!(record(json!({"s": "INFO", "n": 10}))["severityNumber"], 10);
    for wrong in [json!({"s": "INFO5", "n": 0}), json!({"n": "25"}), json!({"t": "7", "p": "0000000000000000"})] {
        let made = record(wrong.clone());
        for key in ["severityNumber", "traceId", "spanId"] {
            assert_eq!(made[key], Value::Null, "{wrong}");
        }
        // What has no place in the record is still an attribute.
        assert_eq!(made["attributes"].as_array().unwrap().len(), wrong.as_object().unwrap().len());
    }
    let upper = record(json!({"p": "B7AD6B7169203331"}));
    assert_eq!(upper["spanId"], "b7ad6b7169203331");
}
