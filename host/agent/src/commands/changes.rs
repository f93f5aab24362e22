//! Differences between two events, by path.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;
use wattle_json::{Kind, Segment, Value};

/// Values below this depth are compared as a whole.
const MAX_DEPTH: usize = 64;

/// The depth up to which a body is JSON for the agent.
const MAX_JSON_DEPTH: usize = 512;

/// A path whose value is different, with its values as they stand in the events; a missing value is `None`.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) before: Option<Box<RawValue>>,
    pub(crate) after: Option<Box<RawValue>>,
}

/// The paths whose values differ, in order. A body that is JSON counts as its value. Texts are compared, not numbers, so
/// that no digit is lost.
pub(crate) fn changes(before: &str, after: &str) -> Vec<Change> {
    let (mut old, mut new) = (leaves(before), leaves(after));
    let paths: BTreeSet<Vec<Step>> = old.keys().chain(new.keys()).cloned().collect();
    let change = |path: Vec<Step>| {
        let (before, after) = (old.remove(&path), new.remove(&path));
        (before != after).then(|| Change { path: text(&path), before: raw(before), after: raw(after) })
    };
    paths.into_iter().filter_map(change).collect()
}

/// A JSON text. The agent checked that it is one.
pub(crate) fn raw(text: Option<String>) -> Option<Box<RawValue>> {
    RawValue::from_string(text?).ok()
}

/// The text of the member of an object with this key, and its kind.
pub(crate) fn member<'t>(object: &'t str, wanted: &str) -> Option<(&'t str, Kind)> {
    let mut found = None;
    members(object, |key, value, kind| {
        if key == wanted {
            found = Some((value, kind));
        }
    });
    found
}

/// A string without quotes and escapes.
pub(crate) fn string(json: &str) -> String {
    let mut out = Vec::new();
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json);
    wattle_json::unescape_lossy(inner.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn members<'t>(object: &'t str, mut found: impl FnMut(&str, &'t str, Kind)) {
    let whole = Value { start: 0, end: object.len(), kind: Kind::Object };
    // The agent checked the text.
    let _ = wattle_json::members(object.as_bytes(), whole, |key, value| {
        let key = string(object.get(key.start..key.end).unwrap_or_default());
        found(&key, object.get(value.start..value.end).unwrap_or_default(), value.kind);
    });
}

/// A step of a path. Steps are compared as they are, so that elements are in the order of their indexes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A key, and how many members of the object before it have the same one.
    Key(String, usize),
    Index(usize),
}

/// A path as options write it.
fn text(path: &[Step]) -> String {
    let mut text = String::new();
    for (number, step) in path.iter().enumerate() {
        let segment = match step {
            Step::Key(key, _) => Segment::Key(key.as_str().into()),
            Step::Index(index) => Segment::Index(*index),
        };
        if number > 0 && matches!(step, Step::Key(..)) {
            text.push('.');
        }
        text.push_str(&segment.to_string());
    }
    text
}

/// Every value that contains no other, by its path.
fn leaves(event: &str) -> BTreeMap<Vec<Step>, String> {
    let mut all = BTreeMap::new();
    members(event, |root, value, kind| {
        let path = vec![Step::Key(root.to_owned(), 0)];
        match (root, kind) {
            ("body", Kind::String) => {
                let body = string(value);
                let body = body.trim_matches([' ', '\t', '\r', '\n']);
                match wattle_json::check(body.as_bytes(), MAX_JSON_DEPTH) {
                    Ok(kind @ (Kind::Object | Kind::Array)) => collect(path, body, kind, &mut all),
                    _ => drop(all.insert(path, value.to_owned())),
                }
            }
            _ => collect(path, value, kind, &mut all),
        }
    });
    all
}

