//! Stores events from the lanes on disk.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use wattle_buffer::disk::{BufferStats, CommitError, Events, Folder, Stored as _, Writer};
use wattle_buffer::{Queue, Sized as _};
use wattle_sink::{Payload, SinkStats, needs_operator};

/// Bytes that may wait in memory on each side of the disk.
pub(crate) const MEMORY_BYTES: usize = 4 << 20;
/// Maximum delay between retries after a disk error.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// First delay before a failed write is retried.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// A group is stored early if no event arrives for this long, or for a tenth of the gathering time:
/// sources hold only a limited number of unacknowledged events, so they may be waiting for this
/// group.
const QUIET: Duration = Duration::from_millis(100);
/// Interval between log lines about a persistent problem.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Stores the events of the lanes.
pub(super) struct Store {
    pub(super) name: Arc<str>,
    pub(super) input: Queue<Payload>,
    pub(super) stats: Arc<BufferStats>,
    /// How long payloads are gathered for one sync.
    pub(super) gather: Duration,
    pub(super) drop_newest: bool,
    pub(super) events: Arc<Events>,
    /// Counters and state of the sink behind the buffer.
    pub(super) sink: Arc<SinkStats>,
}

/// A problem because of which the buffer cannot store events, or drops them.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    logged: Option<Instant>,
    /// Whether it was reported as an error that only an operator can fix.
    is_broken: bool,
}

impl Trouble {
    /// Whether it is time to log it.
    fn is_to_be_logged(&mut self) -> bool {
        let now = Instant::now();
        self.since.get_or_insert(now);
        let due = self.logged.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        if due {
            self.logged = Some(now);
        }
        due
    }
}

impl Store {
    /// Stores everything until the queue is closed and empty.
    pub(super) async fn run(&self, writer: Writer<Folder>) {
        let mut writer = Some(writer);
        let mut trouble = Trouble::default();
        while let Some(first) = self.input.pop().await {
            let group = self.gather(first).await;
            self.store(&mut writer, group, &mut trouble).await;
            if writer.is_none() {
                // Storing has ended for good; the sources keep their events.
                self.input.close();
                while self.input.try_pop().is_some() {}
                return;
            }
        }
        if let Some(writer) = writer {
            writer.finish();
        }
    }

    async fn gather(&self, first: Payload) -> Vec<Payload> {
        let until = tokio::time::Instant::now() + self.gather;
        let mut bytes = first.byte_len();
        let mut group = vec![first];
        while bytes < MEMORY_BYTES {
            let next = match self.input.try_pop() {
                None if !self.gather.is_zero() => {
                    let quiet = tokio::time::Instant::now() + QUIET.min(self.gather / 10);
                    timeout_at(until.min(quiet), self.input.pop()).await.ok().flatten()
                }
                next => next,
            };
            let Some(next) = next else { break };
            bytes += next.byte_len();
            group.push(next);
        }
        group
    }

