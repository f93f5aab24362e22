//! The acknowledgement that a batch and all its descendants share. It specifies "no event is lost".
//!
//! A source makes an acknowledgement with [`Ack::new`] and gives it to the batch. Code that takes
//! responsibility for some of the events (a split, a copy for a second output, a sink's buffer)
//! takes a [share](Ack::share). Each share ends in exactly one way:
//!
//! - [`deliver`](Ack::deliver): the events are where they belong: accepted by the destination of a
//!   sink, written to a failure output, or dropped on purpose by a node;
//! - [`reject`](Ack::reject): the events can never be delivered and have been counted as lost, with
//!   a reason;
//! - [`give_up`](Ack::give_up): a sink used up its attempts, as it was configured to, and counted
//!   the events as lost; a client that keeps its events may still send them again;
//! - dropped silently (a worker that went down, a drain that ran out of time): the events were not
//!   delivered.
//!
//! When the last share has ended, the source is notified once, with the worst report of any share:
//! [`Disposition::Retry`] over [`Disposition::GivenUp`] over [`Disposition::Rejected`] over
//! [`Disposition::Delivered`]. So forgetting a share can delay a checkpoint, but can never move one
//! past events that are not safe.
//!
//! A node with durable state has seen the events when they move on, but its state is not on disk yet. It
//! [parks](Ack::park) a share until then. A parked share reports how all shares that are not parked have ended, so
//! nodes that wait for each other's events do not wait for each other's states.
//!
//! # What sources do with it
//!
//! | source | delivered | rejected | given up | retry |
//! | --- | --- | --- | --- | --- |
//! | `file` | the checkpoint moves | as delivered: the loss is counted where it was rejected | as rejected | reads again from the checkpoint, after a pause |
//! | `aws_s3` | deletes the message when all of its objects are | as delivered | as delivered | reads the object again from its first undelivered event; when it is stopped, gives the message back |
//! | `http` | answers 200 | answers 422 | answers 503 | answers 503 |
//! | `otlp` | answers with success | answers with a partial success and the number of rejected events | answers UNAVAILABLE or 503 | as given up |
//! | `splunk_hec` | answers with code 0, or acknowledges the request when its client asks | as delivered | answers with code 9, or never acknowledges | as given up |
//! | `elasticsearch_bulk` | answers 200 with 201 for each document | as delivered | answers 503 | answers 503 |
//! | `kafka` | the offset to commit moves when all events before are acknowledged | as delivered | as delivered | offers the batch again; when it is stopped or the partition leaves, commits nothing after it |
//! | `nats` | acknowledges the messages of the batch | as delivered | as delivered | gives them back with a pause; when it is stopped, at once |
//! | `stdin`, `socket`, `syslog`, `demo` | forgets the bytes | as delivered | as delivered | offers the batch again; when it is stopped, counts it as lost |
//!
//! Acknowledgements of one file arrive in any order. The checkpoint moves over a part only when all
//! parts before it are done. If a part is returned, the source reads it again together with all
//! parts after it, so those events arrive twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The result of a batch as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    /// Every event was delivered, failed to an output, or was dropped on purpose.
    Delivered,
    /// Some events can never be delivered; trying again would not help.
    Rejected,
    /// A sink used up its attempts for some events and counted them as lost; trying again later may
    /// help.
    GivenUp,
    /// Some events were not delivered; the source should offer them again.
    Retry,
}

impl Disposition {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Delivered,
            1 => Self::Rejected,
            2 => Self::GivenUp,
            _ => Self::Retry,
        }
    }
}

/// Gets the result, and how many events were rejected.
type Report = Box<dyn FnOnce(Disposition, usize) + Send + Sync>;

struct Inner {
    worst: AtomicU8,
    /// Events that were rejected.
    rejected: AtomicUsize,
    /// Shares that are neither parked nor ended. At zero it stays there, because a parked share cannot be shared.
    open: AtomicUsize,
    report: Option<Report>,
    /// Reports to others than the source. Few batches have any.
    others: Mutex<Vec<Report>>,
}

