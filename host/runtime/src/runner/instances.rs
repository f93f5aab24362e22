//! The instance of a runner: created with the last saved state, ticked, saved, and dropped.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wattle_batch::{NodeInfo, Outcome};
use wattle_capability::Clock;

use super::{Process as _, Runner, RunnerSettings, SAY_AGAIN};
use crate::artifact::Compiled;
use crate::fault::{Fault, FaultKind};
use crate::instance::{ConfigureError, Instance, Options, Processed, Requested, not_granted};
use crate::time;

/// State is saved after a call if this many times the duration of the last save has passed, so
/// saving takes at most a fiftieth of the time. Small state is saved after nearly every call.
pub(super) const SAVE_PAUSE: u32 = 50;

/// After a fault, state is saved after every call for this long: a rollback to an older snapshot
/// returns batches to their sources, and these must not meet the same poisonous batch again and again.
const CAREFUL: Duration = Duration::from_secs(10);

/// The saved state of a stateful node.
pub(super) struct SavedState {
    /// Whether the instance has newer state than the slot.
    pub(super) is_newer: bool,
    pub(super) next: Instant,
    pub(super) careful_until: Option<Instant>,
    /// Whether the instance has more state than may be saved, and must make what it holds.
    pub(super) is_too_large: bool,
    /// When the log last said so.
    pub(super) said: Option<Instant>,
}

impl SavedState {
    pub(super) fn new() -> Self {
        Self { is_newer: false, next: Instant::now(), careful_until: None, is_too_large: false, said: None }
    }
}

/// The timer of a node.
pub(super) struct Timer {
    /// The time that the node sees. A test can stop or move it.
    pub(super) clock: Clock,
    pub(super) interval: Duration,
    pub(super) next: Instant,
    /// The time of the last tick in nanoseconds since the epoch.
    pub(super) now: i64,
    /// Whether the current instance had a tick.
    pub(super) has_ticked: bool,
    /// Outcomes of ticks that a call of a batch needed first.
    pub(super) early: Vec<Outcome>,
}

impl Timer {
    pub(super) fn new(interval: Duration, clock: Clock) -> Self {
        Self { clock, interval, next: Instant::now(), now: i64::MIN, has_ticked: false, early: Vec::new() }
    }

    /// The time for the next tick. It never goes back.
    pub(super) fn advance(&mut self) -> i64 {
        self.now = if self.clock.is_mocked() { self.now.max(self.clock.now()) } else { time::now() };
        self.next = Instant::now() + self.interval;
        self.now
    }

    /// Whether the interval since the last tick has passed.
    pub(super) fn is_due(&self) -> bool {
        if self.clock.is_mocked() {
            let interval = i64::try_from(self.interval.as_nanos()).unwrap_or(i64::MAX);
            return self.clock.now() >= self.now.saturating_add(interval);
        }
        Instant::now() >= self.next
    }
}

