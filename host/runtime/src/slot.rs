//! What outlives an instance of a node: its snapshots, the acknowledgements of the events that they
//! must contain, and the events that it made and that no sink has yet.
//!
//! A node with durable state is acknowledged by its snapshot. Two rules keep open windows through a
//! crash:
//!
//! 1. The acknowledgement of a batch that the node has seen ends only after a snapshot that was taken
//!    later is on disk.
//! 2. A snapshot is written to disk only when all events that the node made before it was taken are
//!    delivered.
//!
//! So after a crash the node continues from the last snapshot, its sources offer again what that
//! snapshot lacks, and it makes the same events again.
//!
//! An *epoch* is what happened between two snapshots in memory. [`StateSlot::set`] ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use wattle_batch::{Ack, Batch, Disposition};

use crate::bindings::Snapshot;

/// The state of a node on one worker, or of one of its shards, independent of the instance.
///
/// Usually there is one snapshot: the last one after a successful call. There are several if an
/// earlier run had more workers.
#[derive(Debug, Default)]
pub struct StateSlot {
    held: Mutex<Held>,
    /// Set to have the owner of the instance take a snapshot soon.
    wanted: AtomicBool,
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
}

/// What happened between two snapshots.
#[derive(Debug, Default)]
struct Epoch {
    acks: Vec<Ack>,
    /// Bytes of the bodies of these batches.
    bytes: u64,
    /// Events of these batches that ended in the node.
    held: u64,
    /// Numbers of made events that are not delivered.
    undelivered: Vec<Arc<AtomicU64>>,
    /// Whether the state changed.
    is_changed: bool,
}

impl Epoch {
    fn absorb(&mut self, mut other: Self) {
        self.acks.append(&mut other.acks);
        self.bytes += other.bytes;
        self.held += other.held;
        self.undelivered.append(&mut other.undelivered);
        self.undelivered.retain(|number| number.load(Ordering::Acquire) > 0);
        self.is_changed |= other.is_changed;
    }
}

/// Events that were made and that a sink or a drain gave back. They must be sent again.
#[derive(Debug, Default)]
struct Returned {
    any: AtomicBool,
    batches: Mutex<Vec<Made>>,
}

/// Events that a node made, without an acknowledgement.
#[derive(Debug)]
struct Made {
    port: usize,
    batch: Batch,
    undelivered: Arc<AtomicU64>,
}

impl Made {
    /// The events with an acknowledgement that keeps them until they are delivered.
    fn track(self, returned: &Arc<Returned>) -> Batch {
        let Self { port, batch, undelivered } = self;
        let (copy, returned) = (batch.detached(), returned.clone());
        let report = move |disposition| match disposition {
            Disposition::Retry => {
                returned.batches.lock().push(Self { port, batch: copy, undelivered });
                returned.any.store(true, Ordering::Release);
            }
            // What a sink counted as lost cannot be delivered later either.
            _ => _ = undelivered.fetch_sub(1, Ordering::AcqRel),
        };
        batch.with_ack(Ack::new(report))
    }
}

/// How much waits for a snapshot on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Batches whose acknowledgement waits.
    pub batches: usize,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Their events that ended in the node.
    pub held: u64,
    /// Whether the state changed since the last snapshot on disk.
    pub is_changed: bool,
}

/// A snapshot that will be written to disk, with the acknowledgements that end after that.
#[derive(Debug)]
pub struct Staged {
    snapshots: Arc<[Snapshot]>,
    epoch: Epoch,
}

impl Staged {
    /// The snapshots.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Whether everything that the node made before is delivered, so that the snapshot may be
    /// written.
    pub fn is_settled(&self) -> bool {
        self.epoch.undelivered.iter().all(|number| number.load(Ordering::Acquire) == 0)
    }

    /// Ends the acknowledgements, after the snapshot is on disk.
    pub fn release(self) {
        self.epoch.acks.into_iter().for_each(Ack::deliver);
    }
}

impl StateSlot {
    /// Creates a slot with these snapshots.
    pub fn new(snapshots: Vec<Snapshot>) -> Self {
        let held = Held { snapshots: snapshots.into(), ..Held::default() };
        Self { held: Mutex::new(held), ..Self::default() }
    }

    /// The current snapshots.
    pub fn get(&self) -> Arc<[Snapshot]> {
        self.held.lock().snapshots.clone()
    }