impl Inner {
    /// Ends a share.
    fn report(&self, disposition: Disposition) {
        self.worst.fetch_max(disposition as u8, Ordering::AcqRel);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let disposition = Disposition::from_u8(*self.worst.get_mut());
        let rejected = *self.rejected.get_mut();
        // Before the source, which may offer the events again at once.
        for report in self.others.get_mut().drain(..) {
            report(disposition, rejected);
        }
        if let Some(report) = self.report.take() {
            report(disposition, rejected);
        }
    }
}

/// One share of an acknowledgement. The documentation of the module has its rules.
pub struct Ack {
    inner: Option<Arc<Inner>>,
}

impl Ack {
    /// Makes the first share. `report` runs once, on the thread that ends the last share; it must
    /// not block.
    pub fn new(report: impl FnOnce(Disposition) + Send + Sync + 'static) -> Self {
        Self::counting(|disposition, _| report(disposition))
    }

    /// Does as [`new`](Self::new); `report` also gets how many events were rejected. A node can split events and drop
    /// some, so this can be another number of events than those of the source.
    pub fn counting(report: impl FnOnce(Disposition, usize) + Send + Sync + 'static) -> Self {
        let report: Report = Box::new(report);
        Self {
            inner: Some(Arc::new(Inner {
                worst: AtomicU8::new(0),
                rejected: AtomicUsize::new(0),
                open: AtomicUsize::new(1),
                report: Some(report),
                others: Mutex::new(Vec::new()),
            })),
        }
    }

    /// Adds a report that runs before that of the source, under the same rules. Without a source,
    /// it runs at once, with [`Disposition::Delivered`].
    pub fn watch(&self, report: impl FnOnce(Disposition) + Send + Sync + 'static) {
        match &self.inner {
            Some(inner) => inner.others.lock().push(Box::new(|disposition, _| report(disposition))),
            None => report(Disposition::Delivered),
        }
    }

    /// An acknowledgement without a source.
    pub fn none() -> Self {
        Self { inner: None }
    }

    /// Takes another share.
    pub fn share(&self) -> Self {
        if let Some(inner) = &self.inner {
            inner.open.fetch_add(1, Ordering::Relaxed);
        }
        Self { inner: self.inner.clone() }
    }

    /// Parks this share: its events moved on, and the owner of the share still waits, for example for a snapshot on disk.
    pub fn park(mut self) -> Parked {
        let inner = self.inner.take();
        if let Some(inner) = &inner {
            inner.open.fetch_sub(1, Ordering::Release);
        }
        Parked(inner)
    }

    /// Ends this share: its events are where they belong.
    pub fn deliver(mut self) {
        self.end(Disposition::Delivered);
    }

    /// Ends this share, of so many events: they can never be delivered and were counted as lost.
    pub fn reject(mut self, events: usize) {
        if let Some(inner) = &self.inner {
            inner.rejected.fetch_add(events, Ordering::AcqRel);
        }
        self.end(Disposition::Rejected);
    }

    /// Ends this share: the sink used up its attempts and counted the events as lost.
    pub fn give_up(mut self) {
        self.end(Disposition::GivenUp);
    }

    fn end(&mut self, disposition: Disposition) {
        if let Some(inner) = self.inner.take() {
            inner.report(disposition);
            inner.open.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.end(Disposition::Retry);
    }
}

/// A parked share of an acknowledgement. Dropped, it means [`Disposition::Retry`] like any share.
pub struct Parked(Option<Arc<Inner>>);

impl Parked {
    /// The worst report of any share so far, after the last share that is not parked has ended; `None` before.
    pub fn others(&self) -> Option<Disposition> {
        let Some(inner) = &self.0 else { return Some(Disposition::Delivered) };
        (inner.open.load(Ordering::Acquire) == 0).then(|| Disposition::from_u8(inner.worst.load(Ordering::Acquire)))
    }

    /// Ends this share: what it waited for has happened.
    pub fn deliver(mut self) {
        self.end(Disposition::Delivered);
    }

