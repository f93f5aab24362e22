//! The node `parse`: turns the text of a field into attributes.

mod format;
mod merge;
mod nested;
mod object;
mod options;
mod pairs;
mod rows;
mod scan;
mod streams;
mod texts;

use wattle_node::{Batch, Node, Setup, export_node, takes_any_value};

use crate::format::Reader;
use crate::merge::Merger;
use crate::nested::Nested;
pub use crate::options::{
    BareKeys, By, ColumnSets, Columns, ColumnsFrom, Delimiter, ExtraColumns, Format, InvalidUtf8, NamedDelimiter,
    Namespaces, NestedStrings, OnConflict, Options, Quotes, Variant, Xml,
};
use crate::rows::{Made, Place, Stored};

/// The configured node.
pub struct Parse {
    place: Place,
    work: Work,
}

enum Work {
    /// The host checks JSON and stores it.
    Stored(Stored),
    /// The node reads all other formats itself.
    Made(Made),
}

impl Node for Parse {
    const NAME: &'static str = "parse";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Parses the text of a field (JSON, logfmt, syslog, access logs, CEF, CSV and others) into attributes.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let field = setup.read("field", &options.field);
        let root = options.into.split(['.', '[']).next().unwrap_or_default();
        let fits = match root {
            "body" | "timestamp" | "severity" | "trace_id" | "span_id" => false,
            "scope" => options.into == "scope.attributes" || takes_any_value(&options.into),
            // The host reports which roots exist.
            _ => true,
        };
        let into = if fits {
            setup.read_write("into", &options.into)
        } else {
            let message = "values go to `attributes`, `resource`, `scope.attributes`, or a path below one of them";
            setup.error("into", message);
            None
        };
        let reader = Reader::new(&options, setup);
        let nested = Nested::new(options.nested.as_ref(), setup);
        let selector = format::selector(&options, setup);
        let work = match (reader, options.format) {
            (Some(reader), _) => Work::Made(Made::new(reader, selector, options.invalid_utf8.unwrap_or_default())),
            (None, Format::Json) => Work::Stored(Stored::default()),
            (None, _) => return None,
        };
        let place = Place {
            whole: options.into == root || options.into == "scope.attributes",
            field: field?,
            into: into?,
            field_name: options.field,
            into_name: options.into,
            on_conflict: options.on_conflict,
            merger: Merger::default(),
            nested,
        };
        Some(Self { place, work })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        match &mut self.work {
            Work::Stored(stored) => stored.process(&mut self.place, batch),
            Work::Made(made) => made.process(&mut self.place, batch),
        }
        Ok(())
    }
}

export_node!(Parse);