    /// Stores a group, or, if `when_full` is to drop, drops events that do not fit. Events that are
    /// left when the sink is stopped stay with their sources.
    async fn store(&self, writer: &mut Option<Writer<Folder>>, mut group: Vec<Payload>, trouble: &mut Trouble) {
        let mut wait = FIRST_RETRY;
        // A disk without space for the whole group may have space for a part.
        let mut most = usize::MAX;
        while !group.is_empty() {
            let Some(mut taken) = writer.take() else { return };
            let since = Instant::now();
            let committed = tokio::task::spawn_blocking(move || {
                let done = taken.commit(group.get(..most).unwrap_or(&group));
                (taken, group, done)
            });
            let (back, done);
            (back, group, done) = match committed.await {
                Ok(committed) => committed,
                Err(error) => {
                    tracing::error!(sink = %self.name, %error, "the thread that writes the disk buffer ended");
                    return;
                }
            };
            *writer = Some(back);
            let error = match done {
                Ok(count) => {
                    group.drain(..count).for_each(|payload| payload.ack.deliver());
                    (wait, most) = (FIRST_RETRY, usize::MAX);
                    self.over(trouble);
                    continue;
                }
                Err(error) => error,
            };
            if is_disk_full(&error) {
                if most.min(group.len()) > 1 {
                    most = most.min(group.len()) / 2;
                    continue;
                }
                // One payload can be larger than the whole disk.
                if let Some(half) = group.first_mut().and_then(Payload::split_half) {
                    group.insert(1, half);
                    most = 1;
                    continue;
                }
            }
            if self.gives_up(&error, &mut group, trouble) {
                continue;
            }
            // Delivered events free space, so retry while the buffer contains some.
            if let CommitError::Io(cause) = &error
                && needs_operator(cause)
                && self.stats.events.load(Ordering::Relaxed) == 0
            {
                trouble.is_broken = true;
                self.sink.set_broken(|| format!("disk buffer: {cause}"));
            }
            if self.input.is_closed() {
                tracing::warn!(
                    sink = %self.name, events = group.iter().map(|payload| payload.events).sum::<usize>(), %error,
                    "events could not be stored before the sink was stopped; they stay with their sources"
                );
                return;
            }
            let room = self.events.room.notified();
            let _ = tokio::time::timeout(wait, room).await;
            wait = (wait * 2).min(RETRY);
            let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.stats.blocked_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// Logs why no event was stored, and drops events that will not be retried.
    fn gives_up(&self, error: &CommitError, group: &mut Vec<Payload>, trouble: &mut Trouble) -> bool {
        let full = match error {
            CommitError::TooLarge => {
                let payload = group.remove(0);
                self.stats.dropped(payload.events as u64, size(&payload));
                tracing::error!(
                    sink = %self.name, events = payload.events, bytes = payload.encoded_len(), %error,
                    "events are too large for the disk buffer and are lost"
                );
                let events = payload.events;
                payload.ack.reject(events);
                return true;
            }
            CommitError::Full => true,
            CommitError::Io(_) => {
                self.stats.errors.fetch_add(1, Ordering::Relaxed);
                is_disk_full(error)
            }
        };
        let drops = full && self.drop_newest;
        if trouble.is_to_be_logged() {
            if drops {
                tracing::warn!(sink = %self.name, %error, "the disk buffer is full, dropping events");
            } else if matches!(error, CommitError::Full) {
                tracing::warn!(sink = %self.name, "the disk buffer is full, its sources wait");
            } else {
                tracing::warn!(sink = %self.name, %error, "cannot write the disk buffer, retrying; its sources wait");
            }
        }
        if drops {
            for payload in group.drain(..) {
                self.stats.dropped(payload.events as u64, size(&payload));
                payload.ack.deliver();
            }
        }
        drops
    }

    fn over(&self, trouble: &mut Trouble) {
        if std::mem::take(&mut trouble.is_broken) {
            self.sink.clear_broken();
        }
        if let Some(since) = trouble.since.take() {
            let dropped = self.stats.dropped_events.load(Ordering::Relaxed);
            tracing::info!(sink = %self.name, lasted = ?since.elapsed(), dropped, "the disk buffer stores events again");
        }
    }
}

fn is_disk_full(error: &CommitError) -> bool {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    matches!(error, CommitError::Io(error) if full.contains(&error.kind()))
}

/// Bytes of a payload, as counted in metrics.
fn size(payload: &Payload) -> u64 {
    payload.byte_len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_batch::Ack;

    #[tokio::test]
    async fn a_source_that_waits_for_the_group_does_not_wait_for_the_whole_interval() {
        let store = Store {
            name: "out".into(),
            input: Queue::new(MEMORY_BYTES, None, None),
            stats: Arc::default(),
            gather: Duration::from_hours(1),
            drop_newest: false,
            events: Arc::default(),
            sink: Arc::default(),
        };
        let payload = || Payload { key: None, bytes: vec![b'x'; 10], events: 1, ends: vec![10], ack: Ack::none() };
        for _ in 0..3 {
            assert!(store.input.try_push(payload()).is_ok());
        }
        // No further event arrives, and the queue stays open, so only time can end this.
        let group = store.gather(payload()).await;
        assert_eq!(group.len(), 4, "what is there is gathered");
    }
}
