//! The report of a shadow.

use serde_json::{Value, json};
use wattle_topology::ShadowSnapshot;

use crate::time::rfc3339;

/// CPU time of a candidate divided by that of the running version; 0 before the first comparison.
pub(crate) fn cost(shadow: &ShadowSnapshot) -> f64 {
    let primary = shadow.primary_time.as_secs_f64();
    if primary > 0.0 { shadow.candidate_time.as_secs_f64() / primary } else { 0.0 }
}

/// The report as JSON, with `events` including the first events that differ, which only the control
/// socket shows.
pub(crate) fn json(shadow: &ShadowSnapshot, events: bool) -> Value {
    let outputs: serde_json::Map<String, Value> = shadow
        .outputs
        .iter()
        .map(|(name, output)| {
            let report = json!({
                "primary": output.primary,
                "candidate": output.candidate,
                "missing": output.missing,
                "added": output.added,
                "changed": output.changed,
            });
            (name.clone(), report)
        })
        .collect();
    let mut report = json!({
        "candidate": shadow.candidate,
        "since": rfc3339(shadow.since),
        "batches": shadow.batches,
        "skipped_batches": shadow.skipped,
        "faulted_batches": shadow.faulted,
        "differing_events": shadow.differing(),
        "cpu_ratio": cost(shadow),
        "outputs": outputs,
    });
    if let Some(report) = report.as_object_mut().filter(|_| events) {
        let first = shadow.first.iter().map(|difference| {
            json!({
                "output": difference.output,
                "primary": difference.primary,
                "candidate": difference.candidate,
            })
        });
        report.insert("first".into(), first.collect());
    }
    report
}
