use super::*;
use std::time::Duration;
use wattle_batch::{Column, Disposition, Origin};

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
    slot.seen(one);
    assert!(slot.stage().is_none(), "no snapshot contains it");
    slot.set(vec![snapshot(1)], Duration::ZERO);
    let (two, second) = watched();
    slot.seen(two);
    let expected = Waiting { is_awaited: true, is_changed: true, saving: Duration::ZERO };
    assert_eq!(slot.waiting(), expected);
    let staged = slot.stage().unwrap();
    assert_eq!(staged.snapshots(), [snapshot(1)]);
    assert_eq!(*first.lock(), None);
    staged.release();
    assert_eq!((*first.lock(), *second.lock()), (Some(Disposition::Delivered), None));
    slot.set(vec![snapshot(2)], Duration::ZERO);
    let failed = slot.stage().unwrap();
    slot.unstage(failed);
    assert_eq!(*second.lock(), None, "it could not be written");
    slot.stage().unwrap().release();
    assert_eq!(*second.lock(), Some(Disposition::Delivered));
    assert!(slot.stage().is_none());
}

#[test]
fn a_slot_that_is_not_durable_acknowledges_what_it_takes_over() {
    let before = durable();
    let ((one, first), (two, second), (three, third)) = (watched(), watched(), watched());
    before.seen(one);
    before.set(vec![snapshot(1)], Duration::ZERO);
    let staged = before.stage().unwrap();
    before.seen(two);
    before.set(vec![snapshot(2)], Duration::ZERO);
    before.seen(three);
    let heir = Arc::new(StateSlot::default());
    heir.take_from(&before);
    assert_eq!((*first.lock(), *second.lock()), (None, Some(Disposition::Delivered)));
    assert_eq!(*third.lock(), Some(Disposition::Delivered));
    // The snapshot that was on its way to disk comes back through the former slot.
    before.unstage(staged);
    assert_eq!(*first.lock(), Some(Disposition::Delivered));
}

#[test]
fn a_staged_snapshot_of_a_slot_that_stopped_being_durable_acknowledges() {
    let slot = durable();
    let (ack, seen) = watched();
    slot.seen(ack);
    slot.set(vec![snapshot(1)], Duration::ZERO);
    let staged = slot.stage().unwrap();
    slot.set_durable(false);
    assert_eq!(*seen.lock(), None);
    slot.unstage(staged);
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));
}

#[test]
fn what_a_lost_instance_has_seen_since_its_snapshot_is_offered_again() {
    let slot = durable();
    let ((one, first), (two, second)) = (watched(), watched());
    slot.seen(one);
    slot.set(vec![snapshot(1)], Duration::ZERO);
    slot.seen(two);
    slot.roll_back();
    assert_eq!((*first.lock(), *second.lock()), (None, Some(Disposition::Retry)));
}

#[test]
fn a_snapshot_waits_for_what_was_made_before_it() {
    let slot = durable();
    let (ack, seen) = watched();
    slot.seen(ack);
    let mut made = [(0, batch("a")), (1, batch("b"))];
    slot.made(&mut made);
    slot.set(vec![snapshot(1)], Duration::ZERO);
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
    assert_eq!((port, b.body().row(0), b.is_redelivered()), (1, b"b".as_slice(), true));
    b.into_ack().reject(1);
    assert!(staged.is_settled(), "what was made later does not matter");
    assert_eq!(*seen.lock(), None);
    drop(staged);
    slot.set(vec![snapshot(2)], Duration::ZERO);
    let next = slot.stage().unwrap();
    assert!(!next.is_settled());
    let [(_, c)] = later;
    c.into_ack().deliver();
    assert!(next.is_settled());
}

