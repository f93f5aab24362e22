//! Compares events with those that a case of a node or a test of a pack expects.
//!
//! Both use the rule that `docs/PACKS.md` documents: keys that an expected event does not give are
//! not compared, and JSON is compared by value, never by spelling.

use std::fmt;

use serde_json::{Map, Number, Value as Json};

/// Keys that an expected event can have: those that the codec `json` writes, and `body_json`.
pub const EVENT_KEYS: [&str; 12] = [
    "timestamp",
    "kind",
    "severity",
    "trace_id",
    "span_id",
    "scope",
    "body",
    "body_base64",
    "body_json",
    "attributes",
    "resource",
    "failure",
];

/// A difference between an expected and an actual event.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Index of the event, from 0.
    pub index: usize,
    /// Path in the event, such as `attributes.Record.eventName`; empty for the whole event.
    pub path: String,
    /// Expected value; `None` for an unexpected event.
    pub expected: Option<Json>,
    /// Actual value; `None` for a missing event.
    pub actual: Option<Json>,
}

impl fmt::Display for Mismatch {
    /// Counts events from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Json>| value.as_ref().map_or_else(|| "nothing".to_owned(), Json::to_string);
        write!(f, "event {}", self.index + 1)?;
        if !self.path.is_empty() {
            write!(f, ", `{}`", self.path)?;
        }
        write!(f, ": expected {}, got {}", show(&self.expected), show(&self.actual))
    }
}

/// Compares events one by one, in order; returns no mismatch if all are as expected.
///
/// Keys that an expected event does not give are not compared. A `body` that is a string must be
/// equal as text; any other `body`, and `body_json` always, must equal the body parsed as JSON.
/// `body_base64` and `timestamp` must be equal. Of objects such as `attributes` and `severity` only
/// the given parts are compared, at every depth; arrays must have equal length. An expected `null`
/// matches only `null`. The order of keys in objects does not matter, and `1` equals `1.0`.
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

/// The body of an event as JSON, if it is JSON.
pub(crate) fn body_json(event: &Json) -> Option<Json> {
    match event.get("body") {
        Some(Json::String(text)) => serde_json::from_str(text).ok(),
        // A codec may have embedded the body as JSON.
        other => other.cloned(),
    }
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
            let is_value = key == "body_json" || key == "body" && !matches!(expected, Json::String(_) | Json::Null);
            match key.as_str() {
                _ if is_value => {
                    let parsed = body_json(actual);
                    if !parsed.as_ref().is_some_and(|parsed| equal(expected, parsed)) {
                        self.differs(key, Some(expected), parsed.as_ref().or_else(|| actual.get("body")));
                    }
                }
                // `null` also matches a body with the JSON text `null`.
                "body" if expected.is_null() && body_json(actual) == Some(Json::Null) => {}
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
            // A missing key counts as `null`.
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
                if !actual.is_some_and(|actual| equal(expected, actual)) {
                    self.differs(path, Some(expected), actual);
                }
            }
        }
    }
}

/// Whether two values are equal, independent of their spelling.
fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => equal_numbers(left, right),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| equal(left, right)))
        }
        _ => left == right,
    }
}

fn equal_numbers(left: &Number, right: &Number) -> bool {
    // Compare whole numbers exactly: a conversion to floats could make different ones equal.
    left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
}

/// Formats an actual event for an updated expectation: with the keys of `like`, the line that it
/// replaces, and only the parts that `like` gives. Without `like`, the body as JSON if it is valid
/// JSON, and the code of a failure.
pub fn expectation(observed: &Json, like: Option<&Json>) -> Json {
    let mut keys = Map::new();
    match like.and_then(Json::as_object).filter(|like| !like.is_empty()) {
        Some(like) => {
            for (key, like) in like {
                let is_value = key == "body_json" || key == "body" && !like.is_string();
                let (key, value) = match (key.as_str(), body_json(observed).filter(|_| is_value)) {
                    (_, Some(body)) => (key.as_str(), body),
                    ("body" | "body_json" | "body_base64", None) => (body_key(observed), body_text(observed)),
                    (_, None) => (key.as_str(), observed.get(key).map_or(Json::Null, |value| part_of(value, like))),
                };
                keys.insert(key.into(), value);
            }
        }
        None => {
            match body_json(observed) {
                Some(body) => keys.insert("body_json".into(), body),
                None => keys.insert(body_key(observed).into(), body_text(observed)),
            };
            if let Some(code) = observed.pointer("/failure/code") {
                keys.insert("failure".into(), serde_json::json!({ "code": code }));
            }
        }
    }
    Json::Object(keys)
}

