//! Random documents and steps.

use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C ,\"é.-]{0,5}",
        "[1-9][0-9]{0,2}|-[1-9]|0|1\\.0|2\\.5| 7 ",
        Just("true".to_owned()),
        Just("No".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-20..2000_i64).prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((keys(), inner), 0..5).prop_map(|members| members.into_iter().collect())
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[a-dA]", 1 => "[ab]\\.[ab]", 1 => Just("a\"\n".to_owned()), 1 => Just("abc".to_owned())]
}

pub(crate) fn documents() -> impl Strategy<Value = Value> {
    members(values()).prop_map(Value::Object)
}

fn step_of_path() -> impl Strategy<Value = String> {
    prop_oneof![8 => "\\.[a-dA]", 1 => "\\.\"[ab]\\.[ab]\"", 1 => "\\[[0-2]\\]", 1 => Just(".\"a\\\"\\n\"".to_owned())]
}

/// A path to one value.
fn single() -> impl Strategy<Value = String> {
    ("\\.[a-dA]", prop::collection::vec(step_of_path(), 0..3))
        .prop_map(|(first, rest)| format!("body{first}{}", rest.concat()))
}

/// A path that may have `[*]`.
fn each() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => single(),
        1 => (single(), prop::collection::vec(step_of_path(), 0..2)).prop_map(|(a, b)| format!("{a}[*]{}", b.concat())),
    ]
}

/// A path that may have `*`.
fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![2 => each(), 1 => single().prop_map(|path| format!("{path}.*")), 1 => "body\\.(a\\*|\\*c|\\*)(\\.[ab])?"]
}

fn list(paths: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    prop::collection::vec(paths, 1..3).prop_map(Value::from)
}

/// A change in place, with parameters that all of these have.
fn change(operation: &'static str, parameters: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    let on_error = prop::sample::select(vec!["fail", "keep", "null", "remove"]);
    let on_missing = prop::sample::select(vec!["keep", "keep", "keep", "fail"]);
    let fields = prop_oneof![
        2 => list(each()).prop_map(|fields| (fields, None)),
        1 => (single(), single()).prop_map(|(field, into)| (json!(field), Some(into))),
    ];
    (fields, parameters, on_error, on_missing)
        .prop_map(move |((fields, into), mut step, on_error, on_missing)| {
            step[operation] = fields;
            into.into_iter().for_each(|into| step["into"] = into.into());
            step["on_error"] = on_error.into();
            step["on_missing"] = on_missing.into();
            step
        })
        .boxed()
}

fn set() -> BoxedStrategy<Value> {
    let source = prop_oneof![
        values().prop_map(|value| json!({ "value": value })),
        single().prop_map(|from| json!({ "from": from })),
        prop::collection::vec(single(), 1..3).prop_map(|fields| json!({ "first_of": fields })),
        (single(), values()).prop_map(|(from, default)| json!({ "from": from, "default": default })),
        (single(), single()).prop_map(|(a, b)| json!({ "template": format!("<{{{{ {a} }}}}|{{{{{b}}}}}") })),
    ];
    let target = prop_oneof![
        each().prop_map(|path| json!({ "set": path })),
        single().prop_map(|path| json!({ "set": path, "overwrite": false })),
    ];
    (
        target,
        source,
        prop::sample::select(vec!["fail", "keep", "keep"]),
        prop::sample::select(vec!["keep", "keep", "fail"]),
    )
        .prop_map(|(mut step, source, on_error, on_missing)| {
            step.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            step["on_error"] = on_error.into();
            step["on_missing"] = on_missing.into();
            step
        })
        .boxed()
}

/// A `set` with `map`: texts that values of the documents have, too.
fn mapped() -> BoxedStrategy<Value> {
    let table =
        prop::collection::vec((prop_oneof![texts(), Just("null".to_owned()), Just("[]".to_owned())], values()), 1..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()));
    let source = prop_oneof![
        single().prop_map(|from| json!({ "from": from })),
        prop::collection::vec(single(), 1..3).prop_map(|fields| json!({ "first_of": fields })),
    ];
    (single(), source, table, prop::option::of(values()), any::<bool>(), any::<bool>())
        .prop_map(|(target, mut step, map, default, is_firm, overwrite)| {
            step["set"] = target.into();
            step["map"] = map;
            step["overwrite"] = overwrite.into();
            default.into_iter().for_each(|default| step["default"] = default);
            step["on_missing"] = if is_firm { "fail" } else { "keep" }.into();
            step["on_error"] = "keep".into();
            step
        })
        .boxed()
}

fn append() -> BoxedStrategy<Value> {
    let source = prop_oneof![
        values().prop_map(|value| json!({ "value": value })),
        single().prop_map(|from| json!({ "from": from })),
    ];
    (single(), source, any::<bool>(), any::<bool>())
        .prop_map(|(target, mut step, is_firm, is_strict)| {
            step["append"] = target.into();
            step["on_missing"] = if is_firm { "fail" } else { "keep" }.into();
            step["on_error"] = if is_strict { "fail" } else { "keep" }.into();
            step
        })
        .boxed()
}

