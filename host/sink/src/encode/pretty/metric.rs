//! A data point of a metric: `name{labels} value unit` on one line, and what else it has below.

use wattle_batch::MAX_JSON_DEPTH;
use wattle_json::Kind;

use super::{CONTENT, Json, Page, json, key_text, layout, plain, style};

/// Values on the line of the data point that are written with their names.
const NAMED: [&[u8]; 4] = [b"\"count\"", b"\"sum\"", b"\"min\"", b"\"max\""];
/// What describes the data point, at the end of its line.
const DESCRIBING: [&[u8]; 2] = [b"\"type\"", b"\"temporality\""];

impl Page<'_> {
    /// Writes a data point and its attributes. Returns false, and writes nothing, if the body is not that of a metric.
    pub(super) fn metric(&mut self, body: Option<Json<'_>>, attributes: Option<Json<'_>>) -> bool {
        let Some(text) = body.and_then(Json::string) else { return false };
        let text = text.trim_ascii().as_bytes();
        if text.first() != Some(&b'{') || wattle_json::check(text, MAX_JSON_DEPTH).is_err() {
            return false;
        }
        let mut members = Json { text, kind: Kind::Object }.members();
        let Some(name) = take(&mut members, b"\"name\"") else { return false };
        self.indent(CONTENT);
        self.styled(style::BOLD, &plain(name));
        self.labels(attributes);
        if let Some(value) = take(&mut members, b"\"value\"") {
            self.push(" ");
            self.line(value);
        }
        for key in NAMED {
            if let Some(value) = take(&mut members, key) {
                self.push(&format!(" {}=", key_text(key)));
                self.line(value);
            }
        }
        if let Some(unit) = take(&mut members, b"\"unit\"").filter(|unit| unit.text != b"\"\"") {
            self.push(" ");
            self.push(&plain(unit));
        }
        let mut describing: Vec<String> =
            DESCRIBING.iter().filter_map(|key| take(&mut members, key)).map(plain).collect();
        if let Some(monotonic) = take(&mut members, b"\"monotonic\"") {
            describing.push(if monotonic.text == b"true" { "monotonic".into() } else { "not monotonic".into() });
        }
        if !describing.is_empty() {
            self.push(" ");
            self.styled(style::DIM, &format!("({})", describing.join(", ")));
        }
        self.push("\n");
        self.lines(&members);
        true
    }

    fn labels(&mut self, attributes: Option<Json<'_>>) {
        let Some(attributes) = attributes else { return };
        self.push("{");
        for (index, (key, value)) in attributes.members().into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " });
            self.styled(style::KEY, &key_text(key));
            self.push("=");
            self.line(value);
        }
        self.push("}");
    }

    /// A value on this line, a string with its quotes.
    fn line(&mut self, value: Json<'_>) {
        match value.kind {
            Kind::Object | Kind::Array => layout::write_line(value.text, self.out),
            _ => self.push(&json(value.text)),
        }
    }
}

/// Removes the first member of this key.
fn take<'a>(members: &mut Vec<(&'a [u8], Json<'a>)>, key: &[u8]) -> Option<Json<'a>> {
    let index = members.iter().position(|(name, _)| *name == key)?;
    Some(members.remove(index).1)
}
