//! Differences between two events, by path.

use std::collections::BTreeMap;

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
    old.retain(|path, value| {
        let is_same = new.get(path) == Some(value);
        if is_same {
            new.remove(path);
        }
        !is_same
    });
    let mut all: Vec<Change> = old
        .into_iter()
        .map(|(path, before)| {
            let after = new.remove(&path);
            Change { path, before: Some(before), after }
        })
        .collect();
    all.extend(new.into_iter().map(|(path, after)| Change { path, before: None, after: Some(after) }));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// Every value that contains no other, by its path.
fn leaves(event: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (root, value) in event.as_object().into_iter().flatten() {
        match body_value(root, value) {
            Some(body) => collect(root.clone(), &body, &mut all),
            None => collect(root.clone(), value, &mut all),
        }
    }
    all
}

/// The value of a body whose text is a JSON object or array.
pub(super) fn body_value(root: &str, value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|_| root == "body")?;
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn collect(path: String, value: &Value, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members
                .iter()
                .for_each(|(key, value)| collect(format!("{path}.{}", Segment::Key(key.as_str().into())), value, all));
        }
        Value::Array(elements) if !elements.is_empty() => {
            // Digits of equal width keep the order of elements when paths are sorted.
            let width = elements.len().saturating_sub(1).to_string().len();
            for (index, value) in elements.iter().enumerate() {
                collect(format!("{path}[{index:width$}]").replace(' ', ""), value, all);
            }
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
}
