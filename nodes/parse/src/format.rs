//! Formats other than JSON: each turns the text of a row into a JSON object.

mod apache;
mod aws;
mod container;
mod csv;
mod grok;
mod key_value;
mod layout;
mod logfmt;
mod nginx;
mod pattern;
mod security;
mod syslog;
mod url;
mod xml;

use wattle_convert::{Type, WrongType, write_string, write_value};
use wattle_node::{Field, Setup};

pub(crate) use self::csv::Csv;
pub(crate) use self::key_value::KeyValue;
use self::layout::Layout;
pub(crate) use self::pattern::Pattern;
use crate::options::{By, ColumnSets, Columns, Format, Options, Variant};

/// Why a text does not have the format. The message continues a sentence whose subject is the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Code of header lines: the node drops them and does not fail them.
pub(crate) const HEADER: &str = "header";

/// A format that writes the object of one text. The text is UTF-8.
pub(crate) trait Read {
    /// Appends the object that a text represents. After a fault `out` may contain a part of it.
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Whether the next text needs [`Read::select`].
    fn selects(&self) -> bool {
        false
    }

    /// Sets the stream of the next text.
    fn select(&mut self, _stream: &[u8]) {}

    /// Gives the header that was read last to its stream.
    fn adopt(&mut self, _stream: &[u8]) {}
}

/// A format, ready for use.
pub(crate) enum Reader {
    Pattern(Box<Pattern>),
    KeyValue(Box<KeyValue>),
    Csv(Box<Csv>),
    Other(Box<dyn Read + Send>),
}

impl Reader {
    /// Prepares the format of the options. Returns `None` for JSON, and after reporting errors to
    /// `setup`.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        check_options(options, setup);
        match options.format {
            Format::Json => None,
            Format::Regex => Some(Self::Pattern(Box::new(Pattern::new(options, setup)?))),
            Format::KeyValue => Some(Self::KeyValue(Box::new(KeyValue::new(options, setup)?))),
            Format::Csv => Some(Self::Csv(Box::new(Csv::new(options, setup)?))),
            Format::Logfmt => Some(Self::Other(Box::new(logfmt::Logfmt::new(options)))),
            Format::Syslog => Some(Self::Other(Box::new(syslog::Syslog::new(options, setup)?))),
            Format::Nginx => Some(Self::Other(Box::new(nginx::Nginx::new(options, setup)?))),
            Format::Apache => Some(Self::Other(Box::new(apache::Apache::new(options, setup)?))),
            Format::Cri => Some(Self::Other(Box::new(container::Cri))),
            Format::Docker => Some(Self::Other(Box::new(container::Docker::default()))),
            Format::AwsVpcFlow => Some(Self::Other(Box::new(aws::VpcFlow::new(options, setup)?))),
            Format::AwsAlb => Some(Self::Other(Box::new(aws::Alb))),
            Format::Cef => Some(Self::Other(Box::new(security::Cef::new(options)))),
            Format::Leef => Some(Self::Other(Box::new(security::Leef::default()))),
            Format::Xml => Some(Self::Other(Box::new(xml::Xml::new(options, setup)))),
            Format::Url => Some(Self::Other(Box::new(url::Url::new(options)))),
            Format::Grok => Some(Self::Other(Box::new(grok::Grok::new(options, setup)?))),
        }
    }

    /// Appends the object that a text represents. After a fault `out` may contain a part of it.
    pub(crate) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Pattern(format) => format.write(text, out),
            Self::KeyValue(format) => format.write(text, out),
            Self::Csv(format) => format.write(text, out),
            Self::Other(format) => format.read(text, out),
        }
    }

    /// Whether the next text needs [`Reader::select`].
    pub(crate) fn selects(&self) -> bool {
        match self {
            Self::Pattern(_) | Self::KeyValue(_) => false,
            Self::Csv(format) => format.selects(),
            Self::Other(format) => format.selects(),
        }
    }

    /// Sets the stream of the next text, or the value that chooses its columns.
    pub(crate) fn select(&mut self, value: &[u8]) {
        match self {
            Self::Pattern(_) | Self::KeyValue(_) => {}
            Self::Csv(format) => format.select(value),
            Self::Other(format) => format.select(value),
        }
    }

    /// Gives the header that was read last to its stream.
    pub(crate) fn adopt(&mut self, stream: &[u8]) {
        match self {
            Self::Pattern(_) | Self::KeyValue(_) => {}
            Self::Csv(format) => format.adopt(stream),
            Self::Other(format) => format.adopt(stream),
        }
    }
}

/// The field that identifies the stream of an event, or chooses the columns of its line.
pub(crate) fn selector(options: &Options, setup: &mut Setup<'_>) -> Option<Field> {
    let has_headers = matches!(options.columns, Some(Columns::From(_))) && options.format == Format::Csv;
    if !has_headers && options.format != Format::AwsVpcFlow {
        if options.stream.is_some() {
            setup.error("stream", "`stream` belongs to `columns = \"header\"`, and to the format `aws_vpc_flow`");
        }
        return match (options.format, &options.column_sets) {
            (Format::Csv, Some(ColumnSets { by: By::Field(path), .. })) => setup.read("column_sets.by", path),
            _ => None,
        };
    }
    // Sources write the file, or the address, of an event here.
    setup.read("stream", options.stream.as_deref().unwrap_or("resource.source"))
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Regex => "regex",
            Self::KeyValue => "key_value",
            Self::Csv => "csv",
            Self::Logfmt => "logfmt",
            Self::Syslog => "syslog",
            Self::Nginx => "nginx",
            Self::Apache => "apache",
            Self::Cri => "cri",
            Self::Docker => "docker",
            Self::AwsVpcFlow => "aws_vpc_flow",
            Self::AwsAlb => "aws_alb",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Xml => "xml",
            Self::Url => "url",
            Self::Grok => "grok",
        }
    }
}

