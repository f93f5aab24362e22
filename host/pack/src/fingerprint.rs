//! Whether two plans mean the same.

use std::fmt::Write as _;

use crate::artifact::hex_digest;
use crate::plan::{NodePlan, PipelinePlan, Plan};

impl NodePlan {
    fn describe(&self, text: &mut String) {
        let Self { name, artifact, options, limits, circuit, on_fault, on_state_mismatch, shape, ports } = self;
        let digest = &artifact.digest;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name:?} {digest} {options:?} {limits:?} {circuit:?} {on_fault:?} {on_state_mismatch:?} {shape:?} {ports:?}"
        );
    }
}

impl PipelinePlan {
    /// Digest of what the pipeline does with events: equal ones do the same, whatever pack they come from.
    pub fn fingerprint(&self) -> String {
        let mut text = format!("{:?} {:?}\n", self.entry, self.outputs);
        self.nodes.iter().for_each(|node| node.describe(&mut text));
        hex_digest(text.as_bytes())
    }
}

impl Plan {
    /// Digest of the whole plan: equal ones need no swap. Neither files nor the order of anything that has a name count.
    pub fn fingerprint(&self) -> String {
        let mut parts = vec![format!("{:?}", self.agent)];
        let source = |&index: &usize| self.sources.get(index).map(|source| &source.name);
        let input = |&(pipeline, output): &(usize, usize)| {
            let pipeline = self.pipelines.get(pipeline)?;
            Some((&pipeline.name, &pipeline.outputs.get(output)?.name))
        };
        parts.extend(self.sources.iter().map(|source| format!("source {:?} {}", source.name, source.digest())));
        parts.extend(self.sinks.iter().map(|sink| {
            let inputs: Vec<_> = sink.inputs.iter().map(input).collect();
            let component = &sink.component;
            format!("sink {:?} {} {inputs:?} {:?}", component.name, component.digest(), sink.buffer)
        }));
        parts.extend(self.pipelines.iter().map(|pipeline| {
            let sources: Vec<_> = pipeline.sources.iter().map(source).collect();
            format!("pipeline {:?} {:?} {sources:?} {}", pipeline.name, pipeline.pack, pipeline.fingerprint())
        }));
        parts.sort();
        hex_digest(parts.join("\n").as_bytes())
    }
}
