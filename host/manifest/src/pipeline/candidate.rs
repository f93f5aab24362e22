//! Candidates of a pipeline: another version of its pack as a shadow or a canary.

use std::path::Path;
use std::sync::Arc;

use super::{Builder, Built, table_of};
use crate::raw::agent::{PipelineGraph, PipelineManifest};
use crate::raw::rollout::CandidateManifest;
use wattle_diagnostics::{Entry, Findings, Text, codes};
use wattle_pack::{clean, reference};
use wattle_plan::{CanarySettings, CandidatePlan, OutputPlan, PackId, ShadowSettings};

type Candidates = (Option<Box<CandidatePlan<ShadowSettings>>>, Option<Box<CandidatePlan<CanarySettings>>>);

impl Builder<'_> {
    /// Builds the pack that a pipeline or a candidate names.
    pub(super) fn find_and_build(
        &mut self,
        reference: &Text,
        params: Option<&Entry>,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Built> {
        let found = self.library.find(&reference.text, reference.place, folder, findings)?;
        let mut built = self.build_pack(&found, params.and_then(table_of), reference.place, findings)?;
        built.reference = Some(as_named(&reference.text, folder, built.pack.as_ref()));
        Some(built)
    }

    /// Builds another version of the pack of a pipeline, with the parameters and grants of the pipeline.
    pub(crate) fn build_version(
        &mut self,
        pipeline: &PipelineManifest,
        reference: &str,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Built> {
        self.granted = Some((pipeline.name.clone(), pipeline.place));
        self.grants = Arc::new(pipeline.grants.clone());
        let PipelineGraph::Pack { params, .. } = &pipeline.graph else {
            let message = format!("`[pipelines.{}]` has a graph written inline, and no pack", pipeline.name);
            findings.report(codes::PIPELINE_FORM.at(pipeline.place, message));
            return None;
        };
        let reference = Text { text: reference.to_owned(), place: pipeline.place };
        self.find_and_build(&reference, params.as_ref(), folder, findings)
    }

    /// Builds the shadow and the canary of a pipeline, if it has them.
    pub(super) fn build_candidates(
        &mut self,
        primary: Option<&Built>,
        pipeline: &PipelineManifest,
        folder: &Path,
        findings: &mut Findings,
    ) -> Candidates {
        let shadow = pipeline.shadow.as_ref();
        let shadow =
            shadow.and_then(|shadow| self.build_candidate(shadow, "shadow", primary, pipeline, folder, findings));
        let canary = pipeline.canary.as_ref();
        let canary =
            canary.and_then(|canary| self.build_candidate(canary, "canary", primary, pipeline, folder, findings));
        (shadow, canary)
    }

    fn build_candidate<S: Copy>(
        &mut self,
        manifest: &CandidateManifest<S>,
        key: &str,
        primary: Option<&Built>,
        pipeline: &PipelineManifest,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Box<CandidatePlan<S>>> {
        let PipelineGraph::Pack { reference, params } = &pipeline.graph else { return None };
        let pack = primary.and_then(|built| built.pack.as_ref());
        let text = match pack {
            Some(pack) if is_version(&manifest.pack.text) => format!("{}@{}", pack.name, manifest.pack.text),
            _ => manifest.pack.text.clone(),
        };
        let candidate = Text { text, place: manifest.pack.place };
        let params = manifest.params.as_ref().or(params.as_ref());
        let built = self.find_and_build(&candidate, params, folder, findings)?;
        let primary = primary?;
        let missing = |output: &&OutputPlan| !primary.outputs.iter().any(|known| known.name == output.name);
        for output in built.outputs.iter().filter(missing) {
            let message =
                format!("the {key} has the output `{}`, which `{}` does not have", output.name, reference.text);
            let hint = "no sink is linked to it; change `pack` and the sinks directly instead";
            findings.report(codes::CANDIDATE_OUTPUT.at(manifest.pack.place, message).hint(hint));
        }
        let candidate = built.into_plan(pipeline.name.clone(), Vec::new(), &[])?;
        Some(Box::new(CandidatePlan { candidate, settings: manifest.settings }))
    }
}

/// Whether the candidate is given as a version only, as in `shadow = "1.1.0"`.
fn is_version(text: &str) -> bool {
    !text.contains(['@', '/', ':']) && !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.')
}

/// Formats a reference for a command line: a folder relative to the agent's working directory, or a
/// name with its version.
fn as_named(text: &str, folder: &Path, pack: Option<&PackId>) -> String {
    match pack {
        _ if text.contains("://") => text.to_owned(),
        _ if reference::is_folder(text) => {
            let path = clean(&folder.join(text)).display().to_string();
            if path.contains('/') { path } else { format!("./{path}") }
        }
        Some(pack) => pack.to_string(),
        None => text.to_owned(),
    }
}
