//! The codec `pretty`: an event as a short block of lines for people.
//!
//! The input is the event as the codec `json` writes it, so `only_fields` and `except_fields` apply as there. Values keep
//! the bytes of their JSON: a number is never parsed. Everything is escaped here, for files also, so that an event cannot
//! drive the terminal that shows it later.
//!
//! A line of the event itself never begins in the columns of the lines that this codec adds: the header is at the margin,
//! names of sections are indented by 2, and contents by 4. A body of several lines can therefore not look like another
//! event or like attributes.

mod layout;
mod metric;
mod severity;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unicode_width::UnicodeWidthStr as _;
use wattle_batch::MAX_JSON_DEPTH;
use wattle_json::{Kind, Value};
use wattle_printable as printable;

use self::severity::Severity;

/// Columns before the names of sections, and before their contents.
const SECTION: usize = 2;
const CONTENT: usize = 4;
/// Columns up to which keys are padded, so that their values align; a longer key pushes its own value only.
const MAX_KEY: usize = 28;

/// Styles of a terminal.
mod style {
    pub(super) const DIM: &str = "\x1b[2m";
    pub(super) const KEY: &str = "\x1b[36m";
    pub(super) const BOLD: &str = "\x1b[1m";
    pub(super) const RED: &str = "\x1b[31m";
    pub(super) const YELLOW: &str = "\x1b[33m";
    pub(super) const GREEN: &str = "\x1b[32m";
    pub(super) const BLUE: &str = "\x1b[34m";
    pub(super) const OFF: &str = "\x1b[0m";
}

/// A JSON text with the kind of its value.
#[derive(Clone, Copy)]
struct Json<'a> {
    text: &'a [u8],
    kind: Kind,
}

impl<'a> Json<'a> {
    /// The members of an object, with their keys as JSON strings; nothing of another value.
    fn members(self) -> Vec<(&'a [u8], Self)> {
        let mut members = Vec::new();
        let whole = Value { start: 0, end: self.text.len(), kind: self.kind };
        // An event that the agent encoded is valid JSON; of another text, the members before the fault are shown.
        let _ = wattle_json::members(self.text, whole, |key, value| {
            members.push((key.text(self.text), Json { text: value.text(self.text), kind: value.kind }));
        });
        members
    }

    /// The text of a string, unless it has an escape without a text, such as half of a surrogate pair.
    fn string(self) -> Option<String> {
        let inner = self.text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let mut text = Vec::with_capacity(inner.len());
        wattle_json::unescape(inner, &mut text).ok()?;
        String::from_utf8(text).ok()
    }
}

/// The roots of an event, as far as it has them.
#[derive(Default)]
struct Roots<'a> {
    timestamp: Option<Json<'a>>,
    kind: Option<Json<'a>>,
    severity: Option<Json<'a>>,
    trace_id: Option<Json<'a>>,
    span_id: Option<Json<'a>>,
    scope: Option<Json<'a>>,
    body: Option<Json<'a>>,
    body_base64: Option<Json<'a>>,
    attributes: Option<Json<'a>>,
    resource: Option<Json<'a>>,
    failure: Option<Json<'a>>,
}

impl<'a> Roots<'a> {
    fn of(event: &'a [u8]) -> Self {
        let mut roots = Self::default();
        for (key, value) in (Json { text: event, kind: Kind::Object }).members() {
            let root = match key {
                b"\"timestamp\"" => &mut roots.timestamp,
                b"\"kind\"" => &mut roots.kind,
                b"\"severity\"" => &mut roots.severity,
                b"\"trace_id\"" => &mut roots.trace_id,
                b"\"span_id\"" => &mut roots.span_id,
                b"\"scope\"" => &mut roots.scope,
                b"\"body\"" => &mut roots.body,
                b"\"body_base64\"" => &mut roots.body_base64,
                b"\"attributes\"" => &mut roots.attributes,
                b"\"resource\"" => &mut roots.resource,
                b"\"failure\"" => &mut roots.failure,
                _ => continue,
            };
            *root = Some(value);
        }
        roots
    }
}

