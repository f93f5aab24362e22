//! Encodes events and separates them, so that a server finds each of them.

use wattle_batch::Batch;

use super::header::{Header, has_priority};
use crate::encode::Encoding;
use crate::sink::{Encoder, Payload};

/// How events are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A line feed after each event.
    Line,
    /// The length before each event.
    Count,
    /// Each event is a datagram.
    Datagram,
}

/// Encodes the events of a sink.
#[derive(Debug)]
pub(super) struct SocketFormat {
    /// Writes events without separators.
    pub(super) encoding: Encoding,
    pub(super) frame: Frame,
    /// Makes events messages of syslog.
    pub(super) header: Option<Header>,
}

impl SocketFormat {
    fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        match self.frame {
            Frame::Datagram => out.extend_from_slice(text),
            // The length must not be 0.
            Frame::Count if text.is_empty() => {}
            Frame::Count => {
                out.extend_from_slice(text.len().to_string().as_bytes());
                out.push(b' ');
                out.extend_from_slice(text);
            }
            Frame::Line => {
                match self.header {
                    Some(_) => escape(text, out),
                    None => out.extend_from_slice(text),
                }
                out.push(b'\n');
            }
        }
    }
}

/// Writes what would end a message as rsyslog does. Some servers end messages at a zero byte (RFC 6587, section 3.4.2).
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr::memchr2_iter(b'\n', 0, text) {
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        out.extend_from_slice(if text.get(at) == Some(&0) { b"#000" } else { b"#012" });
        from = at + 1;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

impl Encoder for SocketFormat {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let rows = batch.rows();
        let mut out = Vec::with_capacity(batch.byte_len() + 64 * rows);
        let mut ends = Vec::with_capacity(rows);
        let mut events = self.encoding.bind(&batch);
        let (mut text, mut message) = (Vec::new(), Vec::new());
        for row in 0..rows {
            text.clear();
            events.write(row, &mut text);
            match &self.header {
                Some(header) if !has_priority(&text) => {
                    message.clear();
                    header.write(batch.timestamp(row).unwrap_or(batch.origin().observed), &mut message);
                    message.extend_from_slice(&text);
                    self.write(&message, &mut out);
                }
                _ => self.write(&text, &mut out),
            }
            ends.push(out.len());
        }
        let ack = batch.into_ack();
        if rows == 0 {
            ack.deliver();
            return Vec::new();
        }
        vec![Payload { key: None, bytes: out, events: rows, ends, ack }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use wattle_batch::{Ack, Column, Origin};

    use super::super::options::{read_socket, read_syslog};
    use super::*;

    fn batch(bodies: &[&str]) -> Batch {
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 1_000_000_000 });
        let mut batch = Batch::new(Column::from_rows(bodies).unwrap(), origin, Ack::none());
        // Only the second event has a timestamp.
        let times: Vec<i64> = (0..bodies.len()).map(|row| if row == 1 { 2_500_000_000 } else { i64::MIN }).collect();
        batch.set_timestamps(&times);
        batch
    }

    /// The encoded events.
    #[track_caller]
    fn encoded(type_name: &str, mut options: Value, bodies: &[&str]) -> Vec<String> {
        if options.get("path").is_none() {
            options["address"] = json!("h:1");
        }
        let read = if type_name == "syslog" { read_syslog(&options) } else { read_socket(&options) };
        let payload = read.unwrap().format.encode(batch(bodies)).remove(0);
        assert_eq!((payload.events, payload.ends.len()), (bodies.len(), bodies.len()));
        let starts = std::iter::once(0).chain(payload.ends.iter().copied());
        let parts = starts.zip(&payload.ends).map(|(start, &end)| payload.bytes[start..end].to_vec());
        parts.map(|part| String::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn messages_keep_their_header_and_other_events_get_one() {
        let options = json!({ "hostname": "h", "app_name": "a", "facility": "local0", "severity": 3 });
        let bodies = ["<34>1 - - - - - -", "plain", "<999>x", "", "<13>Jan  1 00:00:00 h tag: a\nb"];
        let headers =
            ["<131>1 1970-01-01T00:00:01.000000Z h a - - - ", "<131>1 1970-01-01T00:00:02.500000Z h a - - - "];
        let expected = [
            "17 <34>1 - - - - - -".to_owned(),
            format!("{} {}plain", headers[1].len() + 5, headers[1]),
            format!("{} {}<999>x", headers[0].len() + 6, headers[0]),
            format!("{} {}", headers[0].len(), headers[0]),
            "30 <13>Jan  1 00:00:00 h tag: a\nb".to_owned(),
        ];
        assert_eq!(encoded("syslog", options, &bodies), expected);
    }

    #[test]
    fn lines_of_syslog_never_have_a_line_feed_or_zero_byte_within() {
        let bodies = ["<34>a\nb\n", "<34>\0", "<34>{\n\"a\": 1}", "<34>plain"];
        let expected = ["<34>a#012b#012\n", "<34>#000\n", "<34>{#012\"a\": 1}\n", "<34>plain\n"];
        assert_eq!(encoded("syslog", json!({ "framing": "lines" }), &bodies), expected);
        // A datagram ends by itself.
        assert_eq!(encoded("syslog", json!({ "mode": "udp" }), &bodies), bodies);
        let options = json!({ "mode": "unix_datagram", "path": "/dev/log" });
        assert_eq!(encoded("syslog", options, &bodies), bodies);
    }

    #[test]
    fn events_of_a_socket_are_json_lines_unless_the_options_say_otherwise() {
        let lines = encoded("socket", json!({}), &["a\nb"]);
        let event: Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(lines[0].ends_with("}\n") && event["body"] == "a\nb", "{lines:?}");
        let text = |more: Value| {
            let mut options = json!({ "encoding": { "codec": "text" } });
            options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            encoded("socket", options, &["{\n \"a\": 1}", "", "x y"])
        };
        assert_eq!(text(json!({})), ["{\"a\":1}\n", "\n", "x y\n"]);
        assert_eq!(text(json!({ "framing": "octet_counting" })), ["10 {\n \"a\": 1}", "", "3 x y"]);
        assert_eq!(text(json!({ "mode": "udp" })), ["{\n \"a\": 1}", "", "x y"]);
        let syslog = json!({ "encoding": { "template": "<14>{{ body }}" } });
        assert_eq!(encoded("syslog", syslog, &["a"]), ["5 <14>a"]);
    }
}
