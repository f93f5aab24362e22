//! The table of source types.

use serde_json::Value;

use crate::error::SourceError;
use crate::listeners::Listeners;
use crate::options::{OptionError, parse, schema_of};
use crate::source::Source;
use crate::{demo, file, http, stdin};

type New = Result<Box<dyn Source>, Vec<OptionError>>;

struct SourceType {
    name: &'static str,
    /// Creates a source without touching anything outside of it.
    new: fn(&Value) -> New,
    schema: fn() -> Value,
}

const TABLE: [SourceType; 4] = [
    SourceType {
        name: "stdin",
        new: |options| Ok(Box::new(stdin::Stdin::new(parse(options)?)?)),
        schema: schema_of::<stdin::Options>,
    },
    SourceType {
        name: "file",
        new: |options| Ok(Box::new(file::FileSource::new(parse(options)?)?)),
        schema: schema_of::<file::Options>,
    },
    SourceType {
        name: "http",
        new: |options| Ok(Box::new(http::HttpSource::new(parse(options)?)?)),
        schema: schema_of::<http::Options>,
    },
    SourceType {
        name: "demo",
        new: |options| Ok(Box::new(demo::Demo::new(parse(options)?)?)),
        schema: schema_of::<demo::Options>,
    },
];

/// The types of sources that [`check`] and [`build`] accept.
pub const TYPES: &[&str] = &{
    let [a, b, c, d] = &TABLE;
    [a.name, b.name, c.name, d.name]
};

fn find(type_name: &str) -> Option<&'static SourceType> {
    const { &TABLE }.iter().find(|known| known.name == type_name)
}

/// Checks the options of a source, an object without the key `type`. It has no effect outside of the process.
///
/// # Errors
///
/// All errors of the options.
pub fn check(type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
    new(type_name, options).map(drop)
}

/// Builds a source from its options, an object without the key `type`. A source that listens takes its socket from
/// `listeners`.
///
/// # Errors
///
/// The options do not pass [`check`], or the source cannot listen on its address.
pub fn build(type_name: &str, options: &Value, listeners: &Listeners) -> Result<Box<dyn Source>, SourceError> {
    let wrong = |errors| SourceError::Options { type_name: type_name.to_owned(), errors };
    let mut source = new(type_name, options).map_err(wrong)?;
    source.listen(listeners)?;
    Ok(source)
}

fn new(type_name: &str, options: &Value) -> New {
    let Some(known) = find(type_name) else {
        let message = format!("there is no source `{type_name}`; there are `{}`", TYPES.join("`, `"));
        return Err(vec![OptionError::new("type", message)]);
    };
    (known.new)(options)
}

/// Returns the files that the options of a source name and that it takes no events from, such as certificates. Paths are
/// as written in the options. No type has any.
pub fn files(_type_name: &str, _options: &Value) -> Vec<std::path::PathBuf> {
    Vec::new()
}

/// Returns the JSON schema of the options of a type in [`TYPES`].
pub fn schema(type_name: &str) -> Option<Value> {
    find(type_name).map(|known| (known.schema)())
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
            assert!(build(type_name, &options, &Listeners::default()).is_ok());
        }
    }

    #[test]
    fn check_finds_all_errors_with_their_paths() {
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
    fn an_error_of_building_lists_all_options() {
        let error =
            build("stdin", &json!({ "framing": "xml", "limit": 1 }), &Listeners::default()).err().unwrap().to_string();
        assert!(error.starts_with("options of a `stdin` source are wrong: "), "{error}");
        assert!(error.contains("framing: unknown variant `xml`") && error.contains("; limit: "), "{error}");
    }
}
