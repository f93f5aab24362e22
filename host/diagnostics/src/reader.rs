//! Reads typed values from a table and reports missing keys, unknown keys and wrong types.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use wattle_options::{Period, Quantity, Size, suggest};

use crate::codes;
use crate::findings::{Findings, Place};
use crate::value::{Data, Entry, Item, Table};

/// A string and its place.
#[derive(Clone)]
pub struct Text {
    /// The string.
    pub text: String,
    /// Its place.
    pub place: Place,
}

/// Reads one table; keys that are never requested are reported as unknown.
pub struct Reader<'a> {
    table: &'a Table,
    place: Place,
    name: String,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// Creates a reader for a table; messages refer to it by `name`, such as `[agent]`.
    pub fn new(table: &'a Table, place: Place, name: impl Into<String>) -> Self {
        Self { table, place, name: name.into(), known: Vec::new() }
    }

    /// Returns the entry of an optional key.
    pub fn optional(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.entry(key)
    }

    /// Returns the entry of a required key, or reports that it is missing.
    pub fn required(&mut self, key: &'static str, findings: &mut Findings) -> Option<&'a Entry> {
        let entry = self.optional(key);
        if entry.is_none() {
            let message = format!("missing key `{key}` in {}", self.name);
            // Any other misspelt key is reported as unknown, with this key as the suggestion.
            let same = self.table.0.iter().find(|entry| entry.key.eq_ignore_ascii_case(key));
            let hint = same.map(|same| format!("did you mean `{key}` by `{}`? Keys are in lower case", same.key));
            findings.report(codes::MISSING_KEY.at(self.place, message).hint_if(hint));
        }
        entry
    }

    /// Reads a string.
    pub fn string(&mut self, key: &'static str, findings: &mut Findings) -> Option<Text> {
        self.optional(key).and_then(|entry| string(entry, findings))
    }

    /// Reads a required string.
    pub fn required_string(&mut self, key: &'static str, findings: &mut Findings) -> Option<Text> {
        self.required(key, findings).and_then(|entry| string(entry, findings))
    }

    /// Reads a list of strings.
    pub fn strings(&mut self, key: &'static str, findings: &mut Findings) -> Option<Vec<Text>> {
        self.optional(key).and_then(|entry| strings(entry, findings))
    }

    /// Reads a required list of strings.
    pub fn required_strings(&mut self, key: &'static str, findings: &mut Findings) -> Option<Vec<Text>> {
        self.required(key, findings).and_then(|entry| strings(entry, findings))
    }

    /// Reads a table.
    pub fn table(&mut self, key: &'static str, findings: &mut Findings) -> Option<(&'a Table, &'a Entry)> {
        self.optional(key).and_then(|entry| table(entry, findings).map(|table| (table, entry)))
    }

    /// Returns the tables inside a table of names, as in `[sources.NAME]`.
    pub fn named(&mut self, key: &'static str, findings: &mut Findings) -> Vec<(&'a Table, &'a Entry)> {
        let Some((outer, _)) = self.table(key, findings) else { return Vec::new() };
        outer.0.iter().filter_map(|entry| table(entry, findings).map(|table| (table, entry))).collect()
    }

    /// Reads a number in a range; accepts a string of digits, since variables are strings.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
        let entry = self.optional(key)?;
        let number = match &entry.item.data {
            Data::Integer(number) => u64::try_from(*number).ok(),
            Data::String(text) => text.trim().parse().ok(),
            _ => return wrong_type(entry, "an integer", findings),
        };
        in_range(entry, number, range, |number| number.to_string(), findings)
    }

    /// Reads a boolean.
    pub fn boolean(&mut self, key: &'static str, findings: &mut Findings) -> Option<bool> {
        self.optional(key).and_then(|entry| boolean(entry, findings))
    }

    /// Reads a size in bytes.
    pub fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
        let entry = self.optional(key)?;
        let Size(size) = quantity(entry, findings)?;
        in_range(entry, Some(size), range, |size| Size(*size).write(), findings)
    }

    /// Reads a duration.
    pub fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        findings: &mut Findings,
    ) -> Option<Duration> {
        let entry = self.optional(key)?;
        let Period(period) = quantity(entry, findings)?;
        in_range(entry, Some(period), range, |time| format!("{time:?}"), findings)
    }

    /// Reads a number in a range that can have a decimal part.
    pub fn fraction(&mut self, key: &'static str, range: RangeInclusive<f64>, findings: &mut Findings) -> Option<f64> {
        let entry = self.optional(key)?;
        #[expect(clippy::cast_precision_loss, reason = "no range has numbers that large")]
        let number = match &entry.item.data {
            Data::Float(number) => Some(*number),
            Data::Integer(number) => Some(*number as f64),
            Data::String(text) => text.trim().parse().ok(),
            _ => return wrong_type(entry, "a number", findings),
        };
        in_range(entry, number, range, f64::to_string, findings)
    }

    /// Reads a share: greater than 0, at most 1.
    pub fn share(&mut self, key: &'static str, findings: &mut Findings) -> Option<f64> {
        self.fraction(key, 0.0001..=1.0, findings)
    }

    /// Reads one of several words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let entry = self.optional(key)?;
        let text = string(entry, findings)?.text;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let rule = format!("it is one of {}", suggest::list(choices.iter().map(|(word, _)| *word)));
            return bad_value(entry, rule, findings);
        }
        found.map(|(_, choice)| *choice)
    }

    /// Reports the keys that were never requested.
    pub fn finish(self, findings: &mut Findings) {
        let is_unknown = |entry: &&Entry| !self.known.contains(&entry.key.as_str());
        if !self.table.0.iter().any(|entry| is_unknown(&entry)) {
            return;
        }
        let unused: Vec<&str> = self.known.iter().copied().filter(|key| self.table.entry(key).is_none()).collect();
        for entry in self.table.0.iter().filter(is_unknown) {
            let message = format!("unknown key `{}` in {}", entry.key, self.name);
            let is_same = |key: &&&str| key.eq_ignore_ascii_case(&entry.key);
            let hint = self
                .known
                .iter()
                .find(is_same)
                .copied()
                .or_else(|| suggest::closest(&entry.key, unused.iter().copied()))
                .map(|key| format!("did you mean `{key}`?"))
                .unwrap_or_else(|| format!("{} accepts {}", self.name, suggest::list(self.known.iter().copied())));
            findings.report(codes::UNKNOWN_KEY.at(entry.place, message).hint(hint));
        }
    }
}

