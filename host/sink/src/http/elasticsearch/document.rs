//! Documents: JSON objects with a time.

use wattle_batch::format_rfc3339;
use wattle_json::Path;

/// How an event begins that the codec `json` writes.
const EVENT: &[u8] = b"{\"timestamp\":\"";

/// Makes documents of encoded events.
#[derive(Debug)]
pub(super) struct Documents {
    /// The field with the time, which Elasticsearch requires in data streams.
    time: Path,
    /// Whether `timestamp` is a key of the event, and not of a body.
    is_event: bool,
}

impl Documents {
    pub(super) fn new(is_event: bool) -> Self {
        // This is a path.
        Self { time: Path::parse("\"@timestamp\"").unwrap_or_default(), is_event }
    }

    /// Writes a JSON value as a document. A value that is no object becomes its field `message`. A document without
    /// `@timestamp` gets the time of the event, in nanoseconds since 1970.
    pub(super) fn write(&self, event: &[u8], time: i64, out: &mut Vec<u8>) {
        let event = event.trim_ascii();
        if self.is_event
            && let Some(rest) = event.strip_prefix(EVENT)
        {
            out.extend_from_slice(b"{\"@timestamp\":\"");
            return out.extend_from_slice(rest);
        }
        let members = event.strip_prefix(b"{");
        if members.is_some() && matches!(wattle_json::find(event, &self.time), Ok(Some(_))) {
            return out.extend_from_slice(event);
        }
        out.extend_from_slice(b"{\"@timestamp\":\"");
        out.extend_from_slice(format_rfc3339(time).as_bytes());
        out.push(b'"');
        match members.map(<[u8]>::trim_ascii_start) {
            Some(b"}") => out.push(b'}'),
            Some(members) => {
                out.push(b',');
                out.extend_from_slice(members);
            }
            None => {
                out.extend_from_slice(b",\"message\":");
                out.extend_from_slice(event);
                out.push(b'}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_an_object_with_a_time() {
        for (is_event, event, expected) in [
            (
                true,
                r#"{"timestamp":"2026-01-02T03:04:05Z","body":"x"}"#,
                r#"{"@timestamp":"2026-01-02T03:04:05Z","body":"x"}"#,
            ),
            (true, r#"{"body":"x"}"#, r#"{"@timestamp":"1970-01-01T00:00:01Z","body":"x"}"#),
            (false, r#"{"timestamp":"mine"}"#, r#"{"@timestamp":"1970-01-01T00:00:01Z","timestamp":"mine"}"#),
            (false, r#"{"a": 1.50,"@timestamp":7}"#, r#"{"a": 1.50,"@timestamp":7}"#),
            (false, r#"{"a":{"@timestamp":7}}"#, r#"{"@timestamp":"1970-01-01T00:00:01Z","a":{"@timestamp":7}}"#),
            (false, "{ }", r#"{"@timestamp":"1970-01-01T00:00:01Z"}"#),
            (false, "\"text\"", r#"{"@timestamp":"1970-01-01T00:00:01Z","message":"text"}"#),
            (false, "[1, 2]", r#"{"@timestamp":"1970-01-01T00:00:01Z","message":[1, 2]}"#),
        ] {
            let mut out = Vec::new();
            Documents::new(is_event).write(event.as_bytes(), 1_000_000_000, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
