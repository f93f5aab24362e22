//! What outlives an instance of a node: its snapshots, the acknowledgements of the events that they
//! must contain, and the events that it made and that no sink has yet.
//!
//! A node with durable state is acknowledged by its snapshot. Two rules keep open windows through a
//! crash:
//!
//! 1. The acknowledgement of a batch that the node has seen ends only after a snapshot that was taken
//!    later is on disk.
//! 2. A snapshot is written to disk only when all events that left the node before it was taken are
//!    delivered: those that the node made, and those of the batches that it has seen.
//!
//! So after a crash the node continues from the last snapshot, its sources offer again what that
//! snapshot lacks, and it makes the same events again.
//!
//! An *epoch* is what happened between two snapshots in memory. [`StateSlot::set`] ends it.
//!
//! A slot can move into another one, its *heir*, when workers share the state in another way or a
//! canary ends. What comes to it later, such as events that a sink gives back, goes to the heir. The
//! heir knows the files that have its state so far, so that they disappear only when its own file has
//! that state.

mod returned;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use wattle_batch::{Ack, Batch, Parked};

use crate::bindings::Snapshot;
use returned::{Made, Returned};

/// The state of a node on one worker, or of one of its shards, independent of the instance.
///
/// Usually there is one snapshot: the last one after a successful call. There are several if an
/// earlier run had more workers.
#[derive(Debug, Default)]
pub struct StateSlot {
    held: Mutex<Held>,
    /// Set to have the owner of the instance take a snapshot soon.
    wanted: AtomicBool,
    /// Whether the node may hold events that it has not made yet.
    owes: AtomicBool,
    /// Events that were made and came back, by port.
    returned: Arc<Returned>,
}

#[derive(Debug, Default)]
struct Held {
    snapshots: Arc<[Snapshot]>,
    /// Whether events are acknowledged by snapshots on disk.
    is_durable: bool,
    /// What happened since the last snapshot in memory.
    open: Epoch,
    /// What that snapshot contains and the one on disk does not.
    saved: Epoch,
    /// Whether a snapshot is on its way to disk.
    is_staged: bool,
    /// The files that contain its state as of the last write.
    files: Vec<PathBuf>,
    /// How long the instance took for its last snapshot.
    saving: Duration,
    /// Where its state moved.
    heir: Option<Arc<StateSlot>>,
}

/// What happened between two snapshots.
#[derive(Debug, Default)]
struct Epoch {
    acks: Vec<Parked>,
    /// Numbers of made events that are not delivered.
    undelivered: Vec<Arc<AtomicU64>>,
    /// Whether the state changed.
    is_changed: bool,
}

impl Epoch {
    fn absorb(&mut self, mut other: Self) {
        self.acks.append(&mut other.acks);
        self.undelivered.append(&mut other.undelivered);
        self.undelivered.retain(|number| number.load(Ordering::Acquire) > 0);
        self.is_changed |= other.is_changed;
    }
}

/// How much waits for a snapshot on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Whether acknowledgements wait for a snapshot that contains their events.
    pub is_awaited: bool,
    /// How long the instance took for its last snapshot, during which it processes nothing.
    pub saving: Duration,
    /// Whether the state changed since the last snapshot on disk.
    pub is_changed: bool,
}

/// A snapshot that will be written to disk, with the acknowledgements that end after that.
#[derive(Debug)]
pub struct Staged {
    snapshots: Arc<[Snapshot]>,
    epoch: Epoch,
    files: Vec<PathBuf>,
}

impl Staged {
    /// The snapshots.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The files whose state the snapshots contain, and that one file replaces.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether nothing that left the node before is on its way any more, so that the snapshot may be written. Events that
    /// were given back count as settled: their source offers them again to an instance that has seen them.
    pub fn is_settled(&self) -> bool {
        self.epoch.undelivered.iter().all(|number| number.load(Ordering::Acquire) == 0)
            && self.epoch.acks.iter().all(|share| share.others().is_some())
    }

    /// Whether any acknowledgement waits for the snapshot. After the sources have ended, their next start offers those
    /// events again, so a snapshot that contains them would count them twice.
    pub fn is_awaited(&self) -> bool {
        !self.epoch.acks.is_empty()
    }

