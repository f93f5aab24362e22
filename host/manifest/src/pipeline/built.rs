//! The result of building a graph.

use serde_json::{Map, Value as Json};
use wattle_plan::{CanarySettings, CandidatePlan, NodePlan, OutputPlan, PackId, PipelinePlan, ShadowSettings, Target};

/// A graph with known outputs, and with its plan if there were no errors.
pub(crate) struct Built {
    pub(crate) pack: Option<PackId>,
    pub(crate) outputs: Vec<OutputPlan>,
    pub(super) reference: Option<String>,
    pub(super) parameters: Map<String, Json>,
    pub(super) shadow: Option<Box<CandidatePlan<ShadowSettings>>>,
    pub(super) canary: Option<Box<CandidatePlan<CanarySettings>>>,
    pub(super) graph: Option<(Vec<Target>, Vec<NodePlan>)>,
}

impl Built {
    /// A graph without nodes, which passes all events to one output.
    pub(crate) fn direct() -> Self {
        let output = OutputPlan {
            name: "events".to_owned(),
            title: "Events".to_owned(),
            description: "All events of the source, unchanged.".to_owned(),
            discard: false,
        };
        let graph = Some((vec![Target::Output(0)], Vec::new()));
        Self {
            pack: None,
            outputs: vec![output],
            reference: None,
            parameters: Map::new(),
            shadow: None,
            canary: None,
            graph,
        }
    }

    pub(crate) fn into_plan(self, name: String, sources: Vec<usize>, discard: &[bool]) -> Option<PipelinePlan> {
        let Self { pack, mut outputs, reference, parameters, shadow, canary, graph } = self;
        for (output, discard) in outputs.iter_mut().zip(discard) {
            output.discard = *discard;
        }
        let (entry, nodes) = graph?;
        let inputs = Vec::new();
        Some(PipelinePlan { name, pack, sources, inputs, entry, nodes, outputs, reference, parameters, shadow, canary })
    }
}
