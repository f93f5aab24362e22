//! Templates of subjects and of ids.

use bytes::Bytes;
use wattle_batch::{Batch, FieldPath, FieldPathError, Form};
use wattle_json::Kind;
use wattle_nats::{Wildcards, check_subject};
use wattle_template::Unclosed;

/// Maximum length of a subject that was made with values of events.
const MAX_SUBJECT_BYTES: usize = 512;

/// Maximum length of an id.
const MAX_ID_BYTES: usize = 512;

/// Why a text is not a template.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error(transparent)]
    Unclosed(#[from] Unclosed),
    #[error(transparent)]
    Field(#[from] FieldPathError),
    #[error("{0}")]
    Subject(String),
    #[error("names no field, so all messages would have the same id; write for example `{{{{ attributes.id }}}}`")]
    SameId,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    /// A field: its index in `Template::fields`.
    Field(usize),
}

/// A text with fields of the event.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    fields: Vec<FieldPath>,
}

impl Template {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new(), fields: Vec::new() };
        for part in wattle_template::parts(text)? {
            template.parts.push(match part {
                wattle_template::Part::Literal(text) => Part::Literal(text.to_owned()),
                wattle_template::Part::Field(field) => {
                    template.fields.push(FieldPath::parse(field)?);
                    Part::Field(template.fields.len() - 1)
                }
            });
        }
        Ok(template)
    }

    /// Parses the template of a subject.
    ///
    /// # Errors
    ///
    /// The first error in the text.
    pub(super) fn of_subject(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse(text)?;
        // A value is at least one character.
        let sample = template.parts.iter().map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Field(_) => "_",
        });
        check_subject(&sample.collect::<String>(), Wildcards::Forbidden).map_err(TemplateError::Subject)?;
        Ok(template)
    }

    /// Parses the template of an id.
    ///
    /// # Errors
    ///
    /// The first error in the text.
    pub(super) fn of_id(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse(text)?;
        if template.fields.is_empty() { Err(TemplateError::SameId) } else { Ok(template) }
    }

    /// Prepares rendering for a batch.
    pub(super) fn bind<'a>(&'a self, batch: &Batch) -> Rendering<'a> {
        let columns = self.fields.iter().map(|field| batch.read(field, Form::Text)).collect();
        Rendering { template: self, columns }
    }
}

/// Renders for the events of one batch.
pub(super) struct Rendering<'a> {
    template: &'a Template,
    columns: Vec<(Bytes, Vec<u32>, Vec<u8>)>,
}

impl Rendering<'_> {
    /// Writes the subject of a row.
    pub(super) fn subject(&self, row: usize, out: &mut String) {
        out.clear();
        for part in &self.template.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field) => {
                    let value = self.value(*field, row).unwrap_or_default();
                    let before = out.len();
                    for char in String::from_utf8_lossy(value).chars() {
                        let is_plain = char == '.' || wattle_nats::is_token_char(char);
                        out.push(if is_plain { char } else { '_' });
                    }
                    if out.len() == before {
                        out.push('_');
                    }
                }
            }
        }
        if self.template.fields.is_empty() {
            return;
        }
        // Subjects of the server begin with `$`; only an operator may write there.
        let may_be_of_server =
            matches!(self.template.parts.first(), Some(Part::Literal(text)) if text.starts_with('$'));
        if out.starts_with('$') && !may_be_of_server {
            out.replace_range(..1, "_");
        }
        shorten(out, MAX_SUBJECT_BYTES);
        if out.split('.').any(str::is_empty) {
            let tokens: Vec<&str> = out.split('.').map(|token| if token.is_empty() { "_" } else { token }).collect();
            *out = tokens.join(".");
        }
    }

    /// The id of a row; `None` if the event lacks one of the fields.
    pub(super) fn id(&self, row: usize) -> Option<String> {
        let mut out = String::new();
        for part in &self.template.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field) => {
                    let value = self.value(*field, row).filter(|value| !value.is_empty())?;
                    // Escapes keep different values different.
                    let value = String::from_utf8_lossy(value);
                    for char in value.chars() {
                        if char.is_control() || char == '\\' {
                            out.extend(char.escape_unicode());
                        } else {
                            out.push(char);
                        }
                    }
                }
            }
        }
        // Cut, ids of different events would be the same.
        (out.len() <= MAX_ID_BYTES).then_some(out)
    }

    /// The value of a field; `None` if it is missing or null.
    fn value(&self, field: usize, row: usize) -> Option<&[u8]> {
        let (bytes, offsets, kinds) = self.columns.get(field)?;
        kinds.get(row).filter(|&&kind| kind != 0 && kind != Kind::Null as u8)?;
        bytes.get(*offsets.get(row)? as usize..*offsets.get(row + 1)? as usize)
    }
}

fn shorten(text: &mut String, most: usize) {
    if let Some(at) = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)) {
        text.truncate(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;

    fn subject(template: &str, body: &str) -> String {
        let template = Template::of_subject(template).unwrap();
        let batch = Rig::new().batch(&[body]);
        let mut out = String::new();
        template.bind(&batch).subject(0, &mut out);
        assert_eq!(check_subject(&out, Wildcards::Forbidden), Ok(()), "{out}");
        out
    }

    #[test]
    fn values_never_make_another_kind_of_subject() {
        for (value, expected) in [
            ("a", "logs.a"),
            ("a.b", "logs.a.b"),
            ("", "logs._"),
            (".", "logs._._"),
            ("a..b", "logs.a._.b"),
            ("a b*>\\n", "logs.a_b___"),
            ("$SYS", "logs.$SYS"),
        ] {
            assert_eq!(subject("logs.{{ body.v }}", &format!(r#"{{"v":"{value}"}}"#)), expected);
        }
        assert_eq!(subject("logs.{{ body.v }}", r#"{"v":null}"#), "logs._");
        assert_eq!(subject("{{ body.v }}", r#"{"v":"$JS.API.STREAM.DELETE.x"}"#), "_JS.API.STREAM.DELETE.x");
        assert_eq!(subject("$KV.{{ body.v }}", r#"{"v":"a"}"#), "$KV.a");
        let long = format!(r#"{{"v":"{}"}}"#, "ä".repeat(1000));
        assert_eq!(subject("{{ body.v }}", &long).len(), MAX_SUBJECT_BYTES);
    }

    #[test]
    fn an_id_has_all_of_its_fields_or_is_none() {
        let id = |body: &str| {
            let template = Template::of_id("x-{{ body.a }}-{{ body.b }}").unwrap();
            let batch = Rig::new().batch(&[body]);
            template.bind(&batch).id(0)
        };
        assert_eq!(id(r#"{"a":1,"b":"two"}"#).as_deref(), Some("x-1-two"));
        assert_eq!(id(r#"{"a":1,"b":"\r\n\\"}"#).as_deref(), Some(r"x-1-\u{d}\u{a}\u{5c}"));
        for body in [r#"{"a":1}"#, r#"{"a":1,"b":null}"#, r#"{"a":"","b":1}"#, "none"] {
            assert_eq!(id(body), None, "{body}");
        }
        assert_eq!(id(&format!(r#"{{"a":1,"b":"{}"}}"#, "x".repeat(MAX_ID_BYTES))), None);
    }

    #[test]
    fn an_error_names_the_wrong_part() {
        for (text, part) in
            [("", "not a subject"), ("a..{{ body }}", "not a subject"), ("{{ x", "`}}`"), ("{{ x }}", "`body`")]
        {
            let error = Template::of_subject(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Template::of_id("a").unwrap_err().to_string().contains("`{{ attributes.id }}`"));
    }
}
