//! The balance of a pipeline, checked for each batch.
//!
//! The terms of the balance ([`crate::PipelineCounts`]) are counts of their own types. Adding to one needs the
//! [`Balance`] of the batch in work, so no place can change a term and forget the check. After a batch the balance is 0,
//! whatever happened to it; anything else is a bug of the agent.

use std::sync::atomic::{AtomicU64, Ordering};

/// Events that came in and are not accounted for yet, in one call of a pipeline.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Balance(i64);

impl Balance {
    /// The events that are not accounted for; negative if more left than came in. The balance is 0 again.
    pub(crate) fn take(&mut self) -> i64 {
        std::mem::take(&mut self.0)
    }
}

/// A count of events that came into a pipeline, or that it made.
#[derive(Debug, Default)]
pub struct EventsIn(AtomicU64);

/// A count of events that left a pipeline in any way.
#[derive(Debug, Default)]
pub struct EventsOut(AtomicU64);

impl EventsIn {
    /// Counts events.
    pub fn add(&self, events: usize, balance: &mut Balance) {
        balance.0 = balance.0.wrapping_add(signed(events));
        self.0.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Events so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl EventsOut {
    /// Counts events.
    pub fn add(&self, events: usize, balance: &mut Balance) {
        balance.0 = balance.0.wrapping_sub(signed(events));
        self.0.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Events so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn signed(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_the_difference_of_what_came_in_and_what_left() {
        let (received, delivered, mut balance) = (EventsIn::default(), EventsOut::default(), Balance::default());
        received.add(5, &mut balance);
        delivered.add(3, &mut balance);
        assert_eq!((received.count(), delivered.count()), (5, 3));
        assert_eq!((balance.take(), balance.take()), (2, 0));
        delivered.add(2, &mut balance);
        assert_eq!(balance.take(), -2);
    }
}