    /// Sets whether events are acknowledged by snapshots on disk.
    pub fn set_durable(&self, is_durable: bool) {
        let mut held = self.held.lock();
        held.is_durable = is_durable;
        if !is_durable {
            let acks = [std::mem::take(&mut held.open.acks), std::mem::take(&mut held.saved.acks)];
            // Ending an acknowledgement runs code of the source.
            drop(held);
            acks.into_iter().flatten().for_each(Ack::deliver);
        }
    }

    /// Moves the state of another slot into this one. No instance may be using either.
    pub fn take_from(&self, other: &Self) {
        let theirs = std::mem::take(&mut *other.held.lock());
        let mut held = self.held.lock();
        if !theirs.snapshots.is_empty() {
            held.snapshots = [&*held.snapshots, &*theirs.snapshots].concat().into();
        }
        // Neither epoch is on disk with the snapshots of this slot.
        held.saved.absorb(theirs.saved);
        held.open.absorb(theirs.open);
        other.held.lock().is_durable = theirs.is_durable;
    }

    /// Replaces the snapshots with newer ones, which contain everything so far.
    pub(crate) fn set(&self, snapshots: Vec<Snapshot>) {
        let mut held = self.held.lock();
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

    /// The node has processed a batch with this share of its acknowledgement; `held` of its events
    /// ended in the node.
    pub(crate) fn seen(&self, ack: Ack, bytes: u64, events_held: u64) {
        let mut held = self.held.lock();
        if !held.is_durable {
            drop(held);
            return ack.deliver();
        }
        held.open.acks.push(ack);
        held.open.bytes += bytes;
        held.open.held += events_held;
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
            let made = Made { port: *port, batch: batch.detached(), undelivered: undelivered.clone() };
            *batch = made.track(&self.returned);
        }
    }

    /// Takes events that came back, with their ports, to send them again.
    pub fn take_returned(&self) -> Vec<(usize, Batch)> {
        if !self.returned.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let batches = std::mem::take(&mut *self.returned.batches.lock());
        batches.into_iter().map(|made| (made.port, made.track(&self.returned))).collect()
    }

