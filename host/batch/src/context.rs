//! The roots `severity`, `trace_id`, `span_id` and `scope` of an event, in the terms of
//! OpenTelemetry: which values they take.
//!
//! The batch keeps them in one [`Object`](crate::object::Object), as an overlay with a column for each
//! root. Few events have them, and a batch without them has no column.

use wattle_json::Kind;

use crate::batch::SetProblem;
use crate::column::{ColumnBuilder, ColumnTooLarge};
use crate::object::ValueColumn;

/// How severe the event is: `text`, as the source wrote it, and `number`.
pub(crate) const SEVERITY: &str = "severity";
/// The trace that the event belongs to.
pub(crate) const TRACE_ID: &str = "trace_id";
/// The span that the event belongs to.
pub(crate) const SPAN_ID: &str = "span_id";
/// The library that made the event: `name`, `version` and `attributes`.
pub(crate) const SCOPE: &str = "scope";

/// All of them, in the order of encoded events.
pub(crate) const ROOTS: [&str; 4] = [SEVERITY, TRACE_ID, SPAN_ID, SCOPE];

/// Greatest number of a severity: `FATAL4`.
const MAX_SEVERITY: i64 = 24;

/// Checks the values of a root. Returns them in the form in which the batch keeps them, where `null`
/// stands for no value, and the rows with values that the root does not take; those have kind 0.
pub(crate) fn check(
    root: &str,
    values: &ValueColumn,
) -> Result<(ValueColumn, Vec<(usize, SetProblem)>), ColumnTooLarge> {
    let rows = values.values.rows();
    let mut builder = ColumnBuilder::with_capacity(values.values.byte_len(), rows);
    let (mut kinds, mut refused) = (Vec::with_capacity(rows), Vec::new());
    for row in 0..rows {
        let mut kind = Kind::Missing;
        if let Some((text, given)) = values.get(row) {
            let start = builder.byte_len();
            match write(root, text, given, builder.buffer()) {
                Ok(written) => kind = written,
                Err(problem) => {
                    builder.buffer().truncate(start);
                    refused.push((row, problem));
                }
            }
        }
        builder.finish_row()?;
        kinds.push(kind as u8);
    }
    Ok((ValueColumn { values: builder.finish(), kinds: kinds.into() }, refused))
}

/// Writes the value of a root; `null` for one that is to have none.
fn write(root: &str, text: &[u8], kind: Kind, out: &mut Vec<u8>) -> Result<Kind, SetProblem> {
    let (problem, written) = match root {
        TRACE_ID => (SetProblem::TraceId, write_id(text, 32, out)),
        SPAN_ID => (SetProblem::SpanId, write_id(text, 16, out)),
        SEVERITY => (SetProblem::Severity, write_object(text, kind, of_severity, out)),
        _ => (SetProblem::Scope, write_object(text, kind, of_scope, out)),
    };
    match written {
        _ if kind == Kind::Null => {}
        Some(kind) => return Ok(kind),
        None => return Err(problem),
    }
    out.extend_from_slice(b"null");
    Ok(Kind::Null)
}

/// Writes an id with this number of hexadecimal digits in lower case.
fn write_id(text: &[u8], digits: usize, out: &mut Vec<u8>) -> Option<Kind> {
    let id = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // An id of zeros is invalid in OpenTelemetry.
    let is_valid = id.len() == digits && id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|&digit| digit != b'0');
    is_valid.then(|| out.extend(text.iter().map(u8::to_ascii_lowercase)))?;
    Some(Kind::String)
}

/// What is written for the value of a member of a root; `None` if the root does not take it.
type MemberOf = for<'v> fn(key: &[u8], value: &'v [u8], kind: Kind) -> Option<&'v [u8]>;

