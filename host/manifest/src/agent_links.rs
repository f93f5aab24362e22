//! Links outside of pipelines: from sources and outputs to pipelines and sinks, and outputs to
//! `discard`.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::Pipeline;
use crate::pattern::{is_pattern, matches};
use crate::pipeline::Built;
use crate::raw::agent::{AgentManifest, PipelineManifest};
use wattle_diagnostics::{Findings, Place, Text, codes};
use wattle_options::suggest;
use wattle_plan::OutputPlan;

/// Indices of a pipeline and of one of its outputs.
type OutputIndex = (usize, usize);

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

/// Links sources and outputs to pipelines and sinks. Returns the inputs of each sink.
///
/// A sink that names a source gets its events through a pipeline without nodes, which has the name
/// of the source. All pipelines of this kind follow those of the file.
pub(crate) fn link(
    manifest: &AgentManifest,
    pipelines: &mut Vec<Pipeline>,
    findings: &mut Findings,
) -> Vec<Vec<OutputIndex>> {
    let mut linker = Linker { manifest, sure: true, findings };
    let of_pipelines: Vec<Inputs> = manifest
        .pipelines
        .iter()
        .enumerate()
        .map(|(own, pipeline)| {
            let inputs = pipeline.inputs.as_deref();
            let hint = "name at least one source, or an output of another pipeline as in `\"pipeline.output\"`";
            linker.inputs(Consumer::Pipeline(own), &pipeline.name, inputs, pipeline.place, hint, pipelines)
        })
        .collect();
    let of_sinks: Vec<Inputs> = manifest
        .sinks
        .iter()
        .map(|sink| {
            let hint = "name at least one output, as in `\"pipeline.output\"`, or a source";
            linker.inputs(Consumer::Sink, &sink.name, sink.inputs.as_deref(), sink.place, hint, pipelines)
        })
        .collect();
    let sure = linker.sure;
    let all = || of_pipelines.iter().chain(&of_sinks);
    // A link that cannot be resolved may have meant any source or output, so no other one is
    // reported as unused.
    if sure {
        report_unused_sources(manifest, &all().flat_map(|inputs| inputs.sources.keys().copied()).collect(), findings);
        report_untaken(manifest, pipelines, &all().flat_map(|i| i.outputs.keys().copied()).collect(), findings);
    }
    report_cycles(&of_pipelines, pipelines, findings);
    for (pipeline, inputs) in pipelines.iter_mut().zip(of_pipelines) {
        pipeline.sources = inputs.sources.into_keys().collect();
        pipeline.inputs = inputs.outputs.into_keys().collect();
    }
    let mut direct: BTreeMap<usize, usize> = BTreeMap::new();
    let of_sink = |inputs: Inputs| {
        let from_sources = inputs.sources.into_keys().map(|source| {
            let pipeline = *direct.entry(source).or_insert_with(|| {
                let name = manifest.sources.get(source).map(|source| source.name.clone()).unwrap_or_default();
                pipelines.push(Pipeline::direct(name, source));
                pipelines.len() - 1
            });
            (pipeline, 0)
        });
        let from_sources: Vec<OutputIndex> = from_sources.collect();
        inputs.outputs.into_keys().chain(from_sources).collect()
    };
    of_sinks.into_iter().map(of_sink).collect()
}

/// The owner of a list of inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumer {
    /// A pipeline by its index.
    Pipeline(usize),
    Sink,
}

/// The resolved inputs of a pipeline or a sink, with the place of each.
#[derive(Default)]
struct Inputs {
    sources: BTreeMap<usize, Place>,
    outputs: BTreeMap<OutputIndex, Place>,
}

struct Linker<'a> {
    manifest: &'a AgentManifest,
    /// Whether every input so far could be resolved.
    sure: bool,
    findings: &'a mut Findings,
}

