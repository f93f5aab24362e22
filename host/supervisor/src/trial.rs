//! Tries a pack on an input: what it makes of every event, what that costs, and how another version differs.
//!
//! A trial runs scratch instances on the thread of its caller, with all limits of the nodes and without effects: no sink,
//! no state on disk, no quarantine, no log line of a node, no request.
//!
//! # Invariants
//!
//! - Memory does not grow with the input, only with its largest event: the events that leave are counted and dropped,
//!   except for the first ones.
//! - Every event is accounted for, also where the time limit ends a trial.

mod collect;
mod compare;
mod render;
mod side;
pub(crate) mod trials;
mod version;

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use wattle_api::trial::Tried;
use wattle_batch::Column;
use wattle_source::{InputSettings, read_input};
use wattle_topology::BuildError;

use self::compare::Comparison;
use self::side::Side;
pub use self::version::{Version, VersionError};

/// Why a trial ended at [`TrialSettings::max_bytes`].
pub const MAX_BYTES_REACHED: &str = "the limit of bytes was reached";

/// How to try a pack.
#[derive(Clone, Copy, Debug)]
pub struct TrialSettings {
    /// How to read the input.
    pub input: InputSettings,
    /// Bytes of events after which the trial ends.
    pub max_bytes: Option<u64>,
    /// Number of events whose way through the graph is recorded. They run one at a time, all others in batches.
    pub traces: usize,
    /// Number of events of each output that the result has.
    pub samples: usize,
    /// Number of pairs of each output that the result has where two versions differ.
    pub differences: usize,
    /// Time for the whole trial. A call that is under way when it ends may still take what its node may take.
    pub time_limit: Option<Duration>,
    /// Whether the runtime counts fuel.
    pub counts_fuel: bool,
}

impl Default for TrialSettings {
    fn default() -> Self {
        Self {
            input: InputSettings::default(),
            max_bytes: None,
            traces: 20,
            samples: 20,
            differences: 20,
            time_limit: None,
            counts_fuel: false,
        }
    }
}

/// Runs an input through a version, and through another one to compare with.
///
/// An input that cannot be read to its end is no error: the result says how far it came.
///
/// # Errors
///
/// A node cannot be created.
pub fn run(
    input: impl Read,
    result: &Version,
    against: Option<&Version>,
    settings: &TrialSettings,
) -> Result<Tried, BuildError> {
    let until = settings.time_limit.map(|limit| Instant::now() + limit);
    // Both versions see the same time.
    let now = result.now;
    let mut sides = vec![Side::new(result, settings, against.is_some(), now)?];
    if let Some(against) = against {
        sides.push(Side::new(against, settings, true, now)?);
    }
    let mut comparison = Comparison::new(settings.differences);
    let (mut events, mut bytes, mut is_full) = (0_usize, 0_u64, false);
    let read = read_input(Timed { input, until }, &settings.input, |column| {
        for part in parts(column, settings.traces.saturating_sub(events)) {
            let is_followed = events < settings.traces;
            events += part.rows();
            bytes += part.byte_len() as u64;
            for side in &mut sides {
                side.run(&part, is_followed);
            }
            comparison.add(&mut sides);
            is_full = settings.max_bytes.is_some_and(|max| bytes >= max);
            if is_full || is_over(until) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    sides.iter_mut().for_each(Side::end);
    comparison.add(&mut sides);
    let is_late = is_over(until) || sides.iter().any(Side::is_over);
    let ended_early = match (settings.time_limit.filter(|_| is_late), read.error) {
        (Some(limit), _) => Some(format!("the time limit of {limit:?} was reached")),
        (None, Some(error)) => Some(format!("the input {error}")),
        (None, None) => is_full.then(|| MAX_BYTES_REACHED.to_owned()),
    };
    let mut tried = sides.into_iter().map(|side| {
        let mut tried = side.finish(settings);
        (tried.skipped_events, tried.ended_early) = (read.too_long, ended_early.clone());
        tried
    });
    let result = tried.next().unwrap_or_default();
    Ok(Tried { result, against: tried.next(), differences: comparison.finish() })
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// Splits the events of a batch into the first ones, each alone, and the rest.
fn parts(column: Column, alone: usize) -> Vec<Column> {
    let rows: Vec<u32> = (0..u32::try_from(column.rows()).unwrap_or(u32::MAX)).collect();
    let (first, rest) = rows.split_at(alone.min(rows.len()));
    if first.is_empty() {
        return vec![column];
    }
    let rest = (!rest.is_empty()).then(|| column.select(rest));
    first.iter().map(|row| column.select(&[*row])).chain(rest).collect()
}

/// An input that ends at the time limit, also while the reader finds no event in it.
struct Timed<R> {
    input: R,
    until: Option<Instant>,
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if is_over(self.until) { Ok(0) } else { self.input.read(out) }
    }
}

#[cfg(test)]
mod tests;
