//! Writes groups of records; each group is written completely or not at all.

use std::io;
use std::sync::Arc;

use super::files::{Storage, StoredFile, write_whole};
use super::format::{
    MARK_OFFSET, Mark, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, checksum, segment_name,
};
use super::state::{Position, Segment, Shared};
use super::stats::add;

/// An item that a queue on disk can store.
pub trait Stored {
    /// Number of events.
    fn events(&self) -> usize;

    /// Bytes that `encode` appends.
    fn encoded_len(&self) -> usize;

    /// Appends the encoded item.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Why no item of a group was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no room within `max_size` until the reader acknowledges something.
    #[error("the buffer is full")]
    Full,
    /// The first item is too large for a record.
    #[error("the record is larger than 4 GiB")]
    TooLarge,
    /// The disk refused the write; a later attempt may succeed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The writing side of a queue on disk.
#[derive(Debug)]
pub struct Writer<S: Storage> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) active: Option<Active<S::File>>,
    pub(super) buffer: Vec<u8>,
}

/// The segment that is open for writing.
#[derive(Debug)]
pub(super) struct Active<F> {
    file: F,
    sequence: u64,
    salt: u32,
    /// End of the synced bytes.
    end: u64,
}

/// The group of items in the encoding buffer.
struct Group {
    items: usize,
    events: u64,
}

impl<S: Storage> Writer<S> {
    /// Writes as many of the first items as fit into one segment, and syncs them. Returns their
    /// number.
    ///
    /// # Errors
    ///
    /// No item was written. See [`CommitError`].
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
            // Only a closed segment can be removed to make room.
            self.seal();
            return Err(CommitError::Full);
        }
        match self.active.take() {
            Some(active) => self.append(active, items, room),
            None => self.begin(items, room),
        }
    }

    /// Ends writing. Then all segments can be removed after acknowledgement, including the last.
    pub fn finish(mut self) {
        self.seal();
    }

    /// Number of bytes that may be added; `None` if the folder is empty, so that a record larger
    /// than the limit is accepted.
    fn room(&self) -> Option<u64> {
        let state = self.shared.state.lock();
        let used = state.bytes();
        (!state.segments.is_empty()).then(|| self.shared.max_size.saturating_sub(used))
    }

    /// Encodes as many items as fit, but at least one.
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

    /// Appends a group to the active segment.
    fn append<T: Stored>(
        &mut self,
        mut active: Active<S::File>,
        items: &[T],
        room: Option<u64>,
    ) -> Result<usize, CommitError> {
        self.buffer.clear();
        let group = self.encode(items, active.salt, active.end, room);
        if let Err(error) = write_whole(&active.file, &self.buffer, active.end).and_then(|()| active.file.sync()) {
            // Undo the write: close the segment at its previous end. The bytes after it do not
            // count, since the successor records that end. The segment stays closed even if it
            // could be truncated: on a full disk, only a closed segment can be removed to make
            // room.
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
            // Never reused: creating the file may fail after its name exists.
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
            // If the file stays, the next opening skips it.
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

    /// Makes the new records visible to the reader.
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
        // Free the memory after one huge group.
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
        // The keeper may be waiting for this segment to close.
        self.shared.events.acknowledged.notify_one();
    }
}

/// Records in the header how much is synced. With this mark, the next opening distinguishes damage
/// to acknowledged events from a torn tail.
fn mark(active: &Active<impl StoredFile>) {
    let mut bytes = Vec::with_capacity(Mark::BYTES);
    Mark(active.end).write(active.salt, &mut bytes);
    // The events are safe without the mark. If the disk refuses it, the next group fails too and is
    // reported.
    let _ = write_whole(&active.file, &bytes, MARK_OFFSET);
}

fn segment_end(segments: &std::collections::VecDeque<Segment>) -> Position {
    segments.back().map(Segment::end).unwrap_or_default()
}
