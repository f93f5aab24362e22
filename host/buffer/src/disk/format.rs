//! The binary format of headers and slots, as the documentation of [`disk`](super) describes it.

use super::state::Position;

/// Size of a segment's header, including the mark of synced bytes.
pub(super) const SEGMENT_HEADER: u64 = MARK_OFFSET + MARK as u64;
/// Offset of the mark in a segment.
pub(super) const MARK_OFFSET: u64 = 44;
/// Size of a record's header.
pub(super) const RECORD_HEADER: u64 = 24;
/// Distance between the two slots of the position.
pub(super) const SLOT_SPACING: u64 = 4096;
/// Size of the file `position`.
pub(super) const POSITION_BYTES: u64 = SLOT_SPACING + SLOT as u64;
/// First bytes of a record.
pub(super) const RECORD_MAGIC: &[u8; 4] = b"WREC";

/// Upper limit for numbers of segments and slots. A counter never reaches this value, so a file
/// that holds it is corrupt, and each valid number has a successor.
const NUMBERS: u64 = 1 << 62;
const SEGMENT_MAGIC: &[u8; 8] = b"WATTLEBF";
const SLOT_MAGIC: &[u8; 8] = b"WATTLEBP";
/// Version of the format of segments.
pub const FORMAT_VERSION: u32 = 2;
const VERSION: u32 = FORMAT_VERSION;
const SLOT: usize = 40;
const MARK: usize = 12;

/// CRC-32C of the salt and the bytes.
pub(super) fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(salt, bytes)
}

/// Reads numbers from the front of a slice. At its end it reads zeros, which no checksum accepts.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((first, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *first
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// Returns a header without its checksum, if the checksum at its end matches.
fn checked(salt: u32, bytes: &[u8]) -> Option<Take<'_>> {
    let (head, crc) = bytes.split_last_chunk()?;
    (checksum(salt, head) == u32::from_le_bytes(*crc)).then_some(Take(head))
}

/// Appends the checksum of the bytes since `start`.
fn seal(out: &mut Vec<u8>, start: usize, salt: u32) {
    let crc = checksum(salt, out.get(start..).unwrap_or_default());
    out.extend(crc.to_le_bytes());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) salt: u32,
    pub(super) sequence: u64,
    /// End of the segment before.
    pub(super) previous: Position,
}

impl SegmentHeader {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(SEGMENT_MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.salt.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.previous.sequence.to_le_bytes());
        out.extend(self.previous.offset.to_le_bytes());
        seal(out, start, 0);
    }

    pub(super) fn read(bytes: &[u8; MARK_OFFSET as usize]) -> Option<Self> {
        let mut take = checked(0, bytes)?;
        if &take.array::<8>() != SEGMENT_MAGIC || take.u32() != VERSION {
            return None;
        }
        let (salt, sequence) = (take.u32(), take.u64());
        Some(Self { salt, sequence, previous: Position { sequence: take.u64(), offset: take.u64() } })
    }
}

/// The end of the synced bytes in a segment, as its header records it. The writer writes it after
/// each sync and does not sync it: after a kill it is exact, and after a power loss it may be older
/// than the data, but never newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(pub(super) u64);

impl Mark {
    pub(super) const BYTES: usize = MARK;

    pub(super) fn write(self, salt: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(self.0.to_le_bytes());
        seal(out, start, salt);
    }

    pub(super) fn read(salt: u32, bytes: &[u8; MARK]) -> Option<Self> {
        Some(Self(checked(salt, bytes)?.u64()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) length: u32,
    pub(super) events: u32,
    /// Number of bytes of the segment that were synced when this record was written.
    pub(super) synced: u32,
    pub(super) checksum: u32,
}

impl RecordHeader {
    pub(super) fn write(&self, salt: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(RECORD_MAGIC);
        for number in [self.length, self.events, self.synced, self.checksum] {
            out.extend(number.to_le_bytes());
        }
        seal(out, start, salt);
    }

    pub(super) fn read(salt: u32, bytes: &[u8; RECORD_HEADER as usize]) -> Option<Self> {
        let mut take = checked(salt, bytes)?;
        if &take.array::<4>() != RECORD_MAGIC {
            return None;
        }
        Some(Self { length: take.u32(), events: take.u32(), synced: take.u32(), checksum: take.u32() })
    }

    /// Size of the whole record.
    pub(super) fn size(&self) -> u64 {
        RECORD_HEADER + u64::from(self.length)
    }
}

/// A slot of the file `position`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) counter: u64,
    pub(super) position: Position,
}

impl Slot {
    pub(super) const BYTES: usize = SLOT;

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT);
        out.extend(SLOT_MAGIC);
        for number in [self.counter, self.position.sequence, self.position.offset] {
            out.extend(number.to_le_bytes());
        }
        out.extend([0; 4]);
        seal(&mut out, 0, 0);
        out
    }

    pub(super) fn read(bytes: &[u8; SLOT]) -> Option<Self> {
        let mut take = checked(0, bytes)?;
        if &take.array::<8>() != SLOT_MAGIC {
            return None;
        }
        let counter = take.u64();
        let slot = Self { counter, position: Position { sequence: take.u64(), offset: take.u64() } };
        (counter < NUMBERS && slot.position.sequence < NUMBERS).then_some(slot)
    }
}

/// Name of a segment file.
pub(super) fn segment_name(sequence: u64) -> String {
    format!("{sequence:020}.segment")
}

/// Returns the number in the name of a segment file, and whether the segment is damaged.
pub(super) fn sequence_of(name: &str) -> Option<(u64, bool)> {
    let (name, damaged) = match name.strip_suffix(".damaged") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let digits = name.strip_suffix(".segment").filter(|digits| digits.len() == 20)?;
    let sequence = digits.parse().ok().filter(|sequence| *sequence < NUMBERS)?;
    Some((sequence, damaged))
}
