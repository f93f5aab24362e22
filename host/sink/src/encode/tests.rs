//! Tests of encoding.

use super::*;
use std::sync::{Arc, Mutex};
use wattle_batch::{Ack, Column, Disposition, Origin};

/// Reads options as a sink does.
pub(crate) fn read(options: &str) -> Result<Encoding, Vec<wattle_options::OptionError>> {
    let options = serde_json::from_str(options).unwrap();
    wattle_options::read(&options, |options: EncodingOptions, errors| Some(Encoding::new(&options, errors)))
}

fn encode(options: &str, change: impl Fn(&mut Encoding), rows: &[&[u8]]) -> (String, Vec<usize>) {
    let mut encoding = read(options).unwrap();
    change(&mut encoding);
    let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"h":1}"#.into(), observed: 0 });
    let batch = Batch::new(Column::from_rows(rows).unwrap(), origin, Ack::none());
    let payload = encoding.encode(batch).pop().unwrap();
    assert_eq!(payload.events, rows.len());
    (String::from_utf8(payload.bytes).unwrap(), payload.ends)
}

const PRETTY: &[u8] = b"{\n  \"a\": \"b c\"\r\n}\n";

#[test]
fn text_is_the_body_byte_for_byte() {
    let expected = format!("x\n{}\n\n", std::str::from_utf8(PRETTY).unwrap());
    assert_eq!(encode(r#"{"codec":"text","minify":false}"#, |_| {}, &[b"x", PRETTY, b""]).0, expected);
    assert_eq!(encode(r#"{"codec":"text","framing":"none"}"#, |_| {}, &[b"x", b"y"]).0, "xy");
}

#[test]
fn each_line_is_one_event_by_default() {
    assert_eq!(encode(r#"{"codec":"text"}"#, |_| {}, &[PRETTY, b"y"]).0, "{\"a\":\"b c\"}\ny\n");
    let as_it_is = std::str::from_utf8(PRETTY).unwrap();
    assert_eq!(encode(r#"{"codec":"text","framing":"none"}"#, |_| {}, &[PRETTY]).0, as_it_is);
}

#[test]
fn minified_json_bodies_are_on_one_line() {
    let rows: &[&[u8]] = &[PRETTY, b"{\"a\": 1}", b"no\njson", b"{\n}x"];
    let (text, ends) = encode(r#"{"codec":"text","minify":true}"#, |e| e.ends = true, rows);
    assert_eq!(text, "{\"a\":\"b c\"}\n{\"a\": 1}\nno\njson\n{\n}x\n");
    assert_eq!(ends, [12, 21, 29, 34]);
}

#[test]
fn every_body_becomes_a_json_value() {
    let rows: &[&[u8]] = &[PRETTY, b"7", b"no \"json\"", b""];
    let text = encode(r#"{"codec":"text"}"#, |e| (e.values, e.framing) = (true, Framing::None), rows).0;
    assert_eq!(text, r#"{"a":"b c"}7"no \"json\"""""#);
}

#[test]
fn every_line_of_ndjson_is_one_json_value_and_json_stays_byte_for_byte() {
    let json: &[&[u8]] = &[b"{\"a\" : 1.0e2}", b"7", b"\"s\"", b" null ", b"[\"\\u00e9\"]"];
    let expected: Vec<u8> = json.iter().flat_map(|body| [body, &b"\n"[..]].concat()).collect();
    assert_eq!(encode(r#"{"codec":"ndjson"}"#, |_| {}, json).0.as_bytes(), expected);
    let other: &[&[u8]] = &[PRETTY, b"two\nlines", b"{\"cut", b"{'a': 1}", b"", b"\xff{}", b"[\"\xc3\"]", b"\0\x7f"];
    let text = encode(r#"{"codec":"ndjson","minify":false}"#, |_| {}, other).0;
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), other.len(), "{text}");
    assert_eq!(lines[0], serde_json::json!({"a": "b c"}));
    let strings: Vec<_> = lines[1..5].iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(strings, ["two\nlines", "{\"cut", "{'a': 1}", ""]);
    assert_eq!(
        (&lines[5], &lines[6]["body_base64"]),
        (&serde_json::json!({"body_base64": "/3t9"}), &"WyLDIl0=".into())
    );
    assert_eq!(lines[7], "\0\u{7f}");
}

#[test]
fn json_is_the_whole_event_on_one_line() {
    let (text, ends) = encode("{}", |e| e.ends = true, &[b"a\nb", b"c"]);
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["body"], "a\nb");
    assert_eq!(lines[1]["resource"]["h"], 1);
    assert_eq!(ends, [text.find('\n').unwrap() + 1, text.len()]);
}

/// What is written for the attributes and the body.
fn part_of(options: &str, attributes: &str, body: &str) -> String {
    let encoding = read(options).unwrap();
    let event = format!(
        r#"{{"timestamp":"2026-01-02T03:04:05Z","body":{},"attributes":{attributes},"resource":{{"h":1}}}}"#,
        serde_json::to_string(body).unwrap()
    );
    let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
    let batch = Batch::read_json(event.as_bytes(), origin, Ack::none()).unwrap();
    String::from_utf8(encoding.encode(batch).pop().unwrap().bytes).unwrap()
}

#[test]
fn only_some_fields_are_written_in_the_order_of_the_option() {
    let only = r#"{"only_fields":["attributes.b.c","timestamp","attributes.gone","attributes.a"]}"#;
    assert_eq!(
        part_of(only, r#"{"a":1.50,"b":{"c":[1, 2],"d":3}}"#, "x"),
        "{\"attributes\":{\"b\":{\"c\":[1, 2]},\"a\":1.50},\"timestamp\":\"2026-01-02T03:04:05Z\"}\n"
    );
    let body = r#"{"codec":"ndjson","only_fields":["b","\"c.d\""]}"#;
    assert_eq!(part_of(body, "{}", r#"{"a":1,"c.d":2,"b":"x"}"#), "{\"b\":\"x\",\"c.d\":2}\n");
    for other in ["no object", "[{\"b\":1}]", "\"b\"", "7", ""] {
        assert_eq!(part_of(body, "{}", other), "{}\n", "{other} has no listed field");
        let except = r#"{"codec":"ndjson","except_fields":["b"]}"#;
        let whole = part_of(r#"{"codec":"ndjson"}"#, "{}", other);
        assert_eq!(part_of(except, "{}", other), whole, "{other} has no excepted field");
    }
}

#[test]
fn a_body_that_is_not_utf_8_passes_an_allow_list_only_by_its_key() {
    let rows: &[&[u8]] = &[b"\xff{}", b"{\"body_base64\":1,\"a\":2}"];
    for (options, first, second) in [
        (r#"{"codec":"ndjson","only_fields":["a","o.x"]}"#, "{}", r#"{"a":2}"#),
        (r#"{"codec":"ndjson","only_fields":["body_base64"]}"#, r#"{"body_base64":"/3t9"}"#, r#"{"body_base64":1}"#),
        (r#"{"codec":"ndjson","except_fields":["a"]}"#, r#"{"body_base64":"/3t9"}"#, r#"{"body_base64":1}"#),
    ] {
        assert_eq!(encode(options, |_| {}, rows).0, format!("{first}\n{second}\n"), "{options}");
    }
}

#[test]
fn severity_trace_and_scope_are_selected_and_filled_in_like_all_fields() {
    let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
    let event = r#"{"body":"x","severity":{"text":"WARN","number":13},"span_id":"b7ad6b7169203331"}"#;
    for (options, expected) in [
        (
            r#"{"only_fields":["severity.text","span_id","trace_id"]}"#,
            r#"{"severity":{"text":"WARN"},"span_id":"b7ad6b7169203331"}"#,
        ),
        (
            r#"{"except_fields":["timestamp","severity.text","resource"]}"#,
            r#"{"severity":{"number":13},"span_id":"b7ad6b7169203331","body":"x"}"#,
        ),
        (r#"{"codec":"text","template":"{{ severity.number }} [{{ trace_id }}] {{ body }}"}"#, "13 [] x"),
    ] {
        let batch = Batch::read_json(event.as_bytes(), origin.clone(), Ack::none()).unwrap();
        let bytes = read(options).unwrap().encode(batch).pop().unwrap().bytes;
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{expected}\n"));
    }
}

#[test]
fn excepted_fields_are_left_out_and_all_others_keep_their_bytes() {
    let except = r#"{"except_fields":["body","resource","attributes.tmp_*","attributes.b.c"]}"#;
    assert_eq!(
        part_of(except, r#"{"a": 1,"tmp_x":2,"b":{"c":1, "d":2e0}}"#, "x"),
        "{\"timestamp\":\"2026-01-02T03:04:05Z\",\"attributes\":{\"a\": 1,\"b\":{ \"d\":2e0}}}\n"
    );
}

#[test]
fn a_template_is_filled_with_the_fields_of_the_event() {
    let template = r#"{"codec":"text","template":"{{timestamp}} {{ attributes.user }} [{{ attributes.n }}] {{body}}"}"#;
    assert_eq!(
        part_of(template, r#"{"user":"a\"b","n":{"k": 1}}"#, "text"),
        "2026-01-02T03:04:05Z a\"b [{\"k\": 1}] text\n"
    );
    assert_eq!(part_of(template, "{}", "t"), "2026-01-02T03:04:05Z  [] t\n");
    assert_eq!(part_of(template, r#"{"user":null,"n":"null"}"#, "t"), "2026-01-02T03:04:05Z  [null] t\n");
    let of_body = r#"{"codec":"text","template":"[{{ body.a }}]"}"#;
    assert_eq!(part_of(of_body, "{}", r#"{"a":null}"#), "[]\n", "null is no value");
}

#[test]
fn wrong_fields_and_templates_are_all_reported() {
    let errors =
        |options: &str| read(options).err().into_iter().flatten().map(|error| error.to_string()).collect::<Vec<_>>();
    let all = errors(r#"{"only_fields":["user","attributes.","attributes.a[0]"],"except_fields":[],"template":"{{x"}"#);
    for (place, text) in [
        ("encoding.only_fields[0]", "must begin with"),
        ("encoding.only_fields[1]", "path"),
        ("encoding.only_fields[2]", "element"),
        ("encoding.except_fields", "cannot be combined"),
        ("encoding.template", "needs the codec `text`"),
        ("encoding.template", "`}}`"),
    ] {
        assert!(
            all.iter().any(|e| e.starts_with(&format!("option `{place}`: ")) && e.contains(text)),
            "{place} {text} {all:?}"
        );
    }
    assert_eq!(errors(r#"{"codec":"text","only_fields":["body"]}"#).len(), 1);
    assert_eq!(errors(r#"{"codec":"text","template":"{{ nowhere }}"}"#).len(), 1);
    assert_eq!(errors(r#"{"codec":"ndjson","only_fields":["anything.at.all"]}"#).len(), 0);
}

#[test]
fn only_sinks_for_people_have_the_codec_for_people() {
    let errors = read(r#"{"codec":"pretty","minify":true,"template":"{{ body }}"}"#).unwrap_err();
    let paths: Vec<(&str, String)> = errors.iter().map(|error| (&*error.path, error.to_string())).collect();
    let [(codec, text), (minify, _), (template, _)] = &paths[..] else { panic!("{paths:?}") };
    assert_eq!([*codec, *minify, *template], ["encoding.codec", "encoding.minify", "encoding.template"]);
    assert!(text.contains("`console` and `file`"), "{text}");
    let codecs =
        |schema: serde_json::Value| schema.pointer("/properties/encoding/properties/codec").unwrap().to_string();
    for type_name in ["console", "file"] {
        assert!(codecs(crate::TYPES.schema(type_name).unwrap()).contains("pretty"), "{type_name}");
    }
    for type_name in ["http", "loki", "elasticsearch", "splunk_hec", "socket", "syslog"] {
        assert!(!codecs(crate::TYPES.schema(type_name).unwrap()).contains("pretty"), "{type_name}");
    }
}

#[test]
fn a_batch_without_events_is_delivered_at_once() {
    let reported = Arc::new(Mutex::new(None));
    let to = reported.clone();
    let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
    let ack = Ack::new(move |d| *to.lock().unwrap() = Some(d));
    let encoding = read("{}").unwrap();
    assert!(encoding.encode(Batch::new(Column::default(), origin, ack)).is_empty());
    assert_eq!(*reported.lock().unwrap(), Some(Disposition::Delivered));
}