/// Reports options that belong to other formats.
fn check_options(options: &Options, setup: &mut Setup<'_>) {
    use Format::{Apache, AwsVpcFlow, Cef, Csv, Grok, KeyValue, Logfmt, Nginx, Regex, Syslog, Url, Xml};
    let given: [(&str, bool, &[Format]); 22] = [
        ("pattern", options.pattern.is_some(), &[Regex, Grok]),
        ("patterns", options.patterns.is_some(), &[Grok]),
        ("custom_patterns", !options.custom_patterns.is_empty(), &[Grok]),
        ("field_split", options.field_split.is_some(), &[KeyValue]),
        ("pair_split", options.pair_split.is_some(), &[KeyValue]),
        ("pre", options.pre.is_some(), &[KeyValue]),
        ("quotes", options.quotes.is_some(), &[KeyValue]),
        ("bare_keys", options.bare_keys.is_some(), &[KeyValue, Logfmt]),
        ("escape", options.escape.is_some(), &[Csv]),
        ("skip_header", options.skip_header.is_some(), &[Csv]),
        ("columns", options.columns.is_some(), &[Csv, AwsVpcFlow]),
        ("header", options.header.is_some(), &[Csv]),
        ("column_sets", options.column_sets.is_some(), &[Csv]),
        ("extra_columns", options.extra_columns.is_some(), &[Csv]),
        ("delimiter", options.delimiter.is_some(), &[Csv]),
        ("variant", options.variant.is_some(), &[Syslog, Nginx, Apache]),
        ("log_format", options.log_format.is_some(), &[Nginx, Apache]),
        ("parse_query", options.parse_query.is_some(), &[Url]),
        ("labels", options.labels.is_some(), &[Cef]),
        ("xml", options.xml.is_some(), &[Xml]),
        ("types", !options.types.is_empty(), &[Regex, Grok, KeyValue, Logfmt, Csv, Xml]),
        ("invalid_utf8", options.invalid_utf8.is_some() && options.format == Format::Json, &[]),
    ];
    let chosen = options.format.name();
    for (option, is_given, formats) in given {
        if !is_given || formats.contains(&options.format) {
            continue;
        }
        let names: Vec<String> = formats.iter().map(|format| format!("`{}`", format.name())).collect();
        let message = match (option, options.format) {
            ("types", Format::Json) => "JSON has types of its own; remove `types`".to_owned(),
            ("types", _) => format!("the format `{chosen}` has types of its own; remove `types`"),
            ("invalid_utf8", _) => "JSON that is not UTF-8 fails in any case; remove `invalid_utf8`".to_owned(),
            _ => format!("`{option}` belongs to the format {}, but the format is `{chosen}`", names.join(", ")),
        };
        setup.error(option, message);
    }
}

/// The form of the options. Returns `None` after it reported one that the format does not have.
fn variant(options: &Options, allowed: &[Variant], setup: &mut Setup<'_>) -> Option<Variant> {
    let chosen = options.variant.unwrap_or_default();
    if allowed.contains(&chosen) {
        return Some(chosen);
    }
    let names: Vec<String> = allowed.iter().map(|variant| format!("`{}`", variant.name())).collect();
    let message = format!(
        "the format `{}` has no form `{}`; its forms are {}",
        options.format.name(),
        chosen.name(),
        names.join(", ")
    );
    setup.error("variant", message);
    None
}

/// The layout of `log_format`, if it is set; its error is reported.
fn fixed_layout(
    options: &Options,
    layout: impl Fn(&str) -> Result<Layout, String>,
    setup: &mut Setup<'_>,
) -> Option<Option<Layout>> {
    let text = options.log_format.as_deref()?;
    if options.variant.is_some() {
        setup.error("variant", "`log_format` gives the form already; remove one of the two");
    }
    Some(match layout(text) {
        Ok(layout) if layout.is_empty() => {
            setup.error("log_format", "the layout has no values; copy the format from the server's configuration");
            None
        }
        Ok(layout) => Some(layout),
        Err(reason) => {
            setup.error("log_format", reason);
            None
        }
    })
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
        Self::typed(name, options.types.get(name).copied())
    }

    fn typed(name: &str, wanted: Option<Type>) -> Self {
        let mut json = Vec::new();
        write_string(name.as_bytes(), &mut json);
        json.push(b':');
        Self { name: name.into(), json, wanted }
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

pub(crate) fn wrong_type(key: &str, WrongType(wanted): WrongType) -> Fault {
    Fault { code: "wrong-type", message: format!("has a `{key}` that is not of the type {}", wanted.name()) }
}

/// Reports types for keys that cannot occur.
fn check_types(options: &Options, keys: &[Key], what: &str, setup: &mut Setup<'_>) {
    for name in options.types.keys().filter(|name| !keys.iter().any(|key| key.name == **name)) {
        setup.error(format!("types.{name}"), format!("there is no {what} `{name}`"));
    }
}
