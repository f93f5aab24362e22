//! Open connections of a server: their limit, and which ones are closed for new ones.
//!
//! A connection is busy while the events of a complete request are processed. Otherwise it waits
//! for its client: for a request, for the rest of one, or until the client has read a response.
//! Only waiting connections are closed, starting with the one whose client was inactive for the
//! longest time. So clients that keep connections without using them, or send half a request,
//! cannot block others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::owner::Owner;

/// How long a client may be inactive when the server stops.
const SILENCE: Duration = Duration::from_millis(100);

/// How long a client may be inactive while others need its slot, or the memory of its body. A
/// client that has just connected is about to send its request.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long clients may continue to send a request when the server stops.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// Interval at which connections are checked while the server stops or all of them are busy.
const PAUSE: Duration = Duration::from_millis(20);

/// Minimum time between two log lines about closed connections.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// In place of a number of busy requests: the connection is being closed.
const CLOSING: usize = usize::MAX;

/// The connections of a server.
pub struct Connections {
    owner: Owner,
    max: usize,
    places: Arc<Semaphore>,
    began: Instant,
    open: Mutex<Open>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

#[derive(Default)]
struct Log {
    quiet_until: Option<Instant>,
    closed: u64,
}

/// One connection, shared by its task, its requests and the server.
#[derive(Debug)]
pub struct Connection {
    began: Instant,
    /// Busy requests; several over HTTP/2.
    working: AtomicUsize,
    /// Last activity of the client, in milliseconds since `began`.
    active: AtomicU64,
    /// Whether a part of a body arrived.
    has_body: AtomicBool,
    changed: Notify,
}

/// Keeps a connection registered, and its slot occupied.
pub struct Registered {
    all: Arc<Connections>,
    number: u64,
    /// The connection.
    pub connection: Arc<Connection>,
    _place: Option<OwnedSemaphorePermit>,
}

/// A busy request. Dropping it lets the connection wait for the next one.
#[derive(Debug)]
pub struct Work(Arc<Connection>);

impl Connections {
    /// At most `max` connections of this owner.
    pub fn new(owner: Owner, max: usize) -> Self {
        Self {
            owner,
            max,
            places: Arc::new(Semaphore::new(max)),
            began: Instant::now(),
            open: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// Waits for a slot for one more connection; closes the connection of an inactive client if
    /// there is none.
    pub async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return place;
            }
            if self.close_longest_silent() {
                self.log_closed();
            }
            // The closed connection frees its slot when its task ends.
            if let Ok(Ok(place)) = tokio::time::timeout(PAUSE, self.places.clone().acquire_owned()).await {
                return place;
            }
        }
    }

    /// Registers an accepted connection.
    pub fn register(self: &Arc<Self>, place: Option<OwnedSemaphorePermit>) -> Registered {
        let connection = Arc::new(Connection {
            began: self.began,
            working: AtomicUsize::new(0),
            active: AtomicU64::new(0),
            has_body: AtomicBool::new(false),
            changed: Notify::new(),
        });
        connection.touch();
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, connection.clone());
        Registered { all: self.clone(), number, connection, _place: place }
    }

    fn close_longest_silent(&self) -> bool {
        let now = self.now();
        let open = self.open.lock();
        let silent = |connection: &&Arc<Connection>| connection.is_waiting() && connection.silence(now) >= PATIENCE;
        let waiting = open.connections.values().filter(silent);
        waiting.min_by_key(|connection| connection.active.load(Ordering::Relaxed)).is_some_and(|found| found.close())
    }

    /// Closes connections of inactive clients with a partial body; returns whether there were any.
    pub fn close_silent_bodies(&self) -> bool {
        let now = self.now();
        let open = self.open.lock();
        let silent = open.connections.values().filter(|connection| {
            connection.has_body.load(Ordering::Relaxed)
                && connection.is_waiting()
                && connection.silence(now) >= PATIENCE
        });
        silent.filter(|connection| connection.close()).count() > 0
    }

    /// Closes waiting connections when the server stops: inactive ones after a moment, the
    /// others a little later. Busy connections finish first. Never returns.
    pub async fn close_waiting(&self) -> std::convert::Infallible {
        let stopped = Instant::now();
        loop {
            tokio::time::sleep(PAUSE).await;
            let (now, since) = (self.now(), stopped.elapsed());
            for connection in self.open.lock().connections.values() {
                if since >= LAST_REQUEST || connection.silence(now).min(since) >= SILENCE {
                    connection.close();
                }
            }
        }
    }

    fn now(&self) -> u64 {
        millis(self.began)
    }

    fn log_closed(&self) {
        let mut log = self.log.lock();
        log.closed += 1;
        if log.quiet_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        log.quiet_until = Some(Instant::now() + LOG_PAUSE);
        let closed = std::mem::take(&mut log.closed);
        tracing::warn!(
            source = self.owner.source(),
            sink = self.owner.sink(),
            max_connections = self.max,
            closed,
            "`max_connections` is reached; closing connections whose clients send nothing to make room for new ones"
        );
    }
}

