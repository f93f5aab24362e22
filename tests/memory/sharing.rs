//! State that all workers share.

use serde_json::Value;
use wattle_tests::{Folder, wait_until};

use super::{append, config, folder, windows};

/// The sum of all windows of a run without a kill. Not by id: two instances can begin a window of the same
/// key in the same millisecond.
fn sum(folder: &Folder) -> u64 {
    let count =
        |event: &Value| serde_json::from_str::<Value>(event["body"].as_str().unwrap()).unwrap()["count"].as_u64();
    folder.events("summary.ndjson").iter().filter_map(count).sum()
}

#[test]
fn one_instance_counts_the_rows_of_all_workers() {
    for (sharing, node) in [
        ("single", ""),
        ("worker", "state = { sharing = \"single\" }"),
        ("worker", "state = { key = [\"body\"], shards = 3 }"),
    ] {
        let folder = folder();
        let text = config(&format!("window_ms = 600000, sharing = \"{sharing}\""), node).text();
        append(&folder, 0, 50_000);
        folder.once(&text);
        assert_eq!(sum(&folder), 50_000, "{sharing} {node}");
        if node.is_empty() || node.contains("single") {
            // Two windows of one key would have different ids, or the same id and not add up.
            assert_eq!(windows(&folder).len(), 10, "{sharing} {node}");
        }
    }
}

#[test]
fn rows_keep_the_order_of_their_source() {
    for node in ["state = { sharing = \"single\" }", "state = { key = [\"body\"], shards = 4 }"] {
        let folder = folder();
        append(&folder, 0, 30_000);
        folder.once(&config("passes = true", node).text());
        let numbers: Vec<usize> = folder
            .events("out.ndjson")
            .iter()
            .map(|event| event["body"].as_str().unwrap().rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 30_000);
        assert!(numbers.is_sorted(), "{node}");
    }
}

#[test]
fn state_continues_over_swaps_with_another_sharing() {
    let folder = folder();
    let text = |node: &str, limit: usize| {
        let node = format!("{node}\nlimits = {{ time = \"{limit}s\" }}");
        config("window_ms = 300", &node).text()
    };
    let mut agent = folder.start(&text("", 1));
    let mut written = 0;
    for (limit, node) in [
        (2, ""),
        (3, "state = { sharing = \"single\" }"),
        (4, "state = { sharing = \"single\" }"),
        (5, "state = { sharing = \"worker\" }"),
        (6, ""),
    ] {
        append(&folder, written, 500);
        written += 500;
        folder.replace("agent.toml", text(node, limit));
        agent.wait_for("reloaded");
    }
    wait_until("all windows", || sum(&folder) == written as u64);
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().held, written as u64);
    assert_eq!(sum(&folder), written as u64);
}

#[test]
fn state_by_key_is_not_divided_by_other_keys() {
    let folder = folder();
    let text = |key: &str, more: &str| {
        config("window_ms = 600000", &format!("state = {{ key = [\"{key}\"] }}\n{more}")).text()
    };
    let mut agent = folder.start(&text("body", ""));
    append(&folder, 0, 100);
    wait_until("a snapshot", || folder.path("data/state/main/count").is_dir());
    folder.replace("agent.toml", text("attributes.a", ""));
    let line = agent.wait_for("reload failed");
    assert!(line.contains("cannot be divided"), "{line}");
    folder.replace("agent.toml", text("attributes.a", "on_state_mismatch = \"empty\""));
    agent.wait_for("reloaded");
    agent.stop();
}
