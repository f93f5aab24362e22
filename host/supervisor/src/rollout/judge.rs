//! The rules that promote canaries, and that roll back canaries and new versions.
//!
//! A rule compares a rate of the candidate with the rate of the running version, plus an allowance.
//! The rates of two identical versions differ by chance, and rules are evaluated every second. So a
//! rule acts only on a difference that chance explains with a probability below [`CHANCE`], and
//! never before both versions have seen [`MIN_BATCHES`]. Events of one batch are not independent;
//! [`Ratio`] measures their dependence.

use std::time::Duration;

use wattle_api::status::CanaryRule;
use wattle_plan::{CanarySettings, RollbackSettings};
use wattle_topology::{Ratio, Snapshot};

/// Batches of each version before a rule may roll back.
const MIN_BATCHES: f64 = 20.0;
/// Batches of each version before their times are compared; the first ones warm up caches.
const MIN_BATCHES_FOR_TIMES: f64 = 200.0;
/// Probability, for each evaluation, that a rule acts on chance alone. It is small, because each
/// canary is evaluated hundreds of times; `identical_versions_are_not_rolled_back` measures the
/// total over whole canaries.
const CHANCE: f64 = 1e-6;
/// The same for times, in standard errors of a normal distribution.
const SIGMAS: f64 = 5.0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Promote(String),
    RollBack(String),
}

/// Whether the rate of `after` exceeds that of `before` by more than `allowed`, beyond chance.
///
/// Compares how well two assumptions explain the counts: that each version has a separate rate, and
/// that the candidate has at most the rate of the running version plus `allowed` (the likelihood
/// ratio of two Poisson rates).
fn exceeds(before: &Ratio, after: &Ratio, allowed: f64) -> bool {
    if before.batches.min(after.batches) < MIN_BATCHES || after.whole <= 0.0 || before.whole <= 0.0 {
        return false;
    }
    if after.rate() <= before.rate() + allowed {
        return false;
    }
    // How much more the batches vary than independent occurrences would (the dispersion of
    // quasi-Poisson models): a file of 200 events that fails as a whole is one occurrence, not 200.
    let occurred = before.part + after.part;
    let dispersion = if occurred > 0.0 { ((before.residual() + after.residual()) / occurred).max(1.0) } else { 1.0 };
    // The rate of the running version that best explains both counts. There the derivative of the
    // likelihood is zero: `whole * (rate + allowed) * rate = after.part * rate + before.part *
    // (rate + allowed)`.
    let whole = before.whole + after.whole;
    let linear = whole * allowed - occurred;
    let root = (linear * linear + 4.0 * whole * before.part * allowed).sqrt();
    let rate = ((root - linear) / (2.0 * whole)).max(0.0);
    let ratio = loss(after, rate + allowed) + loss(before, rate);
    ratio / dispersion > -CHANCE.ln()
}

/// How much less likely the counts are with this rate than with their actual rate, as a logarithm.
fn loss(counts: &Ratio, rate: f64) -> f64 {
    // `x ln(x / y)` is 0 for x = 0; a rate of 0 cannot explain any occurrence.
    let term = if counts.part > 0.0 { counts.part * (counts.rate() / rate.max(f64::MIN_POSITIVE)).ln() } else { 0.0 };
    term - counts.whole * (counts.rate() - rate)
}

/// Whether `after` takes more than `max_ratio` times as long per byte as `before`, beyond chance.
fn is_slower(before: &Ratio, after: &Ratio, max_ratio: f64) -> bool {
    if before.batches.min(after.batches) < MIN_BATCHES_FOR_TIMES {
        return false;
    }
    let excess = after.rate() - max_ratio * before.rate();
    excess > SIGMAS * (after.variance() + max_ratio * max_ratio * before.variance()).sqrt()
}

fn percent(rate: f64) -> String {
    format!("{:.2} %", rate * 100.0)
}

pub(super) fn judge_canary(
    settings: &CanarySettings,
    primary: &Snapshot,
    candidate: &Snapshot,
    elapsed: Duration,
) -> Verdict {
    let (before, after) = (&primary.rates, &candidate.rates);
    if exceeds(&before.faulted, &after.faulted, settings.max_fault_rate) {
        let (of, of_before) = (candidate.batches, primary.batches);
        let (count, count_before) = (after.faulted.part, before.faulted.part);
        return Verdict::RollBack(format!(
            "a node faulted at {count:.0} of {of} batches of the candidate, and at {count_before:.0} of {of_before} of the \
             running version"
        ));
    }
    for (what, before, after, most) in [
        ("failed", &before.failed, &after.failed, settings.max_fail_rate),
        ("were dropped", &before.dropped, &after.dropped, settings.max_drop_rate),
    ] {
        if exceeds(before, after, most) {
            let (before, after) = (percent(before.rate()), percent(after.rate()));
            return Verdict::RollBack(format!(
                "{after} of the candidate's events {what}, and {before} of the running version's"
            ));
        }
    }
    if is_slower(&before.nanos_per_byte, &after.nanos_per_byte, settings.max_latency_ratio) {
        let slower = after.nanos_per_byte.rate() / before.nanos_per_byte.rate();
        return Verdict::RollBack(format!("the candidate takes {slower:.1} times as long for a byte"));
    }
    let events = u64::try_from(candidate.events_in()).unwrap_or(0);
    if elapsed >= settings.time && events >= settings.min_events {
        return Verdict::Promote(format!("the candidate kept to all rules for {elapsed:?} and {events} events"));
    }
    Verdict::Wait
}

/// The rules of a canary with the figures of both versions.
pub(super) fn rules(settings: &CanarySettings, primary: &Snapshot, candidate: &Snapshot) -> Vec<CanaryRule> {
    let (before, after) = (&primary.rates, &candidate.rates);
    let share = |name: &str, before: &Ratio, after: &Ratio, allowed| CanaryRule {
        name: name.to_owned(),
        unit: "share".to_owned(),
        allowed,
        primary: before.rate(),
        candidate: after.rate(),
    };
    let (time_before, time_after) = (before.nanos_per_byte.rate(), after.nanos_per_byte.rate());
    vec![
        share("max_fault_rate", &before.faulted, &after.faulted, settings.max_fault_rate),
        share("max_fail_rate", &before.failed, &after.failed, settings.max_fail_rate),
        share("max_drop_rate", &before.dropped, &after.dropped, settings.max_drop_rate),
        CanaryRule {
            name: "max_latency_ratio".to_owned(),
            unit: "ratio".to_owned(),
            allowed: settings.max_latency_ratio,
            primary: 1.0,
            // Without a batch of both there is no difference yet.
            candidate: if time_before > 0.0 && time_after > 0.0 { time_after / time_before } else { 1.0 },
        },
    ]
}

/// Why a version on probation is rolled back; `before` contains the counts of its predecessor.
pub(super) fn judge_probation(settings: &RollbackSettings, before: &Snapshot, counts: &Snapshot) -> Option<String> {
    let seen = &counts.rates.faulted;
    // A version that ran only briefly has too few batches for a comparison. Then only the allowance
    // counts.
    let mut reference = before.rates.faulted;
    if reference.batches < seen.batches {
        reference.batches = seen.batches;
        reference.whole = seen.whole;
    }
    let is_bad = settings.enabled
        && counts.batches >= settings.min_batches
        && exceeds(&reference, seen, settings.max_fault_rate);
    let (count, of) = (seen.part, counts.batches);
    is_bad.then(|| format!("a node faulted at {count:.0} of {of} batches since the change"))
}

#[cfg(test)]
mod tests;
