//! Changes of texts: `replace`, `trim`, `split`, `join` and `slice`.

use regex::bytes::Regex;
use wattle_node::json::{self, Kind, Value};

use super::boundary::is_boundary;
use super::case::string;
use super::value::{Change, Made, utf8};
use super::{Compiler, groups};
use crate::options::{self, CharacterSide};
use crate::problem::Problem;

/// Appends a text as a JSON string.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(text, out);
    out.push(b'"');
}

/// Checks the groups in a replacement, of which `parameter` is the name. Returns `None` after it reported an error.
pub(super) fn check_groups(
    parameter: &str,
    replacement: &str,
    regex: &Regex,
    compiler: &mut Compiler<'_, '_>,
) -> Option<()> {
    let found = groups::unknown(replacement, regex);
    for message in &found {
        compiler.error(parameter, message.as_str());
    }
    found.is_empty().then_some(())
}

/// Whether a pattern can match a part of a character, by `(?-u)`.
pub(super) fn splits_characters(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_err()
}

pub(crate) struct Replace {
    regex: Regex,
    with: Box<[u8]>,
    has_groups: bool,
    limit: usize,
    splits_characters: bool,
}

impl Replace {
    pub(super) fn new(options: &options::Replace, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let regex = compiler.regex("pattern", &options.pattern)?;
        check_groups("with", &options.with, &regex, compiler)?;
        let limit = if options.first == Some(true) { 1 } else { usize::MAX };
        Some(Self { limit, ..Self::all(regex, &options.with) })
    }

    /// Replaces each match.
    pub(super) fn all(regex: Regex, with: &str) -> Self {
        let splits_characters = splits_characters(regex.as_str());
        let has_groups = with.contains('$');
        Self { regex, with: with.as_bytes().into(), has_groups, limit: usize::MAX, splits_characters }
    }

    /// Appends the text with its matches replaced.
    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        // Empty matches inside a character would split it.
        let counts = |start, end| start < end || is_boundary(text, start);
        let mut last = 0;
        let mut copy = |range: std::ops::Range<usize>, out: &mut Vec<u8>| {
            out.extend_from_slice(text.get(last..range.start).unwrap_or_default());
            last = range.end;
        };
        if self.has_groups {
            let found = self.regex.captures_iter(text).filter_map(|found| Some((found.get(0)?.range(), found)));
            for (range, found) in found.filter(|(range, _)| counts(range.start, range.end)).take(self.limit) {
                copy(range, out);
                found.expand(&self.with, out);
            }
        } else {
            let found = self.regex.find_iter(text).filter(|found| counts(found.start(), found.end()));
            for found in found.take(self.limit) {
                copy(found.range(), out);
                out.extend_from_slice(&self.with);
            }
        }
        out.extend_from_slice(text.get(last..).unwrap_or_default());
    }
}

impl Change for Replace {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        self.write(text, out);
        if self.splits_characters && std::str::from_utf8(text).is_ok() && std::str::from_utf8(out).is_err() {
            return Err(Problem::BadValue(
                "UTF-8 after the replacement, because the pattern matches parts of characters",
            ));
        }
        Ok(Made::Text)
    }
}

pub(crate) struct Trim {
    characters: Option<String>,
    side: CharacterSide,
}

impl Trim {
    /// Returns `None` after it reported an error.
    pub(super) fn new(options: &options::Trim, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if options.characters.as_deref() == Some("") {
            compiler.error("characters", "at least one character is needed; remove `characters` for white space");
            return None;
        }
        Some(Self { characters: options.characters.clone(), side: options.side })
    }
}

impl Change for Trim {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        let mut text = utf8(text)?;
        let goes = |char: char| match &self.characters {
            Some(characters) => characters.contains(char),
            None => char.is_whitespace(),
        };
        if self.side != CharacterSide::End {
            text = text.trim_start_matches(goes);
        }
        if self.side != CharacterSide::Start {
            text = text.trim_end_matches(goes);
        }
        out.extend_from_slice(text.as_bytes());
        Ok(Made::Text)
    }
}

