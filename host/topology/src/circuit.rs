//! The circuit of a node: after faults on too many batches, the agent stops calling the node and
//! probes it from time to time.
//!
//! A closed circuit counts which of the last batches faulted, and opens if their share exceeds the
//! configured one. An open circuit refuses batches until the cool-down is over; then it lets one
//! batch through as a probe. A probe that faults doubles the cool-down, one that succeeds closes
//! the circuit. If the circuit opens again before a whole window has passed, the cool-down keeps
//! doubling, so a node that works only sporadically also costs little.
//!
//! All workers of a generation share one circuit. A reload starts with closed circuits, because it
//! may have fixed the node.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{CircuitSettings, OnFault};

/// Whether a node may be called for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The node may be called.
    Call,
    /// The node may be called, and the result decides whether the circuit closes.
    Probe,
    /// The node must not be called.
    Refused,
}

/// A change that a result caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The circuit opened, because this many of these batches faulted.
    Opened { faulted: usize, of: usize },
    /// It closed.
    Closed,
}

pub(crate) struct Circuit {
    settings: CircuitSettings,
    pub(crate) policy: OnFault,
    /// Whether `state.open_until` is set, so that workers can check a closed circuit without a
    /// lock.
    open: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// Whether each of the last batches faulted.
    window: VecDeque<bool>,
    faults: usize,
    /// Batches since the circuit closed, up to a whole window.
    since_closed: usize,
    cool_down: Duration,
    open_until: Option<Instant>,
}

impl Circuit {
    pub(crate) fn new(settings: &CircuitSettings, policy: OnFault) -> Self {
        let window = settings.window as usize;
        let state = State {
            window: VecDeque::with_capacity(window),
            faults: 0,
            since_closed: window,
            cool_down: settings.cool_down,
            open_until: None,
        };
        Self { settings: settings.clone(), policy, open: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Whether it is open, and perhaps due for a probe.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Decides whether the node may be called.
    pub(crate) fn admit(&self, now: impl FnOnce() -> Instant) -> Admission {
        if !self.is_open() {
            return Admission::Call;
        }
        let mut state = self.state.lock();
        match state.open_until {
            None => Admission::Call,
            // A stopped pipeline has no batches to probe with.
            Some(_) if self.policy == OnFault::Stop => Admission::Refused,
            Some(until) => {
                let now = now();
                if now < until {
                    return Admission::Refused;
                }
                // No other batch becomes a probe meanwhile. If this one never ends, another follows
                // after the cool-down.
                state.open_until = Some(now + state.cool_down);
                Admission::Probe
            }
        }
    }

    /// Records the result of a call.
    pub(crate) fn record(&self, admission: Admission, faulted: bool, now: impl FnOnce() -> Instant) -> Option<Change> {
        let mut state = self.state.lock();
        match (admission, state.open_until) {
            (Admission::Probe, Some(_)) if faulted => {
                state.cool_down = self.next(state.cool_down);
                state.open_until = Some(now() + state.cool_down);
                None
            }
            (Admission::Probe, Some(_)) => {
                state.open_until = None;
                state.since_closed = 0;
                self.open.store(false, Ordering::Release);
                Some(Change::Closed)
            }
            (Admission::Call, None) => self.count(&mut state, faulted, now),
            // The call began before the circuit opened, or a faster probe has already decided.
            _ => None,
        }
    }

    fn count(&self, state: &mut State, faulted: bool, now: impl FnOnce() -> Instant) -> Option<Change> {
        let window = self.settings.window as usize;
        if state.window.len() >= window && state.window.pop_front() == Some(true) {
            state.faults -= 1;
        }
        state.window.push_back(faulted);
        state.faults += usize::from(faulted);
        if state.since_closed < window {
            state.since_closed += 1;
        }
        let (faulted, of) = (state.faults, state.window.len());
        let enough = of >= window.min(self.settings.min_batches as usize);
        if !enough || faulted * 100 <= of * self.settings.fault_percent as usize {
            return None;
        }
        state.cool_down =
            if state.since_closed < window { self.next(state.cool_down) } else { self.settings.cool_down };
        state.window.clear();
        state.faults = 0;
        state.open_until = Some(now() + state.cool_down);
        self.open.store(true, Ordering::Release);
        Some(Change::Opened { faulted, of })
    }

    fn next(&self, cool_down: Duration) -> Duration {
        cool_down.saturating_mul(2).min(self.settings.max_cool_down.max(self.settings.cool_down))
    }
}

#[cfg(test)]
mod tests;
