//! Artifacts of nodes: finds one, checks its digest, and lets it check its options.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::{Builder, Collected, Root, Scope};
use crate::option_path;
use crate::raw::capabilities::{CapabilityManifest, capability_of, grant_line};
use crate::raw::graph::{ArtifactManifest, NodeManifest};
use crate::wire;
use wattle_diagnostics::{Findings, Place, Text, codes, in_words};
use wattle_options::suggest;
use wattle_pack::{FileList, PackFiles, clean, read_plain, reference::is_folder, trust};
use wattle_plan::{Artifact, Grants, NodeError, NodeShape, OnFault, Origin, PackId};

/// Prefix of built-in artifacts.
const BUILTIN: &str = "builtin:";
/// Prefix of artifacts in another pack: `pack:other@^1/nodes/foo.wasm`.
const OF_PACK: &str = "pack:";

impl Builder<'_> {
    /// Finds the artifact that a node names.
    pub(super) fn artifact(&mut self, text: &Text, root: &Root<'_>, findings: &mut Findings) -> Option<Arc<Artifact>> {
        if let Some(name) = text.text.strip_prefix(BUILTIN) {
            let artifact = self.nodes.builtin(name);
            if artifact.is_none() {
                let names = self.nodes.builtin_names();
                let hint = match suggest::closest(name, names.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{BUILTIN}{meant}`?"),
                    None => format!("available: {}", suggest::list(names.iter().map(String::as_str))),
                };
                let message = format!("unknown node type `{name}`");
                findings.report(codes::UNKNOWN_NODE_TYPE.at(text.place, message).hint(hint));
            }
            return artifact;
        }
        if let Some(rest) = text.text.strip_prefix(OF_PACK) {
            return self.artifact_of_pack(rest, text, findings);
        }
        match root {
            Root::Pack { files, list } => self.pack_artifact(files, list, &text.text, text.place, findings),
            Root::Folder(folder) => {
                let path = clean(&folder.join(&text.text));
                self.read_artifact(&path, Origin::File(path.clone()), text.place, findings, || read_plain(&path))
            }
        }
    }

    /// Finds an artifact in another pack of the library.
    fn artifact_of_pack(&mut self, rest: &str, text: &Text, findings: &mut Findings) -> Option<Arc<Artifact>> {
        let Some((reference, path)) = rest.split_once('/').filter(|(reference, _)| !is_folder(reference)) else {
            let message =
                format!("bad artifact `{}`: it does not name a pack of the library and a file in it", text.text);
            let hint = format!("write it as in `{OF_PACK}name@^1/nodes/node.wasm`");
            findings.report(codes::MISSING_ARTIFACT.at(text.place, message).hint(hint));
            return None;
        };
        let found = self.library.find(reference, text.place, Path::new(""), findings)?;
        let trust::Opened { files, list, signature } = trust::open(&found, self.trust, text.place, findings)?;
        if let Some((name, Some(version))) = &found.expected {
            let id = PackId { name: name.clone(), version: version.clone(), digest: list.digest() };
            self.note_use(&found, &id, &list, &signature);
        }
        self.pack_artifact(&files, &list, path, text.place, findings)
    }

    fn pack_artifact(
        &mut self,
        files: &PackFiles,
        list: &FileList,
        relative: &str,
        place: Place,
        findings: &mut Findings,
    ) -> Option<Arc<Artifact>> {
        if !is_inside(files, relative) {
            let message = format!("the artifact `{relative}` is outside the pack's folder");
            let hint = "copy it into the pack; a pack must contain everything that it uses";
            findings.report(codes::OUTSIDE_ARTIFACT.at(place, message).hint(hint));
            return None;
        }
        let path = clean(&files.path(relative));
        let plain = relative.trim_start_matches("./");
        if list.get(plain).is_none() && files.read(plain).is_ok() {
            let message = format!("the artifact `{relative}` is not a file of the pack");
            let hint = "packs exclude hidden files and build folders; copy it to another folder of the pack";
            findings.report(codes::OUTSIDE_ARTIFACT.at(place, message).hint(hint));
            return None;
        }
        let origin = if files.is_builtin() { Origin::Embedded } else { Origin::File(path.clone()) };
        self.read_artifact(&path, origin, place, findings, || files.read(plain))
    }

    fn read_artifact(
        &mut self,
        path: &Path,
        origin: Origin,
        place: Place,
        findings: &mut Findings,
        read: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Option<Arc<Artifact>> {
        if matches!(origin, Origin::File(_)) {
            findings.watch(path);
        }
        if let Some(artifact) = self.artifacts.get(path) {
            return Some(Arc::clone(artifact));
        }
        match read() {
            Ok(bytes) => {
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                let mut artifact = Artifact::new(name, bytes, origin);
                // A copy of a built-in artifact, as packs for other agents have, needs no more than the original.
                let builtin = self.nodes.builtin_names().into_iter().filter_map(|name| self.nodes.builtin(&name));
                if builtin.into_iter().any(|builtin| builtin.digest == artifact.digest) {
                    artifact.origin = Origin::Builtin;
                }
                let artifact = Arc::new(artifact);
                self.artifacts.insert(path.to_owned(), Arc::clone(&artifact));
                Some(artifact)
            }
            Err(error) => {
                let message = format!("the artifact `{}` cannot be read: {}", path.display(), in_words(&error));
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let hint = match self.nodes.builtin(name) {
                    Some(_) => format!("did you mean `{BUILTIN}{name}`?"),
                    None => format!("artifacts are files, or `{BUILTIN}NAME`"),
                };
                findings.report(codes::MISSING_ARTIFACT.at(place, message).hint(hint));
                None
            }
        }
    }

    pub(super) fn configure(
        &self,
        node: &NodeManifest,
        manifest: &ArtifactManifest,
        collected: &Collected,
        text: &str,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Option<NodeShape> {
        let Collected { artifact, options, grants } = collected;
        let place = manifest.artifact.place;
        let owner = owner(node);
        match self.nodes.configure(artifact, text, &manifest.limits.over(self.limits), grants) {
            Ok(shape) => match bad_ports(&shape) {
                None => {
                    check_on_fault(node, manifest, &shape, findings);
                    manifest.state.check(self.nodes, &shape.state, &owner, findings);
                    scope.needed.extend(&shape.capabilities);
                    return Some(shape);
                }
                Some(problem) => {
                    let message = format!("the artifact of {owner} is refused: {problem}");
                    findings.report(codes::REFUSED_ARTIFACT.at(place, message));
                }
            },
            Err(NodeError::Options(errors)) => {
                let whole = manifest.options.as_ref().map_or(place, |entry| entry.place);
                option_path::report(codes::NODE_OPTION, errors, &owner, &[], options, whole, findings);
            }
            Err(NodeError::Capability(capability)) => {
                let needs = format!("needs the capability `{capability}` for its options");
                self.check_capability(capability, &needs, node, manifest, scope, findings);
            }
            Err(NodeError::Artifact { message, hint }) => {
                let message = format!("the artifact of {owner} is refused: {message}");
                findings.report(codes::REFUSED_ARTIFACT.at(place, message).hint_if(hint));
            }
        }
        None
    }

    /// Compares the imports of an artifact with the capabilities that its pack requests and the
    /// configuration grants. Returns `None` if one is missing. [`Nodes::configure`](crate::Nodes)
    /// refuses all other imports.
    pub(super) fn check_capabilities(
        &self,
        node: &NodeManifest,
        manifest: &ArtifactManifest,
        artifact: &Artifact,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> Option<()> {
        let mut has_all = true;
        for import in self.nodes.imports(artifact) {
            if let Some(capability) = capability_of(&import) {
                let needs = format!("imports `{import}`");
                has_all &= self.check_capability(capability, &needs, node, manifest, scope, findings);
            }
        }
        has_all.then_some(())
    }

    /// Checks that a pack requests a capability and that the configuration grants it. `needs` says
    /// why the node must have it.
    fn check_capability(
        &self,
        capability: &'static str,
        needs: &str,
        node: &NodeManifest,
        manifest: &ArtifactManifest,
        scope: &mut Scope<'_>,
        findings: &mut Findings,
    ) -> bool {
        let (place, owner) = (manifest.artifact.place, owner(node));
        scope.needed.insert(capability);
        let asked = scope.capabilities.iter().find(|asked| asked.name == capability);
        let of_pack = self.inside.last().map(|(_, name)| format!(" of pack `{name}`")).unwrap_or_default();
        let mut is_granted = true;
        if matches!(scope.root, Root::Pack { .. }) && asked.is_none() {
            let message = format!("{owner}{of_pack} {needs}, which the pack does not request");
            let hint = if needs.starts_with("imports") {
                format!(
                    "build it without that import, or add `[capabilities.{capability}]` with a `reason` to its pack.toml"
                )
            } else {
                format!("add `[capabilities.{capability}]` with a `reason` to its pack.toml")
            };
            findings.report(codes::CAPABILITY_NOT_ASKED.at(place, message).hint(hint));
            is_granted = false;
        }
        if let Some((pipeline, place)) = &self.granted
            && !self.grants.has(capability)
        {
            let message = format!("{owner}{of_pack} {needs}, which pipeline `{pipeline}` does not grant");
            let finding = codes::CAPABILITY_NOT_GRANTED.at(*place, message);
            let line = grant_line(capability);
            let finding = finding.hint(format!("to allow it, add below `[pipelines.{pipeline}.grants]`: `{line}`"));
            let reason = asked.and_then(|asked| asked.reason.as_ref());
            findings.report(finding.note_if(reason.map(|reason| format!("the pack's reason: {reason}"))));
            is_granted = false;
        }
        is_granted
    }

    /// What a node may use: all that the pipeline grants. A built-in node of a pack gets only what
    /// the pack requests, since no import of it is checked.
    pub(super) fn node_grants(&self, artifact: &Artifact, scope: &Scope<'_>) -> Arc<Grants> {
        if artifact.origin != Origin::Builtin || !matches!(scope.root, Root::Pack { .. }) {
            return self.grants.clone();
        }
        let is_asked = |name: &str| scope.capabilities.iter().any(|asked| asked.name == name);
        let grants = self.grants.only(is_asked);
        if grants == *self.grants { self.grants.clone() } else { Arc::new(grants) }
    }
}

/// Names a node for messages.
fn owner(node: &NodeManifest) -> String {
    format!("node `{}`", node.name)
}

/// Warns about capabilities that no artifact imports.
pub(super) fn report_unused(asked: &[CapabilityManifest], needed: &BTreeSet<&str>, findings: &mut Findings) {
    for capability in asked.iter().filter(|asked| !needed.contains(asked.name.as_str())) {
        let message = format!("no artifact of the pack needs the capability `{}`", capability.name);
        findings.report(codes::UNUSED_CAPABILITY.at(capability.place, message).hint("remove it"));
    }
}

/// Refuses an artifact whose digest differs from the one that its node gives.
pub(super) fn check_digest(
    artifact: &Artifact,
    manifest: &ArtifactManifest,
    node: &str,
    findings: &mut Findings,
) -> Option<()> {
    let Some(written) = manifest.digest.as_ref().filter(|written| written.text != artifact.digest) else {
        return Some(());
    };
    let message = format!(
        "the artifact `{}` of node `{node}` has the digest `{}`, not `{}`",
        manifest.artifact.text, artifact.digest, written.text
    );
    let hint = "restore the artifact of the pack; if this one is correct, run `wattle pack build`";
    findings.report(codes::WRONG_DIGEST.at(written.place, message).hint(hint));
    None
}

/// Whether a path stays inside the folder of its pack after symbolic links are resolved.
fn is_inside(files: &PackFiles, relative: &str) -> bool {
    let plain = Path::new(relative).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let PackFiles::Folder(folder) = files else { return plain };
    match (folder.canonicalize(), folder.join(relative).canonicalize()) {
        (Ok(folder), Ok(path)) => plain && path.starts_with(folder),
        // Another check reports a file that is absent.
        _ => plain,
    }
}

/// Refuses `on_fault = "pass"` for a node that masks data, since its events would leave unmasked,
/// and for a node with several output ports, since no port is the right one.
fn check_on_fault(node: &NodeManifest, manifest: &ArtifactManifest, shape: &NodeShape, findings: &mut Findings) {
    let Some((OnFault::Pass, place)) = manifest.on_fault else { return };
    let why = if shape.masks {
        "masks data, so its events must not pass unchanged"
    } else if shape.ports.len() > 1 {
        "has several output ports, and none is the right one for unchanged events"
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
