//! What the reader, the sender, the saver and acknowledgements share.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::Disposition;

use super::events::Part;
use super::position::Position;
use crate::sending::{self, Outgoing, Unacknowledged};

/// What ends with a batch.
#[derive(Debug)]
pub(super) struct About {
    /// [`Read::number`] of its entries.
    number: u64,
    cost: usize,
}

/// Consecutive entries that were read.
#[derive(Debug)]
struct Read {
    number: u64,
    position: Position,
    is_done: bool,
}

#[derive(Default)]
struct State {
    /// What was read and is not part of the position yet, in order.
    read: VecDeque<Read>,
    /// Up to where everything is acknowledged, if that was not saved.
    moved: Option<Position>,
    batches: Unacknowledged<About>,
    /// Bytes of all batches that are not acknowledged.
    held_bytes: usize,
    number: u64,
    is_stopping: bool,
}

/// What a source has read and not saved.
pub(super) struct Shared {
    state: Mutex<State>,
    max_bytes: usize,
    /// There is something for the sender to do.
    pub(super) to_send: Notify,
    /// Something was acknowledged: there may be room, and the source may be idle.
    pub(super) ended: Notify,
    /// The position has moved.
    pub(super) moved: Notify,
}

impl Shared {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), max_bytes, to_send: Notify::new(), ended: Notify::new(), moved: Notify::new() }
    }

    /// Sets a first position, which is to be saved.
    pub(super) fn begin_at(&self, position: Position) {
        self.state.lock().moved = Some(position);
    }

    /// Whether `max_in_flight_bytes` are held, so that reading must pause.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().held_bytes >= self.max_bytes
    }

    /// Whether everything that was read is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().batches.is_empty()
    }

    /// Waits until no batch is under way.
    pub(super) async fn drained(&self) {
        loop {
            let ended = self.ended.notified();
            if self.state.lock().batches.in_flight() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Takes entries: their events wait for the sender.
    pub(super) fn take(&self, part: Part) {
        let Part { batch, position, cost } = part;
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let is_done = batch.is_none();
        // Excluded entries in a row have one place, so that they take no memory while a batch before them is under way.
        match state.read.back_mut().filter(|last| last.is_done && is_done) {
            Some(last) => last.position = position,
            None => state.read.push_back(Read { number, position, is_done }),
        }
        if let Some(batch) = batch {
            state.held_bytes += cost;
            state.batches.push(batch, About { number, cost });
        }
        let has_moved = state.advance();
        drop(state);
        if has_moved {
            self.moved.notify_one();
        }
        self.to_send.notify_one();
    }

    /// The source stops: what was not sent is not sent any more.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.batches.retain(|_| false);
        drop(state);
        self.ended.notify_waiters();
    }

    /// The position to save, if there is one that was not saved.
    pub(super) fn take_moved(&self) -> Option<Position> {
        self.state.lock().moved.take()
    }

    /// A position could not be saved.
    pub(super) fn not_saved(&self, position: Position) {
        // A later one may be there by now.
        self.state.lock().moved.get_or_insert(position);
    }
}

impl sending::Shared for Shared {
    type About = About;

    fn next(&self) -> Result<Outgoing<About>, Option<Instant>> {
        self.state.lock().batches.next()
    }

    fn ended(&self, outgoing: Outgoing<About>, disposition: Disposition) {
        let mut state = self.state.lock();
        state.batches.end();
        let mut has_moved = false;
        if disposition == Disposition::Retry {
            // Its bytes stay counted until it is delivered. When the source stops, its entries stay unread.
            if !state.is_stopping {
                state.batches.send_again(outgoing);
            }
        } else {
            // Rejected events were counted where they were rejected; reading them again cannot help.
            let About { number, cost } = outgoing.about;
            state.held_bytes = state.held_bytes.saturating_sub(cost);
            let first = state.read.front().map_or(0, |first| first.number);
            // Numbers have gaps where excluded entries share a place, so the place is at or before the difference.
            let most = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
            let end = most.saturating_add(1).min(state.read.len());
            let place = state.read.iter_mut().take(end).rev().find(|read| read.number == number);
            if let Some(read) = place {
                read.is_done = true;
            }
            has_moved = state.advance();
        }
        drop(state);
        if has_moved {
            self.moved.notify_one();
        }
        self.to_send.notify_one();
        self.ended.notify_waiters();
    }

