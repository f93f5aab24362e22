//! At which points of a plan all events have passed the masking nodes.
//!
//! Tap, traces, samples of failures and reports of shadows show events only at these points, unless the operator allows
//! more. A point is the input of a pipeline, a port of a node, or an output.
//!
//! A point is *masked* when all of these hold:
//!
//! 1. Each way from the input of its pipeline to the point leaves a masking node on a port for processed events, or all
//!    inputs of the pipeline are masked outputs of other pipelines.
//! 2. No way to the point leaves a masking node on `failed`: what such a node could not process is not masked, and a
//!    later mask has other rules.
//! 3. No masking node can be reached from the point, also not in the pipelines that its output feeds.
//! 4. The same holds in each version of the pipeline, since its canary sends events to the same outputs, and a report of
//!    its shadow shows events of both.
//!
//! A masking node with `on_fault = "pass"` masks nothing here, because an open circuit passes events unchanged. Packs
//! and configurations cannot contain one.
//!
//! # Invariant
//!
//! What cannot be decided is not masked.

mod first;

pub use self::first::FirstPoints;
use crate::limits::OnFault;
use crate::plan::{FAILED, NodePlan, PipelinePlan, Plan, Target};

/// The masked points of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    pipelines: Vec<MaskedPoints>,
}

/// The masked points of one pipeline, by the indices of its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskedPoints {
    /// Whether all events that it receives are masked.
    pub input: bool,
    /// For each node its ports.
    pub ports: Vec<Vec<bool>>,
    /// Outputs.
    pub outputs: Vec<bool>,
}

impl MaskedPoints {
    /// Whether a port of a node is masked; false for one that does not exist.
    pub fn port(&self, node: usize, port: usize) -> bool {
        self.ports.get(node).and_then(|ports| ports.get(port)).copied().unwrap_or(false)
    }

    /// Whether an output is masked; false for one that does not exist.
    pub fn output(&self, output: usize) -> bool {
        self.outputs.get(output).copied().unwrap_or(false)
    }
}

impl Masked {
    /// Decides about all points of a plan.
    pub fn of(plan: &Plan) -> Self {
        let reaches = reaching(plan);
        let after = |pipeline: usize, output: &str| feeds_mask(plan, &reaches, pipeline, output);
        // Nothing is masked at first, and each round can only add points. Links between pipelines have no cycle, so
        // there are at most as many rounds as pipelines.
        let mut all = Self::default();
        for _ in 0..=plan.pipelines.len() {
            let next = plan.pipelines.iter().enumerate().map(|(index, pipeline)| {
                let is_masked = |&(from, output): &(usize, usize)| all.pipeline(from).is_some_and(|p| p.output(output));
                let has_inputs = pipeline.sources.is_empty() && !pipeline.inputs.is_empty();
                let arrives = has_inputs && pipeline.inputs.iter().all(is_masked);
                points(pipeline, arrives, &|output| after(index, output))
            });
            let next = Self { pipelines: next.collect() };
            if next == all {
                break;
            }
            all = next;
        }
        all
    }

    /// The masked points of a version of the pipeline with this index. A point that the pipeline itself does not have is
    /// not masked.
    pub fn of_version(&self, plan: &Plan, index: usize, version: &PipelinePlan) -> MaskedPoints {
        let (Some(primary), Some(own)) = (plan.pipelines.get(index), self.pipeline(index)) else {
            return MaskedPoints::default();
        };
        let ports = version.nodes.iter().map(|node| {
            let at = primary.nodes.iter().position(|known| known.name == node.name);
            let known = at.and_then(|at| primary.nodes.get(at)).map(|node| node.ports.as_slice()).unwrap_or_default();
            let is_masked = |name: &str| {
                let port = known.iter().position(|known| known.name == *name);
                at.zip(port).is_some_and(|(node, port)| own.port(node, port))
            };
            node.ports.iter().map(|port| is_masked(&port.name)).collect()
        });
        let outputs = version.outputs.iter().map(|output| {
            let at = primary.outputs.iter().position(|known| known.name == output.name);
            at.is_some_and(|at| own.output(at))
        });
        MaskedPoints { input: own.input, ports: ports.collect(), outputs: outputs.collect() }
    }

    /// The points of a pipeline, by its index in the plan.
    pub fn pipeline(&self, index: usize) -> Option<&MaskedPoints> {
        self.pipelines.get(index)
    }
}

/// Whether a masking node can be reached from the input of each pipeline, in any of its versions.
fn reaching(plan: &Plan) -> Vec<bool> {
    let mut reaches = vec![false; plan.pipelines.len()];
    for _ in 0..=plan.pipelines.len() {
        let next: Vec<bool> = plan
            .pipelines
            .iter()
            .enumerate()
            .map(|(index, pipeline)| {
                pipeline.versions().any(|version| {
                    let (nodes, outputs) = ahead(version, &|output| feeds_mask(plan, &reaches, index, output));
                    version.entry.iter().any(|target| at(*target, &nodes, &outputs))
                })
            })
            .collect();
        if next == reaches {
            break;
        }
        reaches = next;
    }
    reaches
}

/// Whether a pipeline that an output feeds has a masking node on the way.
fn feeds_mask(plan: &Plan, reaches: &[bool], pipeline: usize, output: &str) -> bool {
    let outputs = plan.pipelines.get(pipeline).map(|pipeline| pipeline.outputs.as_slice()).unwrap_or_default();
    let Some(output) = outputs.iter().position(|known| known.name == output) else { return false };
    let mut fed = plan.pipelines.iter().zip(reaches).filter(|(other, _)| other.inputs.contains(&(pipeline, output)));
    fed.any(|(_, reaches)| *reaches)
}

