//! A shadow: another version of a pipeline that processes copies of its batches; its outputs are
//! compared with those of the running version, and discarded.
//!
//! A worker copies a batch (which copies no text), records what its own version emits, and passes
//! both to the shadow's thread, which has an instance of every node of the candidate.
//!
//! # Invariants
//!
//! - No worker ever waits for a shadow: batches that do not fit in its queue are skipped and counted.
//! - The thread uses no more than its share of one core: it pauses after each batch as long as necessary.
//! - A shadow has no acknowledgement, no sink and no quarantine. Rows that a node of the candidate could not process
//!   are compared only by code, so that no report shows data that a mask failed to hide.

mod candidate;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_batch::Batch;
use wattle_plan::{PipelinePlan, Plan, ShadowSettings};

pub(crate) use self::candidate::Candidate;
pub use self::report::{Difference, OutputReport, ShadowReport, ShadowSnapshot};
use crate::canary::Share;
use crate::emitter::Emitter;

/// The reports of all shadows, by pipeline. A report stays as long as both versions stay the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadows(Arc<Mutex<BTreeMap<String, Arc<ShadowReport>>>>);

impl Shadows {
    /// The report about a pipeline and its candidate, created at first use.
    ///
    /// A report whose outputs were masked differently is another one: what it kept must not be shown by later rules.
    pub(crate) fn report(
        &self,
        pipeline: &PipelinePlan,
        candidate: &PipelinePlan,
        masked_outputs: BTreeSet<String>,
    ) -> Arc<ShadowReport> {
        let about = (pipeline.fingerprint(), candidate.fingerprint());
        let mut all = self.0.lock();
        if let Some(report) =
            all.get(&pipeline.name).filter(|report| report.about == about && report.masked_outputs == masked_outputs)
        {
            return report.clone();
        }
        let name = candidate.pack.as_ref().map(ToString::to_string).unwrap_or_default();
        let report = Arc::new(ShadowReport::new(about, masked_outputs, name));
        all.insert(pipeline.name.clone(), report.clone());
        report
    }

    /// Removes reports of shadows that are no longer in the plan.
    pub(crate) fn retain(&self, plan: &Plan) {
        self.0.lock().retain(|name, _| plan.pipelines.iter().any(|p| p.name == *name && p.shadow.is_some()));
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Arc<ShadowReport>> {
        self.0.lock().clone()
    }
}

/// Maximum number of batches that wait for the thread; the limit in bytes matters more.
const WAITING: usize = 4096;
/// Maximum bytes of batches that wait for the thread.
const WAITING_BYTES: usize = 8 << 20;
/// Everything about one batch that the thread needs.
struct Sample {
    input: Batch,
    /// What the running version emitted, by output.
    emitted: Vec<(usize, Batch)>,
    /// Processor time that it took.
    time: Duration,
}

/// What the thread of a candidate receives from the workers, until the shadow ends.
pub(crate) struct Feed {
    samples: Receiver<Sample>,
    waiting_bytes: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    report: Arc<ShadowReport>,
    max_cpu_share: f64,
}

/// The shadow of a pipeline, as its workers use it. The thread of its candidate ends with it.
pub(crate) struct Shadow {
    share: Share,
    queue: SyncSender<Sample>,
    waiting_bytes: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    report: Arc<ShadowReport>,
}

/// A batch that the shadow compares.
pub(crate) struct Watched<'a> {
    shadow: &'a Shadow,
    input: Batch,
}

impl Shadow {
    /// Creates a shadow, and what the thread of its candidate receives.
    pub(crate) fn new(settings: &ShadowSettings, report: Arc<ShadowReport>) -> (Self, Feed) {
        let (queue, samples) = sync_channel(WAITING);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let feed = Feed {
            samples,
            waiting_bytes: waiting_bytes.clone(),
            is_over: is_over.clone(),
            report: report.clone(),
            max_cpu_share: settings.max_cpu_share,
        };
        (Self { share: Share::new(settings.share), queue, waiting_bytes, is_over, report }, feed)
    }

    /// Selects a batch for comparison, if it belongs to the shadow's share and fits in the queue.
    pub(crate) fn watch(&self, batch: &Batch) -> Option<Watched<'_>> {
        if !self.share.takes() {
            return None;
        }
        if self.waiting_bytes.load(Ordering::Relaxed) >= WAITING_BYTES {
            self.report.skip();
            return None;
        }
        Some(Watched { shadow: self, input: batch.detached() })
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Watched<'_> {
    /// Runs the running version, and passes its results to the thread.
    pub(crate) fn compare(self, emitter: &mut Emitter<'_>, run: impl FnOnce(&mut Emitter<'_>)) {
        let since = cpu_time();
        emitter.seen = Some(Vec::new());
        run(emitter);
        let emitted = emitter.seen.take().unwrap_or_default();
        let bytes = self.input.byte_len();
        let sample = Sample { input: self.input, emitted, time: cpu_time().saturating_sub(since) };
        self.shadow.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.shadow.queue.try_send(sample).is_err() {
            self.shadow.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shadow.report.skip();
        }
    }
}

/// Processor time of the calling thread, as the scheduler counts it in nanoseconds.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}