    fn end(&mut self, disposition: Disposition) {
        if let Some(inner) = self.0.take() {
            inner.report(disposition);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.end(Disposition::Retry);
    }
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").field("others", &self.others()).finish()
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack").field("shares", &self.inner.as_ref().map_or(0, Arc::strong_count)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn watched() -> (Ack, Arc<Mutex<Vec<Disposition>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        (Ack::new(move |d| to.lock().unwrap().push(d)), seen)
    }

    #[test]
    fn watchers_learn_the_same_result_before_the_source() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name| {
            let order = order.clone();
            move |disposition| order.lock().unwrap().push((name, disposition))
        };
        let ack = Ack::new(note("source"));
        ack.watch(note("watcher"));
        drop(ack.share());
        ack.deliver();
        Ack::none().watch(note("without a source"));
        assert_eq!(
            *order.lock().unwrap(),
            [
                ("watcher", Disposition::Retry),
                ("source", Disposition::Retry),
                ("without a source", Disposition::Delivered)
            ]
        );
    }

    #[test]
    fn rejected_events_are_counted() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        let ack = Ack::counting(move |disposition, rejected| to.lock().unwrap().push((disposition, rejected)));
        ack.share().reject(2);
        ack.share().deliver();
        ack.share().reject(1);
        ack.deliver();
        assert_eq!(*seen.lock().unwrap(), [(Disposition::Rejected, 3)]);
    }

    #[test]
    fn reports_once_when_the_last_share_ends() {
        let (ack, seen) = watched();
        let second = ack.share();
        ack.deliver();
        assert!(seen.lock().unwrap().is_empty());
        second.deliver();
        assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
    }

    #[test]
    fn the_worst_share_decides() {
        for (ends, expected) in [
            ("dd", Disposition::Delivered),
            ("dr", Disposition::Rejected),
            ("rg", Disposition::GivenUp),
            ("gf", Disposition::Retry),
            ("fd", Disposition::Retry),
            ("f", Disposition::Retry),
        ] {
            let (ack, seen) = watched();
            let shares: Vec<Ack> = ends.chars().map(|_| ack.share()).collect();
            ack.deliver();
            for (share, end) in shares.into_iter().zip(ends.chars()) {
                match end {
                    'd' => share.deliver(),
                    'r' => share.reject(1),
                    'g' => share.give_up(),
                    _ => drop(share),
                }
            }
            assert_eq!(*seen.lock().unwrap(), [expected], "{ends}");
        }
    }

    #[test]
    fn a_parked_share_tells_how_the_others_ended() {
        for (ends, expected) in
            [("dd", Disposition::Delivered), ("rd", Disposition::Rejected), ("df", Disposition::Retry)]
        {
            let (ack, seen) = watched();
            // Two nodes park: neither waits for the other.
            let parked = [ack.share().park(), ack.share().park()];
            let last = ack.share();
            let end = |ack: Ack, end: char| match end {
                'd' => ack.deliver(),
                'r' => ack.reject(1),
                _ => drop(ack),
            };
            let mut ends = ends.chars();
            end(ack, ends.next().unwrap());
            assert!(parked.iter().all(|share| share.others().is_none()), "one is open");
            end(last, ends.next().unwrap());
            assert!(parked.iter().all(|share| share.others() == Some(expected)));
            assert!(seen.lock().unwrap().is_empty(), "the source waits for parked shares");
            parked.into_iter().for_each(Parked::deliver);
            assert_eq!(*seen.lock().unwrap(), [expected]);
        }
        let (ack, seen) = watched();
        let parked = ack.share().park();
        ack.deliver();
        drop(parked);
        assert_eq!(*seen.lock().unwrap(), [Disposition::Retry], "a forgotten parked share");
        assert_eq!(Ack::none().park().others(), Some(Disposition::Delivered));
    }

    #[test]
    fn a_forgotten_share_means_retry_and_none_reports_nothing() {
        let (ack, seen) = watched();
        drop(ack);
        assert_eq!(*seen.lock().unwrap(), [Disposition::Retry]);
        Ack::none().deliver();
    }
}
