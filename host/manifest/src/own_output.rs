//! Sinks whose events come back to the source that they are from, through a file, a socket or a topic.

use std::collections::BTreeSet;
use std::path::Path;

use wattle_diagnostics::{Findings, Place, codes};
use wattle_options::{Overlap, PathPattern, Use, Used};

use crate::load::Pipeline;
use crate::raw::agent::EndpointManifest;

/// An endpoint and what it uses.
pub(crate) struct User<'m> {
    pub(crate) manifest: &'m EndpointManifest,
    pub(crate) uses: Vec<Use>,
}

impl User<'_> {
    /// The place of an option, or of the endpoint if the option has its default.
    pub(crate) fn place_of(&self, option: &str) -> Place {
        self.manifest.options.entry(option).map_or(self.manifest.place, |entry| entry.item.place)
    }
}

/// A sink whose output a source takes.
struct Return<'u> {
    sink: usize,
    source: usize,
    /// The option of the sink, and that of the source.
    options: [&'static str; 2],
    output: &'u Used,
    input: &'u Used,
    /// Whether it happens for all values in a path; otherwise it can.
    is_certain: bool,
}

/// Reports the sinks whose events come back. `inputs` has the outputs that each sink takes.
pub(crate) fn report(
    sources: &[User<'_>],
    sinks: &[User<'_>],
    pipelines: &[Pipeline],
    inputs: &[Vec<(usize, usize)>],
    findings: &mut Findings,
) {
    let returns: Vec<Return<'_>> = sinks
        .iter()
        .enumerate()
        .flat_map(|(index, sink)| sink.uses.iter().map(move |used| (index, used)))
        .flat_map(|(sink, output)| {
            let all = sources.iter().enumerate();
            let all = all.flat_map(|(index, source)| source.uses.iter().map(move |used| (index, used)));
            all.filter_map(move |(source, input)| {
                let options = [output.option, input.option];
                takes(&input.what, &output.what).map(|is_certain| Return {
                    sink,
                    source,
                    options,
                    output: &output.what,
                    input: &input.what,
                    is_certain,
                })
            })
        })
        .collect();
    if returns.is_empty() {
        return;
    }
    let feeding = feeding(&returns, pipelines, inputs);
    for back in &returns {
        let (Some(source), Some(sink)) = (sources.get(back.source), sinks.get(back.sink)) else { continue };
        if feeding.get(back.sink).is_some_and(|sources| sources.contains(&back.source)) {
            report_one(back, source, sink, findings);
        }
    }
}

/// The sources whose events arrive at each sink, also through what other sinks write and sources read.
fn feeding(returns: &[Return<'_>], pipelines: &[Pipeline], inputs: &[Vec<(usize, usize)>]) -> Vec<BTreeSet<usize>> {
    let mut of_pipelines: Vec<BTreeSet<usize>> =
        pipelines.iter().map(|pipeline| pipeline.sources.iter().copied().collect()).collect();
    let of = |sets: &[BTreeSet<usize>], outputs: &[(usize, usize)]| -> BTreeSet<usize> {
        outputs.iter().filter_map(|(pipeline, _)| sets.get(*pipeline)).flatten().copied().collect()
    };
    loop {
        let before = of_pipelines.clone();
        for (set, pipeline) in of_pipelines.iter_mut().zip(pipelines) {
            set.extend(of(&before, &pipeline.inputs));
        }
        if before == of_pipelines {
            break;
        }
    }
    let mut of_sinks: Vec<BTreeSet<usize>> = inputs.iter().map(|outputs| of(&of_pipelines, outputs)).collect();
    loop {
        let before = of_sinks.clone();
        for back in returns {
            let Some(more) = before.get(back.sink) else { continue };
            for set in of_sinks.iter_mut().filter(|set| set.contains(&back.source)) {
                set.extend(more);
            }
        }
        if before == of_sinks {
            return of_sinks;
        }
    }
}

/// Whether a source takes the output of a sink: `Some(true)` if it certainly does, `None` if it does not.
fn takes(input: &Used, output: &Used) -> Option<bool> {
    match (input, output) {
        (Used::Reads(files), Used::Writes(path)) => match path.overlap(files.as_ref()) {
            Overlap::Never => None,
            Overlap::Possible => Some(false),
            Overlap::Certain => Some(true),
        },
        (Used::Listens(server), Used::Sends(address)) => address.reaches(server).then_some(true),
        (Used::Subscribes(wanted), Used::Publishes(topic)) => wanted.has(topic).then_some(true),
        _ => None,
    }
}

fn report_one(back: &Return<'_>, source: &User<'_>, sink: &User<'_>, findings: &mut Findings) {
    let (from, to) = (&source.manifest.name, &sink.manifest.name);
    let [output, input] = back.options;
    let (message, hint) = match (back.output, back.input) {
        (Used::Writes(path), Used::Reads(files)) => {
            let reads = if back.is_certain { "reads" } else { "can read" };
            let excluded = path.excluding(files.as_ref());
            (
                format!("source `{from}` {reads} its own events: sink `{to}` writes them to `{path}` (`{output}`)"),
                format!(
                    "add `exclude = [\"{excluded}\"]` to the source, or write to a folder that it does not read; \
                     otherwise each event comes again until the disk is full"
                ),
            )
        }
        (Used::Sends(address), _) => (
            format!("source `{from}` receives its own events: sink `{to}` sends them to `{address}`"),
            "send to another server, or take the source out of the inputs of the sink; otherwise each event comes \
             again forever"
                .to_owned(),
        ),
        (Used::Publishes(topic), _) => (
            format!("source `{from}` receives its own events: sink `{to}` sends them to `{}`", topic.name),
            "send to another topic, or take the source out of the inputs of the sink; otherwise each event comes \
             again forever"
                .to_owned(),
        ),
        _ => return,
    };
    let code = if back.is_certain { codes::OWN_OUTPUT } else { codes::POSSIBLE_OWN_OUTPUT };
    findings.report(code.at(source.place_of(input), message).hint(hint));
}

/// Reports sources that read the data folder, where the agent keeps its state, buffers and quarantine.
pub(crate) fn report_data_folder(sources: &[User<'_>], folder: &Path, findings: &mut Findings) {
    let folder = folder.display();
    let inside = [
        format!("{folder}/{{{{ x }}}}"),
        format!("{folder}/{{{{ x }}}}/{{{{ x }}}}"),
        format!("{folder}/buffer/{{{{ x }}}}/{{{{ x }}}}"),
        format!("{folder}/quarantine/{{{{ x }}}}.ndjson"),
        format!("{folder}/history.ndjson"),
    ];
    for source in sources {
        for used in &source.uses {
            let Used::Reads(files) = &used.what else { continue };
            if inside.iter().any(|path| PathPattern::new(path).overlap(files.as_ref()) == Overlap::Certain) {
                let message = format!("source `{}` reads the files of the agent in `{folder}`", source.manifest.name);
                let hint = format!("add `exclude = [\"{folder}\"]` to the source, or set another `data_dir`");
                findings.report(codes::OWN_OUTPUT.at(source.place_of(used.option), message).hint(hint));
            }
        }
    }
}
