//! Writes whole events as JSON, one per line.

use base64::Engine as _;

use crate::batch::Batch;
use crate::context;
use crate::kind::EventKind;
use crate::object::{write_line, write_string};
use crate::timestamp::format_rfc3339;

impl Batch {
    /// Writes one event as a JSON object on one line, without the line break.
    ///
    /// Shape: `{"timestamp":"<RFC
    /// 3339>","body":"<text>","attributes":{…},"resource":{…},"failure":{…}}`. The timestamp is the
    /// event's own, or else the time when the agent read it. `attributes` is omitted if there are
    /// none, `failure` (`node`, `version`, `code`, `message`) exists only on failed rows, and `kind`
    /// (`metric` or `span`, after the timestamp) only on events that are not logs. `severity`,
    /// `trace_id`, `span_id` and `scope` follow where they are set. A body that is not UTF-8 is
    /// written as base64 in `body_base64`, so that no byte is lost.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        self.write_head(row, out);
        write_body(self.body().row(row), out);
        self.write_tail(row, out);
    }

    /// Writes the start of one event as [`write_json`](Self::write_json) does, at most `max_bytes`, cut between
    /// characters. Returns the length of the whole event in bytes; an estimate if the body alone is longer, because the
    /// rest of it is not encoded.
    pub fn write_json_start(&self, row: usize, max_bytes: usize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let body = self.body().row(row);
        self.write_head(row, out);
        let Some(first) = body.get(..max_bytes).filter(|first| first.len() < body.len()) else {
            write_body(body, out);
            self.write_tail(row, out);
            let length = out.len() - start;
            cut(out, start, max_bytes);
            return length;
        };
        let head = out.len() - start;
        // A character at the end may be incomplete, and no text any more.
        let text = first.utf8_chunks().next().map_or(&[][..], |chunk| chunk.valid().as_bytes());
        let is_text = first.len() - text.len() < 4;
        write_body(if is_text { text } else { first }, out);
        cut(out, start, max_bytes);
        head + body.len() + self.carried_bytes(row)
    }

    /// Writes everything before the body.
    fn write_head(&self, row: usize, out: &mut Vec<u8>) {
        let nanoseconds = self.timestamp(row).unwrap_or(self.origin().observed);
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(format_rfc3339(nanoseconds).as_bytes());
        if self.kind() != EventKind::Log {
            out.extend_from_slice(b"\",\"kind\":\"");
            out.extend_from_slice(self.kind().name().as_bytes());
        }
        out.push(b'"');
        if !self.context.is_none() {
            for root in context::ROOTS {
                if let Some((value, _)) = self.context.overlay(root).and_then(|column| column.get(row)) {
                    out.extend_from_slice(b",\"");
                    out.extend_from_slice(root.as_bytes());
                    out.extend_from_slice(b"\":");
                    write_line(value, out);
                }
            }
        }
    }

    /// Writes everything after the body.
    fn write_tail(&self, row: usize, out: &mut Vec<u8>) {
        if self.attributes.is_present(row) {
            out.extend_from_slice(b",\"attributes\":");
            self.attributes.write(row, out);
        }
        if self.resource.is_present(row) {
            out.extend_from_slice(b",\"resource\":");
            self.resource.write(row, out);
        }
        if let Some(failure) = self.failure(row) {
            out.extend_from_slice(b",\"failure\":{");
            for (index, (key, value)) in [
                ("node", &failure.node),
                ("version", &failure.version),
                ("code", &failure.code),
                ("message", &failure.message),
            ]
            .into_iter()
            .enumerate()
            {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key.as_bytes(), out);
                out.push(b':');
                write_string(value.as_bytes(), out);
            }
            out.push(b'}');
        }
        out.push(b'}');
    }
}

fn write_body(body: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(body).is_ok() {
        out.extend_from_slice(b",\"body\":");
        write_string(body, out);
    } else {
        out.extend_from_slice(b",\"body_base64\":\"");
        out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(body).as_bytes());
        out.push(b'"');
    }
}

/// Cuts what was written since `start` to this length, between characters.
fn cut(out: &mut Vec<u8>, start: usize, max_bytes: usize) {
    let mut end = start + max_bytes;
    if out.len() <= end {
        return;
    }
    // Continuation bytes of UTF-8 are 0b10xxxxxx.
    while end > start && out.get(end).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {
        end -= 1;
    }
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::ack::Ack;
    use crate::batch::Batch;
    use crate::column::Column;
    use crate::origin::Origin;

    fn batch(body: &[u8]) -> Batch {
        let origin = Origin { source: "in".into(), resource: r#"{"r":1}"#.into(), observed: 0 };
        Batch::new(Column::from_rows([body]).unwrap(), Arc::new(origin), Ack::none())
    }

    #[test]
    fn the_start_of_an_event_is_the_start_of_its_json() {
        for body in ["short", &"x".repeat(300), &"\u{e9}\u{1f600}".repeat(90)] {
            let batch = batch(body.as_bytes());
            let mut whole = Vec::new();
            batch.write_json(0, &mut whole);
            for max in [10, 64, 65, 66, 67, 68, 200, 1000] {
                let mut start = b"before".to_vec();
                let length = batch.write_json_start(0, max, &mut start);
                let start = start.strip_prefix(b"before").unwrap();
                assert!(start.len() <= max && start.len() + 4 > max.min(whole.len()), "{} of {max}", start.len());
                let start = std::str::from_utf8(start).unwrap();
                assert_eq!(start.as_bytes(), &whole[..start.len()], "{max}");
                assert!(length.abs_diff(whole.len()) < 32, "{length} of {}", whole.len());
            }
        }
    }

    #[test]
    fn a_long_body_of_bytes_stays_base64() {
        let batch = batch(&[b'a', 0xff].repeat(200));
        let mut start = Vec::new();
        batch.write_json_start(0, 100, &mut start);
        assert!(String::from_utf8(start).unwrap().contains(r#""body_base64":"Yf9h"#));
    }
}
