//! The node as a whole: case files, the committed schema, wrong options, a naive model, real
//! CloudTrail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{Ran, check_refusal, check_schema, run, run_bodies, run_cases};
use wattle_node_route::{Options, Route};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Route>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Route>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let good = json!({"field": "body", "exists": true});
    refuse(json!({"paths": []}), &[("paths", "at least one")]);
    refuse(
        json!({"paths": [
            {"name": "failed", "when": good},
            {"name": "a b", "when": {}},
            {"name": "x", "when": {"field": "body"}},
            {"name": "x", "when": {"equals": 1}},
            {"name": "y", "when": {"field": "nowhere", "regex": "("}},
            {"name": "z", "when": {"all": []}},
            {"name": "unmatched", "when": {"any": [good, {"not": {"field": "body", "regex": "[", "all": [good]}}]}},
            {"name": "w", "when": {"not": good, "exists": true}},
            {"name": "v", "when": {"not": good, "any": [good]}},
        ]}),
        &[
            ("paths[0].name", "the port `failed` is there"),
            ("paths[1].name", "bad name `a b`"),
            ("paths[1].when", "needs a `field`"),
            ("paths[2].when", "needs a test"),
            ("paths[3].name", "a path `x` already"),
            ("paths[3].when", "needs a `field`"),
            ("paths[4].when.regex", "unclosed group"),
            ("paths[4].when.field", "must begin with `body`"),
            ("paths[5].when.all", "at least one"),
            ("paths[6].name", "the port `unmatched` is there"),
            ("paths[6].when.any[1].not.regex", "unclosed character class"),
            ("paths[6].when.any[1].not", "either tests of one `field`"),
            ("paths[7].when", "either tests of one `field`"),
            ("paths[8].when", "either tests of one `field`"),
        ],
    );
    refuse(
        json!({"paths": [
            {"name": "a", "when": {"field": "body", "contains": [], "matches": ["a", "(", "["], "length": {}}},
            {"name": "b", "when": {"field": "body", "in_network": ["10.0.0.0/8", "10.0.0.1/8", "x"], "type": []}},
            {"name": "c", "when": {"field": "body", "length": {"min": 2, "max": 1}, "older_than": "soon"}},
            {"name": "d", "when": {"field": "body", "sample": {}}},
            {"name": "e", "when": {"sample": {"rate": 2}}},
            {"name": "f", "when": {"sample": {"rate": 0, "key": []}}},
            {"name": "g", "when": {"sample": {"ratio": 1.5, "key": ["body", "nowhere"]}}},
            {"name": "h", "when": {"sample": {"rate": 2, "ratio": 0.5, "key": "body"}}},
            {"name": "i", "when": {"sample": {"rate": 2, "key": "body"}, "not": good}},
        ]}),
        &[
            ("paths[0].when.length", "needs `min`"),
            ("paths[0].when.contains", "at least one value"),
            ("paths[0].when.matches[1]", "unclosed group"),
            ("paths[0].when.matches[2]", "unclosed character class"),
            ("paths[1].when.type", "at least one value"),
            ("paths[1].when.in_network[1]", "write `10.0.0.0/8`"),
            ("paths[1].when.in_network[2]", "is not a network"),
            ("paths[2].when.length", "`min` 2 is more than `max` 1"),
            ("paths[2].when.older_than", "`soon` is not a duration"),
            ("paths[3].when.sample", "needs `rate`"),
            ("paths[4].when", "needs a `field` or a `key`"),
            ("paths[5].when.sample.rate", "at least 1"),
            ("paths[5].when.sample.key", "at least one field"),
            ("paths[6].when.sample.ratio", "at most 1"),
            ("paths[6].when.sample.key[1]", "must begin with `body`"),
            ("paths[7].when.sample", "both `rate` and `ratio`"),
            ("paths[8].when", "either tests of one `field`"),
        ],
    );
    refuse(
        json!({"paths": [
            {"name": "a", "when": {"equals_field": "body.a"}},
            {"name": "b", "when": {"field": "nowhere", "equals_field": "body.a", "starts_with_field": "elsewhere"}},
            {"name": "c", "when": {"equals_field": "body.a", "any": [good]}},
        ]}),
        &[
            ("paths[0].when", "needs a `field`"),
            ("paths[1].when.field", "must begin with `body`"),
            ("paths[1].when.starts_with_field", "must begin with `body`"),
            ("paths[2].when", "either tests of one `field`"),
        ],
    );
    refuse(json!({"paths": [{"name": "x", "when": {"filed": "body"}}]}), &[("paths[0].when.filed", "unknown field")]);
    refuse(json!({"paths": [{"name": "x", "when": {"lt": "5"}}]}), &[("paths[0].when.lt", "expected a JSON number")]);
    let paths = |count: usize| {
        let paths: Vec<Value> = (0..count).map(|i| json!({"name": format!("p{i}"), "when": good})).collect();
        json!({ "paths": paths })
    };
    refuse(paths(256), &[("paths", "256 paths are too many")]);
    let ran = run_bodies::<Route>(&paths(255), &["x"]).unwrap();
    assert_eq!(ran.bodies("p0"), ["x"]);
}

