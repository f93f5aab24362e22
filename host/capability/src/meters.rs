//! Counts of a node's use of its capabilities.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::capability::Capability;

/// Counts of a node's use of one capability.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    errors: AtomicU64,
    suppressed: AtomicU64,
}

impl Meter {
    /// Counts a call.
    pub fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error: a violation of the contract, or a call that returned an error.
    pub fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts items that were suppressed because they exceed the grant.
    pub fn suppress(&self, items: u64) {
        self.suppressed.fetch_add(items, Ordering::Relaxed);
    }

    /// Returns the number of calls, errors, and suppressed items.
    pub fn read(&self) -> [u64; 3] {
        [&self.calls, &self.errors, &self.suppressed].map(|count| count.load(Ordering::Relaxed))
    }
}

/// The meters of one node, over all its instances.
#[derive(Debug, Default)]
pub struct Meters([Meter; Capability::ALL.len()]);

impl Meters {
    /// The meter of a capability.
    pub fn of(&self, capability: Capability) -> &Meter {
        // The index is always valid, since the discriminants index `ALL`.
        let [first, ..] = &self.0;
        self.0.get(capability as usize).unwrap_or(first)
    }
}
