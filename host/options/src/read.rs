//! Reads options and collects every error in them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::{OptionError, OptionErrors, Problem};

/// Reads options of type `T` and validates them. Every source and sink reads its options here, so that an operator
/// gets all errors at once.
///
/// An option that cannot be read is reported and left out; reading and validation continue without it.
///
/// # Errors
///
/// Every error that was found, in the order of reading and then of validation.
pub fn read<T: DeserializeOwned, V>(
    options: &Value,
    validate: impl FnOnce(T, &mut OptionErrors) -> Option<V>,
) -> Result<V, Vec<OptionError>> {
    // Serde reads a list as a struct, field by field.
    if !options.is_object() {
        return Err(vec![OptionError::new("", "the options must be a table")]);
    }
    let mut errors = OptionErrors::default();
    let parsed = parse(options.clone(), &mut errors);
    let value = parsed.and_then(|parsed| validate(parsed, &mut errors));
    errors.finish(value)
}

/// Deserializes options and leaves out each option that is wrong. `None` if what remains is not complete.
fn parse<T: DeserializeOwned>(mut left: Value, errors: &mut OptionErrors) -> Option<T> {
    let mut removed: Vec<Vec<String>> = Vec::new();
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
        let error = OptionError::of_serde(path, &error.inner().to_string());
        // A required option that was left out is missing now, which is no error of its own.
        if !removed.iter().any(|option| is_missing(&error.problem, &keys, option)) {
            errors.0.push(error);
        }
        if !remove(&mut left, &keys) {
            return None;
        }
        removed.push(keys);
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

/// Whether the problem is that `option` is missing in `table`.
fn is_missing(problem: &Problem, table: &[String], option: &[String]) -> bool {
    let Some((key, parent)) = option.split_last() else { return false };
    parent == table && matches!(problem, Problem::Missing { name } if name == key)
}

/// Removes the value at a path; false if there is none.
fn remove(options: &mut Value, keys: &[String]) -> bool {
    let Some((last, tables)) = keys.split_last() else { return false };
    let table = tables.iter().try_fold(options, |value, key| value.get_mut(key));
    let table = table.and_then(Value::as_object_mut);
    // `shift_remove` keeps the order of the other options, and with it the order of the errors.
    table.is_some_and(|table| table.shift_remove(last).is_some())
}

/// The JSON schema of one value, such as a [`Size`](crate::Size).
pub fn schema_of_value<T: JsonSchema>() -> Value {
    T::json_schema(&mut schemars::SchemaGenerator::default()).to_value()
}

/// The JSON schema of options, with all types inlined.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flag, Period, Size};
    use serde::Deserialize;
    use serde_json::json;

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
        time: Option<Period>,
        on: Option<Flag>,
        list: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Lists {
        names: Vec<String>,
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
        let read = read::<Lists, _>(&json!({ "names": ["a", 1] }), |Lists { names }, _| Some(names));
        assert_eq!(read.unwrap_err().len(), 1);
    }
}
