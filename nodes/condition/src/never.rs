//! Tests of one condition of which no value passes all.

use serde_json::{Number as Limit, Value};
use wattle_node::json::Kind;

use crate::literal::{Literal, Number};
use crate::options::{Condition, Type};
use crate::test::Relation;

/// The options that are to be changed and why.
pub(crate) fn problems(condition: &Condition) -> Vec<(String, String)> {
    let mut problems: Vec<_> = missing(condition).into_iter().chain(kinds(condition)).collect();
    if condition.field.as_deref() == Some("severity.number") {
        problems.extend(severity(condition));
    }
    problems
}

const TEXT: &[Type] = &[Type::Bool, Type::Number, Type::String, Type::Array, Type::Object];
const NUMBER: &[Type] = &[Type::Number, Type::String];

/// The tests of the condition beside `exists` and `type`, each with the types that can pass it.
fn tests(condition: &Condition) -> Vec<(&'static str, Vec<Type>)> {
    let mut tests: Vec<_> = [
        ("equals_text", condition.equals_text.is_some(), TEXT),
        ("equals_field", condition.equals_field.is_some(), TEXT),
        ("starts_with_field", condition.starts_with_field.is_some(), TEXT),
        ("starts_with", condition.starts_with.is_some(), TEXT),
        ("ends_with", condition.ends_with.is_some(), TEXT),
        ("contains", condition.contains.is_some(), TEXT),
        ("regex", condition.regex.is_some(), TEXT),
        ("matches", condition.matches.is_some(), TEXT),
        ("length", condition.length.is_some(), TEXT),
        ("lt", condition.lt.is_some(), NUMBER),
        ("le", condition.le.is_some(), NUMBER),
        ("gt", condition.gt.is_some(), NUMBER),
        ("ge", condition.ge.is_some(), NUMBER),
        ("older_than", condition.older_than.is_some(), NUMBER),
        ("in_network", condition.in_network.is_some(), &[Type::String]),
    ]
    .into_iter()
    .filter(|(_, is_given, _)| *is_given)
    .map(|(name, _, types)| (name, types.to_vec()))
    .collect();
    tests.extend(condition.equals.as_ref().map(|value| ("equals", vec![type_of(value)])));
    // An empty list turns the test off in a pack; see `prepare`.
    let values = condition.one_of.as_ref().filter(|values| !values.is_empty());
    tests.extend(values.map(|values| ("in", values.iter().map(type_of).collect())));
    tests
}

/// A test that needs a value, beside `exists = false`.
fn missing(condition: &Condition) -> Option<(String, String)> {
    if condition.exists != Some(false) {
        return None;
    }
    let (other, _) = tests(condition).into_iter().find(|(_, types)| !types.contains(&Type::Null))?;
    let message = format!(
        "`exists = false` holds for a field that is missing or null, and then `{other}` does not hold; remove one of \
         them, or write two conditions in `any`"
    );
    Some(("exists".to_owned(), message))
}

/// A test that no value of the types in `type` passes.
fn kinds(condition: &Condition) -> Option<(String, String)> {
    let kinds = condition.kind.as_ref()?.as_slice();
    let fits = |types: &[Type]| kinds.is_empty() || kinds.iter().any(|kind| types.contains(kind));
    let exists = match condition.exists {
        Some(true) => Some(("exists = true", TEXT.to_vec())),
        Some(false) => Some(("exists = false", vec![Type::Null])),
        None => None,
    };
    let mut all = exists.into_iter().chain(tests(condition));
    let (other, types) = all.find(|(_, types)| !fits(types))?;
    let types: Vec<&str> = types.iter().map(|kind| name(*kind)).collect();
    let message =
        format!("`{other}` holds for values of the type {} only, none of which is in the list", types.join(", "));
    Some(("type".to_owned(), message))
}

