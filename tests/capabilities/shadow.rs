//! A shadow processes live batches without effects: it logs, counts, stores and sends nothing.

use wattle_tests::{Config, Endpoint, Metrics, free_address, get, wait_until};

use crate::{ALL, all_but, answers, append, folder, pack};

/// The effects of two runs of a row, with a shadow that does the same as the pack.
struct Left {
    answers: Vec<String>,
    metrics: Metrics,
    log: String,
}

const ROWS: usize = 5;

/// Runs the pack with a shadow, until the shadow has seen every row.
fn run(options: &str, grants: &str) -> Left {
    let folder = folder(&[]);
    let admin = free_address();
    for version in ["1.0.0", "1.1.0"] {
        pack(&folder, version, version, options);
    }
    let mut agent = folder.start(
        &Config::new()
            .admin(admin)
            .file_source("lines", "in.log")
            .set("glob_interval", "20ms")
            .pack("main", &["lines"], "./1.0.0")
            .with("shadow = { pack = \"./1.1.0\", max_cpu_share = 1.0 }")
            .grants(grants)
            .file_sinks(&["all"])
            .text(),
    );
    let scrape = || Metrics::read(&get(admin, "/metrics").unwrap().text);
    for row in 1..=ROWS {
        append(&folder, "row");
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        wait_until("the comparison", || scrape().sum("wattle_shadow_compared_events_total", &[]) == row as f64);
    }
    wait_until("all rows", || answers(&folder).len() == ROWS);
    assert!(agent.is_running());
    let metrics = scrape();
    Left { answers: answers(&folder), metrics, log: agent.stop().log }
}

#[test]
fn a_shadow_logs_and_counts_nothing() {
    let left = run("mode = \"log\"", ALL);
    assert_eq!(left.log.lines().filter(|line| line.contains("node=cap") && line.contains("row")).count(), ROWS);
    let left = run("mode = \"count\"", ALL);
    assert_eq!(left.metrics.sum("wattle_guest_rows_total", &[]), 5.0);
}

#[test]
fn a_shadow_keeps_nothing() {
    assert_eq!(run("mode = \"kv-add\"", ALL).answers, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_shadow_sends_nothing() {
    let address = free_address();
    let endpoint = Endpoint::listen(address);
    let grant = format!("{{ hosts = [\"http://{address}\"], allow_private = true }}");
    let left = run(&format!("mode = \"http\", url = \"http://{address}/\""), &all_but(&[("http-client", &grant)]));
    assert!(left.answers.iter().all(|answer| answer.starts_with("200")), "{:?}", left.answers);
    assert_eq!(endpoint.headers().len(), ROWS);
}
