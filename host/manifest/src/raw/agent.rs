//! `agent.toml` as written.

use std::path::PathBuf;
use std::time::Duration;

use super::admin::read_admin;
use super::buffer;
use super::grants;
use super::graph::GraphManifest;
use super::limits::{CircuitManifest, LimitsManifest, read_artifacts};
use super::packs::PacksManifest;
use super::rollout::{CandidateManifest, read_canary, read_rollback, read_shadow};
use crate::machine;
use wattle_diagnostics::{Entry, Findings, Place, Reader, Table, Text, codes, reader::check_name};
use wattle_plan::{
    AgentSettings, ArtifactLimits, BatchSettings, BufferPlan, CanarySettings, CircuitSettings, Grants, NodeLimits,
    QuarantineSettings, RollbackSettings, ShadowSettings,
};

/// Maximum number of worker threads; no machine benefits from more.
const MAX_WORKERS: u64 = 1024;
/// Maximum number of IO threads: they wait most of the time.
const MAX_IO_THREADS: u64 = 64;
/// Default number of IO threads: while one is busy, the other serves timers and probes.
const IO_THREADS: usize = 2;
/// Default drain timeout.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
const SINK_HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct AgentManifest {
    pub(crate) settings: AgentSettings,
    pub(crate) sources: Vec<EndpointManifest>,
    pub(crate) pipelines: Vec<PipelineManifest>,
    pub(crate) sinks: Vec<EndpointManifest>,
}

/// A source or a sink as written.
pub(crate) struct EndpointManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) type_name: Option<Text>,
    /// Inputs of a sink; sources have none.
    pub(crate) inputs: Option<Vec<Text>>,
    /// Buffer of a sink; sources have none.
    pub(crate) buffer: BufferPlan,
    /// All other keys; the endpoint itself reads them.
    pub(crate) options: Table,
}

pub(crate) struct PipelineManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) inputs: Option<Vec<Text>>,
    pub(crate) discard: Vec<Text>,
    pub(crate) grants: Grants,
    pub(crate) graph: PipelineGraph,
    pub(crate) shadow: Option<CandidateManifest<ShadowSettings>>,
    pub(crate) canary: Option<CandidateManifest<CanarySettings>>,
}

pub(crate) enum PipelineGraph {
    Pack {
        reference: Text,
        params: Option<Entry>,
    },
    Inline(GraphManifest),
    /// An error was already reported.
    Unknown,
}

impl AgentManifest {
    /// Reads the merged table of all files; a path is relative to the file that holds it.
    pub(crate) fn read(
        table: &Table,
        file: Place,
        env: &dyn Fn(&str) -> Option<String>,
        findings: &mut Findings,
    ) -> Self {
        let mut reader = Reader::new(table, file, "the file");
        let settings = read_settings(&mut reader, env, findings);
        let sources = read_endpoints(&mut reader, "sources", "source", findings);
        let pipelines = reader.named("pipelines", findings);
        let pipelines = pipelines.into_iter().map(|(table, entry)| read_pipeline(table, entry, findings)).collect();
        let sinks = read_endpoints(&mut reader, "sinks", "sink", findings);
        reader.finish(findings);
        Self { settings, sources, pipelines, sinks }
    }
}

