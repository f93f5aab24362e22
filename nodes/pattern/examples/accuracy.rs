//! Measures grouping accuracy on labelled log files, and the time of an event.
//!
//! Run with `cargo run --release -p wattle-node-pattern --example accuracy -- '{"similarity": 0.5}' FILE...`. A file has a
//! line for each event: the id of its true template, a tab, the message. LogHub's `*_structured.csv` has both. Accuracy is
//! that of the Drain paper (F-measure over pairs of events), then the share of the events whose group is exactly right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a measurement may stop at what must not be"
)]

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::native::Native;
use wattle_node_pattern::Pattern;

fn main() {
    let mut args = std::env::args().skip(1);
    let options = args.next().unwrap();
    for path in args {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
        let mut node = Native::<Pattern>::configure("pattern", &options).unwrap();
        node.tick(0, false).unwrap();
        let mut labels = Vec::new();
        for lines in lines.chunks(500) {
            let events: Vec<Value> = lines.iter().map(|(_, body)| json!({ "body": body })).collect();
            let outcome = node.process(batch(&events).unwrap()).unwrap_or_else(|error| panic!("{:?}", error.1));
            for event in &Ran::of(&node.info().ports, outcome, lines.len()).unwrap().ports["out"] {
                labels.push(event["attributes"]["pattern_id"].as_str().unwrap_or("none").to_owned());
            }
        }
        let outcome = node.tick(1, true).unwrap();
        let mut latest = HashMap::new();
        let mut templates = 0;
        for event in &Ran::of(&node.info().ports, outcome, 0).unwrap().ports["reports"] {
            let report: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            templates += usize::from(report["report"] == "pattern");
            for former in report["formerly"].as_array().into_iter().flatten() {
                latest.insert(former.as_str().unwrap().to_owned(), report["pattern"].as_str().unwrap().to_owned());
            }
            if std::env::var_os("SHOW").is_some() {
                println!("{} {}", report["count"], report["template"]);
            }
        }
        let found: Vec<&str> = labels.iter().map(|label| latest.get(label).unwrap_or(label).as_str()).collect();
        let truth: Vec<&str> = lines.iter().map(|(id, _)| *id).collect();
        let (f, exact) = accuracy(&truth, &found);
        let mut node = Native::<Pattern>::configure("pattern", &options).unwrap();
        let events: Vec<Value> = lines.iter().map(|(_, body)| json!({ "body": body })).collect();
        let mut best = f64::MAX;
        for _ in 0..30 {
            let batch = batch(&events).unwrap();
            let start = Instant::now();
            let outcome = node.process(batch);
            best = best.min(start.elapsed().as_secs_f64() / events.len() as f64);
            drop(outcome);
        }
        let name = path.rsplit('/').next().unwrap();
        println!("{name:20} F {f:.3}  exact {exact:.3}  templates {templates}  {:.0} ns/event", best * 1e9);
    }
}

fn accuracy(truth: &[&str], found: &[&str]) -> (f64, f64) {
    let pairs = |n: usize| (n * n.saturating_sub(1) / 2) as f64;
    let mut by_truth: HashMap<&str, usize> = HashMap::new();
    let mut by_found: HashMap<&str, usize> = HashMap::new();
    let mut by_both: HashMap<(&str, &str), usize> = HashMap::new();
    for (truth, found) in truth.iter().zip(found) {
        *by_truth.entry(truth).or_default() += 1;
        *by_found.entry(found).or_default() += 1;
        *by_both.entry((truth, found)).or_default() += 1;
    }
    let right: f64 = by_both.values().map(|n| pairs(*n)).sum();
    let precision = right / by_found.values().map(|n| pairs(*n)).sum::<f64>();
    let recall = right / by_truth.values().map(|n| pairs(*n)).sum::<f64>();
    let exact: usize =
        by_both.iter().filter(|((t, f), n)| by_truth[t] == **n && by_found[f] == **n).map(|(_, n)| n).sum();
    (2.0 * precision * recall / (precision + recall), exact as f64 / truth.len() as f64)
}
