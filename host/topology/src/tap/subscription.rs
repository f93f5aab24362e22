//! A subscription: what workers put into it, and what its owner takes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use wattle_batch::{Batch, Failure};

use super::bucket::Bucket;
use super::filter::Filter;
use super::point::Point;
use super::sample::{mix, spread};
use super::trace::Traces;
use super::{Shared, Taps};

/// Maximum length of an event in bytes; a longer one is cut.
pub(super) const MAX_EVENT_BYTES: usize = 64 << 10;
/// Maximum bytes that wait for a subscriber.
const MAX_QUEUE_BYTES: usize = 512 << 10;
/// Maximum number of events that wait for a subscriber.
const MAX_QUEUE: usize = 1024;
/// Maximum number of rows of a batch that a filter is compared with.
const MAX_SEARCHED_ROWS: usize = 1000;
/// Approximate number of bytes of a batch that a filter is compared with.
const MAX_SEARCHED_BYTES: usize = 256 << 10;
/// Maximum number of events per second.
pub const MAX_RATE: u32 = 1000;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct TapOptions {
    /// Points, or names of pipelines for all their outputs.
    pub points: Vec<String>,
    /// Conditions that must all hold.
    pub filters: Vec<Filter>,
    /// Maximum number of events per second, from 1 to [`MAX_RATE`].
    pub rate: u32,
    /// Number of events after which the subscription ends.
    pub limit: Option<u64>,
}

/// An event that passed a point.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// When it passed.
    pub at: SystemTime,
    /// The point.
    pub point: Arc<str>,
    /// The generation that processed it.
    pub generation: u64,
    /// The event as the codec `json` writes it, or the beginning of that.
    pub json: Vec<u8>,
    /// Whether the end is missing.
    pub is_cut: bool,
    /// Length of the whole event in bytes.
    pub bytes: usize,
}

/// The way of one event through the graph.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it began.
    pub at: SystemTime,
    /// The generation that processed it.
    pub generation: u64,
    /// What it was at each point, in order.
    pub steps: Vec<TraceStep>,
    /// Whether further steps or further children are missing.
    pub is_cut: bool,
}

/// An event at a point.
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// The point, or `PIPELINE/NODE` for an event that ended there.
    pub point: Arc<str>,
    /// Whether the events of the point are masked.
    pub(super) is_masked: bool,
    /// The event as JSON, if it may be shown.
    pub json: Option<Vec<u8>>,
    /// Whether the JSON is only its beginning.
    pub is_cut: bool,
    /// Why it failed. The message is empty where the event may not be shown, because it can contain parts of it.
    pub failure: Option<Failure>,
    /// Why it ended here.
    pub ended: Option<Arc<str>>,
}

/// What a subscription has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapReport {
    /// Events that passed the points.
    pub passed: u64,
    /// Events that the filters were compared with. The others passed while a worker had other things to do.
    pub searched: u64,
    /// Events that the subscriber took.
    pub shown: u64,
    /// Events that matched and were not shown, because of the rate or because the subscriber is too slow.
    pub skipped: u64,
    /// Points that do not exist at this moment.
    pub missing: Vec<String>,
    /// Points whose events may not be shown at this moment.
    pub hidden: Vec<String>,
}

/// What waits for a subscriber.
pub(crate) enum Item {
    Event(Tapped, bool),
    Trace(Trace),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event, _) => event.json.len(),
            Self::Trace(trace) => trace.steps.iter().map(TraceStep::bytes).sum(),
        }
    }
}

impl TraceStep {
    pub(super) fn bytes(&self) -> usize {
        let failure = self.failure.as_ref().map_or(0, |failure| failure.message.len());
        self.json.as_ref().map_or(0, Vec::len) + failure
    }
}

/// A subscription as the workers use it.
pub(crate) struct Tap {
    pub(super) shared: Arc<Shared>,
    is_trace: bool,
    filters: Vec<Filter>,
    rate: Bucket,
    /// Events that it still wants.
    left: AtomicU64,
    queue: Sender<Item>,
    pub(super) queued_bytes: AtomicUsize,
    passed: AtomicU64,
    searched: AtomicU64,
    skipped: AtomicU64,
}

