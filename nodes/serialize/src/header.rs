//! Parts of a header or envelope: a template each, filled for one row at a time.

use wattle_convert::{otel, syslog};
use wattle_node::Setup;

use crate::format::cef;
use crate::options::{Format, Options};
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
            let template = fields.template(&format!("header.{name}"), text, setup)?;
            if let Some(problem) = template.constant().and_then(|text| wrong_constant(options.format, name, text)) {
                setup.error(format!("header.{name}"), problem);
            }
            Some((*name, template))
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

/// Why a part that is the same for every event does not fit the format.
fn wrong_constant(format: Format, name: &str, text: &[u8]) -> Option<String> {
    let shown = String::from_utf8_lossy(text);
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (format, name) {
        (Format::Syslog, "facility") if syslog::facility(text).is_none() => Some(format!(
            "`{shown}` is no facility; write a number from 0 to 23, or one of {}",
            list(&syslog::FACILITIES)
        )),
        (Format::Syslog, "severity") | (Format::Gelf, "level") if syslog::severity(text).is_none() => Some(format!(
            "`{shown}` is no severity; write a number from 0 to 7, or one of {}",
            list(&syslog::SEVERITIES)
        )),
        (Format::Cef, "severity") if !cef::is_severity(text) => Some(format!(
            "`{shown}` is no severity of CEF; write a number from 0 to 10, or one of {}",
            list(&cef::SEVERITIES)
        )),
        (Format::Otlp, "severity_number") if !text.is_empty() && otel::severity_number(text).is_none() => {
            Some(format!("`{shown}` is no severity of OpenTelemetry; write a number from 1 to 24"))
        }
        (Format::Otlp, "trace_id") if !text.is_empty() && !otel::is_id(text, otel::TRACE_ID) => {
            Some(format!("`{shown}` is no id of a trace, which has 32 hexadecimal digits; write a field"))
        }
        (Format::Otlp, "span_id") if !text.is_empty() && !otel::is_id(text, otel::SPAN_ID) => {
            Some(format!("`{shown}` is no id of a span, which has 16 hexadecimal digits; write a field"))
        }
        (_, "timestamp") if !text.is_empty() && crate::format::nanoseconds(text).is_none() => Some(format!(
            "`{shown}` is no time of RFC 3339 between the years 1677 and 2262; write a field, such as `{{{{ timestamp }}}}`"
        )),
        _ => None,
    }
}
