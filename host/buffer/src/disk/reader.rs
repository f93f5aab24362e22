//! Reads records in order, skips damage, and reads returned records again.

use std::io;
use std::sync::Arc;

use super::files::Storage;
use super::format::segment_name;
use super::scan::{next_record, record_at};
use super::state::{Flight, Position, Segment, Shared};
use super::stats::add;

/// A record from the queue. The receiver ends it with
/// [`Acknowledger::end`](super::Acknowledger::end).
#[derive(Debug)]
pub struct Delivery {
    /// Number of the delivery, for ending it.
    pub id: u64,
    /// Number of events.
    pub events: usize,
    /// The content as it was written.
    pub content: Vec<u8>,
}

/// The reading side of a queue on disk.
#[derive(Debug)]
pub struct Reader<S: Storage> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) file: Option<(u64, S::File)>,
}

impl<S: Storage> Reader<S> {
    /// Reads the next record: one that was returned undelivered, or else the next stored one.
    /// Returns `None` if no record is available now.
    ///
    /// # Errors
    ///
    /// A file cannot be read. Nothing was consumed, and the next call retries the same record; see
    /// [`Reader::skip`].
    pub fn read(&mut self) -> io::Result<Option<Delivery>> {
        loop {
            if let Some((id, flight)) = self.returned() {
                match self.read_again(&flight)? {
                    Some((events, content)) => {
                        self.shared.state.lock().returned.remove(&id);
                        return Ok(Some(Delivery { id, events, content }));
                    }
                    None => {
                        // The record was readable before, so it is damaged now; it cannot be
                        // delivered again.
                        let bytes = flight.end.offset - flight.start.offset;
                        self.note_damage(flight.start, bytes);
                        self.end(id);
                        continue;
                    }
                }
            }
            let Some((segment, offset)) = self.place() else {
                // A removed file occupies its blocks while it is open. On a full volume, the writer
                // may need them for the next segment, and without that segment this reader would
                // never close the file.
                self.file = None;
                return Ok(None);
            };
            let start = Position { sequence: segment.sequence, offset };
            let file = self.open(segment.sequence)?;
            if let Some(record) = record_at(file, segment.salt, offset, segment.end)? {
                let end = Position { offset: offset + record.header.size(), ..start };
                let events = record.header.events;
                let flight = Flight { start, end, events: u64::from(events), done: false };
                let id = self.shared.state.lock().take_off(flight);
                return Ok(Some(Delivery { id, events: events as usize, content: record.content }));
            }
            // No complete record starts here, so skip to the next one.
            let next = next_record(file, segment.salt, offset + 1, segment.end)?;
            self.pass_over(start, next);
        }
    }

    /// Skips to the end of the segment after [`Reader::read`] failed repeatedly. The file stays for
    /// the operator.
    pub fn skip(&mut self) {
        self.file = None;
        if let Some((id, flight)) = self.returned() {
            self.note_damage(flight.start, flight.end.offset - flight.start.offset);
            self.end(id);
        } else if let Some((segment, offset)) = self.place() {
            self.pass_over(Position { sequence: segment.sequence, offset }, segment.end);
        }
    }

    /// Ends a delivery that is intact but that the receiver cannot decode. It counts as damaged,
    /// and the file stays.
    pub fn reject(&mut self, id: u64) {
        let flight = self.shared.state.lock().flight(id).cloned();
        if let Some(flight) = flight {
            self.note_damage(flight.start, flight.end.offset - flight.start.offset);
            self.end(id);
        }
    }

    fn returned(&self) -> Option<(u64, Flight)> {
        let mut state = self.shared.state.lock();
        let id = *state.returned.first()?;
        let flight = state.flight(id)?.clone();
        Some((id, flight))
    }

    fn place(&self) -> Option<(Segment, u64)> {
        let mut state = self.shared.state.lock();
        let segment = state.reading()?;
        Some((segment, state.read.offset))
    }

    fn read_again(&mut self, flight: &Flight) -> io::Result<Option<(usize, Vec<u8>)>> {
        let segment = self.shared.state.lock().segment(flight.start.sequence).cloned();
        let Some(segment) = segment else { return Ok(None) };
        let file = self.open(segment.sequence)?;
        let record = record_at(file, segment.salt, flight.start.offset, flight.end.offset)?;
        Ok(record.map(|record| (record.header.events as usize, record.content)))
    }

    fn open(&mut self, sequence: u64) -> io::Result<&S::File> {
        let kept = self.file.take().filter(|(open, _)| *open == sequence);
        let file = match kept {
            Some((_, file)) => file,
            None => self.shared.storage.open(&segment_name(sequence))?,
        };
        Ok(&self.file.insert((sequence, file)).1)
    }

    fn pass_over(&self, start: Position, to: u64) {
        self.note_damage(start, to - start.offset);
        let end = Position { offset: to, ..start };
        let moved = {
            let mut state = self.shared.state.lock();
            let before = state.acknowledged;
            state.take_off(Flight { start, end, events: 0, done: true });
            state.acknowledged != before
        };
        if moved {
            self.shared.events.acknowledged.notify_one();
        }
    }

    fn note_damage(&self, at: Position, bytes: u64) {
        tracing::error!(
            sink = %self.shared.name, segment = segment_name(at.sequence), offset = at.offset, bytes,
            "events in the disk buffer cannot be read; delivering the others and keeping the file as `.damaged`"
        );
        add(&self.shared.stats.damaged_bytes, bytes);
        if let Some(segment) = self.shared.state.lock().segment(at.sequence) {
            segment.damaged = true;
        }
    }

    fn end(&self, id: u64) {
        super::Acknowledger { shared: self.shared.clone() }.end(id, true);
    }
}
