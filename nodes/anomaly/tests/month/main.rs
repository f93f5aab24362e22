//! How many seeded incidents of a month the node finds, and how often it is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may stop at what must not be"
)]

mod generator;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wattle_batch::{Outcome, format_rfc3339, parse_rfc3339};
use wattle_cases::{Ran, batch};
use wattle_node::native::Native;
use wattle_node_anomaly::Anomaly;

use generator::{CALM_DAYS, DAYS, INTERVALS, Incident, Kind, Month, SLOTS, generate};

const SECOND: i64 = 1_000_000_000;
const INTERVAL: i64 = 1800 * SECOND;
/// 2026-01-01T00:00:00Z, a Thursday.
const START: i64 = 1_767_225_600 * SECOND;

/// A finding, with the number of its interval.
#[derive(Clone, Debug)]
struct Finding {
    kind: String,
    key: String,
    interval: usize,
    body: Value,
}

fn options() -> Value {
    json!({
        "key": "attributes.key", "count_field": "attributes.n",
        "changes": {"field": "attributes.change", "exists": true},
    })
}

/// Runs the node over a month, with a restart in the middle of each day if `restarts` is set.
fn run(month: &Month, options: &Value, restarts: bool) -> Vec<Finding> {
    let new = || Native::<Anomaly>::configure("n", &options.to_string()).unwrap();
    let mut node = new();
    let ports = node.info().ports.clone();
    let mut findings = Vec::new();
    for interval in 0..INTERVALS {
        let start = START + interval as i64 * INTERVAL;
        for minute in 0..30 {
            let now = start + minute * 60 * SECOND;
            let outcome = node.tick(now, false).unwrap();
            findings.extend(findings_of(&ports, outcome));
            let mut rows = Vec::new();
            // Two thirds of the events come in the 3rd minute, the others in the 28th.
            for (key, counts) in month.keys.iter().zip(&month.counts) {
                let count = counts[interval];
                let part = match minute {
                    3 => count.div_ceil(3),
                    27 => count - count.div_ceil(3),
                    _ => 0,
                };
                if part > 0 {
                    rows.push(
                        json!({"body": format!("{} {part}", key.name), "attributes": {"key": key.name, "n": part}}),
                    );
                }
            }
            if minute == 0 && month.changes.contains(&interval) {
                rows.push(json!({"body": "deployed", "attributes": {"change": "v2"}}));
            }
            if !rows.is_empty() {
                let time = format_rfc3339(now + 30 * SECOND);
                rows.iter_mut().for_each(|row| row["timestamp"] = json!(time));
                let outcome = node.process(batch(&rows).unwrap()).unwrap();
                assert_eq!(outcome.emitted.iter().map(|(_, batch)| batch.rows()).sum::<usize>(), rows.len());
            }
        }
        if restarts && interval % SLOTS == SLOTS / 2 {
            let saved = node.save();
            node = new();
            node.restore(vec![saved]).unwrap();
        }
    }
    findings
}

fn findings_of(ports: &[String], outcome: Outcome) -> Vec<Finding> {
    let mut made = Ran::of(ports, outcome, 0).unwrap().ports.remove("findings").unwrap_or_default();
    made.drain(..)
        .map(|event| {
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            let end = parse_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
            Finding {
                kind: body["finding"].as_str().unwrap().to_owned(),
                key: body["key"]["attributes.key"].as_str().unwrap_or("*").to_owned(),
                interval: usize::try_from((end - START) / INTERVAL).unwrap() - 1,
                body,
            }
        })
        .collect()
}

/// Whether a finding is about an incident. A key that vanishes may be found as a drop first, in the interval in which it
/// does, and a daily job is missed after days only.
fn is_of(finding: &Finding, incident: &Incident) -> bool {
    let kinds: &[&str] = match incident.kind {
        Kind::Spike => &["spike"],
        Kind::Drop => &["drop", "vanished"],
        Kind::New => &["new"],
        Kind::Vanished => &["vanished", "drop"],
    };
    let end = match incident.kind {
        Kind::Spike | Kind::Drop => incident.end,
        Kind::New => incident.start + 1,
        Kind::Vanished => incident.start + 4 * SLOTS,
    };
    finding.key == incident.key
        && kinds.contains(&finding.kind.as_str())
        && (incident.start..end).contains(&finding.interval)
}

#[test]
fn incidents_of_a_month_are_found_with_few_false_alarms() {
    let mut table =
        String::from("seed  incidents  found  recall  spike  drop   new    vanish  repeats  false alarms  a day\n");
    let mut failures = String::new();
    for seed in [1, 2, 3] {
        let month = generate(seed);
        let findings = run(&month, &options(), false);
        let is_found = |incident: &&Incident| findings.iter().any(|finding| is_of(finding, incident));
        let found = month.incidents.iter().filter(is_found).count();
        let by_kind = |kind: Kind| {
            let all: Vec<&Incident> = month.incidents.iter().filter(|incident| incident.kind == kind).collect();
            format!("{}/{}", all.iter().copied().filter(is_found).count(), all.len())
        };
        let is_known = |finding: &&Finding| month.incidents.iter().any(|incident| is_of(finding, incident));
        let (known, wrong): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(is_known);
        let (recall, a_day) =
            (found as f64 / month.incidents.len() as f64, wrong.len() as f64 / (DAYS - CALM_DAYS + 1) as f64);
        table += &format!(
            "{seed:>4}  {:>9}  {found:>5}  {recall:>6.2}  {:>5}  {:>5}  {:>5}  {:>6}  {:>7}  {:>12}  {a_day:>5.2}\n",
            month.incidents.len(),
            by_kind(Kind::Spike),
            by_kind(Kind::Drop),
            by_kind(Kind::New),
            by_kind(Kind::Vanished),
            known.len() - found,
            wrong.len(),
        );
        for incident in month.incidents.iter().filter(|incident| !is_found(incident)) {
            failures += &format!("missed {incident:?} {:?}\n", month.keys.iter().find(|key| key.name == incident.key));
        }
        for finding in &wrong {
            failures += &format!("false {finding:?} {:?}\n", month.keys.iter().find(|key| key.name == finding.key));
        }
        assert!(recall >= 0.9 && a_day <= 1.0, "\n{table}{failures}");
    }
    println!("{table}");
}

#[test]
fn restarts_do_not_change_the_findings_of_a_month() {
    let month = generate(4);
    let bodies =
        |restarts| run(&month, &options(), restarts).into_iter().map(|finding| finding.body).collect::<Vec<_>>();
    let (one, other) = (bodies(false), bodies(true));
    assert!(one.len() > 10);
    assert_eq!(one, other);
    let kinds = one.iter().fold(BTreeMap::new(), |mut kinds, body| {
        *kinds.entry(body["finding"].as_str().unwrap()).or_insert(0) += 1;
        kinds
    });
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}
