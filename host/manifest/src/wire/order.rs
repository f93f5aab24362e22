//! Topological order of nodes, and the cycles that prevent one.

use std::collections::{BTreeMap, BTreeSet};

use super::Start;
use crate::raw::graph::GraphManifest;
use wattle_diagnostics::{Findings, Place, codes};
use wattle_plan::Target;

/// Sorts nodes so that links lead forward, and otherwise in the order of the file. Reports each
/// cycle.
pub(super) fn sort(
    graph: &GraphManifest,
    links: &BTreeMap<(Start, Target), Place>,
    findings: &mut Findings,
) -> Vec<usize> {
    let mut before: BTreeMap<usize, BTreeMap<usize, Place>> = BTreeMap::new();
    for ((from, target), place) in links {
        if let (Start::Port(from, _) | Start::Node(from), Target::Node(to)) = (from, target) {
            before.entry(*to).or_default().insert(*from, *place);
        }
    }
    let mut left: BTreeSet<usize> = (0..graph.nodes.len()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let waits = |node: &usize| before.get(node).is_some_and(|from| from.keys().any(|from| left.contains(from)));
        if let Some(next) = left.iter().copied().find(|node| !waits(node)) {
            left.remove(&next);
            order.push(next);
            continue;
        }
        // Every remaining node waits for another one, so following them backward always reaches a
        // cycle.
        let cycle = find_cycle(&left, &before);
        report(&cycle, graph, &before, findings);
        for node in cycle {
            left.remove(&node);
            order.push(node);
        }
    }
    order
}

/// Returns the nodes of a cycle in the direction of flow, starting with the first one in the file.
fn find_cycle(left: &BTreeSet<usize>, before: &BTreeMap<usize, BTreeMap<usize, Place>>) -> Vec<usize> {
    let mut path: Vec<usize> = left.first().copied().into_iter().collect();
    while let Some(node) = path.last() {
        let previous = before.get(node).and_then(|from| from.keys().copied().find(|from| left.contains(from)));
        let Some(previous) = previous else { break };
        if let Some(start) = path.iter().position(|node| *node == previous) {
            let mut cycle: Vec<usize> = path.split_off(start);
            cycle.reverse();
            let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(index, _)| index);
            cycle.rotate_left(first);
            return cycle;
        }
        path.push(previous);
    }
    path
}

fn report(
    cycle: &[usize],
    graph: &GraphManifest,
    before: &BTreeMap<usize, BTreeMap<usize, Place>>,
    findings: &mut Findings,
) {
    let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else { return };
    let names = cycle.iter().chain([first]).filter_map(|node| graph.nodes.get(*node));
    let names: Vec<String> = names.map(|node| format!("`{}`", node.name)).collect();
    let place = before.get(first).and_then(|from| from.get(last)).copied().unwrap_or(graph.place);
    let finding = codes::CYCLE.at(place, format!("nodes are linked in a circle: {}", names.join(" -> ")));
    findings.report(finding.hint("remove this link from the `inputs`, or link an earlier node instead"));
}
