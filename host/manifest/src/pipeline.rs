//! Builds the graph of a pipeline: finds its pack, fills in parameters, loads its artifacts,
//! configures its nodes.
//!
//! A pack can be a node of another pack, or of an inline graph. It is built separately, with its
//! outputs as the ports of that node, and its graph then replaces the node (`compound.rs`).

mod artifact;
mod built;
mod candidate;
mod compound;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Map;

pub(crate) use self::built::Built;
use crate::params::Params;
use crate::raw::agent::{PipelineGraph, PipelineManifest};
use crate::raw::capabilities::CapabilityManifest;
use crate::raw::graph::{ArtifactManifest, GraphManifest, NodeManifest, NodeWork};
use crate::raw::pack::PackManifest;
use crate::wire;
use wattle_diagnostics::{Data, Entry, Findings, Item, Place, Table, Text, bytes_to_text, codes, value};
use wattle_pack::{FileList, Found, Library, MANIFEST, PackFiles, trust};
use wattle_plan::{
    Artifact, CircuitSettings, Grants, NodeLimits, NodePlan, NodeShape, Nodes, OutputPlan, PackId, PackUse, PortPlan,
    Target, TrustPolicy,
};

/// Maximum nesting of packs in packs.
const MAX_DEPTH: usize = 8;
/// Maximum number of nodes of a pipeline with nested packs.
const MAX_NODES: usize = 1000;

/// Where a graph is defined.
enum Root<'a> {
    Pack {
        files: &'a PackFiles,
        list: &'a FileList,
    },
    /// Folder of the configuration that has the inline graph.
    Folder(&'a Path),
}

/// A graph with everything that its nodes can refer to.
struct Scope<'a> {
    root: Root<'a>,
    /// Parameters of the pack; an inline graph has none.
    params: Option<&'a mut Params>,
    capabilities: &'a [CapabilityManifest],
    /// Capabilities that its artifacts import.
    needed: BTreeSet<&'static str>,
}

/// The inputs of a node before it is configured.
struct Collected {
    artifact: Arc<Artifact>,
    options: Table,
    grants: Arc<Grants>,
}

/// Result of building a node.
enum Part {
    Node { artifact: Arc<Artifact>, options: String, grants: Arc<Grants>, shape: NodeShape },
    Pack(Built),
}