/// Writes an event, which the codec `json` has encoded, as a block of lines.
pub(super) fn write(event: &[u8], color: bool, out: &mut Vec<u8>) {
    let roots = Roots::of(event);
    let mut page = Page { out, color };
    page.header(&roots);
    page.facts("trace_id", roots.trace_id);
    page.facts("span_id", roots.span_id);
    page.failure(roots.failure);
    let is_metric = roots.kind.is_some_and(|kind| kind.text == b"\"metric\"");
    let shown = is_metric && page.metric(roots.body, roots.attributes);
    if !shown {
        page.body(roots.body, roots.body_base64);
        page.section("attributes", roots.attributes);
    }
    page.section("scope", roots.scope);
    page.resource(roots.resource);
}

/// Where lines are written.
struct Page<'a> {
    out: &'a mut Vec<u8>,
    color: bool,
}

impl Page<'_> {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn indent(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(b' ', columns));
    }

    /// Writes a text in a style; the text is escaped already.
    fn styled(&mut self, style: &str, text: &str) {
        if self.color {
            self.push(style);
            self.push(text);
            self.push(style::OFF);
        } else {
            self.push(text);
        }
    }

    /// The first line: time, kind or severity, and the source.
    fn header(&mut self, roots: &Roots<'_>) {
        let mut parts: Vec<(&str, String)> = Vec::new();
        if let Some(time) = roots.timestamp {
            parts.push((style::DIM, plain(time)));
        }
        if let Some(kind) = roots.kind {
            parts.push((style::BOLD, plain(kind).to_uppercase()));
        }
        if let Some(severity) = roots.severity {
            let severity = Severity::of(severity);
            parts.push((severity.style(), severity.to_string()));
        }
        if let Some(source) = source(roots.resource) {
            parts.push((style::BOLD, source));
        }
        if parts.is_empty() {
            return;
        }
        for (index, (style, text)) in parts.iter().enumerate() {
            self.push(if index == 0 { "" } else { " " });
            self.styled(style, text);
        }
        self.push("\n");
    }

    /// A line with one value at the columns of sections.
    fn facts(&mut self, name: &str, value: Option<Json<'_>>) {
        let Some(value) = value else { return };
        self.indent(SECTION);
        self.key(name, 0);
        self.push(&plain(value));
        self.push("\n");
    }

    /// Why an event failed, on one line.
    fn failure(&mut self, failure: Option<Json<'_>>) {
        let Some(failure) = failure else { return };
        self.indent(SECTION);
        self.styled(style::RED, "failed:");
        for (key, value) in failure.members() {
            let name = key_text(key);
            let text =
                if name == "message" { value.string().map(|text| printable::line(&text).into_owned()) } else { None };
            self.push(" ");
            self.push(&text.map_or_else(|| format!("{name}={}", plain(value)), |text| format!("- {text}")));
        }
        self.push("\n");
    }

    /// A key, its colon and the spaces up to the column of values.
    fn key(&mut self, name: &str, width: usize) {
        self.styled(style::KEY, name);
        self.push(":");
        self.indent(1 + width.saturating_sub(name.width()));
    }

    fn body(&mut self, body: Option<Json<'_>>, base64: Option<Json<'_>>) {
        if let Some(bytes) = base64.and_then(Json::string).and_then(|text| STANDARD.decode(text).ok()) {
            self.text(&printable::bytes(&bytes), CONTENT);
        }
        let Some(body) = body else { return };
        match body.string() {
            Some(text) if wattle_json::check(text.as_bytes(), MAX_JSON_DEPTH).is_ok() => {
                self.indent(CONTENT);
                layout::write(text.trim_ascii().as_bytes(), CONTENT, self.out);
                self.push("\n");
            }
            // An empty line would look like the end of the event.
            Some(text) if text.is_empty() => self.text("\"\"", CONTENT),
            Some(text) => self.text(&printable::text(&text), CONTENT),
            None => self.text(&json(body.text), CONTENT),
        }
    }

    /// An escaped text of any number of lines, each of them indented.
    fn text(&mut self, text: &str, columns: usize) {
        // `lines` would remove a carriage return, which `printable` has escaped.
        for line in text.split('\n') {
            if !line.is_empty() {
                self.indent(columns);
            }
            self.push(line);
            self.push("\n");
        }
    }

    /// An object as lines of keys and values below its name.
    fn section(&mut self, name: &str, object: Option<Json<'_>>) {
        let Some(object) = object else { return };
        let members = object.members();
        if members.is_empty() {
            return self.facts(name, Some(object));
        }
        self.title(name);
        self.lines(&members);
    }

    /// The resource, without a source that the first line shows in full.
    fn resource(&mut self, resource: Option<Json<'_>>) {
        let is_shown = |(key, source): &(&[u8], Json<'_>)| {
            let names = source.members();
            *key == b"\"source\""
                && names.len() == 2
                && source_name(*source).is_some_and(|(_, type_name)| type_name.is_some())
        };
        match resource.map(Json::members) {
            Some(mut members) if members.iter().any(is_shown) => {
                members.retain(|member| !is_shown(member));
                if !members.is_empty() {
                    self.title("resource");
                    self.lines(&members);
                }
            }
            _ => self.section("resource", resource),
        }
    }

    fn title(&mut self, name: &str) {
        self.indent(SECTION);
        self.styled(style::DIM, name);
        self.push(":\n");
    }

    /// Keys and values, with the values in one column.
    fn lines(&mut self, members: &[(&[u8], Json<'_>)]) {
        let names: Vec<String> = members.iter().map(|(key, _)| key_text(key)).collect();
        let width = names.iter().map(|name| name.width()).filter(|&width| width <= MAX_KEY).max().unwrap_or(0);
        for (name, (_, value)) in names.iter().zip(members) {
            self.indent(CONTENT);
            self.key(name, width);
            self.value(*value, CONTENT + width + 2);
        }
    }

    /// A value behind its key, whose column is `column`, with the line break after it.
    fn value(&mut self, value: Json<'_>, column: usize) {
        match value.string() {
            Some(text) if text.contains('\n') => {
                // As in YAML, so that a stack trace can be read.
                self.push("|\n");
                self.text(&printable::text(&text), CONTENT + 2);
            }
            Some(_) => {
                self.push(&plain(value));
                self.push("\n");
            }
            None => {
                layout::write_behind(value.text, column, CONTENT, self.out);
                self.push("\n");
            }
        }
    }
}

/// A value on one line. A string has no quotes if it cannot be mistaken for another value.
fn plain(value: Json<'_>) -> String {
    match value.string().filter(|text| is_plain(text)) {
        Some(text) => text,
        None => json(value.text).into_owned(),
    }
}

/// Whether a text without quotes reads as this text and nothing else.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains(printable::is_harmful)
        && !text.starts_with(['"', '{', '[', '|'])
        && wattle_json::check(text.as_bytes(), 1).is_err()
}

/// A key without its quotes, unless it needs them.
fn key_text(key: &[u8]) -> String {
    let value = Json { text: key, kind: Kind::String };
    match value.string().filter(|text| is_plain(text) && !text.contains([':', '='])) {
        Some(text) => text,
        None => json(key).into_owned(),
    }
}

/// A JSON text with the characters escaped that terminals execute or hide.
fn json(text: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => printable::json(text),
        Err(_) => printable::bytes(text),
    }
}

/// Name and type of the source, as `name (type)`.
fn source(resource: Option<Json<'_>>) -> Option<String> {
    let (_, source) = resource?.members().into_iter().find(|(key, _)| *key == b"\"source\"")?;
    Some(match source_name(source)? {
        (name, Some(type_name)) => format!("{name} ({type_name})"),
        (name, None) => name,
    })
}

/// Name and type of a source.
fn source_name(source: Json<'_>) -> Option<(String, Option<String>)> {
    let members = source.members();
    let member = |name: &[u8]| members.iter().find(|(key, _)| *key == name).map(|(_, value)| plain(*value));
    Some((member(b"\"name\"")?, member(b"\"type\"")))
}

#[cfg(test)]
mod tests;
