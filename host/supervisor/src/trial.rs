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
use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_api::trial::Tried;
use wattle_batch::{Ack, Batch, Origin};
use wattle_source::{InputSettings, read_input};
use wattle_topology::{BuildError, Entry, RecentEvents};

use self::compare::Comparison;
use self::side::Side;
pub use self::version::{Version, VersionError};

/// Name of the source of an input.
const SOURCE: &str = "try";

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
    let mut trial = Trial::new(result, against, settings)?;
    let resource = format!(r#"{{"source":{{"name":"{SOURCE}"}}}}"#);
    // Both versions see the same time.
    let origin = Arc::new(Origin { source: SOURCE.into(), resource: resource.into(), observed: result.now });
    let input = Timed { input, until: trial.until };
    let read = read_input(input, &settings.input, |column| {
        trial.add(&Batch::new(column, origin.clone(), Ack::none()), &Entry::Input)
    });
    Ok(trial.finish(read.error.map(|error| error.to_string()), read.too_long))
}

/// Runs recent events of a pipeline through a version, and through another one to compare with. They enter where they
/// were taken, or with `at_input` at the input.
///
/// # Errors
///
/// A node cannot be created. The caller has checked that both versions have the points; see [`Entry::find`].
pub(crate) fn run_recent(
    recent: &[RecentEvents],
    at_input: bool,
    result: &Version,
    against: Option<&Version>,
    settings: &TrialSettings,
) -> Result<Tried, BuildError> {
    let mut trial = Trial::new(result, against, settings)?;
    for events in recent {
        let entry = if at_input { &Entry::Input } else { &events.entry };
        if trial.add(&events.batch, entry).is_break() {
            break;
        }
    }
    Ok(trial.finish(None, 0))
}

/// A trial that runs.
struct Trial<'s> {
    settings: &'s TrialSettings,
    /// The version, and the one to compare with.
    sides: Vec<Side>,
    comparison: Comparison,
    until: Option<Instant>,
    events: usize,
    bytes: u64,
    /// Whether the limit of bytes was reached.
    is_full: bool,
}

impl<'s> Trial<'s> {
    fn new(result: &Version, against: Option<&Version>, settings: &'s TrialSettings) -> Result<Self, BuildError> {
        let until = settings.time_limit.map(|limit| Instant::now() + limit);
        let mut sides = vec![Side::new(result, settings, against.is_some(), result.now)?];
        if let Some(against) = against {
            sides.push(Side::new(against, settings, true, result.now)?);
        }
        let comparison = Comparison::new(settings.differences);
        Ok(Self { settings, sides, comparison, until, events: 0, bytes: 0, is_full: false })
    }

    /// Runs a batch through all versions. It breaks at a limit.
    fn add(&mut self, batch: &Batch, entry: &Entry) -> ControlFlow<()> {
        for part in parts(batch, self.settings.traces.saturating_sub(self.events)) {
            let is_followed = self.events < self.settings.traces;
            self.events += part.rows();
            self.bytes += part.byte_len() as u64;
            for side in &mut self.sides {
                side.run(part.detached(), entry, is_followed);
            }
            self.comparison.add(&mut self.sides);
            self.is_full = self.settings.max_bytes.is_some_and(|max| self.bytes >= max);
            if self.is_full || is_over(self.until) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Ends the input. `error` says why it could not be read to its end.
    fn finish(mut self, error: Option<String>, skipped_events: u64) -> Tried {
        self.sides.iter_mut().for_each(Side::end);
        self.comparison.add(&mut self.sides);
        let is_late = is_over(self.until) || self.sides.iter().any(Side::is_over);
        let ended_early = match (self.settings.time_limit.filter(|_| is_late), error) {
            (Some(limit), _) => Some(format!("the time limit of {limit:?} was reached")),
            (None, Some(error)) => Some(format!("the input {error}")),
            (None, None) => self.is_full.then(|| MAX_BYTES_REACHED.to_owned()),
        };
        let mut tried = self.sides.into_iter().map(|side| {
            let mut tried = side.finish(self.settings);
            (tried.skipped_events, tried.ended_early) = (skipped_events, ended_early.clone());
            tried
        });
        let result = tried.next().unwrap_or_default();
        Tried { result, against: tried.next(), differences: self.comparison.finish(), recent: None }
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// Splits the events of a batch into the first ones, each alone, and the rest.
fn parts(batch: &Batch, alone: usize) -> Vec<Batch> {
    let rows: Vec<u32> = (0..u32::try_from(batch.rows()).unwrap_or(u32::MAX)).collect();
    let (first, rest) = rows.split_at(alone.min(rows.len()));
    if first.is_empty() {
        return vec![batch.detached()];
    }
    let rest = (!rest.is_empty()).then(|| batch.select(rest));
    first.iter().map(|row| batch.select(&[*row])).chain(rest).collect()
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
