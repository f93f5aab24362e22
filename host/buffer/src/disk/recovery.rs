//! Opens a folder in any state that a crash can leave.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::acknowledge::Acknowledger;
use super::files::{Storage, StoredFile, read_whole, write_whole};
use super::format::{
    MARK_OFFSET, Mark, POSITION_BYTES, SEGMENT_HEADER, SegmentHeader, Slot, segment_name, sequence_of,
};
use super::keeper::{Keeper, POSITION, PositionFile, place};
use super::reader::Reader;
use super::scan::{count, measure};
use super::state::{Events, Position, Segment, Shared, State};
use super::stats::{BufferStats, add};
use super::writer::Writer;

/// Maximum size of a segment; a larger record gets its own segment.
const MAX_SEGMENT: u64 = 64 << 20;
/// Number of segments within the limit.
const SEGMENTS: u64 = 8;

/// Settings of a queue on disk.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// Name of the sink, for the log.
    pub name: Arc<str>,
    /// Maximum number of bytes on disk.
    pub max_size: u64,
    /// Counts of the buffer.
    pub stats: Arc<BufferStats>,
}

/// The parts of an open queue. Each can move to its own task or thread.
#[derive(Debug)]
pub struct DiskQueue<S: Storage> {
    /// Adds records.
    pub writer: Writer<S>,
    /// Reads records.
    pub reader: Reader<S>,
    /// Ends deliveries.
    pub acknowledger: Acknowledger<S>,
    /// Writes the position and removes files.
    pub keeper: Keeper<S>,
    /// Notifications about the queue.
    pub events: Arc<Events>,
}

/// A segment with a readable header.
struct Found<F> {
    file: F,
    header: SegmentHeader,
    size: u64,
}

/// Opens the queue of a folder and reports in the log what is wrong with it.
///
/// # Errors
///
/// The operating system cannot read or write the folder. Damaged contents are not an error.
pub fn open<S: Storage>(storage: S, settings: &DiskSettings) -> io::Result<DiskQueue<S>> {
    let names = storage.names()?;
    let (position, read) = open_position(&storage, &names, settings)?;
    let start = read.unwrap_or_default();
    let mut known: Vec<(u64, bool)> = names.iter().filter_map(|name| sequence_of(name)).collect();
    known.sort_unstable();
    let mut found = Vec::new();
    for (sequence, _) in known.iter().filter(|(_, damaged)| !damaged) {
        if *sequence < start.sequence {
            storage.remove(&segment_name(*sequence))?;
        } else if let Some(segment) = open_segment(&storage, *sequence, settings)? {
            found.push(segment);
        }
    }
    let (segments, witnesses) = chain(&storage, found, start, settings)?;
    storage.sync()?;

    let newest = segments.back().map_or(start, Segment::end);
    let used = known.last().map_or(0, |(sequence, _)| *sequence);
    let events = segments.iter().map(|segment| segment.events).sum::<u64>();
    let read = match segments.front() {
        Some(first) if first.sequence > start.sequence => Position { sequence: first.sequence, offset: SEGMENT_HEADER },
        _ => start,
    };
    let state = State {
        segments,
        witnesses,
        newest,
        next_sequence: used.max(newest.sequence) + 1,
        read,
        acknowledged: read,
        ..State::default()
    };
    add(&settings.stats.recovered_events, events);
    if events > 0 {
        tracing::info!(sink = %settings.name, events, bytes = state.bytes(), "the disk buffer contains events; delivering them first");
    }
    let shared = Arc::new(Shared {
        name: settings.name.clone(),
        storage,
        max_size: settings.max_size,
        segment_size: (settings.max_size / SEGMENTS).clamp(SEGMENT_HEADER + 1, MAX_SEGMENT),
        state: Mutex::new(state),
        stats: settings.stats.clone(),
        events: Arc::default(),
    });
    shared.publish(&shared.state.lock());
    Ok(DiskQueue {
        writer: Writer { shared: shared.clone(), active: None, buffer: Vec::new() },
        reader: Reader { shared: shared.clone(), file: None },
        acknowledger: Acknowledger { shared: shared.clone() },
        events: shared.events.clone(),
        keeper: Keeper { shared, position, removed: false },
    })
}