#[test]
fn tests_that_can_never_hold_are_refused() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    refuse(
        json!({"paths": [
            {"name": "a", "when": {"field": "trace_id", "equals": trace.to_uppercase()}},
            {"name": "b", "when": {"field": "trace_id", "in": [trace, null, "0AF76519-16cd-43dd-8448-eb211c80319c", 7]}},
            {"name": "c", "when": {"field": "span_id", "equals_text": trace}},
            {"name": "d", "when": {"not": {"field": "span_id", "equals": "0000000000000000"}}},
            {"name": "e", "when": {"field": "span_id", "starts_with": ["b7", "B7"], "ends_with": "g", "contains": "0"}},
            {"name": "f", "when": {"field": "body", "gt": 5, "lt": 5}},
            {"name": "g", "when": {"field": "body", "gt": 5, "lt": 3}},
            {"name": "h", "when": {"field": "body", "ge": 9_007_199_254_740_993_u64, "le": 9_007_199_254_740_992_u64}},
            {"name": "i", "when": {"field": "body", "ge": 0.5, "lt": 0.50}},
        ]}),
        &[
            (
                "paths[0].when.equals",
                "`trace_id` has 32 lower-case hexadecimal digits that are not all 0, so \
                 `0AF7651916CD43DD8448EB211C80319C` never matches; write `0af7651916cd43dd8448eb211c80319c`",
            ),
            ("paths[1].when.in[2]", "never matches; write `0af7651916cd43dd8448eb211c80319c`"),
            ("paths[1].when.in[3]", "so 7 never matches; write it as in `0af7651916cd43dd8448eb211c80319c`"),
            ("paths[2].when.equals_text", "`span_id` has 16 lower-case hexadecimal digits"),
            ("paths[3].when.not.equals", "so `0000000000000000` never matches"),
            ("paths[4].when.starts_with[1]", "`B7` never matches; write `b7`"),
            ("paths[4].when.ends_with", "`g` never matches; write it as in `b7ad6b7169203331`"),
            ("paths[5].when.gt", "`gt` is 5 and `lt` is 5, so no number fits"),
            ("paths[6].when.gt", "`gt` is 5 and `lt` is 3, so no number fits"),
            ("paths[7].when.ge", "so no number fits"),
            ("paths[8].when.ge", "`ge` is 0.5 and `lt` is 0.5, so no number fits"),
        ],
    );
    let fine = json!([
        {"name": "a", "when": {"field": "trace_id", "equals": trace}},
        {"name": "b", "when": {"field": "trace_id", "equals": null}},
        {"name": "c", "when": {"field": "span_id", "starts_with": "b7", "in": ["b7ad6b7169203331", null]}},
        {"name": "d", "when": {"field": "attributes.trace_id", "equals": "0AF"}},
        {"name": "e", "when": {"field": "body", "ge": 5, "le": 5, "lt": 6}},
        {"name": "f", "when": {"field": "body", "in": []}},
    ]);
    run_bodies::<Route>(&json!({ "paths": fine }), &["x"]).unwrap();
}

/// The text of a value, as in a column.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The texts of an option that takes one or a list.
fn list_of(option: &Value) -> impl Iterator<Item = &str> {
    let list = option.as_array().map_or_else(|| std::slice::from_ref(option), Vec::as_slice);
    list.iter().map(|text| text.as_str().unwrap())
}

/// Whether the hash of a key lies in the part of all hashes that `rate` stands for.
fn in_share(key: &[u8], sample: &Value) -> bool {
    let hash = twox_hash::XxHash64::oneshot(sample["seed"].as_u64().unwrap_or(0), key);
    u128::from(hash) * u128::from(sample["rate"].as_u64().unwrap()) < 1 << 64
}

