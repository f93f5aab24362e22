//! The first points on the ways through a pipeline at which events may be shown.

use super::MaskedPoints;
use crate::plan::{PipelinePlan, Target};

/// Of the points of one version of a pipeline those with events that have not passed another such point. So no event
/// passes two of them, unless it was copied before both.
///
/// An event that comes to such a point only over a link around the others is at no first point, if other events come
/// over them: what is first for some events would be second for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstPoints {
    /// The input.
    pub input: bool,
    /// For each node its ports.
    pub ports: Vec<Vec<bool>>,
}

impl FirstPoints {
    /// The first points where every event may be shown: the input.
    pub fn of_all(version: &PipelinePlan) -> Self {
        Self::of(version, &MaskedPoints { input: true, ..MaskedPoints::default() })
    }

    /// The first of these points, which are those of the version.
    pub fn of(version: &PipelinePlan, shown: &MaskedPoints) -> Self {
        let mut is_behind = vec![false; version.nodes.len()];
        let mark = |targets: &[Target], is_behind: &mut [bool]| {
            for target in targets {
                if let Target::Node(node) = *target
                    && let Some(place) = is_behind.get_mut(node)
                {
                    *place = true;
                }
            }
        };
        if shown.input {
            mark(&version.entry, &mut is_behind);
        }
        let mut ports = Vec::with_capacity(version.nodes.len());
        // Links lead to later nodes.
        for (index, node) in version.nodes.iter().enumerate() {
            let is_node_behind = is_behind.get(index).copied().unwrap_or(false);
            let first = node.ports.iter().enumerate().map(|(port, plan)| {
                let is_shown = shown.port(index, port);
                if is_node_behind || is_shown {
                    mark(&plan.targets, &mut is_behind);
                }
                is_shown && !is_node_behind
            });
            ports.push(first.collect());
        }
        Self { input: shown.input, ports }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        !self.input && !self.ports.iter().flatten().any(|is_first| *is_first)
    }

    /// Whether a port of a node is one of them; false for one that does not exist.
    pub fn port(&self, node: usize, port: usize) -> bool {
        self.ports.get(node).and_then(|ports| ports.get(port)).copied().unwrap_or(false)
    }
}
