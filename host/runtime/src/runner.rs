//! A node on one worker: its instance, and the handling of its faults.
//!
//! If a call faults, the runner repeats the batch on a fresh instance. If that faults too, it
//! splits the batch in halves, each on a fresh instance, until only single rows that fault are
//! left; those fail, unchanged, with the kind of the fault as their code. All other rows continue.
//! So one poisonous row costs about 2 log2(rows) calls. The number of calls and the time for one
//! batch are limited; at a limit, the undecided rows fail together.

mod fused;
mod instances;
mod save;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wattle_batch::{Batch, Failure, NodeInfo, Outcome};
use wattle_capability::{Budget, NodeServices};
use wattle_plan::{NodeLimits, NodePlan, Sharing};

use self::fused::Fused;
pub use self::fused::{Follower, FusedOutcome};
use self::instances::{SavedState, Timer, make};
use crate::artifact::Compiled;
use crate::bindings::Snapshot;
use crate::fault::{Fault, FaultKind};
use crate::instance::{Instance, Processed};
use crate::slot::StateSlot;
use crate::stats::{MemoryShare, NodeStats};

/// Processes batches as a node: a sandboxed guest, or native code for comparison.
pub trait Process: Send {
    /// Processes a batch. The outcomes contain every row of it, in any case.
    fn process(&mut self, batch: Batch) -> Vec<Outcome>;

    /// Prepares to do the work of this node and of those after it as one, and rests as a single node. Returns whether it
    /// can.
    fn fuse(&mut self, followers: &[Follower<'_>]) -> bool {
        let _ = followers;
        false
    }

    /// Processes a batch as all nodes that [`fuse`](Self::fuse) got, or returns it unchanged to be processed node by node.
    ///
    /// # Errors
    ///
    /// The batch, if one call cannot do what the nodes would do one after the other.
    fn process_fused(&mut self, batch: Batch) -> Result<FusedOutcome, Box<Batch>> {
        Err(Box::new(batch))
    }

    /// Whether a call for the last batch faulted.
    fn has_faulted(&self) -> bool {
        false
    }

    /// A copy of the node at rest for another worker; `None` if it must be created.
    fn resting_twin(&self) -> Option<Box<dyn Process>> {
        None
    }

    /// Whether it keeps state between batches.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Checks whether it could restore state, without restoring it.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn check_state(&self, snapshots: &[Snapshot]) -> Result<(), String> {
        if snapshots.is_empty() { Ok(()) } else { Err("the node is stateless".into()) }
    }

    /// Restores the state of a slot, and saves its own state there from now on. Called once, before
    /// the first batch.
    ///
    /// # Errors
    ///
    /// Why it cannot; it then starts without state, and the slot is empty.
    fn take_over(&mut self, slot: &Arc<StateSlot>) -> Result<(), String> {
        let _ = slot;
        Ok(())
    }

    /// Saves its current state into its slot.
    fn save(&mut self) {}

    /// Saves its current state if the slot asks for a snapshot.
    fn save_if_wanted(&mut self) {}

    /// When its timer is due next; `None` for a node without a timer.
    fn next_tick(&self) -> Option<Instant> {
        None
    }

    /// Calls its timer, if it has one and the timer is due or the run ends.
    fn tick(&mut self, is_last: bool) -> Vec<Outcome> {
        let _ = is_last;
        Vec::new()
    }

    /// Frees memory until the next batch, which may take somewhat longer as a result.
    fn rest(&mut self) {}
}

/// Everything that a runner needs to create instances.
#[derive(Clone)]
pub struct RunnerSettings {
    /// Name of the node in the graph.
    pub name: Arc<str>,
    /// Options as JSON text.
    pub options: Arc<str>,
    /// Limits of an instance.
    pub limits: NodeLimits,
    /// Services for its capabilities.
    pub services: Option<NodeServices>,
}

impl RunnerSettings {
    /// Settings of a planned node, with these services.
    pub fn new(plan: &NodePlan, services: NodeServices) -> Self {
        Self {
            name: plan.name.as_str().into(),
            options: plan.options.as_str().into(),
            limits: plan.limits.clone(),
            services: Some(services),
        }
    }
}

