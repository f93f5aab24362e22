//! The table of source types, and the way from options as written to a source.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::source::{Source, SourceError};
use crate::{demo, file, http, stdin};

/// The types of sources that [`check`] and [`build`] know.
pub const TYPES: &[&str] = &["stdin", "file", "http", "demo"];

/// What is wrong with one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option below the source, such as `include[0]`; empty for the source as a whole.
    pub path: String,
    /// What is wrong and what is wanted.
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

/// Checks the options of a source, an object without the key `type`, and touches nothing in the world.
///
/// # Errors
///
/// Everything that is wrong, not only the first thing.
pub fn check(type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
    prepare(type_name, options).map(|_| ())
}

/// Builds a source from its options, an object without the key `type`.
///
/// # Errors
///
/// The options do not pass [`check`], or an address cannot be listened at.
pub fn build(type_name: &str, options: &Value) -> Result<Box<dyn Source>, SourceError> {
    let wrong = |errors: Vec<OptionError>| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        SourceError { message: format!("options of a `{type_name}` source are wrong: {}", errors.join("; ")) }
    };
    match type_name {
        "http" => {
            let source = parse(options).and_then(http::HttpSource::new).map_err(wrong)?;
            Ok(Box::new(source.listen()?))
        }
        _ => prepare(type_name, options).map_err(wrong),
    }
}

fn prepare(type_name: &str, options: &Value) -> Result<Box<dyn Source>, Vec<OptionError>> {
    match type_name {
        "stdin" => Ok(Box::new(stdin::Stdin::new(parse(options)?)?)),
        "file" => Ok(Box::new(file::FileSource::new(parse(options)?)?)),
        "http" => Ok(Box::new(http::HttpSource::new(parse(options)?)?)),
        "demo" => Ok(Box::new(demo::Demo::new(parse(options)?)?)),
        _ => {
            let known = TYPES.join("`, `");
            Err(vec![OptionError::new("type", format!("there is no source `{type_name}`; there are `{known}`"))])
        }
    }
}

/// The files that the options of a source name besides those that it takes events from, such as certificates, as they are
/// written. No type of source has any today.
pub fn files(_type_name: &str, _options: &Value) -> Vec<std::path::PathBuf> {
    Vec::new()
}

/// The JSON schema of the options of a type that is among [`TYPES`].
pub fn schema(type_name: &str) -> Option<Value> {
    match type_name {
        "stdin" => Some(schema_of::<stdin::Options>()),
        "file" => Some(schema_of::<file::Options>()),
        "http" => Some(schema_of::<http::Options>()),
        "demo" => Some(schema_of::<demo::Options>()),
        _ => None,
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Reads options, and goes on after an error by leaving out the option that it was found in.
fn parse<T: DeserializeOwned>(options: &Value) -> Result<T, Vec<OptionError>> {
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
        // Keeps the order of the others, and with it the order of what is said.
        left.as_object_mut().into_iter().for_each(|object| object.retain(|key, _| *key != first));
        let removed = left.as_object().map_or(0, serde_json::Map::len) < length;
        // Without an option to leave out, this is about the whole; it may be the lack of one that was left out.
        if removed || errors.is_empty() {
            errors.push(OptionError::new(&path, error.inner().to_string()));
        }
        if !removed {
            return Err(errors);
        }
    }
}

/// Gives the value if nothing was found to be wrong.
pub(crate) fn verdict<T>(value: T, errors: Vec<OptionError>) -> Result<T, Vec<OptionError>> {
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn expect(type_name: &str, options: Value, expected: &[(&str, &str)]) {
        let errors = check(type_name, &options).err().unwrap_or_default();
        let found: Vec<(&str, &str)> = errors.iter().map(|e| (e.path.as_str(), e.message.as_str())).collect();
        assert_eq!(found.len(), expected.len(), "{type_name} {options}: {found:?}");
        for ((path, message), (expected_path, part)) in found.iter().zip(expected) {
            assert_eq!(path, expected_path, "{found:?}");
            assert!(message.contains(part), "{message:?} does not hold {part:?}");
        }
    }

    #[test]
    fn every_type_has_options_that_pass() {
        for (type_name, options) in [
            ("stdin", json!({})),
            ("stdin", json!({ "framing": "document", "decompression": "none", "max_event_bytes": "1MiB" })),
            ("file", json!({ "include": ["/var/log/*.log"] })),
            (
                "file",
                json!({ "include": ["a/**/*.json.gz"], "when_finished": { "move_to": "done" }, "follow": "true" }),
            ),
            ("file", json!({ "include": ["x"], "when_finished": "delete", "max_open_files": "10", "stable_after": 0 })),
            ("http", json!({})),
            ("http", json!({ "address": "localhost:0", "path": "/in", "token": "s", "max_body_bytes": "1MB" })),
            ("demo", json!({})),
            ("demo", json!({ "records_per_document": [1, 5], "rate": "2.5", "seed": "7", "shape": "cloudwatch" })),
        ] {
            assert_eq!(check(type_name, &options), Ok(()), "{type_name} {options}");
            assert!(build(type_name, &options).is_ok());
        }
    }

    #[test]
    fn finds_everything_that_is_wrong_and_says_where() {
        expect("kafka", json!({}), &[("type", "there is no source `kafka`; there are `stdin`, `file`")]);
        expect(
            "stdin",
            json!({ "framed": "lines" }),
            &[("framed", "unknown field `framed`, expected one of `framing`")],
        );
        expect("stdin", json!([]), &[("", "must be a table")]);
        expect(
            "file",
            json!({ "include": ["ok", 3], "follow": "perhaps", "max_open_files": -1, "nonsense": 1 }),
            &[
                ("include[1]", "invalid type: integer `3`"),
                ("follow", "`perhaps` is not `true` or `false`"),
                ("max_open_files", "`-1` is not a whole number"),
                ("nonsense", "unknown field"),
            ],
        );
        expect("file", json!({}), &[("", "missing field `include`")]);
        expect("file", json!({ "include": [] }), &[("include", "names no file")]);
        expect(
            "file",
            json!({ "include": ["a[b"], "exclude": ["{x"], "max_event_bytes": "8GiB" }),
            &[("include[0]", "not a valid glob"), ("exclude[0]", "not a valid glob"), ("max_event_bytes", "at most")],
        );
        expect(
            "http",
            json!({ "address": "here", "path": "in", "token": "", "max_body_bytes": 0 }),
            &[
                ("address", "`here` has no port"),
                ("path", "must begin with `/`"),
                ("token", "empty"),
                ("max_body_bytes", "at least"),
            ],
        );
        expect(
            "demo",
            json!({ "interval": "1s", "rate": 5, "records_per_document": [5, 1] }),
            &[("records_per_document", "from low to high"), ("rate", "`interval`")],
        );
        expect("demo", json!({ "form": "tiny" }), &[("form", "unknown variant `tiny`")]);
    }

    #[test]
    fn building_says_all_of_it_in_one_sentence() {
        let error = build("stdin", &json!({ "framing": "xml", "limit": 1 })).err().unwrap().to_string();
        assert!(error.starts_with("options of a `stdin` source are wrong: "), "{error}");
        assert!(error.contains("framing: unknown variant `xml`") && error.contains("; limit: "), "{error}");
    }
}
