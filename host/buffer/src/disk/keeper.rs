//! Writes the position and removes the segments before it.

use std::io;
use std::sync::Arc;

use super::files::{Storage, StoredFile, write_whole};
use super::format::{SLOT_SPACING, Slot, segment_name};
use super::state::{Position, Shared};
use super::stats::add;

/// Name of the file with the position.
pub(super) const POSITION: &str = "position";

/// Updates the files of a queue after acknowledgements.
#[derive(Debug)]
pub struct Keeper<S: Storage> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) position: PositionFile<S::File>,
    /// Whether removed names could reappear, because the folder is not synced yet.
    pub(super) removed: bool,
}

impl<S: Storage> Keeper<S> {
    /// Writes the position and removes the segments that are fully acknowledged. With `sync`, both
    /// survive a power loss.
    ///
    /// # Errors
    ///
    /// The next call retries; until then, a crash duplicates more events.
    pub fn tend(&mut self, sync: bool) -> io::Result<()> {
        let acknowledged = self.shared.state.lock().acknowledged;
        let written = self.position.write(acknowledged);
        // Remove segments even if the position could not be written: this can free space on the
        // disk.
        let removed = self.remove(acknowledged);
        written.and(removed)?;
        if sync {
            self.position.sync()?;
            if self.removed {
                self.shared.storage.sync()?;
                self.removed = false;
            }
        }
        Ok(())
    }

    /// Removes segments before a position, or renames those that are damaged.
    fn remove(&mut self, acknowledged: Position) -> io::Result<()> {
        loop {
            let first = self.shared.state.lock().segments.front().cloned();
            let Some(first) = first.filter(|first| first.sealed && first.end() <= acknowledged) else {
                return self.remove_witnesses();
            };
            let name = segment_name(first.sequence);
            if first.damaged {
                self.shared.storage.rename(&name, &format!("{name}.damaged"))?;
                add(&self.shared.stats.damaged_segments, 1);
            } else {
                self.shared.storage.remove(&name)?;
            }
            self.removed = true;
            let mut state = self.shared.state.lock();
            state.segments.pop_front();
            self.shared.publish(&state);
            drop(state);
            self.shared.events.room.notify_one();
        }
    }

    /// Removes files that only record the end of a segment that is already removed.
    fn remove_witnesses(&mut self) -> io::Result<()> {
        loop {
            let witness = {
                let state = self.shared.state.lock();
                let first = state.segments.front().map_or(u64::MAX, |first| first.sequence);
                state.witnesses.front().copied().filter(|witness| *witness < first)
            };
            let Some(witness) = witness else { return Ok(()) };
            self.shared.storage.remove(&segment_name(witness))?;
            self.removed = true;
            let mut state = self.shared.state.lock();
            state.witnesses.pop_front();
            self.shared.publish(&state);
            drop(state);
            self.shared.events.room.notify_one();
        }
    }
}

/// The open file with the position.
#[derive(Debug)]
pub(super) struct PositionFile<F> {
    pub(super) file: F,
    /// The last slot that was synced.
    pub(super) synced: Slot,
    /// Content of the other slot, if it is written but not synced.
    pub(super) written: Option<Slot>,
}

impl<F: StoredFile> PositionFile<F> {
    /// Writes a position to the slot that is not the synced one.
    pub(super) fn write(&mut self, position: Position) -> io::Result<()> {
        let last = self.written.unwrap_or(self.synced).position;
        if last == position {
            return Ok(());
        }
        let slot = Slot { counter: self.synced.counter + 1, position };
        // If the write fails, the slot has no content that a sync could make durable.
        self.written = None;
        write_whole(&self.file, &slot.write(), place(slot.counter))?;
        self.written = Some(slot);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(written) = self.written else { return Ok(()) };
        if let Err(error) = self.file.sync() {
            // The content of the slot on disk is unknown: write it again before syncing it.
            self.written = None;
            return Err(error);
        }
        self.synced = written;
        self.written = None;
        Ok(())
    }
}

/// Offset of the slot for this counter.
pub(super) fn place(counter: u64) -> u64 {
    (counter % 2) * SLOT_SPACING
}