fn read_settings(
    file: &mut Reader<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    findings: &mut Findings,
) -> AgentSettings {
    let mut data_dir = None;
    let mut workers = None;
    let mut io_threads = None;
    let mut drain_timeout = None;
    let mut sink_handover_timeout = None;
    let mut batch = machine::default_batch();
    let mut limits = NodeLimits::default();
    let mut circuit = CircuitSettings::default();
    let mut artifacts = ArtifactLimits::default();
    let mut quarantine = QuarantineSettings::default();
    let mut rollback = RollbackSettings::default();
    let mut pack_tests = None;
    if let Some((table, entry)) = file.table("agent", findings) {
        let mut reader = Reader::new(table, entry.place, "`[agent]`");
        data_dir = reader.string("data_dir", findings).map(|text| findings.folder(text.place).join(text.text));
        workers = reader.number("workers", 1..=MAX_WORKERS, findings).and_then(|n| usize::try_from(n).ok());
        let threads = reader.number("io_threads", 1..=MAX_IO_THREADS, findings);
        io_threads = threads.and_then(|n| usize::try_from(n).ok());
        drain_timeout = reader.duration("drain_timeout", Duration::from_secs(1)..=Duration::from_hours(1), findings);
        let handover = Duration::from_millis(1)..=Duration::from_mins(10);
        sink_handover_timeout = reader.duration("sink_handover_timeout", handover, findings);
        if let Some((table, entry)) = reader.table("batch", findings) {
            batch = read_batch(table, entry.place, findings);
        }
        if let Some((table, entry)) = reader.table("limits", findings) {
            limits = LimitsManifest::read(table, entry.place, "`[agent.limits]`", findings).over(&limits);
        }
        if let Some((table, entry)) = reader.table("circuit", findings) {
            circuit = CircuitManifest::read(table, entry.place, "`[agent.circuit]`", findings).over(&circuit);
        }
        if let Some((table, entry)) = reader.table("artifacts", findings) {
            artifacts = read_artifacts(table, entry.place, findings);
        }
        if let Some((table, entry)) = reader.table("quarantine", findings) {
            quarantine = read_quarantine(table, entry.place, findings);
        }
        if let Some((table, entry)) = reader.table("rollback", findings) {
            rollback = read_rollback(table, entry.place, findings);
        }
        pack_tests = reader.boolean("pack_tests", findings);
        reader.finish(findings);
    }
    let data_dir = data_dir.unwrap_or_else(|| default_data_dir(env));
    let packs = file.table("packs", findings);
    let packs = packs.map(|(table, entry)| PacksManifest::read(table, entry.place, findings));
    let PacksManifest { path: packs, registry, trust } = packs.unwrap_or_default();
    let admin = file.table("admin", findings).and_then(|(table, entry)| read_admin(table, entry.place, findings));
    AgentSettings {
        admin,
        packs: packs.unwrap_or_else(|| data_dir.join("packs")),
        registry,
        trust,
        workers: workers.unwrap_or_else(machine::default_workers),
        io_threads: io_threads.unwrap_or(IO_THREADS),
        drain_timeout: drain_timeout.unwrap_or(DRAIN_TIMEOUT),
        sink_handover_timeout: sink_handover_timeout.unwrap_or(SINK_HANDOVER_TIMEOUT),
        data_dir,
        batch,
        limits,
        circuit,
        artifacts,
        quarantine,
        rollback,
        pack_tests: pack_tests.unwrap_or(true),
    }
}

fn read_quarantine(table: &Table, place: Place, findings: &mut Findings) -> QuarantineSettings {
    let default = QuarantineSettings::default();
    let mut reader = Reader::new(table, place, "`[agent.quarantine]`");
    let max_bytes = reader.size("max_size", 1..=1 << 50, findings);
    reader.finish(findings);
    QuarantineSettings { max_bytes: max_bytes.unwrap_or(default.max_bytes) }
}

fn read_batch(table: &Table, place: Place, findings: &mut Findings) -> BatchSettings {
    let default = machine::default_batch();
    let mut reader = Reader::new(table, place, "`[agent.batch]`");
    let max_bytes = reader.size("max_bytes", 1..=1 << 30, findings);
    let max_events = reader.number("max_events", 1..=10_000_000, findings).and_then(|n| usize::try_from(n).ok());
    let max_age = reader.duration("max_age", Duration::from_millis(1)..=Duration::from_mins(10), findings);
    reader.finish(findings);
    BatchSettings {
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        max_events: max_events.unwrap_or(default.max_events),
        max_age: max_age.unwrap_or(default.max_age),
    }
}

