//! Parsing of options, with all errors at once.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An error in one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option below the source, such as `include[0]`; empty for an error of the source as a whole.
    pub path: String,
    /// The error, and which values are valid.
    pub message: String,
}

impl OptionError {
    pub(crate) fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for OptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Parses options. After an error it removes the option and parses again, to find all errors.
pub(crate) fn parse<T: DeserializeOwned>(options: &Value) -> Result<T, Vec<OptionError>> {
    if !options.is_object() {
        return Err(vec![OptionError::new("", "the options of a source must be a table")]);
    }
    let mut left = options.clone();
    let mut errors = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(left.clone()) {
            Ok(parsed) if errors.is_empty() => return Ok(parsed),
            Ok(_) => return Err(errors),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        let first = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let length = left.as_object().map_or(0, serde_json::Map::len);
        // `retain` keeps the order of the other options, and with it the order of the errors.
        left.as_object_mut().into_iter().for_each(|object| object.retain(|key, _| *key != first));
        let removed = left.as_object().map_or(0, serde_json::Map::len) < length;
        // An error without an option is about the whole, unless it reports an option that was just removed as missing.
        if removed || errors.is_empty() {
            errors.push(OptionError::new(&path, error.inner().to_string()));
        }
        if !removed {
            return Err(errors);
        }
    }
}

/// Returns the value if there are no errors.
pub(crate) fn verdict<T>(value: T, errors: Vec<OptionError>) -> Result<T, Vec<OptionError>> {
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}
