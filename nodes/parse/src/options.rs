//! What a user may set.

mod csv;
mod key_value;
mod nested;
mod xml;

use std::collections::BTreeMap;

use serde::Deserialize;
use wattle_convert::Type;

pub use self::csv::{By, ColumnSets, Columns, ColumnsFrom, Delimiter, ExtraColumns, NamedDelimiter};
pub use self::key_value::Quotes;
pub use self::nested::NestedStrings;
pub use self::xml::{Namespaces, Xml};

/// Options of the node `parse`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field to parse. Default: `body`. Example: `attributes.Record.message`.
    #[serde(default = "body")]
    pub field: String,
    /// How the text is written. Default: `json`.
    #[serde(default)]
    pub format: Format,
    /// Where the values go: `attributes`, `resource`, `scope.attributes`, or a path below one of them. Default: `attributes`.
    /// Example: `attributes.parsed`.
    #[serde(default = "attributes")]
    pub into: String,
    /// What to do with keys that already exist. Default: `overwrite`.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// Strings of the parsed value whose text is JSON, an object or an array, and becomes a value: a list of paths in the
    /// parsed value, or `true` for all that begin with `{` or `[`. Other strings stay. Default: none. Example:
    /// `["message", "records[*].details"]`.
    #[serde(default)]
    pub nested: Option<NestedStrings>,
    /// For `regex` and `grok`: the pattern; each named group or field becomes a key. Required there.
    /// Example: `^(?<ip>\S+) (?<status>\d+)$`, or for `grok` `^%{IP:ip} %{INT:status:int}$`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For `grok`: patterns instead of one; the first that matches counts. Default: none.
    /// Example: `["%{COMBINEDAPACHELOG}", "%{GREEDYDATA:message}"]`.
    #[serde(default)]
    pub patterns: Option<Vec<String>>,
    /// For `grok`: patterns by name, which other patterns can use. They replace public ones of the same name.
    /// Default: none. Example: `{ ORDER = "[A-Z]{2}%{INT}" }`.
    #[serde(default)]
    pub custom_patterns: BTreeMap<String, String>,
    /// For `key_value`: the separator between pairs. Default: one space, which means any white
    /// space. The node skips empty pairs. Example: `;`.
    #[serde(default)]
    pub field_split: Option<String>,
    /// For `key_value`: the separator between key and value. Default: `=`. Example: `:`.
    #[serde(default)]
    pub pair_split: Option<String>,
    /// For `syslog`, `nginx` and `apache`: the only form that is accepted. Default: `auto`, which
    /// tries all forms.
    #[serde(default)]
    pub variant: Option<Variant>,
    /// For `nginx` and `apache`: the layout of the access log, as `log_format` or `LogFormat` of the
    /// server's configuration has it. Default: the usual ones. Example:
    /// `$remote_addr [$time_local] "$request" $status`.
    #[serde(default)]
    pub log_format: Option<String>,
    /// For `cef`: gives values such as `cs1` the name in their label `cs1Label`. Default: `false`.
    #[serde(default)]
    pub labels: Option<bool>,
    /// For `url`: whether `query` is an object of the decoded parameters instead of a text. Default: `false`.
    #[serde(default)]
    pub parse_query: Option<bool>,
    /// For all formats but `json`: what to do with a text that is not UTF-8. Default: `replace`.
    #[serde(default)]
    pub invalid_utf8: Option<InvalidUtf8>,
    /// For `key_value` and `logfmt`: the value of a key without a value, such as `debug` in `a=1 debug b=2`. A
    /// text with only such keys fails. Default: `true`.
    #[serde(default)]
    pub bare_keys: Option<BareKeys>,
    /// For `key_value`: key for the text before the first pair, which is not parsed; an empty one leaves the text out.
    /// Default: none, and words before the first pair are bare keys. Example: `message`.
    #[serde(default)]
    pub pre: Option<String>,
    /// For `key_value`: the quotes around values that belong to the notation. Default: `both`.
    #[serde(default)]
    pub quotes: Option<Quotes>,
    /// For `csv`: a key for each column, in order (an empty key leaves a column out), or `header`. Required there,
    /// unless there are `column_sets`. Example: `["time", "status"]`. For `aws_vpc_flow`: the fields of the flow log, in
    /// order. Default there: those of version 2.
    #[serde(default)]
    pub columns: Option<Columns>,
    /// For `csv` with `columns = "header"`: text that header lines begin with. One that begins with `#` is no part of the
    /// names, and all other lines that begin with `#` are dropped as well. Required there. Example: `#Fields: `.
    #[serde(default)]
    pub header: Option<String>,
    /// For `csv` with `columns = "header"` and for `aws_vpc_flow`: field that identifies the stream of an event; a header
    /// counts for its stream. Default: `resource.source`, which names the file. Example: `attributes.file`.
    #[serde(default)]
    pub stream: Option<String>,
    /// For `csv`: columns that depend on the value of a column, or of a field of the event; `columns` counts for all
    /// other values. Default: none. Example: `{ by = 3, sets = { TRAFFIC = ["domain", "time"] } }`.
    #[serde(default)]
    pub column_sets: Option<ColumnSets>,
    /// For `csv`: what to do with lines that have more columns than names. Default: `fail`.
    #[serde(default)]
    pub extra_columns: Option<ExtraColumns>,
    /// For `csv`: the ASCII character between columns, or `whitespace` for any number of spaces and tabs, without quotes.
    /// Default: `,`. Example: `\t`.
    #[serde(default)]
    pub delimiter: Option<Delimiter>,
    /// For `csv`: the ASCII character that escapes the next one in quotes. Default: none, a quote is
    /// doubled. Example: `\\`.
    #[serde(default)]
    pub escape: Option<char>,
    /// For `csv`: drops lines whose columns are the names in `columns`, in order, and counts them as
    /// dropped under `header`. Default: `false`.
    #[serde(default)]
    pub skip_header: Option<bool>,
    /// For `xml`: how elements and attributes become members. Default: as each of its options says. Example:
    /// `{ keys_from = { Data = "Name" } }`.
    #[serde(default)]
    pub xml: Option<Xml>,
    /// For `regex`, `grok`, `key_value`, `logfmt`, `csv` and `xml`: types of keys whose values are not strings; an empty text
    /// becomes null. Default: none. Example: `{ status = "integer" }`.
    #[serde(default)]
    pub types: BTreeMap<String, Type>,
}

