//! Settings of a shadow and of a canary, which run another version of a pipeline's pack on live
//! events, and of the rollback.

use std::time::Duration;

/// A candidate processes copies of batches; its results are compared and discarded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShadowSettings {
    /// Share of the batches that it receives, if it keeps up.
    pub share: f64,
    /// Share of one core that it may use; batches beyond that are skipped.
    pub max_cpu_share: f64,
}

impl Default for ShadowSettings {
    fn default() -> Self {
        Self { share: 1.0, max_cpu_share: 0.2 }
    }
}

/// A candidate processes a share of the batches until it is promoted or rolled back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanarySettings {
    /// Share of the batches that go to the candidate.
    pub share: f64,
    /// How long it must keep to all rules.
    pub time: Duration,
    /// Minimum number of events that it must have processed.
    pub min_events: u64,
    /// Maximum excess of its fault rate per batch over that of the running version.
    pub max_fault_rate: f64,
    /// Maximum excess of its share of dropped events over that of the running version.
    pub max_drop_rate: f64,
    /// Maximum excess of its share of failed events over that of the running version.
    pub max_fail_rate: f64,
    /// Maximum ratio of its time per byte to that of the running version.
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

/// When the agent rolls back a version that a reload just applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollbackSettings {
    /// Whether automatic rollback is enabled.
    pub enabled: bool,
    /// Time after the reload during which a rollback can happen.
    pub probation: Duration,
    /// Maximum excess of its fault rate per batch over that of the previous version.
    pub max_fault_rate: f64,
    /// Minimum number of batches before a rollback.
    pub min_batches: u64,
}

impl Default for RollbackSettings {
    fn default() -> Self {
        Self { enabled: true, probation: Duration::from_mins(1), max_fault_rate: 0.05, min_batches: 20 }
    }
}
