//! Encodes batches: which part of an event is written, and how events are separated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::{Batch, MAX_JSON_DEPTH};
use wattle_options::Flag;

use crate::sink::{Encoder, Payload};

/// Options `encoding` of a sink: how it writes an event.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EncodingOptions {
    /// Which part of an event is written. Default: `json`.
    pub(crate) codec: Codec,
    /// What follows each event. Default: `newline`.
    pub(crate) framing: Option<Framing>,
    /// With codec `text`: writes a body that is valid JSON with line breaks on one line, without
    /// white space outside strings, so that every line of the output is one event. Default: `true`
    /// if `framing` is `newline`, and for `http`.
    pub(crate) minify: Option<Flag>,
}

/// Which part of an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    /// The whole event as JSON on one line: body, attributes, resource, timestamp and the reason if
    /// it failed.
    #[default]
    Json,
    /// The body only, byte for byte, unless `minify` applies.
    Text,
    /// The body as one JSON value on one line. A body that is valid JSON stays byte for byte; if it
    /// has line breaks, white space outside strings is removed. Other text becomes a JSON string,
    /// and bytes that are not UTF-8 become `{"body_base64":"..."}`.
    Ndjson,
}

/// What follows each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// A line feed.
    #[default]
    Newline,
    /// Nothing.
    None,
}

/// How a sink writes events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    pub(crate) codec: Codec,
    pub(crate) framing: Framing,
    /// Writes bodies that are JSON on one line.
    pub(crate) minify: bool,
    /// Writes every body as the codec `ndjson` does, see [`write_value`].
    pub(crate) values: bool,
    /// Records where each event ends, for sinks that split payloads.
    pub(crate) ends: bool,
}

impl Encoding {
    /// The encoding of the options, for sinks that do not split payloads.
    pub(crate) fn new(options: &EncodingOptions) -> Self {
        let framing = options.framing.unwrap_or_default();
        Self {
            codec: options.codec,
            framing,
            minify: options.minify.map_or(framing == Framing::Newline, |minify| minify.0),
            values: false,
            ends: false,
        }
    }

    /// Writes one event with its framing.
    pub(crate) fn write(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        match self.codec {
            Codec::Json => batch.write_json(row, out),
            Codec::Text | Codec::Ndjson => self.write_body(batch, row, out),
        }
        self.write_frame(out);
    }

    #[inline]
    fn write_frame(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Newline {
            out.push(b'\n');
        }
    }

    #[inline]
    fn write_body(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        let body = batch.body().row(row);
        if self.values || self.codec == Codec::Ndjson {
            // The batch has this result already if a node checked the bodies, as `parse` does.
            let is_json = batch.body_kinds().get(row).is_some_and(|&kind| kind != 0);
            write_value(body, is_json, out);
        } else if self.minify {
            write_line(body, out);
        } else {
            out.extend_from_slice(body);
        }
    }

    /// Encodes every event of a batch. Returns the bytes and, if `ends` is set, the ends of the
    /// events.
    fn write_all(&self, batch: &Batch) -> (Vec<u8>, Vec<usize>) {
        let rows = batch.rows();
        // An estimate of escapes and other fields around the body; rarely too small.
        let spare = if self.codec == Codec::Json { batch.byte_len() / 4 + 256 * rows } else { rows };
        let mut out = Vec::with_capacity(batch.byte_len() + spare);
        let mut ends = Vec::with_capacity(if self.ends { rows } else { 0 });
        for row in 0..rows {
            self.write(batch, row, &mut out);
            if self.ends {
                ends.push(out.len());
            }
        }
        (out, ends)
    }
}

/// Writes a body that is JSON on one line, and any other body unchanged.
fn write_line(body: &[u8], out: &mut Vec<u8>) {
    // The check reads the whole body, so do it only for bodies with line breaks.
    if memchr::memchr2(b'\n', b'\r', body).is_some() && wattle_json::check(body, MAX_JSON_DEPTH).is_ok() {
        wattle_json::minify(body, out);
    } else {
        out.extend_from_slice(body);
    }
}

/// Writes a body as a JSON value on one line: JSON unchanged, text as a string, and bytes that are
/// not UTF-8 as an object with the key that the codec `json` uses for them.
fn write_value(body: &[u8], is_json: bool, out: &mut Vec<u8>) {
    if is_json && memchr::memchr2(b'\n', b'\r', body).is_some() {
        wattle_json::minify(body, out);
    } else if is_json {
        out.extend_from_slice(body);
    } else if std::str::from_utf8(body).is_ok() {
        out.push(b'"');
        wattle_json::escape(body, out);
        out.push(b'"');
    } else {
        out.extend_from_slice(b"{\"body_base64\":\"");
        out.extend_from_slice(STANDARD.encode(body).as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// Makes one payload of each batch.
impl Encoder for Encoding {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let events = batch.rows();
        let (bytes, ends) = self.write_all(&batch);
        let ack = batch.into_ack();
        if events == 0 {
            ack.deliver();
            return Vec::new();
        }
        vec![Payload { key: None, bytes, events, ends, ack }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use wattle_batch::{Ack, Column, Disposition, Origin};

    fn encode(options: &str, change: impl Fn(&mut Encoding), rows: &[&[u8]]) -> (String, Vec<usize>) {
        let mut encoding = Encoding::new(&serde_json::from_str(options).unwrap());
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
        let other: &[&[u8]] =
            &[PRETTY, b"two\nlines", b"{\"cut", b"{'a': 1}", b"", b"\xff{}", b"[\"\xc3\"]", b"\0\x7f"];
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

    #[test]
    fn a_batch_without_events_is_delivered_at_once() {
        let reported = Arc::new(Mutex::new(None));
        let to = reported.clone();
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
        let ack = Ack::new(move |d| *to.lock().unwrap() = Some(d));
        let encoding = Encoding::new(&EncodingOptions::default());
        assert!(encoding.encode(Batch::new(Column::default(), origin, ack)).is_empty());
        assert_eq!(*reported.lock().unwrap(), Some(Disposition::Delivered));
    }
}
