//! The node as a whole: case files, the committed schema, wrong options, a naive model.
#![allow(clippy::unwrap_used, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run_bodies, run_cases};
use wattle_node_filter::{Filter, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Filter>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Filter>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let good = json!({"field": "body", "exists": true});
    refuse(json!({}), &[("", "exactly one of `keep`, `drop` and `rules`")]);
    refuse(json!({"keep": good, "drop": good}), &[("", "exactly one of `keep`, `drop` and `rules`")]);
    refuse(json!({"rules": []}), &[("rules", "at least one rule")]);
    refuse(
        json!({"reason": "Not Kebab", "drop": {"field": "body"}}),
        &[("reason", "not kebab-case"), ("drop", "needs a test")],
    );
    refuse(
        json!({"rules": [
            {},
            {"keep": good, "drop": good},
            {"keep": good, "reason": "x"},
            {"drop": {"field": "nowhere", "exists": true}, "reason": "a--b"},
            {"keep": {"field": "body", "regex": "("}},
            {"drop": good, "reason": ""},
        ]}),
        &[
            ("rules[0]", "exactly one of `keep` and `drop`"),
            ("rules[1]", "exactly one of `keep` and `drop`"),
            ("rules[2].reason", "remove the reason"),
            ("rules[3].reason", "`a--b` is not kebab-case"),
            ("rules[3].drop.field", "must begin with `body`"),
            ("rules[4].keep.regex", "unclosed group"),
            ("rules[5].reason", "not kebab-case"),
        ],
    );
    refuse(json!({"keeps": good}), &[("keeps", "unknown field")]);
}

proptest! {
    #[test]
    fn the_first_rule_that_holds_decides(
        rules in prop::collection::vec((any::<bool>(), "[ab]", prop::option::of("r[12]")), 1..5),
        bodies in prop::collection::vec("[abc]{0,3}", 1..8),
    ) {
        let options: Vec<Value> = rules.iter().map(|(keep, text, reason)| {
            let condition = json!({"field": "body", "contains": text});
            if *keep { json!({ "keep": condition }) } else { json!({"drop": condition, "reason": reason}) }
        }).collect();
        let (mut kept, mut dropped) = (Vec::new(), BTreeMap::new());
        for body in &bodies {
            match rules.iter().find(|(_, text, _)| body.contains(text)) {
                Some((false, _, reason)) => {
                    *dropped.entry(reason.clone().unwrap_or_else(|| "other".into())).or_insert(0) += 1;
                }
                _ => kept.push(body.as_str()),
            }
        }
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let options = json!({"rules": options, "reason": "other"});
        let ran = run_bodies::<Filter>(&options, &bodies).map_err(TestCaseError::fail)?;
        prop_assert_eq!(ran.bodies("out"), kept);
        prop_assert_eq!(ran.dropped, dropped);
    }

    #[test]
    fn keep_and_drop_are_opposites(bodies in prop::collection::vec("[ab]{0,2}", 1..8)) {
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let condition = json!({"field": "body", "starts_with": "a"});
        let keep = run_bodies::<Filter>(&json!({ "keep": condition }), &bodies).map_err(TestCaseError::fail)?;
        let drop = run_bodies::<Filter>(&json!({ "drop": condition }), &bodies).map_err(TestCaseError::fail)?;
        let (with, without): (Vec<&str>, Vec<&str>) = bodies.iter().partition(|body| body.starts_with('a'));
        prop_assert_eq!(keep.bodies("out"), with);
        prop_assert_eq!(drop.bodies("out"), without);
    }
}
