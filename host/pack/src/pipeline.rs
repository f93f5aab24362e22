//! Builds the graph of a pipeline: finds its pack, fills in parameters, takes its artifacts, configures its nodes.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::artifact::{Artifact, NodeError, NodeShape, Nodes, Origin};
use crate::codes;
use crate::findings::{Findings, Place};
use crate::library::{Found, Library, MANIFEST, PackFiles, clean, read_plain};
use crate::limits::{CircuitSettings, NodeLimits, OnFault};
use crate::load::{bytes_to_text, in_words};
use crate::manifest::agent::{PipelineGraph, PipelineManifest};
use crate::manifest::graph::{GraphManifest, NodeManifest};
use crate::manifest::pack::PackManifest;
use crate::manifest::trial::TrialManifest;
use crate::params::Params;
use crate::plan::{NodePlan, OutputPlan, PackId, PipelinePlan, PortPlan, Target, Trial};
use crate::reader::Text;
use crate::trial::{CanarySettings, ShadowSettings};
use crate::value::{self, Data, Entry, Item, Table};
use crate::{option_path, suggest, wire};

/// Prefix of artifacts that the agent carries.
const BUILTIN: &str = "builtin:";

/// A graph whose outputs are known, and the rest if nothing was wrong.
pub(crate) struct Built {
    pub(crate) pack: Option<PackId>,
    pub(crate) outputs: Vec<OutputPlan>,
    reference: Option<String>,
    shadow: Option<Box<Trial<ShadowSettings>>>,
    canary: Option<Box<Trial<CanarySettings>>>,
    graph: Option<(Vec<Target>, Vec<NodePlan>)>,
}

impl Built {
    pub(crate) fn into_plan(self, name: String, sources: Vec<usize>, discard: &[bool]) -> Option<PipelinePlan> {
        let Self { pack, mut outputs, reference, shadow, canary, graph } = self;
        for (output, discard) in outputs.iter_mut().zip(discard) {
            output.discard = *discard;
        }
        let (entry, nodes) = graph?;
        Some(PipelinePlan { name, pack, sources, entry, nodes, outputs, reference, shadow, canary })
    }
}

