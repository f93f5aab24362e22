//! The thread of a shadow: runs the other version on samples, and reports the differences.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wattle_runtime::Process;

use super::{Feed, cpu_time};
use crate::emitter::Emitter;
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::pipeline::Pipeline;

/// Maximum time before a pausing thread notices its end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The other version, ready to run.
pub(crate) struct Candidate {
    pub(crate) pipeline: Pipeline,
    pub(crate) nodes: Vec<Box<dyn Process>>,
    /// Names of the outputs of the running version.
    pub(crate) outputs: Vec<String>,
    /// Names of the candidate's outputs.
    pub(crate) own_outputs: Vec<String>,
}

impl Candidate {
    /// Starts the thread, which ends when the shadow of the feed is dropped.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread.
    pub(crate) fn start(self, feed: Feed) -> std::io::Result<()> {
        let thread = Thread { candidate: self, feed };
        std::thread::Builder::new().name("wattle-shadow".into()).spawn(move || thread.run()).map(drop)
    }
}

struct Thread {
    candidate: Candidate,
    feed: Feed,
}

impl Thread {
    fn run(mut self) {
        // No event goes to a sink, so this lane is never used.
        let lanes = Lanes::new(0);
        let lane = Lane::new("shadow".into(), 0, &lanes);
        while let Ok(sample) = self.feed.samples.recv() {
            self.feed.waiting_bytes.fetch_sub(sample.input.byte_len(), Ordering::Relaxed);
            if self.feed.is_over.load(Ordering::Acquire) {
                return;
            }
            let since = cpu_time();
            let mut emitter = Emitter::new(&lane, 0);
            emitter.seen = Some(Vec::new());
            self.candidate.pipeline.receive(&mut self.candidate.nodes, sample.input, &mut emitter);
            let time = cpu_time().saturating_sub(since);
            let emitted = emitter.seen.take().unwrap_or_default();
            let (theirs, own) = (&self.candidate.outputs, &self.candidate.own_outputs);
            self.feed.report.times(sample.time, time, emitter.faulted);
            self.feed.report.compare((theirs, &sample.emitted), (own, &emitted));
            self.rest(cpu_time().saturating_sub(since));
        }
    }

    /// Pauses until the used time is no more than the shadow's share.
    fn rest(&self, used: Duration) {
        let mut left = used.mul_f64((1.0 / self.feed.max_cpu_share - 1.0).max(0.0));
        while !left.is_zero() && !self.feed.is_over.load(Ordering::Acquire) {
            let step = left.min(LOOK_AGAIN);
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
    }
}
