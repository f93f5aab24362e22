//! The node as a whole: case files, the committed schema, wrong options, a naive model, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wattle_node::testing::{check_readme, check_refusal, check_schema, code_blocks, run, run_cases, set_tables};
use wattle_node_enrich::{Enrich, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Enrich>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_and_events_of_its_case() {
    let case = check_readme::<Enrich, _>(&here(""), |text| toml::from_str(text)).unwrap();
    let shown = &code_blocks(&here("README.md"), "json").unwrap()[0];
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown[0], case["input"][0]["attributes"]);
    assert_eq!(shown[1], case["expected"]["out"][0]["attributes"]);
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

fn tables() -> Value {
    json!({
        "accounts": {"key": "id", "rows": [
            {"id": "a", "name": "prod", "n": "7", "team": null},
            {"id": "b", "name": "test", "n": "x", "team": "web"},
        ]},
        "nets": {"kind": "cidr", "key": "net", "rows": [{"net": "10.0.0.0/8", "site": "ten"}]},
    })
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    set_tables(&tables()).unwrap();
    check_refusal::<Enrich>(&options, expected).unwrap();
}

#[test]
fn two_columns_for_one_field_are_refused() {
    refuse(
        json!({"lookups": [
            {"table": "accounts", "key": "body.a", "columns": {"name": "x", "n": "x", "team": "y"}},
            {"table": "accounts", "key": "body.a", "columns": {"name": "x.\"y\"", "n": "x.y"}, "into": "body.b"},
            {"table": "accounts", "key": "body.a", "columns": ["name", "n", "name"]},
        ]}),
        &[
            ("lookups[0].columns.name", "the columns `n` and `name` both set `attributes.x`; give each its own field"),
            ("lookups[1].columns.name", "the columns `n` and `name` both set `body.b.x.y`"),
            ("lookups[2].columns[2]", "the column `name` is in the list twice"),
        ],
    );
}

#[test]
fn fields_below_a_value_with_a_type_are_refused() {
    let lookup = |columns: Value, types: Value| json!({"table": "accounts", "key": "body.a", "columns": columns, "types": types});
    let message = "lies below `attributes.a`, which the column `n` sets to a value with a type";
    refuse(
        json!({"lookups": [
            lookup(json!({"n": "a"}), json!({"n": "integer"})),
            lookup(json!({"name": "a.b"}), json!({})),
            lookup(json!({"name": "ab"}), json!({})),
        ]}),
        &[("lookups[1].columns", message)],
    );
    refuse(
        json!({"lookups": [lookup(json!({"n": "a", "name": "a.b.c"}), json!({"n": "integer"}))]}),
        &[("lookups[0].columns", message)],
    );
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `lookups`")]);
    refuse(json!({"lookups": []}), &[("lookups", "at least one lookup")]);
    refuse(json!({"lookups": [{"table": "accounts", "key": "body.a"}]}), &[("lookups[0]", "missing field `columns`")]);
    refuse(
        json!({"lookups": [{"table": "accounts", "key": "body.a", "columns": 5}]}),
        &[("lookups[0].columns", "expected a list of columns, or a table")],
    );
    refuse(
        json!({"lookups": [{"table": "accounts", "key": "body.a", "columns": {"name": 5}}]}),
        &[("lookups[0].columns", "expected a list of columns, or a table")],
    );
    refuse(
        json!({"lookups": [{"table": "accounts", "key": "body.a", "columns": ["name"], "on_missing": "keep"}]}),
        &[("lookups[0].on_missing", "unknown variant `keep`, expected one of `skip`, `fail`, `drop`, `route`")],
    );
    refuse(
        json!({"lookups": [
            {"table": "account", "key": ["x", "body.a"], "columns": ["name"], "into": "timestamp"},
            {"table": "accounts", "key": [], "columns": [], "into": "attributes[0]"},
            {"table": "accounts", "key": "body.a", "columns": {"team": "a..b", "n": "."},
             "types": {"size": "integer"}, "default": {"sizes": 1}},
            {"table": "accounts", "key": "body.a", "columns": ["a.0.b", "."], "if": {"field": "body.b", "regex": "("}},
            {"table": "accounts", "key": "body.a", "columns": {"name": "a[*]"}, "into": "body.x"},
        ]}),
        &[
            ("lookups[0].key[0]", "must begin with `body`"),
            ("lookups[0].into", "begins with none of `body`, `attributes`, `resource`"),
            ("lookups[1].key", "at least one field"),
            ("lookups[1].into", "a key must follow it"),
            ("lookups[1].columns", "at least one column"),
            ("lookups[2].types.size", "is not one of `columns`"),
            ("lookups[2].default.sizes", "is not one of `columns`"),
            ("lookups[2].columns.n", "cannot replace all of `attributes`"),
            ("lookups[2].columns.team", "expected a key"),
            ("lookups[3].columns[0]", "name its field"),
            ("lookups[3].columns[1]", "cannot replace all of `attributes`"),
            ("lookups[3].if.regex", "unclosed group"),
            ("lookups[4].columns.name", "is not a path to one field"),
        ],
    );
    refuse(
        json!({"lookups": [
            {"table": "account", "key": "body.a", "columns": ["name"]},
            {"table": "accounts", "key": "body.a", "columns": ["nome"]},
        ]}),
        &[("lookups[0].table", "no table `account`"), ("lookups[1].columns", "no column `nome`")],
    );
    let lookup = json!({"table": "accounts", "key": "body.a", "columns": ["name"]});
    refuse(json!({"lookups": vec![lookup; 33]}), &[("lookups", "33 lookups with 33 columns; at most 32 and 200")]);
}

/// The fields that a lookup sets, in a tree.
fn put(tree: &mut Value, path: &str, value: Value, overwrite: bool) -> Result<(), ()> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if tree.is_null() {
        *tree = json!({});
    }
    let members = tree.as_object_mut().ok_or(())?;
    let member = members.entry(first).or_insert(Value::Null);
    match rest {
        Some(rest) => put(member, rest, value, overwrite),
        None => {
            if overwrite || member.is_null() {
                *member = value;
            }
            Ok(())
        }
    }
}

