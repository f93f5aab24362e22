//! Links of a graph: resolves the texts in `inputs` to targets of ports, and requires that every
//! port is linked and no cycle exists.

mod link;
mod order;

use std::collections::BTreeMap;

use crate::raw::graph::{GraphManifest, INPUT};
use link::{Resolver, describe};
use wattle_diagnostics::{Findings, Place, Text, codes};
use wattle_plan::{FAILED, NodeShape, Target};

/// Where a link begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Start {
    Input,
    Port(usize, usize),
    /// A node with unknown ports, since its configuration failed.
    Node(usize),
}

/// The links of a graph.
pub(crate) struct Wires {
    /// Nodes in topological order, as indices into the manifest.
    pub(crate) order: Vec<usize>,
    /// Targets of the input, as indices into `order`.
    pub(crate) entry: Vec<Target>,
    /// Targets of each port of each node of the manifest, as indices into `order`.
    pub(crate) ports: Vec<Vec<Vec<Target>>>,
}

/// Names of the ports of a node, with `failed` last.
pub(crate) fn ports(shape: &NodeShape) -> impl Iterator<Item = &str> {
    shape.ports.iter().map(String::as_str).chain([FAILED])
}

/// Names of a node's ports; for an artifact, [`FAILED`] is the last.
pub(crate) type Ports = Vec<String>;

/// Links a graph. `shapes` has the ports of each node, or `None` if they are not known.
pub(crate) fn wire(graph: &GraphManifest, shapes: &[Option<Ports>], findings: &mut Findings) -> Wires {
    let mut links: BTreeMap<(Start, Target), Place> = BTreeMap::new();
    let mut resolver = Resolver { graph, shapes, sure: true };
    let nodes =
        graph.nodes.iter().enumerate().map(|(index, node)| {
            (Target::Node(index), format!("node `{}`", node.name), node.place, node.inputs.as_ref())
        });
    let outputs = graph.outputs.iter().enumerate().map(|(index, output)| {
        (Target::Output(index), format!("output `{}`", output.name), output.place, output.inputs.as_ref())
    });
    for (target, owner, place, inputs) in nodes.chain(outputs) {
        let Some(inputs) = inputs else {
            resolver.sure = false;
            continue;
        };
        if inputs.is_empty() {
            resolver.sure = false;
            let finding = codes::UNREACHABLE.at(place, format!("no event can reach {owner}; its `inputs` are empty"));
            findings.report(finding.hint("name a node, a port such as `\"node.port\"`, or `\"input\"`"));
        }
        for input in inputs {
            for from in resolver.resolve(input, target, findings) {
                add(&mut links, from, target, input, &owner, graph, shapes, findings);
            }
        }
    }
    if resolver.sure && !links.keys().any(|(from, _)| *from == Start::Input) {
        let finding =
            codes::UNUSED_INPUT.at(graph.place, format!("nothing takes `{INPUT}`, so its events have no destination"));
        findings.report(finding.hint("add `inputs = [\"input\"]` to the first node"));
    }
    report_unlinked(&links, graph, shapes, findings);
    let order = order::sort(graph, &links, findings);
    targets(&links, shapes, order)
}

#[expect(clippy::too_many_arguments, reason = "one step of the loop above, split off for its length")]
fn add(
    links: &mut BTreeMap<(Start, Target), Place>,
    from: Start,
    target: Target,
    input: &Text,
    owner: &str,
    graph: &GraphManifest,
    shapes: &[Option<Ports>],
    findings: &mut Findings,
) {
    match links.get(&(from, target)) {
        // Links to two different unknown ports of a node look alike here.
        Some(_) if matches!(from, Start::Node(_)) => {}
        Some(first) => {
            let message = format!("{} is linked to {owner} twice", describe(from, graph, shapes));
            let note = format!("first linked at {}", findings.describe(*first));
            let finding = codes::DUPLICATE_LINK.at(input.place, message).note(note);
            findings.report(finding.hint("remove one; each event would arrive twice"));
        }
        None => {
            links.insert((from, target), input.place);
        }
    }
}

fn report_unlinked(
    links: &BTreeMap<(Start, Target), Place>,
    graph: &GraphManifest,
    shapes: &[Option<Ports>],
    findings: &mut Findings,
) {
    for (index, (node, shape)) in graph.nodes.iter().zip(shapes).enumerate() {
        let Some(shape) = shape else { continue };
        for (port, name) in shape.iter().enumerate() {
            if !links.keys().any(|(from, _)| *from == Start::Port(index, port)) {
                let message = format!("port `{name}` of node `{}` is not linked", node.name);
                let hint = format!("add `\"{}.{name}\"` to the `inputs` of a node or an output", node.name);
                findings.report(codes::UNLINKED_PORT.at(node.place, message).hint(hint));
            }
        }
    }
}

fn targets(links: &BTreeMap<(Start, Target), Place>, shapes: &[Option<Ports>], order: Vec<usize>) -> Wires {
    let place_of = |target: Target| match target {
        Target::Node(index) => Target::Node(order.iter().position(|node| *node == index).unwrap_or(index)),
        output @ Target::Output(_) => output,
    };
    let leading = |wanted: Start| {
        let mut targets: Vec<Target> =
            links.keys().filter(|(from, _)| *from == wanted).map(|(_, target)| place_of(*target)).collect();
        targets.sort();
        targets
    };
    let ports = shapes.iter().enumerate().map(|(node, shape)| {
        let count = shape.as_ref().map_or(0, Vec::len);
        (0..count).map(|port| leading(Start::Port(node, port))).collect()
    });
    let ports = ports.collect();
    let entry = leading(Start::Input);
    Wires { entry, ports, order }
}
