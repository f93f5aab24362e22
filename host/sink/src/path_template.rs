//! Path templates: `logs/%Y-%m-%d/{{ attributes.Record.eventName }}.log`. For paths of files, and for prefixes of the keys
//! of objects.
//!
//! `{{ field }}` is replaced by a field of the event, and strftime directives by its time in UTC;
//! `%%` is a percent sign. For an event without a timestamp, the time is when the agent received
//! it.
//!
//! # Invariants
//!
//! - A value from an event never leaves its folder: it contains no `/` and no control character,
//!   and never consists of dots only.
//! - A value has at most [`MAX_VALUE_BYTES`], so that no event can make a name that the file system
//!   rejects. An empty or missing value, and `null`, is `_`.

use std::fmt::Write;

use bytes::Bytes;
use jiff::Timestamp;
use wattle_batch::{Batch, FieldPath, FieldPathError, Form};
use wattle_json::Kind;
use wattle_template::Unclosed;

/// Maximum bytes of a value in a path.
const MAX_VALUE_BYTES: usize = 80;

/// Maximum bytes of a file name. File systems allow 255; a rotated file also has a time in its
/// name.
const MAX_NAME_BYTES: usize = 215;

/// Why a text is not a path template.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("a path must not be empty")]
    Empty,
    #[error("must not contain a NUL character")]
    Nul,
    #[error("`{0}` ends with `/`, so it names a folder; add a file name")]
    Folder(String),
    #[error(transparent)]
    Unclosed(#[from] Unclosed),
    #[error(transparent)]
    Field(#[from] FieldPathError),
    #[error(
        "`{0}` is not a supported time directive; use `%Y`, `%m`, `%d`, `%F`, `%j`, `%y`, `%G`, `%V`, `%u`, `%a`, `%b`, \
         `%H`, `%M`, `%S` or `%s`, or `%%` for a percent sign"
    )]
    Directive(String),
}

#[derive(Debug)]
enum Part {
    Literal(String),
    /// A format with directives, and the number of seconds for which its text stays the same.
    Time {
        format: String,
        seconds: i64,
    },
    /// A field: its index in `Template::fields`.
    Field(usize),
}

/// A parsed path template.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    fields: Vec<FieldPath>,
}

impl Template {
    /// Parses the template of the path of a file.
    ///
    /// # Errors
    ///
    /// The first error in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse_prefix(text)?;
        if template.parts.is_empty() {
            return Err(TemplateError::Empty);
        }
        if text.ends_with('/') {
            return Err(TemplateError::Folder(text.to_owned()));
        }
        Ok(template)
    }

    /// Parses the template of the beginning of a path. It can be empty, and can end with `/`.
    ///
    /// # Errors
    ///
    /// The first error in the text.
    pub(crate) fn parse_prefix(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new(), fields: Vec::new() };
        for part in wattle_template::parts(text)? {
            match part {
                wattle_template::Part::Literal(text) => template.push_literal(text)?,
                wattle_template::Part::Field(field) => {
                    let path = FieldPath::parse(field)?;
                    template.parts.push(Part::Field(template.fields.len()));
                    template.fields.push(path);
                }
            }
        }
        Ok(template)
    }

    fn push_literal(&mut self, text: &str) -> Result<(), TemplateError> {
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let part = match coarseness(text)? {
            Some(seconds) => Part::Time { format: text.to_owned(), seconds },
            None => Part::Literal(text.replace("%%", "%")),
        };
        self.parts.push(part);
        Ok(())
    }

    /// The path, if the template has no fields and no directives.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Prepares rendering the paths of a batch.
    pub(crate) fn bind<'a>(&'a self, batch: &'a Batch) -> Rendering<'a> {
        let columns = self.fields.iter().map(|field| batch.read(field, Form::Text)).collect();
        // One entry per part, although only time parts use theirs.
        let times = self.parts.iter().map(|_| (i64::MIN, String::new())).collect();
        Rendering { template: self, batch, columns, times }
    }
}

