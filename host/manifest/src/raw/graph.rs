//! A graph of nodes and outputs as written, in a pack or inline in a pipeline.

use super::limits::{CircuitManifest, LimitsManifest, read_on_fault};
use super::state::StateManifest;
use wattle_diagnostics::{Entry, Findings, Place, Reader, Table, Text, codes, reader::check_name};
use wattle_options::suggest;
use wattle_plan::{OnFault, OnStateMismatch};

/// Name of a graph's input in links.
pub(crate) const INPUT: &str = "input";

pub(crate) struct GraphManifest {
    /// Place for errors about the graph as a whole.
    pub(crate) place: Place,
    pub(crate) nodes: Vec<NodeManifest>,
    pub(crate) outputs: Vec<OutputManifest>,
}

pub(crate) struct NodeManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// `None` if the list is missing or has another type, which was reported.
    pub(crate) inputs: Option<Vec<Text>>,
    pub(crate) work: NodeWork,
}

/// What a node runs: an artifact or a pack.
pub(crate) enum NodeWork {
    Artifact(Box<ArtifactManifest>),
    Pack {
        reference: Text,
        params: Option<Entry>,
    },
    /// An error was already reported.
    Unknown,
}

pub(crate) struct ArtifactManifest {
    pub(crate) artifact: Text,
    /// Digest that the artifact must have.
    pub(crate) digest: Option<Text>,
    /// The entry `options`; `None` for a node without options.
    pub(crate) options: Option<Entry>,
    pub(crate) limits: LimitsManifest,
    pub(crate) circuit: CircuitManifest,
    /// The policy and its place.
    pub(crate) on_fault: Option<(OnFault, Place)>,
    pub(crate) on_state_mismatch: OnStateMismatch,
    pub(crate) state: StateManifest,
}

pub(crate) struct OutputManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) inputs: Option<Vec<Text>>,
}

impl GraphManifest {
    /// Reads the keys `nodes` and `outputs` of a table; `prefix` is the path of that table in the
    /// file, with its dot.
    pub(crate) fn read(reader: &mut Reader<'_>, place: Place, prefix: &str, findings: &mut Findings) -> Self {
        let nodes = reader.named("nodes", findings);
        let nodes = nodes.into_iter().map(|(table, entry)| read_node(table, entry, prefix, findings)).collect();
        let outputs = reader.named("outputs", findings);
        let outputs = outputs.into_iter().map(|(table, entry)| read_output(table, entry, prefix, findings)).collect();
        Self { place, nodes, outputs }
    }
}

fn read_node(table: &Table, entry: &Entry, prefix: &str, findings: &mut Findings) -> NodeManifest {
    check_name("node", &entry.key, entry.place, findings);
    if entry.key == INPUT {
        let finding = codes::BAD_NAME.at(entry.place, "bad node name `input`");
        findings.report(finding.hint("`input` stands for the input of the graph; choose another name"));
    }
    let name = format!("`[{prefix}nodes.{}]`", entry.key);
    let mut reader = Reader::new(table, entry.place, &name);
    let inputs = reader.required_strings("inputs", findings);
    let work = if reader.optional("pack").is_some() {
        let params = reader.table("params", findings).map(|(_, entry)| entry.clone());
        match reader.string("pack", findings) {
            Some(reference) => NodeWork::Pack { reference, params },
            None => NodeWork::Unknown,
        }
    } else {
        read_artifact(&mut reader, &entry.key, prefix, findings)
    };
    reader.finish(findings);
    NodeManifest { name: entry.key.clone(), place: entry.place, inputs, work }
}

fn read_artifact(reader: &mut Reader<'_>, node: &str, prefix: &str, findings: &mut Findings) -> NodeWork {
    let artifact = reader.required_string("artifact", findings);
    let digest = reader.string("digest", findings);
    let options = reader.table("options", findings).map(|(_, entry)| entry.clone());
    let limits = match reader.table("limits", findings) {
        Some((limits, at)) => {
            LimitsManifest::read(limits, at.place, &format!("`[{prefix}nodes.{node}.limits]`"), findings)
        }
        None => LimitsManifest::default(),
    };
    let circuit = match reader.table("circuit", findings) {
        Some((circuit, at)) => {
            CircuitManifest::read(circuit, at.place, &format!("`[{prefix}nodes.{node}.circuit]`"), findings)
        }
        None => CircuitManifest::default(),
    };
    let on_fault = read_on_fault(reader, findings);
    let on_state_mismatch = reader.choice("on_state_mismatch", &OnStateMismatch::ALL, findings).unwrap_or_default();
    let state = match reader.table("state", findings) {
        Some((state, at)) => StateManifest::read(state, at.place, &format!("`[{prefix}nodes.{node}.state]`"), findings),
        None => StateManifest::default(),
    };
    match artifact {
        Some(artifact) => NodeWork::Artifact(Box::new(ArtifactManifest {
            artifact,
            digest,
            options,
            limits,
            circuit,
            on_fault,
            on_state_mismatch,
            state,
        })),
        None => NodeWork::Unknown,
    }
}

fn read_output(table: &Table, entry: &Entry, prefix: &str, findings: &mut Findings) -> OutputManifest {
    check_name("output", &entry.key, entry.place, findings);
    let mut reader = Reader::new(table, entry.place, format!("`[{prefix}outputs.{}]`", entry.key));
    let title = reader.string("title", findings).map(|text| text.text);
    let description = reader.string("description", findings).map(|text| text.text);
    let inputs = reader.required_strings("inputs", findings);
    reader.finish(findings);
    OutputManifest { name: entry.key.clone(), place: entry.place, title, description, inputs }
}

impl GraphManifest {
    /// Lists the names of the outputs for a hint.
    pub(crate) fn output_names(&self) -> String {
        suggest::list(self.outputs.iter().map(|output| output.name.as_str()))
    }
}
