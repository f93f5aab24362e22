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

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_batch::Batch;
use wattle_plan::{PipelinePlan, Plan, ShadowSettings};
use wattle_runtime::Process;

pub use self::report::{Difference, OutputReport, ShadowReport, ShadowSnapshot};
use crate::canary::Share;
use crate::lane::{Lane, Lanes};
use crate::pipeline::{Emitter, Pipeline};

/// The reports of all shadows, by pipeline. A report stays as long as both versions stay the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadows(Arc<Mutex<BTreeMap<String, Arc<ShadowReport>>>>);

impl Shadows {
    /// The report about a pipeline and its candidate, created at first use.
    pub(crate) fn report(&self, pipeline: &PipelinePlan, candidate: &PipelinePlan) -> Arc<ShadowReport> {
        let about = (pipeline.fingerprint(), candidate.fingerprint());
        let mut all = self.0.lock();
        if let Some(report) = all.get(&pipeline.name).filter(|report| report.about == about) {
            return report.clone();
        }
        let name = candidate.pack.as_ref().map(ToString::to_string).unwrap_or_default();
        let report = Arc::new(ShadowReport::new(about, name));
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
/// Maximum time before a pausing thread notices its end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Everything about one batch that the thread needs.
struct Sample {
    input: Batch,
    /// What the running version emitted, by output.
    emitted: Vec<(usize, Batch)>,
    /// Processor time that it took.
    time: Duration,
}

/// The shadow of a pipeline, as its workers use it. Its thread ends with it.
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

/// The other version, ready to run.
pub(crate) struct Candidate {
    pub(crate) pipeline: Pipeline,
    pub(crate) nodes: Vec<Box<dyn Process>>,
    /// Names of the outputs of the running version.
    pub(crate) outputs: Vec<String>,
    /// Names of the candidate's outputs.
    pub(crate) own_outputs: Vec<String>,
}

impl Shadow {
    /// Starts the thread.
    pub(crate) fn start(
        candidate: Candidate,
        settings: &ShadowSettings,
        report: Arc<ShadowReport>,
    ) -> std::io::Result<Self> {
        let (queue, samples) = sync_channel(WAITING);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = Thread {
            candidate,
            samples,
            waiting_bytes: waiting_bytes.clone(),
            is_over: is_over.clone(),
            report: report.clone(),
            max_cpu_share: settings.max_cpu_share,
        };
        std::thread::Builder::new().name("wattle-shadow".into()).spawn(move || thread.run())?;
        Ok(Self { share: Share::new(settings.share), queue, waiting_bytes, is_over, report })
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

struct Thread {
    candidate: Candidate,
    samples: Receiver<Sample>,
    waiting_bytes: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    report: Arc<ShadowReport>,
    max_cpu_share: f64,
}

impl Thread {
    fn run(mut self) {
        // No event goes to a sink, so this lane is never used.
        let lanes = Lanes::new(0);
        let lane = Lane::new("shadow".into(), 0, &lanes);
        while let Ok(sample) = self.samples.recv() {
            self.waiting_bytes.fetch_sub(sample.input.byte_len(), Ordering::Relaxed);
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            let since = cpu_time();
            let mut emitter = Emitter::new(&lane, 0);
            emitter.seen = Some(Vec::new());
            self.candidate.pipeline.receive(&mut self.candidate.nodes, sample.input, &mut emitter);
            let time = cpu_time().saturating_sub(since);
            let emitted = emitter.seen.take().unwrap_or_default();
            let (theirs, own) = (&self.candidate.outputs, &self.candidate.own_outputs);
            self.report.times(sample.time, time, emitter.faulted);
            self.report.compare((theirs, &sample.emitted), (own, &emitted));
            self.rest(cpu_time().saturating_sub(since));
        }
    }

    /// Pauses until the used time is no more than the shadow's share.
    fn rest(&self, used: Duration) {
        let mut left = used.mul_f64((1.0 / self.max_cpu_share - 1.0).max(0.0));
        while !left.is_zero() && !self.is_over.load(Ordering::Acquire) {
            let step = left.min(LOOK_AGAIN);
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
    }
}

/// Processor time of this thread, as the scheduler counts it in nanoseconds.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}