    fn changed(&self) -> &Notify {
        &self.to_send
    }
}

impl State {
    /// Moves the position over everything that is acknowledged. Returns whether it moved.
    fn advance(&mut self) -> bool {
        let mut has_moved = false;
        while let Some(first) = self.read.front().filter(|first| first.is_done) {
            self.moved = Some(first.position.clone());
            self.read.pop_front();
            has_moved = true;
        }
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use wattle_batch::{Ack, Batch, Column, Origin};

    fn part(name: &str, has_events: bool) -> Part {
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
        let batch = has_events.then(|| Batch::new(Column::from_rows([name]).unwrap(), origin, Ack::none()));
        let position = Position { cursor: Some(name.to_owned()), realtime: 0 };
        Part { batch, position, cost: 10 }
    }

    fn moved(shared: &Shared) -> Option<String> {
        shared.take_moved().and_then(|position| position.cursor)
    }

    fn push(shared: &Arc<Shared>) -> Ack {
        let outgoing = sending::Shared::next(&**shared).unwrap();
        sending::with_ack(shared, outgoing).into_ack()
    }

    #[test]
    fn the_position_never_passes_what_is_not_acknowledged() {
        let shared = Arc::new(Shared::new(25));
        for (name, has_events) in [("a", true), ("b", false), ("c", false), ("d", true), ("e", false), ("f", true)] {
            shared.take(part(name, has_events));
        }
        assert!(shared.is_full());
        let (a, d, f) = (push(&shared), push(&shared), push(&shared));
        assert_eq!(sending::Shared::next(&*shared).err(), Some(None));
        d.deliver();
        assert_eq!(moved(&shared), None);
        assert!(!shared.is_full());
        a.deliver();
        assert_eq!(moved(&shared).as_deref(), Some("e"));
        assert!(!shared.is_idle());
        f.deliver();
        assert_eq!(moved(&shared).as_deref(), Some("f"));
        assert!(shared.is_idle());
    }

    #[test]
    fn excluded_entries_move_the_position_when_nothing_is_before_them() {
        let shared = Arc::new(Shared::new(1));
        shared.take(part("a", false));
        assert_eq!(moved(&shared).as_deref(), Some("a"));
        shared.take(part("b", true));
        for index in 0..1000 {
            shared.take(part(&format!("c{index}"), false));
        }
        assert_eq!(shared.state.lock().read.len(), 2);
        assert_eq!(moved(&shared), None);
        push(&shared).deliver();
        assert_eq!(moved(&shared).as_deref(), Some("c999"));
    }

    #[tokio::test]
    async fn what_returns_is_sent_again_in_order_until_the_source_stops() {
        let shared = Arc::new(Shared::new(1));
        ["a", "b", "c"].into_iter().for_each(|name| shared.take(part(name, true)));
        let (a, b) = (push(&shared), push(&shared));
        // Dropping an acknowledgement returns its events.
        drop(b);
        drop(a);
        let at = sending::Shared::next(&*shared).err().flatten().unwrap();
        tokio::time::sleep_until(at).await;
        let mut sent: Vec<Batch> =
            (0..3).map(|_| sending::with_ack(&shared, sending::Shared::next(&*shared).unwrap())).collect();
        let names: Vec<(&[u8], bool)> =
            sent.iter().map(|batch| (batch.body().row(0), batch.is_redelivered())).collect();
        assert_eq!(names, [(&b"a"[..], true), (b"b", true), (b"c", false)]);
        sent.remove(0).into_ack().deliver();
        shared.stop();
        drop(sent);
        assert_eq!(moved(&shared).as_deref(), Some("a"));
        shared.drained().await;
        assert!(shared.is_idle());
    }
}