/// What the node does, on trees.
fn model(lookups: &[Value], tables: &Value, event: &Value) -> (&'static str, Value) {
    let mut changed = event.clone();
    // Events of tests come from this source.
    changed["resource"] = json!({"source": {"name": "test"}});
    let mut port = "out";
    let mut cells = Vec::new();
    for lookup in lookups {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let keys = lookup["key"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().replace('.', "/"));
        let values: Vec<Value> = keys.filter_map(|key| event.pointer(&format!("/{key}")).cloned()).collect();
        let Some(key) = values.iter().filter(|key| !key.is_null()).map(text).find(|key| !key.is_empty()) else {
            continue;
        };
        let rows = tables[lookup["table"].as_str().unwrap()]["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["id"] == key.as_str());
        let columns = lookup["columns"].as_object().unwrap();
        let cell = |column: &str| row.map(|row| row[column].clone()).filter(|cell| !cell.is_null());
        if !columns.keys().any(|column| cell(column).is_some()) {
            match lookup["on_missing"].as_str().unwrap() {
                "fail" => return ("failed", event.clone()),
                "drop" => return ("dropped", event.clone()),
                "route" => port = "not_found",
                _ => {}
            }
        }
        for (column, field) in columns {
            let default = lookup["default"].get(column).cloned();
            let Some(value) = cell(column).or(default) else { continue };
            let path = format!("{}.{}", lookup["into"].as_str().unwrap(), field.as_str().unwrap());
            cells.push((path, value, lookup["overwrite"].as_bool().unwrap()));
        }
    }
    // Only an event that stays is changed.
    for (path, value, overwrite) in cells {
        if put(&mut changed, &path, value, overwrite).is_err() {
            return ("failed", event.clone());
        }
    }
    (port, changed)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!("é\"\\")),
        "[a-d]".prop_map(Value::from),
        (0..3).prop_map(Value::from),
        Just(json!([1, {"x": "y"}])),
        Just(json!({"a": 1, "n": null})),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(
        "[a-c]",
        prop_oneof![3 => value(), 1 => prop::collection::btree_map("[a-c]", value(), 0..3)
        .prop_map(|members| json!(members))],
        0..4,
    )
    .prop_map(|members| json!(members))
}

fn row(id: String) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[p-r]", value(), 0..4).prop_map(move |members| {
        let mut row: Map<String, Value> = members.into_iter().collect();
        row.insert("id".to_owned(), json!(id));
        Value::from(row)
    })
}

