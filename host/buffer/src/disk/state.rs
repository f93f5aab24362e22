//! What writer, reader, keeper and acknowledgements know of each other. Held for moments only, never over I/O.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::format::{POSITION_BYTES, SEGMENT_HEADER};
use super::stats::BufferStats;

/// A place in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

/// A segment that is on disk.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    pub(super) salt: u32,
    /// End of what is synced; nothing after it counts.
    pub(super) end: u64,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Nothing is added any more.
    pub(super) sealed: bool,
    pub(super) damaged: bool,
    /// Events in it that are not acknowledged.
    pub(super) events: u64,
}

impl Segment {
    pub(super) fn end(&self) -> Position {
        Position { sequence: self.sequence, offset: self.end }
    }
}

/// A record that the reader has handed out, or bytes that it passed over.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) events: u64,
    pub(super) done: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By their numbers.
    pub(super) segments: VecDeque<Segment>,
    /// Files without records, each of which says where a segment before it ends. They go when that one has gone.
    pub(super) witnesses: VecDeque<u64>,
    /// End of the newest segment that there ever was.
    pub(super) newest: Position,
    /// Number of the next segment.
    pub(super) next_sequence: u64,
    /// Where the reader goes on.
    pub(super) read: Position,
    /// Everything before is acknowledged.
    pub(super) acknowledged: Position,
    pub(super) flights: VecDeque<Flight>,
    /// Number of the first of them.
    pub(super) first_flight: u64,
    /// Those that came back undelivered.
    pub(super) returned: BTreeSet<u64>,
}

impl State {
    pub(super) fn segment(&mut self, sequence: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.sequence == sequence)
    }

    /// Bytes on disk that the bound is for.
    pub(super) fn bytes(&self) -> u64 {
        let witnesses = self.witnesses.len() as u64 * SEGMENT_HEADER;
        self.segments.iter().map(|segment| segment.size).sum::<u64>() + witnesses + POSITION_BYTES
    }

    pub(super) fn flight(&mut self, id: u64) -> Option<&mut Flight> {
        let index = usize::try_from(id.checked_sub(self.first_flight)?).ok()?;
        self.flights.get_mut(index)
    }

    /// Adds what the reader has read or passed over.
    pub(super) fn take_off(&mut self, flight: Flight) -> u64 {
        self.read = flight.end;
        self.flights.push_back(flight);
        let id = self.first_flight + self.flights.len() as u64 - 1;
        self.land();
        id
    }

    /// Moves the acknowledged position over all that is done.
    pub(super) fn land(&mut self) -> bool {
        let before = self.acknowledged;
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.done) {
            self.first_flight += 1;
            self.acknowledged = flight.end;
        }
        self.acknowledged != before
    }

    /// The segment that the reader is in, moving on to the next where one is read to its end; `None` if there is
    /// nothing to read.
    pub(super) fn reading(&mut self) -> Option<Segment> {
        loop {
            let read = self.read;
            let segment = self.segments.iter().find(|segment| segment.sequence >= read.sequence)?;
            if segment.sequence > read.sequence {
                self.read = Position { sequence: segment.sequence, offset: SEGMENT_HEADER };
            } else if read.offset < segment.end {
                return Some(segment.clone());
            } else if segment.sealed {
                self.read = Position { sequence: read.sequence + 1, offset: SEGMENT_HEADER };
            } else {
                return None;
            }
        }
    }
}

/// Something to wait for.
#[derive(Debug, Default)]
pub struct Events {
    /// There may be something to read.
    pub readable: Notify,
    /// Something was acknowledged.
    pub acknowledged: Notify,
    /// A segment was removed.
    pub room: Notify,
}

#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) name: Arc<str>,
    pub(super) storage: S,
    pub(super) max_size: u64,
    pub(super) segment_size: u64,
    pub(super) state: Mutex<State>,
    pub(super) stats: Arc<BufferStats>,
    pub(super) events: Arc<Events>,
}

impl<S> Shared<S> {
    /// Publishes what the state holds now.
    pub(super) fn publish(&self, state: &State) {
        self.stats.bytes.store(state.bytes(), Ordering::Relaxed);
        let events = state.segments.iter().map(|segment| segment.events).sum();
        self.stats.events.store(events, Ordering::Relaxed);
    }
}