impl Runner {
    /// Takes the instance, or creates one with the last saved state.
    pub(super) fn take(&mut self) -> Result<Instance, Fault> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        let instance = self.fresh().inspect_err(|fault| self.stats.faults.add(fault))?;
        let again = !std::mem::take(&mut self.resting);
        self.stats.restarts.fetch_add(u64::from(again), Ordering::Relaxed);
        if let Some(timer) = &mut self.timer {
            timer.has_ticked = false;
        }
        Ok(instance)
    }

    /// Calls the timer of an instance. Without an instance in the result, it faulted.
    pub(super) fn tick_on(&mut self, instance: Instance, is_last: bool) -> (Option<Instance>, Option<Outcome>) {
        let Some(timer) = &mut self.timer else { return (Some(instance), None) };
        let now = timer.advance();
        timer.has_ticked = true;
        let since = Instant::now();
        let Processed { done, memory_bytes, instance, fuel } = instance.tick(now, is_last, &self.info);
        self.stats.call_time.record(since.elapsed());
        self.stats.burn(fuel);
        self.memory.set(if instance.is_some() { memory_bytes } else { 0 });
        match done {
            Ok(mut outcome) => {
                if let Some(slot) = &self.slot {
                    slot.made(&mut outcome.made);
                }
                (instance, Some(outcome))
            }
            Err(fault) => {
                self.stats.faults.add(&fault);
                self.roll_back();
                let (kind, error) = (fault.kind.name(), fault.summary());
                if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    tracing::warn!(node = %self.settings.name, kind, error, "the timer of the node faulted; the next tick tries again");
                    self.said = Some(Instant::now());
                }
                (None, None)
            }
        }
    }

    /// Creates an instance with the last saved state.
    fn fresh(&mut self) -> Result<Instance, Fault> {
        let mut instance = self.same()?;
        let Some(slot) = self.slot.as_ref().filter(|_| self.saved.is_some()) else { return Ok(instance) };
        let snapshots = slot.get();
        if snapshots.is_empty() {
            return Ok(instance);
        }
        match instance.restore(&snapshots) {
            Ok(()) => {
                self.stats.state_restored.fetch_add(1, Ordering::Relaxed);
                Ok(instance)
            }
            Err(error) => {
                let error = self.lose_state(&error);
                tracing::error!(node = %self.settings.name, error, "cannot restore the state; the node starts without state");
                self.same()
            }
        }
    }

    /// Frees the memory of the instance until the next batch.
    pub(super) fn rest_alone(&mut self) {
        self.save();
        self.resting = self.instance.take().is_some() || self.resting;
        self.memory.set(0);
    }

    /// Creates another instance. Its `configure` must return the same result as the first:
    /// decisions are checked against those ports and fields.
    fn same(&self) -> Result<Instance, Fault> {
        let (instance, info, _) = make(&self.compiled, &self.settings)?;
        if info.ports == self.info.ports && info.fields == self.info.fields {
            return Ok(instance);
        }
        let what = if info.ports == self.info.ports { "fields" } else { "ports" };
        let message = format!("`configure` returned other {what} than before; they must depend only on the options");
        Err(Fault::new(FaultKind::Instantiate, message))
    }

    /// After the instance was lost: what it has seen since the last snapshot is offered again.
    pub(super) fn roll_back(&mut self) {
        if let Some((saved, slot)) = self.saved.as_mut().zip(self.slot.as_ref())
            && std::mem::take(&mut saved.is_newer)
        {
            slot.roll_back();
            saved.careful_until = Some(Instant::now() + CAREFUL);
        }
    }

    pub(super) fn lose_state<'e>(&self, error: &'e str) -> &'e str {
        self.stats.state_lost.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = &self.slot {
            slot.clear();
        }
        error
    }

    /// After a successful call: saves state if it is time, and drops an instance that outgrew its
    /// memory or whose code was superseded.
    pub(super) fn keep(&mut self) {
        let is = |test: &dyn Fn(&Instance) -> bool| self.instance.as_ref().is_some_and(test);
        let (is_outgrown, is_superseded) = (is(&Instance::is_outgrown), is(&|i| i.is_superseded(&self.compiled)));
        if let Some(saved) = &mut self.saved {
            saved.is_newer = true;
            let now = Instant::now();
            let is_careful = saved.careful_until.is_some_and(|until| now < until);
            if is_outgrown || is_superseded || is_careful || now >= saved.next {
                self.store();
            }
        } else if self.is_stateful() {
            // Without a slot, the state ends with the instance.
            return;
        }
        // An instance that must make what it holds first stays until then.
        if (is_outgrown || is_superseded) && !self.is_too_large() {
            self.resting = !is_outgrown;
            self.instance = None;
            self.memory.set(0);
        }
    }
}

/// Creates and configures an instance.
pub(super) fn make(compiled: &Compiled, settings: &RunnerSettings) -> Result<(Instance, NodeInfo, Requested), Fault> {
    let RunnerSettings { name, options, limits, services } = settings;
    Instance::new(compiled, name, Options::One(options), limits, services.as_ref()).map_err(|error| match error {
        ConfigureError::Capability(capability) => not_granted(capability).while_instantiating(),
        ConfigureError::Fault(fault) => fault.while_instantiating(),
        ConfigureError::Options(errors) => {
            let errors: Vec<String> = errors.iter().map(|e| format!("`{}`: {}", e.path, e.message)).collect();
            Fault::new(FaultKind::Instantiate, format!("options refused: {}", errors.join("; ")))
        }
    })
}
