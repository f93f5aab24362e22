//! What happens to a batch that cannot go on: a quarantine that cannot be written, an open circuit, a bug.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use wattle_batch::{Batch, Failure, Outcome};
use wattle_plan::OnFault;

use super::{NodeLinks, Pipeline};
use crate::circuit::Change;
use crate::emitter::Emitter;
use crate::quarantine::QuarantineError;
use crate::stops::Stopped;

/// Code of rows that failed because their node was not called.
const CIRCUIT_OPEN: &str = "circuit-open";
/// How an event ends in a trace that returns to its source.
const RETURNED: &str = "returned";

impl Pipeline {
    /// Writes failed rows to the quarantine, if the node has one. Returns the batch that may leave
    /// in their place.
    pub(super) fn keep(
        &self,
        links: &NodeLinks,
        failed: Batch,
        emitter: &mut Emitter<'_>,
    ) -> Result<Batch, QuarantineError> {
        let Some(quarantine) = &links.quarantine else { return Ok(failed) };
        let rows = failed.rows();
        let kept = quarantine.keep(failed);
        match kept {
            Ok(_) => _ = links.counts.quarantined.fetch_add(rows as u64, Ordering::Relaxed),
            Err(_) => self.counts.returned.add(rows, &mut emitter.balance),
        }
        kept
    }

    /// Returns the whole batch to its source after failed rows of it could not be stored.
    pub(super) fn withdraw(
        &self,
        links: &NodeLinks,
        outcome: Outcome,
        error: &QuarantineError,
        emitter: &mut Emitter<'_>,
    ) {
        if self.stops_without_quarantine {
            tracing::error!(pipeline = self.name, node = %links.name, %error, "the pipeline stopped");
            self.stop(links, error.to_string());
        }
        let emitted = outcome.emitted.iter().chain(&outcome.made).map(|(_, batch)| batch.rows()).sum::<usize>();
        let children = outcome.remaining_children();
        drop(outcome);
        // What waits for shared nodes returns as well.
        let waiting = emitter.withdraw(self.stops_without_quarantine);
        self.counts.returned.add(emitted + children + waiting, &mut emitter.balance);
        emitter.traces.end_all(&links.place, RETURNED);
    }

    /// Stops the pipeline: workers take no further batches from its sources.
    fn stop(&self, links: &NodeLinks, reason: String) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stops.add(Stopped {
            pipeline: self.name.clone(),
            node: links.name.to_string(),
            reason,
            since: SystemTime::now(),
            generation: self.generation,
        });
    }

    /// Sends a batch past a node with an open circuit, according to its policy.
    pub(super) fn bypass(&self, links: &NodeLinks, batch: Batch, emitter: &mut Emitter<'_>) -> Option<Outcome> {
        match links.circuit.policy {
            OnFault::Stop => {
                self.return_unacked(batch, &links.place, emitter);
                None
            }
            OnFault::Pass => {
                links.counts.passed.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                Some(Outcome { emitted: vec![(0, batch)], ..Outcome::default() })
            }
            OnFault::Fail => {
                let failure = Failure {
                    node: links.name.clone(),
                    version: links.version.clone(),
                    code: CIRCUIT_OPEN.into(),
                    message: "the node faulted on too many batches; it is not called until a probe succeeds".into(),
                };
                let failures = vec![failure; batch.rows()];
                Some(Outcome { failed: Some(batch.with_failures(failures)), ..Outcome::default() })
            }
        }
    }

    /// Drops a batch unacknowledged, so that its source sends it again.
    fn return_unacked(&self, batch: Batch, at: &Arc<str>, emitter: &mut Emitter<'_>) {
        self.counts.returned.add(batch.rows(), &mut emitter.balance);
        emitter.traces.end_batch(at, &batch, RETURNED);
        drop(batch);
    }

    /// Reports a state that the plan rules out, and returns the batch unacknowledged. Its source
    /// sends it again, so a bug delays events and never loses them.
    pub(super) fn bug(&self, batch: Batch, what: &'static str, emitter: &mut Emitter<'_>) {
        self.bugs.report(&self.name, what);
        self.return_unacked(batch, self.input.name(), emitter);
    }

    /// Logs that a circuit opened or closed.
    pub(super) fn note(&self, links: &NodeLinks, change: Change) {
        let (pipeline, node) = (self.name.as_str(), &*links.name);
        match change {
            Change::Closed => {
                links.counts.circuit_open.store(false, Ordering::Relaxed);
                tracing::info!(pipeline, node, "the circuit closed; calling the node again");
            }
            Change::Opened { faulted, of } => {
                links.counts.circuit_open.store(true, Ordering::Relaxed);
                links.counts.circuit_opened.fetch_add(1, Ordering::Relaxed);
                let on_fault = links.circuit.policy.name();
                if links.circuit.policy == OnFault::Stop {
                    tracing::error!(
                        pipeline,
                        node,
                        faulted,
                        of,
                        on_fault,
                        "the circuit opened and the pipeline stopped; fix the node and reload the configuration"
                    );
                    self.stop(links, format!("it faulted on {faulted} of the last {of} batches"));
                } else {
                    tracing::warn!(pipeline, node, faulted, of, on_fault, "the circuit opened; not calling the node");
                }
            }
        }
    }

    /// Whether workers skip the sources of this pipeline: it stopped, or a worker is searching for
    /// the rows at which a node faults. Such a search can take long, and must not occupy every
    /// worker.
    pub(crate) fn is_held(&self) -> bool {
        let is_searching = |n: &NodeLinks| n.counts.stats.searching.load(Ordering::Relaxed) > 0;
        self.stopped.load(Ordering::Acquire) || self.nodes.iter().any(is_searching)
    }
}
