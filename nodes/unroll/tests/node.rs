//! The node as a whole: case files, the committed schema, wrong options, real CloudTrail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wattle_node::testing::{check_schema, option_errors, run_bodies, run_cases};
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
