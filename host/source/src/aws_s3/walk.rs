//! Finds objects by listing a bucket: again and again, or once for a time range.

mod marks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wattle_aws::{Error, ListObjects, Listed};

use super::audit::Audit;
use super::backoff::Backoff;
use super::delivery::Delivery;
use super::level::{Level, Slot};
use super::options::{Settings, Walk};
use super::read::{Ended, Place, Reader, Start};
use crate::error::SourceError;
use crate::positions::{Saved, Store};
use crate::source::Stop;
use crate::stats::add;
use marks::{Mark, Prefix};

/// Interval of saves.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// Pauses after a failure to list or to read an object.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Attempts to read an object before it waits for the next listing.
const MAX_ATTEMPTS: u32 = 3;

/// What the tasks of a walk share.
struct Walker {
    reader: Arc<Reader>,
    settings: Arc<Settings>,
    walk: Walk,
    prefixes: Mutex<Vec<Prefix>>,
    slots: Arc<Level>,
    places: Arc<Semaphore>,
}

/// Reads the objects of a walk until the source is stopped, or with `once` until all are read. Returns when the marks are
/// saved.
///
/// # Errors
///
/// The marks cannot be read or saved.
pub(super) async fn run(
    reader: Arc<Reader>,
    settings: Arc<Settings>,
    mut walk: Walk,
    max_objects: usize,
    stop: Stop,
) -> Result<(), SourceError> {
    let is_backfill = walk.interval.is_none();
    let folder = folder(&reader, is_backfill);
    let store = Arc::new(Store::<Mark>::open(&folder)?);
    let saved = match store.load()? {
        Saved::Entries(marks) => marks,
        Saved::Never | Saved::Lost => Vec::new(),
    };
    if is_backfill && walk.to.is_none() {
        // The same end after a restart; later objects are those of the queue.
        let begun = saved.iter().find(|mark| mark.bucket == walk.bucket && mark.from == walk.from);
        walk.to = Some(begun.and_then(|mark| mark.to).unwrap_or_else(Timestamp::now));
    }
    let prefixes: Vec<Prefix> = walk.prefixes.iter().map(|name| restore(name, &walk, &saved)).collect();
    let places = Arc::new(Semaphore::new(settings.max_in_flight));
    let slots = Level::new(reader.context.name.clone(), max_objects);
    let walker = Arc::new(Walker { reader, settings, walk, prefixes: Mutex::new(prefixes), slots, places });
    let result = tokio::select! {
        () = walker.clone().walk(stop) => Ok(()),
        error = walker.keep_saving(&store) => Err(error),
    };
    result.and(walker.save(&store).await)
}

fn folder(reader: &Reader, is_backfill: bool) -> PathBuf {
    let own = reader.context.data_dir.join("sources").join(&*reader.context.name);
    own.join(if is_backfill { "backfill" } else { "listing" })
}

/// The state of a prefix: as saved, unless the options are about something else now.
fn restore(name: &str, walk: &Walk, saved: &[Mark]) -> Prefix {
    let new = Mark {
        bucket: walk.bucket.clone(),
        prefix: name.to_owned(),
        from: walk.from,
        to: walk.to,
        last: walk.start_after.clone(),
        ..Mark::default()
    };
    let is_same = |mark: &&Mark| {
        mark.bucket == new.bucket && mark.prefix == new.prefix && mark.from == new.from && mark.to == new.to
    };
    let mark = saved.iter().find(is_same).cloned().unwrap_or(new);
    Prefix::new(mark, walk.interval.is_none())
}