    /// Ends the acknowledgements, after the snapshot is on disk.
    pub fn release(self) {
        self.epoch.acks.into_iter().for_each(Parked::deliver);
    }
}

impl StateSlot {
    /// Creates a slot with these snapshots.
    pub fn new(snapshots: Vec<Snapshot>) -> Self {
        // Until an instance takes the snapshots over, their contents are unknown.
        let owes = AtomicBool::new(!snapshots.is_empty());
        let held = Held { snapshots: snapshots.into(), ..Held::default() };
        Self { held: Mutex::new(held), owes, ..Self::default() }
    }

    /// Creates a slot with snapshots from these files.
    pub fn from_files(snapshots: Vec<Snapshot>, files: Vec<PathBuf>) -> Self {
        let slot = Self::new(snapshots);
        slot.held.lock().files = files;
        slot
    }

    /// The current snapshots.
    pub fn get(&self) -> Arc<[Snapshot]> {
        self.held.lock().snapshots.clone()
    }

    /// Sets whether the state may have events that the node has not made yet.
    pub fn set_owes(&self, owes: bool) {
        self.owes.store(owes, Ordering::Release);
    }

    /// Whether its state may have events that the node has not made yet.
    pub fn owes(&self) -> bool {
        self.owes.load(Ordering::Acquire) && !self.get().is_empty()
    }

    /// Whether nothing waits for a snapshot or for a sink, so that the slot can be removed.
    pub fn is_done(&self) -> bool {
        let held = self.held.lock();
        let epochs = [&held.open, &held.saved];
        let is_delivered = |epoch: &&Epoch| epoch.undelivered.iter().all(|number| number.load(Ordering::Acquire) == 0);
        !held.is_staged
            && epochs.iter().all(is_delivered)
            && (!held.is_durable || epochs.iter().all(|epoch| epoch.acks.is_empty() && !epoch.is_changed))
    }

    /// Sets whether events are acknowledged by snapshots on disk.
    pub fn set_durable(&self, is_durable: bool) {
        let mut held = self.held.lock();
        held.is_durable = is_durable;
        // A node uses the slot again.
        held.heir = None;
        self.returned.move_to(None);
        Self::acknowledge_unless_durable(held);
    }

    /// Without snapshots on disk, no acknowledgement waits for one.
    fn acknowledge_unless_durable(mut held: MutexGuard<'_, Held>) {
        if !held.is_durable {
            let acks = [std::mem::take(&mut held.open.acks), std::mem::take(&mut held.saved.acks)];
            // Ending an acknowledgement runs code of the source.
            drop(held);
            acks.into_iter().flatten().for_each(Parked::deliver);
        }
    }

    /// Moves the state of another slot into this one. No instance may be using either.
    pub fn take_from(self: &Arc<Self>, other: &Self) {
        let mut before = other.held.lock();
        let is_durable = before.is_durable;
        // A later call finds an empty slot.
        let theirs = std::mem::replace(&mut *before, Held { is_durable, heir: Some(self.clone()), ..Held::default() });
        let mut held = self.held.lock();
        // Neither epoch is on disk with the snapshots of this slot.
        held.saved.absorb(theirs.saved);
        held.open.absorb(theirs.open);
        held.files.extend(theirs.files);
        if !theirs.snapshots.is_empty() {
            held.snapshots = [&*held.snapshots, &*theirs.snapshots].concat().into();
            held.saved.is_changed = true;
        }
        other.returned.move_to(Some(&self.returned));
        self.owes.fetch_or(other.owes.swap(false, Ordering::AcqRel), Ordering::AcqRel);
        drop(before);
        // The state can move from a durable slot into one that is not.
        Self::acknowledge_unless_durable(held);
    }

    /// Whether the state moved into another slot.
    pub fn has_moved(&self) -> bool {
        self.held.lock().heir.is_some()
    }

    /// Replaces the snapshots with newer ones, which contain everything so far. The instance took `saving` for them.
    pub(crate) fn set(&self, snapshots: Vec<Snapshot>, saving: Duration) {
        let mut held = self.held.lock();
        held.saving = saving;
        held.snapshots = snapshots.into();
        let open = std::mem::take(&mut held.open);
        held.saved.absorb(Epoch { is_changed: true, ..open });
        self.wanted.store(false, Ordering::Release);
    }