/// The number of seconds for which a strftime format gives the same text; `None` if it has no
/// directive.
fn coarseness(format: &str) -> Result<Option<i64>, TemplateError> {
    let mut chars = format.chars();
    let mut seconds: Option<i64> = None;
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        let directive: String = std::iter::once('%').chain(chars.by_ref().take(1)).collect();
        let step = match directive.as_str() {
            "%%" => continue,
            "%Y" | "%m" | "%d" | "%F" | "%j" | "%y" | "%G" | "%V" | "%u" | "%b" | "%a" => 86_400,
            "%H" => 3_600,
            "%M" => 60,
            "%S" | "%s" => 1,
            _ => return Err(TemplateError::Directive(directive)),
        };
        seconds = Some(seconds.map_or(step, |smallest| smallest.min(step)));
    }
    Ok(seconds)
}

/// Renders the paths of one batch.
pub(crate) struct Rendering<'a> {
    template: &'a Template,
    batch: &'a Batch,
    columns: Vec<(Bytes, Vec<u32>, Vec<u8>)>,
    /// For each time part, the index of the time span and its text.
    times: Vec<(i64, String)>,
}

impl Rendering<'_> {
    /// Writes the path of a row.
    pub(crate) fn write(&mut self, row: usize, out: &mut String) {
        out.clear();
        for (part, time) in self.template.parts.iter().zip(&mut self.times) {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Time { format, seconds } => {
                    let nanoseconds = self.batch.timestamp(row).unwrap_or(self.batch.origin().observed);
                    // Consecutive events are usually in the same span, so its text is reused.
                    let span = nanoseconds.div_euclid(seconds * 1_000_000_000);
                    if time.0 != span || time.1.is_empty() {
                        time.0 = span;
                        time.1.clear();
                        write_time(nanoseconds, format, &mut time.1);
                    }
                    out.push_str(&time.1);
                }
                Part::Field(field) => {
                    let value = self.columns.get(*field).map(|column| value(column, row)).unwrap_or_default();
                    write_value(value, out);
                }
            }
        }
        shorten_names(out);
    }
}

fn write_time(nanoseconds: i64, format: &str, out: &mut String) {
    // Every `i64` is in the range of `Timestamp`, so this cannot fail.
    let Ok(time) = Timestamp::from_nanosecond(i128::from(nanoseconds)) else { return };
    // Writing to a string fails only for an unknown directive, and `parse` rejects those.
    let _ = write!(out, "{}", time.strftime(format));
}

