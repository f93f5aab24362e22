//! Events that a mask could not process, and the commands for them.

use serde_json::Value;
use wattle_tests::{Config, Folder, finish};

const ROWS: usize = 60;

fn secret(row: usize) -> String {
    format!("AKIA{row:0>16}")
}

/// A mask that faults on every row (it exceeds its limit of host calls), unless it is `fixed`.
fn config(fixed: bool, follow: bool) -> String {
    Config::new()
        .agent("workers = 1\nbatch.max_events = 1")
        .with("circuit = { min_batches = 30, cool_down = \"30m\", max_cool_down = \"30m\" }")
        .file_source("lines", "in.log")
        .set("follow", follow)
        .pipeline("trail", &["lines"])
        .node("tag", "builtin:parse", &["input"])
        .with("options = { field = \"body\", format = \"json\" }")
        .node("hide", "builtin:mask", &["tag"])
        .with("options = { fields = [\"body\", \"attributes.key\"], rules = [{ pattern = \"AKIA[A-Z0-9]{16}\" }] }")
        .with(if fixed { "" } else { "limits = { host_calls = 3 }" })
        .output("ok", &["hide"])
        .output("fails", &["hide.failed", "tag.failed"])
        .file_sink("ok", &["trail.ok"], "ok.ndjson")
        .file_sink("fails", &["trail.fails"], "fails.ndjson")
        .text()
}

/// A folder in which every row went to the quarantine.
fn quarantined() -> Folder {
    let folder = Folder::new();
    let rows = (0..ROWS).map(|row| format!("{{\"row\":{row},\"key\":\"{}\"}}\n", secret(row)));
    folder.write("in.log", rows.collect::<String>());
    let summary = folder.once(&config(false, false)).summary();
    assert_eq!(summary.pipeline().failed, ROWS as u64, "{summary:?}");
    folder
}

