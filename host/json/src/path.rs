//! Paths into JSON: `a.b."x.y"[3].c`, `$` for the root, `[*]` for every element, once.

use std::fmt;
use std::str::FromStr;

use crate::text::{escape, unescape};

/// Maximum number of segments of a path; a search recurses as deep as its longest path.
pub const MAX_SEGMENTS: usize = 64;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The member of an object with this key, unescaped.
    Key(Box<str>),
    /// The element of an array with this index.
    Index(usize),
    /// Every element of an array.
    Each,
}

/// The path from the root of a text to a value, or with one `[*]` to many values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Box<[Segment]>,
}

/// A text that is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The path as written.
    pub path: Box<str>,
    /// Offset in bytes of the error.
    pub position: usize,
    /// What is expected there.
    pub expected: &'static str,
}

impl fmt::Display for PathError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "path `{}`: expected {} at byte {}", self.path, self.expected, self.position)
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Parses a path.
    ///
    /// A key is bare, or a JSON string if it contains a dot, a bracket, a quote or white space.
    ///
    /// # Errors
    ///
    /// The text is not a path; the error has the place and the expected text.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut reader = Reader { text, rest: text };
        let segments = reader.path()?;
        Ok(Self { segments: segments.into() })
    }

    /// Returns the segments of the path; an empty slice for the root.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns whether this is `$`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the segments before and after `[*]`, or `None` if the path has no `[*]`.
    #[must_use]
    pub fn around_each(&self) -> Option<(&[Segment], &[Segment])> {
        let place = self.segments.iter().position(|segment| *segment == Segment::Each)?;
        let (before, rest) = self.segments.split_at_checked(place)?;
        Some((before, rest.get(1..)?))
    }
}

impl From<Vec<Segment>> for Path {
    fn from(segments: Vec<Segment>) -> Self {
        Self { segments: segments.into() }
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return out.write_str("$");
        }
        for (number, segment) in self.segments.iter().enumerate() {
            if number > 0 && matches!(segment, Segment::Key(_)) {
                out.write_str(".")?;
            }
            segment.fmt(out)?;
        }
        Ok(())
    }
}

/// A segment as it stands in a path, without the dot before a key.
impl fmt::Display for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(out, "[{index}]"),
            Self::Each => out.write_str("[*]"),
            Self::Key(key) => write_key(key, out),
        }
    }
}

fn write_key(key: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Quote a key that is just `$`: bare, it is the root.
    if !key.is_empty() && key != "$" && !key.contains(ends_bare_key) {
        return out.write_str(key);
    }
    let mut escaped = Vec::with_capacity(key.len());
    escape(key.as_bytes(), &mut escaped);
    write!(out, "\"{}\"", String::from_utf8_lossy(&escaped))
}

fn ends_bare_key(char: char) -> bool {
    matches!(char, '.' | '[' | ']' | '"') || char.is_whitespace()
}

/// Reads the number of an element. The limit is that of 32-bit WebAssembly on every platform, so that a path is valid in
/// the host and in nodes.
fn index(digits: &str) -> Option<usize> {
    usize::try_from(digits.parse::<u32>().ok()?).ok()
}

