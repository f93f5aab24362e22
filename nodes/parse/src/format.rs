//! Formats other than JSON: each turns the text of a row into a JSON object.

mod csv;
mod key_value;
mod pattern;

use wattle_convert::{Type, WrongType, write_string, write_value};
use wattle_node::Setup;

pub(crate) use self::csv::Csv;
pub(crate) use self::key_value::KeyValue;
pub(crate) use self::pattern::Pattern;
use crate::options::{Format, Options};

/// Why a text does not have the format. The message continues a sentence whose subject is the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Code of header lines: the node drops them and does not fail them.
pub(crate) const HEADER: &str = "header";

/// A format, ready for use.
pub(crate) enum Reader {
    Pattern(Box<Pattern>),
    KeyValue(Box<KeyValue>),
    Csv(Box<Csv>),
}

impl Reader {
    /// Prepares the format of the options. Returns `None` for JSON, and after reporting errors to
    /// `setup`.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let given = [
            ("pattern", options.pattern.is_some(), Format::Regex),
            ("field_split", options.field_split.is_some(), Format::KeyValue),
            ("pair_split", options.pair_split.is_some(), Format::KeyValue),
            ("bare_keys", options.bare_keys.is_some(), Format::KeyValue),
            ("escape", options.escape.is_some(), Format::Csv),
            ("skip_header", options.skip_header.is_some(), Format::Csv),
            ("columns", options.columns.is_some(), Format::Csv),
            ("delimiter", options.delimiter.is_some(), Format::Csv),
        ];
        for (option, given, format) in given {
            if given && format != options.format {
                let (name, chosen) = (format.name(), options.format.name());
                setup.error(option, format!("`{option}` belongs to the format `{name}`, but the format is `{chosen}`"));
            }
        }
        match options.format {
            Format::Json => {
                if !options.types.is_empty() {
                    setup.error("types", "JSON has types of its own; remove `types`");
                }
                None
            }
            Format::Regex => Some(Self::Pattern(Box::new(Pattern::new(options, setup)?))),
            Format::KeyValue => Some(Self::KeyValue(Box::new(KeyValue::new(options, setup)?))),
            Format::Csv => Some(Self::Csv(Box::new(Csv::new(options, setup)?))),
        }
    }

    /// Appends the object that a text represents. After a fault `out` may contain a part of it.
    pub(crate) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Pattern(format) => format.write(text, out),
            Self::KeyValue(format) => format.write(text, out),
            Self::Csv(format) => format.write(text, out),
        }
    }
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Regex => "regex",
            Self::KeyValue => "key_value",
            Self::Csv => "csv",
        }
    }
}

/// A key that is known in advance.
struct Key {
    name: String,
    /// The key with its quotes and the colon.
    json: Vec<u8>,
    wanted: Option<Type>,
}

impl Key {
    fn new(name: &str, options: &Options) -> Self {
        let mut json = Vec::new();
        write_string(name.as_bytes(), &mut json);
        json.push(b':');
        Self { name: name.into(), json, wanted: options.types.get(name).copied() }
    }

    /// Appends the key and its value.
    fn write(&self, text: &[u8], first: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(&self.json);
        write_value(text, self.wanted, out).map_err(|wrong| wrong_type(&self.name, wrong))
    }
}

fn wrong_type(key: &str, WrongType(wanted): WrongType) -> Fault {
    Fault { code: "wrong-type", message: format!("has a `{key}` that is not of the type {}", wanted.name()) }
}

/// Reports types for keys that cannot occur.
fn check_types(options: &Options, keys: &[Key], what: &str, setup: &mut Setup<'_>) {
    for name in options.types.keys().filter(|name| !keys.iter().any(|key| key.name == **name)) {
        setup.error(format!("types.{name}"), format!("there is no {what} `{name}`"));
    }
}
