//! Reads events that [`Batch::write_json`] wrote, so that quarantined events can continue.

use std::sync::Arc;

use base64::Engine as _;
use wattle_json::{Path, Value, find_many};

use crate::ack::Ack;
use crate::batch::Batch;
use crate::column::Column;
use crate::context;
use crate::field::{FieldPath, Form};
use crate::kind::EventKind;
use crate::origin::Origin;
use crate::timestamp::parse_rfc3339;

const KEYS: [&str; 10] = [
    "timestamp",
    "kind",
    "body",
    "body_base64",
    "attributes",
    "resource",
    context::SEVERITY,
    context::TRACE_ID,
    context::SPAN_ID,
    context::SCOPE,
];

impl Batch {
    /// Creates a batch of one event from this JSON object. Ignores the reason why the event failed.
    ///
    /// # Errors
    ///
    /// The missing or invalid part; the text never contains data of the event.
    pub fn read_json(event: &[u8], origin: Arc<Origin>, ack: Ack) -> Result<Self, String> {
        // The event object adds levels around the attributes, which alone may reach the limit.
        wattle_json::check(event, crate::MAX_JSON_DEPTH + 8)
            .map_err(|error| format!("the event is not JSON: {error}"))?;
        let paths = KEYS.map(Path::parse).into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let mut found = [None; KEYS.len()];
        find_many(event, &paths.iter().collect::<Vec<_>>(), &mut found).map_err(|e| e.to_string())?;
        let [timestamp, kind, body, base64, attributes, resource, severity, trace_id, span_id, scope] = found;
        let string = |value: Option<Value>| -> Option<Vec<u8>> {
            let mut text = Vec::new();
            wattle_json::unescape(value?.string(event)?, &mut text).ok()?;
            Some(text)
        };
        let body = match (string(body), string(base64)) {
            (Some(body), _) => body,
            (None, Some(coded)) => base64::engine::general_purpose::STANDARD
                .decode(coded)
                .map_err(|error| format!("`body_base64` of the event is not base64: {error}"))?,
            (None, None) => return Err("the event has no `body`".into()),
        };
        let column = Column::from_rows([body.as_slice()]).map_err(|error| error.to_string())?;
        let kind = match string(kind) {
            None => EventKind::Log,
            Some(name) => std::str::from_utf8(&name)
                .ok()
                .and_then(EventKind::of_name)
                .ok_or("`kind` of the event is not `log`, `metric` or `span`")?,
        };
        let mut batch = Self::new(column, origin, ack).of_kind(kind);
        let objects = [
            ("attributes", attributes),
            ("resource", resource),
            (context::SEVERITY, severity),
            (context::TRACE_ID, trace_id),
            (context::SPAN_ID, span_id),
            (context::SCOPE, scope),
        ];
        for (name, value) in objects {
            let Some(value) = value else { continue };
            let path = FieldPath::parse(name).map_err(|error| error.to_string())?;
            let column = Column::from_rows([value.text(event)]).map_err(|error| error.to_string())?;
            let failed = batch.set(&path, Form::Json, &column, &[]).map_err(|error| error.to_string())?;
            if let Some(failed) = failed.first() {
                return Err(failed.problem.message(&path));
            }
        }
        let time = string(timestamp).and_then(|text| parse_rfc3339(std::str::from_utf8(&text).ok()?));
        batch.set_timestamps(&[time.unwrap_or(i64::MIN)]);
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Failure;

    fn origin() -> Arc<Origin> {
        Arc::new(Origin { source: "in".into(), resource: r#"{"source":{"name":"in"}}"#.into(), observed: 7 })
    }

    fn written(batch: &Batch) -> String {
        let mut out = Vec::new();
        batch.write_json(0, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_written_event_reads_back_as_the_same_event() {
        let failure =
            Failure { node: "n".into(), version: "n@1".into(), code: "trap".into(), message: "it trapped".into() };
        let other = Origin { source: "other".into(), resource: "{}".into(), observed: 0 };
        for body in [b"{\"a\":\"\\u00e4 \\\"\"}\n".as_slice(), b"\xff\x00", b""] {
            let kind = if body.is_empty() { EventKind::Metric } else { EventKind::Log };
            let mut batch = Batch::new(Column::from_rows([body]).unwrap(), origin(), Ack::none()).of_kind(kind);
            for (path, value) in [
                ("attributes.big", "12345678901234567890.10"),
                ("resource.host", "\"h\""),
                ("severity.number", "9"),
                ("severity.text", "\"Notice\""),
                ("trace_id", "\"0af7651916cd43dd8448eb211c80319c\""),
                ("span_id", "\"b7ad6b7169203331\""),
                ("scope", r#"{"name":"lib","attributes":{"a":1}}"#),
            ] {
                let value = Column::from_rows([value]).unwrap();
                batch.set(&FieldPath::parse(path).unwrap(), Form::Json, &value, &[]).unwrap();
            }
            let before = written(&batch);
            let failed = written(&batch.with_failures(vec![failure.clone()]));
            assert_ne!(before, failed);
            let back = Batch::read_json(failed.as_bytes(), Arc::new(other.clone()), Ack::none()).unwrap();
            assert_eq!(written(&back), before);
            assert_eq!(back.body().row(0), body);
        }
    }

    #[test]
    fn json_that_is_not_an_event_is_refused() {
        for (text, reason) in [
            ("{", "not JSON"),
            (r#"{"body":"","kind":"x"}"#, "`kind`"),
            ("{}", "no `body`"),
            (r#"{"body_base64":"*"}"#, "base64"),
            (r#"{"body":"","severity":"high"}"#, "`severity` must be"),
            (r#"{"body":"","trace_id":"1"}"#, "`trace_id` must have 32"),
        ] {
            let error = Batch::read_json(text.as_bytes(), origin(), Ack::none()).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }
}
