//! Changes of metrics, which a call makes only if it ends well.

use super::{NodeMetrics, Value};

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
    /// Makes a change, or keeps it in `pending` for [`apply`](Self::apply) where there is a list.
    ///
    /// # Errors
    ///
    /// The handle does not exist, or is of another kind.
    pub fn change(&self, change: MetricChange, pending: Option<&mut Vec<MetricChange>>) -> Result<(), String> {
        let is_right = matches!(
            (&*self.value(change.handle())?, &change),
            (Value::Counter(_), MetricChange::Add(..))
                | (Value::Gauge(_), MetricChange::Set(..))
                | (Value::Histogram(_), MetricChange::Observe(..))
        );
        match pending {
            // The error is that of the change itself.
            Some(pending) if is_right => {
                pending.push(change);
                Ok(())
            }
            _ => self.apply(change),
        }
    }

    /// Makes a change.
    ///
    /// # Errors
    ///
    /// The handle does not exist, or is of another kind.
    pub fn apply(&self, change: MetricChange) -> Result<(), String> {
        match change {
            MetricChange::Add(handle, amount) => self.add(handle, amount),
            MetricChange::Set(handle, value) => self.set(handle, value),
            MetricChange::Observe(handle, values) => self.observe(handle, &values),
        }
    }
}
