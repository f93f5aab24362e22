//! Events that share data in memory, but each have a copy when written.

use wattle_tests::{Config, Folder};

use crate::run_within;

/// Documents with this many records, through `parse` and then `unroll`: each child inherits the
/// whole document.
fn run(records: usize, padding: usize) -> (Folder, wattle_tests::Ended) {
    let folder = Folder::new();
    let record = |i: usize| serde_json::json!({ "i": i, "pad": "x".repeat(padding) });
    let records: Vec<_> = (0..records).map(record).collect();
    folder.write("doc.json", serde_json::json!({ "Records": records }).to_string());
    folder.write(
        "agent.toml",
        Config::new()
            .agent("data_dir = \"data\"")
            .file_source("s", "doc.json")
            .set("framing", "document")
            .pipeline("p", &["s"])
            .node("parse", "builtin:parse", &["input"])
            .with("options = { field = \"body\", format = \"json\", into = \"attributes\" }")
            .node("unroll", "builtin:unroll", &["parse"])
            .set("options.path", "Records")
            .output("ok", &["unroll"])
            .output("fails", &["*.failed"])
            .file_sinks(&["ok", "fails"])
            .text(),
    );
    let ended = run_within(&folder, 400, &["run", "--once", "--config", "agent.toml"]);
    (folder, ended)
}

/// Inherited data counts against the output limit, because it is written with each child.
#[test]
fn a_split_whose_children_inherit_too_much_fails_in_little_memory() {
    let (folder, ended) = run(2000, 400);
    assert_eq!(ended.summary().pipelines["p"].failed, 1, "{}", ended.log);
    let failed = &folder.events("fails.ndjson")[0]["failure"];
    assert_eq!(failed["code"], "output-limit");
    assert!(failed["message"].as_str().unwrap().contains("attributes"), "{failed}");
    assert!(!folder.path("ok.ndjson").exists() || folder.read("ok.ndjson").is_empty());
}

/// Below the limit, children are encoded in pieces: 60 MB leave a process that may hold a fraction
/// of that at once.
#[test]
fn children_that_inherit_much_are_written_in_pieces() {
    let (folder, ended) = run(100, 6000);
    assert_eq!(ended.summary().pipelines["p"].delivered, 100, "{}", ended.log);
    let children = folder.events("ok.ndjson");
    assert_eq!(children.len(), 100);
    for (i, child) in children.iter().enumerate() {
        assert_eq!(child["attributes"]["Records"].as_array().unwrap().len(), 100);
        assert!(child["body"].as_str().unwrap().contains(&format!("\"i\":{i}")), "{i}");
    }
}

/// Any number of small records can carry small attributes.
#[test]
fn many_small_children_stay_within_the_output_limit() {
    let (folder, ended) = run(100, 0);
    assert_eq!(ended.summary().pipelines["p"].delivered, 100, "{}", ended.log);
    assert_eq!(folder.events("ok.ndjson").len(), 100);
}