/// Whether a masking node can be reached: from the input of each node, including the node itself, and from each output.
fn ahead(version: &PipelinePlan, after: &dyn Fn(&str) -> bool) -> (Vec<bool>, Vec<bool>) {
    let outputs: Vec<bool> = version.outputs.iter().map(|output| after(&output.name)).collect();
    let mut nodes = vec![false; version.nodes.len()];
    // Links lead to later nodes, so the last node comes first.
    for (index, node) in version.nodes.iter().enumerate().rev() {
        let targets = node.ports.iter().flat_map(|port| &port.targets);
        let reaches = node.shape.masks || targets.into_iter().any(|target| at(*target, &nodes, &outputs));
        if let Some(place) = nodes.get_mut(index) {
            *place = reaches;
        }
    }
    (nodes, outputs)
}

fn at(target: Target, nodes: &[bool], outputs: &[bool]) -> bool {
    let found = match target {
        Target::Node(index) => nodes.get(index),
        Target::Output(index) => outputs.get(index),
    };
    found.copied().unwrap_or(false)
}

/// The points of a pipeline: masked in each of its versions.
fn points(pipeline: &PipelinePlan, arrives: bool, after: &dyn Fn(&str) -> bool) -> MaskedPoints {
    let mut points = points_of_version(pipeline, arrives, after);
    for version in pipeline.versions().skip(1) {
        let other = points_of_version(version, arrives, after);
        points.input &= other.input;
        for (output, is_masked) in pipeline.outputs.iter().zip(&mut points.outputs) {
            let found = version.outputs.iter().position(|known| known.name == output.name);
            *is_masked &= found.is_none_or(|found| other.output(found));
        }
        for (node, ports) in pipeline.nodes.iter().zip(&mut points.ports) {
            let Some(index) = version.nodes.iter().position(|known| known.name == node.name) else { continue };
            let known = version.nodes.get(index).map(|node| node.ports.as_slice()).unwrap_or_default();
            for (port, is_masked) in node.ports.iter().zip(ports) {
                let found = known.iter().position(|known| known.name == port.name);
                *is_masked &= found.is_none_or(|found| other.port(index, found));
            }
        }
    }
    points
}

/// The events that arrive at a place, from all links that were looked at so far.
#[derive(Clone, Copy)]
struct Arriving {
    /// Whether there is a link.
    is_reached: bool,
    /// Whether all of them are masked, apart from masking nodes that come later.
    is_masked: bool,
    /// Whether some of them left a masking node on `failed`.
    has_failed: bool,
}

impl Arriving {
    const NOTHING: Self = Self { is_reached: false, is_masked: true, has_failed: false };

    fn add(&mut self, other: Self) {
        // A link from a node that nothing reaches carries no events.
        if other.is_reached {
            self.is_reached = true;
            self.is_masked &= other.is_masked;
            self.has_failed |= other.has_failed;
        }
    }

    fn is_masked(self) -> bool {
        self.is_reached && self.is_masked && !self.has_failed
    }

    /// The events that leave a node on a port.
    fn leaving(self, node: &NodePlan, port: &str) -> Self {
        if !node.shape.masks {
            return self;
        }
        let is_failure = port == FAILED || node.on_fault == OnFault::Pass;
        Self { is_masked: self.is_masked || !is_failure, has_failed: self.has_failed || is_failure, ..self }
    }
}

fn points_of_version(version: &PipelinePlan, arrives: bool, after: &dyn Fn(&str) -> bool) -> MaskedPoints {
    let (nodes_ahead, outputs_ahead) = ahead(version, after);
    let reaches = |targets: &[Target]| targets.iter().any(|target| at(*target, &nodes_ahead, &outputs_ahead));
    let mut nodes = vec![Arriving::NOTHING; version.nodes.len()];
    let mut outputs = vec![Arriving::NOTHING; version.outputs.len()];
    let arriving = Arriving { is_reached: true, is_masked: arrives, has_failed: false };
    let mut send = |targets: &[Target], events: Arriving, nodes: &mut [Arriving]| {
        for target in targets {
            let place = match *target {
                Target::Node(index) => nodes.get_mut(index),
                Target::Output(index) => outputs.get_mut(index),
            };
            if let Some(place) = place {
                place.add(events);
            }
        }
    };
    send(&version.entry, arriving, &mut nodes);
    let mut ports = Vec::with_capacity(version.nodes.len());
    // Links lead to later nodes, so all links to a node were followed before its turn.
    for (index, node) in version.nodes.iter().enumerate() {
        let events = nodes.get(index).copied().unwrap_or(Arriving::NOTHING);
        let masked = node.ports.iter().map(|port| {
            let leaving = events.leaving(node, &port.name);
            send(&port.targets, leaving, &mut nodes);
            leaving.is_masked() && !reaches(&port.targets)
        });
        ports.push(masked.collect());
    }
    MaskedPoints {
        input: arriving.is_masked() && !reaches(&version.entry),
        ports,
        outputs: outputs.iter().zip(&outputs_ahead).map(|(events, ahead)| events.is_masked() && !ahead).collect(),
    }
}

#[cfg(test)]
mod tests;