impl Walker {
    async fn walk(self: Arc<Self>, mut stop: Stop) {
        let mut works = JoinSet::new();
        let count = self.walk.prefixes.len();
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        while !stop.is_stopped() {
            for index in 0..count {
                let has_finished = self.prefixes.lock().get(index).is_none_or(|prefix| prefix.mark().finished);
                if !has_finished {
                    self.pass(index, &mut works, &mut stop).await;
                }
            }
            if self.walk.interval.is_none() || self.reader.context.once {
                let _wait = match self.reader.context.once && !stop.is_stopped() {
                    true => self.reader.end_part(&self.slots).await,
                    false => None,
                };
                self.wait_for(&mut works).await;
                if stop.is_stopped() || self.finish() || self.reader.context.once {
                    break;
                }
            }
            let pause = self.walk.interval.unwrap_or_else(|| backoff.next());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.stopped() => {}
            }
        }
        self.wait_for(&mut works).await;
    }

    async fn wait_for(&self, works: &mut JoinSet<()>) {
        while let Some(ended) = works.join_next().await {
            self.check(ended);
        }
    }

    fn check(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            let source = &self.reader.context.name;
            tracing::error!(%source, error = %error, "reading an object panicked, which is a bug; it is read again after a restart");
        }
    }

    /// Ends the backfill of the prefixes that are complete. Returns whether all are.
    fn finish(&self) -> bool {
        let now = Timestamp::now();
        let mut prefixes = self.prefixes.lock();
        for prefix in prefixes.iter_mut() {
            prefix.advance(now);
            if self.walk.interval.is_none() && prefix.is_done() && !prefix.mark().finished {
                prefix.finish();
                tracing::info!(
                    source = %self.reader.context.name, bucket = %self.walk.bucket, prefix = prefix.name(),
                    "backfill is complete"
                );
            }
        }
        prefixes.iter().all(|prefix| prefix.mark().finished)
    }

    /// Lists a prefix from its mark, and begins all objects that were not read.
    async fn pass(self: &Arc<Self>, index: usize, works: &mut JoinSet<()>, stop: &mut Stop) {
        let stuck = {
            let mut prefixes = self.prefixes.lock();
            let Some(prefix) = prefixes.get_mut(index) else { return };
            // First of all, so that the mark passes what failed before it is tried again.
            prefix.advance(Timestamp::now());
            prefix.stuck()
        };
        for key in stuck {
            if !self.spawn(index, key, works, stop).await {
                return;
            }
        }
        let (prefix, last) = {
            let prefixes = self.prefixes.lock();
            let Some(prefix) = prefixes.get(index) else { return };
            (prefix.name().to_owned(), prefix.mark().last.clone())
        };
        let mut request = ListObjects {
            bucket: self.walk.bucket.clone(),
            prefix,
            // A mark before the prefix would make no difference.
            start_after: last,
            ..ListObjects::default()
        };
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        while !stop.is_stopped() {
            let listed = tokio::select! {
                listed = self.reader.client.list(&request) => listed,
                () = stop.stopped() => return,
            };
            let page = match listed {
                Ok(page) => page,
                Err(error) => {
                    self.outage(&error, &mut backoff, stop).await;
                    continue;
                }
            };
            backoff.reset();
            let next = page.next.clone();
            if !self.begin(index, page, works, stop).await {
                return;
            }
            request.continuation = next;
            if request.continuation.is_none() {
                return;
            }
        }
    }

    /// Begins the objects of a page. Returns false if the pass must end.
    async fn begin(self: &Arc<Self>, index: usize, page: Listed, works: &mut JoinSet<()>, stop: &mut Stop) -> bool {
        for object in page.objects {
            let modified = object.last_modified;
            let is_within = |time: Timestamp| {
                self.walk.from.is_none_or(|from| time >= from) && self.walk.to.is_none_or(|to| time < to)
            };
            let is_accepted = self.settings.filter.accepts(&self.walk.bucket, &object.key);
            // The consoles of S3 create folders as empty objects.
            let is_wanted = object.size > 0 && is_accepted && modified.is_none_or(is_within);
            let begins = {
                let mut prefixes = self.prefixes.lock();
                let Some(prefix) = prefixes.get_mut(index) else { return false };
                if !is_wanted {
                    prefix.pass(&object.key, modified);
                    false
                } else {
                    prefix.begin(&object.key, modified)
                }
            };
            if begins && !self.spawn(index, object.key, works, stop).await {
                return false;
            }
        }
        let has_room = self.prefixes.lock().get_mut(index).is_none_or(|prefix| prefix.advance(Timestamp::now()));
        if !has_room {
            tracing::error!(
                source = %self.reader.context.name, bucket = %self.walk.bucket, objects = marks::MAX_STUCK,
                "too many listed objects cannot be read; not reading others until some of them can be read"
            );
        }
        has_room
    }

    /// Reads an object as soon as there is room. Returns false if the source stops.
    async fn spawn(self: &Arc<Self>, index: usize, key: String, works: &mut JoinSet<()>, stop: &mut Stop) -> bool {
        while let Some(ended) = works.try_join_next() {
            self.check(ended);
        }
        let room = async {
            let place = self.places.clone().acquire_owned().await;
            (place, self.slots.acquire().await)
        };
        let (place, slot) = tokio::select! {
            (place, slot) = room => (place, slot),
            () = stop.stopped() => return false,
        };
        let Ok(place) = place else { return false };
        let walker = self.clone();
        works.spawn(async move {
            let is_done = walker.read(&key, slot).await;
            if let (Some(is_done), Some(prefix)) = (is_done, walker.prefixes.lock().get_mut(index)) {
                prefix.end(&key, is_done);
            }
            drop(place);
        });
        true
    }

    /// Reads an object until its events are delivered. Returns whether it is done; `None` if the source stops.
    async fn read(&self, key: &str, slot: Slot) -> Option<bool> {
        let context = &self.reader.context;
        let stats = &context.stats;
        let place = Place { bucket: self.walk.bucket.clone(), key: key.to_owned(), version: None, region: None };
        let fail = |what: &str, reason: &str| {
            stats.fail(format!("s3://{}/{key} {reason}", place.bucket));
            tracing::error!(source = %context.name, bucket = %place.bucket, key, reason, "{what}");
        };
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        let mut start = Start::default();
        let mut slot = Some(slot);
        let (begun, mut events) = (Instant::now(), 0);
        loop {
            let delivery = Delivery::starting_at(start.position);
            let read = self.reader.clone().read(&place, start.clone(), delivery.clone(), &self.slots).await;
            drop(slot.take());
            if matches!(read.ended, Ended::Stopped) {
                return None;
            }
            let settled = delivery.settled().await;
            events += settled.events;
            if !settled.has_returned {
                let (source, place) = (&*context.name, &place);
                Audit { source, place, message: None, begun, bytes: settled.done_to, events, delay: None }.log(&read);
                if matches!(read.ended, Ended::Whole | Ended::Broken(_) | Ended::Missing(_)) {
                    self.reader.resume.forget(place);
                }
            }
            match read.ended {
                _ if settled.has_returned => add(&stats.retries, 1),
                Ended::Whole => {
                    add(&stats.queue.objects, 1);
                    return Some(true);
                }
                Ended::Broken(reason) => {
                    add(&stats.queue.failed, 1);
                    fail("an object cannot be read to its end; the events before are delivered", &reason);
                    return Some(true);
                }
                Ended::Missing(reason) => {
                    add(&stats.queue.missing, 1);
                    fail("an object does not exist any more", &reason);
                    return Some(true);
                }
                Ended::Failed(failure) => {
                    if failure.is_overwritten {
                        (start, events) = (Start::default(), 0);
                    }
                    if backoff.attempts() >= MAX_ATTEMPTS {
                        add(&stats.queue.failed, 1);
                        fail("an object cannot be read now; trying it again at the next listing", &failure.reason);
                        return Some(false);
                    }
                    if failure.is_overwritten {
                        continue;
                    }
                }
                Ended::Stopped => return None,
            }
            start = Start { position: settled.done_to, etag: read.etag, is_again: true };
            let pause = backoff.next();
            let again = async {
                tokio::time::sleep(pause).await;
                self.slots.acquire().await
            };
            slot = tokio::select! {
                slot = again => Some(slot),
                () = self.reader.halt.wait() => return None,
            };
        }
    }

    async fn outage(&self, error: &Error, backoff: &mut Backoff, stop: &mut Stop) {
        let context = &self.reader.context;
        let pause = backoff.after(error);
        context.stats.fail(error.to_string());
        add(&context.stats.queue.retried_requests, 1);
        tracing::error!(source = %context.name, error = %error, ?pause, "cannot list objects; retrying");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.stopped() => {}
        }
    }

    /// Saves the marks when they changed. Returns only if that fails at the first attempt.
    async fn keep_saving(&self, store: &Arc<Store<Mark>>) -> SourceError {
        let mut has_saved = false;
        let mut pause = SAVE_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            let saved = self.save(store).await;
            // With many recent keys a save takes long. The pause limits saves to a tenth of the time.
            pause = SAVE_INTERVAL.max(begun.elapsed() * 10);
            match saved {
                Ok(()) => has_saved = true,
                Err(error) if !has_saved => return error,
                // The marks of before stay valid; after a restart, objects since then are read again.
                Err(error) => {
                    tracing::warn!(source = %self.reader.context.name, error = %error, "cannot save the marks; retrying");
                    tokio::time::sleep(LAST_PAUSE / 30).await;
                }
            }
        }
    }

    async fn save(&self, store: &Arc<Store<Mark>>) -> Result<(), SourceError> {
        let marks = {
            let mut prefixes = self.prefixes.lock();
            let now = Timestamp::now();
            let mut has_changed = false;
            for prefix in prefixes.iter_mut() {
                prefix.advance(now);
                has_changed |= std::mem::take(&mut prefix.has_changed);
            }
            has_changed.then(|| prefixes.iter().map(Prefix::snapshot).collect::<Vec<_>>())
        };
        let Some(marks) = marks else { return Ok(()) };
        let store = store.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(|| Some(marks))).await;
        let result = saved.unwrap_or_else(|_| Err(SourceError::ThreadPanicked("save positions".to_owned())));
        if result.is_err() {
            self.prefixes.lock().iter_mut().for_each(|prefix| prefix.has_changed = true);
        }
        result
    }
}
