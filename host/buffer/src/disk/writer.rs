//! Writes groups of records, each wholly or not at all.

use std::io;
use std::sync::Arc;

use super::files::{Storage, StoredFile, write_whole};
use super::format::{
    MARK_OFFSET, Mark, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, checksum, segment_name,
};
use super::state::{Position, Segment, Shared};
use super::stats::add;

/// Something that a queue on disk can take.
pub trait Stored {
    /// Number of events in it.
    fn events(&self) -> usize;

    /// Bytes that `encode` appends.
    fn encoded_len(&self) -> usize;

    /// Appends its bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Why nothing of a group was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no room within `max_size` until the reader acknowledges something.
    #[error("the buffer is full")]
    Full,
    /// The first of the group is too large for any record.
    #[error("more than 4 GiB in one record")]
    TooLarge,
    /// The disk did not take it; it may when it is tried again.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The writing end of a queue on disk.
#[derive(Debug)]
pub struct Writer<S: Storage> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) active: Option<Active<S::File>>,
    pub(super) buffer: Vec<u8>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active<F> {
    file: F,
    sequence: u64,
    salt: u32,
    /// End of what is synced.
    end: u64,
}

/// What the buffer holds for a segment.
struct Group {
    items: usize,
    events: u64,
}

impl<S: Storage> Writer<S> {
    /// Writes the first of these, as many as fit into one segment, and syncs them. Answers with how many; they are safe.
    ///
    /// # Errors
    ///
    /// Nothing was taken. See [`CommitError`].
    pub fn commit<T: Stored>(&mut self, items: &[T]) -> Result<usize, CommitError> {
        let Some(first) = items.first() else { return Ok(0) };
        let first = RECORD_HEADER + first.encoded_len() as u64;
        if first > u64::from(u32::MAX) {
            return Err(CommitError::TooLarge);
        }
        if self.active.as_ref().is_some_and(|active| active.end + first > self.shared.segment_size) {
            self.seal();
        }
        let room = self.room();
        let header = if self.active.is_some() { 0 } else { SEGMENT_HEADER };
        if room.is_some_and(|room| room < header + first) {
            // What is in the segment can make room only when it is closed.
            self.seal();
            return Err(CommitError::Full);
        }
        match self.active.take() {
            Some(active) => self.append(active, items, room),
            None => self.begin(items, room),
        }
    }

    /// Ends writing. What is acknowledged can be removed to the last record then.
    pub fn finish(mut self) {
        self.seal();
    }

    /// Bytes that may be added; `None` where the folder holds nothing, so that a record larger than the bound can pass.
    fn room(&self) -> Option<u64> {
        let state = self.shared.state.lock();
        let used = state.bytes();
        (!state.segments.is_empty()).then(|| self.shared.max_size.saturating_sub(used))
    }

    /// Encodes as many items as fit; the first always does.
    fn encode<T: Stored>(&mut self, items: &[T], salt: u32, synced: u64, room: Option<u64>) -> Group {
        let mut group = Group { items: 0, events: 0 };
        let before = self.buffer.len() as u64;
        for item in items {
            let size = RECORD_HEADER + item.encoded_len() as u64;
            let fits_segment = synced + self.buffer.len() as u64 + size <= self.shared.segment_size;
            let fits_room = room.is_none_or(|room| self.buffer.len() as u64 + size <= room);
            if self.buffer.len() as u64 > before && !(fits_segment && fits_room) {
                break;
            }
            let start = self.buffer.len();
            let content = start + RECORD_HEADER as usize;
            self.buffer.resize(content, 0);
            item.encode(&mut self.buffer);
            let bytes = self.buffer.get(content..).unwrap_or_default();
            let header = RecordHeader {
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                events: u32::try_from(item.events()).unwrap_or(u32::MAX),
                synced: u32::try_from(synced).unwrap_or(u32::MAX),
                checksum: checksum(salt, bytes),
            };
            let mut head = Vec::with_capacity(RECORD_HEADER as usize);
            header.write(salt, &mut head);
            if let Some(place) = self.buffer.get_mut(start..content) {
                place.copy_from_slice(&head);
            }
            group.items += 1;
            group.events += u64::from(header.events);
        }
        group
    }

