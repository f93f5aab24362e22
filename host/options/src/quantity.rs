//! Types of option values: sizes, durations, numbers and flags, each also accepted as text.
//!
//! Text is accepted everywhere because a value that comes from an environment variable is text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number of bytes: `65536`, `"65536"`, `"64KiB"`, `"10MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(
    /// Bytes.
    pub u64,
);

/// A duration: `"100ms"`, `"5s"`, `"1h 30m"`, or a number of seconds. Its name is not `Duration` because its callers also
/// use [`Duration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(
    /// The duration.
    pub Duration,
);

/// A number: `5`, `"5"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number<T>(
    /// The number.
    pub T,
);

/// A boolean: `true`, `"true"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(
    /// The value.
    pub bool,
);

/// A value that can be parsed from a JSON number or from text.
pub trait Quantity: Sized {
    /// Which values are valid, as words that follow "is not" or "must be".
    const EXPECTED: &'static str;

    /// Parses text; `None` if it is not valid.
    fn from_text(text: &str) -> Option<Self>;

    /// The value of a whole number; `None` if it is not valid.
    fn from_integer(_: u64) -> Option<Self> {
        None
    }

    /// The value of a number with a decimal point; `None` if it is not valid.
    fn from_float(_: f64) -> Option<Self> {
        None
    }

    /// The value of a boolean; `None` if it is not valid.
    fn from_flag(_: bool) -> Option<Self> {
        None
    }
}

impl Quantity for Size {
    const EXPECTED: &'static str = "a size such as `512KiB`, `16MiB` or `10MB`, or a number of bytes";

    fn from_text(text: &str) -> Option<Self> {
        // `bytesize` turns a size that is too large into the largest, which is a typing error and no limit.
        let size = text.trim().parse::<bytesize::ByteSize>().ok()?.as_u64();
        (size < u64::MAX).then_some(Self(size))
    }

    fn from_integer(value: u64) -> Option<Self> {
        Some(Self(value))
    }
}

impl Quantity for Period {
    const EXPECTED: &'static str = "a duration such as `100ms`, `5s` or `1h 30m`, or a number of seconds";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return Self::from_float(seconds);
        }
        let span: jiff::Span = text.parse().ok()?;
        let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(span).ok().map(Self)
    }

    fn from_integer(seconds: u64) -> Option<Self> {
        Some(Self(Duration::from_secs(seconds)))
    }

    fn from_float(seconds: f64) -> Option<Self> {
        Duration::try_from_secs_f64(seconds).ok().map(Self)
    }
}

impl Quantity for Number<u64> {
    const EXPECTED: &'static str = "a whole number, not negative";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    fn from_integer(value: u64) -> Option<Self> {
        Some(Self(value))
    }
}

impl Quantity for Number<usize> {
    const EXPECTED: &'static str = Number::<u64>::EXPECTED;

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    fn from_integer(value: u64) -> Option<Self> {
        value.try_into().ok().map(Self)
    }
}

impl Quantity for Number<f64> {
    const EXPECTED: &'static str = "a number";

    fn from_text(text: &str) -> Option<Self> {
        f64::from_str(text.trim()).ok().filter(|value| value.is_finite()).map(Self)
    }

    fn from_integer(value: u64) -> Option<Self> {
        Some(Self(value as f64))
    }

    fn from_float(value: f64) -> Option<Self> {
        Some(Self(value))
    }
}