/// Reads the position, and creates its file again if it has no readable position. Returns `None` if
/// everything must be read.
fn open_position<S: Storage>(
    storage: &S,
    names: &[String],
    settings: &DiskSettings,
) -> io::Result<(PositionFile<S::File>, Option<Position>)> {
    if names.iter().any(|name| name == POSITION) {
        let file = storage.open(POSITION)?;
        let mut slots = Vec::new();
        let mut blank = true;
        for counter in [0, 1] {
            let mut bytes = [0; Slot::BYTES];
            if read_whole(&file, &mut bytes, place(counter))? {
                blank &= bytes == [0; Slot::BYTES];
                slots.extend(Slot::read(&bytes).filter(|slot| slot.counter % 2 == counter));
            }
        }
        if let Some(slot) = slots.into_iter().max_by_key(|slot| slot.counter) {
            // The slot may never have been synced. A later sync is reliable only after the slot is
            // written again.
            write_whole(&file, &slot.write(), place(slot.counter))?;
            file.sync()?;
            return Ok((PositionFile { file, synced: slot, written: None }, Some(slot.position)));
        }
        if blank {
            // A crash happened between creating and syncing the file, so no event was ever
            // acknowledged.
            storage.remove(POSITION)?;
        } else {
            storage.rename(POSITION, &format!("{POSITION}.damaged"))?;
            tracing::error!(
                sink = %settings.name,
                "cannot read the position of the disk buffer; delivering all its events again"
            );
        }
    }
    let file = storage.create(POSITION)?;
    let slot = Slot::default();
    // Both slots, so that later writes need no free space on the disk.
    write_whole(&file, &[0; POSITION_BYTES as usize], 0)?;
    write_whole(&file, &slot.write(), place(slot.counter))?;
    file.sync()?;
    storage.sync()?;
    Ok((PositionFile { file, synced: slot, written: None }, None))
}

/// Opens a segment. Sets it aside if its header cannot be read, or removes it if the header never
/// reached the disk.
fn open_segment<S: Storage>(storage: &S, sequence: u64, settings: &DiskSettings) -> io::Result<Option<Found<S::File>>> {
    let name = segment_name(sequence);
    let file = storage.open(&name)?;
    let size = file.size()?;
    let mut bytes = [0; MARK_OFFSET as usize];
    let whole = size >= SEGMENT_HEADER && read_whole(&file, &mut bytes, 0)?;
    if let Some(header) = SegmentHeader::read(&bytes).filter(|header| whole && header.sequence == sequence) {
        return Ok(Some(Found { file, header, size }));
    }
    // A crash before the first sync leaves a short file or zeros. A power loss can also leave later
    // blocks without the first one. That looks like damage to acknowledged events, so the file
    // stays.
    if whole && bytes == [0; MARK_OFFSET as usize] && !is_zero(&file, size)? {
        tracing::warn!(
            sink = %settings.name, segment = name, bytes = size,
            "a segment of the disk buffer has no header: a loss of power interrupted its first write, or it is damaged; \
             it is kept as `.damaged`"
        );
        storage.rename(&name, &format!("{name}.damaged"))?;
        add(&settings.stats.torn_bytes, size);
        return Ok(None);
    }
    if !whole || bytes == [0; MARK_OFFSET as usize] {
        tracing::warn!(sink = %settings.name, segment = name, bytes = size, "removing an unfinished segment of the disk buffer");
        add(&settings.stats.torn_bytes, size);
        storage.remove(&name)?;
        return Ok(None);
    }
    tracing::error!(
        sink = %settings.name, segment = name, bytes = size,
        "cannot read a segment of the disk buffer, or a newer agent wrote it; keeping it as `.damaged`"
    );
    storage.rename(&name, &format!("{name}.damaged"))?;
    add(&settings.stats.damaged_bytes, size);
    add(&settings.stats.damaged_segments, 1);
    Ok(None)
}

