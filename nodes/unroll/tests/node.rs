//! The node as a whole: case files, the committed schema, wrong options, real CloudTrail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wattle_node::testing::{check_refusal, check_schema, option_errors, run_bodies, run_cases};
use wattle_node_unroll::{Options, Unroll};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Unroll>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let options = json!({"from": "nowhere", "path": ["a[*]", "b..c", "d"]});
    let errors: Vec<String> =
        option_errors::<Unroll>(&options).into_iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("from: "), "{errors:?}");
    assert!(errors[1].starts_with("path[0]: ") && errors[1].contains("`[*]`"), "{errors:?}");
    assert!(errors[2].starts_with("path[1]: ") && errors[2].contains("expected a key"), "{errors:?}");
}

#[test]
fn wrong_options_of_joined_children_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Unroll>(&options, expected).unwrap();
    refuse(
        json!({"path": "a", "into": "x", "keep": ["b[*]", "c[0]", "$", "d..e", "x"], "zip": ["f.x"], "index": "i",
               "broken": "apart", "single": "s"}),
        &[
            ("keep[0]", "must not hold `[*]`"),
            ("keep[1]", "key = \"...\""),
            ("keep[2]", "key = \"...\""),
            ("keep[3]", "expected a key"),
            ("keep", "two values have the key `x`"),
            ("zip", "two values have the key `x`"),
            ("broken", "goes with none of"),
        ],
    );
    refuse(json!({"path": "a", "lengths": "null"}), &[("lengths", "belongs to `zip`")]);
    refuse(json!({"path": "a", "lengths": "null", "index": "i"}), &[("lengths", "belongs to `zip`")]);
}

#[test]
fn children_that_copies_would_make_too_large_fail() {
    let body = json!({"big": "x".repeat(1 << 20), "items": vec![json!({}); 40]}).to_string();
    let ran = run_bodies::<Unroll>(&json!({"path": "items", "keep": ["big"]}), &[&body, "{\"items\":[{}]}"]).unwrap();
    assert_eq!((ran.codes(), ran.bodies("out")), (vec!["too-large".to_owned()], vec!["{}".to_owned()]));
}

#[test]
fn an_array_at_a_path_comes_before_the_rules_of_the_root() {
    let options = json!({"path": "Records", "rules": [{"equals": {"t": 1}, "drop": "control"}]});
    let ran = run_bodies::<Unroll>(&options, &["{\"t\":1,\"Records\":[{\"a\":1}]}", "{\"t\":1}"]).unwrap();
    assert_eq!((ran.bodies("out"), ran.dropped.get("control").copied()), (vec!["{\"a\":1}".to_owned()], Some(1)));
}

/// The host does not accept more than 64 bytes for one of a batch, apart from 1 MiB for any batch.
#[test]
fn an_event_whose_children_the_host_would_not_accept_fails_alone() {
    let options = json!({"path": "items", "keep": ["big"]});
    let body =
        |size: usize, count: usize| json!({"big": "x".repeat(size), "items": vec![json!({}); count]}).to_string();
    let (large, fits, small) = (body(20_000, 500), body(20_000, 60), body(10_000, 100));
    let ran = run_bodies::<Unroll>(&options, &[&large, &fits, &fits, "{\"items\":[{}]}"]).unwrap();
    assert_eq!(ran.codes(), ["too-large"]);
    assert_eq!(ran.bodies("out").len(), 60 + 60 + 1);
    assert_eq!(run_bodies::<Unroll>(&options, &[&small]).unwrap().bodies("out").len(), 100);
    assert_eq!(run_bodies::<Unroll>(&options, &[&body(10_000, 110)]).unwrap().codes(), ["too-large"]);
}

