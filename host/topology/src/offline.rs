//! Runs a pipeline over given events, without sources, sinks or threads: for the tests of a pack, and to try a pack.
//!
//! [`Scratch`] uses the real data path: a lane, a generation, the same pipeline step.

mod metered;
mod scratch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_capability::Clock;
use wattle_plan::PipelinePlan;

pub use self::metered::{Meter, TIME_LIMIT};
use self::scratch::SOURCE;
#[cfg(test)]
pub(crate) use self::scratch::agent;
pub use self::scratch::{Collect, Scratch};
use crate::counts::Snapshot;
use crate::generation::{BuildError, NodeFactory};

/// Result of a run.
#[derive(Debug)]
pub struct Offline {
    /// For each output its events in order, as the `json` codec writes them.
    pub outputs: BTreeMap<String, Vec<Vec<u8>>>,
    /// Counts of the pipeline.
    pub counts: Snapshot,
}

/// The time of a run.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// The clock that the nodes see. If a test determines it, it is also the time at which an event was read, which is
    /// 1970 otherwise.
    pub clock: Clock,
    /// Time between two events; only a clock of [`Clock::moved`] follows it.
    pub step: Duration,
}

/// Runs a pipeline over events with these bodies. Timers run when they are due, and once more at the end.
///
/// # Errors
///
/// A node could not be created.
pub fn run_offline(
    pipeline: &PipelinePlan,
    make: &NodeFactory,
    bodies: &Column,
    pace: &Pace,
) -> Result<Offline, BuildError> {
    let collected: Arc<Mutex<Vec<Vec<Vec<u8>>>>> = Arc::new(Mutex::new(vec![Vec::new(); pipeline.outputs.len()]));
    let collector = collected.clone();
    let collect: Arc<Collect> = Arc::new(move |output, batch: &Batch| {
        if let Some(events) = collector.lock().get_mut(output) {
            for row in 0..batch.rows() {
                let mut event = Vec::new();
                batch.write_json(row, &mut event);
                events.push(event);
            }
        }
    });
    let mut scratch = Scratch::new(pipeline, make, &collect)?;
    // Small batches, so the result cannot depend on all events arriving at once.
    for row in 0..u32::try_from(bodies.rows()).unwrap_or(u32::MAX) {
        if row > 0 && !pace.step.is_zero() {
            pace.clock.advance(pace.step);
            scratch.tick();
        }
        let observed = if pace.clock.is_mocked() { pace.clock.now() } else { 0 };
        let origin = Origin { source: SOURCE.into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed };
        scratch.run(Batch::new(bodies.select(&[row]), Arc::new(origin), Ack::none()));
    }
    scratch.end();
    let counts = scratch.counts().snapshot();
    let names = pipeline.outputs.iter().map(|output| output.name.clone());
    let outputs = names.zip(std::mem::take(&mut *collected.lock())).collect();
    Ok(Offline { outputs, counts })
}
