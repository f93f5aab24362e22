//! Changes of metrics, which take effect only if the call succeeds.

use super::{MetricError, NodeMetrics, Value};

/// A change of a metric, with its handle.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricChange {
    /// Adds to a counter.
    Add(u32, u64),
    /// Sets a gauge.
    Set(u32, f64),
    /// Adds values to a histogram.
    Observe(u32, Vec<f64>),
}

impl MetricChange {
    fn handle(&self) -> u32 {
        match self {
            Self::Add(handle, _) | Self::Set(handle, _) | Self::Observe(handle, _) => *handle,
        }
    }
}

impl NodeMetrics {
    /// Applies a change, or adds it to `pending` for a later [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// The handle does not exist, or belongs to another kind of metric.
    pub fn change(&self, change: MetricChange, pending: Option<&mut Vec<MetricChange>>) -> Result<(), MetricError> {
        let is_right = matches!(
            (&*self.value(change.handle())?, &change),
            (Value::Counter(_), MetricChange::Add(..))
                | (Value::Gauge(_), MetricChange::Set(..))
                | (Value::Histogram(_), MetricChange::Observe(..))
        );
        match pending {
            // A wrong handle takes the other branch, which returns the error.
            Some(pending) if is_right => {
                pending.push(change);
                Ok(())
            }
            _ => self.apply(change),
        }
    }

    /// Applies a change.
    ///
    /// # Errors
    ///
    /// The handle does not exist, or belongs to another kind of metric.
    pub fn apply(&self, change: MetricChange) -> Result<(), MetricError> {
        match change {
            MetricChange::Add(handle, amount) => self.add(handle, amount),
            MetricChange::Set(handle, value) => self.set(handle, value),
            MetricChange::Observe(handle, values) => self.observe(handle, &values),
        }
    }
}
