//! `GET /api/v1/shadows`: the comparisons of candidates with the running versions.

use wattle_api::TapPolicy;
use wattle_api::rollout::{Difference, Shadow, ShadowOutput, Shadows};
use wattle_topology::ShadowSnapshot;

use super::super::state::State;
use crate::shadow::cost;
use crate::time::rfc3339;

pub(crate) fn shadows(state: &State) -> Shadows {
    let tap = state.settings().tap;
    let all = state.observer().shadows();
    Shadows { shadows: all.into_iter().map(|(pipeline, report)| (pipeline, shadow(report, tap))).collect() }
}

fn shadow(report: ShadowSnapshot, tap: TapPolicy) -> Shadow {
    let may_show = |output: &str| match tap {
        TapPolicy::All => true,
        TapPolicy::Masked => report.masked_outputs.contains(output),
        TapPolicy::Off => false,
    };
    let outputs = report.outputs.iter().map(|(name, output)| {
        let counts = ShadowOutput {
            primary: output.primary,
            candidate: output.candidate,
            missing: output.missing,
            added: output.added,
            changed: output.changed,
        };
        (name.clone(), counts)
    });
    let first = report.first.iter().map(|difference| {
        let is_shown = may_show(&difference.output);
        Difference {
            output: difference.output.clone(),
            primary: difference.primary.clone().filter(|_| is_shown),
            candidate: difference.candidate.clone().filter(|_| is_shown),
            hidden: !is_shown,
        }
    });
    Shadow {
        candidate: report.candidate.clone(),
        since: rfc3339(report.since),
        batches: report.batches,
        skipped_batches: report.skipped,
        faulted_batches: report.faulted,
        differing_events: report.differing(),
        cpu_ratio: cost(&report),
        outputs: outputs.collect(),
        first: first.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn events_are_shown_only_where_the_policy_allows_it() {
        let difference = |output: &str| wattle_topology::Difference {
            output: output.into(),
            primary: Some("a secret".into()),
            candidate: None,
        };
        let report = ShadowSnapshot {
            candidate: "p@2.0.0".into(),
            since: SystemTime::UNIX_EPOCH,
            batches: 1,
            skipped: 0,
            faulted: 0,
            primary_time: Duration::ZERO,
            candidate_time: Duration::ZERO,
            masked_outputs: BTreeSet::from(["ok".to_owned()]),
            outputs: BTreeMap::new(),
            first: vec![difference("ok"), difference("fails")],
        };
        for (tap, expected) in
            [(TapPolicy::Off, [false; 2]), (TapPolicy::Masked, [true, false]), (TapPolicy::All, [true; 2])]
        {
            let shown = shadow(report.clone(), tap).first;
            assert_eq!([shown[0].primary.is_some(), shown[1].primary.is_some()], expected, "{tap:?}");
            assert_eq!([!shown[0].hidden, !shown[1].hidden], expected, "{tap:?}");
        }
    }
}
