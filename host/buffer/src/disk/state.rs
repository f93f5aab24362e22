//! The state that writer, reader, keeper and acknowledger share. It is locked briefly and never
//! during I/O.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::format::{POSITION_BYTES, SEGMENT_HEADER};
use super::stats::BufferStats;

/// A position in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

/// A segment on disk.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    pub(super) salt: u32,
    /// End of the synced bytes; bytes after it do not count.
    pub(super) end: u64,
    /// Size of the file.
    pub(super) size: u64,
    /// Whether the segment is closed for writing.
    pub(super) sealed: bool,
    pub(super) damaged: bool,
    /// Number of events that are not acknowledged.
    pub(super) events: u64,
}

impl Segment {
    pub(super) fn end(&self) -> Position {
        Position { sequence: self.sequence, offset: self.end }
    }
}

/// A record that the reader handed out, or a range of bytes that it skipped.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) events: u64,
    pub(super) done: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Ordered by number.
    pub(super) segments: VecDeque<Segment>,
    /// Numbers of files without records, each of which records where an earlier segment ends. They
    /// are removed after that segment.
    pub(super) witnesses: VecDeque<u64>,
    /// End of the newest segment ever written.
    pub(super) newest: Position,
    /// Number of the next segment.
    pub(super) next_sequence: u64,
    /// Where the reader continues.
    pub(super) read: Position,
    /// All records before this position are acknowledged.
    pub(super) acknowledged: Position,
    pub(super) flights: VecDeque<Flight>,
    /// Number of the first flight.
    pub(super) first_flight: u64,
    /// Numbers of flights that were returned undelivered.
    pub(super) returned: BTreeSet<u64>,
}

impl State {
    pub(super) fn segment(&mut self, sequence: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.sequence == sequence)
    }

    /// Size on disk that counts for the limit.
    pub(super) fn bytes(&self) -> u64 {
        let witnesses = self.witnesses.len() as u64 * SEGMENT_HEADER;
        self.segments.iter().map(|segment| segment.size).sum::<u64>() + witnesses + POSITION_BYTES
    }

    pub(super) fn flight(&mut self, id: u64) -> Option<&mut Flight> {
        let index = usize::try_from(id.checked_sub(self.first_flight)?).ok()?;
        self.flights.get_mut(index)
    }

    /// Adds a flight for a record or a skipped range.
    pub(super) fn take_off(&mut self, flight: Flight) -> u64 {
        self.read = flight.end;
        self.flights.push_back(flight);
        let id = self.first_flight + self.flights.len() as u64 - 1;
        // A skipped range is done at once and may be the first flight.
        self.land();
        id
    }

    /// Moves the acknowledged position over all flights at the front that are done.
    pub(super) fn land(&mut self) -> bool {
        let before = self.acknowledged;
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.done) {
            self.first_flight += 1;
            self.acknowledged = flight.end;
        }
        self.acknowledged != before
    }

    /// Returns the segment that the reader is in, and moves it to the next segment at the end of
    /// one; `None` if there is nothing to read.
    pub(super) fn reading(&mut self) -> Option<Segment> {
        loop {
            let read = self.read;
            let segment = self.segments.iter().find(|segment| segment.sequence >= read.sequence)?;
            if segment.sequence > read.sequence {
                self.read = Position { sequence: segment.sequence, offset: SEGMENT_HEADER };
            } else if read.offset < segment.end {
                return Some(segment.clone());
            } else if segment.sealed {
                // At the end of a closed segment, reading continues in the next one.
                self.read = Position { sequence: read.sequence + 1, offset: SEGMENT_HEADER };
            } else {
                // The writer may still append to this segment.
                return None;
            }
        }
    }
}

/// Notifications about changes of the queue.
#[derive(Debug, Default)]
pub struct Events {
    /// There may be a record to read.
    pub readable: Notify,
    /// A delivery was acknowledged.
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
    /// Publishes the sizes of the state as counts.
    pub(super) fn publish(&self, state: &State) {
        self.stats.bytes.store(state.bytes(), Ordering::Relaxed);
        let events = state.segments.iter().map(|segment| segment.events).sum();
        self.stats.events.store(events, Ordering::Relaxed);
    }
}
