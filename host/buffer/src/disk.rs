//! A queue on disk: what it has taken is safe from a crash, and stays until its reader has acknowledged it.
//!
//! # The folder
//!
//! Mode 0700, files 0600. Only one process may use it; the lock of the agent's data folder sees to that.
//!
//! | file | what |
//! | --- | --- |
//! | `NUMBER.segment` | records in order; numbers of 20 digits ascend and are never used twice |
//! | `NUMBER.segment.damaged` | a segment with a place that could not be read; for people, never read or removed again |
//! | `position` | up to where everything is acknowledged |
//!
//! All numbers are little-endian. A segment begins with a header of 56 bytes:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | `WATTLEBF` |
//! | 8 | u32: version of the format, 2 |
//! | 12 | u32: salt, random; every checksum in the segment begins with it, so that nothing inside of an event can pass for a record |
//! | 16 | u64: number of the segment |
//! | 24 | u64: number of the segment before, 0 for none |
//! | 32 | u64: bytes of the segment before that count; whatever follows them was never acknowledged |
//! | 40 | u32: CRC-32C of the bytes before |
//! | 44 | u64: bytes of this segment that are synced; written after each sync and not synced itself |
//! | 52 | u32: CRC-32C of the eight bytes before |
//!
//! Records follow without gaps, each a header of 24 bytes and the content:
//!
//! | at | what |
//! | --- | --- |
//! | 0 | `WREC` |
//! | 4 | u32: bytes of content |
//! | 8 | u32: events in it |
//! | 12 | u32: bytes of the segment that were synced when this record was written |
//! | 16 | u32: CRC-32C of the content |
//! | 20 | u32: CRC-32C of the header before |
//!
//! `position` has two slots, at 0 and at 4096, of 40 bytes: `WATTLEBP`, u64 counter, u64 number of a segment, u64 offset
//! in it, u32 zero, u32 CRC-32C. The valid slot with the higher counter counts. A slot is written over until it is
//! synced, then the other one is, so one slot is whole at any time.
//!
//! # What is synced when
//!
//! - [`Writer::commit`] writes a group of records with one write, syncs the segment, and for a new segment the folder
//!   too. Only then does it answer, and only then can the reader see the records. If the write or the sync fails,
//!   the content of the disk is unknown: the segment is closed as it was before, and the same records go to a new segment
//!   when the caller tries again. So a group is either in, or the caller still has it.
//! - Reading deletes nothing. [`Acknowledger::end`] notes which records were delivered; [`Keeper::tend`] writes the position up
//!   to which all is acknowledged, and removes segments that lie wholly before it. The position is synced when the
//!   caller asks for that.
//!
//! What comes again after a crash: everything that was not acknowledged. After a kill of the process also what was
//! acknowledged after the last `tend`; after a loss of power also what was acknowledged after the last `tend` that
//! synced; a `tend` that fails counts for neither. What was acknowledged out of order comes again if something before it was not.
//!
//! # Opening
//!
//! [`open`] reads the position, removes segments before it, and follows the chain of segments from the last one back.
//! In a segment with a successor all bytes that count are known to have been synced, so a place that cannot be read is
//! damage. In the last segment a bad place is damage if the header or a later record says that it was synced; else it
//! is a torn tail: a group that was being written and was never acknowledged. A torn tail is reported, and cut off,
//! unless it proves that a bad place before it is not damage. If nothing is left of a segment then, its file stays all
//! the same as long as the one before it, whose end it records. Around damage the reader goes on with the next valid
//! record, and the segment is renamed to `.damaged` where others are removed. New records always begin a new segment.
//!
//! # The bound
//!
//! `max_size` bounds the bytes of segments and position together; damaged files do not count. A record that is larger
//! than the bound still passes when nothing else is in the folder, and a loss of power can bring segments back for a
//! while that were removed to make room. Room comes back when a segment is removed, so segments are an eighth of the
//! bound, at most 64 MiB.
//!
//! # Why not a crate
//!
//! None of those that exist has all of: a checksum for each record, a sync before the answer, reading apart from
//! acknowledging, a bound in bytes, and recovery around damage.
//!
//! | crate | what is missing |
//! | --- | --- |
//! | `yaque` 0.6 | never syncs, no checksum of the content, no bound in bytes |
//! | `queue-file` 2.0 | one file that never shrinks and has no bound; a damaged record ends the reading of the file |
//! | `disk_backed_queue` 0.2 | receiving deletes, there is no acknowledgement; bounded in items; carries SQLite |
//! | `okaywal` 0.3 | hands its records over once, at a checkpoint; nothing reads while it is written; not kept any more |
//! | `commitlog` 0.2 | checksums and segments, but no position of a reader, no bound; not kept any more |
//! | `fjall`, `redb`, `sled` | stores by key: each record written twice and deleted; freed space returns late or never |
//! | Vector's `disk_v2` | not a crate of its own; acknowledges before it syncs, every 500 ms |

mod acknowledge;
mod files;
mod format;
mod keeper;
mod reader;
mod recovery;
mod scan;
mod state;
mod stats;
mod writer;

pub use acknowledge::Acknowledger;
pub use files::{Folder, Storage, StoredFile};
pub use keeper::Keeper;
pub use reader::{Delivery, Reader};
pub use recovery::{DiskQueue, DiskSettings, open};
pub use state::Events;
pub use stats::BufferStats;
pub use writer::{CommitError, Stored, Writer};

#[cfg(test)]
mod tests;
