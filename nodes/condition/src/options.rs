//! What a user may set in a condition.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use crate::hash::Sample;

/// A condition: tests of one field, which must all hold, or one of `all`, `any`, `not`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Condition {
    /// Field to test. Default: none. Example: `attributes.Record.errorCode`.
    pub field: Option<String>,
    /// The field exists and is not null (`true`), or is missing or null (`false`). Default: not
    /// tested. Example: `true`.
    pub exists: Option<bool>,
    /// The field has this JSON value; the type must match. Default: not tested. Example: `true`.
    #[serde(deserialize_with = "any_value")]
    pub equals: Option<Value>,
    /// The field has one of these JSON values. Default: not tested. Example: `["GetObject", "PutObject"]`.
    #[serde(rename = "in")]
    pub one_of: Option<Vec<Value>>,
    /// The text of the field is this, whatever its type. Default: not tested. Example: `"false"`.
    pub equals_text: Option<String>,
    /// The field has the same JSON value as this field. Default: not tested. Example: `attributes.owner`.
    pub equals_field: Option<String>,
    /// The text of the field starts with the text of this field. Default: not tested. Example: `attributes.namespace`.
    pub starts_with_field: Option<String>,
    /// The text of the field starts with this, or with one of these. Default: not tested. Example: `Get`.
    pub starts_with: Option<OneOrMany<String>>,
    /// The text of the field ends with this, or with one of these. Default: not tested. Example: `[".png", ".css"]`.
    pub ends_with: Option<OneOrMany<String>>,
    /// The text of the field contains this, or one of these. Default: not tested. Example: `Secret`.
    pub contains: Option<OneOrMany<String>>,
    /// The text of the field matches this regular expression. Default: not tested. Example: `^(Get|List|Describe)`.
    pub regex: Option<String>,
    /// The text of the field matches one of these regular expressions. Default: not tested. Example: `["^/health",
    /// "^/ready"]`.
    pub matches: Option<OneOrMany<String>>,
    /// The field is a number, or a string that contains one, less than this. Default: not tested.
    /// Example: `500`.
    pub lt: Option<Number>,
    /// The same, less than this or equal. Default: not tested. Example: `499`.
    pub le: Option<Number>,
    /// The same, greater than this. Default: not tested. Example: `399`.
    pub gt: Option<Number>,
    /// The same, greater than this or equal. Default: not tested. Example: `400`.
    pub ge: Option<Number>,
    /// The field is a string with an IPv4 or IPv6 address in this network, or in one of these. Default: not tested.
    /// Example: `["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]`.
    pub in_network: Option<OneOrMany<String>>,
    /// The length of the field: bytes of a text, elements of an array, members of an object. Default: not tested.
    /// Example: `{ min = 1, max = 64 }`.
    pub length: Option<Length>,
    /// The field has this JSON type, or one of these. Default: not tested. Example: `["array", "object"]`.
    #[serde(rename = "type")]
    pub kind: Option<OneOrMany<Type>>,
    /// The field is a time that is longer ago than this: a string of RFC 3339 or ISO 8601, or a number since 1970 whose
    /// size gives the unit. Needs the grant `clock`. Default: not tested. Example: `24h`.
    pub older_than: Option<String>,
    /// The event belongs to this share of the events, chosen by a hash of the field or of `key`. Default: not tested.
    /// Example: `{ rate = 10 }`.
    pub sample: Option<Sample>,
    /// All of these conditions hold. Default: none.
    pub all: Option<Vec<Condition>>,
    /// At least one of these conditions holds. Default: none.
    pub any: Option<Vec<Condition>>,
    /// This condition does not hold. Default: none.
    pub not: Option<Box<Condition>>,
}

impl Condition {
    /// Whether it compares the field with another one.
    pub(crate) const fn compares(&self) -> bool {
        self.equals_field.is_some() || self.starts_with_field.is_some()
    }
}

/// Reads null as a value instead of `None`.
fn any_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// One value or a list.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema), schemars(untagged))]
pub enum OneOrMany<T> {
    /// One value.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    // By hand: the error of an untagged enum does not say what is wrong with the value, such as the names that exist.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Either(PhantomData))
    }
}

/// Reads a list, or anything else as one value.
struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<OneOrMany<T>, E> {
        T::deserialize(value.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<OneOrMany<T>, E> {
        T::deserialize(value.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<OneOrMany<T>, E> {
        T::deserialize(value.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<OneOrMany<T>, E> {
        T::deserialize(value.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<OneOrMany<T>, E> {
        T::deserialize(value.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_unit<E: Error>(self) -> Result<OneOrMany<T>, E> {
        T::deserialize(().into_deserializer()).map(OneOrMany::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, value: A) -> Result<OneOrMany<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(value)).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, value: A) -> Result<OneOrMany<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(value)).map(OneOrMany::Many)
    }
}

impl<T> OneOrMany<T> {
    /// The values, each with its path in the options; `at` is the path of the option.
    pub fn named(&self, at: &str) -> Vec<(String, &T)> {
        match self {
            Self::One(one) => vec![(at.to_owned(), one)],
            Self::Many(many) => many.iter().enumerate().map(|(i, one)| (format!("{at}[{i}]"), one)).collect(),
        }
    }

    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Bounds of a length; at least one is needed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Length {
    /// At least this much. Default: 0.
    pub min: Option<usize>,
    /// At most this much. Default: unlimited.
    pub max: Option<usize>,
}

/// A type of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Type {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}