/// A naive evaluation of a condition for one event.
fn holds(condition: &Value, event: &Value) -> bool {
    let list = |key: &str| condition.get(key).map(|list| list.as_array().unwrap());
    if let Some(all) = list("all") {
        return all.iter().all(|one| holds(one, event));
    }
    if let Some(any) = list("any") {
        return any.iter().any(|one| holds(one, event));
    }
    if let Some(not) = condition.get("not") {
        return !holds(not, event);
    }
    let value =
        condition.get("field").and_then(|field| event.get(field.as_str().unwrap().strip_prefix("body.").unwrap()));
    let there = value.filter(|value| !value.is_null());
    condition.as_object().unwrap().iter().all(|(test, wanted)| match test.as_str() {
        "field" => true,
        "exists" => there.is_some() == *wanted,
        "equals" => value == Some(wanted),
        "in" => value.is_some_and(|value| wanted.as_array().unwrap().contains(value)),
        "equals_text" => there.is_some_and(|value| text(value) == *wanted),
        "starts_with" => there.is_some_and(|value| list_of(wanted).any(|wanted| text(value).starts_with(wanted))),
        "ends_with" => there.is_some_and(|value| list_of(wanted).any(|wanted| text(value).ends_with(wanted))),
        "contains" => there.is_some_and(|value| list_of(wanted).any(|wanted| text(value).contains(wanted))),
        // The patterns of this test are `^` and a letter.
        "matches" => {
            there.is_some_and(|value| list_of(wanted).any(|one| text(value).starts_with(one.trim_start_matches('^'))))
        }
        "in_network" => there
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<std::net::Ipv4Addr>().ok())
            .is_some_and(|address| {
                list_of(wanted).any(|network| {
                    let (bits, length) = network.split_once('/').unwrap_or((network, "32"));
                    let bits: std::net::Ipv4Addr = bits.parse().unwrap();
                    let differ = u32::from(bits) ^ u32::from(address);
                    differ.checked_shr(32 - length.parse::<u32>().unwrap()).unwrap_or(0) == 0
                })
            }),
        "length" => there.is_some_and(|value| {
            let length = match value {
                Value::Array(all) => all.len(),
                Value::Object(all) => all.len(),
                other => text(other).len(),
            } as u64;
            length >= wanted["min"].as_u64().unwrap_or(0) && wanted["max"].as_u64().is_none_or(|max| length <= max)
        }),
        "type" => value.is_some_and(|value| {
            let name = match value {
                Value::Null => "null",
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            list_of(wanted).any(|wanted| wanted == name)
        }),
        "sample" => match wanted.get("key") {
            None => there.is_some_and(|value| in_share(text(value).as_bytes(), wanted)),
            Some(key) => {
                let values: Vec<Option<String>> = list_of(key)
                    .map(|field| {
                        event.get(field.trim_start_matches("body.")).filter(|value| !value.is_null()).map(text)
                    })
                    .collect();
                let key: Vec<String> = values.iter().map(|value| value.clone().unwrap_or_default()).collect();
                let joined = key.iter().map(String::as_bytes).collect::<Vec<_>>().join(&0xff);
                values.iter().any(Option::is_some) && in_share(&joined, wanted)
            }
        },
        "lt" => there.and_then(Value::as_i64).is_some_and(|value| value < wanted.as_i64().unwrap()),
        "ge" => there.and_then(Value::as_i64).is_some_and(|value| value >= wanted.as_i64().unwrap()),
        other => panic!("no model of `{other}`"),
    })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
        prop::collection::vec(0..2_i64, 0..2).prop_map(Value::from),
        prop::collection::btree_map("[xy]", 0..2_i64, 0..3).prop_map(|members| json!(members)),
        (0..4_u8, 0..4_u8).prop_map(|(a, b)| format!("10.0.{a}.{b}").into()),
    ]
}

/// One text, or a list of them.
fn one_or_many(text: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![text.prop_map(Value::from), prop::collection::vec(text, 1..4).prop_map(Value::from)]
}

