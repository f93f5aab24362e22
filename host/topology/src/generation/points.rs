//! Makes the points of a pipeline, at which taps see its events.

use std::collections::BTreeSet;
use std::sync::Arc;

use wattle_plan::{PipelinePlan, Plan, Target};

use super::builder::Builder;
use crate::tap::{Entry, NodeSamples, Place, Point, PointInfo, first_points};

/// The points of one version of a pipeline, and what is kept about its nodes.
pub(super) struct Points {
    pub(super) input: Point,
    pub(super) nodes: Vec<NodePoints>,
    pub(super) outputs: Vec<Point>,
}

/// The points of a node.
pub(super) struct NodePoints {
    /// Name of the node in traces.
    pub(super) name: Arc<str>,
    /// One for each port.
    pub(super) ports: Vec<Point>,
    pub(super) samples: Option<Arc<NodeSamples>>,
}

impl Points {
    /// For a shadow, which shows nothing.
    pub(super) fn unseen(planned: &PipelinePlan) -> Self {
        let nodes = planned.nodes.iter().map(|node| NodePoints {
            name: node.name.as_str().into(),
            ports: node.ports.iter().map(|_| Point::unseen()).collect(),
            samples: None,
        });
        Self {
            input: Point::unseen(),
            nodes: nodes.collect(),
            outputs: planned.outputs.iter().map(|_| Point::unseen()).collect(),
        }
    }
}

impl Builder<'_> {
    /// The points of the pipeline at `index`, or of its canary, which has points with the same names.
    pub(super) fn points(&mut self, index: usize, planned: &PipelinePlan) -> Points {
        let (plan, taps) = (self.plan, self.context.taps);
        let Some(primary) = plan.pipelines.get(index) else { return Points::unseen(planned) };
        let pipeline: Arc<str> = primary.name.as_str().into();
        let ahead = Ahead::of(plan, index, planned);
        let masked = self.masked.of_version(plan, index, planned);
        let ring = self.layout.rings.get(&primary.name).cloned();
        let mut point = |name: String, place: Place, is_masked: bool, targets: &[Target]| {
            let made = taps.point(&name, self.number, is_masked);
            let (name, pipeline) = (made.name().clone(), pipeline.clone());
            self.layout.add(PointInfo { name, pipeline, place, is_masked, masks_ahead: ahead.after(targets) });
            made
        };
        let first = first_points(plan, &self.masked, index, planned);
        let keeping = |point: Point, is_first: bool, entry: &dyn Fn() -> Entry| match &ring {
            Some(ring) if is_first => point.keeping(ring, entry()),
            _ => point,
        };
        let input = point(format!("{pipeline}/input"), Place::Input, masked.input, &planned.entry);
        let input = keeping(input, first.input, &|| Entry::Input);
        let mut nodes = Vec::with_capacity(planned.nodes.len());
        for (at, node) in planned.nodes.iter().enumerate() {
            let name: Arc<str> = format!("{pipeline}/{}", node.name).into();
            let place = Place::Node(node.name.as_str().into());
            let ports = node.ports.iter().enumerate().map(|(index, port)| {
                let is_masked = masked.port(at, index);
                let made = point(format!("{name}.{}", port.name), place.clone(), is_masked, &port.targets);
                let entry = || Entry::Port { node: node.name.as_str().into(), port: port.name.as_str().into() };
                keeping(made, first.port(at, index), &entry)
            });
            let ports = ports.collect();
            nodes.push(NodePoints { ports, name, samples: Some(taps.samples(&pipeline, &node.name)) });
        }
        let outputs = planned.outputs.iter().enumerate().map(|(at, output)| {
            let is_masked = masked.output(at);
            point(format!("{pipeline}.{}", output.name), Place::Output, is_masked, &[Target::Output(at)])
        });
        Points { input, outputs: outputs.collect(), nodes }
    }
}

/// The masking nodes that follow each node and each output of a version of a pipeline, as `PIPELINE/NODE`.
struct Ahead {
    nodes: Vec<BTreeSet<String>>,
    outputs: Vec<BTreeSet<String>>,
}

impl Ahead {
    fn of(plan: &Plan, index: usize, version: &PipelinePlan) -> Self {
        let primary = plan.pipelines.get(index);
        let pipeline = primary.map_or("", |primary| &primary.name);
        let follow = |name: &str| {
            let place = primary.and_then(|primary| primary.outputs.iter().position(|output| output.name == *name));
            place.map(|place| masks_behind(plan, (index, place))).unwrap_or_default()
        };
        let outputs = version.outputs.iter().map(|output| follow(&output.name)).collect();
        let mut ahead = Self { nodes: vec![BTreeSet::new(); version.nodes.len()], outputs };
        // Links lead to later nodes.
        for (at, node) in version.nodes.iter().enumerate().rev() {
            let mut found: BTreeSet<String> = node.ports.iter().flat_map(|port| ahead.after(&port.targets)).collect();
            if node.shape.masks {
                found.insert(format!("{pipeline}/{}", node.name));
            }
            if let Some(slot) = ahead.nodes.get_mut(at) {
                *slot = found;
            }
        }
        ahead
    }

    fn after(&self, targets: &[Target]) -> BTreeSet<String> {
        let of = |target: &Target| match *target {
            Target::Node(node) => self.nodes.get(node),
            Target::Output(output) => self.outputs.get(output),
        };
        targets.iter().filter_map(of).flatten().cloned().collect()
    }
}

/// The masking nodes of all pipelines that an output feeds, also through others.
fn masks_behind(plan: &Plan, output: (usize, usize)) -> BTreeSet<String> {
    let (mut open, mut seen, mut masks) = (vec![output], BTreeSet::new(), BTreeSet::new());
    while let Some(output) = open.pop() {
        for (index, next) in plan.pipelines.iter().enumerate().filter(|(_, next)| next.inputs.contains(&output)) {
            if seen.insert(index) {
                let own = next.nodes.iter().filter(|node| node.shape.masks);
                masks.extend(own.map(|node| format!("{}/{}", next.name, node.name)));
                open.extend((0..next.outputs.len()).map(|output| (index, output)));
            }
        }
    }
    masks
}
