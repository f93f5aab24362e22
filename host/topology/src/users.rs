//! Which generations the workers use, so that nodes with shared state change over together.
//!
//! Usually each worker changes to a new generation at its own batch boundary. If workers share the
//! state of a node, the old instance must have processed its last batch before the new one restores
//! the state, so workers wait for each other. None of them holds a batch while it waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use crate::generation::Generation;

/// How often a waiting worker checks whether the run ends.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The generations in use.
#[derive(Default)]
pub(crate) struct Users {
    /// By number: how many workers use the generation, and whether it has shared nodes.
    generations: Mutex<BTreeMap<u64, (usize, bool)>>,
    left: Condvar,
}

impl Users {
    /// Makes a worker a user of the current generation; `None` if the run ends first.
    pub(crate) fn enter(
        &self,
        current: &ArcSwap<Generation>,
        is_stopped: impl Fn() -> bool,
    ) -> Option<Arc<Generation>> {
        let mut generations = self.generations.lock();
        loop {
            let next = current.load_full();
            let must_wait = generations.range(..next.number).any(|(_, (_, shares))| *shares || next.shares_nodes());
            // Another worker already uses a newer one.
            let is_outdated = generations.range(next.number + 1..).next().is_some();
            if !must_wait && !is_outdated {
                generations.entry(next.number).or_insert((0, next.shares_nodes())).0 += 1;
                return Some(next);
            }
            if is_stopped() {
                return None;
            }
            self.left.wait_for(&mut generations, LOOK_AGAIN);
        }
    }

    /// Whether a worker uses a generation before this one.
    pub(crate) fn uses_before(&self, number: u64) -> bool {
        self.generations.lock().range(..number).next().is_some()
    }

    /// Ends the use of a generation by a worker.
    pub(crate) fn leave(&self, number: u64) {
        let mut generations = self.generations.lock();
        if let Some((users, _)) = generations.get_mut(&number) {
            *users -= 1;
            if *users == 0 {
                generations.remove(&number);
            }
        }
        drop(generations);
        self.left.notify_all();
    }
}
