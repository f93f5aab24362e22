//! Makes events of actions and documents, and the response to each.
//!
//! | of the action | in the event |
//! | --- | --- |
//! | the document | the body, unchanged |
//! | `@timestamp` of the document | the timestamp |
//! | `_index` | `attributes.elasticsearch.index` |
//! | `_id` | `attributes.elasticsearch.id` |
//! | `pipeline` | `attributes.elasticsearch.pipeline` |

use bytes::Bytes;
use serde_json::Value as Json;
use wattle_batch::{EventKind, MAX_JSON_DEPTH, RowParts, Rows, Span};
use wattle_json::{Kind, Path, Value};

use super::date::nanoseconds;
use super::{Call, Items};
use crate::assemble::BatchLimits;
use crate::http::refusal::Refusal;
use crate::in_flight::Share;

/// Longest name in an action, in bytes: that of an id; names of indices are shorter.
const MAX_NAME_BYTES: usize = 512;

/// Longest action in bytes. Its JSON becomes a tree, which takes many times as much memory.
const MAX_ACTION_BYTES: usize = 16 << 10;

/// Converts a body to events in batches, and to the response.
///
/// # Errors
///
/// A line is no action, or the body ends after one: what follows cannot be understood, so no event may be used. Or there is
/// no memory now.
pub(in crate::http) fn frame(
    body: &Bytes,
    call: &Call,
    share: &mut Share,
    limits: &BatchLimits,
) -> Result<(Vec<Rows>, Items), Refusal> {
    let mut maker = Maker {
        call,
        limits,
        // This is a path.
        time: Path::parse("\"@timestamp\"").unwrap_or_default(),
        full: Vec::new(),
        bytes: body.len(),
        open: Rows::new(EventKind::Log),
        last: None,
        items: Items::default(),
    };
    let mut lines = Lines { body, at: 0, number: 0 };
    while let Some(line) = lines.next() {
        let action = Action::parse(line, call)
            .map_err(|reason| Refusal::bad(format!("malformed action in line {}: {reason}", lines.number)))?;
        if action.operation == Operation::Delete {
            maker.refuse(
                &action,
                "action_request_validation_exception",
                "the agent takes documents only; it deletes none",
            );
        } else {
            let document = lines.next();
            let document = document.ok_or_else(|| {
                Refusal::bad(format!("the action in line {} has no document: the body is incomplete", lines.number))
            })?;
            maker.document(&action, document);
        }
        share.cover_all(maker.used() as u64)?;
    }
    if maker.items.text.is_empty() {
        return Err(Refusal::bad("the body has no action"));
    }
    maker.close(true);
    Ok((maker.full, maker.items))
}

/// The lines of a body that are not empty.
struct Lines<'b> {
    body: &'b [u8],
    at: usize,
    /// Number of the last line, from 1.
    number: usize,
}

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        loop {
            let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.at += length + 1;
            self.number += 1;
            let line = rest.get(..length).unwrap_or_default().trim_ascii();
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Index,
    Create,
    Update,
    Delete,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A line before a document.
#[derive(Debug)]
struct Action {
    operation: Operation,
    index: Option<String>,
    id: Option<String>,
    pipeline: Option<String>,
}

impl Action {
    fn parse(line: &[u8], call: &Call) -> Result<Self, String> {
        if line.len() > MAX_ACTION_BYTES {
            return Err(format!("more than {MAX_ACTION_BYTES} bytes"));
        }
        let json: Json = serde_json::from_slice(line).map_err(|error| format!("not a JSON object ({error})"))?;
        let Json::Object(members) = json else { return Err("not an object".to_owned()) };
        let mut members = members.into_iter();
        let (Some((name, about)), None) = (members.next(), members.next()) else {
            return Err("not an object with one member".to_owned());
        };
        let operations = [Operation::Index, Operation::Create, Operation::Update, Operation::Delete];
        let operation = operations.into_iter().find(|operation| operation.name() == name);
        let operation =
            operation.ok_or("the member is not one of `index`, `create`, `update` and `delete`".to_owned())?;
        let Json::Object(about) = about else { return Err(format!("`{name}` is not an object")) };
        let text = |name: &str| match about.get(name) {
            Some(Json::String(text)) if !text.is_empty() => Some(text.clone()),
            // Numbers are ids too.
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Ok(Self {
            operation,
            index: text("_index").or_else(|| call.index.clone()),
            id: text("_id"),
            pipeline: text("pipeline").or_else(|| call.pipeline.clone()).filter(|pipeline| pipeline != "_none"),
        })
    }

    /// Why the action is refused whatever its document is.
    fn problem(&self) -> Option<&'static str> {
        let is_long = |name: &Option<String>| name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES);
        if self.operation == Operation::Update {
            Some("the agent takes documents by `index` and `create`; it updates none")
        } else if self.index.is_none() {
            Some("index is missing")
        } else if is_long(&self.index) || is_long(&self.id) || is_long(&self.pipeline) {
            Some("`_index`, `_id` or `pipeline` has more than 512 bytes")
        } else {
            None
        }
    }

    /// The attributes of the event.
    fn attributes(&self) -> Json {
        let mut about = serde_json::Map::new();
        for (name, value) in [("index", &self.index), ("id", &self.id), ("pipeline", &self.pipeline)] {
            if let Some(value) = value {
                about.insert(name.to_owned(), value.as_str().into());
            }
        }
        serde_json::json!({ "elasticsearch": about })
    }
}

