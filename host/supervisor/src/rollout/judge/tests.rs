//! Tests the rules with simulated traffic. Every simulation is seeded, so a run is the same on
//! every machine.

use super::*;

/// The results of batches of a simulated version.
struct Traffic {
    /// Share of batches in which a node faults.
    faults: f64,
    /// Share of bad batches, and the share of events that fail in one of them.
    bad: (f64, f64),
    /// Share of events that fail in every other batch.
    failed: f64,
    /// Nanoseconds for a byte.
    nanos: f64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { faults: 0.0, bad: (0.0, 0.0), failed: 0.0, nanos: 1.0 }
    }
}

impl Traffic {
    fn run(&self, counts: &mut Snapshot, random: &mut fastrand::Rng) {
        let events = 1 + random.u64(..400);
        let share = if random.f64() < self.bad.0 { self.bad.1 } else { self.failed };
        let failed = (0..events).filter(|_| random.f64() < share).count() as u64;
        let has_faulted = random.f64() < self.faults;
        let bytes = events * (500 + random.u64(..3000));
        // Noisy neighbours on the machine: some batches take several times as long.
        let noise = if random.f64() < 0.05 { 8.0 } else { 0.7 + random.f64() };
        let nanos = (bytes as f64 * self.nanos * noise) as u64 + 20_000;
        counts.batches += 1;
        counts.faulted_batches += u64::from(has_faulted);
        counts.received += events;
        counts.received_bytes += bytes;
        counts.failed += failed;
        counts.delivered += events - failed;
        counts.busy_nanos += nanos;
        counts.rates.faulted.observe(u64::from(has_faulted), 1);
        counts.rates.failed.observe(failed, events);
        counts.rates.dropped.observe(failed, events);
        counts.rates.nanos_per_byte.observe(nanos, bytes);
    }
}

/// Number of batches of the candidate until its rollback, at most `batches`; the rules run after
/// each batch.
fn rolled_back_after(
    primary: &Traffic,
    candidate: &Traffic,
    share: f64,
    batches: usize,
    seed: u64,
) -> Option<(usize, String)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut before, mut after) = (Snapshot::default(), Snapshot::default());
    let settings = CanarySettings::default();
    for seen in 1..=batches {
        let others = (1.0 / share - 1.0).round() as usize;
        (0..others).for_each(|_| primary.run(&mut before, &mut random));
        candidate.run(&mut after, &mut random);
        if let Verdict::RollBack(why) = judge_canary(&settings, &before, &after, Duration::ZERO) {
            return Some((seen, why));
        }
    }
    None
}

