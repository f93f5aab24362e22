//! Grouping accuracy on generated logs whose templates are known, as defined in the Drain paper.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test may stop at what must not be"
)]

mod generator;

use std::collections::HashMap;

use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::native::Native;
use wattle_node_pattern::Pattern;

use generator::{DATASETS, Dataset, Line, generate};

/// How well events are grouped.
#[derive(Clone, Copy, Debug)]
struct Accuracy {
    /// The F-measure over pairs of events that are in the same group, which the Drain paper calls accuracy.
    f: f64,
    /// The share of the events whose group has exactly the events of their template, which later papers call grouping
    /// accuracy.
    exact: f64,
}

fn accuracy(truth: &[usize], found: &[&str]) -> Accuracy {
    let pairs = |n: usize| (n * (n - 1) / 2) as f64;
    let mut by_truth: HashMap<usize, usize> = HashMap::new();
    let mut by_found: HashMap<&str, usize> = HashMap::new();
    let mut by_both: HashMap<(usize, &str), usize> = HashMap::new();
    for (truth, found) in truth.iter().zip(found) {
        *by_truth.entry(*truth).or_default() += 1;
        *by_found.entry(found).or_default() += 1;
        *by_both.entry((*truth, found)).or_default() += 1;
    }
    let right: f64 = by_both.values().map(|n| pairs(*n)).sum();
    let precision = right / by_found.values().map(|n| pairs(*n)).sum::<f64>();
    let recall = right / by_truth.values().map(|n| pairs(*n)).sum::<f64>();
    let is_exact = |((truth, found), n): &(&(usize, &str), &usize)| by_truth[truth] == **n && by_found[found] == **n;
    let exact: usize = by_both.iter().filter(is_exact).map(|(_, n)| n).sum();
    Accuracy { f: 2.0 * precision * recall / (precision + recall), exact: exact as f64 / truth.len() as f64 }
}

/// The label of each line, with labels whose template changed later replaced as the reports say; and the reports.
fn labels(options: &Value, lines: &[Line]) -> (Vec<String>, Vec<Value>) {
    let mut node = Native::<Pattern>::configure("pattern", &options.to_string()).unwrap();
    node.tick(0, false).unwrap();
    let ports = node.info().ports.clone();
    let mut labels = Vec::new();
    for lines in lines.chunks(300) {
        let events: Vec<Value> = lines.iter().map(|line| json!({"body": line.text})).collect();
        let outcome = node.process(batch(&events).unwrap()).unwrap();
        for event in &Ran::of(&ports, outcome, lines.len()).unwrap().ports["out"] {
            labels.push(event["attributes"]["pattern_id"].as_str().unwrap().to_owned());
        }
    }
    let ran = Ran::of(&ports, node.tick(1, true).unwrap(), 0).unwrap();
    let reports: Vec<Value> =
        ran.bodies("reports").iter().map(|body| serde_json::from_str::<Value>(body).unwrap()).collect();
    let mut latest = HashMap::new();
    for report in &reports {
        for former in report["formerly"].as_array().into_iter().flatten() {
            latest.insert(former.as_str().unwrap(), report["pattern"].as_str().unwrap());
        }
    }
    let labels =
        labels.iter().map(|label| (*latest.get(label.as_str()).unwrap_or(&label.as_str())).to_owned()).collect();
    (labels, reports)
}

fn measure(dataset: &Dataset, seed: u64, options: &Value) -> (Accuracy, usize) {
    let lines = generate(dataset, seed, 4000);
    let (labels, reports) = labels(options, &lines);
    let truth: Vec<usize> = lines.iter().map(|line| line.template).collect();
    let found: Vec<&str> = labels.iter().map(String::as_str).collect();
    (accuracy(&truth, &found), reports.len() - 1)
}

#[test]
fn accuracy_is_at_least_that_of_the_paper() {
    let mut table = String::from("dataset   seed  templates  found  F      exact\n");
    for dataset in &DATASETS {
        for seed in [1, 2, 3] {
            let (accuracy, found) = measure(dataset, seed, &json!({}));
            let Accuracy { f, exact } = accuracy;
            let (name, templates) = (dataset.name, dataset.templates.len());
            table += &format!("{name:9} {seed:>4}  {templates:>9}  {found:>5}  {f:.3}  {exact:.3}\n");
            assert!(f >= dataset.paper, "{name}, seed {seed}: {accuracy:?}, the paper has {}\n{table}", dataset.paper);
        }
    }
    println!("{table}");
}

#[test]
fn the_measure_is_one_for_the_truth_and_less_for_anything_else() {
    let truth = [0, 0, 1, 1, 2];
    let right = accuracy(&truth, &["a", "a", "b", "b", "c"]);
    assert!((right.f - 1.0).abs() < 1e-9 && (right.exact - 1.0).abs() < 1e-9);
    // Of 2 true pairs, 2 are found, with 2 wrong ones.
    let joined = accuracy(&truth, &["a", "a", "b", "b", "b"]);
    assert!((joined.f - 2.0 * 0.5 / 1.5).abs() < 1e-9 && (joined.exact - 0.4).abs() < 1e-9, "{joined:?}");
    let divided = accuracy(&truth, &["a", "b", "c", "c", "d"]);
    assert!((divided.f - 2.0 * 0.5 / 1.5).abs() < 1e-9 && (divided.exact - 0.6).abs() < 1e-9, "{divided:?}");
}

#[test]
fn two_hosts_with_different_events_have_the_same_ids() {
    for dataset in &DATASETS {
        let ids = |seed| -> HashMap<String, String> {
            let reports = labels(&json!({}), &generate(dataset, seed, 4000)).1;
            let patterns = reports.iter().filter(|report| report["report"] == "pattern");
            patterns.map(|p| (p["template"].to_string(), p["pattern"].to_string())).collect()
        };
        let (one, other) = (ids(10), ids(20));
        let shared = one.iter().filter(|(template, id)| other.get(*template) == Some(id)).count();
        assert!(one.iter().all(|(template, id)| other.get(template).is_none_or(|same| same == id)));
        let share = shared as f64 / one.len() as f64;
        println!("{}: {shared} of {} and {} templates on both hosts", dataset.name, one.len(), other.len());
        assert!(share >= 0.9, "{}: {share} of the templates are the same on both hosts", dataset.name);
    }
}