    /// Adds a group to the active segment.
    fn append<T: Stored>(
        &mut self,
        mut active: Active<S::File>,
        items: &[T],
        room: Option<u64>,
    ) -> Result<usize, CommitError> {
        self.buffer.clear();
        let group = self.encode(items, active.salt, active.end, room);
        if let Err(error) = write_whole(&active.file, &self.buffer, active.end).and_then(|()| active.file.sync()) {
            // As if nothing had been written: the segment is closed where it was, and what follows there does not count,
            // since its successor says so. It stays closed even if it could be cut back: on a full disk only a closed
            // segment can be removed to make room.
            let _ = active.file.truncate(active.end);
            self.close(&active);
            return Err(error.into());
        }
        let written = self.buffer.len() as u64;
        active.end += written;
        mark(&active);
        self.added(active.sequence, &group, written);
        self.active = Some(active);
        Ok(group.items)
    }

    /// Begins a new segment with a group.
    fn begin<T: Stored>(&mut self, items: &[T], room: Option<u64>) -> Result<usize, CommitError> {
        let (sequence, previous) = {
            let mut state = self.shared.state.lock();
            // Never used twice, even where making the file fails after its name came into being.
            let sequence = state.next_sequence;
            state.next_sequence += 1;
            (sequence, state.newest)
        };
        let salt = fastrand::u32(..);
        self.buffer.clear();
        SegmentHeader { salt, sequence, previous }.write(&mut self.buffer);
        Mark(0).write(salt, &mut self.buffer);
        let group = self.encode(items, salt, 0, room);
        let name = segment_name(sequence);
        let made = self.shared.storage.create(&name).and_then(|file| {
            write_whole(&file, &self.buffer, 0)?;
            file.sync()?;
            self.shared.storage.sync()?;
            Ok(file)
        });
        let file = made.inspect_err(|_| {
            // Should it stay, the chain passes it by.
            let _ = self.shared.storage.remove(&name);
        })?;
        let end = self.buffer.len() as u64;
        self.shared.state.lock().segments.push_back(Segment {
            sequence,
            salt,
            end: SEGMENT_HEADER,
            size: SEGMENT_HEADER,
            sealed: false,
            damaged: false,
            events: 0,
        });
        self.added(sequence, &group, end - SEGMENT_HEADER);
        let active = Active { file, sequence, salt, end };
        mark(&active);
        self.active = Some(active);
        Ok(group.items)
    }

    /// Lets the reader see what was added.
    fn added(&mut self, sequence: u64, group: &Group, bytes: u64) {
        let mut state = self.shared.state.lock();
        if let Some(segment) = state.segment(sequence) {
            segment.end += bytes;
            segment.size = segment.end;
            segment.events += group.events;
            state.newest = segment_end(&state.segments);
        }
        self.shared.publish(&state);
        drop(state);
        add(&self.shared.stats.received_events, group.events);
        add(&self.shared.stats.received_bytes, bytes);
        self.shared.events.readable.notify_one();
        // One huge group shall not keep its memory.
        if self.buffer.capacity() as u64 > self.shared.segment_size {
            self.buffer = Vec::new();
        }
    }

    /// Closes the active segment, so that it can be removed when it is acknowledged.
    fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.close(&active);
        }
    }

    fn close(&self, active: &Active<S::File>) {
        let mut state = self.shared.state.lock();
        if let Some(segment) = state.segment(active.sequence) {
            segment.sealed = true;
            segment.size = active.file.size().unwrap_or(segment.size).max(segment.end);
        }
        self.shared.publish(&state);
        drop(state);
        // The keeper may have been waiting for nothing but this.
        self.shared.events.acknowledged.notify_one();
    }
}

/// Writes to the header how much is synced: with this mark, opening distinguishes damage to acknowledged events from a
/// torn tail.
fn mark(active: &Active<impl StoredFile>) {
    let mut bytes = Vec::with_capacity(Mark::BYTES);
    Mark(active.end).write(active.salt, &mut bytes);
    // The events are safe without it. A disk that refuses it will refuse the next group, which is reported.
    let _ = write_whole(&active.file, &bytes, MARK_OFFSET);
}

fn segment_end(segments: &std::collections::VecDeque<Segment>) -> Position {
    segments.back().map(Segment::end).unwrap_or_default()
}
