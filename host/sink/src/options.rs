//! Reads the options of a sink, with numbers, sizes and durations, and collects every error in them.

use std::fmt;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// An error in one option.
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

/// Reads options of type `T` and validates them. Every sink reads its options here, so that an operator gets all errors
/// at once.
///
/// An option that cannot be read is reported and left out; reading and validation continue without it.
///
/// # Errors
///
/// Every error that was found, in the order of reading and then of validation.
pub(crate) fn read<T: DeserializeOwned, V>(
    options: &Value,
    validate: impl FnOnce(T, &mut OptionErrors) -> Option<V>,
) -> Result<V, Vec<OptionError>> {
    let mut errors = OptionErrors::default();
    let parsed = parse(options.clone(), &mut errors);
    let value = parsed.and_then(|parsed| validate(parsed, &mut errors));
    match value {
        Some(value) if errors.0.is_empty() => Ok(value),
        _ => Err(errors.0),
    }
}

/// Deserializes options and leaves out each option that is wrong. `None` if what remains is not complete.
fn parse<T: DeserializeOwned>(mut left: Value, errors: &mut OptionErrors) -> Option<T> {
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&left) {
            Ok(parsed) => return Some(parsed),
            Err(error) => error,
        };
        let keys = keys(error.path());
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let message = error.inner().to_string();
        // A required option that was left out is missing now, which is no error of its own.
        if !errors.0.iter().any(|known| is_missing(&message, &path, &known.path)) {
            errors.add(&path, message);
        }
        if !remove(&mut left, &keys) {
            return None;
        }
    }
}

/// The keys of a path, up to the first list in it: a list is left out as a whole.
fn keys(path: &Path) -> Vec<String> {
    let keys = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

/// Whether an error says that `option` is missing in `table`.
fn is_missing(message: &str, table: &str, option: &str) -> bool {
    let key =
        if table.is_empty() { Some(option) } else { option.strip_prefix(table).and_then(|k| k.strip_prefix('.')) };
    key.is_some_and(|key| message == format!("missing field `{key}`"))
}

/// Removes the value at a path; false if there is none.
fn remove(options: &mut Value, keys: &[String]) -> bool {
    let Some((last, tables)) = keys.split_last() else { return false };
    let table = tables.iter().try_fold(options, |value, key| value.get_mut(key));
    let table = table.and_then(Value::as_object_mut);
    // `shift_remove` keeps the order of the other options, and with it the order of the errors.
    table.is_some_and(|table| table.shift_remove(last).is_some())
}

/// The text of all errors, for callers without a list of diagnostics.
pub(crate) fn summary(errors: &[OptionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A whole number. May be a string, because a configuration holds strings where it refers to variables (`${NAME}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) usize);

/// A number of bytes: a number, or a string such as `512KiB`, `16MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A duration: a number of seconds, or a string such as `100ms`, `5s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// A boolean. May be a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

/// A scalar that can be written as several JSON types.
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
            Err(_) => {
                let span: jiff::Span = text.parse().ok()?;
                let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
                Duration::try_from(span).ok().map(Self)
            }
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

/// Schemas for editors: a JSON type, and a pattern for strings. A reference to a variable, `${NAME}`, is always valid.
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

/// The JSON schema of options, with all types inlined.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The errors found so far.
#[derive(Debug, Default)]
pub(crate) struct OptionErrors(Vec<OptionError>);

impl OptionErrors {
    /// Adds an error.
    pub(crate) fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(OptionError::new(path, message));
    }

    /// Adds an error if a number is 0.
    pub(crate) fn at_least_one(&mut self, path: &str, number: u64) {
        if number == 0 {
            self.add(path, "must be at least 1");
        }
    }

    /// Adds an error if a duration is 0.
    pub(crate) fn not_zero(&mut self, path: &str, time: Time) {
        if time.0.is_zero() {
            self.add(path, "must be longer than 0");
        }
    }

    /// The value, or `None` and its error.
    pub(crate) fn check<V>(&mut self, path: &str, result: Result<V, impl fmt::Display>) -> Option<V> {
        result.map_err(|error| self.add(path, error.to_string())).ok()
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
            (json!("1d"), 86_400_000),
        ] {
            assert_eq!(parse(value.clone()), Some(Time(Duration::from_millis(millis))), "{value}");
        }
        for value in [json!(-5), json!("-5"), json!("x"), json!(""), json!("inf"), json!("NaN"), json!([1])] {
            assert_eq!(parse::<Time>(value.clone()), None, "{value}");
            assert_eq!(parse::<Size>(value.clone()), None, "{value}");
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        size: Option<Size>,
        #[serde(default)]
        inner: Inner,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        time: Option<Time>,
        on: Option<Switch>,
        list: Vec<String>,
    }

    #[track_caller]
    fn errors(options: Value) -> Vec<String> {
        let read = read::<Sample, _>(&options, |sample, errors| {
            errors.at_least_one("size", sample.size.map_or(1, |size| size.0));
            Some(sample)
        });
        read.unwrap_err().into_iter().map(|error| error.path).collect()
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let options = json!({"inner": {"time": "x", "on": 5, "list": ["a", 1], "more": 1}, "size": 0, "name": "n"});
        assert_eq!(errors(options), ["inner.time", "inner.on", "inner.list[1]", "inner.more", "size"]);
        assert_eq!(errors(json!({"name": "n", "size": "many", "inner": 5})), ["size", "inner"]);
    }

    #[test]
    fn an_option_that_is_left_out_causes_no_further_error() {
        assert_eq!(errors(json!({"name": 5, "inner": {"on": "maybe"}})), ["name", "inner.on"]);
        assert_eq!(errors(json!({"inner": {"on": "maybe"}})), ["inner.on", ""]);
        assert_eq!(errors(json!({})), [""]);
        assert_eq!(errors(json!(5)), [""]);
    }
}