/// Where the artifacts of a graph are.
enum Root<'a> {
    Pack(&'a PackFiles),
    /// Folder of the configuration with an inline graph.
    Folder(&'a Path),
}

/// Builds pipelines; an artifact that several use is read once.
pub(crate) struct Builder<'a> {
    nodes: &'a dyn Nodes,
    limits: &'a NodeLimits,
    circuit: &'a CircuitSettings,
    artifacts: BTreeMap<PathBuf, Arc<Artifact>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(nodes: &'a dyn Nodes, limits: &'a NodeLimits, circuit: &'a CircuitSettings) -> Self {
        Self { nodes, limits, circuit, artifacts: BTreeMap::new() }
    }

    /// Builds a pipeline of a configuration.
    pub(crate) fn build(
        &mut self,
        pipeline: &PipelineManifest,
        library: &Library,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Built> {
        match &pipeline.graph {
            PipelineGraph::Pack { reference, params } => {
                let mut built = self.find_and_build(reference, params.as_ref(), library, folder, findings);
                let shadow = pipeline.shadow.as_ref().map(|t| (t, "shadow"));
                let shadow = shadow.and_then(|(t, key)| {
                    self.build_trial(t, key, built.as_ref(), pipeline, (library, folder), findings)
                });
                let canary = pipeline.canary.as_ref().map(|t| (t, "canary"));
                let canary = canary.and_then(|(t, key)| {
                    self.build_trial(t, key, built.as_ref(), pipeline, (library, folder), findings)
                });
                if let Some(built) = &mut built {
                    (built.shadow, built.canary) = (shadow, canary);
                }
                built
            }
            PipelineGraph::Inline(_) if pipeline.shadow.is_some() || pipeline.canary.is_some() => {
                let message =
                    format!("`[pipelines.{}]` has a graph written inline, and a `shadow` or a `canary`", pipeline.name);
                let hint = "make a pack of the graph; then another version of it can be tried";
                findings.report(codes::PIPELINE_FORM.at(pipeline.place, message).hint(hint));
                None
            }
            PipelineGraph::Inline(graph) => Some(self.build_graph(graph, &Root::Folder(folder), None, findings)),
            PipelineGraph::Unknown => None,
        }
    }

    fn find_and_build(
        &mut self,
        reference: &Text,
        params: Option<&Entry>,
        library: &Library,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Built> {
        let found = library.find(&reference.text, reference.place, folder, findings)?;
        let given = params.and_then(|entry| match &entry.item.data {
            Data::Table(table) => Some(table),
            _ => None,
        });
        let mut built = self.build_pack(&found, given, reference.place, findings)?;
        built.reference = Some(as_named(&reference.text, folder, built.pack.as_ref()));
        Some(built)
    }

    /// Builds the candidate of a trial.
    fn build_trial<S: Copy>(
        &mut self,
        trial: &TrialManifest<S>,
        key: &str,
        primary: Option<&Built>,
        pipeline: &PipelineManifest,
        (library, folder): (&Library, &Path),
        findings: &mut Findings,
    ) -> Option<Box<Trial<S>>> {
        let PipelineGraph::Pack { reference, params } = &pipeline.graph else { return None };
        let is_version = !trial.pack.text.contains(['@', '/', ':'])
            && trial.pack.text.starts_with(|c: char| !c.is_ascii_alphabetic());
        let name = primary.and_then(|built| built.pack.as_ref()).map(|pack| pack.name.clone());
        let text = match name.filter(|_| is_version && !trial.pack.text.starts_with('.')) {
            Some(name) => format!("{name}@{}", trial.pack.text),
            None => trial.pack.text.clone(),
        };
        let candidate = Text { text, place: trial.pack.place };
        let params = trial.params.as_ref().or(params.as_ref());
        let built = self.find_and_build(&candidate, params, library, folder, findings)?;
        let primary = primary?;
        let missing = |output: &&OutputPlan| !primary.outputs.iter().any(|known| known.name == output.name);
        for output in built.outputs.iter().filter(missing) {
            let message = format!("the {key} has the output `{}`, which `{}` has not", output.name, reference.text);
            let hint = "nothing takes what leaves there; change `pack` and its sinks, without a trial";
            findings.report(codes::TRIAL_OUTPUT.at(trial.pack.place, message).hint(hint));
        }
        let candidate = built.into_plan(pipeline.name.clone(), Vec::new(), &[])?;
        Some(Box::new(Trial { candidate, settings: trial.settings }))
    }

    /// Builds a pack that was found; `user` is the place of what names it.
    pub(crate) fn build_pack(
        &mut self,
        found: &Found,
        given: Option<&Table>,
        user: Place,
        findings: &mut Findings,
    ) -> Option<Built> {
        let (manifest, file) = read_manifest(&found.files, findings)?;
        check_identity(found, &manifest, file, findings);
        let mut params = Params::resolve(&manifest.params, given, user, findings);
        let mut built = self.build_graph(&manifest.graph, &Root::Pack(&found.files), Some(&mut params), findings);
        params.report_unused(findings);
        built.pack =
            manifest.name.zip(manifest.version).map(|(name, (version, _))| PackId { name: name.text, version });
        Some(built)
    }

    fn build_graph(
        &mut self,
        graph: &GraphManifest,
        root: &Root<'_>,
        mut params: Option<&mut Params>,
        findings: &mut Findings,
    ) -> Built {
        let mut shapes = Vec::new();
        let mut parts = Vec::new();
        for node in &graph.nodes {
            let options = fill_options(node, params.as_deref_mut(), findings);
            let artifact = node.artifact.as_ref().and_then(|text| self.artifact(text, root, findings));
            let part = artifact.zip(options).and_then(|(artifact, options)| {
                let text = value::table_to_json(&options).to_string();
                self.configure(node, &artifact, &options, &text, findings).map(|shape| (artifact, text, shape))
            });
            shapes.push(part.as_ref().map(|(_, _, shape)| shape.clone()));
            parts.push(part);
        }
        let wires = wire::wire(graph, &shapes, findings);
        let mut nodes = Some(Vec::new());
        for index in wires.order {
            let node = graph.nodes.get(index).zip(parts.get_mut(index).and_then(Option::take));
            let targets = wires.ports.get(index).cloned().unwrap_or_default();
            let plan = node.map(|(node, (artifact, options, shape))| NodePlan {
                name: node.name.clone(),
                artifact,
                options,
                limits: node.limits.over(self.limits),
                circuit: node.circuit.over(self.circuit),
                on_fault: node.on_fault.map(|(policy, _)| policy).unwrap_or_default(),
                on_state_mismatch: node.on_state_mismatch,
                ports: wire::ports(&shape)
                    .zip(targets)
                    .map(|(name, targets)| PortPlan { name: name.to_owned(), targets })
                    .collect(),
                shape,
            });
            nodes = nodes.zip(plan).map(|(mut nodes, plan)| {
                nodes.push(plan);
                nodes
            });
        }
        let outputs = graph.outputs.iter().map(|output| OutputPlan {
            name: output.name.clone(),
            title: output.title.clone().unwrap_or_else(|| output.name.clone()),
            description: output.description.clone().unwrap_or_default(),
            discard: false,
        });
        let graph = nodes.map(|nodes| (wires.entry, nodes));
        Built { pack: None, outputs: outputs.collect(), reference: None, shadow: None, canary: None, graph }
    }

    /// Gives the artifact that a node names.
    fn artifact(&mut self, text: &Text, root: &Root<'_>, findings: &mut Findings) -> Option<Arc<Artifact>> {
        if let Some(name) = text.text.strip_prefix(BUILTIN) {
            let artifact = self.nodes.builtin(name);
            if artifact.is_none() {
                let names = self.nodes.builtin_names();
                let hint = match suggest::closest(name, names.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{BUILTIN}{meant}`?"),
                    None => format!("there is {}", suggest::list(names.iter().map(String::as_str))),
                };
                let message = format!("unknown node type `{name}`");
                findings.report(codes::UNKNOWN_NODE_TYPE.at(text.place, message).hint(hint));
            }
            return artifact;
        }
        let path = match root {
            Root::Pack(files) => {
                if !is_inside(files, &text.text) {
                    let message = format!("the artifact `{}` is outside the pack's folder", text.text);
                    let hint = "copy it into the pack, so that the pack is whole wherever it goes";
                    findings.report(codes::OUTSIDE_ARTIFACT.at(text.place, message).hint(hint));
                    return None;
                }
                clean(&files.path(&text.text))
            }
            Root::Folder(folder) => clean(&folder.join(&text.text)),
        };
        let origin = match root {
            Root::Pack(files) if files.is_builtin() => Origin::Embedded,
            _ => Origin::File(path.clone()),
        };
        if matches!(origin, Origin::File(_)) {
            findings.watch(&path);
        }
        if let Some(artifact) = self.artifacts.get(&path) {
            return Some(Arc::clone(artifact));
        }
        let read = match root {
            Root::Pack(files) => files.read(&text.text),
            Root::Folder(_) => read_plain(&path),
        };
        match read {
            Ok(bytes) => {
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                let artifact = Arc::new(Artifact::new(name, bytes, origin));
                self.artifacts.insert(path, Arc::clone(&artifact));
                Some(artifact)
            }
            Err(error) => {
                let message = format!("the artifact `{}` cannot be read: {}", path.display(), in_words(&error));
                let hint = match self.nodes.builtin(&text.text) {
                    Some(_) => format!("did you mean `{BUILTIN}{}`?", text.text),
                    None => format!("artifacts are files, or `{BUILTIN}NAME`"),
                };
                findings.report(codes::MISSING_ARTIFACT.at(text.place, message).hint(hint));
                None
            }
        }
    }

    fn configure(
        &self,
        node: &NodeManifest,
        artifact: &Arc<Artifact>,
        options: &Table,
        text: &str,
        findings: &mut Findings,
    ) -> Option<NodeShape> {
        let place = node.artifact.as_ref().map_or(node.place, |text| text.place);
        let owner = format!("node `{}`", node.name);
        match self.nodes.configure(artifact, text, &node.limits.over(self.limits)) {
            Ok(shape) => match bad_ports(&shape) {
                None => {
                    check_on_fault(node, &shape, findings);
                    Some(shape)
                }
                Some(problem) => {
                    let message = format!("the artifact of {owner} is refused: {problem}");
                    findings.report(codes::REFUSED_ARTIFACT.at(place, message));
                    None
                }
            },
            Err(NodeError::Options(errors)) => {
                let whole = node.options.as_ref().map_or(place, |entry| entry.place);
                option_path::report(codes::NODE_OPTION, errors, &owner, options, whole, findings);
                None
            }
            Err(NodeError::Artifact { message, hint }) => {
                let message = format!("the artifact of {owner} is refused: {message}");
                findings.report(codes::REFUSED_ARTIFACT.at(place, message).hint_if(hint));
                None
            }
        }
    }
}

/// Reads the manifest of a pack.
pub(crate) fn read_manifest(files: &PackFiles, findings: &mut Findings) -> Option<(PackManifest, Place)> {
    let path = files.path(MANIFEST);
    if !files.is_builtin() {
        findings.watch(&path);
    }
    let text = bytes_to_text(&path, files.read(MANIFEST), findings)?;
    let number = findings.add_manifest(&path, &text);
    let table = value::parse(number, &text, findings)?;
    let file = Place::file(number);
    Some((PackManifest::read(&table, file, findings), file))
}

/// A pack of the library must be what its folder says, else the versions of a configuration mean nothing.
fn check_identity(found: &Found, manifest: &PackManifest, file: Place, findings: &mut Findings) {
    let Some((name, version)) = &found.expected else { return };
    if let Some(own) = manifest.name.as_ref().filter(|own| own.text != *name) {
        let message = format!("the pack `{}` lies in the library's folder of `{name}`", own.text);
        findings.report(codes::MISPLACED_PACK.at(own.place, message).hint("rename the folder, or the pack"));
    }
    if let (Some(expected), Some((own, place))) = (version, &manifest.version)
        && own != expected
    {
        let message = format!("version `{own}` of the pack `{name}` lies in the library's folder of `{expected}`");
        findings.report(codes::MISPLACED_PACK.at(*place, message).hint("rename the folder, or change the version"));
    }
    if version.is_none() && manifest.version.is_some() {
        // Its version could not be read when the library looked for it, so the file has changed since.
        findings.report(codes::UNREADABLE.at(file, "the pack changed while it was read").hint("load it once more"));
    }
}

/// The options of a node with parameters filled in; `None` where one of them is reported already.
fn fill_options(node: &NodeManifest, params: Option<&mut Params>, findings: &mut Findings) -> Option<Table> {
    let mut options = match &node.options {
        Some(entry) => entry.item.clone(),
        None => Item::new(node.place, Data::Table(Table::default())),
    };
    if let Some(params) = params {
        params.fill(&mut options, findings);
    }
    match options.data {
        Data::Table(table) if !table.0.iter().any(|entry| entry.item.is_unknown()) => Some(table),
        _ => None,
    }
}

/// Tells whether a path stays in the folder of its pack, also after links of the file system are followed.
fn is_inside(files: &PackFiles, relative: &str) -> bool {
    let plain = Path::new(relative).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let PackFiles::Folder(folder) = files else { return plain };
    match (folder.canonicalize(), folder.join(relative).canonicalize()) {
        (Ok(folder), Ok(path)) => plain && path.starts_with(folder),
        // A file that is absent is reported as that.
        _ => plain,
    }
}

/// Refuses to pass on unchanged what must not leave in clear, or what would have to choose one of several ports.
fn check_on_fault(node: &NodeManifest, shape: &NodeShape, findings: &mut Findings) {
    let Some((OnFault::Pass, place)) = node.on_fault else { return };
    let why = if shape.masks {
        "hides data, so its events must not go on unchanged"
    } else if shape.ports.len() > 1 {
        "has several output ports, and unchanged events belong to none of them"
    } else {
        return;
    };
    let finding = codes::PASS_REFUSED.at(place, format!("node `{}` {why}", node.name));
    findings.report(finding.hint("write `\"fail\"` or `\"stop\"`"));
}

fn bad_ports(shape: &NodeShape) -> Option<String> {
    if shape.ports.is_empty() {
        return Some("it has no output port".to_owned());
    }
    let mut seen = Vec::new();
    for port in wire::ports(shape) {
        if seen.contains(&port) {
            return Some(format!("it has two ports `{port}`"));
        }
        seen.push(port);
    }
    None
}

/// A reference as a command line would have it: of a folder from where the agent was started, of a name with its version.
fn as_named(reference: &str, folder: &Path, pack: Option<&PackId>) -> String {
    let is_folder = reference.starts_with('.') || reference.contains(['/', '\\']);
    match pack {
        _ if reference.contains("://") => reference.to_owned(),
        _ if is_folder => {
            let path = clean(&folder.join(reference)).display().to_string();
            if path.contains('/') { path } else { format!("./{path}") }
        }
        Some(pack) => pack.to_string(),
        None => reference.to_owned(),
    }
}
