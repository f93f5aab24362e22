//! Trying another version of a pipeline's pack on what flows: settings of a shadow and of a canary.

use std::time::Duration;

/// A candidate runs on the same batches, and what it makes of them is compared and thrown away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShadowSettings {
    /// Share of the batches that it is given, if it keeps up.
    pub share: f64,
    /// Share of one core that it may take; batches beyond that are passed over.
    pub max_cpu_share: f64,
}

impl Default for ShadowSettings {
    fn default() -> Self {
        Self { share: 1.0, max_cpu_share: 0.2 }
    }
}

/// A candidate takes a share of the batches for real, until it is promoted or rolled back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanarySettings {
    /// Share of the batches that go to the candidate.
    pub share: f64,
    /// How long it must do well.
    pub time: Duration,
    /// Events that it must have seen besides.
    pub min_events: u64,
    /// By how much the share of its batches at which a node faults may exceed that of the running version.
    pub max_fault_rate: f64,
    /// By how much the share of its events that are dropped may exceed that of the running version.
    pub max_drop_rate: f64,
    /// By how much the share of its events that fail may exceed that of the running version.
    pub max_fail_rate: f64,
    /// How many times as long as the running version it may take for a byte.
    pub max_latency_ratio: f64,
}

impl Default for CanarySettings {
    fn default() -> Self {
        Self {
            share: 0.05,
            time: Duration::from_mins(10),
            min_events: 1000,
            max_fault_rate: 0.001,
            max_drop_rate: 0.01,
            max_fail_rate: 0.001,
            max_latency_ratio: 2.0,
        }
    }
}

/// When a version that was just taken up is given up again by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollbackSettings {
    /// Whether that happens at all.
    pub enabled: bool,
    /// For how long after the change.
    pub probation: Duration,
    /// By how much the share of batches at which a node faults may exceed that of the version before.
    pub max_fault_rate: f64,
    /// Batches that must have been seen first.
    pub min_batches: u64,
}

impl Default for RollbackSettings {
    fn default() -> Self {
        Self { enabled: true, probation: Duration::from_mins(1), max_fault_rate: 0.05, min_batches: 20 }
    }
}