/// Builds pipelines; reads an artifact that several pipelines use only once.
pub(crate) struct Builder<'a> {
    nodes: &'a dyn Nodes,
    library: &'a Library,
    limits: &'a NodeLimits,
    circuit: &'a CircuitSettings,
    trust: &'a TrustPolicy,
    artifacts: BTreeMap<PathBuf, Arc<Artifact>>,
    /// Name of the pipeline that is being built, and what it grants. `None` for a pack that is
    /// built on its own; such a pack gets what its tests grant.
    granted: Option<(String, Place)>,
    grants: Arc<Grants>,
    /// Packs that are being built, from the outermost to the innermost: their manifests and names.
    inside: Vec<(PathBuf, String)>,
    /// Number of nodes that the pipeline can still add.
    room: usize,
    /// Every resolved pack, by reference.
    pub(crate) uses: Vec<PackUse>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        nodes: &'a dyn Nodes,
        library: &'a Library,
        limits: &'a NodeLimits,
        circuit: &'a CircuitSettings,
        trust: &'a TrustPolicy,
    ) -> Self {
        Self {
            nodes,
            library,
            limits,
            circuit,
            trust,
            artifacts: BTreeMap::new(),
            granted: None,
            grants: Arc::new(Grants::of_tests()),
            inside: Vec::new(),
            room: MAX_NODES,
            uses: Vec::new(),
        }
    }

    /// Builds a pipeline of a configuration.
    pub(crate) fn build(
        &mut self,
        pipeline: &PipelineManifest,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<Built> {
        self.granted = Some((pipeline.name.clone(), pipeline.place));
        self.grants = Arc::new(pipeline.grants.clone());
        match &pipeline.graph {
            PipelineGraph::Pack { reference, params } => {
                let mut built = self.find_and_build(reference, params.as_ref(), folder, findings);
                let candidates = self.build_candidates(built.as_ref(), pipeline, folder, findings);
                if let Some(built) = &mut built {
                    (built.shadow, built.canary) = candidates;
                }
                built
            }
            PipelineGraph::Inline(_) if pipeline.shadow.is_some() || pipeline.canary.is_some() => {
                let message =
                    format!("`[pipelines.{}]` has a graph written inline, and a `shadow` or a `canary`", pipeline.name);
                let hint = "move the graph into a pack; a shadow or a canary needs a second version of it";
                findings.report(codes::PIPELINE_FORM.at(pipeline.place, message).hint(hint));
                None
            }
            PipelineGraph::Inline(graph) => {
                self.room = MAX_NODES;
                let root = Root::Folder(folder);
                let mut scope = Scope { root, params: None, capabilities: &[], needed: BTreeSet::new() };
                Some(self.build_graph(graph, &mut scope, findings))
            }
            PipelineGraph::Unknown => None,
        }
    }

    /// Builds a resolved pack; `user` is the place that names it.
    pub(crate) fn build_pack(
        &mut self,
        found: &Found,
        given: Option<&Table>,
        user: Place,
        findings: &mut Findings,
    ) -> Option<Built> {
        if self.inside.is_empty() {
            self.room = MAX_NODES;
        }
        // Verify the signature before anything of the pack is parsed.
        let trust::Opened { files, list, signature } = trust::open(found, self.trust, user, findings)?;
        let (manifest, file) = read_manifest(&files, findings)?;
        check_identity(found, &manifest, file, findings);
        let id = manifest.head.name.as_ref().zip(manifest.head.version.as_ref());
        let id = id.map(|(name, (version, _))| PackId {
            name: name.text.clone(),
            version: version.clone(),
            digest: list.digest(),
        });
        if let Some(id) = &id {
            self.note_use(found, id, &list, &signature);
        }
        let name = id.as_ref().map_or_else(|| found.reference.clone(), PackId::to_string);
        self.enter(found, name, user, findings)?;
        let mut params = Params::resolve(&manifest.params, given, user, findings);
        let mut scope = Scope {
            root: Root::Pack { files: &files, list: &list },
            params: Some(&mut params),
            capabilities: &manifest.capabilities,
            needed: BTreeSet::new(),
        };
        let built = self.build_graph(&manifest.graph, &mut scope, findings);
        self.inside.pop();
        if built.graph.is_some() {
            artifact::report_unused(&manifest.capabilities, &scope.needed, findings);
        }
        params.report_unused(findings);
        Some(Built { pack: id, parameters: params.shown(findings), ..built })
    }

    /// Starts to build a pack inside the packs that are being built, and refuses a cycle.
    fn enter(&mut self, found: &Found, name: String, user: Place, findings: &mut Findings) -> Option<()> {
        let manifest = found.files.path(MANIFEST);
        if let Some(first) = self.inside.iter().position(|(path, _)| *path == manifest) {
            let path = self.inside.iter().skip(first).map(|(_, name)| name).chain([&name]);
            let path: Vec<String> = path.map(|name| format!("`{name}`")).collect();
            let finding =
                codes::PACK_CYCLE.at(user, format!("packs use each other in a circle: {}", path.join(" -> ")));
            findings.report(finding.hint("remove this node, or copy its nodes into the pack"));
            return None;
        }
        if self.inside.len() >= MAX_DEPTH {
            let message = format!("packs are nested more than {MAX_DEPTH} deep");
            findings.report(codes::PACK_DEPTH.at(user, message).hint("use the nodes of the inner pack directly"));
            return None;
        }
        self.inside.push((manifest, name));
        Some(())
    }

    /// Records which pack a reference resolved to.
    fn note_use(&mut self, found: &Found, id: &PackId, list: &FileList, signature: &trust::Signature) {
        if self.uses.iter().any(|used| used.reference == found.reference) {
            return;
        }
        let artifacts = list.iter().filter(|(path, _)| path.ends_with(".wasm"));
        self.uses.push(PackUse {
            reference: found.reference.clone(),
            name: id.name.clone(),
            version: id.version.clone(),
            source: found.source.clone(),
            digest: id.digest.clone(),
            signature: signature.to_string(),
            artifacts: artifacts.map(|(path, digest)| (path.to_owned(), format!("sha256:{digest}"))).collect(),
        });
    }

    fn build_graph(&mut self, graph: &GraphManifest, scope: &mut Scope<'_>, findings: &mut Findings) -> Built {
        let mut ports = Vec::new();
        let mut parts = Vec::new();
        let collected = self.collect(graph, scope, findings);
        for (node, collected) in graph.nodes.iter().zip(collected) {
            let part = match &node.work {
                NodeWork::Artifact(manifest) => {
                    collected.and_then(|collected| self.build_node(node, manifest, collected, scope, findings))
                }
                NodeWork::Pack { reference, params } => {
                    self.build_inner(reference, params.as_ref(), scope, findings).map(Part::Pack)
                }
                NodeWork::Unknown => None,
            };
            ports.push(part.as_ref().map(Part::ports));
            parts.push(part);
        }
        let wires = wire::wire(graph, &ports, findings);
        let mut placed = Some(Vec::new());
        for index in wires.order {
            let node = graph.nodes.get(index).zip(parts.get_mut(index).and_then(Option::take));
            let targets = wires.ports.get(index).cloned().unwrap_or_default();
            let part = node.and_then(|(node, part)| self.place(node, part, targets));
            placed = placed.zip(part).map(|(mut placed, part)| {
                placed.push(part);
                placed
            });
        }
        let graph_plan = placed.and_then(|placed| compound::flatten(wires.entry, placed, findings));
        let outputs = graph.outputs.iter().map(|output| OutputPlan {
            name: output.name.clone(),
            title: output.title.clone().unwrap_or_else(|| output.name.clone()),
            description: output.description.clone().unwrap_or_default(),
            discard: false,
        });
        Built {
            pack: None,
            outputs: outputs.collect(),
            reference: None,
            parameters: Map::new(),
            shadow: None,
            canary: None,
            graph: graph_plan,
        }
    }

    /// Collects the artifacts of all nodes of a graph before any of them is compiled, so that a
    /// graph with a missing or altered artifact compiles nothing. The result has `None` for nodes
    /// that are packs or were refused.
    fn collect(
        &mut self,
        graph: &GraphManifest,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Vec<Option<Collected>> {
        let mut is_whole = true;
        let mut all = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let collected = match &node.work {
                NodeWork::Artifact(manifest) => self.collect_node(node, manifest, scope, findings),
                NodeWork::Pack { .. } | NodeWork::Unknown => {
                    all.push(None);
                    continue;
                }
            };
            is_whole &= collected.is_some();
            all.push(collected);
        }
        if is_whole {
            let artifacts: Vec<_> = all.iter().flatten().map(|collected| collected.artifact.clone()).collect();
            self.nodes.prepare(&artifacts);
        }
        all
    }

    fn collect_node(
        &mut self,
        node: &NodeManifest,
        manifest: &ArtifactManifest,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Option<Collected> {
        if self.inside.len() > 1 {
            let Some(room) = self.room.checked_sub(1) else {
                let message = format!("the packs in this pack have more than {MAX_NODES} nodes together");
                findings.report(codes::PACK_DEPTH.at(node.place, message));
                return None;
            };
            self.room = room;
        }
        let options = fill_options(node, manifest, scope.params.as_deref_mut(), findings);
        let artifact = self.artifact(&manifest.artifact, &scope.root, findings)?;
        artifact::check_digest(&artifact, manifest, &node.name, findings)?;
        self.check_capabilities(node, manifest, &artifact, scope, findings)?;
        let grants = self.node_grants(&artifact, scope);
        Some(Collected { artifact, options: options?, grants })
    }

    fn build_node(
        &self,
        node: &NodeManifest,
        manifest: &ArtifactManifest,
        collected: Collected,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Option<Part> {
        let text = value::table_to_json(&collected.options).to_string();
        let shape = self.configure(node, manifest, &collected, &text, scope, findings)?;
        let Collected { artifact, grants, .. } = collected;
        Some(Part::Node { artifact, options: text, grants, shape })
    }

    /// Builds a pack that is used as a node.
    fn build_inner(
        &mut self,
        reference: &Text,
        params: Option<&Entry>,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Option<Built> {
        let folder = scope.root.folder_of(reference, findings)?;
        let found = self.library.find(&reference.text, reference.place, folder, findings)?;
        let mut given = params.map(|entry| entry.item.clone());
        if let Some((given, params)) = given.as_mut().zip(scope.params.as_deref_mut()) {
            params.fill(given, findings);
        }
        let given = given.as_ref().and_then(|item| match &item.data {
            Data::Table(table) => Some(table),
            _ => None,
        });
        self.build_pack(&found, given, reference.place, findings)
    }

    /// Adds limits and links to a node.
    fn place<'n>(&self, node: &'n NodeManifest, part: Part, targets: Vec<Vec<Target>>) -> Option<compound::Placed<'n>> {
        match (part, &node.work) {
            (Part::Node { artifact, options, grants, shape }, NodeWork::Artifact(manifest)) => {
                let names = wire::ports(&shape).map(str::to_owned).collect::<Vec<_>>();
                Some(compound::Placed::Node(Box::new(NodePlan {
                    name: node.name.clone(),
                    artifact,
                    options,
                    limits: manifest.limits.over(self.limits),
                    grants,
                    circuit: manifest.circuit.over(self.circuit),
                    on_fault: manifest.on_fault.map(|(policy, _)| policy).unwrap_or_default(),
                    on_state_mismatch: manifest.on_state_mismatch,
                    state: manifest.state.over(&shape.state),
                    ports: names.into_iter().zip(targets).map(|(name, targets)| PortPlan { name, targets }).collect(),
                    shape,
                })))
            }
            (Part::Pack(built), _) => {
                let (entry, nodes) = built.graph?;
                Some(compound::Placed::Pack { node, entry, nodes, targets })
            }
            (Part::Node { .. }, _) => None,
        }
    }
}

impl Part {
    fn ports(&self) -> wire::Ports {
        match self {
            Self::Node { shape, .. } => wire::ports(shape).map(str::to_owned).collect(),
            Self::Pack(built) => built.outputs.iter().map(|output| output.name.clone()).collect(),
        }
    }
}

impl<'a> Root<'a> {
    /// Folder that references to packs are relative to. Inside a pack there is none, since a pack
    /// must be complete wherever it is copied.
    fn folder_of(&self, reference: &Text, findings: &mut Findings) -> Option<&'a Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Pack { .. } if wattle_pack::reference::is_folder(&reference.text) => {
                let message = format!("the pack refers to another pack by folder: `{}`", reference.text);
                let hint = "install that pack into the library, and refer to it as `\"name@^1\"`";
                findings.report(codes::PACK_IN_PACK.at(reference.place, message).hint(hint));
                None
            }
            Self::Pack { .. } => Some(Path::new("")),
        }
    }
}