impl Tap {
    pub(super) fn new(shared: Arc<Shared>, options: &TapOptions, is_trace: bool) -> (Self, Receiver<Item>) {
        let (queue, items) = channel(MAX_QUEUE);
        let rate = u64::from(options.rate.clamp(1, MAX_RATE));
        let tap = Self {
            shared,
            is_trace,
            filters: options.filters.clone(),
            // A source that is mostly quiet sends its events in one batch.
            rate: Bucket::new(rate, rate),
            left: AtomicU64::new(options.limit.unwrap_or(u64::MAX)),
            queue,
            queued_bytes: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
            searched: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        };
        (tap, items)
    }

    pub(super) fn is_trace(&self) -> bool {
        self.is_trace
    }

    fn skip(&self, events: usize) {
        self.skipped.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Sends events of a batch, as many as the rate lets through.
    pub(super) fn offer(&self, point: &Point, batch: &Batch) {
        let rows = batch.rows();
        self.passed.fetch_add(rows as u64, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed);
        if rows == 0 || left == 0 || !self.shared.shows(point.is_masked) {
            return;
        }
        let now = self.shared.now();
        let (matching, count) = if self.filters.is_empty() {
            (None, rows)
        } else {
            if self.rate.available(now) == 0 {
                return;
            }
            let matching = self.search(batch, now);
            let count = matching.len();
            (Some(matching), count)
        };
        let taken = self.rate.take(now, (count as u64).min(left));
        let taken = usize::try_from(taken).unwrap_or(count);
        self.skip(count - taken);
        for chosen in spread(count, taken, self.shared.random()) {
            let row = match &matching {
                Some(matching) => matching.get(chosen).copied().unwrap_or_default() as usize,
                None => chosen,
            };
            self.send_row(point, batch, row, now);
        }
    }

    /// The rows that the filters accept, of those that they are compared with.
    fn search(&self, batch: &Batch, now: u64) -> Vec<u32> {
        let rows = batch.rows();
        let size = |row: usize| batch.body().row(row).len() + batch.carried_bytes(row);
        let average = (batch.byte_len() / rows.max(1)).max(1);
        let wanted = rows.min(MAX_SEARCHED_ROWS).min((MAX_SEARCHED_BYTES / average).max(1));
        let (mut chosen, mut bytes) = (Vec::with_capacity(wanted), 0);
        for row in spread(rows, wanted, self.shared.random()) {
            // Sizes can differ, so the average is not enough.
            if bytes > 2 * MAX_SEARCHED_BYTES {
                break;
            }
            bytes += size(row);
            chosen.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        if !self.shared.budget.borrow(now, bytes as u64) {
            return Vec::new();
        }
        self.searched.fetch_add(chosen.len() as u64, Ordering::Relaxed);
        // Without a share of the acknowledgement: dropping one would return the batch to its source.
        let selected = batch.detached().select(&chosen);
        let mut kept = vec![true; chosen.len()];
        self.filters.iter().for_each(|filter| filter.keep(&selected, &mut kept));
        let mut kept = kept.into_iter();
        chosen.retain(|_| kept.next() == Some(true));
        chosen
    }

    fn send_row(&self, point: &Point, batch: &Batch, row: usize, now: u64) {
        let size = batch.body().row(row).len() + batch.carried_bytes(row);
        // Before the event is encoded.
        if !self.has_room(size.min(MAX_EVENT_BYTES)) || !self.shared.budget.borrow(now, size as u64) {
            return self.skip(1);
        }
        let mut json = Vec::with_capacity(size.min(MAX_EVENT_BYTES) + 256);
        let bytes = batch.write_json_start(row, MAX_EVENT_BYTES, &mut json);
        let event = Tapped {
            at: SystemTime::now(),
            point: point.name().clone(),
            generation: point.generation,
            is_cut: json.len() < bytes,
            json,
            bytes,
        };
        self.send(Item::Event(event, point.is_masked));
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) + bytes <= MAX_QUEUE_BYTES && self.queue.capacity() > 0
    }

    /// Puts an item into the queue if it fits.
    pub(super) fn send(&self, item: Item) {
        let bytes = item.bytes();
        let is_wanted = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
            u64::MAX => Some(left),
            left => left.checked_sub(1),
        });
        if is_wanted.is_err() {
            return;
        }
        // Other workers may have filled the queue since it had room.
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MAX_QUEUE_BYTES || self.queue.try_send(item).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let add = |left: u64| Some(left.saturating_add(1));
            let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            self.skip(1);
        }
    }

    /// Begins to follow one event of a batch, if the rate lets it.
    pub(super) fn begin(self: &Arc<Self>, point: &Point, batch: &mut Batch, traces: &mut Traces) {
        let rows = batch.rows();
        self.passed.fetch_add(rows as u64, Ordering::Relaxed);
        let is_blind = !self.filters.is_empty() && !self.shared.shows(point.is_masked);
        if rows == 0 || self.left.load(Ordering::Relaxed) == 0 || is_blind {
            return;
        }
        let now = self.shared.now();
        if self.rate.available(now) == 0 || !self.has_room(0) || !traces.has_room() {
            return;
        }
        let random = self.shared.random();
        let any = |count: usize| spread(count, 1, mix(random)).next();
        let row = match self.filters.is_empty() {
            true => any(rows),
            false => {
                let matching = self.search(batch, now);
                any(matching.len()).and_then(|index| matching.get(index)).map(|row| *row as usize)
            }
        };
        if let Some(row) = row
            && self.rate.take(now, 1) == 1
        {
            traces.begin(self, point, batch, row);
        }
    }
}

