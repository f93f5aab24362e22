//! The format `ecs`: each field occurs once, however its path is written, and none is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::de::{MapAccess, Visitor};
use serde_json::{Value, json};
use wattle_node::testing::run;
use wattle_node_serialize::Serialize;

/// The text for a body of JSON, which may have a key twice.
fn written(object: &str, header: Value) -> String {
    let mut options = json!({"format": "ecs", "from": "body", "header": header});
    options["header"]["timestamp"] = json!("");
    if options["header"]["message"].is_null() {
        options["header"]["message"] = json!("");
    }
    let ran = run::<Serialize>(&options, &[json!({ "body": object })]).unwrap();
    assert_eq!(ran.failed.len(), 0, "{object} {:?}", ran.failed);
    ran.bodies("out")[0].clone()
}

#[test]
fn a_field_that_is_written_twice_gets_a_number() {
    let level = || json!({"log_level": "info"});
    for (object, header, expected) in [
        (r#"{"log.level":"a","log":{"level":"b"}}"#, json!({}), r#"{"log.level":"a","log":{"level_2":"b"}}"#),
        (
            r#"{"log":{"level":"a"},"log":{"level":"b","x":1}}"#,
            json!({}),
            r#"{"log":{"level":"a"},"log_2":{"level":"b","x":1}}"#,
        ),
        (r#"{"log":"a","log":{"x":1}}"#, json!({}), r#"{"log":"a","log_2":{"x":1}}"#),
        (
            r#"{"host.os":{"name":1},"host":{"os":{"family":2}}}"#,
            json!({}),
            r#"{"host.os":{"name":1},"host":{"os":{"family":2}}}"#,
        ),
        // The envelope has its place in any case.
        (r#"{"log.level":"a"}"#, level(), r#"{"log.level_2":"a","log":{"level":"info"}}"#),
        (
            r#"{"log.level":"a","log":{"level":"b"}}"#,
            level(),
            r#"{"log.level_2":"a","log":{"level_3":"b","level":"info"}}"#,
        ),
        (
            r#"{"log":{"level":"a"},"log":{"level":"b"}}"#,
            level(),
            r#"{"log":{"level_2":"a","level":"info"},"log_2":{"level":"b"}}"#,
        ),
        (r#"{"log":"a","log":"b"}"#, level(), r#"{"log_3":"a","log_2":"b","log":{"level":"info"}}"#),
        (
            r#"{"log.level.x":1,"log.level":{"y":2}}"#,
            level(),
            r#"{"log.level_2.x":1,"log.level_2":{"y":2},"log":{"level":"info"}}"#,
        ),
        (r#"{"message.x":1}"#, json!({"message": "m"}), r#"{"message_2.x":1,"message":"m"}"#),
        // The same value is there once.
        (r#"{"log.level":"info","log":{"level":"info"}}"#, level(), r#"{"log":{"level":"info"}}"#),
        (r#"{"log.level":null,"a.b":null}"#, level(), r#"{"a.b":null,"log":{"level":"info"}}"#),
        // Values keep their bytes.
        (r#"{ "a.b": [ 1.0, {"c":1,"c":2} ] }"#, json!({}), r#"{"a.b":[ 1.0, {"c":1,"c":2} ]}"#),
        (r#"{ "a": 1 }"#, json!({}), r#"{ "a": 1 }"#),
    ] {
        assert_eq!(written(object, header), expected, "{object}");
    }
}

/// JSON that keeps members with the same key.
#[derive(Debug)]
enum Tree {
    Object(Vec<(String, Tree)>),
    Leaf,
}

impl<'de> serde::Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object, a number or a text")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
        }
        from.deserialize_any(Any)
    }
}

/// Adds the paths of all leaves below `path`, which ends with a dot unless it is empty.
fn leaves(tree: &Tree, path: &str, found: &mut Vec<String>) {
    match tree {
        Tree::Leaf => found.extend(path.strip_suffix('.').map(str::to_owned)),
        Tree::Object(members) => {
            let keys: BTreeSet<&String> = members.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), members.len(), "an object has a key twice: {members:?}");
            members.iter().for_each(|(key, inner)| leaves(inner, &format!("{path}{key}."), found));
        }
    }
}

/// The text of an object with any keys, and the number of its leaves.
fn objects() -> impl Strategy<Value = (String, usize)> {
    let keys =
        || prop::sample::select(vec!["log", "level", "log.level", "level.x", "level_2", "message", "a", "a.level", ""]);
    let leaf = (0..9_u8).prop_map(|number| (number.to_string(), 1));
    leaf.prop_recursive(3, 40, 5, move |inner| object(prop::collection::vec((keys(), inner), 1..5)))
        .prop_filter("a root is an object", |(text, _)| text.starts_with('{'))
}

fn object(
    members: impl Strategy<Value = Vec<(&'static str, (String, usize))>>,
) -> impl Strategy<Value = (String, usize)> {
    members.prop_map(|members| {
        let count = members.iter().map(|(_, (_, count))| count).sum();
        let members: Vec<String> = members.iter().map(|(key, (text, _))| format!("\"{key}\":{text}")).collect();
        (format!("{{{}}}", members.join(",")), count)
    })
}

proptest! {
    #[test]
    fn every_field_is_there_once((object, count) in objects(), level: bool, message: bool) {
        let mut header = json!({});
        if level {
            header["log_level"] = json!("info");
        }
        if message {
            header["message"] = json!("m");
        }
        let text = written(&object, header);
        let mut found = Vec::new();
        leaves(&serde_json::from_str(&text).unwrap(), "", &mut found);
        let parts = usize::from(level) + usize::from(message);
        prop_assert_eq!(found.len(), count + parts, "{} {}", object, text);
        let distinct: BTreeSet<&String> = found.iter().collect();
        prop_assert_eq!(distinct.len(), found.len(), "{} {}", object, text);
        for (part, is_set) in [("log.level", level), ("message", message)] {
            if is_set {
                prop_assert!(distinct.contains(&part.to_owned()), "{} {}", object, text);
                // Nothing is below it, or it would be an object and a text.
                let below = format!("{part}.");
                prop_assert!(!found.iter().any(|path| path.starts_with(&below)), "{} {}", object, text);
            }
        }
    }
}
