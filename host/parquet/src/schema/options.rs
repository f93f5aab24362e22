//! Options of a schema, as an operator or a pack writes them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Preset;

/// Columns of a Parquet file. The columns of the preset come first.
///
/// ```toml
/// preset = "cloudtrail"
///
/// [[columns]]
/// name = "mfa"
/// type = "boolean"
/// path = "userIdentity.sessionContext.attributes.mfaAuthenticated"
/// ```
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaOptions {
    /// Ready-made columns.
    pub preset: Option<Preset>,
    /// Columns, after those of the preset. Default: none.
    #[serde(default)]
    pub columns: Vec<ColumnOptions>,
}

/// A column, or a field of a struct.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnOptions {
    /// Name in the file: no dots and no control characters; unique, whatever the case of its letters.
    pub name: String,
    /// Type of the values.
    pub r#type: Type,
    /// Path of the value in the record, or in the struct, such as `userIdentity.arn`; `$` for all of it. Keys only. By
    /// default the member whose key is the name, whatever the case of its ASCII letters.
    pub path: Option<String>,
    /// Only with `timestamp` and `date`: format of the value, such as `rfc3339`, `clf`, `epoch_ms` or `%Y-%m-%d %H:%M:%S`.
    /// By default ISO 8601, or a number since 1970, whose unit depends on its size.
    pub format: Option<String>,
    /// Only for columns, not for fields of structs: a record without this value fails.
    #[serde(default)]
    pub required: bool,
    /// Only with `struct`: its fields. Default: none.
    #[serde(default)]
    pub fields: Vec<ColumnOptions>,
    /// Only with `list` and `map`: the elements of the list, or the values of the map, whose keys are strings.
    pub element: Option<Box<ElementOptions>>,
}

/// An element of a list, or a value of a map.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElementOptions {
    /// Type of the values.
    pub r#type: Type,
    /// As for columns.
    pub format: Option<String>,
    /// Only with `struct`: its fields. Default: none.
    #[serde(default)]
    pub fields: Vec<ColumnOptions>,
    /// Only with `list` and `map`: the elements of the list, or the values of the map.
    pub element: Option<Box<ElementOptions>>,
}

/// The type of a column. A value that does not fit becomes null and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Text: strings unescaped; numbers, booleans, objects and arrays as they are written in the record.
    String,
    /// A whole number of 32 bits with a sign, also in a string.
    Int,
    /// A whole number of 64 bits with a sign, also in a string.
    Bigint,
    /// A floating-point number of 64 bits: the one nearest to a number, also in a string. Larger numbers do not fit.
    Double,
    /// `true` or `false`, also in a string.
    Boolean,
    /// A time in microseconds, in UTC, from 1677 to 2262; more digits are cut off.
    Timestamp,
    /// The day of a time, in UTC.
    Date,
    /// Any value as JSON, as it is written in the record.
    Json,
    /// An object with known fields.
    Struct,
    /// An array.
    List,
    /// An object with any keys. If a key is repeated, its first value counts.
    Map,
}

impl Type {
    /// The name of the type in options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Json => "json",
            Self::Struct => "struct",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}
