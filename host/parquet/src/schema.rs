//! The schema of a file: what options say, checked, and its tree of columns.

mod build;
mod node;
mod options;
mod preset;

use std::sync::Arc;

use parquet::schema::types::TypePtr;
use wattle_options::{OptionError, OptionErrors};

use build::Builder;
pub(crate) use node::{Fields, Key, LeafType, Lookup, Node, Shape};
pub use options::{ColumnOptions, ElementOptions, SchemaOptions, Type};
pub use preset::Preset;

/// A checked schema. Clones share it.
#[derive(Clone, Debug)]
pub struct Schema {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// The columns, as fields of the record.
    pub(crate) root: Fields,
    /// The schema in terms of Parquet.
    pub(crate) message: TypePtr,
    /// Names of all nodes, such as `useridentity.arn`, by their number.
    pub(crate) names: Vec<String>,
    /// Number of keys in all lookups.
    pub(crate) keys: usize,
    /// Whether a column is required.
    pub(crate) has_required: bool,
    /// Whether a column has the whole record as JSON.
    pub(crate) keeps_record: bool,
}

impl Schema {
    /// Checks a schema on its own.
    ///
    /// # Errors
    ///
    /// Every error that was found, with the path of the option below `options`, such as `columns[2].fields[0].name`.
    pub fn new(options: &SchemaOptions) -> Result<Self, Vec<OptionError>> {
        let mut errors = OptionErrors::default();
        let schema = Self::check(options, "", &mut errors);
        errors.finish(schema)
    }

    /// Checks a schema that is a part of other options, such as those of a sink. `path` stands before the path of each
    /// error, for example `encoding.schema.`. Returns nothing if it added an error.
    pub fn check(options: &SchemaOptions, path: &str, errors: &mut OptionErrors) -> Option<Self> {
        Builder::build(options, path, errors).map(|inner| Self { inner: Arc::new(inner) })
    }

    /// The columns of a preset and no others.
    ///
    /// # Errors
    ///
    /// Never, unless the preset itself is broken; a test checks all presets.
    pub fn preset(preset: Preset) -> Result<Self, Vec<OptionError>> {
        Self::new(&SchemaOptions { preset: Some(preset), columns: Vec::new() })
    }

    /// Names of the columns, in the order of the file.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.inner.root.nodes.iter().map(|node| node.name.as_str())
    }

    /// Whether a column of type `json` has the whole record (path `$`). Without such a column, values that fit no column
    /// are lost, so a sink should warn.
    #[must_use]
    pub fn keeps_record(&self) -> bool {
        self.inner.keeps_record
    }

    /// The schema as Parquet's own text shows it, for messages and tests.
    #[must_use]
    pub fn message_type(&self) -> String {
        let mut out = Vec::new();
        parquet::schema::printer::print_schema(&mut out, &self.inner.message);
        String::from_utf8_lossy(&out).into_owned()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}