/// Default data folder: `WATTLE_DATA_DIR`, or else the system folder for root and the home folder
/// for other users.
pub fn default_data_dir(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let variable = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("WATTLE_DATA_DIR") {
        return folder;
    }
    let home = || variable("HOME").map(|home| home.join(".local/share"));
    match variable("XDG_DATA_HOME").or_else(home) {
        Some(folder) if !is_root() => folder.join("wattle"),
        _ => PathBuf::from("/var/lib/wattle"),
    }
}

/// The owner of a process's folder in `/proc` is its effective user.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

fn read_endpoints(
    file: &mut Reader<'_>,
    key: &'static str,
    kind: &str,
    findings: &mut Findings,
) -> Vec<EndpointManifest> {
    let mut endpoints = Vec::new();
    for (table, entry) in file.named(key, findings) {
        check_name(kind, &entry.key, entry.place, findings);
        // The endpoint itself checks its other keys, so this reader does not call `finish`.
        let mut reader = Reader::new(table, entry.place, format!("`[{key}.{}]`", entry.key));
        let type_name = reader.required_string("type", findings);
        let (inputs, buffer, common): (_, _, &[&str]) = match key {
            "sinks" => {
                let inputs = reader.required_strings("inputs", findings);
                (inputs, buffer::read(&mut reader, &entry.key, findings), &["type", "inputs", "buffer"])
            }
            _ => (None, BufferPlan::default(), &["type"]),
        };
        let own = table.0.iter().filter(|entry| !common.contains(&entry.key.as_str()));
        let options = Table(own.cloned().collect());
        let (name, place) = (entry.key.clone(), entry.place);
        endpoints.push(EndpointManifest { name, place, type_name, inputs, buffer, options });
    }
    endpoints
}

fn read_pipeline(table: &Table, entry: &Entry, findings: &mut Findings) -> PipelineManifest {
    check_name("pipeline", &entry.key, entry.place, findings);
    let name = format!("`[pipelines.{}]`", entry.key);
    let mut reader = Reader::new(table, entry.place, &name);
    let inputs = reader.required_strings("inputs", findings);
    let discard = reader.strings("discard", findings).unwrap_or_default();
    let params = reader.table("params", findings).map(|(_, entry)| entry.clone());
    let grants = grants::read(&mut reader, &name, findings);
    let shadow = read_shadow(&mut reader, &name, findings);
    let canary = read_canary(&mut reader, &name, findings);
    let pack = reader.optional("pack");
    let inline = table.entry("nodes").or_else(|| table.entry("outputs"));
    let graph = match (pack, inline) {
        (Some(_), None) => match reader.string("pack", findings) {
            Some(reference) => PipelineGraph::Pack { reference, params },
            None => PipelineGraph::Unknown,
        },
        (None, Some(_)) => {
            if let Some(params) = params {
                let finding = codes::PIPELINE_FORM.at(params.place, format!("{name} has `params` but no `pack`"));
                findings
                    .report(finding.hint("a graph written inline has no parameters; write the values in its options"));
            }
            PipelineGraph::Inline(GraphManifest::read(
                &mut reader,
                entry.place,
                &format!("pipelines.{}.", entry.key),
                findings,
            ))
        }
        (Some(_), Some(inline)) => {
            let message = format!("{name} has both `pack` and `{}`", inline.key);
            let finding = codes::PIPELINE_FORM.at(inline.place, message);
            findings.report(finding.hint("to change its graph, copy the pack to a folder"));
            PipelineGraph::Unknown
        }
        (None, None) => {
            let finding = codes::PIPELINE_FORM.at(entry.place, format!("{name} has no `pack` and no `nodes`"));
            findings.report(finding.hint("add `pack = \"name@version\"`, or `nodes` and `outputs`"));
            PipelineGraph::Unknown
        }
    };
    // The arms above do not read these keys; mark them as known, so that they are not reported as
    // unknown.
    for key in ["pack", "nodes", "outputs"] {
        reader.optional(key);
    }
    reader.finish(findings);
    PipelineManifest { name: entry.key.clone(), place: entry.place, inputs, discard, grants, graph, shadow, canary }
}