impl Linker<'_> {
    fn inputs(
        &mut self,
        consumer: Consumer,
        name: &str,
        inputs: Option<&[Text]>,
        place: Place,
        hint: &str,
        pipelines: &[Pipeline],
    ) -> Inputs {
        let mut found = Inputs::default();
        let Some(inputs) = inputs else {
            self.sure = false;
            return found;
        };
        let owner = match consumer {
            Consumer::Pipeline(_) => format!("pipeline `{name}`"),
            Consumer::Sink => format!("sink `{name}`"),
        };
        if inputs.is_empty() {
            self.sure = false;
            self.findings.report(codes::NO_INPUTS.at(place, format!("{owner} has no inputs")).hint(hint));
        }
        for input in inputs {
            if let Some((pipeline, output)) = input.text.split_once('.') {
                for index in self.outputs(input, pipeline, output, consumer, pipelines) {
                    if let Some(first) = found.outputs.insert(index, input.place) {
                        let message = format!("{} is linked to {owner} twice", output_name(index, pipelines));
                        report_duplicate(message, input.place, first, self.findings);
                    }
                }
                continue;
            }
            for index in self.sources(input, consumer, pipelines) {
                if let Some(first) = found.sources.insert(index, input.place) {
                    let source = self.manifest.sources.get(index).map_or("", |source| &source.name);
                    let message = format!("source `{source}` is linked to {owner} twice");
                    report_duplicate(message, input.place, first, self.findings);
                }
            }
        }
        found
    }

    /// Finds the sources that an input without a dot names.
    fn sources(&mut self, input: &Text, consumer: Consumer, pipelines: &[Pipeline]) -> Vec<usize> {
        let text = &input.text;
        let sources = &self.manifest.sources;
        let fits: Vec<usize> =
            sources.iter().enumerate().filter(|(_, s)| matches(text, &s.name)).map(|(index, _)| index).collect();
        let is_pipeline = |name: &str| pipelines.iter().any(|pipeline| pipeline.name == name);
        if fits.is_empty() {
            self.sure = false;
            let source_names = sources.iter().map(|source| source.name.as_str());
            let finding = if is_pipeline(text) {
                let message = format!("`{text}` is a pipeline; name one of its outputs");
                let known = output_names(pipelines.iter().filter(|pipeline| pipeline.name == *text));
                let hint = suggest::hint(text, known.iter().map(String::as_str));
                codes::UNKNOWN_OUTPUT.at(input.place, message).hint_if(hint)
            } else if consumer == Consumer::Sink {
                let known = output_names(pipelines.iter());
                let hint = suggest::hint(text, source_names.chain(known.iter().map(String::as_str)));
                codes::UNKNOWN_OUTPUT.at(input.place, format!("no source `{text}`")).hint_if(hint)
            } else {
                let hint = suggest::hint(text, source_names);
                let hint = hint.unwrap_or_else(|| "add a source as `[sources.NAME]`".to_owned());
                codes::UNKNOWN_SOURCE.at(input.place, format!("no source `{text}`")).hint(hint)
            };
            self.findings.report(finding);
            return Vec::new();
        }
        // The pipeline that links a source to a sink has the name of the source, so that name must
        // be free.
        let taken = fits.iter().filter_map(|&index| sources.get(index)).find(|source| is_pipeline(&source.name));
        if let Some(source) = taken.filter(|_| consumer == Consumer::Sink) {
            self.sure = false;
            let message = format!("`{}` is a source and a pipeline", source.name);
            let hint = "name an output of the pipeline, as in `\"pipeline.output\"`; to link the source directly, \
                        rename one of the two";
            self.findings.report(codes::UNKNOWN_OUTPUT.at(input.place, message).hint(hint));
            return Vec::new();
        }
        fits
    }

    /// Finds the outputs that an input with a dot names.
    fn outputs(
        &mut self,
        input: &Text,
        pipeline_name: &str,
        output_name: &str,
        consumer: Consumer,
        pipelines: &[Pipeline],
    ) -> Vec<OutputIndex> {
        // A pattern in the inputs of a pipeline excludes the pipeline itself.
        let is_own = |index: usize| is_pattern(pipeline_name) && consumer == Consumer::Pipeline(index);
        let fits: Vec<(usize, &Pipeline)> = pipelines
            .iter()
            .enumerate()
            .filter(|(index, pipeline)| matches(pipeline_name, &pipeline.name) && !is_own(*index))
            .collect();
        if fits.is_empty() {
            self.sure = false;
            let is_source = self.manifest.sources.iter().any(|source| source.name == pipeline_name);
            let (message, hint) = if is_source {
                let hint = format!("a source has no outputs; write `\"{pipeline_name}\"`");
                (format!("`{pipeline_name}` is a source, not a pipeline"), Some(hint))
            } else {
                let names = pipelines.iter().map(|pipeline| pipeline.name.as_str());
                (format!("no pipeline `{pipeline_name}`"), suggest::hint(pipeline_name, names))
            };
            self.findings.report(codes::UNKNOWN_OUTPUT.at(input.place, message).hint_if(hint));
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut is_known = false;
        for (index, pipeline) in &fits {
            let Some(built) = &pipeline.built else {
                self.sure = false;
                return Vec::new();
            };
            for (output, (plan, discard)) in built.outputs.iter().zip(&pipeline.discard).enumerate() {
                if !matches(output_name, &plan.name) {
                    continue;
                }
                is_known = true;
                // A pattern covers the outputs that are not discarded. A plain name that is also
                // discarded is a contradiction.
                if *discard && !is_pattern(output_name) {
                    let user = if consumer == Consumer::Sink { "sink" } else { "pipeline" };
                    let message = format!("output `{}` is discarded and {user} inputs name it as well", input.text);
                    let hint = format!("remove it from `discard` of its pipeline, or from the `inputs` of the {user}");
                    self.findings.report(codes::DISCARDED_OUTPUT.at(input.place, message).hint(hint));
                }
                if !discard {
                    found.push((*index, output));
                }
            }
        }
        if !is_known {
            self.sure = false;
            let message = format!("pipeline `{pipeline_name}` has no output `{output_name}`");
            let known = output_names(fits.into_iter().map(|(_, pipeline)| pipeline));
            let hint = suggest::hint(&input.text, known.iter().map(String::as_str));
            self.findings.report(codes::UNKNOWN_OUTPUT.at(input.place, message).hint_if(hint));
        }
        found
    }
}