/// Whether a file contains only zero bytes.
fn is_zero(file: &impl StoredFile, size: u64) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < size {
        let count = usize::try_from(size - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        if !read_whole(file, part, at)? || part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// Reads the mark of a segment; 0 if no mark can be read.
fn mark_of(file: &impl StoredFile, salt: u32) -> io::Result<u64> {
    let mut bytes = [0; Mark::BYTES];
    let is_whole = read_whole(file, &mut bytes, MARK_OFFSET)?;
    Ok(Mark::read(salt, &bytes).filter(|_| is_whole).map_or(0, |Mark(end)| end))
}

/// Follows the segments backwards from the last one and determines where each one ends. Also
/// returns the numbers of files without records that record where another segment ends: without
/// them, the next opening could mistake damage in that segment for a torn tail.
fn chain<S: Storage>(
    storage: &S,
    mut found: Vec<Found<S::File>>,
    start: Position,
    settings: &DiskSettings,
) -> io::Result<(VecDeque<Segment>, VecDeque<u64>)> {
    let mut segments = VecDeque::new();
    let mut witnesses = VecDeque::new();
    // The end of the segment before, as its successor records it.
    let mut previous: Option<Position> = None;
    while let Some(Found { file, header, size }) = found.pop() {
        let Position { sequence, .. } = previous.unwrap_or(Position { sequence: header.sequence, offset: 0 });
        if header.sequence > sequence {
            // Its first write failed and the file could not be removed; the successor has its
            // events.
            storage.remove(&segment_name(header.sequence))?;
            continue;
        }
        let from = if header.sequence == start.sequence { start.offset.max(SEGMENT_HEADER) } else { SEGMENT_HEADER };
        let segment = match previous.filter(|previous| previous.sequence == header.sequence) {
            Some(end) => end_known(&file, header, from, end.offset, size, settings)?,
            None => {
                if let Some(missing) = previous {
                    report_missing(missing, start, settings);
                }
                end_unknown(&file, header, from, size, settings)?
            }
        };
        previous = Some(header.previous);
        let tells_of_another = found.iter().any(|other| other.header.sequence == header.previous.sequence);
        if segment.end > SEGMENT_HEADER {
            segments.push_front(segment);
        } else if tells_of_another {
            witnesses.push_front(header.sequence);
        } else {
            // No record of its first group is complete.
            storage.remove(&segment_name(header.sequence))?;
        }
    }
    if let Some(missing) = previous {
        report_missing(missing, start, settings);
    }
    Ok((segments, witnesses))
}

fn end_known(
    file: &impl StoredFile,
    header: SegmentHeader,
    from: u64,
    end: u64,
    size: u64,
    settings: &DiskSettings,
) -> io::Result<Segment> {
    // Even if the successor records a lower end, keep the header: it describes the segment before.
    let end = end.max(SEGMENT_HEADER);
    let damaged = size < end;
    if damaged && from < end {
        report_cut(header.sequence, end - size.max(from), settings);
    }
    let end = end.min(size);
    if size > end {
        // A failed write or sync left these bytes.
        file.truncate(end)?;
    }
    let events = count(file, header.salt, from, end)?;
    Ok(Segment { sequence: header.sequence, salt: header.salt, end, size: end, sealed: true, damaged, events })
}

fn end_unknown(
    file: &impl StoredFile,
    header: SegmentHeader,
    from: u64,
    mut size: u64,
    settings: &DiskSettings,
) -> io::Result<Segment> {
    let known = mark_of(file, header.salt)?;
    let is_cut = size < known;
    if is_cut && from < known {
        report_cut(header.sequence, known - size.max(from), settings);
    }
    let extent = measure(file, header.salt, from.min(size), known, size)?;
    if extent.end < size {
        let bytes = size - extent.end;
        tracing::warn!(
            sink = %settings.name, segment = segment_name(header.sequence), offset = extent.end, bytes,
            "ignoring a torn tail of the disk buffer; its events were never acknowledged, so their sources send them again"
        );
        add(&settings.stats.torn_bytes, bytes);
        if extent.damaged == 0 {
            file.truncate(extent.end)?;
            size = extent.end;
        }
        // Otherwise the torn part may contain the only record that shows that the damage before it
        // was synced. It stays until a successor records where this segment ends.
    }
    // After a failed sync, the system may return bytes from its cache that are not on the medium,
    // and consider them synced. From now on the queue relies on them, so it writes them again.
    if let Some(unsure) = extent.unsure {
        write_again(file, unsure, extent.end)?;
    }
    file.sync()?;
    let (sequence, salt, end) = (header.sequence, header.salt, extent.end);
    let damaged = is_cut || extent.damaged > 0;
    Ok(Segment { sequence, salt, end, size, sealed: true, damaged, events: extent.events })
}

/// Overwrites bytes with themselves.
fn write_again(file: &impl StoredFile, from: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        if !read_whole(file, part, at)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_whole(file, part, at)?;
        at += count as u64;
    }
    Ok(())
}

/// Reports a segment that lost synced bytes at its end.
fn report_cut(sequence: u64, bytes: u64, settings: &DiskSettings) {
    add(&settings.stats.damaged_bytes, bytes);
    tracing::error!(
        sink = %settings.name, segment = segment_name(sequence), bytes,
        "a segment of the disk buffer has lost its end; delivering its other events"
    );
}

/// Reports a missing segment. Says nothing if it lies before the position, since it was
/// acknowledged.
fn report_missing(missing: Position, start: Position, settings: &DiskSettings) {
    if missing.sequence > 0 && missing > start {
        add(&settings.stats.missing_segments, 1);
        tracing::error!(
            sink = %settings.name, segment = segment_name(missing.sequence),
            "a segment of the disk buffer is missing; its events are lost, unless an operator set it aside or removed it"
        );
    }
}