impl Quantity for Flag {
    const EXPECTED: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    fn from_flag(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

/// Text that is not a size or duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be {0}")]
pub struct QuantityError(
    /// What it must be.
    pub &'static str,
);

impl Size {
    /// Writes the size with the largest binary unit that divides it.
    pub fn write(self) -> String {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(bits, _)| self.0 > 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => format!("{}{unit}", self.0 >> bits),
            None => format!("{}B", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::from_text(text).ok_or(QuantityError(Self::EXPECTED))
    }
}

impl FromStr for Period {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::from_text(text).ok_or(QuantityError(Self::EXPECTED))
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Quantity> ScalarVisitor<T> {
    fn known<E: Error>(value: Option<T>, given: &dyn fmt::Display) -> Result<T, E> {
        value.ok_or_else(|| E::custom(format_args!("`{given}` is not {}", T::EXPECTED)))
    }
}

impl<T: Quantity> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Self::known(T::from_integer(value), &value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Self::known(u64::try_from(value).ok().and_then(T::from_integer), &value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Self::known(T::from_float(value), &value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Self::known(T::from_flag(value), &value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        Self::known(T::from_text(value), &value)
    }
}

/// One `Deserialize` per type; the orphan rule does not allow a blanket implementation.
macro_rules! deserialize_scalar {
    ($($scalar:ty),*) => {$(
        impl<'de> Deserialize<'de> for $scalar {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }
    )*};
}

deserialize_scalar!(Size, Period, Number<u64>, Number<usize>, Number<f64>, Flag);

/// Schemas for editors: a JSON type, or text in the accepted format. A variable, written `${NAME}`, is always accepted.
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
    Size: "integer", r"[0-9.]+ ?([kKmMgGtTpP][iI]?)?[bB]?", "A number of bytes, or a size such as `16MiB`.";
    Period: "number", r"[0-9.]+ ?[a-zµ]*( ?[0-9.]+ ?[a-zµ]+)*", "A duration such as `100ms` or `1h 30m`, or seconds.";
    Number<u64>: "integer", r"[0-9]+", "A whole number.";
    Number<usize>: "integer", r"[0-9]+", "A whole number.";
    Number<f64>: "number", r"[0-9.eE+-]+", "A number.";
    Flag: "boolean", r"(true|false)", "`true` or `false`.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check<T: serde::de::DeserializeOwned + PartialEq + fmt::Debug>(cases: &[(Value, Option<T>)]) {
        for (value, expected) in cases {
            assert_eq!(serde_json::from_value::<T>(value.clone()).ok().as_ref(), expected.as_ref(), "{value}");
        }
    }

    #[test]
    fn reads_sizes_as_numbers_and_as_text() {
        check(&[
            (json!(4096), Some(Size(4096))),
            (json!("4096"), Some(Size(4096))),
            (json!("16MiB"), Some(Size(16 << 20))),
            (json!("1.5 GiB"), Some(Size(3 << 29))),
            (json!("10MB"), Some(Size(10_000_000))),
            (json!(-1), None),
            (json!(1.5), None),
            (json!("lots"), None),
            (json!(""), None),
            (json!("1 parsec"), None),
            (json!("99999999999TiB"), None),
            (json!(true), None),
            (json!(null), None),
        ]);
    }

    #[test]
    fn reads_durations_numbers_and_flags() {
        check(&[
            (json!("100ms"), Some(Period(Duration::from_millis(100)))),
            (json!("5s"), Some(Period(Duration::from_secs(5)))),
            (json!("1h 30m"), Some(Period(Duration::from_mins(90)))),
            (json!("1d"), Some(Period(Duration::from_hours(24)))),
            (json!("0.5s"), Some(Period(Duration::from_millis(500)))),
            (json!(2), Some(Period(Duration::from_secs(2)))),
            (json!("2"), Some(Period(Duration::from_secs(2)))),
            (json!("-5s"), None),
            (json!("soon"), None),
            (json!("1 parsec"), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!(""), None),
        ]);
        check(&[(json!(7), Some(Number(7_u64))), (json!("7"), Some(Number(7))), (json!("7.5"), None)]);
        check(&[(json!(0.5), Some(Number(0.5))), (json!("0.5"), Some(Number(0.5))), (json!("NaN"), None)]);
        check(&[(json!(true), Some(Flag(true))), (json!("false"), Some(Flag(false))), (json!("yes"), None)]);
    }

    #[test]
    fn writes_sizes_so_that_they_read_back() {
        for (bytes, expected) in [(0, "0B"), (1000, "1000B"), (65536, "64KiB"), (4 << 30, "4GiB")] {
            assert_eq!(Size(bytes).write(), expected);
            assert_eq!(expected.parse(), Ok(Size(bytes)));
        }
    }

    #[test]
    fn says_what_was_given_and_what_is_wanted() {
        let error = serde_json::from_value::<Size>(json!("lots")).unwrap_err().to_string();
        assert!(error.starts_with("`lots` is not a size such as `512KiB`"), "{error}");
    }
}
