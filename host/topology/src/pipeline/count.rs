//! Counts outcomes, and checks that the counts of each batch add up.

use std::sync::atomic::Ordering;

use wattle_batch::{Batch, Outcome};

use super::Pipeline;
use crate::balance::Balance;
use crate::counts::NodeCounts;
use crate::emitter::Emitter;

impl Pipeline {
    /// Counts the outcome of a call.
    pub(super) fn count(&self, node: &NodeCounts, outcome: &Outcome, balance: &mut Balance) {
        for (code, rows) in &outcome.dropped {
            node.dropped.add(code, *rows as u64);
            self.counts.dropped.add(*rows, balance);
        }
        for (name, count) in &outcome.counts {
            node.counted.add(name, *count);
        }
        if let Some(failed) = &outcome.failed {
            count_failed(node, failed);
        }
        let children = outcome.remaining_children() + outcome.combined;
        let made: usize = outcome.made.iter().map(|(_, batch)| batch.rows()).sum();
        for (count, of_node) in [
            (outcome.parents, &node.parents),
            (children, &node.children),
            (made, &node.made),
            (outcome.held, &node.held),
            (outcome.copied, &node.copied),
        ] {
            if count > 0 {
                of_node.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
        let own = &self.counts;
        for (count, of_pipeline) in [(children, &own.children), (made, &own.made), (outcome.copied, &own.copied)] {
            if count > 0 {
                of_pipeline.add(count, balance);
            }
        }
        for (count, of_pipeline) in
            [(outcome.parents, &own.parents), (outcome.held, &own.held), (outcome.returned, &own.returned)]
        {
            if count > 0 {
                of_pipeline.add(count, balance);
            }
        }
    }

    /// Checks that the events of this call are all accounted for.
    pub(super) fn check_balance(&self, emitter: &mut Emitter<'_>) {
        let rest = emitter.balance.take();
        if rest != 0 {
            self.counts.unbalanced.fetch_add(rest.unsigned_abs(), Ordering::Relaxed);
            self.bugs.report_unbalanced(&self.name, rest);
        }
    }
}

/// Counts failed rows by code; consecutive rows usually have the same code.
fn count_failed(node: &NodeCounts, failed: &Batch) {
    let code = |row| failed.failure(row).map_or("", |failure| &*failure.code);
    let mut start = 0;
    for row in 1..=failed.rows() {
        if row == failed.rows() || code(row) != code(start) {
            node.failed.add(code(start), (row - start) as u64);
            start = row;
        }
    }
}