fn merge() -> BoxedStrategy<Value> {
    let object = || prop_oneof![1 => Just("body".to_owned()), 3 => single()];
    (object(), object(), any::<[bool; 4]>())
        .prop_filter("an object is not merged with itself", |(to, from, _)| to != from)
        .prop_map(|(to, from, [deep, overwrite, is_firm, is_strict])| {
            let on_missing = if is_firm { "fail" } else { "keep" };
            let on_error = if is_strict { "fail" } else { "keep" };
            json!({
                "merge": to, "from": from, "deep": deep, "overwrite": overwrite,
                "on_missing": on_missing, "on_error": on_error,
            })
        })
        .boxed()
}

fn transfer(operation: &'static str) -> BoxedStrategy<Value> {
    let mode = || prop::sample::select(vec!["fail", "keep", "keep"]);
    (single(), single(), any::<bool>(), mode(), mode())
        .prop_filter("a field is not moved to itself", |(from, to, ..)| from != to)
        .prop_map(move |(from, to, overwrite, on_error, on_missing)| {
            json!({ operation: from, "to": to, "overwrite": overwrite, "on_error": on_error, "on_missing": on_missing })
        })
        .boxed()
}

fn rename() -> BoxedStrategy<Value> {
    let parent = prop_oneof![Just("body".to_owned()), each()];
    let one = (parent, "[a-dA]", "[a-dA]", any::<bool>())
        .prop_filter("a field is not renamed to itself", |(_, from, to, _)| from != to)
        .prop_map(|(parent, from, to, overwrite)| {
            json!({ "rename": format!("{parent}.{from}"), "to": format!("{parent}.{to}"), "overwrite": overwrite })
        });
    let object = prop_oneof![Just("body".to_owned()), each()];
    let all = (object, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(object, recursive, overwrite, case)| {
        let mut step = json!({ "rename": object, "recursive": recursive, "overwrite": overwrite });
        match case {
            true => step["case"] = "upper".into(),
            false => (step["pattern"], step["to"]) = ("^([ab])".into(), "c$1".into()),
        }
        step
    });
    (prop_oneof![one, all], prop::sample::select(vec!["keep", "keep", "fail"]))
        .prop_map(|(mut step, on_missing)| {
            step["on_missing"] = on_missing.into();
            step
        })
        .boxed()
}

pub(crate) fn steps() -> impl Strategy<Value = Value> {
    let nothing = || Just(json!({}));
    let kinds = prop::sample::subsequence(vec!["null", "string", "array", "object", "dash"], 1..=5);
    let objects = || prop_oneof![Just("body".to_owned()), each()];
    let all: Vec<BoxedStrategy<Value>> = vec![
        set(),
        set(),
        mapped(),
        append(),
        merge(),
        transfer("copy"),
        transfer("move"),
        rename(),
        list(pattern()).prop_map(|paths| json!({ "remove": paths })).boxed(),
        list(pattern()).prop_map(|paths| json!({ "keep": paths })).boxed(),
        (list(objects()), kinds, any::<bool>())
            .prop_map(
                |(paths, empty, recursive)| json!({ "remove_empty": paths, "empty": empty, "recursive": recursive }),
            )
            .boxed(),
        change("lower", nothing()),
        change("upper", nothing()),
        change("trim", prop_oneof![nothing(), Just(json!({ "characters": " a\"" }))]),
        change("replace", "[b\"$]{0,2}".prop_map(|with| json!({ "pattern": "[ab]", "with": with.replace('$', "$$") }))),
        change("split", (1..4_usize).prop_map(|limit| json!({ "separator": ",", "limit": limit }))),
        change("join", "[,\"é]{0,2}".prop_map(|separator| json!({ "separator": separator }))),
        change(
            "slice",
            (-4..4_i64, -4..4_i64)
                // With equal signs, nothing would stay, and the node refuses the options.
                .prop_filter("a range", |(start, end)| start < end || (*start < 0) != (*end < 0))
                .prop_map(|(start, end)| json!({ "start": start, "end": end })),
        ),
        change(
            "convert",
            prop::sample::select(vec!["int", "float", "bool", "string"]).prop_map(|to| json!({ "to": to })),
        ),
        change(
            "math",
            (-3..9_i64, any::<bool>()).prop_map(|(by, add)| json!({ if add { "add" } else { "multiply" }: by })),
        ),
        change("flatten", (1..4_usize).prop_map(|depth| json!({ "depth": depth }))),
        change("unflatten", (1..4_usize).prop_map(|depth| json!({ "depth": depth }))),
        change("encode", Just(json!({ "as": "json" }))),
        change("decode", Just(json!({ "as": "json" }))),
    ];
    let condition = prop_oneof![
        3 => Just(None),
        1 => (single(), any::<bool>()).prop_map(|(field, exists)| Some(json!({ "field": field, "exists": exists }))),
    ];
    (Union::new(all), condition).prop_map(|(mut step, condition)| {
        condition.into_iter().for_each(|condition| step["if"] = condition);
        step
    })
}