fn report_duplicate(message: String, place: Place, first: Place, findings: &mut Findings) {
    let note = format!("first linked at {}", findings.describe(first));
    let finding = codes::DUPLICATE_LINK.at(place, message).note(note);
    findings.report(finding.hint("remove one; each event would arrive twice"));
}

fn output_names<'a>(pipelines: impl Iterator<Item = &'a Pipeline>) -> Vec<String> {
    let of = |pipeline: &'a Pipeline| {
        let outputs = pipeline.built.iter().flat_map(|built| &built.outputs);
        outputs.map(|output| format!("{}.{}", pipeline.name, output.name))
    };
    pipelines.flat_map(of).collect()
}

fn output_name((pipeline, output): OutputIndex, pipelines: &[Pipeline]) -> String {
    let Some(pipeline) = pipelines.get(pipeline) else { return String::new() };
    let output = pipeline.built.as_ref().and_then(|built| built.outputs.get(output));
    format!("`{}.{}`", pipeline.name, output.map_or("", |output| &output.name))
}

fn report_unused_sources(manifest: &AgentManifest, used: &BTreeSet<usize>, findings: &mut Findings) {
    for (_, source) in manifest.sources.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        let message = format!("no pipeline reads the source `{}`", source.name);
        let hint = format!("add `\"{}\"` to the `inputs` of a pipeline or a sink, or remove the source", source.name);
        findings.report(codes::UNUSED_SOURCE.at(source.place, message).hint(hint));
    }
}

fn report_untaken(
    manifest: &AgentManifest,
    pipelines: &[Pipeline],
    taken: &BTreeSet<OutputIndex>,
    findings: &mut Findings,
) {
    for (index, (pipeline, written)) in pipelines.iter().zip(&manifest.pipelines).enumerate() {
        let outputs = pipeline.built.iter().flat_map(|built| &built.outputs).zip(&pipeline.discard).enumerate();
        for (output, (plan, discard)) in outputs {
            if !discard && !taken.contains(&(index, output)) {
                let message = format!("no sink takes the output `{}` of pipeline `{}`", plan.name, pipeline.name);
                let hint = format!(
                    "add `\"{}.{}\"` to the `inputs` of a sink or of another pipeline, or `\"{}\"` to `discard` of \
                     the pipeline",
                    pipeline.name, plan.name, plan.name
                );
                findings.report(codes::UNTAKEN_OUTPUT.at(written.place, message).hint(hint));
            }
        }
    }
}

/// Reports pipelines that feed each other in a circle, each circle once.
fn report_cycles(inputs: &[Inputs], pipelines: &[Pipeline], findings: &mut Findings) {
    let mut done: BTreeSet<usize> = BTreeSet::new();
    for start in 0..inputs.len() {
        // Walks upstream, depth first; `path` holds the pipelines between `start` and the current
        // one.
        let mut path: Vec<usize> = Vec::new();
        let mut open = vec![(start, 0)];
        while let Some((pipeline, depth)) = open.pop() {
            path.truncate(depth);
            if let Some(first) = path.iter().position(|&known| known == pipeline) {
                let cycle = path.get(first..).unwrap_or_default();
                report_cycle(cycle, inputs, pipelines, findings);
                done.extend(cycle);
                continue;
            }
            if done.contains(&pipeline) {
                continue;
            }
            path.push(pipeline);
            let upstream: BTreeSet<usize> =
                inputs.get(pipeline).iter().flat_map(|inputs| inputs.outputs.keys()).map(|(from, _)| *from).collect();
            open.extend(upstream.into_iter().map(|from| (from, depth + 1)));
        }
        done.insert(start);
    }
}

/// Reports a circle of pipelines, given against the direction of flow.
fn report_cycle(cycle: &[usize], inputs: &[Inputs], pipelines: &[Pipeline], findings: &mut Findings) {
    let (Some(&first), Some(&last)) = (cycle.first(), cycle.last()) else { return };
    // The link that closes the circle: `last` takes an output of `first`.
    let link = inputs.get(last).and_then(|inputs| inputs.outputs.iter().find(|((from, _), _)| *from == first));
    let Some((_, place)) = link else { return };
    let flow = [first].into_iter().chain(cycle.iter().rev().copied());
    let names: Vec<String> =
        flow.filter_map(|index| pipelines.get(index)).map(|pipeline| format!("`{}`", pipeline.name)).collect();
    let finding = codes::CYCLE.at(*place, format!("pipelines are linked in a circle: {}", names.join(" -> ")));
    findings.report(finding.hint("remove this link from the `inputs`; its events would never leave"));
}