fn lookup() -> impl Strategy<Value = Value> {
    let root = prop_oneof![Just("attributes"), Just("body"), Just("resource")];
    let into = (root, prop_oneof![Just(""), Just(".a"), Just(".b.c")]).prop_map(|(root, rest)| format!("{root}{rest}"));
    let key = prop_oneof![Just("body.a"), Just("attributes.a"), Just("attributes.b"), Just("attributes.c.a")];
    (
        prop::sample::select(vec!["t", "u"]),
        prop::collection::vec(key, 1..3),
        prop::collection::btree_map("[p-r]", prop_oneof![Just("a"), Just("x"), Just("a.b"), Just("c.x.y")], 1..4),
        into,
        prop::sample::select(vec!["skip", "fail", "drop", "route"]),
        prop::collection::btree_map("[p-r]", value(), 0..2),
        any::<bool>(),
    )
        .prop_map(|(table, key, mut columns, into, on_missing, mut default, overwrite)| {
            // Two columns for one field are refused.
            let mut fields = std::collections::BTreeSet::new();
            columns.retain(|_, field| fields.insert(*field));
            default.retain(|column, _| columns.contains_key(column));
            json!({"table": table, "key": key, "columns": columns, "into": into, "on_missing": on_missing,
                "default": default, "overwrite": overwrite})
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_become_what_they_become_as_trees(
        lookups in prop::collection::vec(lookup(), 1..4),
        rows in ("[a-d]".prop_flat_map(row), "[a-d0-2]".prop_flat_map(row)),
        events in prop::collection::vec((object(), object()), 0..6),
    ) {
        // All columns exist in both tables, whatever the other rows have.
        let all = json!({"id": "?", "p": 1, "q": 1, "r": 1});
        let tables = json!({
            "t": {"key": "id", "rows": [all, rows.0]},
            "u": {"key": "id", "rows": [all, rows.1]},
        });
        set_tables(&tables).unwrap();
        let events: Vec<Value> = events.into_iter().map(|(body, attributes)| {
            json!({"body": body, "attributes": attributes})
        }).collect();
        let ran = run::<Enrich>(&json!({"lookups": lookups}), &events).unwrap();
        let mut expected: std::collections::BTreeMap<&str, Vec<Value>> = Default::default();
        for event in &events {
            let (port, changed) = model(&lookups, &tables, event);
            expected.entry(port).or_default().push(changed);
        }
        let of = |port: &str| -> Vec<Value> {
            let events = ran.ports.get(port).into_iter().flatten();
            events.map(|event| {
                let body = event["body"].as_str().map_or(event["body"].clone(), |text| serde_json::from_str(text).unwrap());
                let root = |root: &str| event.get(root).cloned().unwrap_or_else(|| json!({}));
                json!({"body": body, "attributes": root("attributes"), "resource": root("resource")})
            }).collect()
        };
        for port in ["out", "not_found"] {
            prop_assert_eq!(of(port), expected.remove(port).unwrap_or_default(), "{}", port);
        }
        prop_assert_eq!(ran.codes().len(), expected.remove("failed").unwrap_or_default().len());
        let dropped: usize = ran.dropped.values().sum();
        prop_assert_eq!(dropped, expected.remove("dropped").unwrap_or_default().len());
    }

    #[test]
    fn any_text_is_processed(body in ".{0,40}", key in ".{0,12}", table in ".{0,12}") {
        set_tables(&json!({"t": {"key": "id", "rows": [{"id": key, "p": table}, {"id": "?", "p": 1}]}})).unwrap();
        let events = [json!({"body": body, "attributes": {"k": key}}), json!({"body": key, "attributes": {}})];
        let options = json!({"lookups": [
            {"table": "t", "key": ["attributes.k", "body"], "columns": ["p"], "case": "lower"},
            {"table": "t", "key": "attributes.k", "columns": ["p"], "into": "body", "types": {"p": "number"}},
        ]});
        let ran = run::<Enrich>(&options, &events).unwrap();
        prop_assert_eq!(ran.ports["out"].len() + ran.codes().len(), 2);
    }
}

#[test]
fn untouched_bodies_stay_byte_for_byte() {
    set_tables(&tables()).unwrap();
    let options = json!({"lookups": [{"table": "accounts", "key": "body.id", "columns": ["name"], "into": "body.x"}]});
    let bodies = ["{ \"id\" : \"none\",\"e\": 1.0E+2 }\r", " {\"id\": \"a\" , \"e\":\"\\u00e9\"} ", "plain", "[1]"];
    let events: Vec<Value> = bodies.iter().map(|body| json!({"body": body})).collect();
    let ran = run::<Enrich>(&options, &events).unwrap();
    let found: Vec<&Value> = ran.ports["out"].iter().map(|event| &event["body"]).collect();
    assert_eq!(found[0], bodies[0]);
    assert_eq!(found[1], " {\"id\": \"a\" , \"e\":\"\\u00e9\",\"x\":{\"name\":\"prod\"}} ");
    assert_eq!((found[2], found[3]), (&json!(bodies[2]), &json!(bodies[3])));
}
