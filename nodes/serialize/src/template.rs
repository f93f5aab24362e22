//! Texts with fields of the event between `{{` and `}}`.

use wattle_node::{Batch, Column, Field, Form, Setup};

#[derive(Debug)]
enum Part {
    Literal(Vec<u8>),
    /// Number of a column.
    Field(usize),
}

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

/// The fields of all templates of a node, each read once per batch.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<(String, Field)>,
    columns: Vec<Column>,
}

impl Fields {
    /// Parses a template; `at` is the option that it stands in. Reports errors to `setup`.
    pub(crate) fn template(&mut self, at: &str, text: &str, setup: &mut Setup<'_>) -> Option<Template> {
        let mut parts = Vec::new();
        let mut is_right = true;
        for part in wattle_template::parts(text).map_err(|error| setup.error(at, error.to_string())).ok()? {
            match part {
                wattle_template::Part::Literal(text) => parts.push(Part::Literal(text.into())),
                wattle_template::Part::Field(path) => match self.field(at, path, setup) {
                    Some(field) => parts.push(Part::Field(field)),
                    None => is_right = false,
                },
            }
        }
        is_right.then_some(Template(parts))
    }

    fn field(&mut self, at: &str, path: &str, setup: &mut Setup<'_>) -> Option<usize> {
        if let Some(known) = self.fields.iter().position(|(known, _)| known == path) {
            return Some(known);
        }
        self.fields.push((path.to_owned(), setup.read(at, path)?));
        Some(self.fields.len() - 1)
    }

    /// Reads the fields of a batch.
    pub(crate) fn load(&mut self, batch: &mut Batch<'_>) {
        self.columns.clear();
        self.columns.extend(self.fields.iter().map(|(_, field)| batch.read(*field, Form::Text)));
    }
}

impl Template {
    /// The text, if no field is in it.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for a row. A field that the event lacks, or that is null, is empty.
    pub(crate) fn write(&self, fields: &Fields, row: usize, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Field(number) => {
                    let column = fields.columns.get(*number);
                    let value = column.filter(|column| column.kind(row) > wattle_node::json::Kind::Null);
                    out.extend_from_slice(value.map_or(&[], |column| column.row(row)));
                }
            }
        }
    }
}
