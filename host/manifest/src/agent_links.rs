//! Links outside of pipelines: sources to pipelines, and outputs to sinks or to `discard`.

use std::collections::BTreeMap;

use crate::load::Pipeline;
use crate::pattern::{is_pattern, matches};
use crate::pipeline::Built;
use crate::raw::agent::{AgentManifest, EndpointManifest, PipelineManifest};
use wattle_diagnostics::{Data, Findings, Place, Text, codes, suggest};
use wattle_plan::OutputPlan;

/// Finds the sources of a pipeline. Sets `sure` to false when a link cannot be resolved, since it
/// may have meant any source.
pub(crate) fn link_sources(
    pipeline: &PipelineManifest,
    sources: &[EndpointManifest],
    sure: &mut bool,
    findings: &mut Findings,
) -> Vec<usize> {
    let Some(inputs) = &pipeline.inputs else {
        *sure = false;
        return Vec::new();
    };
    if inputs.is_empty() {
        *sure = false;
        let finding = codes::NO_INPUTS.at(pipeline.place, format!("pipeline `{}` has no inputs", pipeline.name));
        findings.report(finding.hint("name at least one source"));
    }
    let mut found: BTreeMap<usize, Place> = BTreeMap::new();
    for input in inputs {
        let fits: Vec<usize> =
            sources.iter().enumerate().filter(|(_, s)| matches(&input.text, &s.name)).map(|(index, _)| index).collect();
        if fits.is_empty() {
            *sure = false;
            let hint = suggest::hint(&input.text, sources.iter().map(|source| source.name.as_str()));
            let message = format!("no source `{}`", input.text);
            let hint = hint.unwrap_or_else(|| "there are no sources; add one as `[sources.NAME]`".to_owned());
            findings.report(codes::UNKNOWN_SOURCE.at(input.place, message).hint(hint));
        }
        for index in fits {
            if let Some(first) = found.insert(index, input.place) {
                let name = sources.get(index).map_or("", |source| &source.name);
                let message = format!("source `{name}` is linked to pipeline `{}` twice", pipeline.name);
                report_duplicate(message, input.place, first, findings);
            }
        }
    }
    found.into_keys().collect()
}

fn report_duplicate(message: String, place: Place, first: Place, findings: &mut Findings) {
    let note = format!("first linked at {}", findings.describe(first));
    let finding = codes::DUPLICATE_LINK.at(place, message).note(note);
    findings.report(finding.hint("remove one; each event would arrive twice"));
}

/// Finds the outputs that a pipeline discards, in the order of the outputs.
pub(crate) fn discarded(pipeline: &PipelineManifest, built: Option<&Built>, findings: &mut Findings) -> Vec<bool> {
    let Some(built) = built else { return Vec::new() };
    for text in &pipeline.discard {
        if !built.outputs.iter().any(|output| matches(&text.text, &output.name)) {
            let message = format!("pipeline `{}` has no output `{}`", pipeline.name, text.text);
            let hint = suggest::hint(&text.text, built.outputs.iter().map(|output| output.name.as_str()));
            findings.report(codes::UNKNOWN_OUTPUT.at(text.place, message).hint_if(hint));
        }
    }
    let thrown = |output: &OutputPlan| pipeline.discard.iter().any(|text| matches(&text.text, &output.name));
    built.outputs.iter().map(thrown).collect()
}

/// Links outputs to sinks and returns the inputs of each sink.
pub(crate) fn link(
    manifest: &AgentManifest,
    pipelines: &[Pipeline],
    findings: &mut Findings,
) -> Vec<Vec<(usize, usize)>> {
    let mut taken: BTreeMap<(usize, usize), ()> = BTreeMap::new();
    let mut all = Vec::new();
    // An input that cannot be resolved may have meant any output, so no output is reported as
    // untaken.
    let mut sure = true;
    for sink in &manifest.sinks {
        let mut inputs: BTreeMap<(usize, usize), Place> = BTreeMap::new();
        sure &= sink.inputs.is_some();
        for input in sink.inputs.iter().flatten() {
            let found = resolve(input, manifest, pipelines, &mut sure, findings);
            for output in found {
                taken.insert(output, ());
                if let Some(first) = inputs.insert(output, input.place) {
                    let message = format!("{} is linked to sink `{}` twice", name(output, pipelines), sink.name);
                    report_duplicate(message, input.place, first, findings);
                }
            }
        }
        if sink.inputs.as_ref().is_some_and(Vec::is_empty) {
            sure = false;
            let finding = codes::NO_INPUTS.at(sink.place, format!("sink `{}` has no inputs", sink.name));
            findings.report(finding.hint("name at least one output, as in `\"pipeline.output\"`"));
        }
        all.push(inputs.into_keys().collect());
    }
    for (index, (pipeline, written)) in pipelines.iter().zip(&manifest.pipelines).enumerate() {
        let outputs = pipeline.built.iter().flat_map(|built| &built.outputs).zip(&pipeline.discard).enumerate();
        for (output, (plan, discard)) in outputs {
            if sure && !discard && !taken.contains_key(&(index, output)) {
                let message = format!("no sink takes the output `{}` of pipeline `{}`", plan.name, pipeline.name);
                let hint = format!(
                    "add `\"{}.{}\"` to the `inputs` of a sink, or `\"{}\"` to `discard` of the pipeline",
                    pipeline.name, plan.name, plan.name
                );
                findings.report(codes::UNTAKEN_OUTPUT.at(written.place, message).hint(hint));
            }
        }
    }
    all
}

