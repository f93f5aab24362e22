//! Nodes that fault on too many batches.

use std::collections::BTreeMap;

use serde_json::Value;
use wattle_tests::evil::{LINES, folder, pipeline, row};
use wattle_tests::{Folder, Summary, wait_until};

use crate::faults;

/// A circuit that opens early and does not probe during a test.
const EARLY: &str = "circuit = { window = 10, min_batches = 5, cool_down = \"30m\", max_cool_down = \"30m\" }";

/// Batches of this many rows, on one worker.
fn agent(rows: usize) -> String {
    format!("[agent]\nworkers = 1\n[agent.batch]\nmax_events = {rows}\nmax_bytes = \"16MiB\"\n")
}

fn codes(folder: &Folder, file: &str) -> BTreeMap<String, u64> {
    let mut codes = BTreeMap::new();
    for event in folder.events(file) {
        *codes.entry(event["failure"]["code"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    codes
}

#[track_caller]
fn assert_circuit(summary: &Summary, pipeline: &str, text: &str) {
    let reasons = &summary.pipelines[pipeline].reasons;
    assert!(reasons.iter().any(|line| line.starts_with("circuit of ") && line.contains(text)), "{reasons:?}");
}

#[test]
fn a_node_that_faults_on_every_row_costs_a_bounded_number_of_calls() {
    const ROWS: usize = 120_000;
    let folder = folder(ROWS, &[]);
    let node = pipeline("panic-on-every-row", "retry_calls = 300", EARLY);
    let ended = folder.once(&(agent(10_000) + LINES + &node));
    let summary = ended.summary();
    assert_eq!(summary.pipeline().failed, ROWS as u64, "every row is accounted for");
    let codes = codes(&folder, "panic-on-every-row-fails.ndjson");
    assert_eq!(codes.values().sum::<u64>(), ROWS as u64);
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["circuit-open", "trap"]);
    assert!(codes["trap"] > 20_000 && codes["trap"] <= 50_000, "five large batches: {codes:?}");
    let faulted = faults(&summary, "panic-on-every-row", "trap (guest)");
    assert!(faulted > 0 && faulted <= 5 * 301, "{faulted} calls for five batches");
    assert_circuit(&summary, "panic-on-every-row", "opened 1 times, open now");
    assert_eq!(ended.log.matches("circuit opened").count(), 1, "once, not for every batch: {}", ended.log);
    assert_eq!(ended.log.matches("rows failed").count(), 1, "{}", ended.log);
}

#[test]
fn events_pass_unchanged_if_the_operator_allows_it() {
    const ROWS: usize = 200;
    let folder = folder(ROWS, &[]);
    let node = pipeline("panic-on-every-row", "", &format!("{EARLY}\non_fault = \"pass\""));
    let ended = folder.once(&(agent(10) + LINES + &node));
    let summary = ended.summary();
    let (failed, passed) = (summary.pipeline().failed, summary.pipeline().delivered);
    assert_eq!((failed + passed, passed > 100), (ROWS as u64, true), "{summary:?}");
    let text = String::from_utf8(folder.read("panic-on-every-row-ok.ndjson")).unwrap();
    assert!(text.lines().eq((failed as usize..ROWS).map(|i| row(i, false)).collect::<Vec<_>>()), "{text}");
    assert_circuit(&summary, "panic-on-every-row", &format!("{passed} events passed on"));
}

#[test]
fn a_circuit_closes_when_a_probe_succeeds() {
    let folder = folder(20, &(0..20).collect::<Vec<_>>());
    let circuit = "circuit = { window = 10, min_batches = 5, cool_down = \"50ms\" }";
    let config = agent(1) + &LINES.replace("follow = false", "") + &pipeline("panic", "", circuit);
    let mut agent = folder.start(&config);
    agent.wait_for("circuit opened");
    let mut next = 1000;
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    wait_until("a healthy row that passed", || {
        next += 1;
        std::io::Write::write_all(&mut file, (row(next, false) + "\n").as_bytes()).unwrap();
        !folder.read("panic-ok.ndjson").is_empty()
    });
    let ended = agent.stop();
    assert!(ended.log.contains("circuit closed"), "{}", ended.log);
    assert_circuit(&ended.summary(), "panic", " events passed on");
}

#[test]
fn a_stopped_pipeline_keeps_its_events_with_the_source_until_the_node_is_fixed() {
    const ROWS: usize = 200;
    let folder = folder(ROWS, &(0..ROWS).collect::<Vec<_>>());
    let node = pipeline("panic", "", &format!("{EARLY}\non_fault = \"stop\""));
    let config = agent(10) + &LINES.replace("follow = false", "") + &node;
    let mut agent = folder.start(&config);
    let said = agent.wait_for("circuit opened and the pipeline stopped");
    assert!(said.contains("ERROR") && said.contains("panic"), "{said}");
    assert!(agent.is_running(), "a stopped pipeline ends no agent");
    folder.replace("agent.toml", config.replace("on_fault = \"stop\"", "on_fault = \"fail\""));
    agent.wait_for("reloaded");
    let seen = |folder: &Folder| {
        let mut rows: Vec<String> = folder
            .events("panic-fails.ndjson")
            .iter()
            .map(|event| event["body"].as_str().unwrap().to_owned())
            .collect();
        rows.sort();
        rows.dedup();
        rows.len()
    };
    wait_until("every row, also those that came while it was stopped", || seen(&folder) == ROWS);
    agent.stop().summary();
}

#[test]
fn a_bounded_run_ends_with_an_error_when_its_pipeline_stops() {
    const ROWS: usize = 200;
    let folder = folder(ROWS, &(0..ROWS).collect::<Vec<_>>());
    let node = pipeline("panic", "", &format!("{EARLY}\non_fault = \"stop\""));
    let config = agent(10) + LINES + &node;
    folder.write("agent.toml", &config);
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(
        ended.log.contains("pipeline `panic` stopped at node `faulty`: it faulted on 5 of the last 5 batches"),
        "{}",
        ended.log
    );
    let first = folder.events("panic-fails.ndjson").len();
    assert!(first < ROWS, "what came after is not failed: {first}");
    // With the corrected pipeline, the next run processes the remaining events.
    let fixed = config.replace("on_fault = \"stop\"", "on_fault = \"fail\"");
    assert!(folder.once(&fixed).summary().pipeline().failed >= (ROWS - first) as u64);
    let events: Vec<Value> = folder.events("panic-fails.ndjson");
    let mut bodies: Vec<&str> = events.iter().map(|event| event["body"].as_str().unwrap()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), ROWS, "no row is lost");
}