/// What stands between parts.
enum Between {
    Text(Box<memchr::memmem::Finder<'static>>),
    Pattern(Regex),
}

pub(crate) struct Split {
    between: Between,
    limit: usize,
    splits_characters: bool,
}

impl Split {
    pub(super) fn new(options: &options::Split, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if options.limit == Some(0) {
            compiler.error("limit", "at least one part is needed; remove `limit` for any number");
        }
        let between = match (&options.separator, &options.pattern) {
            (Some(text), None) if text.is_empty() => {
                compiler.error("separator", "a separator has at least one character");
                return None;
            }
            (Some(text), None) => Between::Text(Box::new(memchr::memmem::Finder::new(text).into_owned())),
            (None, Some(pattern)) => {
                let regex = compiler.regex("pattern", pattern)?;
                let shortest = regex_syntax::parse(pattern).ok().and_then(|parsed| parsed.properties().minimum_len());
                if shortest == Some(0) {
                    compiler.error(
                        "pattern",
                        "the pattern matches an empty text, which stands between any two characters; write a pattern \
                         that matches at least one character, such as `\\s+` instead of `\\s*`",
                    );
                    return None;
                }
                Between::Pattern(regex)
            }
            _ => {
                let at = compiler.at.to_owned();
                compiler.setup.error(at, "`split` takes exactly one of `separator` and `pattern`");
                return None;
            }
        };
        let splits_characters = options.pattern.as_deref().is_some_and(splits_characters);
        Some(Self { between, limit: options.limit.unwrap_or(usize::MAX), splits_characters })
    }
}

impl Change for Split {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        utf8(text)?;
        out.push(b'[');
        let mut last = 0;
        let ends = self.limit.saturating_sub(1);
        let checks = self.splits_characters;
        let mut is_utf8 = true;
        let mut part = |start: usize, end: usize| {
            let part = text.get(last..start).unwrap_or_default();
            is_utf8 &= !checks || std::str::from_utf8(part).is_ok();
            write_string(part, out);
            out.push(b',');
            last = end;
        };
        match &self.between {
            Between::Text(finder) => {
                let length = finder.needle().len();
                finder.find_iter(text).take(ends).for_each(|at| part(at, at + length));
            }
            Between::Pattern(regex) => {
                // An empty match separates nothing.
                let found = regex.find_iter(text).filter(|found| !found.is_empty());
                found.take(ends).for_each(|found| part(found.start(), found.end()));
            }
        }
        let part = text.get(last..).unwrap_or_default();
        if !is_utf8 || (checks && std::str::from_utf8(part).is_err()) {
            return Err(Problem::BadValue("UTF-8 after the split, because the pattern matches parts of characters"));
        }
        write_string(part, out);
        out.push(b']');
        Ok(Made::Json)
    }
}

pub(crate) struct Join {
    separator: Box<[u8]>,
}

impl Join {
    pub(super) fn new(separator: Option<&str>) -> Self {
        Self { separator: separator.unwrap_or(",").as_bytes().into() }
    }
}

impl Change for Join {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        const WANTED: &str = "an array of strings, numbers and booleans";
        if kind != Kind::Array {
            return Err(Problem::WrongType(kind, WANTED));
        }
        let mut is_first = true;
        let mut is_flat = true;
        let walked = json::elements(text, Value { start: 0, end: text.len(), kind }, |element| {
            if element.kind == Kind::Null {
                return;
            }
            is_flat &= element.kind < Kind::Array;
            if !std::mem::take(&mut is_first) {
                out.extend_from_slice(&self.separator);
            }
            match element.string(text) {
                Some(inner) => json::unescape_lossy(inner, out),
                None => out.extend_from_slice(element.text(text)),
            }
        });
        if walked.is_ok() && is_flat { Ok(Made::Text) } else { Err(Problem::BadValue(WANTED)) }
    }
}

