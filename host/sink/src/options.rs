//! Options as they are written: reading them, and what numbers, sizes and durations look like.

use std::fmt;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option, such as `encoding.codec`; empty for the options as a whole.
    pub path: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl OptionError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "option `{}`: {}", self.path, self.message)
    }
}

impl std::error::Error for OptionError {}

/// Reads options into a struct.
pub(crate) fn read<T: DeserializeOwned>(options: &Value) -> Result<T, Vec<OptionError>> {
    serde_path_to_error::deserialize(options).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => String::new(),
            path => path.to_owned(),
        };
        vec![OptionError::new(path, error.into_inner().to_string())]
    })
}

/// One text of all errors, for those who have no place for a list.
pub(crate) fn summary(errors: &[OptionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A whole number, also as a string, which is what a configuration holds after `${NAME}` was filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) usize);

/// A number of bytes: a number, or a string such as `512KiB`, `16MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A duration: a number of seconds, or a string such as `100ms`, `5s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// On or off, also as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

/// A value that is written as a scalar of several kinds.
trait Scalar: Sized {
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_whole(_: u64) -> Option<Self> {
        None
    }

    fn from_decimal(_: f64) -> Option<Self> {
        None
    }

    fn from_bool(_: bool) -> Option<Self> {
        None
    }
}

impl Scalar for Count {
    const EXPECTED: &'static str = "a whole number such as `100`";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_whole(number: u64) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

impl Scalar for Size {
    const EXPECTED: &'static str = "a number of bytes, or a size such as `512KiB`, `16MiB` or `10MB`";

    fn from_text(text: &str) -> Option<Self> {
        text.parse::<bytesize::ByteSize>().ok().map(|size| Self(size.as_u64()))
    }

    fn from_whole(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Scalar for Time {
    const EXPECTED: &'static str = "a number of seconds, or a duration such as `100ms`, `5s` or `1h 30m`";

    fn from_text(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(number) => Self::from_decimal(number),
            Err(_) => humantime::parse_duration(text).ok().map(Self),
        }
    }

    fn from_whole(number: u64) -> Option<Self> {
        Some(Self(Duration::from_secs(number)))
    }

    fn from_decimal(number: f64) -> Option<Self> {
        Duration::try_from_secs_f64(number).ok().map(Self)
    }
}

impl Scalar for Switch {
    const EXPECTED: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_bool(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

struct ScalarVisitor<T>(std::marker::PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    fn finish<E: Error>(value: Option<T>, written: impl fmt::Display) -> Result<T, E> {
        value.ok_or_else(|| E::custom(format_args!("`{written}` is not {}", T::EXPECTED)))
    }
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Self::finish(T::from_text(text.trim()), text)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Self::finish(T::from_whole(number), number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Self::finish(u64::try_from(number).ok().and_then(T::from_whole), number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Self::finish(T::from_decimal(number), number)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Self::finish(T::from_bool(value), value)
    }
}

macro_rules! deserialize_scalar {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(std::marker::PhantomData))
            }
        }
    )*};
}

deserialize_scalar!(Count, Size, Time, Switch);

/// Schemas for editors: a type of JSON, and the texts that will do as well; a variable, written `${NAME}`, always does.
macro_rules! schema_scalar {
    ($($scalar:ty: $type:literal, $text:literal, $description:literal;)*) => {$(
        impl JsonSchema for $scalar {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($scalar).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern = concat!(r"\$\{|^\s*", $text, r"\s*$");
                json_schema!({ "type": [$type, "string"], "pattern": pattern, "description": $description })
            }
        }
    )*};
}

schema_scalar! {
    Count: "integer", r"[0-9]+", "A whole number.";
    Size: "integer", r"[0-9.]+ ?([kKmMgGtTpP][iI]?)?[bB]?", "A number of bytes, or a size such as `16MiB`.";
    Time: "number", r"[0-9.]+ ?[a-zµ]*( ?[0-9.]+ ?[a-zµ]+)*", "A duration such as `100ms` or `1h 30m`, or seconds.";
    Switch: "boolean", r"(true|false)", "`true` or `false`.";
}

/// The schema of options, in one piece.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Collects what is wrong with options that could be read.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<OptionError>);

impl Faults {
    /// Notes an error.
    pub(crate) fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(OptionError::new(path, message));
    }

    /// Notes an error unless a number is at least 1.
    pub(crate) fn at_least_one(&mut self, path: &str, number: u64) {
        if number == 0 {
            self.add(path, "must be at least 1");
        }
    }

    /// The value, if nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<OptionError>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse<T: DeserializeOwned>(value: Value) -> Option<T> {
        serde_json::from_value(value).ok()
    }

    #[test]
    fn numbers_may_be_strings() {
        assert_eq!(parse(json!(12)), Some(Count(12)));
        assert_eq!(parse(json!("12")), Some(Count(12)));
        assert_eq!(parse::<Count>(json!(-1)), None);
        assert_eq!(parse::<Count>(json!("1.5")), None);
        assert_eq!(parse(json!(true)), Some(Switch(true)));
        assert_eq!(parse(json!("false")), Some(Switch(false)));
        assert_eq!(parse::<Switch>(json!(1)), None);
    }

    #[test]
    fn sizes_and_durations_have_units() {
        for (value, bytes) in [(json!(5), 5), (json!("5"), 5), (json!("16MiB"), 16 << 20), (json!("10MB"), 10_000_000)]
        {
            assert_eq!(parse(value.clone()), Some(Size(bytes)), "{value}");
        }
        for (value, millis) in [
            (json!(5), 5000),
            (json!(0.5), 500),
            (json!("2"), 2000),
            (json!("100ms"), 100),
            (json!("0.5s"), 500),
            (json!("1m 1s"), 61_000),
        ] {
            assert_eq!(parse(value.clone()), Some(Time(Duration::from_millis(millis))), "{value}");
        }
        for value in [json!(-5), json!("-5"), json!("x"), json!(""), json!("inf"), json!("NaN"), json!([1])] {
            assert_eq!(parse::<Time>(value.clone()), None, "{value}");
            assert_eq!(parse::<Size>(value.clone()), None, "{value}");
        }
    }
}
