//! Finds records in a segment with arbitrary bytes.

use std::io;

use memchr::memmem;

use super::files::{StoredFile, read_whole};
use super::format::{RECORD_HEADER, RECORD_MAGIC, RecordHeader, checksum};

/// Number of bytes that the search for the next record reads at once.
const SEARCH_BYTES: usize = 256 << 10;

/// A complete record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) header: RecordHeader,
    pub(super) content: Vec<u8>,
}

/// Reads the header at an offset; `None` if the offset has no header, or its record would end after
/// `end`.
pub(super) fn header_at(file: &impl StoredFile, salt: u32, offset: u64, end: u64) -> io::Result<Option<RecordHeader>> {
    let mut bytes = [0; RECORD_HEADER as usize];
    if offset.saturating_add(RECORD_HEADER) > end || !read_whole(file, &mut bytes, offset)? {
        return Ok(None);
    }
    Ok(RecordHeader::read(salt, &bytes).filter(|header| offset + header.size() <= end))
}

/// Reads the record at an offset; `None` if it is not complete.
pub(super) fn record_at(file: &impl StoredFile, salt: u32, offset: u64, end: u64) -> io::Result<Option<Record>> {
    let Some(header) = header_at(file, salt, offset, end)? else { return Ok(None) };
    let mut content = vec![0; usize::try_from(header.length).unwrap_or(usize::MAX)];
    let whole = read_whole(file, &mut content, offset + RECORD_HEADER)?;
    Ok((whole && checksum(salt, &content) == header.checksum).then_some(Record { header, content }))
}

/// Finds the first complete record that begins at `from` or later, or returns `end`. It reads every
/// byte once, independent of the contents of events, since only data that was written with the salt
/// can look like a header.
pub(super) fn next_record(file: &impl StoredFile, salt: u32, from: u64, end: u64) -> io::Result<u64> {
    let finder = memmem::Finder::new(RECORD_MAGIC);
    let overlap = RECORD_MAGIC.len() - 1;
    let mut buffer = vec![0; SEARCH_BYTES];
    let mut at = from;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(SEARCH_BYTES);
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        if !read_whole(file, part, at)? {
            // The file has become shorter. The rest is too short for a record, or smaller reads
            // will find it.
            let size = file.size()?;
            if size <= at || size >= end {
                return Ok(end);
            }
            return Ok(match next_record(file, salt, at, size)? {
                found if found < size => found,
                _ => end,
            });
        }
        for found in finder.find_iter(part) {
            let offset = at + found as u64;
            if record_at(file, salt, offset, end)?.is_some() {
                return Ok(offset);
            }
        }
        if wanted <= overlap {
            return Ok(end);
        }
        at += (wanted - overlap) as u64;
    }
    Ok(end)
}

/// Contents of a segment without a successor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// End of the valid bytes.
    pub(super) end: u64,
    /// Number of events before the end.
    pub(super) events: u64,
    /// Number of unreadable bytes that were synced.
    pub(super) damaged: u64,
    /// Start of the last group: the system can return its bytes, but they may not be on the medium.
    pub(super) unsure: Option<u64>,
}

/// Measures a segment without a successor. The bytes before `known`, the mark in its header, were
/// synced.
pub(super) fn measure(file: &impl StoredFile, salt: u32, from: u64, known: u64, size: u64) -> io::Result<Extent> {
    let mut extent = Extent { end: from, ..Extent::default() };
    // For each unreadable place: its offset, and the extent before it, in case the tail is torn
    // there.
    let mut gaps: Vec<(u64, Extent)> = Vec::new();
    let mut synced = from.max(known);
    let mut offset = from;
    while offset < size {
        match record_at(file, salt, offset, size)? {
            Some(record) => {
                synced = synced.max(u64::from(record.header.synced));
                offset += record.header.size();
                extent.end = offset;
                extent.events += u64::from(record.header.events);
                extent.unsure = Some(u64::from(record.header.synced));
            }
            None => {
                gaps.push((offset, Extent { ..extent }));
                let next = next_record(file, salt, offset + 1, size)?;
                extent.damaged += next - offset;
                offset = next;
            }
        }
    }
    // At the first unreadable place that was not synced, the tail is torn.
    let torn = gaps.into_iter().find(|(offset, _)| *offset >= synced);
    let mut extent = torn.map_or(extent, |(offset, before)| Extent { end: offset, ..before });
    // Synced bytes at the end without a complete record after them are damage. The reader skips and
    // reports them.
    extent.end = extent.end.max(known.min(size));
    Ok(extent)
}

/// Counts the events of a segment with a known end. Reads headers only, up to the first unreadable
/// one.
pub(super) fn count(file: &impl StoredFile, salt: u32, from: u64, end: u64) -> io::Result<u64> {
    let (mut events, mut offset) = (0, from);
    while let Some(header) = header_at(file, salt, offset, end)? {
        events += u64::from(header.events);
        offset += header.size();
    }
    Ok(events)
}
