//! The operations and their parameters.

use crate::condition::Condition;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::declare::operations;
use super::kinds::{
    Case, CharacterSide, Coding, ConvertError, ConvertType, EmptyKind, Fact, Field, Fields, NumberOrField, OnError,
    OnMissing, Unit,
};
use super::read::{Named, StepError, read_step};

operations! {
    /// Sets a field to a value: exactly one of `value`, `template`, `from`, `first_of` and `host`. Objects that lead to the field
    /// are made.
    Set = "set" {
        /// Field to set; with `[*]` in every element of an array. No default. Example: `attributes.env`.
        pub set: Field,
        /// This value, of any JSON type. Default: none. Example: `"prod"`.
        #[serde(default, deserialize_with = "super::read::any_value")]
        pub value: Option<Value>,
        /// A text with fields between `{{` and `}}`. Default: none. Example: `"{{ attributes.user }}@{{ resource.host }}"`.
        #[serde(default)]
        pub template: Option<String>,
        /// The value of this field. Default: none. Example: `attributes.user_name`.
        #[serde(default)]
        pub from: Option<Field>,
        /// The value of the first of these fields that is neither missing nor null. Default: none.
        /// Example: `["attributes.user", "attributes.user_name"]`.
        #[serde(default)]
        pub first_of: Option<Vec<Field>>,
        /// This fact about the machine or the agent: `host.name`, `host.id`, `host.arch`, `os.type`, `os.version`,
        /// `agent.version`. Needs the grant `host`. Default: none. Example: `host.name`.
        #[serde(default)]
        pub host: Option<Fact>,
        /// The value if `from` or a field of `template` is missing or null, all of `first_of` are, or the machine lacks the
        /// fact. Default: none, the step sets nothing. Example: `"-"`.
        #[serde(default, deserialize_with = "super::read::any_value")]
        pub default: Option<Value>,
        /// Whether the step replaces a value; with `false` it sets only a field that is missing or null. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the value and for which there is no `default`: `keep`, `fail`.
        /// Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Copies a value to another field.
    Copy = "copy" {
        /// Field to copy. No default. Example: `attributes.client_ip`.
        pub copy: Field,
        /// Field to set. No default. Example: `attributes.source.ip`.
        pub to: Field,
        /// Whether the step replaces a value; with `false` it sets only a field that is missing or null. Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Moves a value to another field.
    Move = "move" {
        /// Field to move. No default. Example: `attributes.client_ip`.
        #[serde(rename = "move")]
        pub from: Field,
        /// Field to set. No default. Example: `attributes.source.ip`.
        pub to: Field,
        /// Whether the step replaces a value; with `false` nothing moves to a field that is neither missing nor null.
        /// Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens to an event in which the value has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Renames keys and keeps their place: one key with `to`, or the keys of an object with `pattern` or `case`.
    Rename = "rename" {
        /// Field to rename; with `pattern` or `case` an object whose keys are renamed. May have `[*]`. No default.
        /// Example: `attributes.usr`.
        pub rename: Field,
        /// The field with its new name, below the same object; with `pattern` what replaces a match, in which `$1` or `${name}`
        /// is a group. Default: none. Example: `attributes.user`.
        #[serde(default)]
        pub to: Option<String>,
        /// Regular expression; `to` replaces each match in a key. Default: none. Example: `^x_(.*)$`.
        #[serde(default)]
        pub pattern: Option<String>,
        /// How keys are written: `snake`, `camel`, `lower`, `upper`. Default: none. Example: `snake`.
        #[serde(default)]
        pub case: Option<Case>,
        /// Whether keys of objects below are renamed too. For `pattern` and `case`. Default: `false`.
        #[serde(default)]
        pub recursive: Option<bool>,
        /// Whether the step replaces a value that has the new name; with `false` nothing is renamed then.
        /// Default: `true`.
        #[serde(default)]
        pub overwrite: Option<bool>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
    }

    /// Removes fields.
    Remove = "remove" {
        /// Fields to remove; `*` in a key stands for any text, `[*]` for every element. No default.
        /// Example: `["attributes.tmp", "attributes.debug_*"]`.
        pub remove: Fields,
        /// What happens to an event that lacks a field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
    }

    /// Removes everything but these fields from `attributes`, `resource` or a JSON body, whichever the fields are in.
    /// Objects and arrays of which nothing is kept are removed too.
    Keep = "keep" {
        /// Fields to keep; `*` in a key stands for any text, `[*]` for every element. No default.
        /// Example: `["attributes.user", "attributes.http_*"]`.
        pub keep: Fields,
    }

    /// Converts values to a type.
    Convert = "convert" {
        /// Fields to convert. May have `[*]`. No default. Example: `attributes.status`.
        pub convert: Fields,
        /// What the value becomes: `int`, `float`, `bool`, `string`, `timestamp`, `duration`, `bytes`. No default.
        pub to: ConvertType,
        /// For `duration`: the unit of the number, `ns`, `us`, `ms` or `s`. Default: `s`.
        #[serde(default)]
        pub unit: Option<Unit>,
        /// Field for the result. Default: the field itself. Example: `attributes.status_code`.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value cannot be converted: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Replaces what a regular expression matches in a text.
    Replace = "replace" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.path`.
        pub replace: Fields,
        /// Regular expression. No default. Example: `/users/(\d+)`.
        pub pattern: String,
        /// Text for each match, in which `$1` or `${name}` is a group and `$$` a dollar sign. No default.
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

    /// Takes a part of a text, in characters, or of an array, in elements.
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

    /// Removes empty values from objects and arrays.
    RemoveEmpty = "remove_empty" {
        /// Objects or arrays whose values are removed. May have `[*]`. No default. Example: `attributes`.
        pub remove_empty: Fields,
        /// What counts as empty: `null`, `string`, `array`, `object`, `dash` (the text `-`).
        /// Default: `["null", "string", "array", "object"]`.
        #[serde(default)]
        pub empty: Option<Vec<EmptyKind>>,
        /// Whether objects and arrays below are searched too; what is empty afterwards is removed. Default: `true`.
        #[serde(default)]
        pub recursive: Option<bool>,
    }

    /// Makes one object of nested objects: `{"a":{"b":1}}` becomes `{"a.b":1}`.
    Flatten = "flatten" {
        /// Objects to flatten. May have `[*]`. No default. Example: `attributes`.
        pub flatten: Fields,
        /// Text between keys. Default: `"."`. Example: `"_"`.
        #[serde(default)]
        pub separator: Option<String>,
        /// How many levels come together; deeper values stay. Default: all levels. Example: `1`.
        #[serde(default)]
        pub depth: Option<usize>,
        /// Whether arrays are flattened too, with numbers as keys. Default: `false`.
        #[serde(default)]
        pub arrays: Option<bool>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not an object: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Makes nested objects of keys with separators: `{"a.b":1}` becomes `{"a":{"b":1}}`.
    Unflatten = "unflatten" {
        /// Objects to change. May have `[*]`. No default. Example: `attributes`.
        pub unflatten: Fields,
        /// Text between keys. Default: `"."`. Example: `"_"`.
        #[serde(default)]
        pub separator: Option<String>,
        /// How many levels are made at most; the rest of a key stays. Default: all levels, at most 64. Example: `1`.
        #[serde(default)]
        pub depth: Option<usize>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not an object, or a key is also the beginning of another key: `fail`, `keep`,
        /// `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Replaces a value by its SHA-256, or with `key` by its HMAC-SHA-256, in hexadecimal digits.
    Hash = "hash" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.user`.
        pub hash: Fields,
        /// Key of HMAC-SHA-256. Without a key, guessable values such as names can be found by trying. Default: none.
        /// Example: `"${HASH_KEY}"`.
        #[serde(default)]
        pub key: Option<String>,
        /// How many hexadecimal digits stay, 1 to 64. Default: `64`. Example: `32`.
        #[serde(default)]
        pub length: Option<usize>,
        /// How many characters of the value stay before the hash. Default: `0`. Example: `2`.
        #[serde(default)]
        pub keep_first: Option<usize>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
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

    /// Decodes a text. Bytes that are not UTF-8 become U+FFFD.
    Decode = "decode" {
        /// Fields to change. May have `[*]`. No default. Example: `attributes.payload`.
        pub decode: Fields,
        /// How it is encoded: `base64`, `base64_url`, `hex`, `percent`, or `json`, which makes a value of a string. No
        /// default.
        #[serde(rename = "as")]
        pub coding: Coding,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not a string, or not encoded so: `fail`, `keep`, `null`, `remove`.
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

    /// Replaces an IP address by its network, such as `10.1.2.3` by `10.1.2.0/24`.
    Network = "network" {
        /// Fields that hold an address. May have `[*]`. No default. Example: `attributes.client_ip`.
        pub network: Fields,
        /// Bits of an IPv4 address that stay, 0 to 32. Default: `24`.
        #[serde(default)]
        pub v4: Option<u8>,
        /// Bits of an IPv6 address that stay, 0 to 128. Default: `48`.
        #[serde(default)]
        pub v6: Option<u8>,
        /// Whether the result is an address without the number of bits, such as `10.1.2.0`. Default: `false`.
        #[serde(default)]
        pub address_only: Option<bool>,
        /// Field for the result. Default: the field itself.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks the field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if the value is not an address: `fail`, `keep`, `null`, `remove`. Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }

    /// Sets a field to the current time. Needs the grant `clock`.
    Now = "now" {
        /// Field to set; with `[*]` in every element of an array. No default. Example: `attributes.processed_at`.
        pub now: Field,
        /// Makes a whole number of this unit since 1970: `ns`, `us`, `ms` or `s`. Default: a text of RFC 3339 in UTC.
        #[serde(default)]
        pub unit: Option<Unit>,
        /// What happens to an event in which the time has no place: `fail`, `keep`. Default: `fail`.
        #[serde(default)]
        pub on_error: OnError,
    }

    /// Calculates with a number, or a string that is one: at most one of `add`, `subtract`, `multiply` and `divide`, and
    /// then `round`.
    Math = "math" {
        /// Field that holds the number. May have `[*]`. No default. Example: `attributes.duration_ms`.
        pub math: Fields,
        /// Adds a number or the number in a field. Default: none. Example: `1`.
        #[serde(default)]
        pub add: Option<NumberOrField>,
        /// Subtracts a number or the number in a field. Default: none. Example: `attributes.start`.
        #[serde(default)]
        pub subtract: Option<NumberOrField>,
        /// Multiplies by a number or the number in a field. Default: none. Example: `0.001`.
        #[serde(default)]
        pub multiply: Option<NumberOrField>,
        /// Divides by a number or the number in a field. Division by 0 is an error. Default: none.
        /// Example: `attributes.total`.
        #[serde(default)]
        pub divide: Option<NumberOrField>,
        /// Rounds to so many digits after the point, 0 to 15, half away from zero. Default: not rounded. Example: `2`.
        #[serde(default)]
        pub round: Option<u8>,
        /// Field for the result. Default: the field itself. Example: `attributes.error_ratio`.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks a field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if a value is not a number, or the result is none: `fail`, `keep`, `null`, `remove`.
        /// Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }
}