fn body_key(observed: &Json) -> &'static str {
    if observed.get("body").is_some() { "body" } else { "body_base64" }
}

fn body_text(observed: &Json) -> Json {
    observed.get(body_key(observed)).cloned().unwrap_or_default()
}

/// Returns those parts of a value that another one gives.
fn part_of(value: &Json, like: &Json) -> Json {
    match (value, like) {
        (Json::Object(value), Json::Object(like)) => {
            let part = |(key, like): (&String, &Json)| {
                (key.clone(), value.get(key).map_or(Json::Null, |value| part_of(value, like)))
            };
            Json::Object(like.iter().map(part).collect())
        }
        _ => value.clone(),
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
    fn an_event_equals_itself() {
        let event =
            serde_json::json!({ "body": "b", "attributes": { "a": ["b", 1.5, null] }, "failure": { "code": "c" } });
        assert_eq!(compare(&[event.clone(), event.clone()], &[event.clone(), event]), []);
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
    fn all_parts_of_a_body_are_compared() {
        check(r#"{"body":"x"}"#, r#"{"body":"y"}"#, &["body"]);
        check(r#"{"body_json":{"a":1,"b":2}}"#, r#"{"body":"{\"b\":2,\"a\":1}"}"#, &[]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"body":"{\"b\":2,\"a\":1}"}"#, &["body_json"]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"body":"no json"}"#, &["body_json"]);
        check(r#"{"body_json":{"a":1}}"#, r#"{"attributes":{}}"#, &["body_json"]);
    }

    #[test]
    fn json_is_compared_by_value_and_not_by_spelling() {
        check(r#"{"body":{"b":[1.0,2e1],"a":"\u00e9"}}"#, r#"{"body":"{\"a\":\"é\", \"b\":[1,20]}"}"#, &[]);
        check(r#"{"body":{"a":1}}"#, r#"{"body":"{\"a\":2}"}"#, &["body"]);
        check(r#"{"attributes":{"a":1,"b":[{"c":2.0}]}}"#, r#"{"attributes":{"a":1.0,"b":[{"c":2,"d":3}]}}"#, &[]);
        check(r#"{"body":9007199254740993}"#, r#"{"body":"9007199254740992"}"#, &["body"]);
    }

    #[test]
    fn an_updated_expectation_keeps_the_keys_of_the_old_one_and_matches() {
        let parse = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let observed = parse(
            r#"{"timestamp":"t","body":"{\"a\":1}","attributes":{"n":2,"m":{"x":1,"y":2}},"failure":{"code":"c","node":"n"}}"#,
        );
        for (like, expected) in [
            (None, r#"{"body_json":{"a":1},"failure":{"code":"c"}}"#),
            (Some("{}"), r#"{"body_json":{"a":1},"failure":{"code":"c"}}"#),
            (Some(r#"{"body":"old"}"#), r#"{"body":"{\"a\":1}"}"#),
            (Some(r#"{"body":{"old":1}}"#), r#"{"body":{"a":1}}"#),
            (Some(r#"{"failure":{"code":"old"},"body_json":0}"#), r#"{"failure":{"code":"c"},"body_json":{"a":1}}"#),
            (Some(r#"{"attributes":{"m":{"y":0},"gone":1}}"#), r#"{"attributes":{"m":{"y":2},"gone":null}}"#),
            (Some(r#"{"resource":{"h":1}}"#), r#"{"resource":null}"#),
        ] {
            let written = expectation(&observed, like.map(parse).as_ref());
            assert_eq!(written.to_string(), expected, "{like:?}");
            assert!(compare(&[written], std::slice::from_ref(&observed)).is_empty(), "{like:?}");
        }
        let binary = parse(r#"{"body_base64":"/w=="}"#);
        assert_eq!(expectation(&binary, Some(&parse(r#"{"body_json":1}"#))), binary);
    }

    #[test]
    fn an_expected_null_matches_only_null() {
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
