//! Summarises a pack from its manifest, for `wattle pack show` and for comparing versions.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value as Json;

use crate::case::{TESTS, test_names};
use crate::params::ParamManifest;
use crate::pipeline::read_manifest;
use crate::raw::graph::NodeWork;
use crate::raw::pack::PackManifest;
use wattle_diagnostics::{Findings, Invalid, Item, Text};
use wattle_pack::{FileList, Found, Library, find_named, trust};
use wattle_plan::TrustPolicy;

/// A pack as written. Fields that the manifest lacks are empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PackOutline {
    /// Name of the pack.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Contract version that the pack needs.
    pub contract: String,
    /// What it does.
    pub description: String,
    /// Licence.
    pub license: String,
    /// Names of the authors.
    pub authors: Vec<String>,
    /// Origin of the pack, in the form that a lock uses.
    pub source: String,
    /// Folder of the pack; `None` if it is built in.
    pub folder: Option<PathBuf>,
    /// Digest of its file list.
    pub digest: String,
    /// Description of the events that the pack takes.
    pub input: String,
    /// Parameters in the order of the file.
    pub params: Vec<ParamOutline>,
    /// Capabilities that the pack requests.
    pub capabilities: Vec<CapabilityOutline>,
    /// Nodes in the order of the file.
    pub nodes: Vec<NodeOutline>,
    /// Outputs in the order of the file.
    pub outputs: Vec<OutputOutline>,
    /// Names of its tests.
    pub tests: Vec<String>,
    /// Every file with its digest.
    #[serde(skip)]
    pub files: FileList,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParamOutline {
    /// Name.
    pub name: String,
    /// Type as written.
    #[serde(rename = "type")]
    pub kind: String,
    /// Default value; hidden for a secret parameter.
    pub default: Option<Json>,
    /// Restrictions in words; empty if every value of the type is allowed.
    pub allowed: String,
    /// Whether messages must hide the value.
    pub secret: bool,
    /// Purpose of the parameter.
    pub description: String,
}

/// A capability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapabilityOutline {
    /// Name.
    pub name: String,
    /// Why the pack needs it.
    pub reason: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeOutline {
    /// Name.
    pub name: String,
    /// Links to its inputs.
    pub inputs: Vec<String>,
    /// Artifact as written, or reference of the pack that the node stands for.
    pub uses: String,
    /// Digest that the manifest gives for the artifact.
    pub digest: Option<String>,
    /// Options of the node, or parameters of its pack, as written.
    pub options: Json,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputOutline {
    /// Name for links.
    pub name: String,
    /// Display name.
    pub title: String,
    /// Description of the events that leave here.
    pub description: String,
    /// Links to its inputs.
    pub inputs: Vec<String>,
}

/// Reads a pack without configuring its nodes; [`crate::load_pack`] describes `reference`.
///
/// # Errors
///
/// Every error in the manifest.
pub fn outline(reference: &str, library: &Library) -> Result<PackOutline, Invalid> {
    let mut findings = Findings::default();
    let (found, place) = find_named(reference, library, &mut findings);
    let outline = found.and_then(|found| {
        let trust::Opened { files, list, .. } = trust::open(&found, &TrustPolicy::default(), place, &mut findings)?;
        let (manifest, _) = read_manifest(&files, &mut findings)?;
        Some(outline_of(&found, &manifest, list))
    });
    findings.finish(outline).map(|(outline, _, _)| outline)
}

fn outline_of(found: &Found, manifest: &PackManifest, files: FileList) -> PackOutline {
    let head = &manifest.head;
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.text.clone()).unwrap_or_default();
    let texts = |texts: &Option<Vec<Text>>| texts.iter().flatten().map(|text| text.text.clone()).collect();
    let folder = found.files.folder().map(Path::to_owned);
    let nodes = manifest.graph.nodes.iter().map(|node| {
        let (uses, digest, options) = match &node.work {
            NodeWork::Artifact(artifact) => {
                (artifact.artifact.text.clone(), artifact.digest.as_ref().map(|d| d.text.clone()), &artifact.options)
            }
            NodeWork::Pack { reference, params } => (reference.text.clone(), None, params),
            NodeWork::Unknown => (String::new(), None, &None),
        };
        let options = options.as_ref().map_or(Json::Null, |entry| entry.item.to_json());
        NodeOutline { name: node.name.clone(), inputs: texts(&node.inputs), uses, digest, options }
    });
    let outputs = manifest.graph.outputs.iter().map(|output| OutputOutline {
        name: output.name.clone(),
        title: output.title.clone().unwrap_or_else(|| output.name.clone()),
        description: output.description.clone().unwrap_or_default(),
        inputs: texts(&output.inputs),
    });
    let capabilities = manifest
        .capabilities
        .iter()
        .map(|asked| CapabilityOutline { name: asked.name.clone(), reason: asked.reason.clone().unwrap_or_default() });
    PackOutline {
        name: text(&head.name),
        version: head.version.as_ref().map(|(version, _)| version.to_string()).unwrap_or_default(),
        contract: text(&head.contract),
        description: head.description.clone().unwrap_or_default(),
        license: head.license.clone().unwrap_or_default(),
        authors: head.authors.clone(),
        source: found.source.clone(),
        folder,
        digest: files.digest(),
        input: manifest.input.clone().unwrap_or_default(),
        params: manifest.params.iter().map(param).collect(),
        capabilities: capabilities.collect(),
        nodes: nodes.collect(),
        outputs: outputs.collect(),
        tests: test_names(&found.files, TESTS),
        files,
    }
}

fn param(manifest: &ParamManifest) -> ParamOutline {
    let secret = manifest.secret;
    ParamOutline {
        name: manifest.name.clone(),
        kind: manifest.kind.map(|kind| kind.name().to_owned()).unwrap_or_default(),
        default: manifest.default.as_ref().map(Item::to_json).map(|value| match value {
            Json::String(text) if secret && !text.is_empty() => Json::from("***"),
            value => value,
        }),
        allowed: manifest.rules.in_words(),
        secret,
        description: manifest.description.clone().unwrap_or_default(),
    }
}