/// The examples in `README.md` of a document and its children.
#[test]
fn the_example_of_the_readme_holds() {
    let page = std::fs::read_to_string(here("README.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with("`{\"account\"")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let options = json!({"path": "values", "into": "value", "keep": ["account"], "zip": ["times"], "index": "n"});
    let ran = run_bodies::<Unroll>(&options, &[parts[1]]).unwrap();
    assert_eq!(ran.bodies("out"), [parts[3], parts[5]]);
}

#[test]
fn wrong_rules_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Unroll>(&options, expected).unwrap();
    refuse(
        json!({"path": "a", "rules": [
            {"drop": "x"}, {"keys": ["a"]}, {"keys": ["a"], "drop": "x", "fail": "y"}, {"keys": ["a"], "drop": "Not good"},
            {"keys": ["a"], "port": "1"}, {"keys": ["a"], "port": "failed"}, {"keys": ["a"], "unwrap": "b..c"},
            {"keys": ["a"], "unwrap": "$"}, {"keys": ["a"], "unwrap": "b[*].c[*]"}, {"keys": ["a"], "unwrap": "[*]"},
            {"keys": ["a"], "fail": "x", "decode": "base64"},
        ], "broken": "port", "index": "i"}),
        &[
            ("broken", "`port` needs `single`"),
            ("broken", "goes with none of"),
            ("rules[0].keys", "at least one key"),
            ("rules[1]", "a rule has one of"),
            ("rules[2]", "a rule has one of"),
            ("rules[3].drop", "bad reason `Not good`"),
            ("rules[4].port", "bad name `1`"),
            ("rules[5].port", "another meaning"),
            ("rules[6].unwrap", "expected a key"),
            ("rules[7].unwrap", "must name a member"),
            ("rules[8].unwrap", "only one `[*]`"),
            ("rules[9].unwrap", "must name a member"),
            ("rules[10].decode", "belongs to `unwrap`"),
            ("rules", "go with none of"),
        ],
    );
    refuse(
        json!({"from": "attributes.a", "into": "x", "single": "s", "rules": [{"keys": ["a"], "drop": "x"}]}),
        &[("from", "must be `body`"), ("into", "belongs to `path`"), ("single", "belongs to `path`")],
    );
    refuse(json!({"path": []}), &[("path", "at least one path")]);
    let keys: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    refuse(json!({"path": "a", "rules": [{"keys": keys, "drop": "x"}]}), &[("rules", "65 keys are too many")]);
}

/// The document of the README with SQS and SNS, and its record.
#[test]
fn the_envelopes_of_the_readme_are_unwrapped() {
    let page = std::fs::read_to_string(here("README.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with("`{\"Records\":[{\"messageId\"")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let options = json!({"path": ["Records", "$"], "single": "eventVersion", "rules": [
        {"equals": {"messageType": "CONTROL_MESSAGE"}, "drop": "control-message"},
        {"keys": ["messageType", "logEvents"], "unwrap": "logEvents[*].message"},
        {"keys": ["TopicArn", "Message"], "unwrap": "Message"},
        {"keys": ["messageId", "receiptHandle"], "unwrap": "body"},
        {"keys": ["digestStartTime"], "port": "digests"},
    ]});
    let ran = run_bodies::<Unroll>(&options, &[parts[1]]).unwrap();
    assert_eq!(ran.bodies("out"), [parts[3]]);
    let digest = run_bodies::<Unroll>(&options, &[r#"{"digestStartTime":1}"#]).unwrap();
    assert_eq!(digest.bodies("digests"), [r#"{"digestStartTime":1}"#]);
}

/// Every file of a folder of samples, unpacked.
fn samples(folder: &str) -> Vec<String> {
    let folder = here("../../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        match path.extension().is_some_and(|e| e == "gz") {
            true => std::io::read_to_string(flate2::read::GzDecoder::new(&*bytes)).unwrap(),
            false => String::from_utf8(bytes).unwrap(),
        }
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

/// Splits all documents and compares with what a JSON parser makes of them.
#[track_caller]
fn check(documents: &[String], events: usize) {
    let bodies: Vec<&str> = documents.iter().map(String::as_str).collect();
    let options = json!({"path": ["Records", "$"], "into": "Record", "single": "eventVersion"});
    let ran = run_bodies::<Unroll>(&options, &bodies).unwrap();
    let records = documents.iter().flat_map(|text| match serde_json::from_str(text).unwrap() {
        Value::Array(records) => records,
        document => document["Records"].as_array().unwrap().clone(),
    });
    let expected: Vec<Value> = records.map(|record| json!({ "Record": record })).collect();
    let children: Vec<Value> = ran.bodies("out").iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(children.len(), events);
    assert!(children == expected);
    assert_eq!(ran.codes(), Vec::<String>::new());
}

#[test]
fn real_documents_are_split_completely() {
    for (folder, events) in [("compact-gz", 20), ("stratus-pretty", 310), ("pretty-sample", 44)] {
        let documents = samples(folder);
        if !documents.is_empty() {
            check(&documents, events);
        }
    }
}

#[test]
fn other_documents_of_aws_fail_cleanly() {
    for (folder, codes) in [("cloudwatch-envelope", &["missing-path"][..]), ("lookup-events", &["missing-path"])] {
        let documents = samples(folder);
        let bodies: Vec<&str> = documents.iter().map(String::as_str).collect();
        let ran = run_bodies::<Unroll>(&json!({"path": ["Records", "$"], "single": "eventVersion"}), &bodies).unwrap();
        assert!(ran.codes().iter().all(|code| codes.contains(&code.as_str())), "{folder}: {:?}", ran.codes());
        assert_eq!(ran.codes().len(), documents.len(), "{folder}");
    }
}

#[test]
fn a_string_with_half_of_a_surrogate_pair_fails_or_stays_as_it_is() {
    let lone = r#"{"r":["a\n","x\ud800","b"]}"#;
    let broken = r#"["a","\udc00\ud83d"]"#;
    let good = r#"{"r":["\ud83d\ude00","\u0041"]}"#;
    let ran = run_bodies::<Unroll>(&json!({"path": ["r", "$"]}), &[lone, good, broken]).unwrap();
    assert_eq!(ran.bodies("out"), ["\u{1f600}", "A"]);
    assert_eq!(ran.codes(), ["not-json", "not-json"]);
    let reasons: Vec<&str> = ran.failed.iter().map(|failed| failed["failure"]["message"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        [
            "`body` is not JSON: surrogate without its other half at byte 14",
            "`body` is not JSON: surrogate without its other half at byte 6",
        ]
    );
    // The rest of the failed event is what it was.
    assert_eq!(ran.failed[0]["body"], lone);
    // An escape that there is not in JSON has no text either.
    assert_eq!(run_bodies::<Unroll>(&json!({"path": "$"}), &[r#"["\x"]"#]).unwrap().codes(), ["not-json"]);
    // In a wrapper, the record keeps its bytes.
    let ran = run_bodies::<Unroll>(&json!({"path": "r", "into": "w"}), &[lone]).unwrap();
    assert_eq!(ran.bodies("out"), [r#"{"w":"a\n"}"#, r#"{"w":"x\ud800"}"#, r#"{"w":"b"}"#]);
    // With `broken`, the others continue, and the broken one leaves as it was written.
    let port = json!({"path": "r", "single": "v", "broken": "port"});
    let ran = run_bodies::<Unroll>(&port, &[lone]).unwrap();
    assert_eq!(ran.bodies("out"), ["a\n", "b"]);
    assert_eq!(ran.bodies("broken"), [r#""x\ud800""#]);
    // Inside of a document that a rule unwraps, the reason names where.
    let rules = json!({"path": "r", "rules": [{"keys": ["Message"], "unwrap": "Message"}]});
    let outer = json!({"Message": lone}).to_string();
    let ran = run_bodies::<Unroll>(&rules, &[&outer]).unwrap();
    assert_eq!(ran.codes(), ["not-json"]);
    assert!(ran.bodies("out").is_empty());
}

/// Documents with an array of records, other arrays, and fields; sometimes with one of another type.
fn documents() -> impl Strategy<Value = Value> {
    let leaf =
        || prop_oneof![any::<i8>().prop_map(Value::from), "[a-c\"\\\\]{0,3}".prop_map(Value::from), Just(Value::Null)];
    let record = prop::collection::btree_map("[ahin]", leaf(), 0..4).prop_map(|map| json!(map));
    let records = prop::collection::vec(prop_oneof![9 => record, 1 => leaf()], 0..5);
    let array = || prop_oneof![9 => prop::collection::vec(leaf(), 0..5).prop_map(Value::from), 1 => leaf()];
    (records, prop::option::of(leaf()), prop::option::of(array()), array()).prop_map(|(records, host, ids, times)| {
        let mut document = json!({"meta": {"i": times}, "r": records});
        let fields = host.map(|host| ("h", host)).into_iter().chain(ids.map(|ids| ("ids", ids)));
        for (key, value) in fields {
            document[key] = value;
        }
        document
    })
}

/// The children of a document, or the code of its failure.
fn model(document: &Value, wrapped: bool, lengths: &str) -> Result<Vec<Value>, &'static str> {
    let records = document["r"].as_array().unwrap();
    let mut count = records.len();
    let mut zipped = Vec::new();
    for (key, array) in [("ids", document.get("ids")), ("i", document.pointer("/meta/i"))] {
        let array = match array {
            None => &[][..],
            Some(Value::Array(array)) => array.as_slice(),
            Some(_) => return Err("not-an-array"),
        };
        match lengths {
            "shortest" => count = count.min(array.len()),
            "null" => count = count.max(array.len()),
            _ if array.len() != records.len() => return Err("different-lengths"),
            _ => {}
        }
        zipped.push((key, array));
    }
    let child = |number: usize| {
        let mut child = match (wrapped, records.get(number)) {
            (true, record) => Map::from_iter([("w".to_owned(), record.cloned().unwrap_or_default())]),
            (false, Some(Value::Object(record))) => record.clone(),
            (false, Some(_)) => return Err("not-an-object"),
            (false, None) => Map::new(),
        };
        let host = document.get("h").map(|host| ("h", host.clone()));
        let zipped = zipped.iter().map(|(key, array)| (*key, array.get(number).cloned().unwrap_or_default()));
        for (key, value) in host.into_iter().chain(zipped).chain([("n", json!(number))]) {
            child.entry(key).or_insert(value);
        }
        Ok(Value::Object(child))
    };
    (0..count).map(child).collect()
}

proptest! {
    #[test]
    fn joined_children_agree_with_trees(documents in prop::collection::vec(documents(), 1..6), wrapped: bool, lengths in 0..3_usize) {
        let lengths = ["fail", "shortest", "null"][lengths];
        let mut options = json!({"path": "r", "keep": ["h"], "zip": ["ids", "meta.i"], "index": "n", "lengths": lengths});
        if wrapped {
            options["into"] = json!("w");
        }
        let bodies: Vec<String> = documents.iter().map(Value::to_string).collect();
        let ran = run_bodies::<Unroll>(&options, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).map_err(TestCaseError::fail)?;
        let (mut children, mut codes) = (Vec::new(), Vec::new());
        for document in &documents {
            match model(document, wrapped, lengths) {
                Ok(found) => children.extend(found),
                Err(code) => codes.push(code.to_owned()),
            }
        }
        let found: Vec<Value> = ran.bodies("out").iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        prop_assert_eq!(found, children);
        prop_assert_eq!(ran.codes(), codes);
    }

    #[test]
    fn any_text_is_split_or_fails(text in "[{}\\[\\]\":,a-c0-9 \\\\]{0,24}", cut in any::<prop::sample::Index>(), document in documents()) {
        let document = document.to_string();
        let at = (0..=cut.index(document.len() + 1)).rev().find(|at| document.is_char_boundary(*at)).unwrap();
        let (before, after) = document.split_at(at);
        let text = format!("{before}{text}{after}");
        let options = json!({"path": ["r", "$"], "keep": ["h", "meta"], "zip": ["ids"], "index": "n", "lengths": "null"});
        let ran = run_bodies::<Unroll>(&options, &[&text]).map_err(TestCaseError::fail)?;
        let dropped: usize = ran.dropped.values().sum();
        prop_assert!(ran.failed.len() + dropped == 1 || !ran.bodies("out").is_empty(), "{}", text);
    }
}