/// Returns the table of an entry.
fn table_of(entry: &Entry) -> Option<&Table> {
    match &entry.item.data {
        Data::Table(table) => Some(table),
        _ => None,
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

/// Requires that a pack of the library has the name and version of its folder; otherwise the
/// versions in a configuration would mean nothing.
fn check_identity(found: &Found, manifest: &PackManifest, file: Place, findings: &mut Findings) {
    let Some((name, version)) = &found.expected else { return };
    if let Some(own) = manifest.head.name.as_ref().filter(|own| own.text != *name) {
        let message = format!("the pack `{}` is in the library folder of `{name}`", own.text);
        findings.report(codes::MISPLACED_PACK.at(own.place, message).hint("rename the folder, or the pack"));
    }
    if let (Some(expected), Some((own, place))) = (version, &manifest.head.version)
        && own != expected
    {
        let message = format!("version `{own}` of the pack `{name}` is in the library folder of `{expected}`");
        findings.report(codes::MISPLACED_PACK.at(*place, message).hint("rename the folder, or change the version"));
    }
    if version.is_none() && manifest.head.version.is_some() {
        // The library could not read a version here, so the file changed in between.
        findings.report(codes::UNREADABLE.at(file, "the pack changed while it was read").hint("load it again"));
    }
}

/// Fills parameters into the options of a node; `None` if an error was already reported.
fn fill_options(
    node: &NodeManifest,
    manifest: &ArtifactManifest,
    params: Option<&mut Params>,
    findings: &mut Findings,
) -> Option<Table> {
    let mut options = match &manifest.options {
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
