//! The circuit of a node: when it faults on too many batches it is not called any more, and tried again now and then.
//!
//! Closed, it counts which of the last batches faulted. It opens when more than the configured share did. Open, it
//! refuses batches until the cool-down is over; then one batch is let through as a probe. A probe that faults doubles
//! the cool-down, one that does not closes the circuit. A circuit that opens again before it has seen a whole window
//! goes on doubling, so a node that works now and then costs little too.
//!
//! One circuit serves all workers of a generation; a reload begins with closed ones, since the node may be mended.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{CircuitSettings, OnFault};

/// Whether a node may be called for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Call,
    /// It may, and the result decides whether the circuit closes.
    Probe,
    /// It may not.
    Refused,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The circuit opened, as so many of so many batches faulted.
    Opened { faulted: usize, of: usize },
    /// It closed.
    Closed,
}

pub(crate) struct Circuit {
    settings: CircuitSettings,
    pub(crate) policy: OnFault,
    /// Whether `state.open_until` is set, so that a closed circuit is seen to be closed without a lock.
    open: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// For each of the last batches whether it faulted.
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

    /// Asks whether the node may be called.
    pub(crate) fn admit(&self, now: impl FnOnce() -> Instant) -> Admission {
        if !self.open.load(Ordering::Acquire) {
            return Admission::Call;
        }
        let mut state = self.state.lock();
        match state.open_until {
            None => Admission::Call,
            // A pipeline that stopped has no batches to try.
            Some(_) if self.policy == OnFault::Stop => Admission::Refused,
            Some(until) => {
                let now = now();
                if now < until {
                    return Admission::Refused;
                }
                // No other batch is a probe meanwhile. If this one never ends, another follows after the cool-down.
                state.open_until = Some(now + state.cool_down);
                Admission::Probe
            }
        }
    }

    /// Takes in what came of a call.
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
            // Called before the circuit opened, or as a probe before one that was quicker: too late to matter.
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