    /// Removes the snapshots, because no instance can restore them.
    pub(crate) fn clear(&self) {
        self.held.lock().snapshots = Arc::default();
    }

    /// Whether batches must be reported with [`seen`](Self::seen).
    pub(crate) fn is_durable(&self) -> bool {
        self.held.lock().is_durable
    }

    /// The node has processed a batch with this share of its acknowledgement.
    pub(crate) fn seen(&self, ack: Ack) {
        let mut held = self.held.lock();
        if !held.is_durable {
            drop(held);
            return ack.deliver();
        }
        held.open.acks.push(ack.park());
        held.open.is_changed = true;
    }

    /// An instance continues from the snapshots, so what happened since is lost. The sources offer
    /// those batches again.
    pub(crate) fn roll_back(&self) {
        let mut held = self.held.lock();
        let open = std::mem::take(&mut held.open);
        // Made events are on their way, and the next snapshot must wait for them.
        held.saved.absorb(Epoch { undelivered: open.undelivered, ..Epoch::default() });
        drop(held);
        drop(open.acks);
    }

    /// Gives events that the node made an acknowledgement: they are sent again until they are
    /// delivered.
    pub(crate) fn made(&self, batches: &mut [(usize, Batch)]) {
        if batches.is_empty() {
            return;
        }
        let undelivered = Arc::new(AtomicU64::new(batches.len() as u64));
        let mut held = self.held.lock();
        // A node without state never ends an epoch.
        held.open.undelivered.retain(|number| number.load(Ordering::Acquire) > 0);
        held.open.undelivered.push(undelivered.clone());
        drop(held);
        for (port, batch) in batches {
            *batch = Made::new(*port, batch, &undelivered).track(&self.returned);
        }
    }

    /// Takes events that came back, with their ports, to send them again.
    pub fn take_returned(&self) -> Vec<(usize, Batch)> {
        self.returned.take().into_iter().map(|made| (made.port(), made.track(&self.returned))).collect()
    }

    /// Whether made events came back, or the owner of the instance should take a snapshot.
    pub fn needs_attention(&self) -> bool {
        self.returned.has_any() || self.wanted.load(Ordering::Acquire)
    }

    /// Asks the owner of the instance for a snapshot.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether a snapshot was asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// How much waits for a snapshot on disk.
    pub fn waiting(&self) -> Waiting {
        let held = self.held.lock();
        let both = [&held.open, &held.saved];
        Waiting {
            is_awaited: both.iter().any(|epoch| !epoch.acks.is_empty()),
            saving: held.saving,
            is_changed: both.iter().any(|epoch| epoch.is_changed),
        }
    }

    /// Takes the last snapshot in memory, to write it to disk; `None` if the one on disk has
    /// everything that it has.
    pub fn stage(&self) -> Option<Staged> {
        let mut held = self.held.lock();
        if !held.saved.is_changed {
            return None;
        }
        let epoch = std::mem::take(&mut held.saved);
        held.is_staged = true;
        Some(Staged { snapshots: held.snapshots.clone(), epoch, files: held.files.clone() })
    }

    /// Takes a staged snapshot back that was not written.
    pub fn unstage(&self, staged: Staged) {
        let mut held = self.held.lock();
        held.is_staged = false;
        if let Some(heir) = held.heir.clone() {
            drop(held);
            return heir.unstage(staged);
        }
        held.saved.absorb(staged.epoch);
        // A reload can end the durability while a snapshot waits to be written.
        Self::acknowledge_unless_durable(held);
    }

    /// The files that contain the state as of the last write.
    pub fn files(&self) -> Vec<PathBuf> {
        self.held.lock().files.clone()
    }

    /// The next write replaces this file, too.
    pub fn replace_file(&self, file: PathBuf) {
        self.held.lock().files.push(file);
    }

    /// The state is in one file now, instead of in these.
    pub fn wrote(&self, file: PathBuf, before: &[PathBuf]) {
        let mut held = self.held.lock();
        held.is_staged = false;
        if let Some(heir) = held.heir.clone() {
            drop(held);
            return heir.wrote(file, before);
        }
        held.files.retain(|known| *known != file && !before.contains(known));
        held.files.push(file);
    }
}