/// Parses a path from its text.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn path(&mut self) -> Result<Vec<Segment>, PathError> {
        let mut segments = Vec::new();
        // A key can begin with `$`, such as `$schema`; then it is not the root.
        if let Some(rest) = self.rest.strip_prefix('$')
            && (rest.is_empty() || rest.starts_with(['.', '[']))
        {
            self.rest = rest;
        } else if !self.rest.starts_with('[') {
            segments.push(self.key()?);
        }
        while !self.rest.is_empty() {
            if segments.len() == MAX_SEGMENTS {
                return Err(self.expected("the end of the path, since it has 64 segments"));
            }
            let segment = if self.take(".") {
                self.key()?
            } else if self.take("[") {
                self.bracket(segments.contains(&Segment::Each))?
            } else {
                return Err(self.expected("`.` or `[`"));
            };
            segments.push(segment);
        }
        Ok(segments)
    }

    fn key(&mut self) -> Result<Segment, PathError> {
        if self.take("\"") {
            return self.quoted_key();
        }
        let end = self.rest.find(ends_bare_key).unwrap_or(self.rest.len());
        match self.rest.split_at_checked(end) {
            Some((key, rest)) if !key.is_empty() => {
                self.rest = rest;
                Ok(Segment::Key(key.into()))
            }
            _ => Err(self.expected("a key")),
        }
    }

    fn quoted_key(&mut self) -> Result<Segment, PathError> {
        let mut escaped = false;
        let end = self.rest.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        let Some((inner, rest)) = end.and_then(|end| self.rest.split_at_checked(end)) else {
            // The error is at the end of the path.
            self.rest = "";
            return Err(self.expected("`\"` after the key"));
        };
        let mut key = Vec::with_capacity(inner.len());
        if let Err(error) = unescape(inner.as_bytes(), &mut key) {
            // Moves to the invalid escape, so that the error has its position.
            self.rest = self.rest.get(error.offset..).unwrap_or_default();
            return Err(self.expected("a JSON escape, such as `\\\"` or `\\\\`,"));
        }
        self.rest = rest;
        // The closing quote was found above.
        self.take("\"");
        Ok(Segment::Key(String::from_utf8_lossy(&key).into()))
    }

    fn bracket(&mut self, has_each: bool) -> Result<Segment, PathError> {
        if self.rest.starts_with('*') && has_each {
            return Err(self.expected("a number, since a path can contain only one `[*]`,"));
        }
        let segment = if self.take("*") {
            Segment::Each
        } else {
            let end = self.rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(self.rest.len());
            let number = self.rest.split_at_checked(end);
            match number.and_then(|(digits, rest)| Some((index(digits)?, rest))) {
                Some((index, rest)) => {
                    self.rest = rest;
                    Segment::Index(index)
                }
                None => return Err(self.expected("the number of an element, 0 to 4294967295, or `*`")),
            }
        };
        if self.take("]") { Ok(segment) } else { Err(self.expected("`]`")) }
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expected(&self, expected: &'static str) -> PathError {
        PathError { path: self.text.into(), position: self.text.len() - self.rest.len(), expected }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(key: &str) -> Segment {
        Segment::Key(key.into())
    }

    #[track_caller]
    fn check(text: &str, segments: &[Segment], shown: &str) {
        let path = Path::parse(text).unwrap();
        assert_eq!(path.segments(), segments);
        assert_eq!(path.to_string(), shown);
        assert_eq!(Path::parse(shown).unwrap(), path);
    }

    #[test]
    fn parses_and_prints_paths() {
        check("$", &[], "$");
        check("a", &[key("a")], "a");
        check("$.a", &[key("a")], "a");
        check("$ref.x", &[key("$ref"), key("x")], "$ref.x");
        check("\"$\"", &[key("$")], "\"$\"");
        check("a.$", &[key("a"), key("$")], "a.\"$\"");
        check("a.b.\"x.y\".c", &[key("a"), key("b"), key("x.y"), key("c")], "a.b.\"x.y\".c");
        check("Records[*].eventName", &[key("Records"), Segment::Each, key("eventName")], "Records[*].eventName");
        check("$[3][0].a", &[Segment::Index(3), Segment::Index(0), key("a")], "[3][0].a");
        check("\"\".\"q\\\"\\\\ \\u00e9\\n\"", &[key(""), key("q\"\\ é\n")], "\"\".\"q\\\"\\\\ é\\n\"");
        check("a\\b.*.-", &[key("a\\b"), key("*"), key("-")], "a\\b.*.-");
    }

    #[track_caller]
    fn refuse(text: &str, position: usize, message: &str) {
        let error = Path::parse(text).unwrap_err();
        assert_eq!(error.position, position, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn an_error_has_the_place_and_the_expected_text() {
        refuse("", 0, "path ``: expected a key at byte 0");
        refuse("a.", 2, "expected a key");
        refuse("a..b", 2, "expected a key");
        refuse("$.", 2, "expected a key");
        refuse("a b", 1, "expected `.` or `[`");
        refuse("a\"b\"", 1, "expected `.` or `[`");
        refuse("a]", 1, "expected `.` or `[`");
        refuse("a[", 2, "the number of an element, 0 to 4294967295, or `*`");
        refuse("a[-1]", 2, "the number of an element, 0 to 4294967295, or `*`");
        refuse("a[4294967296]", 2, "the number of an element, 0 to 4294967295, or `*`");
        refuse("a[99999999999999999999999]", 2, "the number of an element, 0 to 4294967295, or `*`");
        refuse("a[1", 3, "`]`");
        refuse("a[1 ]", 3, "`]`");
        refuse("a[*].b[*]", 7, "only one `[*]`");
        refuse("a.\"b", 4, "`\"` after the key");
        refuse("a.\"bc\\x\"", 5, "a JSON escape");
        refuse(&"a.".repeat(80), 127, "64 segments");
    }

    proptest! {
        #[test]
        fn a_printed_path_parses_to_the_same_path(segments in prop::collection::vec(
            prop_oneof![
                any::<String>().prop_map(|key| Segment::Key(key.into())),
                any::<u32>().prop_map(|index| Segment::Index(index as usize)),
            ], 0..8), each in any::<prop::sample::Index>(), with_each: bool,
        ) {
            let mut segments = segments;
            if with_each {
                segments.insert(each.index(segments.len() + 1), Segment::Each);
            }
            let path = Path { segments: segments.into() };
            prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
            }
        }
    }
}
