//! Tests of the codec `pretty`.

use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;
use wattle_batch::{Ack, Batch, Column, Origin};

use super::super::{Encoding, EncodingOptions};
use super::write;

#[track_caller]
fn shows(event: &str, expected: Expect) {
    expected.assert_eq(&marked(&shown(event, false)));
}

/// The text after a line at the margin: `expect!` removes what all lines are indented by.
fn marked(text: &str) -> String {
    format!("event\n{text}")
}

fn shown(event: &str, color: bool) -> String {
    let mut out = Vec::new();
    write(event.as_bytes(), color, &mut out);
    String::from_utf8(out).unwrap()
}

/// What the encoder of a sink for people makes of these rows.
fn encoded(options: &str, rows: &[&[u8]], attributes: Option<&str>) -> String {
    let options = serde_json::from_str(options).unwrap();
    let encoding =
        wattle_options::read(&options, |options: EncodingOptions, errors| Some(Encoding::for_people(&options, errors)))
            .unwrap();
    let resource = r#"{"source":{"name":"in","type":"file","path":"/var/log/app.log"}}"#;
    let origin = Arc::new(Origin { source: "in".into(), resource: resource.into(), observed: 0 });
    let batch = match attributes {
        None => Batch::new(Column::from_rows(rows).unwrap(), origin, Ack::none()),
        Some(attributes) => {
            let body = serde_json::to_string(std::str::from_utf8(rows[0]).unwrap()).unwrap();
            let event = format!(r#"{{"body":{body},"attributes":{attributes}}}"#);
            Batch::read_json(event.as_bytes(), origin, Ack::none()).unwrap()
        }
    };
    use crate::sink::Encoder as _;
    String::from_utf8(encoding.encode(batch).pop().unwrap().bytes).unwrap()
}

#[test]
fn an_event_is_a_block_of_aligned_lines() {
    let event = json!({
        "timestamp": "2026-01-02T03:04:05.678Z",
        "severity": {"text": "warning", "number": 13},
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "scope": {"name": "http", "version": "1.2"},
        "body": "slow request: GET /\nsecond line",
        "attributes": {
            "client.address": "10.0.0.1", "status": 200, "code": "200", "ok": true, "user": null, "empty": "",
            "http": {"method": "GET", "headers": {"accept": ["*/*", "text/html"], "none": {}}, "tags": []},
            "stack": "at a\nat b\n",
            "an.attribute.with.a.name.that.is.very.long": 1,
            "path": "C:\\new",
        },
        "resource": {"source": {"name": "in", "type": "http"}, "host.name": "web-1"},
    });
    shows(
        &event.to_string(),
        expect![[r#"
            event
            2026-01-02T03:04:05.678Z warning (13) in (http)
              trace_id: 0af7651916cd43dd8448eb211c80319c
              span_id: b7ad6b7169203331
                slow request: GET /
                second line
              attributes:
                client.address: 10.0.0.1
                status:         200
                code:           "200"
                ok:             true
                user:           null
                empty:          ""
                http:           {
                  "method": "GET",
                  "headers": {
                    "accept": ["*/*", "text/html"],
                    "none": {}
                  },
                  "tags": []
                }
                stack:          |
                  at a
                  at b

                an.attribute.with.a.name.that.is.very.long: 1
                path:           C:\new
              scope:
                name:    http
                version: "1.2"
              resource:
                host.name: web-1
        "#]],
    );
}

#[test]
fn numbers_and_keys_of_json_stay_as_they_are_written() {
    let body = r#"{"b":1.50,"a":12345678901234567890123,"e":-0.0e+05,"s":"\u00e9\/","a":2,
        "list":[1,2,3],"deep":[{"x":[[]]},{}],"long":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]}"#;
    expect![[r#"
        event
        1970-01-01T00:00:00Z in (file)
            {
              "b": 1.50,
              "a": 12345678901234567890123,
              "e": -0.0e+05,
              "s": "\u00e9\/",
              "a": 2,
              "list": [1, 2, 3],
              "deep": [
                {
                  "x": [[]]
                },
                {}
              ],
              "long": [
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
              ]
            }
          attributes:
            n:   1.0e2
            big: 9007199254740993
          resource:
            source: {"name": "in", "type": "file", "path": "/var/log/app.log"}

    "#]]
    .assert_eq(&marked(&encoded(
        r#"{"codec":"pretty"}"#,
        &[body.as_bytes()],
        Some(r#"{"n":1.0e2,"big":9007199254740993}"#),
    )));
}

#[test]
fn events_are_separated_by_their_framing() {
    expect![[r#"
        event
        1970-01-01T00:00:00Z in (file)
            one
          resource:
            source: {"name": "in", "type": "file", "path": "/var/log/app.log"}

        1970-01-01T00:00:00Z in (file)
            ""
          resource:
            source: {"name": "in", "type": "file", "path": "/var/log/app.log"}

        1970-01-01T00:00:00Z in (file)
            {}
          resource:
            source: {"name": "in", "type": "file", "path": "/var/log/app.log"}

    "#]]
    .assert_eq(&marked(&encoded(r#"{"codec":"pretty"}"#, &[b"one", b"", b"{}"], None)));
    let options = r#"{"codec":"pretty","framing":"none","only_fields":["body"]}"#;
    expect![[r#"
        event
            one
            two

    "#]]
    .assert_eq(&marked(&encoded(options, &[b"one", b"two\n"], None)));
}

#[test]
fn some_fields_can_be_selected() {
    let options = r#"{"codec":"pretty","except_fields":["timestamp","resource","attributes.b"]}"#;
    expect![[r#"
        event
            x
          attributes:
            a: 1

    "#]]
    .assert_eq(&marked(&encoded(options, &[b"x"], Some(r#"{"a":1,"b":2}"#))));
}

#[test]
fn nothing_in_an_event_drives_a_terminal() {
    let body = b"a\x1b[2J\x07\x9b1m\r\n\xff\xc2\x9b \xe2\x80\xae end";
    expect![[r#"
        event
        1970-01-01T00:00:00Z in (file)
            a\u{1b}[2J\u{7}\x9b1m\r
            \xff\u{9b} \u{202e} end
          resource:
            source: {"name": "in", "type": "file", "path": "/var/log/app.log"}

    "#]]
    .assert_eq(&marked(&encoded(r#"{"codec":"pretty"}"#, &[body], None)));
    let hostile = "\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\r";
    let event = json!({
        "timestamp": hostile, "kind": hostile, "severity": {"text": hostile, "number": 9}, "trace_id": hostile,
        "span_id": hostile, "scope": {hostile: hostile}, "body": json!({hostile: [hostile, {hostile: 1}]}).to_string(),
        "attributes": {hostile: hostile, "list": [hostile], "block": format!("{hostile}\nx")},
        "resource": {"source": {"name": hostile, "type": hostile}},
        "failure": {"node": hostile, "version": hostile, "code": hostile, "message": format!("{hostile}\n")},
    });
    let metric = json!({
        "kind": "metric", "body": json!({"name": hostile, "unit": hostile, "value": hostile, "type": hostile,
            "sum": {hostile: 1}, hostile: hostile}).to_string(),
        "attributes": {hostile: hostile},
    });
    for event in [event.to_string(), metric.to_string()] {
        let text = shown(&event, false);
        assert!(!text.contains(|c: char| c != '\n' && wattle_printable::is_harmful(c)), "{text:?}");
        let colored = shown(&event, true);
        assert_eq!(wattle_printable::styled(&colored), colored, "only styles of the codec");
    }
}

#[test]
fn a_body_cannot_look_like_another_event_or_section() {
    let body = "x\n2026-01-02T03:04:05Z INFO other (file)\n  attributes:\n    user: root";
    let text = encoded(r#"{"codec":"pretty"}"#, &[body.as_bytes()], None);
    assert_eq!(text.lines().filter(|line| !line.starts_with("    ") && !line.is_empty()).count(), 2, "{text}");
}

#[test]
fn a_string_is_quoted_if_it_reads_as_another_value() {
    let attributes =
        r#"{"a":"1","b":"true","c":" x","d":"{","e":"\ud800","f":"|","g:h":"plain: text","i":"\t","null":"null"}"#;
    shows(
        &format!(r#"{{"attributes":{attributes}}}"#),
        expect![[r#"
        event
          attributes:
            a:      "1"
            b:      "true"
            c:      " x"
            d:      "{"
            e:      "\ud800"
            f:      "|"
            "g:h":  plain: text
            i:      "\t"
            "null": "null"
    "#]],
    );
}

#[test]
fn a_data_point_is_one_line_and_its_details() {
    let of = |body: serde_json::Value, attributes: serde_json::Value| {
        json!({"timestamp": "2026-01-01T12:00:10Z", "kind": "metric", "body": body.to_string(), "attributes": attributes})
            .to_string()
    };
    let sum = json!({"name": "http.requests", "unit": "", "type": "sum", "temporality": "delta", "monotonic": true,
        "start": "2026-01-01T12:00:00Z", "value": 2});
    shows(
        &of(sum, json!({"method": "GET", "code": "200"})),
        expect![[r#"
        event
        2026-01-01T12:00:10Z METRIC
            http.requests{method="GET", code="200"} 2 (sum, delta, monotonic)
            start: 2026-01-01T12:00:00Z
    "#]],
    );
    let histogram = json!({"name": "http.duration", "description": "time: all", "unit": "s", "type": "histogram",
        "temporality": "cumulative", "start": "2026-01-01T12:00:00Z", "count": 2, "sum": 0.75, "min": 0.05, "max": 0.7,
        "bounds": [0.1, 0.5, 1], "bucket_counts": [1, 0, 1, 0],
        "exemplars": [{"value": 0.7, "timestamp": "2026-01-01T12:00:02Z", "attributes": {"trace_id": "t2"}}]});
    shows(
        &of(histogram, json!({})),
        expect![[r#"
        event
        2026-01-01T12:00:10Z METRIC
            http.duration{} count=2 sum=0.75 min=0.05 max=0.7 s (histogram, cumulative)
            description:   time: all
            start:         2026-01-01T12:00:00Z
            bounds:        [0.1, 0.5, 1]
            bucket_counts: [1, 0, 1, 0]
            exemplars:     [
              {
                "value": 0.7,
                "timestamp": "2026-01-01T12:00:02Z",
                "attributes": {"trace_id": "t2"}
              }
            ]
    "#]],
    );
    shows(
        &of(json!(["no metric"]), json!({"a": 1})),
        expect![[r#"
        event
        2026-01-01T12:00:10Z METRIC
            [
              "no metric"
            ]
          attributes:
            a: 1
    "#]],
    );
}

#[test]
fn a_failed_event_has_the_reason() {
    let failure = json!({"node": "parse", "version": "parse@1", "code": "not-json", "message": "no\nvalue"});
    shows(
        &json!({"body": "{cut", "failure": failure}).to_string(),
        expect![[r#"
            event
              failed: node=parse version=parse@1 code=not-json - no\nvalue
                {cut
        "#]],
    );
}

#[test]
fn severities_are_named_and_colored_by_their_class() {
    let of = |severity: serde_json::Value| shown(&json!({"severity": severity}).to_string(), true);
    for (severity, expected) in [
        (json!({"number": 9}), "\x1b[32mINFO\x1b[0m\n"),
        (json!({"number": 18}), "\x1b[31mERROR2\x1b[0m\n"),
        (json!({"text": "Warn", "number": 13}), "\x1b[33mWarn\x1b[0m\n"),
        (json!({"text": "notice", "number": 10}), "\x1b[32mnotice (10)\x1b[0m\n"),
        (json!({"text": "CRITICAL"}), "\x1b[31mCRITICAL\x1b[0m\n"),
        (json!({"text": "debug"}), "\x1b[34mdebug\x1b[0m\n"),
        (json!({"text": "mine"}), "\x1b[1mmine\x1b[0m\n"),
    ] {
        assert_eq!(of(severity), expected);
    }
}

#[test]
fn nesting_does_not_multiply_the_size() {
    let deep = format!("{}{}{}", "[".repeat(500), vec!["1"; 20_000].join(","), "]".repeat(500));
    let text = encoded(r#"{"codec":"pretty"}"#, &[deep.as_bytes()], None);
    assert!(text.len() < 50 * deep.len(), "{} of {}", text.len(), deep.len());
    let back: String = text.lines().skip(1).take_while(|line| line.starts_with("    ")).map(str::trim).collect();
    assert_eq!(back.replace(' ', ""), deep);
}

#[test]
fn any_bytes_are_shown_without_a_panic() {
    for body in [&b"{\"a\":"[..], b"[1,", b"\"", b"\\", b"}", b"\xff", b"{\"a\":\"\xff\"}", b"1 2", b"\0"] {
        assert!(encoded(r#"{"codec":"pretty"}"#, &[body], None).len() > body.len());
    }
    for event in
        ["", "{", "[]", "null", "{\"body\":", "{\"body\":{}}", "{\"severity\":7,\"attributes\":[],\"resource\":\"x\"}"]
    {
        shown(event, true);
    }
}
