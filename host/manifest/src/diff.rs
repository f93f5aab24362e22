//! Compares two versions of a pack by their manifests and graphs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use crate::outline::{OutputOutline, PackOutline, ParamOutline};
use wattle_pack::FileChange;
use wattle_plan::PipelinePlan;

/// A pack with everything that a comparison needs.
#[derive(Debug, Clone)]
pub struct PackView {
    /// Its manifest.
    pub outline: PackOutline,
    /// Its graph, with nested packs expanded; `None` if it cannot be built without parameters.
    pub plan: Option<PipelinePlan>,
    /// Imports of the artifact of each node of the plan, by name of the node.
    pub imports: BTreeMap<String, Vec<String>>,
}

/// A part of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Version, contract, licence and the like.
    Pack,
    /// Parameters.
    Params,
    /// Capabilities that the pack requests.
    Capabilities,
    /// Nodes and their inputs.
    Graph,
    /// Options of nodes.
    Options,
    /// Ports of nodes.
    Ports,
    /// Outputs and their inputs.
    Outputs,
    /// Artifacts and their digests.
    Artifacts,
    /// Imports of artifacts.
    Imports,
    /// Files.
    Files,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The part of the pack.
    pub section: Section,
    /// The changed item, such as `node mask` or `params.mask_text.default`.
    pub what: String,
    /// Old value; `None` for a new item.
    pub from: Option<String>,
    /// New value; `None` for a removed item.
    pub to: Option<String>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pack => "pack",
            Self::Params => "params",
            Self::Capabilities => "capabilities",
            Self::Graph => "graph",
            Self::Options => "options",
            Self::Ports => "ports",
            Self::Outputs => "outputs",
            Self::Artifacts => "artifacts",
            Self::Imports => "imports",
            Self::Files => "files",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.from, &self.to) {
            (None, Some(to)) if to.is_empty() => write!(f, "+ {what}"),
            (None, Some(to)) => write!(f, "+ {what}: {to}"),
            (Some(from), None) if from.is_empty() => write!(f, "- {what}"),
            (Some(from), None) => write!(f, "- {what}: {from}"),
            (Some(from), Some(to)) if from.is_empty() && to.is_empty() => write!(f, "~ {what}"),
            (from, to) => {
                let text = |side: &Option<String>| side.clone().unwrap_or_default();
                write!(f, "~ {what}: {} -> {}", text(from), text(to))
            }
        }
    }
}

/// Items of a section by name, each as readable text.
type Named = BTreeMap<String, String>;
type NamesOf = fn(&PackView) -> Named;

/// Lists every difference, section by section.
pub fn diff(old: &PackView, new: &PackView) -> Vec<Change> {
    let sections: [(Section, NamesOf); 9] = [
        (Section::Pack, head),
        (Section::Params, params),
        (Section::Capabilities, capabilities),
        (Section::Graph, graph),
        (Section::Options, options),
        (Section::Ports, ports),
        (Section::Outputs, outputs),
        (Section::Artifacts, artifacts),
        (Section::Imports, imports),
    ];
    let mut changes: Vec<Change> =
        sections.into_iter().flat_map(|(section, named)| compare(section, &named(old), &named(new))).collect();
    changes.extend(old.outline.files.changes(&new.outline.files).into_iter().map(file));
    changes
}

fn compare(section: Section, old: &Named, new: &Named) -> Vec<Change> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| {
        let (from, to) = (old.get(name).cloned(), new.get(name).cloned());
        (from != to).then(|| Change { section, what: name.clone(), from, to })
    };
    names.into_iter().filter_map(change).collect()
}

fn file(change: FileChange) -> Change {
    let (what, from, to) = match change {
        FileChange::Added(path) => (path, None, Some(String::new())),
        FileChange::Removed(path) => (path, Some(String::new()), None),
        FileChange::Changed(path) => (path, Some(String::new()), Some(String::new())),
    };
    Change { section: Section::Files, what, from, to }
}

fn head(view: &PackView) -> Named {
    let outline = &view.outline;
    [
        ("version", outline.version.clone()),
        ("contract", outline.contract.clone()),
        ("description", outline.description.clone()),
        ("license", outline.license.clone()),
        ("authors", outline.authors.join(", ")),
        ("input", outline.input.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn params(view: &PackView) -> Named {
    view.outline.params.iter().map(|param| (param.name.clone(), describe(param))).collect()
}

/// Describes a parameter in a few words.
fn describe(param: &ParamOutline) -> String {
    let mut text = param.kind.clone();
    match &param.default {
        Some(default) => text += &format!(", default {default}"),
        None => text += ", required",
    }
    if !param.allowed.is_empty() {
        text += &format!(", {}", param.allowed);
    }
    if param.secret {
        text += ", secret";
    }
    text
}

fn capabilities(view: &PackView) -> Named {
    view.outline.capabilities.iter().map(|asked| (asked.name.clone(), asked.reason.clone())).collect()
}

fn graph(view: &PackView) -> Named {
    let node = |node: &crate::outline::NodeOutline| {
        (format!("node {}", node.name), format!("{} after {}", node.uses, node.inputs.join(", ")))
    };
    view.outline.nodes.iter().map(node).collect()
}

fn options(view: &PackView) -> Named {
    let mut named = Named::new();
    for node in &view.outline.nodes {
        flatten(&node.name, &node.options, &mut named);
    }
    named
}

/// Flattens values to leaves, each with its path.
fn flatten(path: &str, value: &Json, named: &mut Named) {
    match value {
        Json::Object(members) => {
            for (key, member) in members {
                flatten(&format!("{path}.{key}"), member, named);
            }
        }
        Json::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, named);
            }
        }
        Json::Null => {}
        value => {
            named.insert(path.to_owned(), value.to_string());
        }
    }
}

fn ports(view: &PackView) -> Named {
    let nodes = view.plan.iter().flat_map(|plan| &plan.nodes);
    let names = |node: &wattle_plan::NodePlan| node.ports.iter().map(|p| p.name.clone()).collect::<Vec<_>>().join(", ");
    nodes.map(|node| (format!("node {}", node.name), names(node))).collect()
}

fn outputs(view: &PackView) -> Named {
    let words = |output: &OutputOutline| format!("{} (takes {})", output.title, output.inputs.join(", "));
    view.outline.outputs.iter().map(|output| (output.name.clone(), words(output))).collect()
}

fn artifacts(view: &PackView) -> Named {
    let nodes = view.plan.iter().flat_map(|plan| &plan.nodes);
    nodes.map(|node| (format!("node {}", node.name), node.artifact.digest.clone())).collect()
}

fn imports(view: &PackView) -> Named {
    let mut named = Named::new();
    for (node, imports) in &view.imports {
        named.extend(imports.iter().map(|import| (format!("node {node}: {import}"), String::new())));
    }
    named
}
