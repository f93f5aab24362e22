//! The list of sink types, and the way from options to a sink.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::options::OptionError;
use crate::sink::{Built, SinkError};
use crate::{blackhole, console, file, http};

type Check = fn(&Value) -> Result<(), Vec<OptionError>>;
type Build = fn(&Arc<str>, &Value) -> Result<Built, SinkError>;
type SchemaOf = fn() -> Value;

/// Every sink type with its functions, in the order of [`TYPES`].
const SPECS: [(&str, Check, Build, SchemaOf); 4] = [
    ("blackhole", blackhole::check, |_, options| blackhole::build(options), blackhole::schema),
    ("console", console::check, console::build, console::schema),
    ("file", file::check, |_, options| file::build(options), file::schema),
    ("http", http::check, http::build, http::schema),
];

/// Names of the sink types, as `type` in the configuration.
pub const TYPES: &[&str] = &["blackhole", "console", "file", "http"];

fn spec(type_name: &str) -> Option<(Check, Build)> {
    SPECS.iter().find(|(name, ..)| *name == type_name).map(|&(_, check, build, _)| (check, build))
}

/// The JSON schema of the options of a type that is among [`TYPES`], without `type` and `inputs`.
pub fn schema(type_name: &str) -> Option<Value> {
    SPECS.iter().find(|(name, ..)| *name == type_name).map(|(.., schema)| schema())
}

fn unknown(type_name: &str) -> String {
    format!("there is no sink of type `{type_name}`; the types are `{}`", TYPES.join("`, `"))
}

/// Validates the options of a sink, without `type` and `inputs`. Touches no file and no network.
///
/// # Errors
///
/// Everything that is wrong, each with the path of the option.
pub fn check(type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
    let (check, _) = spec(type_name).ok_or_else(|| vec![OptionError::new("type", unknown(type_name))])?;
    check(options)
}

/// Makes the sink `name`. Reads what its options name, such as certificates, but opens nothing for writing yet.
///
/// # Errors
///
/// The options are not valid, or a file that they name cannot be read.
pub fn build(name: &str, type_name: &str, options: &Value) -> Result<Built, SinkError> {
    let of = |message: String| SinkError { message: format!("sink `{name}`: {message}") };
    let (_, build) = spec(type_name).ok_or_else(|| of(unknown(type_name)))?;
    build(&name.into(), options).map_err(|error| of(error.message))
}

