//! The table of sources and sinks that this agent knows.

use std::path::PathBuf;

use serde_json::Value;
use wattle_manifest::{EndpointKind, Endpoints};
use wattle_plan::OptionError;

/// Built-in sources and sinks.
pub(crate) struct Builtin;

impl Endpoints for Builtin {
    fn types(&self, kind: EndpointKind) -> Vec<&str> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.to_vec(),
            EndpointKind::Sink => wattle_sink::TYPES.to_vec(),
        }
    }

    fn check(&self, kind: EndpointKind, type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
        match kind {
            EndpointKind::Source => wattle_source::check(type_name, options)
                .map_err(|all| all.into_iter().map(|e| OptionError { path: e.path, message: e.message }).collect()),
            EndpointKind::Sink => wattle_sink::check(type_name, options)
                .map_err(|all| all.into_iter().map(|e| OptionError { path: e.path, message: e.message }).collect()),
        }
    }

    fn files(&self, _kind: EndpointKind, _type_name: &str, options: &Value) -> Vec<PathBuf> {
        let mut files = Vec::new();
        named_files(options, &mut files);
        files
    }
}

/// Collects the files that options name. In sources and sinks, the names of such options end in `_file`.
fn named_files(options: &Value, files: &mut Vec<PathBuf>) {
    match options {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|path| name.ends_with("_file") && !path.is_empty()) {
                    Some(path) => files.push(path.into()),
                    None => named_files(value, files),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named_files(item, files)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_at_any_depth_of_the_options() {
        let options = serde_json::json!({ "uri": "https://h/", "tls": { "ca_file": "ca.pem", "key_file": "/k", "verify": true },
            "more": [{ "token_file": "t" }], "path": "out.txt", "crt_file": "" });
        let files = Builtin.files(EndpointKind::Sink, "http", &options);
        let mut names: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["/k", "ca.pem", "t"]);
    }
}