/// Tests that none of the numbers of severities passes.
fn severity(condition: &Condition) -> Vec<(String, String)> {
    let limits = [
        ("lt", &condition.lt, "1", Relation::Less),
        ("le", &condition.le, "1", Relation::LessOrEqual),
        ("gt", &condition.gt, "24", Relation::Greater),
        ("ge", &condition.ge, "24", Relation::GreaterOrEqual),
    ];
    let holds = |limit: &Limit, end: &str, relation: Relation| {
        Number::of(limit).order_of(end.as_bytes()).is_none_or(|order| relation.fits(order))
    };
    let message = |written: &str| {
        format!(
            "`severity.number` is a whole number from 1 to 24, so {written} never holds; write one such as 9 (info) or 17 \
             (error)"
        )
    };
    let mut problems = Vec::new();
    for (option, limit, end, relation) in limits {
        if let Some(limit) = limit.as_ref().filter(|limit| !holds(limit, end, relation)) {
            problems.push((option.to_owned(), message(&format!("`{option} = {limit}`"))));
        }
    }
    let is_number = |value: &Value| {
        let literal = Literal::new(value);
        value.is_null() || (1..=24).any(|number: u8| literal.equals(Kind::Number, number.to_string().as_bytes()))
    };
    let equals = condition.equals.iter().map(|value| ("equals".to_owned(), value));
    let one_of = condition.one_of.iter().flatten().enumerate().map(|(i, value)| (format!("in[{i}]"), value));
    let values = equals.chain(one_of).filter(|(_, value)| !is_number(value));
    problems.extend(values.map(|(option, value)| (option, message(&format!("{value}")))));
    problems
}

const fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::Array(_) => Type::Array,
        Value::Object(_) => Type::Object,
    }
}

const fn name(kind: Type) -> &'static str {
    match kind {
        Type::Null => "`null`",
        Type::Bool => "`bool`",
        Type::Number => "`number`",
        Type::String => "`string`",
        Type::Array => "`array`",
        Type::Object => "`object`",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(condition: Value, expected: &[&str]) {
        let options: Condition = serde_json::from_value(condition.clone()).unwrap();
        let found: Vec<String> = problems(&options).into_iter().map(|(option, _)| option).collect();
        assert_eq!(found, expected, "{condition}");
    }

    #[test]
    fn tests_that_exclude_each_other_are_problems() {
        for test in [
            json!({"gt": 1}),
            json!({"equals": 1}),
            json!({"in": ["a"]}),
            json!({"regex": "a"}),
            json!({"contains": "a"}),
            json!({"length": {"min": 1}}),
            json!({"equals_field": "body"}),
        ] {
            let mut condition = json!({"field": "a", "exists": false});
            condition.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
            check(condition.clone(), &["exists"]);
            condition["exists"] = true.into();
            check(condition, &[]);
        }
        check(json!({"exists": false, "equals": null}), &[]);
        check(json!({"exists": false, "in": []}), &[]);
        check(json!({"exists": false, "in": [1, null]}), &[]);
        check(json!({"exists": false, "type": "string"}), &["type"]);
        check(json!({"exists": true, "type": "null"}), &["type"]);
    }

    #[test]
    fn tests_of_other_types_are_problems() {
        check(json!({"type": "array", "gt": 1}), &["type"]);
        check(json!({"type": ["array", "object"], "in_network": "10.0.0.0/8"}), &["type"]);
        check(json!({"type": "number", "in_network": "10.0.0.0/8"}), &["type"]);
        check(json!({"type": "bool", "equals": "true"}), &["type"]);
        check(json!({"type": "bool", "in": ["a", 1]}), &["type"]);
        check(json!({"type": "null", "regex": "a"}), &["type"]);
        check(json!({"type": "bool", "in": ["a", true]}), &[]);
        check(json!({"type": "array", "length": {"min": 1}}), &[]);
        check(json!({"type": ["array", "string"], "gt": 1}), &[]);
        check(json!({"type": "bool", "in": []}), &[]);
    }

    #[test]
    fn severities_have_the_numbers_from_1_to_24() {
        let of = |test: Value| {
            let mut condition = json!({"field": "severity.number"});
            condition.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
            condition
        };
        for (test, option) in [
            (json!({"ge": 25}), "ge"),
            (json!({"ge": 24.5}), "ge"),
            (json!({"gt": 24}), "gt"),
            (json!({"lt": 1}), "lt"),
            (json!({"le": 0}), "le"),
            (json!({"equals": 0}), "equals"),
            (json!({"equals": "9"}), "equals"),
            (json!({"equals": 9.5}), "equals"),
            (json!({"in": [9, 25]}), "in[1]"),
        ] {
            check(of(test), &[option]);
        }
        for test in [json!({"ge": 24}), json!({"gt": 23}), json!({"lt": 2}), json!({"le": 1}), json!({"equals": 9.0})] {
            check(of(test), &[]);
        }
        check(of(json!({"equals": null})), &[]);
        check(json!({"field": "severity.text", "ge": 25}), &[]);
    }
}