/// Minimum interval between log lines about faults of a node.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// A sandboxed node on one worker.
pub struct Runner {
    compiled: Arc<Compiled>,
    settings: RunnerSettings,
    info: Arc<NodeInfo>,
    instance: Option<Instance>,
    memory: MemoryShare,
    stats: Arc<NodeStats>,
    faulted: bool,
    /// Remaining budget for HTTP requests of the batch, over all its calls.
    requests: Option<Budget>,
    /// The instance is missing because the node is unused, not because of a fault.
    resting: bool,
    said: Option<Instant>,
    /// Rows that failed since then.
    unsaid: usize,
    /// What outlives the instance; `None` before the node takes over from its predecessor, and in a
    /// shadow.
    slot: Option<Arc<StateSlot>>,
    /// `None` for a node without state, and without a slot.
    saved: Option<SavedState>,
    timer: Option<Timer>,
    sharing: Sharing,
    /// Does the work of this node and of those after it.
    fused: Option<Box<Fused>>,
}

/// Remaining budget to find the poisonous rows of one batch.
struct Search {
    calls: u32,
    /// Set by the first fault.
    until: Option<Instant>,
}

impl Search {
    fn is_over(&self) -> bool {
        self.calls == 0 || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Runner {
    /// Creates and configures the first instance.
    ///
    /// # Errors
    ///
    /// The node refuses its options, or faults.
    pub fn new(compiled: Arc<Compiled>, settings: RunnerSettings, stats: Arc<NodeStats>) -> Result<Self, Fault> {
        let (instance, info, requested) = make(&compiled, &settings)?;
        let mut memory = MemoryShare::new(stats.clone());
        memory.set(instance.memory_bytes());
        let clock = settings.services.as_ref().map(|services| services.clock().clone()).unwrap_or_default();
        Ok(Self {
            compiled,
            settings,
            info: Arc::new(info),
            instance: Some(instance),
            memory,
            stats,
            faulted: false,
            requests: None,
            resting: false,
            said: None,
            unsaid: 0,
            slot: None,
            saved: None,
            timer: requested.tick.map(|interval| Timer::new(interval, clock)),
            sharing: requested.sharing,
            fused: None,
        })
    }

    /// The node's ports and fields.
    pub fn info(&self) -> &Arc<NodeInfo> {
        &self.info
    }

    /// Calls the node once, on a fresh instance if there is none.
    fn call(&mut self, batch: Batch) -> Result<Outcome, Box<(Batch, Fault)>> {
        let mut instance = match self.take() {
            Ok(instance) => instance,
            Err(fault) => return Err(Box::new((batch, fault))),
        };
        // A node knows the time before its first batch.
        if self.timer.as_ref().is_some_and(|timer| !timer.has_ticked) {
            let (ticked, outcome) = self.tick_on(instance, false);
            if let Some((timer, outcome)) = self.timer.as_mut().zip(outcome) {
                timer.early.push(outcome);
            }
            instance = match ticked {
                Some(instance) => instance,
                None => {
                    let fault = Fault::new(FaultKind::Instantiate, "the timer of a new instance faulted");
                    return Err(Box::new((batch, fault)));
                }
            };
        }
        let seen = self.slot.as_ref().filter(|slot| self.saved.is_some() && slot.is_durable());
        let share = seen.map(|slot| (slot.clone(), batch.ack().share()));
        let since = Instant::now();
        let Processed { mut done, memory_bytes, instance, fuel } =
            instance.process(batch, &self.info, &mut self.requests);
        self.stats.call_time.record(since.elapsed());
        self.stats.burn(fuel);
        // The share records the peak even of an instance that is not kept.
        self.memory.set(memory_bytes);
        if instance.is_none() {
            self.memory.set(0);
        }
        self.instance = instance;
        match (&mut done, share) {
            (Ok(outcome), Some((slot, ack))) => {
                self.stats.hold(outcome.held as u64, &ack);
                slot.seen(ack);
            }
            // Only this share ends; the batch keeps its own.
            (Err(_), Some((_, ack))) => ack.deliver(),
            (_, None) => {}
        }
        if self.instance.is_none() && done.is_err() {
            self.roll_back();
        }
        if let Ok(outcome) = &mut done {
            // Before the next snapshot, which must wait for these events.
            if let Some(slot) = &self.slot {
                slot.made(&mut outcome.made);
                slot.set_owes(self.compiled.description.holds_events);
            }
            self.keep();
        }
        if let Err(failed) = &done {
            let (_, fault) = &**failed;
            self.stats.faults.add(fault);
            let (kind, blame) = (fault.kind.name(), fault.blame.name());
            tracing::debug!(node = %self.settings.name, kind, blame, error = %fault.message, "node faulted");
        }
        done
    }

    /// Processes a batch, and splits it while it faults. `why` is the fault of the batch that this
    /// half belongs to.
    fn attempt(&mut self, batch: Batch, why: Option<&Fault>, search: &mut Search, outcomes: &mut Vec<Outcome>) {
        let tries = if why.is_none() { 2 } else { 1 };
        let mut batch = batch;
        for last in (0..tries).rev() {
            if let Some(fault) = why.filter(|_| search.is_over()) {
                let message = format!("{}; the search for the rows that cause it exceeded its limit", fault.summary());
                return self.fail(batch, &Fault { message, ..fault.clone() }, outcomes);
            }
            // The first call is not part of the search.
            search.calls = search.calls.saturating_sub(u32::from(self.faulted));
            match self.call(batch) {
                Ok(outcome) => return outcomes.push(outcome),
                Err(failed) => {
                    let (back, fault) = *failed;
                    if !std::mem::replace(&mut self.faulted, true) {
                        self.stats.searching.fetch_add(1, Ordering::Relaxed);
                    }
                    search.until.get_or_insert_with(|| Instant::now() + self.settings.limits.retry_time);
                    // The node returned this error on purpose, so trying again changes nothing.
                    if last > 0 && fault.kind != FaultKind::NodeError {
                        batch = back;
                        continue;
                    }
                    return self.give_up(back, &fault, search, outcomes);
                }
            }
        }
    }

    fn give_up(&mut self, batch: Batch, fault: &Fault, search: &mut Search, outcomes: &mut Vec<Outcome>) {
        let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
        if rows > 1 && fault.kind != FaultKind::Instantiate && fault.kind != FaultKind::NodeError {
            let indices: Vec<u32> = (0..rows).collect();
            let (first, second) = indices.split_at_checked(indices.len() / 2).unwrap_or_default();
            let halves = [batch.select(first), batch.select(second)];
            batch.into_ack().deliver();
            for half in halves {
                self.attempt(half, Some(fault), search, outcomes);
            }
            return;
        }
        self.fail(batch, fault, outcomes);
    }

    /// Fails rows, unchanged, and logs it; not for every row, because a node that faults often
    /// faults very often.
    fn fail(&mut self, batch: Batch, fault: &Fault, outcomes: &mut Vec<Outcome>) {
        self.unsaid += batch.rows();
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            let (kind, blame, rows) = (fault.kind.name(), fault.blame.name(), self.unsaid);
            tracing::warn!(node = %self.settings.name, kind, blame, rows, error = fault.summary(), "rows failed");
            (self.said, self.unsaid) = (Some(Instant::now()), 0);
        }
        let (code, message) = Failure::reason(fault.kind.name(), fault.summary());
        let failure = Failure { node: self.info.name.clone(), version: self.info.version.clone(), code, message };
        let failures = vec![failure; batch.rows()];
        outcomes.push(Outcome { failed: Some(batch.with_failures(failures)), ..Outcome::default() });
    }
}

impl Process for Runner {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(1);
        self.faulted = false;
        self.requests = None;
        let mut search = Search { calls: self.settings.limits.retry_calls, until: None };
        self.attempt(batch, None, &mut search, &mut outcomes);
        if self.faulted {
            self.stats.searching.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(timer) = self.timer.as_mut().filter(|timer| !timer.early.is_empty()) {
            outcomes.splice(0..0, timer.early.drain(..));
        }
        outcomes.extend(self.relieve());
        outcomes
    }

