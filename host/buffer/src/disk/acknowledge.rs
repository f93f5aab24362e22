//! Ends the deliveries that the reader handed out.

use std::sync::Arc;

use super::files::Storage;
use super::state::Shared;

/// Ends deliveries, from any thread, without I/O.
#[derive(Debug)]
pub struct Acknowledger<S> {
    pub(super) shared: Arc<Shared<S>>,
}

impl<S> Clone for Acknowledger<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Storage> Acknowledger<S> {
    /// Ends a delivery: with `done` for good, otherwise it is returned to the reader. Ending a
    /// delivery twice has no effect.
    pub fn end(&self, id: u64, done: bool) {
        let mut state = self.shared.state.lock();
        let Some(flight) = state.flight(id).filter(|flight| !flight.done) else { return };
        if !done {
            state.returned.insert(id);
            drop(state);
            self.shared.events.readable.notify_one();
            return;
        }
        flight.done = true;
        let (sequence, events) = (flight.start.sequence, flight.events);
        // The reader ends a returned delivery that it cannot read again.
        state.returned.remove(&id);
        if let Some(segment) = state.segment(sequence) {
            segment.events = segment.events.saturating_sub(events);
        }
        let moved = state.land();
        self.shared.publish(&state);
        drop(state);
        if moved {
            self.shared.events.acknowledged.notify_one();
        }
    }

    /// Whether all committed records are acknowledged.
    pub fn is_empty(&self) -> bool {
        let mut state = self.shared.state.lock();
        state.flights.is_empty() && state.reading().is_none()
    }
}
