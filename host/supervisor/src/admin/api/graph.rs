//! `GET /api/v1/graph`: the graph of the generation that runs, drawn when it is first needed.

use std::sync::OnceLock;

use wattle_api::graph::Graph;
use wattle_plan::{Plan, document, lay_out};

/// The graph of a generation.
#[derive(Debug, Default)]
pub(crate) struct Running {
    plain: Graph,
    drawn: OnceLock<Graph>,
}

impl Running {
    pub(crate) fn new(plan: &Plan, generation: u64) -> Self {
        Self { plain: document(plan, generation), drawn: OnceLock::new() }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.plain.generation
    }

    /// The graph with its drawings. The first call takes milliseconds for a large graph, so it must not be on a thread
    /// that serves sources and sinks.
    pub(crate) fn drawn(&self) -> &Graph {
        self.drawn.get_or_init(|| {
            let mut graph = self.plain.clone();
            for pipeline in &mut graph.pipelines {
                pipeline.drawing = lay_out(pipeline);
            }
            graph
        })
    }
}
