//! Writes the snapshots of durable state to disk while the agent runs, and ends the acknowledgements
//! that wait for them.
//!
//! `wattle_runtime::StateSlot` has the two rules. One thread serves all nodes: it asks the owners of
//! instances for snapshots, waits until what left the nodes before is delivered, writes and syncs the
//! file of each slot, and only then releases the acknowledgements.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wattle_runtime::{Staged, StateSlot};
use wattle_source::Waits;

use crate::lanes::Lanes;
use crate::states::{DurableSlot, States};

/// An early snapshot is at least this many times as long after the last one as its instance took for that,
/// so that large state does not keep its node busy with snapshots.
const EARLY_PAUSE: u32 = 20;
/// How often the thread looks while something waits.
const BUSY: Duration = Duration::from_millis(5);
/// How often it looks while nothing waits.
const IDLE: Duration = Duration::from_millis(100);
/// Pause after a failed write, and between two log lines about failures.
const RETRY: Duration = Duration::from_secs(1);
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// The thread, and how to end it.
pub(crate) struct Snapshots {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    states: Arc<States>,
    lanes: Arc<Lanes>,
    /// Set by a drain: no snapshot waits for its interval.
    is_urgent: AtomicBool,
    /// Sources that wait for acknowledgements: for them, snapshots are taken early.
    waits: Waits,
    signals: Mutex<Signals>,
    wake: Condvar,
}

#[derive(Default)]
struct Signals {
    is_stopped: bool,
    /// The thread must look again now.
    is_woken: bool,
}

/// A slot on its way to disk.
struct Progress {
    slot: Arc<StateSlot>,
    written: Instant,
    /// How long the last write took.
    writing: Duration,
    staged: Option<Staged>,
    retry: Option<Instant>,
}

impl Progress {
    /// The least time from a snapshot to an early one.
    fn pause(&self, saving: Duration) -> Duration {
        (saving * EARLY_PAUSE).max(self.writing)
    }
}

