//! All lanes of a topology, which lane a worker serves next, and the signal that there may be work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::lane::{Lane, Work};
use crate::users::Users;
use crate::watch::Watch;

/// Name of the lane of timers.
const TIMERS: &str = "@timers";

/// Keeps workers from taking from sources until it is dropped.
pub(crate) struct Hold {
    lanes: Arc<Lanes>,
    pub(crate) sources: Vec<String>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.lanes.holds.write();
        for source in &self.sources {
            if let Some(count) = holds.get_mut(source) {
                *count -= 1;
            }
        }
        holds.retain(|_, count| *count > 0);
        self.lanes.has_holds.store(!holds.is_empty(), Ordering::Release);
        drop(holds);
        self.lanes.wake_all();
    }
}

/// All lanes, and the signal that there may be work in one of them.
pub(crate) struct Lanes {
    all: RwLock<Vec<Arc<Lane>>>,
    signals: Mutex<u64>,
    signal: Condvar,
    pub(crate) watch: Watch,
    /// The lane of what timers make. It has no source, so it is not among all lanes.
    pub(crate) timers: Arc<Lane>,
    /// Generations in use.
    pub(crate) users: Users,
    /// Held while a worker takes from a suspect, so two workers do not take the last place at once.
    suspects: Mutex<()>,
    /// Set while a lane waits for space in a sink, so a sink that is never full sends no signals.
    blocked: AtomicBool,
    /// Sources on hold while a sink that they feed hands over, with the number of such sinks.
    holds: RwLock<HashMap<String, usize>>,
    /// Whether any source is on hold, so that workers can check without a lock.
    has_holds: AtomicBool,
}

impl Lanes {
    /// Creates an empty set of lanes for this number of workers.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new_cyclic(|lanes| {
            let timers = Lane::within(TIMERS.into(), 0, lanes.clone());
            Self {
                all: RwLock::default(),
                timers,
                users: Users::default(),
                signals: Mutex::new(0),
                signal: Condvar::new(),
                watch: Watch::new(workers),
                suspects: Mutex::new(()),
                blocked: AtomicBool::new(false),
                holds: RwLock::default(),
                has_holds: AtomicBool::new(false),
            }
        })
    }

    pub(crate) fn add(&self, lane: Arc<Lane>) {
        self.all.write().push(lane);
    }

    pub(crate) fn remove(&self, lane: &Arc<Lane>) {
        self.all.write().retain(|l| !Arc::ptr_eq(l, lane));
    }

    /// Holds sources until the hold is dropped.
    pub(crate) fn hold(self: &Arc<Self>, sources: Vec<String>) -> Hold {
        let mut holds = self.holds.write();
        for source in &sources {
            *holds.entry(source.clone()).or_default() += 1;
        }
        self.has_holds.store(!holds.is_empty(), Ordering::Release);
        drop(holds);
        Hold { lanes: self.clone(), sources }
    }

    fn is_on_hold(&self, source: &str) -> bool {
        self.has_holds.load(Ordering::Acquire) && self.holds.read().contains_key(source)
    }

    /// Returns everything in the lanes of these sources to them, unacknowledged.
    pub(crate) fn return_all(&self, sources: &[String]) {
        let lanes: Vec<Arc<Lane>> = self.all.read().clone();
        lanes
            .iter()
            .filter(|lane| sources.iter().any(|name| **name == *lane.source))
            .for_each(|lane| lane.return_all());
    }

    /// Takes work from a lane, starting the search after the lane that gave work last. Skips
    /// sources on hold, and does not give the last worker to suspects.
    pub(crate) fn take(&self, last: &mut usize, is_held: impl Fn(&str) -> bool) -> Option<Work> {
        self.timers.send_waiting();
        let all = self.all.read();
        let count = all.len();
        for step in 1..=count {
            let index = (*last + step) % count;
            let is_free = |lane: &&Arc<Lane>| !is_held(&lane.source) && !self.is_on_hold(&lane.source);
            let Some(lane) = all.get(index).filter(is_free) else { continue };
            let is_suspect = count > 1 && lane.is_suspect(Instant::now);
            let _suspects = is_suspect.then(|| self.suspects.lock());
            if is_suspect && !self.has_room_for_suspects(&all) {
                continue;
            }
            if let Some(work) = lane.take() {
                *last = index;
                return Some(work);
            }
        }
        None
    }

    fn has_room_for_suspects(&self, all: &[Arc<Lane>]) -> bool {
        let working: usize = all.iter().filter(|lane| lane.is_suspect(Instant::now)).map(|lane| lane.working()).sum();
        working < self.watch.workers().saturating_sub(1).max(1)
    }

    /// Takes work for the spare worker.
    pub(crate) fn take_spare(&self, is_held: impl Fn(&str) -> bool) -> Option<Work> {
        let all = self.all.read();
        let may_take = |lane: &&Arc<Lane>| {
            !is_held(&lane.source)
                && !self.is_on_hold(&lane.source)
                && lane.working() == 0
                && !lane.is_suspect(Instant::now)
        };
        all.iter().filter(may_take).find_map(Lane::take)
    }

    /// The number of signals so far. Read it before a search, so no signal during the search is
    /// missed.
    pub(crate) fn signals(&self) -> u64 {
        *self.signals.lock()
    }

    /// Waits for a signal after the given number, at most for `time`.
    pub(crate) fn wait(&self, seen: u64, time: Duration) {
        let mut signals = self.signals.lock();
        if *signals == seen && !self.is_stopped() {
            self.signal.wait_for(&mut signals, time);
        }
    }

    /// Signals that a batch arrived.
    pub(crate) fn wake_one(&self) {
        *self.signals.lock() += 1;
        self.signal.notify_one();
    }

    /// Signals that a sink has room, if a lane waits for it.
    pub(crate) fn wake_blocked(&self) {
        if self.blocked.swap(false, Ordering::AcqRel) {
            self.wake_all();
        }
    }

    /// A lane waits for room in a sink.
    pub(crate) fn wait_for_room(&self) {
        self.blocked.store(true, Ordering::Release);
    }

    /// Signals that anything may have changed.
    pub(crate) fn wake_all(&self) {
        *self.signals.lock() += 1;
        self.signal.notify_all();
        for lane in self.all.read().iter().chain([&self.timers]) {
            lane.wake();
        }
    }

    pub(crate) fn stop(&self) {
        self.watch.stop();
        self.wake_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }
}
