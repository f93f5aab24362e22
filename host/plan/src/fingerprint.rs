//! Compares plans by digest, and replaces a pipeline of a plan by another version.

use crate::artifact::hex_digest;
use crate::plan::{PipelinePlan, Plan};

mod canonical;

impl PipelinePlan {
    /// Digest of what the pipeline does with events. Pipelines with equal digests process events in
    /// the same way, whatever pack they come from.
    ///
    /// The history and the records of canaries keep it on disk, so it does not depend on the
    /// version of the agent.
    pub fn fingerprint(&self) -> String {
        hex_digest(canonical::pipeline(self).to_string().as_bytes())
    }
}

impl Plan {
    /// Digest of the whole plan; a reload to a plan with an equal digest needs no swap. It is
    /// compared only within one process, so its input may change with any version. Files and the
    /// order of named items do not count.
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
            let endpoint = &sink.endpoint;
            format!("sink {:?} {} {inputs:?} {:?}", endpoint.name, endpoint.digest(), sink.buffer)
        }));
        parts.extend(self.pipelines.iter().map(|pipeline| {
            let sources: Vec<_> = pipeline.sources.iter().map(source).collect();
            let inputs: Vec<_> = pipeline.inputs.iter().map(input).collect();
            let shadow = pipeline.shadow.as_ref().map(|t| (t.settings, t.candidate.fingerprint()));
            let canary = pipeline.canary.as_ref().map(|t| (t.settings, t.candidate.fingerprint()));
            let PipelinePlan { name, pack, .. } = pipeline;
            let own = pipeline.fingerprint();
            format!("pipeline {name:?} {pack:?} {sources:?} {inputs:?} {own} {shadow:?} {canary:?}")
        }));
        parts.sort();
        hex_digest(parts.join("\n").as_bytes())
    }
}

/// Why a pipeline of a plan cannot be replaced by another version of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// The plan has no pipeline of this name.
    #[error("no pipeline `{0}`")]
    NoPipeline(String),
    /// Neither a sink nor another pipeline receives this output of the other version.
    #[error("no sink of the configuration receives its output `{0}`")]
    UnreadOutput(String),
}

impl Plan {
    /// Returns the plan with one pipeline replaced by another version of it, without shadow and
    /// canary and with the same sources, inputs and sinks.
    ///
    /// # Errors
    ///
    /// There is no such pipeline, or the other version has an output that neither a sink nor
    /// another pipeline receives.
    pub fn with_pipeline(&self, name: &str, other: &PipelinePlan) -> Result<Self, ReplaceError> {
        let mut plan = self.clone();
        let found = plan.pipelines.iter().enumerate().find(|(_, pipeline)| pipeline.name == name);
        let (index, pipeline) = found.ok_or_else(|| ReplaceError::NoPipeline(name.to_owned()))?;
        let mut other = PipelinePlan {
            name: name.to_owned(),
            sources: pipeline.sources.clone(),
            inputs: pipeline.inputs.clone(),
            shadow: None,
            canary: None,
            ..other.clone()
        };
        for output in &mut other.outputs {
            match pipeline.outputs.iter().find(|known| known.name == output.name) {
                Some(known) => output.discard = known.discard,
                None => return Err(ReplaceError::UnreadOutput(output.name.clone())),
            }
        }
        let place = |output: usize| {
            let known = pipeline.outputs.get(output)?;
            other.outputs.iter().position(|output| output.name == known.name)
        };
        let moved = |inputs: &[(usize, usize)]| {
            let moved = inputs.iter().filter_map(|&(pipeline, output)| match pipeline == index {
                true => place(output).map(|output| (pipeline, output)),
                false => Some((pipeline, output)),
            });
            moved.collect()
        };
        for sink in &mut plan.sinks {
            sink.inputs = moved(&sink.inputs);
        }
        let inputs: Vec<Vec<(usize, usize)>> = plan.pipelines.iter().map(|pipeline| moved(&pipeline.inputs)).collect();
        if let Some(pipeline) = plan.pipelines.get_mut(index) {
            *pipeline = other;
        }
        for (pipeline, inputs) in plan.pipelines.iter_mut().zip(inputs) {
            pipeline.inputs = inputs;
        }
        Ok(plan)
    }
}
