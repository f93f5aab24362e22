//! Operations that change values of several types.

use serde::Deserialize;

use crate::condition::Condition;
use crate::options::declare::operations;
use crate::options::kinds::{ConvertError, ConvertType, Field, Fields, NumberOrField, OnMissing, Unit};
use crate::options::read::Named;

operations! {
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

    /// Makes one object of nested objects: `{"a":{"b":1}}` becomes `{"a.b":1}`.
    Flatten = "flatten" {
        /// Objects to flatten. May have `[*]`. No default. Example: `attributes`.
        pub flatten: Fields,
        /// Text between keys. Default: `"."`. Example: `"_"`.
        #[serde(default)]
        pub separator: Option<String>,
        /// How many levels come together, 1 to 64; deeper values stay. Default: all levels. Example: `1`.
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

    /// Replaces an IP address by its network, such as `10.1.2.3` by `10.1.2.0/24`.
    Network = "network" {
        /// Fields that hold an address. May have `[*]`. No default. Example: `attributes.client_ip`.
        pub network: Fields,
        /// Bits of an IPv4 address that stay, 0 to 32. Default: `24`.
        #[serde(default, deserialize_with = "crate::options::read::up_to::<32, _>")]
        #[cfg_attr(not(target_arch = "wasm32"), schemars(range(max = 32)))]
        pub v4: Option<u8>,
        /// Bits of an IPv6 address that stay, 0 to 128. Default: `48`.
        #[serde(default, deserialize_with = "crate::options::read::up_to::<128, _>")]
        #[cfg_attr(not(target_arch = "wasm32"), schemars(range(max = 128)))]
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

    /// Calculates with a number, or a string that is one: at most one of `add`, `subtract`, `multiply` and `divide`, and
    /// then `round`. Up to 38 digits are exact; a quotient that does not end has 16.
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
        #[serde(default, deserialize_with = "crate::options::read::up_to::<15, _>")]
        #[cfg_attr(not(target_arch = "wasm32"), schemars(range(max = 15)))]
        pub round: Option<u8>,
        /// Field for the result. Default: the field itself. Example: `attributes.error_ratio`.
        #[serde(default)]
        pub into: Option<Field>,
        /// What happens to an event that lacks a field: `keep`, `fail`. Default: `keep`.
        #[serde(default)]
        pub on_missing: OnMissing,
        /// What happens if a value is not a number, or there is no result: `fail`, `keep`, `null`, `remove`.
        /// Default: `fail`.
        #[serde(default)]
        pub on_error: ConvertError,
    }
}