#[test]
fn identical_versions_are_not_rolled_back() {
    let kinds = [
        Traffic::default(),
        Traffic { failed: 0.02, ..Traffic::default() },
        Traffic { bad: (0.01, 1.0), ..Traffic::default() },
        Traffic { bad: (0.3, 0.5), failed: 0.001, ..Traffic::default() },
        Traffic { bad: (0.002, 1.0), ..Traffic::default() },
        Traffic { faults: 0.02, ..Traffic::default() },
        Traffic { faults: 0.0005, bad: (0.05, 0.2), ..Traffic::default() },
    ];
    let mut wrong = Vec::new();
    let mut canaries = 0;
    for (number, traffic) in kinds.iter().enumerate() {
        for (share, batches, runs) in [(0.5, 1_000, 100), (0.05, 300, 25)] {
            for seed in 0..runs {
                canaries += 1;
                wrong.extend(
                    rolled_back_after(traffic, traffic, share, batches, seed).map(|w| (number, share, seed, w)),
                );
            }
        }
    }
    println!("{} of {canaries} identical candidates were rolled back", wrong.len());
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_worse_candidate_is_rolled_back_early() {
    let fine = Traffic::default;
    let kinds = [
        ("a node faulted", fine(), Traffic { faults: 1.0, ..fine() }, 20),
        ("a node faulted", fine(), Traffic { faults: 0.1, ..fine() }, 400),
        ("a node faulted", fine(), Traffic { faults: 0.01, ..fine() }, 3_000),
        ("failed", fine(), Traffic { failed: 1.0, ..fine() }, 20),
        ("failed", fine(), Traffic { bad: (0.1, 1.0), ..fine() }, 500),
        ("failed", Traffic { failed: 0.02, ..fine() }, Traffic { failed: 0.03, ..fine() }, 300),
        ("times as long", fine(), Traffic { nanos: 4.0, ..fine() }, 400),
    ];
    for (number, (expected, primary, candidate, most)) in kinds.iter().enumerate() {
        for seed in 0..5 {
            let (seen, why) = rolled_back_after(primary, candidate, 0.2, 4 * most, seed)
                .unwrap_or_else(|| panic!("kind {number} is not rolled back within {} batches", 4 * most));
            println!("kind {number}: after {seen} batches: {why}");
            assert!(seen <= *most && why.contains(expected), "kind {number}: after {seen} batches: {why}");
        }
    }
}

fn counts(batches: u64, faulted: u64) -> Snapshot {
    let mut counts = Snapshot { batches, faulted_batches: faulted, received: batches * 10, ..Snapshot::default() };
    for batch in 0..batches {
        counts.rates.faulted.observe(u64::from(batch < faulted), 1);
        counts.rates.failed.observe(0, 10);
        counts.rates.dropped.observe(0, 10);
        counts.rates.nanos_per_byte.observe(1000 + batch % 3, 1000);
    }
    counts
}

#[test]
fn a_candidate_that_violates_no_rule_is_promoted_after_enough_events() {
    const LONG: Duration = Duration::from_secs(3600);
    let judge = |candidate, elapsed| judge_canary(&CanarySettings::default(), &counts(2000, 0), &candidate, elapsed);
    assert!(matches!(judge(counts(100, 0), LONG), Verdict::Promote(_)));
    assert_eq!(judge(counts(100, 0), Duration::ZERO), Verdict::Wait);
    assert_eq!(judge(counts(99, 0), LONG), Verdict::Wait);
    // One fault in fifty batches is not significant yet.
    assert_eq!(judge(counts(50, 1), Duration::ZERO), Verdict::Wait);
    // The nodes of both versions fault on these events.
    let both = judge_canary(&CanarySettings::default(), &counts(2000, 40), &counts(500, 10), LONG);
    assert!(matches!(both, Verdict::Promote(_)), "{both:?}");
}

#[test]
fn a_new_version_may_fault_as_often_as_its_predecessor() {
    let settings = RollbackSettings::default();
    let judge = |batches, faulted, before: Snapshot| judge_probation(&settings, &before, &counts(batches, faulted));
    assert_eq!(judge(100, 5, counts(1000, 0)), None);
    assert_eq!(judge(100, 6, counts(1000, 0)), None);
    assert!(judge(100, 30, counts(1000, 0)).is_some_and(|why| why.contains("30 of 100 batches")));
    assert_eq!(judge(100, 30, counts(1000, 300)), None);
    assert_eq!(judge(19, 19, counts(1000, 0)), None);
    // The predecessor ran only briefly.
    assert!(judge(100, 100, Snapshot::default()).is_some());
    let off = RollbackSettings { enabled: false, ..settings };
    assert_eq!(judge_probation(&off, &counts(1000, 0), &counts(100, 100)), None);
}

#[test]
fn rules_have_the_figures_of_both_versions() {
    let settings = CanarySettings::default();
    let (mut primary, mut candidate) = (Snapshot::default(), Snapshot::default());
    let before_the_first_batch = rules(&settings, &primary, &candidate);
    assert!(before_the_first_batch.iter().all(|rule| rule.candidate == rule.primary), "{before_the_first_batch:?}");
    primary.rates.failed.observe(1, 100);
    candidate.rates.failed.observe(5, 100);
    primary.rates.nanos_per_byte.observe(200, 100);
    candidate.rates.nanos_per_byte.observe(300, 100);
    let found = rules(&settings, &primary, &candidate);
    let figures = |name: &str| {
        let rule = found.iter().find(|rule| rule.name == name).unwrap();
        (rule.unit.as_str(), rule.allowed, rule.primary, rule.candidate)
    };
    assert_eq!(figures("max_fail_rate"), ("share", settings.max_fail_rate, 0.01, 0.05));
    assert_eq!(figures("max_drop_rate"), ("share", settings.max_drop_rate, 0.0, 0.0));
    assert_eq!(figures("max_latency_ratio"), ("ratio", settings.max_latency_ratio, 1.0, 1.5));
}
