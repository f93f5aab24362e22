//! The report of a shadow.

use serde_json::{Value, json};
use wattle_topology::ShadowSnapshot;

use crate::time::rfc3339;

/// CPU time of a candidate divided by that of the running version; 0 before the first comparison.
pub(crate) fn cost(shadow: &ShadowSnapshot) -> f64 {
    let primary = shadow.primary_time.as_secs_f64();
    if primary > 0.0 { shadow.candidate_time.as_secs_f64() / primary } else { 0.0 }
}

/// The report as JSON, without events.
pub(crate) fn json(shadow: &ShadowSnapshot) -> Value {
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
    json!({
        "candidate": shadow.candidate,
        "since": rfc3339(shadow.since),
        "batches": shadow.batches,
        "skipped_batches": shadow.skipped,
        "faulted_batches": shadow.faulted,
        "differing_events": shadow.differing(),
        "cpu_ratio": cost(shadow),
        "outputs": outputs,
    })
}