/// Makes batches and the response.
struct Maker<'c> {
    call: &'c Call,
    limits: &'c BatchLimits,
    time: Path,
    full: Vec<Rows>,
    /// Bytes of the body and of full batches.
    bytes: usize,
    open: Rows,
    /// The attributes of the last event without an id, and where they stand.
    last: Option<(Json, Span)>,
    items: Items,
}

impl Maker<'_> {
    /// Bytes that are in use.
    fn used(&self) -> usize {
        // The response is copied once, with what is around its items.
        self.bytes + open_bytes(&self.open) + 2 * self.items.text.len()
    }

    fn document(&mut self, action: &Action, document: &[u8]) {
        if let Some(reason) = action.problem() {
            return self.refuse(action, "action_request_validation_exception", reason);
        }
        match wattle_json::check(document, MAX_JSON_DEPTH) {
            Ok(Kind::Object) => {}
            Ok(_) => return self.refuse(action, "document_parsing_exception", "the document is not an object"),
            Err(error) => {
                let reason = format!("the document is not valid JSON: {error}");
                return self.refuse(action, "document_parsing_exception", &reason);
            }
        }
        let time = wattle_json::find(document, &self.time).ok().flatten();
        let text = |value: Value| value.string(document).unwrap_or(value.text(document));
        let time = time.and_then(|time| nanoseconds(time.kind, text(time)));
        let about = action.attributes();
        // Most clients leave ids to the server, so that all documents have the same attributes.
        let attributes = match &self.last {
            Some((last, span)) if *last == about => *span,
            _ => {
                let span = self.open.write(|out| out.extend_from_slice(about.to_string().as_bytes()));
                self.last = Some((about, span));
                span
            }
        };
        let body = self.open.write(|out| out.extend_from_slice(document));
        self.open.push(RowParts { body, attributes, time, ..RowParts::default() });
        self.close(false);
        self.item(action, if self.call.is_short { "\"status\":201" } else { "\"result\":\"created\",\"status\":201" });
    }

    /// Responds that an action is wrong.
    fn refuse(&mut self, action: &Action, kind: &str, reason: &str) {
        self.items.errors += 1;
        let error = serde_json::json!({ "type": kind, "reason": reason });
        self.item(action, &format!("\"status\":400,\"error\":{error}"));
    }

    fn item(&mut self, action: &Action, result: &str) {
        let out = &mut self.items.text;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(action.operation.name().as_bytes());
        out.extend_from_slice(b"\":{");
        if !self.call.is_short {
            for (name, value) in [("_index", &action.index), ("_id", &action.id)] {
                if let Some(value) = value {
                    out.extend_from_slice(format!("\"{name}\":{},", Json::from(value.as_str())).as_bytes());
                }
            }
        }
        out.extend_from_slice(result.as_bytes());
        out.extend_from_slice(b"}}");
    }

    fn close(&mut self, all: bool) {
        if self.open.rows() > 0 && (all || self.limits.reached(self.open.byte_len(), self.open.rows())) {
            self.bytes += open_bytes(&self.open);
            self.full.push(std::mem::replace(&mut self.open, Rows::new(EventKind::Log)));
            self.last = None;
        }
    }
}

fn open_bytes(rows: &Rows) -> usize {
    rows.byte_len() + rows.rows() * size_of::<RowParts>()
}