/// Events or traces, as they come. Dropping it ends the subscription.
pub struct Subscription {
    taps: Taps,
    pub(super) tap: Arc<Tap>,
    pub(super) queue: Receiver<Item>,
    shown: u64,
    limit: Option<u64>,
}

impl Subscription {
    pub(super) fn new(taps: Taps, tap: Arc<Tap>, queue: Receiver<Item>, limit: Option<u64>) -> Self {
        Self { taps, tap, queue, shown: 0, limit }
    }

    /// The next event of a tap; `None` after the limit.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call has taken nothing.
    pub async fn next(&mut self) -> Option<Tapped> {
        loop {
            if let Item::Event(event, is_masked) = self.take().await?
                // The policy may have changed while it waited.
                && self.taps.shows(is_masked)
            {
                self.shown += 1;
                return Some(event);
            }
        }
    }

    /// The next trace; `None` after the limit.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call has taken nothing.
    pub async fn next_trace(&mut self) -> Option<Trace> {
        loop {
            if let Item::Trace(mut trace) = self.take().await? {
                for step in &mut trace.steps {
                    if !self.taps.shows(step.is_masked) {
                        step.hide();
                    }
                }
                self.shown += 1;
                return Some(trace);
            }
        }
    }

    async fn take(&mut self) -> Option<Item> {
        if self.limit.is_some_and(|limit| self.shown >= limit) {
            return None;
        }
        let item = self.queue.recv().await?;
        self.tap.queued_bytes.fetch_sub(item.bytes(), Ordering::Relaxed);
        Some(item)
    }

    /// What it has seen so far.
    pub fn report(&self) -> TapReport {
        let (missing, hidden) = self.taps.unseen(&self.tap);
        TapReport {
            passed: self.tap.passed.load(Ordering::Relaxed),
            searched: self.tap.searched.load(Ordering::Relaxed),
            shown: self.shown,
            skipped: self.tap.skipped.load(Ordering::Relaxed),
            missing,
            hidden,
        }
    }
}

impl TraceStep {
    fn hide(&mut self) {
        self.json = None;
        if let Some(failure) = &mut self.failure {
            failure.message = "".into();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.taps.close(&self.tap);
    }
}