pub(crate) struct Slice {
    start: i64,
    end: Option<i64>,
}

impl Slice {
    /// Returns `None` after it reported an error.
    pub(super) fn new(options: &options::Slice, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if options.start.is_none() && options.end.is_none() {
            let at = compiler.at.to_owned();
            compiler.setup.error(at, "`slice` takes `start`, `end` or both; without them, everything stays");
            return None;
        }
        let start = options.start.unwrap_or(0);
        // With different signs, it depends on the length what stays.
        if let Some(end) = options.end.filter(|end| start >= *end && (start < 0) == (*end < 0)) {
            compiler.error(
                "start",
                format!(
                    "`start` is {start} and `end` is {end}, so nothing would stay; `start` must be less than `end`"
                ),
            );
            return None;
        }
        Some(Self { start, end: options.end })
    }

    /// The range for this many items.
    fn range(&self, count: usize) -> (usize, usize) {
        let place = |number: i64| {
            let distance = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            if number < 0 { count.saturating_sub(distance) } else { distance.min(count) }
        };
        (place(self.start), self.end.map_or(count, place))
    }
}

impl Change for Slice {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        match kind {
            Kind::String => {
                let text = utf8(text)?;
                if text.is_ascii() {
                    let (start, end) = self.range(text.len());
                    out.extend_from_slice(text.as_bytes().get(start..end).unwrap_or_default());
                } else {
                    let (start, end) = self.range(text.chars().count());
                    let chars = text.chars().skip(start).take(end.saturating_sub(start));
                    chars.for_each(|char| out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()));
                }
                Ok(Made::Text)
            }
            Kind::Array => {
                let array = Value { start: 0, end: text.len(), kind };
                let invalid = |_| Problem::BadValue("valid JSON");
                let count = json::elements(text, array, |_| {}).map_err(invalid)?;
                let (start, end) = self.range(count);
                out.push(b'[');
                let mut number = 0;
                json::elements(text, array, |element| {
                    if (start..end).contains(&number) {
                        if number > start {
                            out.push(b',');
                        }
                        out.extend_from_slice(element.text(text));
                    }
                    number += 1;
                })
                .map_err(invalid)?;
                out.push(b']');
                Ok(Made::Json)
            }
            _ => Err(Problem::WrongType(kind, "a string or an array")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replace(pattern: &str, with: &str, limit: usize, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Replace { limit, ..Replace::all(Regex::new(pattern).unwrap(), with) }.write(text, &mut out);
        out
    }

    #[test]
    fn empty_matches_split_no_character() {
        let all = |pattern, with, text| String::from_utf8(replace(pattern, with, usize::MAX, text)).unwrap();
        assert_eq!(all(r"\d*", "-", "aä1".as_bytes()), "-a-ä-");
        assert_eq!(all("(x*)", "<$1>", "äxä".as_bytes()), "<>ä<x>ä<>");
        assert_eq!(replace("x*", "-", usize::MAX, b"\xc3\xa4\xff"), b"-\xc3\xa4-\xff-");
        // The first match that counts is not the first one of the bytes.
        assert_eq!(replace(r"(?-u:\B)", "-", 1, "äx".as_bytes()), "-äx".as_bytes());
    }

    proptest! {
        #[test]
        fn valid_text_is_replaced_as_in_str(text in "[axä€ 1]{0,12}", which in 0..8_usize, limit in 1..4_usize) {
            let pattern = [r"\d*", "x*", ",?", r"\b", r"\B", "(?-u:\\B)", "(ä|)", "a*?"][which];
            for with in ["-", "<$0>"] {
                let expected = regex::Regex::new(pattern).unwrap().replacen(&text, limit, with).into_owned();
                let found = replace(pattern, with, limit, text.as_bytes());
                prop_assert_eq!(String::from_utf8(found).ok(), Some(expected), "{}", pattern);
            }
        }
    }
}
