//! `encoding.template`: a text with the values of fields.

use bytes::Bytes;
use wattle_batch::{Batch, FieldPath, FieldPathError, Form, Root, format_rfc3339};
use wattle_json::Kind;
use wattle_template::Unclosed;

/// Why a text is not a template.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    /// Braces are not closed.
    #[error(transparent)]
    Unclosed(#[from] Unclosed),
    /// The text in braces is not a field.
    #[error(transparent)]
    Field(#[from] FieldPathError),
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Timestamp,
    /// Index in `Template::fields`.
    Field(usize),
}

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    fields: Vec<FieldPath>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// The first error in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut template = Self { parts: Vec::new(), fields: Vec::new() };
        for part in wattle_template::parts(text)? {
            let part = match part {
                wattle_template::Part::Literal(text) => Part::Literal(text.to_owned()),
                wattle_template::Part::Field(field) => {
                    let path = FieldPath::parse(field)?;
                    if path.root == Root::Timestamp {
                        Part::Timestamp
                    } else {
                        template.fields.push(path);
                        Part::Field(template.fields.len() - 1)
                    }
                }
            };
            template.parts.push(part);
        }
        Ok(template)
    }

    /// The text of one field.
    ///
    /// # Errors
    ///
    /// The path is not that of a field.
    pub(crate) fn field(path: &str) -> Result<Self, TemplateError> {
        Self::parse(&format!("{{{{{path}}}}}"))
    }

    /// The text, if the template has no fields.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Prepares filling in the fields of a batch.
    pub(crate) fn bind<'a>(&'a self, batch: &'a Batch) -> Rendering<'a> {
        let columns = self.fields.iter().map(|field| batch.read(field, Form::Text)).collect();
        Rendering { template: self, batch, columns }
    }
}

/// Fills in the fields of one batch.
pub(crate) struct Rendering<'a> {
    template: &'a Template,
    batch: &'a Batch,
    /// Bytes, offsets and kinds of each field. Rows without the field have no bytes; those of `null` have its text.
    columns: Vec<(Bytes, Vec<u32>, Vec<u8>)>,
}

impl Rendering<'_> {
    /// Appends the text of a row.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        for part in &self.template.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Timestamp => {
                    // As in the codec `json`: the time of reading stands for a missing time.
                    let nanoseconds = self.batch.timestamp(row).unwrap_or(self.batch.origin().observed);
                    out.extend_from_slice(format_rfc3339(nanoseconds).as_bytes());
                }
                Part::Field(field) => {
                    let Some((bytes, offsets, kinds)) = self.columns.get(*field) else { continue };
                    // `null` counts as a missing field.
                    if kinds.get(row) == Some(&(Kind::Null as u8)) {
                        continue;
                    }
                    if let (Some(&start), Some(&end)) = (offsets.get(row), offsets.get(row + 1)) {
                        out.extend_from_slice(bytes.get(start as usize..end as usize).unwrap_or_default());
                    }
                }
            }
        }
    }
}