/// Reads a size or a duration as sources and sinks do.
fn quantity<Q: Quantity>(entry: &Entry, findings: &mut Findings) -> Option<Q> {
    let read = match &entry.item.data {
        Data::String(text) => Q::from_text(text),
        Data::Integer(number) => u64::try_from(*number).ok().and_then(Q::from_integer),
        Data::Float(number) => Q::from_float(*number),
        _ => return wrong_type(entry, Q::EXPECTED, findings),
    };
    if read.is_none() {
        return bad_value(entry, format_args!("it must be {}", Q::EXPECTED), findings);
    }
    read
}

fn string(entry: &Entry, findings: &mut Findings) -> Option<Text> {
    match &entry.item.data {
        Data::String(text) => Some(Text { text: text.clone(), place: entry.item.place }),
        _ => wrong_type(entry, "a string", findings),
    }
}

/// Returns the table of an entry; reports any other type.
pub fn table<'a>(entry: &'a Entry, findings: &mut Findings) -> Option<&'a Table> {
    match &entry.item.data {
        Data::Table(table) => Some(table),
        _ => wrong_type(entry, "a table", findings),
    }
}

/// Returns the boolean of an entry; reports any other type. Accepts the strings `true` and `false`,
/// since variables are strings.
pub fn boolean(entry: &Entry, findings: &mut Findings) -> Option<bool> {
    match &entry.item.data {
        Data::Boolean(value) => Some(*value),
        Data::String(text) if text == "true" => Some(true),
        Data::String(text) if text == "false" => Some(false),
        _ => wrong_type(entry, "a boolean", findings),
    }
}

/// Returns the strings of a list; reports any other type.
pub fn strings(entry: &Entry, findings: &mut Findings) -> Option<Vec<Text>> {
    let Data::List(items) = &entry.item.data else { return wrong_type(entry, "a list of strings", findings) };
    let mut texts = Vec::new();
    for item in items {
        match &item.data {
            Data::String(text) => texts.push(Text { text: text.clone(), place: item.place }),
            Data::Unknown => {}
            _ => {
                let message = format!("`{}` must be a list of strings, but contains {}", entry.key, item.kind());
                findings.report(codes::WRONG_TYPE.at(item.place, message));
            }
        }
    }
    Some(texts)
}

fn wrong_type<T>(entry: &Entry, expected: &str, findings: &mut Findings) -> Option<T> {
    let item: &Item = &entry.item;
    if !matches!(item.data, Data::Unknown) {
        let message = format!("`{}` must be {expected}, not {}", entry.key, item.kind());
        let brackets = matches!(item.data, Data::String(_)) && expected.starts_with("a list");
        let hint = brackets.then(|| "write it in brackets, as in `[\"a\"]`".to_owned());
        findings.report(codes::WRONG_TYPE.at(item.place, message).hint_if(hint));
    }
    None
}

fn bad_value<T>(entry: &Entry, rule: impl Display, findings: &mut Findings) -> Option<T> {
    let written = match &entry.item.data {
        Data::String(text) => text.clone(),
        Data::Integer(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        _ => String::new(),
    };
    findings.report(codes::BAD_VALUE.at(entry.item.place, format!("bad `{}`: `{written}`; {rule}", entry.key)));
    None
}

fn in_range<T: PartialOrd>(
    entry: &Entry,
    value: Option<T>,
    range: RangeInclusive<T>,
    write: impl Fn(&T) -> String,
    findings: &mut Findings,
) -> Option<T> {
    match value {
        Some(value) if range.contains(&value) => Some(value),
        _ => {
            let rule = format!("it must be between {} and {}", write(range.start()), write(range.end()));
            bad_value(entry, rule, findings)
        }
    }
}

/// Refuses a name that does not begin with a letter, or has characters other than letters, digits,
/// `_` and `-`.
pub fn check_name(kind: &str, name: &str, place: Place, findings: &mut Findings) {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !fits {
        let message = format!("bad {kind} name `{}`", name.escape_debug());
        let hint = "names begin with a letter, followed by letters, digits, `_` and `-`";
        findings.report(codes::BAD_NAME.at(place, message).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::parse;
    use std::path::Path;

    #[test]
    fn keys_that_differ_only_in_case_are_suggested() {
        let text = "Type = \"file\"\nPATH = 1\npath = \"x\"\n";
        let mut findings = Findings::default();
        let number = findings.add_manifest(Path::new("a"), text);
        let table = parse(number, text, &mut findings).unwrap();
        let mut reader = Reader::new(&table, Place::new(number, 0..4), "[sinks.out]");
        reader.required("type", &mut findings);
        reader.optional("path");
        reader.finish(&mut findings);
        let hints: Vec<Option<String>> =
            findings.finish::<()>(None).unwrap_err().diagnostics.into_iter().map(|d| d.hint).collect();
        let expected =
            ["did you mean `type` by `Type`? Keys are in lower case", "did you mean `type`?", "did you mean `path`?"];
        assert_eq!(hints, expected.map(|hint| Some(hint.to_owned())));
    }
}