/// Writes an object without its members that are `null`.
fn write_object(text: &[u8], kind: Kind, member: MemberOf, out: &mut Vec<u8>) -> Option<Kind> {
    let root = wattle_json::skip(text, 0).ok().filter(|_| kind == Kind::Object)?;
    let (mut are_valid, start) = (true, out.len());
    wattle_json::members(text, root, |key, value| {
        if value.kind == Kind::Null {
            return;
        }
        let key = key.text(text);
        let name = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
        let Some(written) = member(name, value.text(text), value.kind) else {
            are_valid = false;
            return;
        };
        out.push(if out.len() == start { b'{' } else { b',' });
        out.extend_from_slice(key);
        out.push(b':');
        out.extend_from_slice(written);
    })
    .ok()
    .filter(|_| are_valid)?;
    if out.len() == start {
        // Nothing is left of it.
        out.extend_from_slice(b"null");
        return Some(Kind::Null);
    }
    out.push(b'}');
    Some(Kind::Object)
}

/// The value of a member of `severity`, as it is written.
fn of_severity<'v>(key: &[u8], value: &'v [u8], kind: Kind) -> Option<&'v [u8]> {
    match key {
        b"text" if kind == Kind::String => Some(value),
        // What a node found in a text has quotes.
        b"number" => {
            let digits = value.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(value);
            let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (1..=MAX_SEVERITY).contains(&number).then_some(digits)
        }
        _ => None,
    }
}

/// The value of a member of `scope`, as it is written.
fn of_scope<'v>(key: &[u8], value: &'v [u8], kind: Kind) -> Option<&'v [u8]> {
    match key {
        b"name" | b"version" if kind == Kind::String => Some(value),
        b"attributes" if kind == Kind::Object => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;

    #[track_caller]
    fn check_one(root: &str, text: &str, expected: Result<&str, SetProblem>) {
        let kind = Kind::of_first_byte(text.as_bytes()[0]) as u8;
        let values = ValueColumn { values: Column::from_rows([text]).unwrap(), kinds: [kind].into() };
        let (kept, refused) = check(root, &values).unwrap();
        match expected {
            Ok(expected) => {
                assert_eq!((kept.values.row(0), &refused[..]), (expected.as_bytes(), &[][..]), "{text}");
                assert_eq!(kept.kinds[0], Kind::of_first_byte(expected.as_bytes()[0]) as u8, "{text}");
            }
            Err(problem) => assert_eq!((kept.kinds[0], &refused[..]), (0, &[(0, problem)][..]), "{text}"),
        }
    }

    #[test]
    fn a_root_takes_only_what_open_telemetry_allows() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        check_one(TRACE_ID, &format!("\"{}\"", id.to_uppercase()), Ok(&format!("\"{id}\"")));
        check_one(SPAN_ID, "\"b7ad6b7169203331\"", Ok("\"b7ad6b7169203331\""));
        for (root, problem) in [(TRACE_ID, SetProblem::TraceId), (SPAN_ID, SetProblem::SpanId)] {
            check_one(root, "null", Ok("null"));
            for text in
                ["\"\"", "7", "{}", "\"x7ad6b7169203331\"", &format!("\"{}\"", "0".repeat(32)), "\"0000000000000000\""]
            {
                check_one(root, text, Err(problem));
            }
        }
        check_one(SEVERITY, r#"{"text": "WARN","number":13}"#, Ok(r#"{"text":"WARN","number":13}"#));
        check_one(SEVERITY, r#"{"text":null,"number":24}"#, Ok(r#"{"number":24}"#));
        check_one(SEVERITY, r#"{"text":null}"#, Ok("null"));
        check_one(SEVERITY, r#"{"number":"9"}"#, Ok(r#"{"number":9}"#));
        for text in [
            r#"{"number":0}"#,
            r#"{"number":25}"#,
            r#"{"number":"x"}"#,
            r#"{"number":9.5}"#,
            r#"{"text":1}"#,
            r#"{"level":"x"}"#,
            "\"x\"",
        ] {
            check_one(SEVERITY, text, Err(SetProblem::Severity));
        }
        let scope = r#"{"name":"lib","version":"1","attributes":{"a":[null]}}"#;
        check_one(SCOPE, scope, Ok(scope));
        check_one(SCOPE, "{}", Ok("null"));
        for text in [r#"{"name":1}"#, r#"{"attributes":[]}"#, r#"{"schema":"x"}"#, "[]"] {
            check_one(SCOPE, text, Err(SetProblem::Scope));
        }
    }
}
