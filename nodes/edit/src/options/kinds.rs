//! The kinds of values that several operations take.

use serde::Deserialize;

/// A field, such as `attributes.user`.
pub type Field = String;

/// A field or a list of fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a field or a list of fields, such as `attributes.user`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Fields {
    /// One field.
    One(Field),
    /// Several fields; the operation works on each.
    Many(Vec<Field>),
}

impl Fields {
    /// The fields, each with its place in the options.
    pub(crate) fn each<'a>(&'a self, at: &'a str) -> impl Iterator<Item = (String, &'a str)> {
        let (one, many) = match self {
            Self::One(field) => (Some(field), &[][..]),
            Self::Many(fields) => (None, fields.as_slice()),
        };
        let one = one.into_iter().map(|field| (at.to_owned(), field.as_str()));
        one.chain(many.iter().enumerate().map(move |(i, field)| (format!("{at}[{i}]"), field.as_str())))
    }
}

/// A number, or a field that holds one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number or a field")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum NumberOrField {
    /// This number.
    Number(serde_json::Number),
    /// The number in this field.
    Field(Field),
}

/// What happens to an event that lacks the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnMissing {
    /// The step changes nothing.
    #[default]
    Keep,
    /// It fails.
    Fail,
}

/// What happens to an event if a value has no place, because something on its path is not an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnError {
    /// It fails.
    #[default]
    Fail,
    /// The step changes nothing.
    Keep,
}

/// What happens if a value cannot be changed, because it has another type or is not of the right form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum ConvertError {
    /// The event fails.
    #[default]
    Fail,
    /// The value stays as it is.
    Keep,
    /// The value becomes null.
    Null,
    /// The field is removed.
    Remove,
}

/// What happens if the body is not JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnNotJson {
    /// The event fails.
    #[default]
    Fail,
    /// Steps skip their fields below `body`.
    Skip,
}

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum ConvertType {
    /// A whole number. A fraction is an error.
    Int,
    /// A number.
    Float,
    /// `true` or `false`, from `true`, `yes`, `1`, `false`, `no`, `0` in any case.
    Bool,
    /// A string: the text of the value.
    String,
    /// A time of RFC 3339 in UTC.
    Timestamp,
    /// The length of a duration such as `1h 30m` or `250ms`, as a number of `unit`.
    Duration,
    /// The number of bytes of a size such as `10 MiB`.
    Bytes,
}

/// A unit of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    #[default]
    S,
}

impl Unit {
    /// Its length in nanoseconds.
    pub(crate) const fn nanoseconds(self) -> i64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }
}

/// Which end of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum CharacterSide {
    /// Both ends.
    #[default]
    Both,
    /// The start.
    Start,
    /// The end.
    End,
}

/// How bytes or characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Coding {
    /// Base64 with `+`, `/` and padding. Padding may lack when it is decoded.
    Base64,
    /// Base64 with `-` and `_`, without padding. Padding may stand when it is decoded.
    Base64Url,
    /// Hexadecimal digits, in lower case when they are written.
    Hex,
    /// Percent-encoding of everything but letters, digits, `-`, `.`, `_` and `~`.
    Percent,
    /// JSON in a string.
    Json,
}

/// What happens to decoded bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum InvalidUtf8 {
    /// The value cannot be changed.
    #[default]
    Fail,
    /// Each invalid sequence becomes U+FFFD.
    Replace,
}

/// How keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Case {
    /// `userName` becomes `user_name`.
    Snake,
    /// `user_name` becomes `userName`.
    Camel,
    /// ASCII and other letters in lower case.
    Lower,
    /// ASCII and other letters in upper case.
    Upper,
}

/// What counts as empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum EmptyKind {
    /// `null`.
    Null,
    /// `""`.
    String,
    /// `[]`.
    Array,
    /// `{}`.
    Object,
    /// `"-"`, as logs write a missing value.
    Dash,
}

/// A fact about the machine or the agent, in the words of OpenTelemetry's resource conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Fact {
    /// The name of the machine, such as `web-1`.
    #[serde(rename = "host.name")]
    HostName,
    /// The id of the machine, from `/etc/machine-id`.
    #[serde(rename = "host.id")]
    HostId,
    /// The architecture of the CPU, such as `amd64`.
    #[serde(rename = "host.arch")]
    HostArch,
    /// The operating system, such as `linux`.
    #[serde(rename = "os.type")]
    OsType,
    /// The release of the kernel, such as `6.1.0-18-amd64`.
    #[serde(rename = "os.version")]
    OsVersion,
    /// The version of the agent.
    #[serde(rename = "agent.version")]
    AgentVersion,
}

impl Fact {
    /// The name that options and the agent use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HostName => "host.name",
            Self::HostId => "host.id",
            Self::HostArch => "host.arch",
            Self::OsType => "os.type",
            Self::OsVersion => "os.version",
            Self::AgentVersion => "agent.version",
        }
    }
}
