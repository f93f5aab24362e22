//! Tests of merging.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use OnConflict::{Fail, Keep, Overwrite};

fn merged(old: &str, new: &str, how: OnConflict) -> Result<String, Conflict> {
    let mut out = Vec::new();
    let mut merger = Merger::default();
    // Leftovers of an earlier row must not show.
    let _ = merger.merge(b"{\"left\":1}", b"{\"over\":2}", how, &mut Vec::new());
    merger.merge(old.as_bytes(), new.as_bytes(), how, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(old: &str, new: &str, how: OnConflict, expected: &str) {
    assert_eq!(merged(old, new, how).as_deref(), Ok(expected), "{old} {new}");
}

#[test]
fn keys_of_both_stay() {
    check(r#"{"a":1}"#, r#"{"b":2}"#, Overwrite, r#"{"a":1,"b":2}"#);
    check(r#"{"a":1}"#, r#"{"b":2}"#, Keep, r#"{"a":1,"b":2}"#);
    check(r#"{"a":1}"#, r#"{"b":2}"#, Fail, r#"{"a":1,"b":2}"#);
    check("{ }", r#"{ "b" : [2] }"#, Overwrite, r#"{ "b" : [2] }"#);
    check(r#"{"a":1}"#, "{}", Overwrite, r#"{"a":1}"#);
    check("{}", " {} ", Keep, "{}");
}

#[test]
fn a_key_of_both_objects_is_resolved_by_the_option() {
    let (old, new) = (r#"{"a":{"x":1},"b":2}"#, r#"{"c":3,"\u0061":{"y":1}}"#);
    check(old, new, Overwrite, r#"{"b":2,"c":3,"\u0061":{"y":1}}"#);
    check(old, new, Keep, r#"{"a":{"x":1},"b":2,"c":3}"#);
    assert_eq!(merged(old, new, Fail), Err(Conflict(Some("a".into()))));
}

#[test]
fn null_replaces_no_value_and_is_in_the_way_of_none() {
    let (old, new) = (r#"{"a":null,"b":1,"n":null}"#, r#"{"a":2,"\u0062":null,"n":null,"c":null}"#);
    check(old, new, Overwrite, r#"{"b":1,"a":2,"n":null,"c":null}"#);
    check(old, new, Keep, r#"{"b":1,"n":null,"a":2,"c":null}"#);
    check(old, new, Fail, r#"{"b":1,"n":null,"a":2,"c":null}"#);
    check(r#"{"a":null,"a":1}"#, r#"{"a":2}"#, Keep, r#"{"a":2}"#);
    check(r#"{"a":null}"#, r#"{"a":2}"#, Keep, r#"{"a":2}"#);
}

#[test]
fn values_other_than_objects_are_resolved_as_a_whole() {
    check("5", r#"{"a":1}"#, Overwrite, r#"{"a":1}"#);
    check("5", r#"{"a":1}"#, Keep, "5");
    check(r#"{"a":1}"#, "[1]", Overwrite, "[1]");
    assert_eq!(merged(r#"{"a":1}"#, "[1]", Fail), Err(Conflict(None)));
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![Just(Value::Null), any::<i8>().prop_map(Value::from)];
    prop::collection::btree_map("[a-d\"\n]{0,2}", value, 0..6).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn agrees_with_maps(old in object(), new in object(), pretty: bool) {
        let text = |map: &Map<String, Value>| {
            if pretty { serde_json::to_string_pretty(map) } else { serde_json::to_string(map) }.unwrap()
        };
        let both = |mut first: Map<String, Value>, second: &Map<String, Value>| {
            for (key, value) in second {
                if !value.is_null() || !first.contains_key(key) {
                    first.insert(key.clone(), value.clone());
                }
            }
            Value::Object(first)
        };
        let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        prop_assert_eq!(merged(&text(&old), &text(&new), Overwrite).map(parse), Ok(both(old.clone(), &new)));
        prop_assert_eq!(merged(&text(&old), &text(&new), Keep).map(parse), Ok(both(new.clone(), &old)));
        let shared = new.iter().any(|(key, value)| !value.is_null() && old.get(key).is_some_and(|old| !old.is_null()));
        prop_assert_eq!(merged(&text(&old), &text(&new), Fail).is_err(), shared);
    }
}