fn conditions() -> impl Strategy<Value = Value> {
    let test = prop_oneof![
        any::<bool>().prop_map(|wanted| json!({ "exists": wanted })),
        values().prop_map(|wanted| json!({ "equals": wanted })),
        prop::collection::vec(values(), 1..4).prop_map(|wanted| json!({ "in": wanted })),
        "true|-?1|[ab]".prop_map(|wanted| json!({ "equals_text": wanted })),
        one_or_many("[ab]{0,1}|t").prop_map(|wanted| json!({ "starts_with": wanted })),
        one_or_many("[ab]{0,1}|e").prop_map(|wanted| json!({ "ends_with": wanted })),
        one_or_many("[ab]{0,1}|u").prop_map(|wanted| json!({ "contains": wanted })),
        one_or_many("\\^[abt1]").prop_map(|wanted| json!({ "matches": wanted })),
        one_or_many("10\\.0\\.0\\.0/(16|22|23|24|31)|10\\.0\\.[0-3]\\.[0-3](/32)?")
            .prop_map(|wanted| json!({ "in_network": wanted })),
        (0..3_u64, 0..8_u64).prop_map(|(min, more)| json!({ "length": {"min": min, "max": min + more} })),
        (0..3_u64).prop_map(|max| json!({ "length": {"max": max} })),
        one_or_many("null|bool|number|string|array|object").prop_map(|wanted| json!({ "type": wanted })),
        (1..4_u64, 0..9_u64).prop_map(|(rate, seed)| json!({ "sample": {"rate": rate, "seed": seed} })),
        (1..4_u64, one_or_many("body\\.[xy]")).prop_map(|(rate, key)| json!({ "sample": {"rate": rate, "key": key} })),
        (-2..3_i64, 1..4_i64).prop_map(|(ge, more)| json!({ "ge": ge, "lt": ge + more })),
    ];
    let leaf = (test, "body\\.[xy]").prop_map(|(mut test, field)| {
        test["field"] = field.into();
        test
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone().prop_map(|all| json!({ "all": all })),
            list.prop_map(|any| json!({ "any": any })),
            inner.prop_map(|not| json!({ "not": not })),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_a_model(
        paths in prop::collection::vec((conditions(), any::<bool>()), 1..4),
        events in prop::collection::vec(prop::collection::btree_map("[xy]", values(), 0..3), 1..8),
    ) {
        let options: Vec<Value> = (0..).zip(&paths)
            .map(|(i, (when, goes_on))| json!({"name": format!("p{i}"), "when": when, "continue": goes_on})).collect();
        let bodies: Vec<Value> = events.iter().map(|event| json!(event)).collect();
        let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for body in &bodies {
            let mut taken = false;
            for (i, (when, goes_on)) in paths.iter().enumerate() {
                if holds(when, body) {
                    taken = true;
                    expected.entry(format!("p{i}")).or_default().push(body.clone());
                    if !goes_on {
                        break;
                    }
                }
            }
            if !taken {
                expected.entry("unmatched".into()).or_default().push(body.clone());
            }
        }
        let input: Vec<Value> = bodies.iter().map(|body| json!({ "body": body })).collect();
        let ran = run::<Route>(&json!({ "paths": options }), &input).map_err(TestCaseError::fail)?;
        let sorted = |mut events: Vec<Value>| {
            events.sort_by_key(Value::to_string);
            events
        };
        let parse = |body: &String| serde_json::from_str(body).unwrap();
        let actual: BTreeMap<String, Vec<Value>> =
            ran.ports.keys().map(|port| (port.clone(), sorted(ran.bodies(port).iter().map(parse).collect()))).collect();
        let expected: BTreeMap<String, Vec<Value>> = expected.into_iter().map(|(p, e)| (p, sorted(e))).collect();
        prop_assert_eq!(actual, expected);
    }
}

#[test]
fn real_records_are_routed_by_verb_except_for_evidence() {
    let folder = here("../../../shared/data/stratus-pretty");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let texts = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let records: Vec<Value> = texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap()).collect();
    let verbs = json!({"field": "attributes.eventName", "regex": "^(Get|List|Describe)"});
    let evidence = json!({"any": [
        {"field": "attributes.errorCode", "exists": true},
        {"field": "attributes.eventName", "in": ["GetSecretValue", "GetPasswordData"]},
        {"field": "attributes.readOnly", "equals_text": "false"},
    ]});
    let events: Vec<Value> = records.iter().map(|record| json!({"body": "x", "attributes": record})).collect();
    let route =
        |when: &Value| -> Ran { run::<Route>(&json!({"paths": [{"name": "aside", "when": when}]}), &events).unwrap() };
    let is_read =
        |event: &Value| ["Get", "List", "Describe"].iter().any(|v| event["eventName"].as_str().unwrap().starts_with(v));
    let is_evidence = |event: &Value| {
        !event["errorCode"].is_null()
            || matches!(event["eventName"].as_str().unwrap(), "GetSecretValue" | "GetPasswordData")
            || event["readOnly"] == false
    };
    let compare = |ran: &Ran, aside: &dyn Fn(&Value) -> bool| {
        for (port, wanted) in [("aside", true), ("unmatched", false)] {
            let left: Vec<&Value> = ran.ports[port].iter().map(|event| &event["attributes"]).collect();
            let expected: Vec<&Value> = records.iter().filter(|record| aside(record) == wanted).collect();
            assert!(!left.is_empty() && left == expected, "{port}");
        }
    };
    compare(&route(&verbs), &is_read);
    compare(&route(&json!({"all": [verbs, {"not": evidence}]})), &|event| is_read(event) && !is_evidence(event));
}