fn name((pipeline, output): (usize, usize), pipelines: &[Pipeline]) -> String {
    let Some(pipeline) = pipelines.get(pipeline) else { return String::new() };
    let output = pipeline.built.as_ref().and_then(|built| built.outputs.get(output));
    format!("`{}.{}`", pipeline.name, output.map_or("", |output| &output.name))
}

/// Finds the outputs that an input of a sink names.
fn resolve(
    input: &Text,
    manifest: &AgentManifest,
    pipelines: &[Pipeline],
    sure: &mut bool,
    findings: &mut Findings,
) -> Vec<(usize, usize)> {
    let (pipeline_name, output_name) = match input.text.split_once('.') {
        Some((pipeline, output)) => (pipeline, Some(output)),
        None => (input.text.as_str(), None),
    };
    let fits: Vec<(usize, &Pipeline)> =
        pipelines.iter().enumerate().filter(|(_, pipeline)| matches(pipeline_name, &pipeline.name)).collect();
    if fits.is_empty() {
        *sure = false;
        let (message, hint) = if manifest.sources.iter().any(|source| source.name == pipeline_name) {
            let hint = "a sink takes outputs of pipelines, as in `\"pipeline.output\"`".to_owned();
            (format!("`{pipeline_name}` is a source, not a pipeline"), Some(hint))
        } else {
            let names = pipelines.iter().map(|pipeline| pipeline.name.as_str());
            (format!("no pipeline `{pipeline_name}`"), suggest::hint(pipeline_name, names))
        };
        findings.report(codes::UNKNOWN_OUTPUT.at(input.place, message).hint_if(hint));
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut known = Vec::new();
    for (index, pipeline) in fits {
        let Some(built) = &pipeline.built else {
            *sure = false;
            return Vec::new();
        };
        for (output, (plan, discard)) in built.outputs.iter().zip(&pipeline.discard).enumerate() {
            known.push(format!("{}.{}", pipeline.name, plan.name));
            let Some(wanted) = output_name.filter(|wanted| matches(wanted, &plan.name)) else { continue };
            // A pattern covers the outputs that are not discarded. A plain name that is also
            // discarded is a contradiction.
            if *discard && !is_pattern(wanted) {
                let message = format!("output `{}` is discarded and sink inputs name it as well", input.text);
                let hint = "remove it from `discard` of the pipeline, or from the `inputs` of the sink";
                findings.report(codes::DISCARDED_OUTPUT.at(input.place, message).hint(hint));
            }
            if !discard {
                found.push((index, output));
            }
        }
    }
    let discarded_only =
        found.is_empty() && output_name.is_some_and(|wanted| known_matches(&known, pipeline_name, wanted));
    if found.is_empty() && !discarded_only {
        *sure = false;
        let message = match output_name {
            Some(output) => format!("pipeline `{pipeline_name}` has no output `{output}`"),
            None => format!("`{pipeline_name}` is a pipeline; name one of its outputs"),
        };
        let hint = suggest::hint(&input.text, known.iter().map(String::as_str));
        findings.report(codes::UNKNOWN_OUTPUT.at(input.place, message).hint_if(hint));
    }
    found
}

fn known_matches(known: &[String], pipeline: &str, output: &str) -> bool {
    known.iter().filter_map(|name| name.split_once('.')).any(|(p, o)| matches(pipeline, p) && matches(output, o))
}

/// Reports sinks of the type `file` that have the same path.
pub(crate) fn report_two_writers(sinks: &[EndpointManifest], findings: &mut Findings) {
    let mut writers: BTreeMap<std::path::PathBuf, &EndpointManifest> = BTreeMap::new();
    for sink in sinks {
        if sink.type_name.as_ref().is_none_or(|type_name| type_name.text != "file") {
            continue;
        }
        let Some(entry) = sink.options.entry("path") else { continue };
        let Data::String(path) = &entry.item.data else { continue };
        // `./a` and `a` are the same file.
        let same = wattle_pack::clean(path.as_ref());
        match writers.get(&same) {
            Some(first) => {
                let message = format!("sinks `{}` and `{}` write the same file `{path}`", first.name, sink.name);
                let hint = "give each sink its own path, or link all outputs to one of them";
                findings.report(codes::TWO_WRITERS.at(entry.item.place, message).hint(hint));
            }
            None => {
                writers.insert(same, sink);
            }
        }
    }
}

/// Reports HTTP sources that listen at the same address. Building them would fail too, but not when
/// a reload adds one while the other runs: that looks like a source that replaces the other.
pub(crate) fn report_two_listeners(sources: &[EndpointManifest], findings: &mut Findings) {
    let mut listeners: BTreeMap<&str, &EndpointManifest> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.type_name.as_ref().is_some_and(|type_name| type_name.text == "http")) {
        // A source without an `address` uses the default.
        let (address, place) = match source.options.entry("address").map(|entry| (&entry.item.data, entry.item.place)) {
            // Port 0 stands for any free port, so two of them do not collide.
            Some((Data::String(address), place)) if !address.ends_with(":0") => (address.as_str(), place),
            Some(_) => continue,
            None => ("", source.place),
        };
        match listeners.get(address) {
            Some(first) => {
                let message = format!("sources `{}` and `{}` listen at the same address", first.name, source.name);
                let hint = "give each source a different `address`, or let one source receive both kinds of events";
                findings.report(codes::TWO_LISTENERS.at(place, message).hint(hint));
            }
            None => _ = listeners.insert(address, source),
        }
    }
}
