//! A second implementation of the format of a disk buffer, from its description: reads files, and
//! creates files with correct checksums and any content.

use std::collections::BTreeMap;

/// Bytes of a segment's header, including the synced mark at its end.
pub(super) const HEADER: usize = 56;
/// Bytes of a record's header.
pub(super) const RECORD: usize = 24;

/// An intact record and its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) segment: u64,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Bytes of its segment that were synced when it was written: the start of its group.
    pub(super) synced: usize,
    pub(super) events: u32,
    pub(super) content: Vec<u8>,
}

/// The header of a segment without its salt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) previous: u64,
    pub(super) previous_end: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Number of a segment that is not set aside.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".segment")?;
    // A counter never gets higher.
    (digits.len() == 20).then(|| digits.parse().ok())?.filter(|sequence| *sequence < 1 << 62)
}

pub(super) fn name_of(sequence: u64) -> String {
    format!("{sequence:020}.segment")
}

/// The header and salt of a file with this name, if the header is valid.
pub(super) fn header(name: &str, bytes: &[u8]) -> Option<(Header, u32)> {
    let sequence = sequence_of(name)?;
    let head = bytes.get(..HEADER)?;
    let right = head.starts_with(b"WATTLEBF")
        && u32_at(head, 8) == 2
        && u64_at(head, 16) == sequence
        && u32_at(head, 40) == crc32c::crc32c(&head[..40]);
    let header = Header { sequence, previous: u64_at(head, 24), previous_end: u64_at(head, 32) };
    right.then(|| (header, u32_at(head, 12)))
}

/// Every record of every segment with valid checksums, at any place.
pub(super) fn records(files: &BTreeMap<String, Vec<u8>>) -> Vec<Found> {
    let mut all = Vec::new();
    for (name, bytes) in files {
        let Some((header, salt)) = header(name, bytes) else { continue };
        for start in HEADER..bytes.len() {
            all.extend(record(&bytes[..], start, salt, header.sequence));
        }
    }
    all
}

fn record(bytes: &[u8], start: usize, salt: u32, segment: u64) -> Option<Found> {
    let head = bytes.get(start..start + RECORD)?;
    if !head.starts_with(b"WREC") || u32_at(head, 20) != crc32c::crc32c_append(salt, &head[..20]) {
        return None;
    }
    let end = start + RECORD + usize::try_from(u32_at(head, 4)).unwrap();
    let content = bytes.get(start + RECORD..end)?;
    let synced = usize::try_from(u32_at(head, 12)).unwrap();
    let found = Found { segment, start, end, synced, events: u32_at(head, 8), content: content.to_vec() };
    (u32_at(head, 16) == crc32c::crc32c_append(salt, content)).then_some(found)
}

/// A record with any numbers: more content bytes than exist, events, synced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forged<'a> {
    pub(super) more: u8,
    pub(super) events: u32,
    pub(super) synced: u32,
    pub(super) content: &'a [u8],
}

/// A segment with correct checksums and any numbers.
pub(super) fn segment(header: Header, salt: u32, records: &[Forged<'_>]) -> Vec<u8> {
    let mut out = b"WATTLEBF".to_vec();
    out.extend(2_u32.to_le_bytes());
    out.extend(salt.to_le_bytes());
    [header.sequence, header.previous, header.previous_end].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    // Nothing counts as synced.
    let mark = 0_u64.to_le_bytes();
    out.extend(mark);
    out.extend(crc32c::crc32c_append(salt, &mark).to_le_bytes());
    for record in records {
        let start = out.len();
        out.extend(b"WREC");
        let length = u32::try_from(record.content.len()).unwrap() + u32::from(record.more);
        [length, record.events, record.synced].iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(crc32c::crc32c_append(salt, record.content).to_le_bytes());
        let crc = crc32c::crc32c_append(salt, &out[start..]);
        out.extend(crc.to_le_bytes());
        out.extend(record.content);
    }
    out
}

/// A slot of the position with a correct checksum.
pub(super) fn slot(counter: u64, sequence: u64, offset: u64) -> Vec<u8> {
    let mut out = b"WATTLEBP".to_vec();
    [counter, sequence, offset].iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend([0; 4]);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}