#[test]
fn a_snapshot_waits_for_the_events_that_passed_on_but_not_for_other_nodes() {
    let (first, second) = (durable(), durable());
    let (ack, seen) = watched();
    first.seen(ack.share());
    second.seen(ack.share());
    first.set(vec![snapshot(1)], Duration::ZERO);
    second.set(vec![snapshot(1)], Duration::ZERO);
    let staged = [first.stage().unwrap(), second.stage().unwrap()];
    assert!(staged.iter().all(|staged| !staged.is_settled() && staged.is_awaited()), "the events wait for a sink");
    ack.deliver();
    assert!(staged.iter().all(Staged::is_settled));
    let [one, two] = staged;
    one.release();
    assert_eq!(*seen.lock(), None);
    two.release();
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));

    let (ack, seen) = watched();
    first.seen(ack.share());
    first.set(vec![snapshot(2)], Duration::ZERO);
    let staged = first.stage().unwrap();
    drop(ack);
    assert!(staged.is_settled(), "the source offers the events again only after all shares have ended");
    staged.release();
    assert_eq!(*seen.lock(), Some(Disposition::Retry));
}

#[test]
fn a_rollback_keeps_waiting_for_what_was_made() {
    let slot = durable();
    let mut made = [(0, batch("a"))];
    slot.made(&mut made);
    slot.roll_back();
    slot.set(vec![snapshot(1)], Duration::ZERO);
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
    slot.seen(ack);
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));
    let (slot, (ack, seen)) = (durable(), watched());
    slot.seen(ack);
    slot.set_durable(false);
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));
}

#[test]
fn a_slot_inherits_what_another_one_waits_for() {
    let (own, other) = (Arc::new(durable()), durable());
    let (ack, seen) = watched();
    other.seen(ack);
    other.set(vec![snapshot(2)], Duration::ZERO);
    own.set(vec![snapshot(1)], Duration::ZERO);
    own.take_from(&other);
    assert_eq!(*own.get(), [snapshot(1), snapshot(2)]);
    assert!(other.get().is_empty());
    own.set(vec![snapshot(3)], Duration::ZERO);
    own.stage().unwrap().release();
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));
}

#[test]
fn what_comes_to_a_slot_that_moved_goes_to_its_heir() {
    let (own, other) = (Arc::new(durable()), durable());
    let (ack, seen) = watched();
    other.seen(ack);
    let mut made = [(1, batch("a")), (1, batch("b"))];
    other.made(&mut made);
    other.set(vec![snapshot(2)], Duration::ZERO);
    let staged = other.stage().unwrap();
    let [(_, a), (_, b)] = made;
    drop(a);
    own.take_from(&other);
    assert!(other.has_moved() && own.needs_attention());
    drop(b);
    let returned = own.take_returned();
    assert_eq!(returned.len(), 2);
    assert!(other.take_returned().is_empty());
    other.unstage(staged);
    let staged = own.stage().unwrap();
    assert_eq!(staged.snapshots(), [snapshot(2)]);
    assert!(!staged.is_settled());
    returned.into_iter().for_each(|(_, batch)| batch.into_ack().deliver());
    assert!(staged.is_settled());
    staged.release();
    assert_eq!(*seen.lock(), Some(Disposition::Delivered));
}

#[test]
fn an_heir_replaces_the_files_of_the_slots_that_moved_into_it() {
    let own = Arc::new(durable());
    let other = StateSlot::from_files(vec![snapshot(1)], vec!["a".into(), "b".into()]);
    own.take_from(&other);
    let staged = own.stage().unwrap();
    assert_eq!(staged.files(), [PathBuf::from("a"), "b".into()]);
    // A write of the other slot that began before.
    other.wrote("c".into(), &["a".into()]);
    assert_eq!(own.files(), [PathBuf::from("b"), "c".into()]);
    own.wrote("own".into(), staged.files());
    assert_eq!(own.files(), [PathBuf::from("c"), "own".into()]);
}

#[test]
fn a_slot_that_goes_offers_everything_again() {
    let slot = durable();
    let (ack, seen) = watched();
    slot.seen(ack);
    slot.set(vec![snapshot(1)], Duration::ZERO);
    drop(slot);
    assert_eq!(*seen.lock(), Some(Disposition::Retry));
}
