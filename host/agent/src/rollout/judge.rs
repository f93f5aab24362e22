//! The rules by which a canary is promoted or rolled back, and a version that was just taken up is given up.

use std::time::Duration;

use wattle_pack::{CanarySettings, RollbackSettings};
use wattle_topology::Snapshot;

/// Of fewer batches or events no share is taken: the first fault of a canary would be all of it.
const ENOUGH: u64 = 100;
/// Batches of each version before their times are compared.
const ENOUGH_FOR_TIMES: u64 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Promote(String),
    RollBack(String),
}

/// Share of the batches at which a node faulted, of at least so many.
pub(super) fn share(counts: &Snapshot, least: u64) -> f64 {
    ratio(counts.faulted_batches, counts.batches.max(least))
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn events(counts: &Snapshot) -> u64 {
    u64::try_from(counts.events_in()).unwrap_or(0)
}

pub(super) fn judge_canary(
    settings: &CanarySettings,
    primary: &Snapshot,
    candidate: &Snapshot,
    elapsed: Duration,
) -> Verdict {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let faulted = share(candidate, ENOUGH) - share(primary, ENOUGH);
    if faulted > settings.max_fault_rate {
        let (count, of) = (candidate.faulted_batches, candidate.batches);
        return Verdict::RollBack(format!("a node faulted at {count} of {of} batches of the candidate"));
    }
    let seen = (events(primary).max(ENOUGH), events(candidate).max(ENOUGH));
    for (what, before, after, most) in [
        ("failed", primary.failed, candidate.failed, settings.max_fail_rate),
        ("were dropped", primary.dropped, candidate.dropped, settings.max_drop_rate),
    ] {
        let (before, after) = (ratio(before, seen.0), ratio(after, seen.1));
        if after - before > most {
            return Verdict::RollBack(format!(
                "{} of the candidate's events {what}, {} of the others",
                percent(after),
                percent(before)
            ));
        }
    }
    if primary.batches.min(candidate.batches) >= ENOUGH_FOR_TIMES {
        let time = |counts: &Snapshot| ratio(counts.busy_nanos, counts.received_bytes);
        let slower = if time(primary) > 0.0 { time(candidate) / time(primary) } else { 1.0 };
        if slower > settings.max_latency_ratio {
            return Verdict::RollBack(format!("the candidate takes {slower:.1} times as long for a byte"));
        }
    }
    if elapsed >= settings.time && events(candidate) >= settings.min_events {
        return Verdict::Promote(format!("the candidate did well for {elapsed:?} on {} events", events(candidate)));
    }
    Verdict::Wait
}

/// Why a version that was just taken up is to be given up.
pub(super) fn judge_probation(settings: &RollbackSettings, counts: &Snapshot, faulted_before: f64) -> Option<String> {
    let is_bad = settings.enabled
        && counts.batches >= settings.min_batches
        && share(counts, 1) - faulted_before > settings.max_fault_rate;
    let (count, of) = (counts.faulted_batches, counts.batches);
    is_bad.then(|| format!("a node faulted at {count} of {of} batches since the change"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(batches: u64, faulted_batches: u64) -> Snapshot {
        let received = batches * 10;
        Snapshot {
            batches,
            faulted_batches,
            received,
            received_bytes: received * 1000,
            busy_nanos: batches * 1000,
            delivered: received,
            ..Snapshot::default()
        }
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[track_caller]
    fn expect(primary: Snapshot, candidate: Snapshot, elapsed: Duration, expected: &str) {
        let verdict = judge_canary(&CanarySettings::default(), &primary, &candidate, elapsed);
        let name = format!("{verdict:?}");
        assert!(name.contains(expected), "{name}");
    }

    #[test]
    fn a_canary_is_judged_by_what_the_other_version_does() {
        let fine = counts(2000, 0);
        expect(fine, counts(100, 0), LONG, "Promote");
        expect(fine, counts(100, 0), Duration::ZERO, "Wait");
        expect(fine, counts(99, 0), LONG, "Wait");
        expect(fine, counts(50, 1), Duration::ZERO, "a node faulted at 1 of 50 batches");
        expect(fine, counts(10_000, 9), LONG, "Promote");
        // The events are what the nodes of both fault on.
        expect(counts(2000, 40), counts(500, 10), LONG, "Promote");
        expect(fine, Snapshot { failed: 5, ..counts(100, 0) }, LONG, "0.50 % of the candidate's events failed");
        expect(fine, Snapshot { dropped: 11, ..counts(100, 0) }, LONG, "1.10 % of the candidate's events were dropped");
        expect(Snapshot { dropped: 200, ..fine }, Snapshot { dropped: 11, ..counts(100, 0) }, LONG, "Promote");
        expect(fine, Snapshot { busy_nanos: 700_000, ..counts(300, 0) }, LONG, "takes 2.3 times as long");
    }

    #[test]
    fn a_version_on_probation_may_fault_as_often_as_the_one_before() {
        let settings = RollbackSettings::default();
        let judge = |batches, faulted, before| judge_probation(&settings, &counts(batches, faulted), before);
        assert_eq!(judge(100, 5, 0.0), None);
        assert!(judge(100, 6, 0.0).is_some_and(|why| why.contains("6 of 100 batches")));
        assert_eq!(judge(100, 6, 0.02), None);
        assert_eq!(judge(19, 19, 0.0), None);
        let off = RollbackSettings { enabled: false, ..settings };
        assert_eq!(judge_probation(&off, &counts(100, 100), 0.0), None);
    }
}
