//! Gets the value of one row from its text: as a whole, by a pattern, or from every element of an
//! array.

use regex::bytes::{CaptureLocations, Regex};
use wattle_node::json::{self, Kind, Path};

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The field is missing or null.
    Field,
    /// The pattern does not match.
    Match,
}

/// A pattern and the group that is the value.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    group: usize,
    found: CaptureLocations,
}

impl Pattern {
    pub(crate) fn new(regex: Regex, group: usize) -> Self {
        Self { found: regex.capture_locations(), regex, group }
    }

    /// The match of the group in a text.
    fn find<'t>(&mut self, text: &'t [u8]) -> Result<&'t [u8], Missing> {
        let span = if self.group == 0 {
            self.regex.find(text).map(|found| found.range())
        } else {
            let matched = self.regex.captures_read(&mut self.found, text);
            matched.and_then(|_| self.found.get(self.group)).map(|(start, end)| start..end)
        };
        span.and_then(|span| text.get(span)).ok_or(Missing::Match)
    }
}

/// Finds values. Keeps its memory from row to row.
#[derive(Debug)]
pub(crate) struct Finder {
    each: Option<Path>,
    pattern: Option<Pattern>,
    unchecked: bool,
    text: Vec<u8>,
}

/// The deepest JSON that the host accepts as valid.
const MAX_DEPTH: usize = 512;

impl Finder {
    /// A finder. `each` is the path from the field to each value; `unchecked` means that the
    /// JSON of the field is not validated yet.
    pub(crate) fn new(each: Option<Path>, pattern: Option<Pattern>, unchecked: bool) -> Self {
        Self { each, pattern, unchecked, text: Vec::new() }
    }

    /// Whether the finder copies values unchanged.
    pub(crate) fn copies(&self) -> bool {
        self.each.is_none() && self.pattern.is_none()
    }

    /// Appends the value of a row. After an error `out` may contain a part of it.
    pub(crate) fn find(&mut self, row: &[u8], kind: Kind, out: &mut Vec<u8>) -> Result<(), Missing> {
        if kind <= Kind::Null {
            return Err(Missing::Field);
        }
        // The host searches bodies without validating them, so the match can be in invalid JSON.
        if self.unchecked && json::check(row, MAX_DEPTH).is_err() {
            return Err(Missing::Field);
        }
        if self.each.is_some() {
            return self.find_each(row, out);
        }
        let value = match &mut self.pattern {
            Some(pattern) => pattern.find(row)?,
            None => row,
        };
        out.extend_from_slice(value);
        Ok(())
    }

    /// Appends a JSON array of all values that are not null.
    fn find_each(&mut self, row: &[u8], out: &mut Vec<u8>) -> Result<(), Missing> {
        let Self { each: Some(path), pattern, text, .. } = self else { return Err(Missing::Field) };
        let mut seen = false;
        out.push(b'[');
        let start = out.len();
        let walked = json::each(row, path, |value| {
            if value.kind == Kind::Null {
                return;
            }
            seen = true;
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            let Some(pattern) = pattern else {
                return out.extend_from_slice(value.text(row));
            };
            match pattern.find(text_of(&value, row, text)) {
                Ok(found) => {
                    out.push(b'"');
                    json::escape(found, out);
                    out.push(b'"');
                }
                Err(_) => out.truncate(before),
            }
        });
        let count = out.len() - start;
        out.push(b']');
        match (walked, seen, count) {
            (Ok(_), true, 1..) => Ok(()),
            (Ok(_), true, 0) => Err(Missing::Match),
            _ => Err(Missing::Field),
        }
    }
}

/// A value in text form: strings without quotes and escapes, other values unchanged.
fn text_of<'a>(value: &json::Value, row: &'a [u8], memory: &'a mut Vec<u8>) -> &'a [u8] {
    match value.string(row) {
        Some(inner) if memchr::memchr(b'\\', inner).is_some() => {
            memory.clear();
            json::unescape_lossy(inner, memory);
            memory
        }
        Some(inner) => inner,
        None => value.text(row),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finder(each: Option<&str>, pattern: Option<(&str, usize)>) -> Finder {
        let pattern = pattern.map(|(text, group)| Pattern::new(Regex::new(text).unwrap(), group));
        Finder::new(each.map(|path| Path::parse(path).unwrap()), pattern, each.is_some())
    }

    fn found(finder: &mut Finder, row: &[u8]) -> Result<String, Missing> {
        let mut out = Vec::new();
        finder.find(row, Kind::String, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[track_caller]
    fn check(mut finder: Finder, row: &str, expected: Result<&str, Missing>) {
        assert_eq!(found(&mut finder, row.as_bytes()), expected.map(str::to_owned), "{row}");
    }

    #[test]
    fn patterns_give_their_group() {
        check(finder(None, Some(("b(c)?", 0))), "abcd", Ok("bc"));
        check(finder(None, Some(("b(c)?", 1))), "abcd", Ok("c"));
        check(finder(None, Some(("b(c)?", 1))), "abd", Err(Missing::Match));
        check(finder(None, Some(("x", 0))), "abd", Err(Missing::Match));
    }

    #[test]
    fn each_gives_an_array_of_the_values_that_exist() {
        let row = r#"[{"a":1},{"a":null},{"b":2},{"a":["x"]},5,{"a":"\u0041\""}]"#;
        check(finder(Some("[*].a"), None), row, Ok(r#"[1,["x"],"\u0041\""]"#));
        check(finder(Some("[*].a"), Some(("[A-Z].?", 0))), row, Ok(r#"["A\""]"#));
        check(finder(Some("[*].a"), Some(("z", 0))), row, Err(Missing::Match));
        check(finder(Some("[*].c"), None), row, Err(Missing::Field));
        check(finder(Some("[*]"), None), "{}", Err(Missing::Field));
        check(finder(Some("[*]"), None), "[]", Err(Missing::Field));
        check(finder(Some("[*]"), None), "[{\"a\" 1}]", Err(Missing::Field));
        check(finder(Some("[*]"), None), "[1", Err(Missing::Field));
    }

    proptest! {
        #[test]
        fn arrays_are_valid_json_for_any_text(bytes: Vec<u8>, json in "[\\[\\]{}:,\"a1 ]{0,24}") {
            for pattern in [None, Some(("a|1", 0))] {
                for row in [&bytes[..], json.as_bytes()] {
                    if let Ok(array) = found(&mut finder(Some("[*]"), pattern), row) {
                        prop_assert!(json::check(array.as_bytes(), MAX_DEPTH).is_ok(), "{array}");
                    }
                }
            }
        }
    }
}
