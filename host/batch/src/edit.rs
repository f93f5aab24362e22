//! Changes one value inside a JSON text without parsing the text to a tree.

use wattle_json::{Kind, Path, Segment};

use crate::object::write_string;

/// A value cannot be set at its path, because something on the way is neither an object nor
/// missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// Writes `text` to `out` with the value at `path` replaced by `value`, or added with the objects
/// that lead to it.
///
/// An empty text counts as `{}`. All other bytes stay the same.
pub(crate) fn set_value(text: &[u8], path: &Path, value: &[u8], out: &mut Vec<u8>) -> Result<(), NotAnObject> {
    let text = if text.is_empty() { b"{}".as_slice() } else { text };
    let segments = path.segments();
    if let Some(found) = wattle_json::find(text, path).map_err(|_| NotAnObject)? {
        splice(text, found.start, found.end, value, out);
        return Ok(());
    }
    // The longest existing part of the path must be an object; the rest is added at its end.
    for known in (0..segments.len()).rev() {
        let (before, missing) = segments.split_at_checked(known).ok_or(NotAnObject)?;
        let Some(parent) = wattle_json::find(text, &before.to_vec().into()).map_err(|_| NotAnObject)? else {
            continue;
        };
        if parent.kind != Kind::Object {
            return Err(NotAnObject);
        }
        let inside = text.get(parent.start + 1..parent.end.saturating_sub(1)).ok_or(NotAnObject)?;
        let is_empty = inside.iter().all(u8::is_ascii_whitespace);
        let mut added = Vec::with_capacity(value.len() + 32);
        if !is_empty {
            added.push(b',');
        }
        let mut open = 0;
        for (depth, segment) in missing.iter().enumerate() {
            let Segment::Key(key) = segment else { return Err(NotAnObject) };
            if depth > 0 {
                added.push(b'{');
                open += 1;
            }
            write_string(key.as_bytes(), &mut added);
            added.push(b':');
        }
        added.extend_from_slice(value);
        added.extend(std::iter::repeat_n(b'}', open));
        let end = parent.end.saturating_sub(1);
        splice(text, end, end, &added, out);
        return Ok(());
    }
    Err(NotAnObject)
}

fn splice(text: &[u8], start: usize, end: usize, with: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text.get(..start).unwrap_or_default());
    out.extend_from_slice(with);
    out.extend_from_slice(text.get(end..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, path: &str, expected: Option<&str>) {
        let mut out = Vec::new();
        let done = set_value(text.as_bytes(), &Path::parse(path).unwrap(), b"1", &mut out);
        assert_eq!(done.ok().map(|()| String::from_utf8(out).unwrap()).as_deref(), expected, "{text} {path}");
    }

    #[test]
    fn replaces_values_adds_missing_objects_and_refuses_paths_through_scalars() {
        check(r#"{"a": "x", "b":2}"#, "a", Some(r#"{"a": 1, "b":2}"#));
        check(r#"{"a": "x"}"#, "b", Some(r#"{"a": "x","b":1}"#));
        check("{ }", "b", Some(r#"{ "b":1}"#));
        check("", "a.b", Some(r#"{"a":{"b":1}}"#));
        check(r#"{"a":{"c":[1,2]}}"#, "a.c[1]", Some(r#"{"a":{"c":[1,1]}}"#));
        check(r#"{"a":{"c":0}}"#, "a.d.e", Some(r#"{"a":{"c":0,"d":{"e":1}}}"#));
        check(r#"{"a":5}"#, "a.b", None);
        check("[1]", "a", None);
        check("not json", "a", None);
        check(r#"{"a":[]}"#, "a[0]", None);
    }
}
