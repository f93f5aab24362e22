//! Options of the node.

use serde::Deserialize;

/// Options of the node `serialize`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Format of the text. No default. Example: `logfmt`.
    pub format: Format,
    /// Object whose members are written: `attributes`, `resource`, `body` (if it is JSON), or a
    /// path below one of them. Default: `attributes`.
    #[serde(default = "attributes")]
    pub from: String,
    /// Where the text goes: `body`, or a path below `attributes` or `resource`. Default: `body`.
    #[serde(default = "body")]
    pub into: String,
    /// Members to write, in this order, as paths below `from`. Required for `csv`.
    /// Default: all members in their order. Example: `["user", "http.status"]`.
    #[serde(default)]
    pub fields: Option<Vec<String>>,
    /// `json`: writes nested objects as dotted keys. All other formats but `otlp` do so in any
    /// case. Default: `false`.
    #[serde(default)]
    pub flat: Option<bool>,
    /// `key_value`: text between pairs. `csv` and `leef`: the separator, one character.
    /// Default: a space, `,`, and a tab.
    #[serde(default)]
    pub separator: Option<String>,
    /// `key_value`: text between a key and its value. Default: `=`.
    #[serde(default)]
    pub pair_separator: Option<String>,
    /// `template`: the text, in which fields of the event stand between `{{` and `}}`. Required
    /// for `template`. Example: `{{ timestamp }} {{ attributes.user }}: {{ body }}`.
    #[serde(default)]
    pub template: Option<String>,
    /// `cef`, `leef`, `syslog`, `gelf`, `ecs` and `otlp`: parts of the header or envelope by name,
    /// each a template. Default: see the README. Example: `{ name = "{{ attributes.eventName }}" }`.
    #[serde(default)]
    pub header: std::collections::BTreeMap<String, String>,
}

/// Format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Format {
    /// A JSON object on one line.
    Json,
    /// `key=value` pairs; values with spaces or quotes stand in quotes.
    Logfmt,
    /// As `logfmt`, with separators of your choice.
    KeyValue,
    /// One line of comma-separated values (RFC 4180).
    Csv,
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// IBM QRadar Log Event Extended Format, version 2.0.
    Leef,
    /// A syslog message of RFC 5424; the members become structured data.
    Syslog,
    /// Graylog Extended Log Format 1.1.
    Gelf,
    /// JSON in the shape of the Elastic Common Schema.
    Ecs,
    /// A `LogsData` message of OTLP in JSON, with one log record.
    Otlp,
    /// A text with fields of the event.
    Template,
}

impl Format {
    /// The name in the options.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::KeyValue => "key_value",
            Self::Csv => "csv",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Syslog => "syslog",
            Self::Gelf => "gelf",
            Self::Ecs => "ecs",
            Self::Otlp => "otlp",
            Self::Template => "template",
        }
    }

    /// Parts of the header or envelope with their defaults, as templates. An empty default means
    /// that the part is left out, or written as the format's sign for no value.
    pub(crate) const fn header(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Cef => &[
                ("vendor", "Wattle"),
                ("product", "Wattle"),
                ("version", "1"),
                ("signature_id", "0"),
                ("name", "event"),
                ("severity", "0"),
            ],
            Self::Leef => &[("vendor", "Wattle"), ("product", "Wattle"), ("version", "1"), ("event_id", "event")],
            Self::Syslog => &[
                ("facility", "1"),
                ("severity", "6"),
                ("timestamp", "{{ timestamp }}"),
                ("hostname", ""),
                ("app_name", ""),
                ("proc_id", ""),
                ("msg_id", ""),
                ("structured_data_id", "event@32473"),
                ("message", "{{ body }}"),
            ],
            Self::Gelf => &[
                ("host", "unknown"),
                ("short_message", "{{ body }}"),
                ("full_message", ""),
                ("timestamp", "{{ timestamp }}"),
                ("level", "6"),
            ],
            Self::Ecs => &[
                ("timestamp", "{{ timestamp }}"),
                ("message", "{{ body }}"),
                ("log_level", ""),
                ("host_name", ""),
                ("service_name", ""),
            ],
            Self::Otlp => &[
                ("timestamp", "{{ timestamp }}"),
                ("body", "{{ body }}"),
                ("severity_text", "{{ severity.text }}"),
                ("severity_number", "{{ severity.number }}"),
                ("trace_id", "{{ trace_id }}"),
                ("span_id", "{{ span_id }}"),
                ("scope_name", "{{ scope.name }}"),
                ("scope_version", "{{ scope.version }}"),
            ],
            Self::Json | Self::Logfmt | Self::KeyValue | Self::Csv | Self::Template => &[],
        }
    }
}

fn attributes() -> String {
    "attributes".into()
}

fn body() -> String {
    "body".into()
}
