//! How much a node uses its capabilities.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::capability::Capability;

/// How much a node uses one capability.
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

    /// Counts an error: a rule that was broken, or an answer that is one.
    pub fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts something that was left out because it was beyond what is granted.
    pub fn suppress(&self) {
        self.suppressed.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls, errors, and what was left out.
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
        // Each stands at the place of its number; there is always one.
        let [first, ..] = &self.0;
        self.0.get(capability as usize).unwrap_or(first)
    }
}
