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
        let body = self.body().row(row);
        if std::str::from_utf8(body).is_ok() {
            out.extend_from_slice(b",\"body\":");
            write_string(body, out);
        } else {
            out.extend_from_slice(b",\"body_base64\":\"");
            out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(body).as_bytes());
            out.push(b'"');
        }
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