fn ids(folder: &Folder) -> Vec<String> {
    let listed = folder.run(&["quarantine", "list", "trail"]);
    listed.text().lines().skip(1).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn unmaskable_events_leave_only_as_a_reason_also_while_the_circuit_is_open() {
    let folder = quarantined();
    let failed = folder.events("fails.ndjson");
    let count = |code: &str| failed.iter().filter(|e: &&Value| e["failure"]["code"] == code).count();
    assert_eq!((count("host-call-limit"), count("circuit-open")), (30, ROWS - 30));
    let left = [folder.read("fails.ndjson"), folder.read("ok.ndjson")].concat();
    assert!(!String::from_utf8_lossy(&left).contains("AKIA"));
    let ids = ids(&folder);
    assert_eq!(ids.len(), ROWS);
    for (event, id) in failed.iter().zip(&ids) {
        assert!(event["failure"]["message"].as_str().unwrap().ends_with(&format!("in quarantine as {id}")), "{event}");
    }
}

#[test]
fn events_are_listed_shown_and_dropped() {
    let folder = quarantined();
    let all = folder.run(&["quarantine", "list"]);
    let line = all.text().lines().nth(1).unwrap();
    assert!(line.starts_with("trail") && line.contains(" 60 "), "{}", all.text());
    assert!(!all.text().contains("AKIA"));
    let ids = ids(&folder);
    let listed = folder.run(&["quarantine", "list", "trail"]);
    assert!(listed.text().contains("host-call-limit") && !listed.text().contains("AKIA"), "{}", listed.text());

    let shown = folder.run(&["quarantine", "show", "trail", &ids[7]]);
    let event: Value = serde_json::from_str(shown.text()).unwrap();
    assert!(event["body"].as_str().unwrap().contains(&secret(7)));
    assert_eq!(event["attributes"]["key"], secret(7));

    let unsure = folder.run(&["quarantine", "drop", "trail", &ids[7]]);
    assert_eq!((unsure.code, ids.len()), (1, ROWS), "there was no confirmation");
    assert!(unsure.log.contains("--yes"), "{}", unsure.log);
    let dropped = folder.run(&["quarantine", "drop", "trail", &ids[7], &ids[9], "--yes"]);
    assert_eq!((dropped.code, dropped.text()), (0, "2 events dropped\n"));
    assert_eq!(crate::quarantine::ids(&folder).len(), ROWS - 2);

    for (arguments, text) in [
        (vec!["quarantine", "show", "trail", "missing"], "has no `missing` in quarantine"),
        (vec!["quarantine", "show", "trail", &ids[7]], "in quarantine"),
        (vec!["quarantine", "list", "tail"], "holds `trail`"),
    ] {
        let ended = folder.run(&arguments);
        assert_eq!(ended.code, 1, "{arguments:?}");
        assert!(ended.log.contains(text), "{arguments:?}: {}", ended.log);
    }
    assert_eq!(folder.run(&["quarantine", "drop", "trail"]).code, 2, "ids or --all");
    assert_eq!(folder.run(&["quarantine", "drop", "trail", "--all", "--yes"]).code, 0);
    assert!(folder.run(&["quarantine", "list"]).log.contains("nothing is in quarantine"));
}

#[test]
fn a_fixed_mask_processes_the_quarantine_and_each_event_arrives_once() {
    let folder = quarantined();
    folder.write("agent.toml", config(true, false));
    let one = ids(&folder)[3].clone();
    let ended = folder.run(&["quarantine", "retry", "trail", &one, "--config", "agent.toml"]);
    assert_eq!((ended.code, ended.text()), (0, "1 events delivered, 0 of them as failed again\n"), "{}", ended.log);
    assert_eq!(ids(&folder).len(), ROWS - 1);
    let ended = folder.run(&["quarantine", "retry", "trail", "--all", "--config", "agent.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ids(&folder), Vec::<String>::new());
    let delivered = folder.events("ok.ndjson");
    let mut rows: Vec<i64> = delivered.iter().map(|e| e["attributes"]["row"].as_i64().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        (0..ROWS as i64).collect::<Vec<_>>(),
        "attributes of the node before are there, and no event twice"
    );
    assert!(!String::from_utf8_lossy(&folder.read("ok.ndjson")).contains("AKIA"));
    assert!(delivered.iter().all(|event| event.get("failure").is_none()));
}

#[test]
fn events_that_fail_again_get_a_new_id() {
    let folder = quarantined();
    let before = ids(&folder);
    let ended = folder.run(&["quarantine", "retry", "trail", &before[0], "--config", "agent.toml"]);
    assert_eq!((ended.code, ended.text()), (0, "1 events delivered, 1 of them as failed again\n"), "{}", ended.log);
    let after = ids(&folder);
    assert_eq!((after.len(), after.contains(&before[0])), (ROWS, false));
}

#[test]
fn events_cannot_be_retried_while_an_agent_runs_but_can_be_dropped() {
    let folder = quarantined();
    let agent = folder.start(&config(false, true));
    let ended = folder.run(&["quarantine", "retry", "trail", "--all", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78);
    assert!(ended.log.contains("stop it, retry, and start it again"), "{}", ended.log);
    assert_eq!(folder.run(&["quarantine", "drop", "trail", "--all", "--yes"]).code, 0);
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    std::io::Write::write_all(&mut file, b"{\"row\":1000,\"key\":\"AKIA0000000000001000\"}\n").unwrap();
    wattle_tests::wait_until("what the agent adds afterwards", || ids(&folder).len() == 1);
    agent.stop();
}

#[test]
fn a_full_quarantine_leaves_rows_with_their_source() {
    let folder = quarantined();
    let bytes = folder.read("data/quarantine/trail.ndjson").len();
    let full = format!("{}\n[agent.quarantine]\nmax_size = {bytes}\n", config(false, true));
    let mut agent = folder.start(&full);
    let late = "{\"row\":1000,\"key\":\"AKIA0000000000001000\"}\n";
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    std::io::Write::write_all(&mut file, late.as_bytes()).unwrap();
    let said = agent.wait_for("cannot store rows that could not be masked");
    assert!(said.contains("is full") && !said.contains("AKIA"), "{said}");
    let ended = {
        agent.signal("TERM");
        agent.ended()
    };
    assert!(ended.summary().pipeline().returned > 0, "{}", ended.log);
    let summary = folder.once(&config(true, false)).summary();
    assert_eq!(summary.pipeline().delivered, 1, "with room, or a fixed node, it is processed: {summary:?}");
}

/// A mask that hides nothing of lines of text, and quarantines what it cannot read.
fn unreadable(source: &str, quarantine: &str) -> String {
    Config::new()
        .agent(quarantine)
        .set("batch.max_events", 10)
        .table("sources.lines")
        .with(source)
        .pipeline("trail", &["lines"])
        .node("hide", "builtin:mask", &["input"])
        .with("options = { fields = [\"body\"], rules = [{ pattern = \"AKIA[A-Z0-9]{16}\" }] }")
        .ok_and_fails("hide")
        .file_sink("ok", &["trail.ok"], "ok.txt")
        .set("encoding.codec", "text")
        .drop_sink("fails", &["trail.fails"])
        .text()
}

/// Lines with one in the middle that is base64 of gzip.
fn with_one_unreadable(rows: usize) -> String {
    let unreadable = "H4sIAAAAAAAAA6tWSkxOTi0u9k6t9ExRslJyDPZ09PQPdvN38fMzd41w9A3wcVWqBQDQoUjnJgAAAA==";
    (0..rows).map(|row| if row == rows / 2 { format!("{unreadable}\n") } else { format!("row {row}\n") }).collect()
}

fn delivered(folder: &Folder) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path("ok.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Nothing of the batch leaves, however often it is retried, and the next run delivers each line
/// once.
#[test]
fn a_run_whose_quarantine_cannot_be_written_ends_with_an_error_and_without_duplicates() {
    let folder = Folder::new();
    folder.write("in.log", with_one_unreadable(100));
    // A file in place of the folder stops every user, including root.
    folder.write("data/quarantine", "");
    let config = unreadable("type = \"file\"\ninclude = [\"in.log\"]", "");
    let ended = folder.once_in_part(&config);
    assert!(ended.log.contains("pipeline `trail` stopped at node `hide`: quarantine `"), "{}", ended.log);
    assert!(!delivered(&folder).iter().any(|line| line == "row 51"), "it is in the batch of the failed line");
    std::fs::remove_file(folder.path("data/quarantine")).unwrap();
    folder.once(&config);
    let rows: Vec<String> = (0..100).filter(|row| *row != 50).map(|row| format!("row {row}")).collect();
    assert_eq!(delivered(&folder), rows);
}

#[test]
fn a_run_whose_quarantine_is_full_ends_with_an_error() {
    let folder = Folder::new();
    folder.write("agent.toml", unreadable("type = \"stdin\"", "quarantine.max_size = 10"));
    let ended = finish(folder.wattle().args(["run", "--config", "agent.toml"]), with_one_unreadable(100).as_bytes());
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("pipeline `trail` stopped at node `hide`: quarantine `"), "{}", ended.log);
    assert!(ended.log.contains("is full (10 bytes)"), "{}", ended.log);
    let mut lines = delivered(&folder);
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all, "none came twice");
}
