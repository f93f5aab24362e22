//! Checks the timer of a node: no tick faults, and the results depend on batches and ticks only.

use wattle_runtime::SingleInstance;

use super::batches::{call, written};
use super::state::{BATCHES, bodies, save};
use super::{Report, Subject};

/// Time of the first tick, 2024-05-01T00:00:00Z in nanoseconds since the epoch.
pub(super) const START: i64 = 1_714_521_600_000_000_000;
/// Nanoseconds between two ticks: longer than the windows of most nodes.
const STEP: i64 = 3_600_000_000_000;

/// Runs the checks; none for a node without a timer.
pub(super) fn checks(report: &mut Report, node: &Subject<'_>) {
    if !node.compiled.description.has_timer {
        return;
    }
    report.check("timer-at-any-time", || {
        let mut instance = node.start()?;
        for now in [START, START, START + 1, START + STEP, START + 10_000 * STEP] {
            tick(&mut instance, now, false)?;
            call(&mut instance, &bodies(0))?;
        }
        Ok(())
    });
    report.check("timer-before-any-batch", || {
        for now in [0, START] {
            tick(&mut node.start()?, now, true)?;
        }
        Ok(())
    });
    report.check("timer-determinism", || {
        let run = || run(node.start_ready()?, START);
        match run()? == run()? {
            true => Ok(()),
            false => Err("two fresh instances gave different results for the same batches and ticks".into()),
        }
    });
    if node.compiled.description.state_version.is_none() {
        return;
    }
    report.check("timer-goes-on", || {
        let mut first = node.start_ready()?;
        call(&mut first, &bodies(0))?;
        let snapshot = save(&mut first)?;
        let mut second = node.start()?;
        second.restore(&[snapshot]).map_err(|error| format!("cannot restore its own state: {error}"))?;
        let now = START + STEP / 2;
        match run(first, now)? == run(second, now)? {
            true => Ok(()),
            false => Err("an instance with restored state gave other results than the one that saved it".into()),
        }
    });
}

/// Everything that an instance makes of some batches and ticks from a time on, up to the last tick.
fn run(mut instance: SingleInstance, start: i64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let (mut all, mut now) = (tick(&mut instance, start, false)?, start);
    for number in 0..BATCHES {
        all.extend(written(call(&mut instance, &bodies(number))?));
        now += STEP;
        all.extend(tick(&mut instance, now, false)?);
    }
    all.extend(written(call(&mut instance, &bodies(BATCHES))?));
    all.extend(tick(&mut instance, now, true)?);
    Ok(all)
}

/// Calls the timer, and returns the events that it made.
pub(super) fn tick(instance: &mut SingleInstance, now: i64, is_last: bool) -> Result<Vec<(String, Vec<u8>)>, String> {
    let outcome = instance.tick(now, is_last).map_err(|fault| format!("tick at {now}: {fault}"))?;
    Ok(written(outcome))
}
