//! Sends a batch through several nodes at once.

use std::sync::atomic::Ordering;
use std::time::Instant;

use wattle_batch::Batch;
use wattle_runtime::Process;

use super::{NodeLinks, Pipeline};
use crate::circuit::Admission;
use crate::emitter::Emitter;

impl Pipeline {
    /// Runs a batch through a node and all that are fused with it, and on from the last one.
    ///
    /// # Errors
    ///
    /// The unchanged batch, if it must go through them one by one: an operator watches the events between them, the circuit of
    /// one is open, or one call would not do the same.
    pub(super) fn run_fused(
        &self,
        nodes: &mut [Box<dyn Process>],
        index: usize,
        links: &NodeLinks,
        batch: Batch,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Box<Batch>> {
        let followers = || links.fused.iter().filter_map(|&follower| self.nodes.get(follower));
        let members = || std::iter::once(links).chain(followers());
        let Some(last) = followers().last() else { return Err(Box::new(batch)) };
        let is_watched = |links: &NodeLinks| links.ports.first().is_none_or(|port| port.point.is_watched());
        if batch.is_marked()
            || members().take(links.fused.len()).any(is_watched)
            || members().any(|links| links.circuit.is_open())
        {
            return Err(Box::new(batch));
        }
        let Some(node) = nodes.get_mut(index) else { return Err(Box::new(batch)) };
        let rows = batch.rows();
        let outcome = node.process_fused(batch)?;
        for links in members() {
            links.counts.received.fetch_add(rows as u64, Ordering::Relaxed);
            if let Some(change) = links.circuit.record(Admission::Call, false, Instant::now) {
                self.note(links, change);
            }
        }
        for port in members().take(links.fused.len()).filter_map(|links| links.ports.first()) {
            port.sent.fetch_add(rows as u64, Ordering::Relaxed);
        }
        for (member, name, value) in outcome.counts {
            if let Some(links) = members().nth(member) {
                links.counts.counted.add(&name, value);
            }
        }
        match outcome.batch {
            Some(batch) => self.leave(nodes, last, 0, batch, emitter),
            None => self.bugs.report(&self.name, "fused nodes that sent no batch on"),
        }
        Ok(())
    }
}