/// The value of a key that stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum BareKeys {
    /// The string `true`, or with the type `boolean` true itself.
    #[default]
    True,
    /// The empty string.
    Empty,
    /// None: the event fails.
    Fail,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Format {
    /// JSON; types are kept.
    #[default]
    Json,
    /// A regular expression with named groups.
    Regex,
    /// Pairs such as `level=info msg="all well"`.
    KeyValue,
    /// Columns as in RFC 4180.
    Csv,
    /// Pairs such as `level=info msg="all well"` as logfmt writes them.
    Logfmt,
    /// Syslog messages of RFC 5424 and RFC 3164, and those of devices that follow neither.
    Syslog,
    /// Access and error logs of nginx.
    Nginx,
    /// Access and error logs of Apache.
    Apache,
    /// Lines that a Kubernetes runtime writes for a container: `TIME stdout F text`.
    Cri,
    /// Lines of Docker's driver `json-file`.
    Docker,
    /// Flow logs of AWS VPC.
    AwsVpcFlow,
    /// Access logs of AWS Application Load Balancers.
    AwsAlb,
    /// ArcSight Common Event Format, after a syslog header or without.
    Cef,
    /// IBM QRadar Log Event Extended Format 1.0 and 2.0, after a syslog header or without.
    Leef,
    /// XML: one root element with its attributes, child elements and texts.
    Xml,
    /// URLs, and targets of requests such as `/a?b=c`.
    Url,
    /// Grok patterns such as `%{IP:client} %{WORD:method}`, with the public pattern set of Logstash.
    Grok,
}

/// A form of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Variant {
    /// Any form.
    #[default]
    Auto,
    /// `syslog`: RFC 3164 and what resembles it.
    Rfc3164,
    /// `syslog`: RFC 5424.
    Rfc5424,
    /// `apache`: the common log format.
    Common,
    /// `nginx` and `apache`: the combined log format.
    Combined,
    /// `nginx`: the format `main` of the usual packages.
    Main,
    /// `nginx`: the format of the Kubernetes ingress controller.
    Ingress,
    /// `nginx` and `apache`: the error log.
    Error,
}

impl Variant {
    /// The name in the options.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rfc3164 => "rfc3164",
            Self::Rfc5424 => "rfc5424",
            Self::Common => "common",
            Self::Combined => "combined",
            Self::Main => "main",
            Self::Ingress => "ingress",
            Self::Error => "error",
        }
    }
}

/// What to do with a text that is not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum InvalidUtf8 {
    /// Each invalid sequence becomes U+FFFD in the values.
    #[default]
    Replace,
    /// The event fails.
    Fail,
    /// The event continues as it is, without values.
    Keep,
}

/// What to do with keys that already exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnConflict {
    /// The parsed value replaces the old one.
    #[default]
    Overwrite,
    /// The old value stays.
    Keep,
    /// The event fails.
    Fail,
}

fn body() -> String {
    "body".into()
}

fn attributes() -> String {
    "attributes".into()
}
