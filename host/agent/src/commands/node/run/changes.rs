//! Differences between two events, by path.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wattle_json::Segment;

/// A path whose value is different, with its values as JSON; a missing value is `None`.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Change {
    pub(super) fn json(&self) -> Value {
        json!({ "path": self.path, "before": self.before, "after": self.after })
    }
}

/// The paths whose values differ, in order. A body that is JSON counts as its value.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let (mut old, mut new) = (leaves(before), leaves(after));
    let paths: BTreeSet<Vec<Step>> = old.keys().chain(new.keys()).cloned().collect();
    let change = |path: Vec<Step>| {
        let (before, after) = (old.remove(&path), new.remove(&path));
        (before != after).then(|| Change { path: text(&path), before, after })
    };
    paths.into_iter().filter_map(change).collect()
}

/// A step of a path. Steps are compared as they are, so that elements are in the order of their indexes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// A path as options write it.
fn text(path: &[Step]) -> String {
    let mut text = String::new();
    for (number, step) in path.iter().enumerate() {
        let segment = match step {
            Step::Key(key) => Segment::Key(key.as_str().into()),
            Step::Index(index) => Segment::Index(*index),
        };
        if number > 0 && matches!(step, Step::Key(_)) {
            text.push('.');
        }
        text.push_str(&segment.to_string());
    }
    text
}

/// Every value that contains no other, by its path.
fn leaves(event: &Value) -> BTreeMap<Vec<Step>, Value> {
    let mut all = BTreeMap::new();
    for (root, value) in event.as_object().into_iter().flatten() {
        let path = vec![Step::Key(root.clone())];
        match body_value(root, value) {
            Some(body) => collect(path, &body, &mut all),
            None => collect(path, value, &mut all),
        }
    }
    all
}

/// The value of a body whose text is a JSON object or array.
pub(super) fn body_value(root: &str, value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|_| root == "body")?;
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn collect(path: Vec<Step>, value: &Value, all: &mut BTreeMap<Vec<Step>, Value>) {
    let below = |step: Step| path.iter().cloned().chain([step]).collect();
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, value)| collect(below(Step::Key(key.clone())), value, all));
        }
        Value::Array(elements) if !elements.is_empty() => {
            elements.iter().enumerate().for_each(|(index, value)| collect(below(Step::Index(index)), value, all));
        }
        other => {
            all.insert(path, other.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_json_is_compared_by_its_members_and_other_text_as_a_whole() {
        let before = json!({"body": r#"{"a":1,"b":{"c":[1,2]},"d":"x"}"#, "attributes": {"k.e": 1}});
        let after = json!({"body": r#"{"a":1,"b":{"c":[1,3]},"e":{}}"#, "attributes": {"k.e": 2}});
        let found: Vec<(String, Option<Value>, Option<Value>)> =
            changes(&before, &after).into_iter().map(|c| (c.path, c.before, c.after)).collect();
        assert_eq!(
            found,
            [
                ("attributes.\"k.e\"".into(), Some(json!(1)), Some(json!(2))),
                ("body.b.c[1]".into(), Some(json!(2)), Some(json!(3))),
                ("body.d".into(), Some(json!("x")), None),
                ("body.e".into(), None, Some(json!({}))),
            ]
        );
        assert_eq!(changes(&json!({"body": "a"}), &json!({"body": "b"})).len(), 1);
        assert_eq!(changes(&before, &before), []);
    }

    #[test]
    fn a_value_that_becomes_an_object_is_removed_and_its_members_are_added() {
        let found = changes(&json!({"attributes": {"a": 1}}), &json!({"attributes": {"a": {"b": 1}}}));
        let paths: Vec<&str> = found.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["attributes.a", "attributes.a.b"]);
    }

    #[test]
    fn paths_keep_the_spaces_of_keys_and_the_order_of_elements() {
        let before = json!({"body": r#"{"a b":[1],"ab":[0,0,0,0,0,0,0,0,0,0,0]}"#});
        let after = json!({"body": r#"{"a b":[2],"ab":[0,0,1,0,0,0,0,0,0,0,1]}"#});
        let paths: Vec<String> = changes(&before, &after).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["body.\"a b\"[0]", "body.ab[2]", "body.ab[10]"]);
    }
}