    fn fuse(&mut self, followers: &[Follower<'_>]) -> bool {
        self.fused = Fused::new(&self.compiled, &self.settings, &self.stats, followers).map(Box::new);
        if self.fused.is_some() {
            self.rest_alone();
        }
        self.fused.is_some()
    }

    fn process_fused(&mut self, batch: Batch) -> Result<FusedOutcome, Box<Batch>> {
        match &mut self.fused {
            Some(fused) => fused.process(&self.compiled, batch),
            None => Err(Box::new(batch)),
        }
    }

    fn has_faulted(&self) -> bool {
        self.faulted
    }

    fn resting_twin(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Self {
            compiled: self.compiled.clone(),
            settings: self.settings.clone(),
            info: self.info.clone(),
            instance: None,
            memory: MemoryShare::new(self.stats.clone()),
            stats: self.stats.clone(),
            faulted: false,
            requests: None,
            resting: true,
            said: None,
            unsaid: 0,
            slot: None,
            saved: None,
            timer: self.timer.as_ref().map(|timer| Timer::new(timer.interval, timer.clock.clone())),
            sharing: self.sharing.clone(),
            fused: self.fused.as_ref().map(|fused| Box::new(fused.resting_twin())),
        }))
    }

    fn next_tick(&self) -> Option<Instant> {
        let timer = self.timer.as_ref()?;
        Some(if self.is_too_large() { Instant::now() } else { timer.next })
    }

