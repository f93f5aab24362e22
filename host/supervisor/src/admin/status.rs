//! `/status`: the current state of the agent as JSON, for `wattle status` and scripts.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use wattle_registry::PollState;
use wattle_topology::{Buffer, Endpoint, EndpointState, Observer, canary_name};

use super::process::Process;
use super::state::{CanaryInfo, PipelineInfo, State};
use crate::counts::{self, Counted};
use crate::outcome::Outcome;
use crate::shadow;
use crate::time::rfc3339;

/// The whole document. Versions only add fields, and readers must ignore unknown ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// `starting`, `running` or `draining`.
    pub phase: String,
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub pid: u32,
    /// RFC 3339, as all times here.
    pub started_at: String,
    pub uptime_seconds: f64,
    pub config: String,
    pub workers: usize,
    pub cpu_seconds: f64,
    pub resident_memory_bytes: u64,
    pub generation: u64,
    pub loaded_at: String,
    pub reloads: Reloads,
    pub sources: Vec<Source>,
    pub pipelines: Vec<Pipeline>,
    pub sinks: Vec<Sink>,
    pub canaries: Vec<Canary>,
    /// Reports of shadows, by pipeline, without events.
    pub shadows: BTreeMap<String, serde_json::Value>,
    pub registries: Vec<Registry>,
    /// Quarantines with events.
    pub quarantines: Vec<Quarantined>,
}

/// A version that takes a share of a pipeline's batches.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Canary {
    pub pipeline: String,
    /// As `name@version`; none for a graph written inline.
    pub candidate: Option<String>,
    /// Share of the batches that it takes, at most 1.
    pub share: f64,
    pub received_events: u64,
    pub failed_events: u64,
    pub faulted_batches: u64,
    /// Minimum time before it is promoted.
    pub promoted_after_seconds: f64,
    /// Minimum number of events before it is promoted.
    pub min_events: u64,
}

/// What a sink has not delivered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Backlog {
    pub events: u64,
    pub bytes: u64,
    /// Age of the oldest event in memory that waits for this sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
}