fn value((bytes, offsets, kinds): &(Bytes, Vec<u32>, Vec<u8>), row: usize) -> &[u8] {
    let (Some(&start), Some(&end)) = (offsets.get(row), offsets.get(row + 1)) else { return &[] };
    // `null` counts as a missing field.
    if kinds.get(row).is_none_or(|&kind| kind == 0 || kind == Kind::Null as u8) {
        return &[];
    }
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// Writes a value so that it cannot be more than a part of a file name.
fn write_value(value: &[u8], out: &mut String) {
    // An empty name, `.` and `..` would change the folder.
    if value.iter().all(|&b| b == b'.') {
        return out.push('_');
    }
    let mut room = MAX_VALUE_BYTES;
    // Enough for the part that is kept, because a char has at most four bytes.
    let value = value.get(..MAX_VALUE_BYTES * 4).unwrap_or(value);
    for chunk in value.utf8_chunks() {
        let invalid = if chunk.invalid().is_empty() { "" } else { "_" };
        for char in chunk.valid().chars().chain(invalid.chars()) {
            let char = if char == '/' || char == '\\' || char.is_control() { '_' } else { char };
            match room.checked_sub(char.len_utf8()) {
                Some(left) => room = left,
                None => return,
            }
            out.push(char);
        }
    }
}

/// Cuts file names that are longer than file systems allow. Keeps the extension: the last 16 bytes
/// from their first dot.
fn shorten_names(path: &mut String) {
    if path.len() <= MAX_NAME_BYTES || path.split('/').all(|name| name.len() <= MAX_NAME_BYTES) {
        return;
    }
    let names: Vec<String> = path.split('/').map(shorten).collect();
    *path = names.join("/");
}

fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let tail = (name.len() - 16..name.len()).find_map(|at| name.get(at..).filter(|tail| tail.starts_with('.')));
    let tail = tail.unwrap_or_default();
    let head = (0..=MAX_NAME_BYTES - tail.len()).rev().find_map(|at| name.get(..at)).unwrap_or_default();
    format!("{head}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;

    fn render(template: &str, bodies: &[&str], seconds: &[i64]) -> Vec<String> {
        let mut batch = Rig::new().batch(bodies);
        batch.set_timestamps(&seconds.iter().map(|s| s * 1_000_000_000).collect::<Vec<_>>());
        let template = Template::parse(template).unwrap();
        let mut rendering = template.bind(&batch);
        let mut out = String::new();
        (0..bodies.len())
            .map(|row| {
                rendering.write(row, &mut out);
                out.clone()
            })
            .collect()
    }

    fn one(template: &str, body: &str) -> String {
        render(template, &[body], &[]).remove(0)
    }

    #[test]
    fn fields_and_times_are_filled_in() {
        let bodies = [r#"{"r":"us-east-1","n":7}"#, r#"{"r":"eu","n":[1]}"#, "none"];
        assert_eq!(
            render("a/{{ body.r }}/%Y-%m-%d/{{resource.host.name}}-{{ body.n }}.log", &bodies, &[0, 86_399, 86_400]),
            ["a/us-east-1/1970-01-01/h-7.log", "a/eu/1970-01-01/h-[1].log", "a/_/1970-01-02/h-_.log"]
        );
        assert_eq!(
            render("%F/%H:%M:%S", &["", "", "", ""], &[0, 1, 3_600, -1]),
            ["1970-01-01/00:00:00", "1970-01-01/00:00:01", "1970-01-01/01:00:00", "1969-12-31/23:59:59"]
        );
        assert_eq!(one("%F", "an event without a timestamp"), "1970-01-01");
    }

    #[test]
    fn a_path_without_fields_and_directives_is_literal() {
        assert_eq!(Template::parse("a/b%%.log").unwrap().literal(), Some("a/b%.log"));
        assert_eq!(Template::parse("%Y").unwrap().literal(), None);
        assert_eq!(Template::parse("{{ body }}").unwrap().literal(), None);
    }

    #[test]
    fn values_stay_inside_their_folder() {
        for (value, expected) in [
            ("../../etc/passwd", "x/.._.._etc_passwd/y"),
            ("..", "x/_/y"),
            (".", "x/_/y"),
            ("", "x/_/y"),
            ("/", "x/_/y"),
            ("a\\u0000b\\nc\\\\d", "x/a_b_c_d/y"),
            ("%Y{{ body }}", "x/%Y{{ body }}/y"),
        ] {
            assert_eq!(one("x/{{ body.v }}/y", &format!(r#"{{"v":"{value}"}}"#)), expected);
        }
        assert_eq!(one("x/{{ body.a }}{{ body.b }}/y", r#"{"a":".","b":"."}"#), "x/__/y");
        assert_eq!(one("x/{{ body.a }}{{ body.b }}/y", r#"{"a":null,"b":"null"}"#), "x/_null/y", "null is no value");
        assert_eq!(one("x/.{{ body.a }}/y", r#"{"a":"."}"#), "x/._/y");
    }

    #[test]
    fn names_stay_short_enough_for_file_systems() {
        let long = format!(r#"{{"v":"{}"}}"#, "ä".repeat(1000));
        assert_eq!(one("{{ body.v }}", &long).len(), MAX_VALUE_BYTES);
        let path = one("{{ body.v }}/{{ body.v }}{{ body.v }}{{ body.v }}.json.gz", &long);
        let names: Vec<_> = path.split('/').collect();
        assert_eq!(names[0].len(), MAX_VALUE_BYTES);
        assert!(names[1].len() <= MAX_NAME_BYTES && names[1].ends_with("ä.json.gz"), "{path}");
    }

    #[test]
    fn an_error_names_the_wrong_part() {
        for (text, part) in [
            ("", "must not be empty"),
            ("a/", "names a folder"),
            ("a\0", "NUL"),
            ("{{ body", "has no `}}`"),
            ("{{ nobody }}", "`body`"),
            ("%f", "`%f` is not a supported"),
            ("50%", "`%` is not a supported"),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
