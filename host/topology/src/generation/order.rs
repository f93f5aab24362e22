//! The order of nodes in a pipeline, and of pipelines in a generation.

use wattle_plan::{PipelinePlan, Target};

use crate::pipeline::Pipeline;

/// The rank of each node: links lead from lower to higher ranks.
pub(super) fn ranks(planned: &PipelinePlan) -> Vec<u32> {
    let mut ranks = vec![0; planned.nodes.len()];
    // The links have no cycle, so no path is longer than the number of nodes.
    for _ in 0..planned.nodes.len() {
        for (index, node) in planned.nodes.iter().enumerate() {
            let next = ranks.get(index).copied().unwrap_or(0) + 1;
            for target in node.ports.iter().flat_map(|port| &port.targets) {
                if let Target::Node(target) = target
                    && let Some(rank) = ranks.get_mut(*target)
                {
                    *rank = next.max(*rank);
                }
            }
        }
    }
    // Two nodes of one rank would share their turn.
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by_key(|&node| ranks.get(node).copied().unwrap_or(0));
    for (rank, node) in (0..).zip(order) {
        if let Some(own) = ranks.get_mut(node) {
            *own = rank;
        }
    }
    ranks
}

/// Indices of pipelines such that each comes before those that it feeds.
pub(super) fn order(pipelines: &[Pipeline]) -> Vec<usize> {
    let mut order = Vec::with_capacity(pipelines.len());
    let mut is_placed = vec![false; pipelines.len()];
    let feeds = |from: &Pipeline, to: usize| from.outputs.iter().any(|output| output.pipelines.contains(&to));
    while order.len() < pipelines.len() {
        let is_fed = |to: usize| pipelines.iter().zip(&is_placed).any(|(from, placed)| !placed && feeds(from, to));
        let next = (0..pipelines.len()).find(|&index| is_placed.get(index) == Some(&false) && !is_fed(index));
        // The links of a validated plan have no cycle; a bug there must not end in an endless loop.
        let Some(next) = next else { break };
        order.push(next);
        if let Some(placed) = is_placed.get_mut(next) {
            *placed = true;
        }
    }
    order
}