    /// Whether made events came back, or the owner of the instance should take a snapshot.
    pub fn needs_attention(&self) -> bool {
        self.returned.any.load(Ordering::Acquire) || self.wanted.load(Ordering::Acquire)
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
            batches: both.iter().map(|epoch| epoch.acks.len()).sum(),
            bytes: both.iter().map(|epoch| epoch.bytes).sum(),
            held: both.iter().map(|epoch| epoch.held).sum(),
            is_changed: both.iter().any(|epoch| epoch.is_changed),
        }
    }

    /// Number of made batches that are not delivered, and that no staged snapshot waits for.
    pub fn undelivered(&self) -> u64 {
        let held = self.held.lock();
        let all = held.open.undelivered.iter().chain(&held.saved.undelivered);
        all.map(|number| number.load(Ordering::Acquire)).sum()
    }

    /// Takes the last snapshot in memory, to write it to disk; `None` if the one on disk has
    /// everything that it has.
    pub fn stage(&self) -> Option<Staged> {
        let mut held = self.held.lock();
        if !held.saved.is_changed {
            return None;
        }
        Some(Staged { snapshots: held.snapshots.clone(), epoch: std::mem::take(&mut held.saved) })
    }

    /// Takes a staged snapshot back that could not be written.
    pub fn unstage(&self, staged: Staged) {
        self.held.lock().saved.absorb(staged.epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_batch::{Column, Origin};

    fn snapshot(version: u32) -> Snapshot {
        Snapshot { version, bytes: Default::default() }
    }

    /// An acknowledgement, and what became of it.
    fn watched() -> (Ack, Arc<Mutex<Option<Disposition>>>) {
        let seen = Arc::new(Mutex::new(None));
        let to = seen.clone();
        (Ack::new(move |disposition| *to.lock() = Some(disposition)), seen)
    }

    fn batch(body: &str) -> Batch {
        let origin = Origin { source: "n".into(), resource: "{}".into(), observed: 0 };
        Batch::new(Column::from_rows([body]).unwrap(), Arc::new(origin), Ack::none())
    }

    fn durable() -> StateSlot {
        let slot = StateSlot::default();
        slot.set_durable(true);
        slot
    }

    #[test]
    fn a_batch_is_acknowledged_by_a_later_snapshot_on_disk() {
        let slot = durable();
        let (one, first) = watched();
        slot.seen(one, 10, 2);
        assert!(slot.stage().is_none(), "no snapshot contains it");
        slot.set(vec![snapshot(1)]);
        let (two, second) = watched();
        slot.seen(two, 5, 1);
        let expected = Waiting { batches: 2, bytes: 15, held: 3, is_changed: true };
        assert_eq!(slot.waiting(), expected);
        let staged = slot.stage().unwrap();
        assert_eq!(staged.snapshots(), [snapshot(1)]);
        assert_eq!(*first.lock(), None);
        staged.release();
        assert_eq!((*first.lock(), *second.lock()), (Some(Disposition::Delivered), None));
        slot.set(vec![snapshot(2)]);
        let failed = slot.stage().unwrap();
        slot.unstage(failed);
        assert_eq!(*second.lock(), None, "it could not be written");
        slot.stage().unwrap().release();
        assert_eq!(*second.lock(), Some(Disposition::Delivered));
        assert!(slot.stage().is_none());
    }

    #[test]
    fn what_a_lost_instance_has_seen_since_its_snapshot_is_offered_again() {
        let slot = durable();
        let ((one, first), (two, second)) = (watched(), watched());
        slot.seen(one, 1, 1);
        slot.set(vec![snapshot(1)]);
        slot.seen(two, 1, 1);
        slot.roll_back();
        assert_eq!((*first.lock(), *second.lock()), (None, Some(Disposition::Retry)));
    }

    #[test]
    fn a_snapshot_waits_for_what_was_made_before_it() {
        let slot = durable();
        let (ack, seen) = watched();
        slot.seen(ack, 1, 1);
        let mut made = [(0, batch("a")), (1, batch("b"))];
        slot.made(&mut made);
        slot.set(vec![snapshot(1)]);
        let mut later = [(0, batch("c"))];
        slot.made(&mut later);
        let staged = slot.stage().unwrap();
        let [(_, a), (_, b)] = made;
        a.into_ack().deliver();
        assert!(!staged.is_settled());
        assert!(!slot.needs_attention());
        drop(b);
        assert!(!staged.is_settled(), "it came back");
        assert!(slot.needs_attention());
        let mut returned = slot.take_returned();
        assert_eq!(returned.len(), 1);
        let (port, b) = returned.pop().unwrap();
        assert_eq!((port, b.body().row(0)), (1, b"b".as_slice()));
        b.into_ack().reject();
        assert!(staged.is_settled(), "what was made later does not matter");
        assert_eq!(*seen.lock(), None);
        assert_eq!(slot.undelivered(), 1);
    }

    #[test]
    fn a_rollback_keeps_waiting_for_what_was_made() {
        let slot = durable();
        let mut made = [(0, batch("a"))];
        slot.made(&mut made);
        slot.roll_back();
        slot.set(vec![snapshot(1)]);
        let staged = slot.stage().unwrap();
        assert!(!staged.is_settled());
        let [(_, a)] = made;
        a.into_ack().deliver();
        assert!(staged.is_settled());
    }

    #[test]
    fn state_in_memory_acknowledges_at_once() {
        let slot = StateSlot::default();
        let (ack, seen) = watched();
        slot.seen(ack, 1, 1);
        assert_eq!(*seen.lock(), Some(Disposition::Delivered));
        let (slot, (ack, seen)) = (durable(), watched());
        slot.seen(ack, 1, 1);
        slot.set_durable(false);
        assert_eq!(*seen.lock(), Some(Disposition::Delivered));
    }

    #[test]
    fn a_slot_inherits_what_another_one_waits_for() {
        let (own, other) = (durable(), durable());
        let (ack, seen) = watched();
        other.seen(ack, 1, 1);
        other.set(vec![snapshot(2)]);
        own.set(vec![snapshot(1)]);
        own.take_from(&other);
        assert_eq!(*own.get(), [snapshot(1), snapshot(2)]);
        assert!(other.get().is_empty());
        own.set(vec![snapshot(3)]);
        own.stage().unwrap().release();
        assert_eq!(*seen.lock(), Some(Disposition::Delivered));
    }

    #[test]
    fn a_slot_that_goes_offers_everything_again() {
        let slot = durable();
        let (ack, seen) = watched();
        slot.seen(ack, 1, 1);
        slot.set(vec![snapshot(1)]);
        drop(slot);
        assert_eq!(*seen.lock(), Some(Disposition::Retry));
    }
}
