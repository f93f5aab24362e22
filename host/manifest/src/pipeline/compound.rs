//! Replaces each node that is a pack with the graph of that pack, so that one flat graph remains.

use crate::raw::graph::NodeManifest;
use wattle_diagnostics::{Findings, codes};
use wattle_plan::{NodePlan, Target};

/// Separates the name of a pack's node from the names of the nodes in the pack.
const INSIDE: char = '/';

/// A node with its links; targets are indices in the order of its own graph.
pub(super) enum Placed<'a> {
    Node(Box<NodePlan>),
    Pack {
        node: &'a NodeManifest,
        /// Targets of the input of the inner graph.
        entry: Vec<Target>,
        nodes: Vec<NodePlan>,
        /// Targets of each output of the inner graph in the outer graph.
        targets: Vec<Vec<Target>>,
    },
}

/// Flattens nodes and packs, given in topological order, into one graph.
pub(super) fn flatten(
    entry: Vec<Target>,
    placed: Vec<Placed<'_>>,
    findings: &mut Findings,
) -> Option<(Vec<Target>, Vec<NodePlan>)> {
    let mut flat = Flat { starts: Vec::new(), placed: &placed };
    let mut next = 0;
    for part in &placed {
        flat.starts.push(next);
        next += match part {
            Placed::Node(_) => 1,
            Placed::Pack { nodes, .. } => nodes.len(),
        };
    }
    let mut nodes = Vec::new();
    for (place, part) in placed.iter().enumerate() {
        match part {
            Placed::Node(node) => {
                let mut node = NodePlan::clone(node);
                for port in &mut node.ports {
                    port.targets = flat.outer(&port.targets, place);
                }
                nodes.push(node);
            }
            Placed::Pack { node, nodes: inner, .. } => {
                for inner in inner {
                    let mut flattened = inner.clone();
                    flattened.name = format!("{}{INSIDE}{}", node.name, inner.name);
                    for port in &mut flattened.ports {
                        port.targets = flat.inner(&port.targets, place);
                    }
                    nodes.push(flattened);
                }
            }
        }
    }
    let entry = flat.resolve(&entry, None);
    let twice = |targets: &[Target]| targets.windows(2).any(|pair| pair.first() == pair.get(1));
    if twice(&entry) || nodes.iter().any(|node| node.ports.iter().any(|port| twice(&port.targets))) {
        for part in &placed {
            let Placed::Pack { node, .. } = part else { continue };
            let message =
                format!("two outputs of the pack `{}` that carry the same events lead to one place", node.name);
            let hint = "link only one of them; each event would arrive twice";
            findings.report(codes::DUPLICATE_LINK.at(node.place, message).hint(hint));
        }
        return None;
    }
    Some((entry, nodes))
}

struct Flat<'a, 'p> {
    /// Index in the flat graph of the first node of each part of the outer graph.
    starts: Vec<usize>,
    placed: &'a [Placed<'p>],
}

impl Flat<'_, '_> {
    fn start(&self, place: usize) -> usize {
        self.starts.get(place).copied().unwrap_or_default()
    }

    /// Converts targets of a node of the outer graph.
    fn outer(&self, targets: &[Target], from: usize) -> Vec<Target> {
        self.resolve(targets, Some(from))
    }

    /// Converts targets of a node inside the pack at `place`.
    fn inner(&self, targets: &[Target], place: usize) -> Vec<Target> {
        let mut resolved = Vec::new();
        self.add_inner(targets, place, &mut resolved);
        resolved.sort();
        resolved
    }

    fn resolve(&self, targets: &[Target], from: Option<usize>) -> Vec<Target> {
        let mut resolved = Vec::new();
        self.add(targets, from, &mut resolved);
        resolved.sort();
        resolved
    }

    /// Adds the flat targets of targets in the outer graph. Links lead forward, except in a graph
    /// with a cycle: that is reported already, and following it would never end.
    fn add(&self, targets: &[Target], from: Option<usize>, resolved: &mut Vec<Target>) {
        for target in targets {
            match target {
                Target::Output(_) => resolved.push(*target),
                Target::Node(place) if from.is_none_or(|from| *place > from) => match self.placed.get(*place) {
                    Some(Placed::Node(_)) => resolved.push(Target::Node(self.start(*place))),
                    Some(Placed::Pack { entry, .. }) => self.add_inner(entry, *place, resolved),
                    None => {}
                },
                Target::Node(_) => {}
            }
        }
    }

    fn add_inner(&self, targets: &[Target], place: usize, resolved: &mut Vec<Target>) {
        for target in targets {
            match (target, self.placed.get(place)) {
                (Target::Node(index), _) => resolved.push(Target::Node(self.start(place) + index)),
                (Target::Output(output), Some(Placed::Pack { targets, .. })) => {
                    self.add(targets.get(*output).map(Vec::as_slice).unwrap_or_default(), Some(place), resolved);
                }
                (Target::Output(_), _) => {}
            }
        }
    }
}
