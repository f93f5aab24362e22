//! The number of masked values: the summary, `/metrics` and `wattle status` must agree.

use std::collections::BTreeMap;

use serde_json::Value;
use wattle_tests::{Config, Folder, Metrics, Trail, free_address, get, mask_model, wait_until};

/// Masked values by rule, those of all nodes together.
type Counts = BTreeMap<String, u64>;

fn of_metrics(text: &str) -> Counts {
    let metrics = Metrics::read(text);
    let name = "wattle_node_masked_values_total";
    let rules = metrics.values(name, "rule").into_iter();
    rules.map(|rule| (rule.clone(), metrics.sum(name, &[("rule", &rule)]).to_string().parse().unwrap())).collect()
}

fn of_status(text: &str) -> Counts {
    let status: Value = serde_json::from_str(text).unwrap();
    let mut counts = Counts::new();
    for node in status["pipelines"][0]["nodes"].as_array().unwrap() {
        for (rule, count) in node["masked_values"].as_object().into_iter().flatten() {
            *counts.entry(rule.clone()).or_default() += count.as_u64().unwrap();
        }
    }
    counts
}

fn of_summary(log: &str) -> Counts {
    let mut counts = Counts::new();
    for line in log.lines() {
        let Some((_, said)) = line.trim().strip_prefix("masked at ").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let (count, rule) = said.split_once(' ').unwrap();
        *counts.entry(rule.to_owned()).or_default() += count.parse::<u64>().unwrap();
    }
    counts
}

/// Runs documents and lines that are not JSON through a pack, and returns the counts of all three
/// places and of the model.
#[track_caller]
fn counted(pack: &str) -> (Counts, u64) {
    let folder = Folder::new();
    let admin = free_address();
    let mut trail = Trail::new(11, 40);
    let mut expected = 0;
    for number in 0..5 {
        let document = trail.document();
        expected += mask_model(std::str::from_utf8(&document).unwrap()).count as u64;
        folder.write(format!("in/{number}.json"), document);
    }
    folder.write("in/none.json", "{\"Records\":[]}");
    let agent = folder.start(
        &Config::new()
            .admin(admin)
            .file_source("files", "in/*")
            .set("stable_after", "1ms")
            .set("glob_interval", "20ms")
            .pack("main", &["files"], pack)
            .drop_sink("all", &["main.*"])
            .text(),
    );
    let scrape = || get(admin, "/metrics").filter(|answer| answer.status == 200).map(|answer| answer.text);
    let delivered = |text: &str| Metrics::read(text).sum("wattle_pipeline_delivered_events_total", &[]);
    wait_until("all records are delivered", || scrape().is_some_and(|text| delivered(&text) == 200.0));
    let metrics = of_metrics(&scrape().unwrap());
    let status = folder.run(&["status", "--config", "agent.toml", "--json"]);
    assert_eq!(status.code, 0, "{}", status.log);
    assert_eq!(of_status(status.text()), metrics, "status and metrics");
    let ended = agent.stop();
    assert_eq!(of_summary(&ended.log), metrics, "summary and metrics: {}", ended.log);
    (metrics, expected)
}

#[test]
fn every_place_shows_the_same_number_of_masked_values() {
    let (counts, expected) = counted("cloudtrail@1.0.0");
    assert_eq!(counts.values().sum::<u64>(), expected, "{counts:?}");
    let (counts, expected) = counted("cloudtrail@1.2.0");
    let three: u64 = ["access-keys", "session-tokens", "role-sessions"].iter().map(|rule| counts[*rule]).sum();
    // `principalId` contains sessions of roles as well, which the model does not know.
    assert!(three >= expected && expected > 0, "{counts:?}, at least {expected}");
}
