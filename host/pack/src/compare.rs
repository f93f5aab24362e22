//! Compares the events that an output gave with those that a test expects.

use std::fmt;

use serde_json::Value as Json;

/// Keys that a line of an expectation may have: those of an event as the codec `json` writes it, and `body_json`.
pub(crate) const EVENT_KEYS: [&str; 7] =
    ["timestamp", "body", "body_base64", "body_json", "attributes", "resource", "failure"];

/// A difference between what was expected and what came.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Index of the event, from 0.
    pub index: usize,
    /// Where in the event, such as `attributes.Record.eventName`; empty for the whole.
    pub path: String,
    /// What was expected; `None` where an event came that was not expected.
    pub expected: Option<Json>,
    /// What came; `None` where nothing did.
    pub actual: Option<Json>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Json>| value.as_ref().map_or_else(|| "nothing".to_owned(), Json::to_string);
        write!(f, "event {}", self.index + 1)?;
        if !self.path.is_empty() {
            write!(f, ", `{}`", self.path)?;
        }
        write!(f, ": expected {}, got {}", show(&self.expected), show(&self.actual))
    }
}

/// Compares events one by one, in order; no mismatch means that all is as expected.
///
/// Keys that an expected event does not give are not compared. `body`, `body_base64` and `timestamp` must be equal, and `body_json`
/// must equal the body parsed as JSON, keys in any order. Of `attributes`, `resource` and `failure` only what is given
/// is compared, at every depth; arrays must have equal length. An expected `null` is met by `null` and by nothing.
pub fn compare(expected: &[Json], actual: &[Json]) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for index in 0..expected.len().max(actual.len()) {
        let mut found = Comparison { index, mismatches: &mut mismatches };
        match (expected.get(index), actual.get(index)) {
            (Some(expected), Some(actual)) => found.event(expected, actual),
            (expected, actual) => found.differs("", expected, actual),
        }
    }
    mismatches
}

struct Comparison<'a> {
    index: usize,
    mismatches: &'a mut Vec<Mismatch>,
}

impl Comparison<'_> {
    fn differs(&mut self, path: &str, expected: Option<&Json>, actual: Option<&Json>) {
        self.mismatches.push(Mismatch {
            index: self.index,
            path: path.to_owned(),
            expected: expected.cloned(),
            actual: actual.cloned(),
        });
    }

    fn event(&mut self, expected: &Json, actual: &Json) {
        let Some(members) = expected.as_object() else { return self.differs("", Some(expected), Some(actual)) };
        for (key, expected) in members {
            match key.as_str() {
                "body_json" => {
                    let body = actual.get("body");
                    // A body that is text holds JSON as text; a codec may as well have put it in as it is.
                    let parsed = match body {
                        Some(Json::String(text)) => serde_json::from_str(text).ok(),
                        other => other.cloned(),
                    };
                    if parsed.as_ref() != Some(expected) {
                        self.differs("body_json", Some(expected), parsed.as_ref().or(body));
                    }
                }
                "body" | "body_base64" | "timestamp" => {
                    if actual.get(key).unwrap_or(&Json::Null) != expected {
                        self.differs(key, Some(expected), actual.get(key));
                    }
                }
                _ => self.part(key, expected, actual.get(key)),
            }
        }
    }

    fn part(&mut self, path: &str, expected: &Json, actual: Option<&Json>) {
        match (expected, actual) {
            (Json::Null, None) => {}
            (Json::Object(members), Some(Json::Object(actual))) => {
                for (key, expected) in members {
                    self.part(&format!("{path}.{key}"), expected, actual.get(key));
                }
            }
            (Json::Array(items), Some(Json::Array(actual))) if items.len() == actual.len() => {
                for (index, (expected, actual)) in items.iter().zip(actual).enumerate() {
                    self.part(&format!("{path}[{index}]"), expected, Some(actual));
                }
            }
            (expected, actual) => {
                if Some(expected) != actual {
                    self.differs(path, Some(expected), actual);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares one event and lists the paths that differ.
    #[track_caller]
    fn check(expected: &str, actual: &str, paths: &[&str]) {
        let parse = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let found = compare(&[parse(expected)], &[parse(actual)]);
        assert_eq!(found.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(), paths, "{found:?}");
    }

    #[test]
    fn compares_only_the_keys_that_are_given() {
        let actual = r#"{"body":"x","attributes":{"a":1,"b":{"c":[1,2]}},"failure":null}"#;
        check("{}", actual, &[]);
        check(r#"{"body":"x"}"#, actual, &[]);
        check(r#"{"attributes":{"b":{"c":[1,2]}}}"#, actual, &[]);
        check(r#"{"attributes":{"b":{"c":[1]}}}"#, actual, &["attributes.b.c"]);
        check(r#"{"attributes":{"b":{"c":[1,3]},"a":2}}"#, actual, &["attributes.b.c[1]", "attributes.a"]);
        check(r#"{"attributes":{"z":1}}"#, actual, &["attributes.z"]);
    }

    #[test]
    fn a_body_is_compared_whole() {
        check(r#"{"body":"x"}"#, r#"{"body":"y"}"#, &["body"]);
        check(r#"{"body_json":{"a":1,"b":2}}"#, r#"{"body":"{\"b\":2,\"a\":1}"}"#, &[]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"body":"{\"b\":2,\"a\":1}"}"#, &["body_json"]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"body":"no json"}"#, &["body_json"]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"attributes":{}}"#, &["body_json"]);
    }

    #[test]
    fn null_is_met_by_nothing() {
        check(r#"{"failure":null,"timestamp":null}"#, "{}", &[]);
        check(r#"{"failure":null}"#, r#"{"failure":{"code":"not-json"}}"#, &["failure"]);
        check(r#"{"attributes":{"a":null}}"#, r#"{"attributes":{}}"#, &[]);
    }

    #[test]
    fn counts_events() {
        let event = || serde_json::json!({"body": "x"});
        assert!(compare(&[], &[]).is_empty());
        assert_eq!(
            compare(&[event()], &[]),
            [Mismatch { index: 0, path: String::new(), expected: Some(event()), actual: None }]
        );
        let extra = compare(&[event()], &[event(), event()]);
        assert_eq!(
            extra.iter().map(Mismatch::to_string).collect::<Vec<_>>(),
            [r#"event 2: expected nothing, got {"body":"x"}"#]
        );
    }
}