    fn tick(&mut self, is_last: bool) -> Vec<Outcome> {
        let Some(timer) = &self.timer else { return Vec::new() };
        if !is_last && self.is_too_large() {
            return self.relieve().into_iter().collect();
        }
        if !is_last && !timer.is_due() {
            return Vec::new();
        }
        // A node at rest that remembers nothing has nothing to do.
        let has_state = self.slot.as_ref().is_some_and(|slot| !slot.get().is_empty());
        if self.instance.is_none() && self.resting && !has_state {
            self.timer.iter_mut().for_each(|timer| _ = timer.advance());
            return Vec::new();
        }
        let Ok(instance) = self.take() else {
            // Not at once again: creating an instance that faults takes time.
            self.timer.iter_mut().for_each(|timer| _ = timer.advance());
            return Vec::new();
        };
        let (instance, outcome) = self.tick_on(instance, is_last);
        self.instance = instance;
        if outcome.is_some() {
            if let Some(slot) = self.slot.as_ref().filter(|_| is_last) {
                slot.set_owes(false);
            }
            self.keep();
        }
        outcome.into_iter().chain(self.relieve()).collect()
    }

    fn save_if_wanted(&mut self) {
        if self.slot.as_ref().is_some_and(|slot| slot.is_wanted()) {
            self.store();
        }
    }

    fn is_stateful(&self) -> bool {
        self.compiled.description.state_version.is_some()
    }

    fn check_state(&self, snapshots: &[Snapshot]) -> Result<(), String> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let (mut instance, ..) = make(&self.compiled, &self.settings).map_err(|fault| fault.to_string())?;
        instance.restore(snapshots)
    }

    fn take_over(&mut self, slot: &Arc<StateSlot>) -> Result<(), String> {
        self.slot = Some(slot.clone());
        if !self.is_stateful() {
            return Ok(());
        }
        self.saved = Some(SavedState::new());
        slot.set_owes(self.compiled.description.holds_events);
        let snapshots = slot.get();
        // A node at rest restores it when it is needed.
        let Some(instance) = self.instance.as_mut().filter(|_| !snapshots.is_empty()) else { return Ok(()) };
        let restored = instance.restore(&snapshots);
        match &restored {
            Ok(()) => _ = self.stats.state_restored.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                self.lose_state(error);
                self.instance = None;
                self.memory.set(0);
            }
        }
        restored
    }

    fn save(&mut self) {
        self.store_finally();
    }

    fn rest(&mut self) {
        self.rest_alone();
        self.fused.iter_mut().for_each(|fused| fused.rest());
    }
}
