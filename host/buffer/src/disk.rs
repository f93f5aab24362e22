//! A queue on disk. Committed records survive a crash and stay until the reader has acknowledged
//! them.
//!
//! # The folder
//!
//! Mode 0700, files 0600. Only one process may use it; the lock of the agent's data folder ensures
//! this.
//!
//! | file | contents |
//! | --- | --- |
//! | `NUMBER.segment` | records in order; numbers of 20 digits ascend and are never reused |
//! | `NUMBER.segment.damaged` | a segment with an unreadable place; kept for the operator, the agent never reads or removes it |
//! | `position` | the place before which all records are acknowledged |
//!
//! All numbers are little-endian. A segment begins with a header of 56 bytes:
//!
//! | offset | contents |
//! | --- | --- |
//! | 0 | `WATTLEBF` |
//! | 8 | u32: version of the format, 2 |
//! | 12 | u32: random salt; every checksum in the segment begins with it, so that no data inside an event can look like a record |
//! | 16 | u64: number of the segment |
//! | 24 | u64: number of the segment before; 0 if there is none |
//! | 32 | u64: valid bytes of the segment before; any bytes after them were never acknowledged |
//! | 40 | u32: CRC-32C of the bytes before |
//! | 44 | u64: bytes of this segment that are synced; written after each sync and not synced itself |
//! | 52 | u32: CRC-32C of the eight bytes before |
//!
//! Records follow without gaps, each a header of 24 bytes and the content:
//!
//! | offset | contents |
//! | --- | --- |
//! | 0 | `WREC` |
//! | 4 | u32: bytes of content |
//! | 8 | u32: number of events |
//! | 12 | u32: bytes of the segment that were synced when this record was written |
//! | 16 | u32: CRC-32C of the content |
//! | 20 | u32: CRC-32C of the header before |
//!
//! `position` has two slots of 40 bytes, at 0 and at 4096: `WATTLEBP`, u64 counter, u64 number of a
//! segment, u64 offset in it, u32 zero, u32 CRC-32C. The valid slot with the higher counter counts.
//! The agent overwrites one slot until it is synced, then the other one, so one slot is always
//! intact.
//!
//! # When data is synced
//!
//! - [`Writer::commit`] writes a group of records with one write and syncs the segment, and for a
//!   new segment the folder as well. It returns, and the reader can see the records, only after
//!   that. If the write or the sync fails, the content of the disk is unknown. Then the writer
//!   closes the segment at its previous end, and the next attempt writes the same records to a new
//!   segment. So a group is either committed, or still with the caller.
//! - Reading deletes nothing. [`Acknowledger::end`] records which deliveries ended;
//!   [`Keeper::tend`] writes the position before which all are acknowledged, and removes the
//!   segments before it. It syncs the position if the caller requests it.
//!
//! After a crash, all unacknowledged records are delivered again. After a kill of the process, so
//! are those that were acknowledged after the last `tend`; after a power loss, those that were
//! acknowledged after the last `tend` with a sync. A `tend` that fails counts for neither. A record
//! that was acknowledged out of order is delivered again if one before it was not.
//!
//! # Opening
//!
//! [`open`] reads the position, removes the segments before it, and follows the chain of segments
//! backwards from the last one. A segment with a successor was synced up to its end, so an
//! unreadable place in it is damage. In the last segment, an unreadable place is damage if the
//! header or a later record shows that it was synced. Otherwise it is a torn tail: a group that was
//! being written and was never acknowledged. The agent reports a torn tail and cuts it off, unless
//! it is needed to distinguish damage before it from a torn tail. If nothing else is left of a
//! segment, its file stays as long as the segment before it, because it records where that segment
//! ends. The reader continues after damage with the next valid record. Instead of removing a
//! damaged segment, the keeper renames it to `.damaged`. New records always begin a new segment.
//! # The bound
//! # The limit
//! `max_size` bounds the bytes of segments and position together; damaged files do not count. A
//! record that is larger `max_size` limits the size of segments and position together, without
//! damaged files. A record larger than the limit is accepted if the folder is empty otherwise.
//! After a power loss, segments that were removed to make room can reappear for a while. Room
//! becomes free when a segment is removed, so segments are an eighth of the limit, at most 64 MiB.
//! # Why not a crate
//!
//! No existing crate has all of these: a checksum per record, a sync before the acknowledgement,
//! reading without acknowledging, a limit in bytes, and recovery around damage.
//!
//! | crate | what is missing |
//! | --- | --- |
//! | `yaque` 0.6 | never syncs, no checksum of the content, no limit in bytes |
//! | `queue-file` 2.0 | one file that never shrinks and has no limit; reading stops at a damaged record |
//! | `disk_backed_queue` 0.2 | receiving deletes, no acknowledgement; limits the number of items, not bytes; needs SQLite |
//! | `okaywal` 0.3 | returns its records only once, at a checkpoint; no reads during writes; unmaintained |
//! | `commitlog` 0.2 | checksums and segments, but no position of a reader and no limit; unmaintained |
//! | `fjall`, `redb`, `sled` | key-value stores: write each record twice and delete it; return freed space late or never |
//! | Vector's `disk_v2` | not a separate crate; acknowledges before its sync, which runs every 500 ms |

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
pub use format::FORMAT_VERSION;
pub use keeper::Keeper;
pub use reader::{Delivery, Reader};
pub use recovery::{DiskQueue, DiskSettings, open};
pub use state::Events;
pub use stats::BufferStats;
pub use writer::{CommitError, Stored, Writer};

#[cfg(test)]
mod tests;