/// A pack of a registry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// As in the configuration.
    pub reference: String,
    /// Digest of the image that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of the image that the tag names and the configuration refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Time of the last successful response of the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    pub unchanged_polls: u64,
    pub changed_polls: u64,
    pub failed_polls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloads {
    pub applied: u64,
    pub unchanged: u64,
    pub invalid: u64,
    pub failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastReload>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastReload {
    /// `applied`, `unchanged`, `invalid` or `failed`.
    pub outcome: String,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    pub events: usize,
    pub bytes: usize,
    pub max_bytes: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    /// `starting`, `running`, `ended` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time and reason of the last failed input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// Globs that match no file, each with the likely reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    pub buffer: Queue,
    pub blocked_seconds: f64,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastFailure {
    pub at: String,
    pub reason: String,
}

/// Events of a pipeline that could not be masked. The pipeline may no longer exist.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quarantined {
    pub pipeline: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pipeline {
    pub name: String,
    /// As `name@version`; none for a graph written inline.
    pub pack: Option<String>,
    /// Received events a second, over the last ten.
    pub events_per_second: f64,
    pub bytes_per_second: f64,
    pub nodes: Vec<Node>,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub name: String,
    /// As `type@version`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Values that a masking node masked, by rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub masked_values: BTreeMap<String, u64>,
    /// Counts that another node reports itself, by name.
    #[serde(rename = "counts", skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_by_name: BTreeMap<String, u64>,
    pub calls: u64,
    pub call_seconds: f64,
    pub faults: Vec<Fault>,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    pub kind: String,
    /// `guest` or `host`.
    pub blame: String,
    pub count: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sink {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    /// `running`, `retrying` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long its attempts have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrying_seconds: Option<f64>,
    pub backlog: Backlog,
    pub buffer: Queue,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

/// Reads the current status.
pub(crate) fn collect(state: &State) -> Status {
    let observer = state.observer();
    let process = Process::read();
    let reason = state.unready();
    let last = state.last_reload().map(|last| LastReload {
        outcome: last.outcome.name().into(),
        at: rfc3339(last.at),
        error: last.error,
    });
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        phase: state.phase().name().into(),
        ready: reason.is_none(),
        reason,
        pid: std::process::id(),
        started_at: rfc3339(state.started),
        uptime_seconds: state.since.elapsed().as_secs_f64(),
        config: state.config.clone(),
        workers: state.workers,
        cpu_seconds: process.cpu_seconds,
        resident_memory_bytes: process.resident_memory_bytes,
        generation: observer.generation(),
        loaded_at: rfc3339(state.loaded()),
        reloads: Reloads {
            applied: state.reloads(Outcome::Applied),
            unchanged: state.reloads(Outcome::Unchanged),
            invalid: state.reloads(Outcome::Invalid),
            failed: state.reloads(Outcome::Failed),
            last,
        },
        sources: observer.sources().into_iter().filter(is_there).map(source).collect(),
        shadows: observer.shadows().iter().map(|(name, s)| (name.clone(), shadow::json(s, false))).collect(),
        pipelines: state.pipelines().iter().map(|info| pipeline(state, info)).collect(),
        sinks: observer.sinks().into_iter().filter(is_there).map(|seen| sink(&observer, seen)).collect(),
        canaries: state.pipelines().iter().filter_map(|info| canary(&observer, info)).collect(),
        registries: state.registries().into_iter().filter(|(_, poll)| poll.is_used).map(registry).collect(),
        quarantines: state
            .quarantines()
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(pipeline, bytes)| Quarantined { pipeline, bytes })
            .collect(),
    }
}

fn registry((reference, state): (String, PollState)) -> Registry {
    let [unchanged_polls, changed_polls, failed_polls] = state.polls;
    Registry {
        reference,
        digest: state.digest,
        refused: state.refused,
        answered_at: state.answered.map(rfc3339),
        unchanged_polls,
        changed_polls,
        failed_polls,
        error: state.error,
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn is_there<S>(endpoint: &Endpoint<S>) -> bool {
    endpoint.state != EndpointState::Removed
}

fn describe(state: EndpointState) -> (&'static str, Option<String>) {
    match state {
        EndpointState::Starting => ("starting", None),
        EndpointState::Running => ("running", None),
        EndpointState::Ended => ("ended", None),
        EndpointState::Removed => ("removed", None),
        EndpointState::Failed(error) => ("failed", Some(error)),
    }
}

fn queue(buffer: Option<Buffer>) -> Queue {
    buffer.map_or_else(Queue::default, |Buffer { events, bytes, max_bytes }| Queue { events, bytes, max_bytes })
}

fn source(seen: Endpoint<wattle_source::SourceStats>) -> Source {
    let (state, error) = describe(seen.state);
    Source {
        name: seen.name,
        type_name: seen.type_name,
        state: state.into(),
        error,
        last_failure: seen
            .stats
            .last_failure
            .lock()
            .as_ref()
            .map(|(at, reason)| LastFailure { at: rfc3339(*at), reason: reason.clone() }),
        counts: Counted::read(counts::SOURCES, &seen.stats),
        unmatched: seen.stats.unmatched.lock().clone(),
        buffer: queue(seen.buffer),
        blocked_seconds: seen.blocked.as_secs_f64(),
    }
}

fn canary(observer: &Observer, info: &PipelineInfo) -> Option<Canary> {
    let CanaryInfo { pack, settings } = info.canary.as_ref()?;
    let counts = observer.counts().pipeline(&canary_name(&info.name));
    Some(Canary {
        pipeline: info.name.clone(),
        candidate: pack.as_ref().map(ToString::to_string),
        share: settings.share,
        received_events: load(&counts.received),
        failed_events: load(&counts.failed),
        faulted_batches: load(&counts.faulted_batches),
        promoted_after_seconds: settings.time.as_secs_f64(),
        min_events: settings.min_events,
    })
}

fn sink(observer: &Observer, seen: Endpoint<wattle_sink::SinkStats>) -> Sink {
    let (mut state, mut error) = describe(seen.state);
    let retrying = seen.stats.failing_since().map(|since| since.elapsed().as_secs_f64());
    if seen.stats.is_closed() {
        (state, error) = ("failed", Some("its output is closed by the reader".into()));
    } else if state == "running" && retrying.is_some() {
        state = "retrying";
    }
    let waiting = seen.stats.backlog();
    let (mut events, mut bytes) = (waiting.events, waiting.bytes);
    if let Some(buffer) = observer.buffer(&seen.name).filter(|buffer| load(&buffer.events) > 0) {
        events += load(&buffer.events);
        bytes += load(&buffer.bytes);
    }
    Sink {
        retrying_seconds: retrying,
        backlog: Backlog { events, bytes, oldest_seconds: waiting.oldest.map(|age| age.as_secs_f64()) },
        name: seen.name,
        type_name: seen.type_name,
        state: state.into(),
        error,
        counts: Counted::read(counts::SINKS, &seen.stats),
        buffer: queue(seen.buffer),
    }
}

fn pipeline(state: &State, info: &PipelineInfo) -> Pipeline {
    let counts = state.observer().counts().pipeline(&info.name);
    let received = (load(&counts.received), load(&counts.received_bytes));
    let rate = state.rates(|rates| rates.of(&info.name, Instant::now(), received));
    let nodes = info.nodes.iter().map(|(name, type_name)| {
        let counts = counts.node(name);
        let calls = counts.stats.call_time.snapshot();
        let faults = counts.stats.faults.list().into_iter();
        let (counted, is_mask) = (counts.counted.counts(), counts.masks.load(Ordering::Relaxed));
        let (masked_values, own) = if is_mask { (counted, BTreeMap::new()) } else { (BTreeMap::new(), counted) };
        Node {
            name: name.clone(),
            type_name: type_name.clone(),
            masked_values,
            counts_by_name: own,
            calls: calls.count,
            call_seconds: calls.sum.as_secs_f64(),
            counts: Counted::read(counts::NODES, &counts),
            faults: faults
                .map(|(kind, blame, count)| Fault { kind: kind.name().into(), blame: blame.name().into(), count })
                .collect(),
        }
    });
    Pipeline {
        name: info.name.clone(),
        pack: info.pack.as_ref().map(ToString::to_string),
        counts: Counted::read(counts::PIPELINES, &counts),
        events_per_second: rate.events,
        bytes_per_second: rate.bytes,
        nodes: nodes.collect(),
    }
}
