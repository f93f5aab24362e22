//! Follows marked events through the graph.
//!
//! A worker processes a batch alone, from the source to the sinks, so the traces of a batch belong to its
//! [`Emitter`](crate::emitter::Emitter) and need no lock. A mark is a bit of a hidden column of the batch
//! (`wattle_batch::Batch::mark`).

use std::sync::Arc;
use std::time::SystemTime;

use wattle_batch::{Batch, Ended};

use super::Point;
use super::subscription::{Item, MAX_EVENT_BYTES, Tap, Trace, TraceStep};

/// Maximum number of traces in one batch: the bits of a mark.
const MAX_TRACES: usize = 8;

/// What a trace may take.
struct Limits {
    /// Number of steps.
    steps: usize,
    /// Number of events at one point: the first children of a split.
    at_point: usize,
    /// Bytes of all events.
    bytes: usize,
    /// Bytes of one event; a longer one is cut.
    event_bytes: usize,
}

/// Of a trace in a running pipeline.
const RUNNING: Limits = Limits { steps: 64, at_point: 4, bytes: 256 << 10, event_bytes: MAX_EVENT_BYTES };
/// Of a trace in a scratch pipeline, which delays no event.
const SCRATCH: Limits = Limits { steps: 200, at_point: 200, bytes: 4 << 20, event_bytes: 4 << 20 };

/// The traces of one batch.
#[derive(Default)]
pub(crate) struct Traces(Vec<Active>);

struct Active {
    /// Who receives the trace; `None` in a scratch pipeline, whose caller takes it and may see every event.
    tap: Option<Arc<Tap>>,
    limits: &'static Limits,
    at: SystemTime,
    generation: u64,
    steps: Vec<TraceStep>,
    bytes: usize,
    is_cut: bool,
}

impl Traces {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_TRACES
    }

    /// Begins a trace at a row.
    pub(super) fn begin(&mut self, tap: &Arc<Tap>, point: &Point, batch: &mut Batch, row: usize) {
        self.mark(Some(tap.clone()), &RUNNING, point.generation, batch, row);
    }

    /// Begins the trace of the first row in a scratch pipeline.
    pub(crate) fn begin_scratch(&mut self, batch: &mut Batch) {
        self.mark(None, &SCRATCH, 0, batch, 0);
    }

    fn mark(&mut self, tap: Option<Arc<Tap>>, limits: &'static Limits, generation: u64, batch: &mut Batch, row: usize) {
        let mut marks: Vec<u8> = (0..batch.rows()).map(|row| batch.mark(row)).collect();
        if let Some(mark) = marks.get_mut(row) {
            *mark |= 1 << self.0.len();
            batch.set_marks(&marks);
            let (at, steps) = (SystemTime::now(), Vec::with_capacity(16));
            self.0.push(Active { tap, limits, at, generation, steps, bytes: 0, is_cut: false });
        }
    }

    /// Records the marked rows of a batch at a point. Rows that a trace has no room for are marked no longer.
    pub(super) fn record(&mut self, point: &Point, batch: &mut Batch) {
        if !batch.is_marked() {
            return;
        }
        let mut kept = vec![0; batch.rows()];
        let mut is_changed = false;
        for (row, marks) in batch.marked() {
            for (bit, trace) in self.0.iter_mut().enumerate().filter(|(bit, _)| marks & (1 << bit) != 0) {
                if trace.record(point, batch, row) {
                    if let Some(kept) = kept.get_mut(row) {
                        *kept |= 1 << bit;
                    }
                } else {
                    is_changed = true;
                }
            }
        }
        if is_changed {
            batch.set_marks(&kept);
        }
    }

    /// Records marked rows that ended at a node.
    pub(crate) fn end(&mut self, node: &Arc<str>, ended: &[Ended]) {
        for Ended { marks, how } in ended {
            self.end_marked(*marks, node, &how.as_str().into());
        }
    }

    /// Records that all marked rows of a batch end at a point for this reason.
    pub(crate) fn end_batch(&mut self, at: &Arc<str>, batch: &Batch, how: &str) {
        if batch.is_marked() {
            let how = how.into();
            for (_, marks) in batch.marked() {
                self.end_marked(marks, at, &how);
            }
        }
    }

    /// Records that the whole batch ends, whatever its events are by now.
    pub(crate) fn end_all(&mut self, at: &Arc<str>, how: &str) {
        self.end_marked(u8::MAX, at, &how.into());
    }

    fn end_marked(&mut self, marks: u8, at: &Arc<str>, how: &Arc<str>) {
        for (_, trace) in self.0.iter_mut().enumerate().filter(|(bit, _)| marks & (1 << bit) != 0) {
            let step = TraceStep {
                point: at.clone(),
                // The reason is a name like those in metrics.
                is_masked: true,
                json: None,
                is_cut: false,
                failure: None,
                ended: Some(how.clone()),
            };
            trace.push(step);
        }
    }

    /// Sends all traces to their subscribers.
    pub(crate) fn finish(&mut self) {
        for Active { tap, at, generation, steps, is_cut, .. } in self.0.drain(..) {
            if let Some(tap) = tap {
                tap.send(Item::Trace(Trace { at, generation, steps, is_cut }));
            }
        }
    }

    /// Takes the trace of a scratch pipeline.
    pub(crate) fn take_scratch(&mut self) -> Option<Trace> {
        let Active { at, generation, steps, is_cut, .. } = self.0.pop()?;
        Some(Trace { at, generation, steps, is_cut })
    }
}

impl Active {
    /// Records a row at a point. Returns whether to follow it further.
    fn record(&mut self, point: &Point, batch: &Batch, row: usize) -> bool {
        let here = self.steps.iter().filter(|step| step.ended.is_none() && step.point == *point.name()).count();
        if here >= self.limits.at_point || self.bytes >= self.limits.bytes {
            self.is_cut = true;
            return false;
        }
        let is_shown = self.tap.as_ref().is_none_or(|tap| tap.shared.shows(point.is_masked));
        let mut step = TraceStep {
            point: point.name().clone(),
            is_masked: point.is_masked,
            json: None,
            is_cut: false,
            failure: batch.failure(row).cloned(),
            ended: None,
        };
        if is_shown {
            let mut json = Vec::new();
            let max = self.limits.event_bytes.min(self.limits.bytes - self.bytes);
            step.is_cut = batch.write_json_start(row, max, &mut json) > json.len();
            step.json = Some(json);
        } else if let Some(failure) = &mut step.failure {
            failure.message = "".into();
        }
        self.push(step)
    }

    fn push(&mut self, step: TraceStep) -> bool {
        if self.steps.len() >= self.limits.steps {
            self.is_cut = true;
            return false;
        }
        self.bytes += step.bytes();
        self.steps.push(step);
        true
    }
}