impl Connection {
    /// Records activity of the client.
    pub fn touch(&self) {
        self.active.store(millis(self.began), Ordering::Relaxed);
    }

    /// Records that a part of a body arrived.
    pub fn received(&self) {
        self.has_body.store(true, Ordering::Relaxed);
        self.touch();
    }

    /// Starts to process a complete request; `None` if the connection is being closed.
    pub fn work(self: &Arc<Self>) -> Option<Work> {
        let one_more = |working: usize| (working != CLOSING).then(|| working + 1);
        let began = self.working.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        began.ok().map(|_| Work(self.clone()))
    }

    /// Waits until the connection must close.
    pub async fn closing(&self) {
        loop {
            // Created before the phase is checked, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.working.load(Ordering::Acquire) == CLOSING {
                return;
            }
            changed.await;
        }
    }

    fn is_waiting(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
    }

    fn silence(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.active.load(Ordering::Relaxed)))
    }

    /// Closes the connection unless it is busy; returns whether it closes now.
    fn close(&self) -> bool {
        let closes = self.working.compare_exchange(0, CLOSING, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if closes {
            self.changed.notify_waiters();
        }
        closes
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.has_body.store(false, Ordering::Relaxed);
        self.0.touch();
        self.0.working.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.all.open.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closing(connection: &Registered) -> bool {
        connection.connection.working.load(Ordering::Acquire) == CLOSING
    }

    /// Connections of a source that has run for 100 s.
    fn connections(max: usize) -> Arc<Connections> {
        let began = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        Arc::new(Connections { began, ..Connections::new(Owner::Source("in".into()), max) })
    }

    /// Moves the last activity of the client back by this many seconds.
    fn age(registered: &Registered, seconds: u64) {
        registered.connection.active.store(100_000 - seconds * 1000, Ordering::Relaxed);
    }

    #[tokio::test]
    async fn the_longest_inactive_connection_is_closed_and_busy_ones_are_not() {
        let all = connections(3);
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(all.register(Some(all.place().await)));
        }
        // The first is busy and the second was active recently, so the third is closed.
        let first = open[0].connection.clone();
        let work = first.work().unwrap();
        age(&open[0], 3);
        age(&open[1], 0);
        age(&open[2], 2);
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { all.place().await }
        });
        open[2].connection.closing().await;
        assert!(!is_closing(&open[0]) && !is_closing(&open[1]));
        assert!(open[2].connection.work().is_none(), "a request that arrives now is refused");
        open.truncate(2);
        let fourth = all.register(Some(waiting.await.unwrap()));
        // All are busy, so a new connection waits until one of them is free.
        let (second, new) = (open[1].connection.clone(), fourth.connection.clone());
        let works = (second.work().unwrap(), new.work().unwrap());
        assert!(tokio::time::timeout(PAUSE * 3, all.place()).await.is_err());
        assert!(open.iter().all(|connection| !is_closing(connection)));
        drop(work);
        age(&open[0], 9);
        let closes = async {
            first.closing().await;
            drop(open.remove(0));
            std::future::pending::<()>().await;
        };
        tokio::select! { _ = all.place() => {}, () = closes => {} }
        drop(works);
    }

    #[test]
    fn only_connections_with_an_inactive_partial_body_are_closed_for_memory() {
        let all = connections(9);
        let [idle, sending, stopped, working] = [(); 4].map(|()| all.register(None));
        for with_body in [&sending, &stopped, &working] {
            with_body.connection.received();
        }
        let work = working.connection.work();
        age(&idle, 5);
        age(&stopped, 5);
        age(&working, 5);
        assert!(all.close_silent_bodies());
        assert_eq!([&idle, &sending, &stopped, &working].map(is_closing), [false, false, true, false]);
        assert!(!all.close_silent_bodies());
        drop(work);
    }

    #[tokio::test]
    async fn a_stop_closes_inactive_connections_first_and_leaves_busy_ones() {
        let all = connections(9);
        let [silent, sending, working] = [(); 3].map(|()| all.register(None));
        let work = working.connection.work().unwrap();
        let stopped = Instant::now();
        let sends = async {
            loop {
                sending.connection.touch();
                tokio::time::sleep(SILENCE / 20).await;
            }
        };
        let closings = async {
            silent.connection.closing().await;
            let first = (stopped.elapsed(), is_closing(&sending));
            sending.connection.closing().await;
            (first, stopped.elapsed())
        };
        let ((first, both), second) = tokio::select! {
            never = all.close_waiting() => match never {},
            () = sends => unreachable!(),
            closed = closings => closed,
        };
        assert!(first >= SILENCE && !both && second > first, "{first:?} {second:?}");
        assert!(!is_closing(&working));
        drop(work);
    }
}
