//! Which nodes of a pipeline can work as one: nodes of the same artifact in a row.

use wattle_plan::{FAILED, NodePlan, PipelinePlan, Sharing, Target};
use wattle_runtime::{Follower, Process};

use crate::counts::PipelineCounts;

/// For each node, the indices of those after it with which it may be fused; empty for a node that is alone, or one of
/// those after the first.
pub(super) fn chains(planned: &PipelinePlan) -> Vec<Vec<usize>> {
    let nodes = &planned.nodes;
    let follower_of = |index: usize| {
        let node = nodes.get(index)?;
        let next = next(node)?;
        nodes.get(next).is_some_and(|follower| is_alike(node, follower)).then_some(next)
    };
    let mut has_leader = vec![false; nodes.len()];
    for follower in (0..nodes.len()).filter_map(follower_of) {
        if let Some(has_leader) = has_leader.get_mut(follower) {
            *has_leader = true;
        }
    }
    let mut chains = vec![Vec::new(); nodes.len()];
    let mut is_taken = vec![false; nodes.len()];
    let leaders = has_leader.iter().enumerate().filter(|(_, has_leader)| !**has_leader).map(|(leader, _)| leader);
    for (leader, chain) in leaders.filter_map(|leader| Some((leader, follower_of(leader)?))) {
        let mut follower = Some(chain);
        while let Some(index) = follower
            && let Some(taken) = is_taken.get_mut(index).filter(|taken| !**taken)
        {
            *taken = true;
            if let Some(chain) = chains.get_mut(leader) {
                chain.push(index);
            }
            follower = follower_of(index);
        }
    }
    chains
}

/// The node to which all events of a node lead that did not fail.
fn next(node: &NodePlan) -> Option<usize> {
    let mut ports = node.ports.iter().filter(|port| port.name != FAILED);
    match (ports.next()?.targets.as_slice(), ports.next()) {
        ([Target::Node(next)], None) => Some(*next),
        _ => None,
    }
}

/// Whether two nodes have the same artifact and no state.
fn is_alike(node: &NodePlan, follower: &NodePlan) -> bool {
    let is_free = |node: &NodePlan| !node.shape.is_stateful && matches!(node.state.sharing, Sharing::Worker);
    node.artifact.digest == follower.artifact.digest && is_free(node) && is_free(follower)
}

/// Fuses the instances of one worker along the chains. A chain becomes empty if its nodes cannot work as one.
pub(super) fn fuse(
    planned: &PipelinePlan,
    counted: &PipelineCounts,
    instances: &mut [Box<dyn Process>],
    chains: &mut [Vec<usize>],
) {
    for (leader, chain) in chains.iter_mut().enumerate().filter(|(_, chain)| !chain.is_empty()) {
        let followers = chain.iter().filter_map(|&index| planned.nodes.get(index));
        let followers: Vec<Follower<'_>> =
            followers.map(|plan| Follower { plan, stats: counted.node(&plan.name).stats.clone() }).collect();
        if !instances.get_mut(leader).is_some_and(|leader| leader.fuse(&followers)) {
            chain.clear();
            continue;
        }
        // They wait for a batch that must go through them one by one.
        for &follower in chain.iter() {
            instances.get_mut(follower).into_iter().for_each(|follower| follower.rest());
        }
    }
}
