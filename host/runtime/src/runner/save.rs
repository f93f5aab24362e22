//! Saves the state of a runner's instance.
//!
//! State that is larger than `limits.state` cannot be saved, so no event since the last snapshot could be acknowledged: its
//! source would send it again to a node that grows as before, without end. So the host calls the timer as at the end of the
//! run: the node makes all that it holds, with whatever marks its unfinished results have. State that is too large even
//! then has no events that the node still owes, so the node continues without it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wattle_batch::Outcome;

use super::instances::SAVE_PAUSE;
use super::{Runner, SAY_AGAIN};
use crate::fault::Fault;
use crate::snapshot::Saved;

/// How to get on with state that is too large.
const HINT: &str = "raise `limits.state` of the node, or lower its options for memory";

impl Runner {
    /// Saves the state between two calls. State that is too large is relieved by [`relieve`](Self::relieve), if the node
    /// has a timer.
    pub(super) fn store(&mut self) {
        let Some(fault) = self.try_save() else { return };
        if let (Some(saved), Some(_)) = (&mut self.saved, &self.timer) {
            saved.is_too_large = true;
            if saved.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                saved.said = Some(Instant::now());
                let error = fault.summary();
                tracing::warn!(
                    node = %self.settings.name, error, hint = HINT,
                    "the state is too large to save; the node makes all that it holds"
                );
            }
        } else if !self.compiled.description.holds_events && self.slot.as_ref().is_some_and(|slot| slot.is_durable()) {
            self.start_over(&fault);
        } else {
            self.fall_back(&fault, HINT);
        }
    }

    /// Saves the state before the instance ends, or goes back to the last snapshot.
    pub(super) fn store_finally(&mut self) {
        if let Some(fault) = self.try_save() {
            self.fall_back(&fault, HINT);
        }
    }

    /// Whether [`relieve`](Self::relieve) has something to do.
    pub(super) fn is_too_large(&self) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.is_too_large)
    }

    /// Has a node whose state is too large make all that it holds.
    pub(super) fn relieve(&mut self) -> Option<Outcome> {
        if !std::mem::take(&mut self.saved.as_mut()?.is_too_large) {
            return None;
        }
        // After a fault in between, the next instance continues from the last snapshot.
        let instance = self.instance.take()?;
        let (instance, outcome) = self.tick_on(instance, true);
        self.instance = instance;
        if outcome.is_some()
            && let Some(fault) = self.try_save()
        {
            self.start_over(&fault);
        }
        outcome
    }

    /// Saves the state if it changed. Returns a fault, and changes nothing, if it is too large.
    fn try_save(&mut self) -> Option<Fault> {
        let (saved, slot) = self.saved.as_mut().zip(self.slot.as_ref())?;
        let instance = self.instance.as_mut().filter(|_| saved.is_newer)?;
        let since = Instant::now();
        let done = instance.save();
        saved.next = Instant::now() + since.elapsed() * SAVE_PAUSE;
        match done {
            Ok(Some(Saved::TooLarge(fault))) => {
                self.stats.faults.add(&fault);
                return Some(fault);
            }
            Ok(Some(Saved::Snapshot(snapshot))) => {
                self.stats.state_bytes.store(snapshot.bytes.len() as u64, Ordering::Relaxed);
                slot.set(vec![snapshot], since.elapsed());
                (saved.is_newer, saved.is_too_large) = (false, false);
            }
            Ok(None) => saved.is_newer = false,
            Err(fault) => {
                self.stats.faults.add(&fault);
                self.fall_back(&fault, "its sources send again what came since");
            }
        }
        None
    }

    /// Continues without the state of a node that holds no events.
    fn start_over(&mut self, fault: &Fault) {
        let (Some(saved), Some(slot)) = (&mut self.saved, &self.slot) else { return };
        (saved.is_newer, saved.is_too_large) = (false, false);
        self.stats.state_lost.fetch_add(1, Ordering::Relaxed);
        slot.set(Vec::new(), Duration::ZERO);
        self.instance = None;
        self.memory.set(0);
        let error = fault.summary();
        tracing::error!(
            node = %self.settings.name, error, hint = HINT,
            "the state is too large to save; the node starts without state"
        );
    }

    /// Goes back to the last snapshot.
    fn fall_back(&mut self, fault: &Fault, hint: &'static str) {
        let (kind, error) = (fault.kind.name(), fault.summary());
        tracing::warn!(
            node = %self.settings.name,
            kind,
            error,
            hint,
            "cannot save the state; keeping the previous snapshot"
        );
        self.instance = None;
        self.memory.set(0);
        if let Some(saved) = &mut self.saved {
            (saved.is_newer, saved.is_too_large) = (false, false);
        }
        // The next instance continues from that snapshot.
        self.slot.iter().for_each(|slot| slot.roll_back());
    }
}
