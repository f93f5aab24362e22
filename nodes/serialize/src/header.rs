//! Parts of a header or envelope: a template each, filled for one row at a time.

use wattle_node::Setup;

use crate::options::Options;
use crate::template::{Fields, Template};

/// The parts of a format, in the order of [`Format::header`](crate::options::Format::header).
#[derive(Debug, Default)]
pub(crate) struct Header {
    parts: Vec<(&'static str, Template)>,
    texts: Vec<u8>,
    /// End of each part in `texts`.
    ends: Vec<usize>,
}

impl Header {
    /// Prepares the parts: those of the options, and the defaults of the format.
    pub(crate) fn new(options: &Options, fields: &mut Fields, setup: &mut Setup<'_>) -> Option<Self> {
        let known = options.format.header();
        for name in options.header.keys().filter(|name| !known.iter().any(|(known, _)| known == name)) {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
            let format = options.format.name();
            let message = match names.is_empty() {
                true => format!("the format `{format}` has no header; remove it"),
                false => format!("the format `{format}` has no part `{name}`; its parts are {}", names.join(", ")),
            };
            setup.error(format!("header.{name}"), message);
        }
        let parts = known.iter().map(|(name, default)| {
            let text = options.header.get(*name).map_or(*default, String::as_str);
            Some((*name, fields.template(&format!("header.{name}"), text, setup)?))
        });
        // Parse all templates before the first `None` ends the collection, to report every error.
        let parts: Vec<_> = parts.collect();
        Some(Self { parts: parts.into_iter().collect::<Option<_>>()?, ..Self::default() })
    }

    /// Fills the parts for a row.
    pub(crate) fn fill(&mut self, fields: &Fields, row: usize) {
        self.texts.clear();
        self.ends.clear();
        for (_, template) in &self.parts {
            template.write(fields, row, &mut self.texts);
            self.ends.push(self.texts.len());
        }
    }

    /// The text of a part; empty if the format has no such part.
    pub(crate) fn get(&self, name: &str) -> &[u8] {
        let Some(number) = self.parts.iter().position(|(known, _)| *known == name) else { return &[] };
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(number).and_then(|end| self.texts.get(start..*end)).unwrap_or_default()
    }
}