impl Snapshots {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread.
    pub(crate) fn start(states: Arc<States>, lanes: Arc<Lanes>) -> std::io::Result<Self> {
        let shared = Arc::new_cyclic(|own: &Weak<Shared>| {
            let own = own.clone();
            let waits = Waits::new(move || own.upgrade().iter().for_each(|shared| shared.wake_up()));
            let (signals, wake) = (Mutex::default(), Condvar::new());
            Shared { states, lanes, is_urgent: AtomicBool::new(false), waits, signals, wake }
        });
        let run = shared.clone();
        let thread = std::thread::Builder::new().name("wattle-snapshots".into()).spawn(move || run.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Where sources report that they wait for acknowledgements.
    pub(crate) fn waits(&self) -> Waits {
        self.shared.waits.clone()
    }

    /// Writes snapshots without waiting for their interval from now on, because sources wait for their
    /// acknowledgements.
    pub(crate) fn hurry(&self) {
        self.shared.is_urgent.store(true, Ordering::Release);
        self.shared.wake_up();
    }

    /// Looks for nodes that came or went.
    pub(crate) fn look_again(&self) {
        self.shared.wake_up();
    }

    /// Ends the thread after a last snapshot of what the sources know to be delivered.
    pub(crate) fn finish(mut self) {
        self.shared.signals.lock().is_stopped = true;
        self.look_again();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for snapshots ended by a panic");
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.shared.signals.lock().is_stopped = true;
        self.shared.wake_up();
    }
}

impl Shared {
    fn wake_up(&self) {
        self.signals.lock().is_woken = true;
        self.wake.notify_all();
    }

    fn run(&self) {
        let mut progress = HashMap::new();
        let mut said = None;
        loop {
            let next = self.look(&mut progress, &mut said, false);
            let mut signals = self.signals.lock();
            if !signals.is_stopped && !signals.is_woken {
                match next {
                    Some(pause) => drop(self.wake.wait_for(&mut signals, pause)),
                    // An agent without durable state has no wake-ups for it.
                    None => self.wake.wait(&mut signals),
                }
            }
            signals.is_woken = false;
            if signals.is_stopped {
                break;
            }
        }
        // The workers have ended and saved their state.
        self.look(&mut progress, &mut said, true);
        self.look(&mut progress, &mut said, true);
        self.states.report_undelivered();
    }

    /// Moves every slot a step on. Returns how long the thread may pause; `None` without slots.
    fn look(
        &self,
        progress: &mut HashMap<(String, String, usize), Progress>,
        said: &mut Option<Instant>,
        is_last: bool,
    ) -> Option<Duration> {
        let mut is_busy = false;
        let mut is_wanted = false;
        let is_early = self.waits.is_any();
        let slots = self.states.durable();
        // A slot that another one replaced has an heir, which continues with what it gets back.
        progress.retain(|_, own| {
            let stays = slots.iter().any(|slot| Arc::ptr_eq(&slot.slot, &own.slot));
            if !stays && let Some(staged) = own.staged.take() {
                own.slot.unstage(staged);
            }
            stays
        });
        for slot in &slots {
            let key = (slot.pipeline.clone(), slot.node.clone(), slot.index);
            let own = progress.entry(key).or_insert_with(|| Progress {
                slot: slot.slot.clone(),
                written: Instant::now(),
                writing: Duration::ZERO,
                staged: None,
                retry: None,
            });
            if own.staged.is_none() {
                let waiting = slot.slot.waiting();
                let is_due = waiting.is_changed
                    && (is_last
                        || slot.leaves
                        || self.is_urgent.load(Ordering::Acquire)
                        || (is_early && waiting.is_awaited && own.written.elapsed() >= own.pause(waiting.saving))
                        || own.written.elapsed() >= slot.snapshot_interval);
                is_busy |= is_due || (is_early && waiting.is_awaited);
                if !is_due {
                    continue;
                }
                own.staged = slot.slot.stage();
                if !is_last {
                    // For what came since, and the next time.
                    slot.slot.want();
                    is_wanted = true;
                }
            }
            if let Some(staged) = own.staged.take() {
                let begun = Instant::now();
                own.staged = self.settle(slot, staged, own.retry, said, is_last).map(|(staged, retry)| {
                    own.retry = retry;
                    staged
                });
                is_busy |= own.staged.is_some();
                if own.staged.is_none() {
                    own.written = Instant::now();
                    own.writing = begun.elapsed();
                    own.retry = None;
                }
            }
        }
        if is_wanted {
            self.lanes.wake_all();
        }
        let is_leaving = self.states.discard(|generation| self.lanes.users.uses_before(generation));
        (!slots.is_empty() || is_leaving).then_some(if is_busy { BUSY } else { IDLE })
    }

    /// Writes a snapshot if everything before it is delivered. Returns it if it must wait. The last look comes after the
    /// sources have ended.
    fn settle(
        &self,
        slot: &DurableSlot,
        staged: Staged,
        retry: Option<Instant>,
        said: &mut Option<Instant>,
        is_last: bool,
    ) -> Option<(Staged, Option<Instant>)> {
        if !staged.is_settled() || (is_last && staged.is_awaited()) || retry.is_some_and(|retry| Instant::now() < retry)
        {
            return Some((staged, retry));
        }
        match self.states.write_slot(slot, &staged) {
            Ok(()) => {
                staged.release();
                if retry.is_some() {
                    let DurableSlot { pipeline, node, .. } = slot;
                    tracing::info!(pipeline, node, "the state of the node is written again");
                }
                None
            }
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    let DurableSlot { pipeline, node, .. } = slot;
                    tracing::error!(
                        pipeline,
                        node,
                        %error,
                        "cannot write the state of a node; its events stay unacknowledged until it can be written"
                    );
                    *said = Some(Instant::now());
                }
                Some((staged, Some(Instant::now() + RETRY)))
            }
        }
    }
}