/// The files that the options of a sink name and that it reads, such as certificates, as they are written. A sink that runs
/// reads them again by itself when they change. Options that are not valid name none.
pub fn files(type_name: &str, options: &Value) -> Vec<PathBuf> {
    match type_name {
        "http" => http::files(options),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(type_name: &str, options: &Value) -> Vec<(String, String)> {
        let errors = check(type_name, options).unwrap_err();
        assert!(build("out", type_name, options).is_err(), "build refuses what check refuses");
        errors.into_iter().map(|e| (e.path, e.message)).collect()
    }

    #[test]
    fn every_type_is_in_the_list() {
        let names: Vec<_> = SPECS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, TYPES);
    }

    #[test]
    fn takes_good_options() {
        for (type_name, options) in [
            ("blackhole", json!({})),
            ("console", json!({})),
            ("console", json!({"target": "stderr", "encoding": {"codec": "text", "minify": "true"}})),
            ("console", json!({"preview": 5})),
            ("file", json!({"path": "out.json"})),
            ("file", json!({"path": "out.ndjson", "encoding": {"codec": "ndjson"}})),
            ("file", json!({"path": "%Y/{{ attributes.x }}.log", "rotate_bytes": "1.5GiB", "max_open_files": "12"})),
            ("file", json!({"path": "a", "rotate_every": "1h 30m", "idle_timeout": 2.5, "compression": "zstd"})),
            ("http", json!({"uri": "https://example.com/in?x=1"})),
            (
                "http",
                json!({"uri": "http://[::1]:80", "method": "PUT", "headers": {"x-key": "v"}, "compression": "gzip",
                    "auth": {"strategy": "basic", "user": "u", "password": "p"}, "tls": {"verify": false},
                    "batch": {"max_bytes": 10, "max_events": "5", "timeout": "10ms"},
                    "proxy": {"enabled": "true", "http": "http://u:p@h:1", "no_proxy": ["localhost"]},
                    "request": {"retry_attempts": 3, "concurrency": "1"}, "dead_letter": "dead.jsonl"}),
            ),
        ] {
            assert_eq!(check(type_name, &options), Ok(()), "{options}");
            assert!(build("out", type_name, &options).is_ok(), "{options}");
        }
    }

    #[test]
    fn says_where_and_what_is_wrong() {
        for (type_name, options, path, part) in [
            ("kafka", json!({}), "type", "the types are `blackhole`"),
            ("blackhole", json!({"x": 1}), "x", "unknown field"),
            ("console", json!({"target": "printer"}), "target", "expected `stdout` or `stderr`"),
            (
                "console",
                json!({"encoding": {"codec": "xml"}}),
                "encoding.codec",
                "expected one of `json`, `text`, `ndjson`",
            ),
            ("console", json!({"encoding": {"kodec": 1}}), "encoding.kodec", "unknown field"),
            ("file", json!({}), "", "missing field `path`"),
            ("file", json!({"path": ""}), "path", "empty"),
            ("file", json!({"path": "{{ message }}"}), "path", "none of `body`"),
            ("file", json!({"path": "{{ body"}), "path", "`}}`"),
            ("file", json!({"path": "%Q.log"}), "path", "%Q"),
            ("file", json!({"path": "a", "rotate_bytes": "many"}), "rotate_bytes", "`16MiB`"),
            ("file", json!({"path": "a", "rotate_every": "1 parsec"}), "rotate_every", "`5s`"),
            ("file", json!({"path": "a", "max_open_files": 0}), "max_open_files", "at least 1"),
            ("file", json!({"path": "a", "fsync": "maybe"}), "fsync", "`batch`"),
            ("http", json!({}), "", "missing field `uri`"),
            ("http", json!({"uri": "ftp://h/"}), "uri", "`http://`"),
            ("http", json!({"uri": "/only/a/path"}), "uri", "`http://`"),
            ("http", json!({"uri": "http://me:secret@h/"}), "uri", "`auth`"),
            ("http", json!({"uri": "http://h/", "method": "B AD"}), "method", "`B AD`"),
            ("http", json!({"uri": "http://h/", "headers": {"a b": "c"}}), "headers.a b", "name"),
            ("http", json!({"uri": "http://h/", "headers": {"a": "c\n"}}), "headers.a", "value"),
            ("http", json!({"uri": "http://h/", "auth": {"strategy": "magic"}}), "auth.strategy", "`basic`"),
            ("http", json!({"uri": "http://h/", "auth": {"strategy": "bearer"}}), "auth", "token"),
            ("http", json!({"uri": "http://h/", "request": {"concurrency": 0}}), "request.concurrency", "at least 1"),
            ("http", json!({"uri": "http://h/", "batch": {"max_bytes": 0}}), "batch.max_bytes", "at least 1"),
            ("http", json!({"uri": "http://h/", "encoding": {"framing": "none"}}), "encoding.framing", "`format`"),
            ("http", json!({"uri": 5}), "uri", "string"),
            ("http", json!({"uri": "http://h/", "proxy": "socks5://me:secret@p"}), "proxy", "not supported"),
            ("http", json!({"uri": "http://h/", "proxy": {"https": "http://"}}), "proxy.https", "like `http://proxy"),
            ("http", json!({"uri": "http://h/", "proxy": {"htps": "http://p"}}), "proxy", "unknown field"),
            ("http", json!({"uri": "http://h/", "proxy": 5}), "proxy", "or a table"),
            ("http", json!({"uri": "http://h/", "tls": {"key_file": "k"}}), "tls.key_file", "`tls.crt_file`"),
        ] {
            let errors = wrong(type_name, &options);
            let found = errors.iter().any(|(p, m)| p == path && m.contains(part));
            assert!(found, "{options}: {errors:?}");
            assert!(!format!("{errors:?}").contains("secret"), "{errors:?}");
        }
    }

    #[test]
    fn reports_several_at_once() {
        let options = json!({"uri": "nowhere", "method": "B AD", "batch": {"max_events": 0}});
        let paths: Vec<_> = wrong("http", &options).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["uri", "method", "batch.max_events"]);
    }
}
