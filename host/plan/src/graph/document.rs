//! The graph of a plan as the document of the API.

use wattle_api::graph::{Drawing, Edge, Endpoint, Graph, Node, Output, Pipeline};

use crate::masked::{Masked, MaskedPoints};
use crate::plan::{CandidatePlan, EndpointPlan, FAILED, NodePlan, PipelinePlan, Plan, Target};

/// The graph of a plan, with the masked points and without drawings, which [`super::lay_out`] makes.
pub fn document(plan: &Plan, generation: u64) -> Graph {
    let masked = Masked::of(plan);
    let pipelines = plan.pipelines.iter().enumerate().map(|(index, pipeline)| {
        let points = masked.pipeline(index).cloned().unwrap_or_default();
        let mut described = describe(pipeline, &points);
        described.inputs = inputs(plan, pipeline);
        for (output, described) in described.outputs.iter_mut().enumerate() {
            described.sinks = sinks(plan, (index, output));
            described.pipelines = fed(plan, (index, output));
        }
        described
    });
    Graph {
        generation,
        sources: plan.sources.iter().map(endpoint).collect(),
        pipelines: pipelines.collect(),
        sinks: plan.sinks.iter().map(|sink| endpoint(&sink.endpoint)).collect(),
    }
}

/// A pipeline on its own, with its drawing; nothing of it counts as masked.
pub fn drawn(plan: &PipelinePlan) -> Pipeline {
    let mut pipeline = describe(plan, &MaskedPoints::default());
    pipeline.drawing = super::lay_out(&pipeline);
    pipeline
}

fn endpoint(plan: &EndpointPlan) -> Endpoint {
    Endpoint { name: plan.name.clone(), type_name: plan.type_name.clone() }
}

/// The names of sources and of outputs of other pipelines.
fn inputs(plan: &Plan, pipeline: &PipelinePlan) -> Vec<String> {
    let sources = pipeline.sources.iter().filter_map(|source| plan.sources.get(*source));
    let outputs = pipeline.inputs.iter().filter_map(|(from, output)| {
        let from = plan.pipelines.get(*from)?;
        Some(format!("{}.{}", from.name, from.outputs.get(*output)?.name))
    });
    sources.map(|source| source.name.clone()).chain(outputs).collect()
}

fn sinks(plan: &Plan, output: (usize, usize)) -> Vec<String> {
    let sinks = plan.sinks.iter().filter(|sink| sink.inputs.contains(&output));
    sinks.map(|sink| sink.endpoint.name.clone()).collect()
}

fn fed(plan: &Plan, output: (usize, usize)) -> Vec<String> {
    let pipelines = plan.pipelines.iter().filter(|pipeline| pipeline.inputs.contains(&output));
    pipelines.map(|pipeline| pipeline.name.clone()).collect()
}

fn pack_of(pipeline: &PipelinePlan) -> Option<String> {
    pipeline.pack.as_ref().map(ToString::to_string)
}

fn candidate<S>(candidate: Option<&CandidatePlan<S>>) -> Option<String> {
    let candidate = &candidate?.candidate;
    Some(pack_of(candidate).unwrap_or_else(|| candidate.name.clone()))
}

/// A pipeline without its inputs, and without what its outputs feed.
fn describe(pipeline: &PipelinePlan, masked: &MaskedPoints) -> Pipeline {
    let outputs = pipeline.outputs.iter().enumerate().map(|(index, output)| Output {
        name: output.name.clone(),
        title: output.title.clone(),
        description: output.description.clone(),
        discard: output.discard,
        masked: masked.output(index),
        ..Output::default()
    });
    Pipeline {
        name: pipeline.name.clone(),
        pack: pack_of(pipeline),
        canary: candidate(pipeline.canary.as_deref()),
        shadow: candidate(pipeline.shadow.as_deref()),
        inputs: Vec::new(),
        nodes: pipeline.nodes.iter().map(node).collect(),
        outputs: outputs.collect(),
        edges: edges(pipeline, masked),
        drawing: Drawing::default(),
    }
}

fn node(node: &NodePlan) -> Node {
    let asked = node.shape.capabilities.iter().filter(|name| node.grants.has(name));
    let mut capabilities: Vec<String> = asked.map(ToString::to_string).collect();
    capabilities.sort_unstable();
    capabilities.dedup();
    Node {
        name: node.name.clone(),
        type_name: format!("{}@{}", node.shape.name, node.shape.version),
        description: node.shape.summary.clone(),
        masks: node.shape.masks,
        stateful: node.shape.is_stateful,
        capabilities,
        max_memory_bytes: node.limits.memory_bytes,
        ports: node.ports.iter().map(|port| port.name.clone()).collect(),
    }
}

/// The links of the input first, then those of each node.
fn edges(pipeline: &PipelinePlan, masked: &MaskedPoints) -> Vec<Edge> {
    let name = &pipeline.name;
    let to = |target: &Target| match *target {
        Target::Node(index) => (pipeline.nodes.get(index).map(|node| node.name.clone()), false),
        Target::Output(index) => (pipeline.outputs.get(index).map(|output| output.name.clone()), true),
    };
    let edge = |edge: Edge, target: &Target| {
        let (to, to_output) = to(target);
        Edge { to: to.unwrap_or_default(), to_output, ..edge }
    };
    let input = Edge { point: format!("{name}/input"), masked: masked.input, ..Edge::default() };
    let mut edges: Vec<Edge> = pipeline.entry.iter().map(|target| edge(input.clone(), target)).collect();
    for (index, node) in pipeline.nodes.iter().enumerate() {
        for (place, port) in node.ports.iter().enumerate() {
            let from = Edge {
                point: format!("{name}/{}.{}", node.name, port.name),
                from: Some(node.name.clone()),
                port: port.name.clone(),
                failed: port.name == FAILED,
                masked: masked.port(index, place),
                ..Edge::default()
            };
            edges.extend(port.targets.iter().map(|target| edge(from.clone(), target)));
        }
    }
    edges
}