fn collect(path: Vec<Step>, value: &str, kind: Kind, all: &mut BTreeMap<Vec<Step>, String>) {
    let below = |step: Step| path.iter().cloned().chain([step]).collect();
    let before = all.len();
    if path.len() < MAX_DEPTH {
        match kind {
            Kind::Object => {
                let mut seen: BTreeMap<String, usize> = BTreeMap::new();
                members(value, |key, value, kind| {
                    let count = seen.entry(key.to_owned()).or_default();
                    collect(below(Step::Key(key.to_owned(), *count)), value, kind, all);
                    *count += 1;
                });
            }
            Kind::Array => {
                let mut index = 0;
                let whole = Value { start: 0, end: value.len(), kind };
                let _ = wattle_json::elements(value.as_bytes(), whole, |element| {
                    let text = value.get(element.start..element.end).unwrap_or_default();
                    collect(below(Step::Index(index)), text, element.kind, all);
                    index += 1;
                });
            }
            _ => {}
        }
    }
    if all.len() == before {
        // A scalar, an empty container, or one that is too deep.
        all.insert(path, value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(before: &str, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let text = |value: Option<Box<RawValue>>| value.map(|value| value.get().to_owned());
        changes(before, after).into_iter().map(|c| (c.path, text(c.before), text(c.after))).collect()
    }

    fn body(json: &str) -> String {
        serde_json::json!({ "body": json }).to_string()
    }

    #[test]
    fn a_body_of_json_is_compared_by_its_members_and_other_text_as_a_whole() {
        let event = |body: &str, k: u8| format!(r#"{{"body":{},"attributes":{{"k.e":{k}}}}}"#, serde_json::json!(body));
        let before = event(r#"{"a":1,"b":{"c":[1,2]},"d":"x"}"#, 1);
        let after = event(r#"{"a":1,"b":{"c":[1,3]},"e":{}}"#, 2);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            found(&before, &after),
            [
                ("attributes.\"k.e\"".into(), some("1"), some("2")),
                ("body.b.c[1]".into(), some("2"), some("3")),
                ("body.d".into(), some("\"x\""), None),
                ("body.e".into(), None, some("{}")),
            ]
        );
        assert_eq!(found(&body("a"), &body("b")), [("body".into(), some("\"a\""), some("\"b\""))]);
        assert!(found(&before, &before).is_empty());
    }

    #[test]
    fn a_value_that_becomes_an_object_is_removed_and_its_members_are_added() {
        let found = found(r#"{"attributes":{"a":1}}"#, r#"{"attributes":{"a":{"b":1}}}"#);
        assert_eq!(
            found.iter().map(|change| change.0.as_str()).collect::<Vec<_>>(),
            ["attributes.a", "attributes.a.b"]
        );
    }

    #[test]
    fn paths_keep_the_spaces_of_keys_and_the_order_of_elements() {
        let found = found(
            &body(r#"{"a b":[1],"ab":[0,0,0,0,0,0,0,0,0,0,0]}"#),
            &body(r#"{"a b":[2],"ab":[0,0,1,0,0,0,0,0,0,0,1]}"#),
        );
        let paths: Vec<&str> = found.iter().map(|change| change.0.as_str()).collect();
        assert_eq!(paths, ["body.\"a b\"[0]", "body.ab[2]", "body.ab[10]"]);
    }

    #[test]
    fn values_are_compared_and_shown_as_they_stand() {
        let (before, after) = (
            r#"{"a":12345678901234567890,"b":0.1000000000000000055,"c":1e999,"k":1,"k":2,"same":1e999}"#,
            r#"{"a":12345678901234567891,"b":0.1000000000000000056,"c":1e998,"k":1,"k":3,"same":1e999}"#,
        );
        for wrap in [body as fn(&str) -> String, |json: &str| format!(r#"{{"attributes":{json}}}"#)] {
            let found = found(&wrap(before), &wrap(after));
            let shown: Vec<_> = found.iter().map(|(_, a, b)| (a.as_deref().unwrap(), b.as_deref().unwrap())).collect();
            let expected = [
                ("12345678901234567890", "12345678901234567891"),
                ("0.1000000000000000055", "0.1000000000000000056"),
                ("1e999", "1e998"),
                ("2", "3"),
            ];
            assert_eq!(shown, expected);
        }
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(600), "]".repeat(600));
        assert_eq!(found(&body(&deep("1")), &body(&deep("2"))).len(), 1);
        let attributes = |inner: &str| format!(r#"{{"attributes":{{"a":{}}}}}"#, deep(inner));
        assert_eq!(found(&attributes("1"), &attributes("2")).len(), 1);
    }
}
