//! Operations that change texts and arrays.

use serde::Deserialize;

use crate::condition::Condition;
use crate::options::declare::operations;
use crate::options::kinds::{CharacterSide, Coding, ConvertError, Field, Fields, InvalidUtf8, OnMissing};
use crate::options::read::Named;

operations! {
    /// Replaces what a regular expression matches in a text.
    Replace = "replace" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.path`.
        pub replace: Fields,
        /// Regular expression. No default. Example: `/users/(\d+)`.
        pub pattern: String,
        /// Text for each match, in which `$1` or `$name` is a group, and `$$` a dollar sign. `${1}_x` is a group before a letter, a
        /// digit or `_`. In a configuration or a pack, write `$${1}_x` and `$$$$`. No default.
        /// Example: `/users/ID`.
        pub with: String,
        /// Whether only the first match is replaced. Default: `false`.
        #[serde(default)]
        pub first: Option<bool>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Changes letters to lower case.
    Lower = "lower" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.level`.
        pub lower: Fields,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Changes letters to upper case.
    Upper = "upper" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.method`.
        pub upper: Fields,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Removes characters from the ends of a text.
    Trim = "trim" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.message`.
        pub trim: Fields,
        /// The characters to remove. Default: white space. Example: `"/ "`.
        #[serde(default)]
        pub characters: Option<String>,
        /// Where: `both`, `start`, `end`. Default: `both`.
        #[serde(default)]
        pub side: CharacterSide,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Splits a text into an array of strings: by `separator` or by `pattern`.
    Split = "split" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.tags`.
        pub split: Fields,
        /// Text between the parts. Default: none. Example: `","`.
        #[serde(default)]
        pub separator: Option<String>,
        /// Regular expression that matches between the parts. Default: none. Example: `\s*,\s*`.
        #[serde(default)]
        pub pattern: Option<String>,
        /// Maximum number of parts; the last one has the rest. Default: no maximum. Example: `2`.
        #[serde(default)]
        pub limit: Option<usize>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Joins the elements of an array to a text; null elements are left out.
    Join = "join" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.tags`.
        pub join: Fields,
        /// Text between the elements. Default: `","`.
        #[serde(default)]
        pub separator: Option<String>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not an array of texts, numbers and booleans: `fail`, `keep`, `null`, `remove`.
        /// Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Takes a part of a text, in characters, or of an array, in elements: from `start`, to `end`, or both.
    Slice = "slice" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.message`.
        pub slice: Fields,
        /// The first one that stays, from 0; negative numbers count from the end. Default: `0`. Example: `-4`.
        #[serde(default)]
        pub start: Option<i64>,
        /// The one after the last that stays, from 0; negative numbers count from the end. Default: all stay.
        /// Example: `100`.
        #[serde(default)]
        pub end: Option<i64>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is neither a string nor an array: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Encodes a text.
    Encode = "encode" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.token`.
        pub encode: Fields,
        /// How: `base64`, `base64_url`, `hex`, `percent`, or `json`, which makes a string of any value. No default.
        #[serde(rename = "as")]
        pub coding: Coding,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is an array or an object: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Decodes a text.
    Decode = "decode" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.payload`.
        pub decode: Fields,
        /// How it is encoded: `base64`, `base64_url`, `hex`, `percent`, or `json`, which makes a value of a string. No
        /// default.
        #[serde(rename = "as")]
        pub coding: Coding,
        /// What happens if the decoded bytes are not UTF-8: `fail`, which is an error of the value, or `replace`, which
        /// puts U+FFFD in place of each invalid sequence. `body` takes any bytes. Default: `fail`.
        #[serde(default)]
        pub invalid_utf8: InvalidUtf8,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string, not encoded so, or not UTF-8: `fail`, `keep`, `null`, `remove`.
        /// Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Makes an object of a URL: `scheme`, `user`, `host`, `port`, `path`, `query`, `fragment`, those that it has.
    Url = "url" {
        /// Fields that hold a URL, or the target of a request such as `/a?b=c`. May have `[*]`. No default.
        /// Example: `attributes.url`.
        pub url: Fields,
        /// Whether `query` is an object of the decoded parameters instead of a text. Default: `false`.
        #[serde(default)]
        pub parse_query: Option<bool>,
        /// Field for the result. Default: the field itself. Example: `attributes.url_parts`.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string, or not a URL: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }
}
