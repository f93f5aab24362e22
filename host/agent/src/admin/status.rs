//! `/status`: what the agent does now, for people and their scripts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wattle_registry::PollState;
use wattle_topology::{Buffer, Component, ComponentState, Observer, canary_name};

use super::process::Process;
use super::state::{CanaryInfo, Outcome, PipelineInfo, State};
use crate::shadow;

/// The whole answer. Fields are only ever added; a reader must pass over those that it does not know.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) version: String,
    /// `starting`, `running` or `draining`.
    pub(crate) phase: String,
    pub(crate) ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) pid: u32,
    /// RFC 3339, as all times here.
    pub(crate) started_at: String,
    pub(crate) uptime_seconds: f64,
    pub(crate) config: String,
    pub(crate) workers: usize,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_memory_bytes: u64,
    pub(crate) generation: u64,
    pub(crate) loaded_at: String,
    pub(crate) reloads: Reloads,
    pub(crate) sources: Vec<Source>,
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) canaries: Vec<Canary>,
    /// What shadows found, by pipeline, without events.
    pub(crate) shadows: BTreeMap<String, serde_json::Value>,
    pub(crate) registries: Vec<Registry>,
    /// Quarantines that hold something.
    pub(crate) quarantines: Vec<Quarantined>,
}

/// A version that takes a share of a pipeline's batches.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Canary {
    pub(crate) pipeline: String,
    /// As `name@version`; none for a graph written inline.
    pub(crate) candidate: Option<String>,
    /// Share of the batches that it takes, at most 1.
    pub(crate) share: f64,
    pub(crate) received_events: u64,
    pub(crate) failed_events: u64,
    pub(crate) faulted_batches: u64,
    /// How long it must do well before it is promoted.
    pub(crate) promoted_after_seconds: f64,
    /// Events that it must have received before it is promoted.
    pub(crate) min_events: u64,
}

/// What a sink has not delivered.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Backlog {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// How long the oldest event has waited for this sink, as far as it is in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oldest_seconds: Option<f64>,
}

/// A pack of a registry.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Registry {
    /// As the configuration has it.
    pub(crate) reference: String,
    /// Digest of the image that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Digest of the image that the tag is, but that the configuration refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// When the registry last gave a good answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answered_at: Option<String>,
    pub(crate) unchanged_polls: u64,
    pub(crate) changed_polls: u64,
    pub(crate) failed_polls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reloads {
    pub(crate) applied: u64,
    pub(crate) unchanged: u64,
    pub(crate) invalid: u64,
    pub(crate) failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastReload>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LastReload {
    /// `applied`, `unchanged`, `invalid` or `failed`.
    pub(crate) outcome: String,
    pub(crate) at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) max_bytes: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// `starting`, `running`, `ended` or `failed`.
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) received_events: u64,
    pub(crate) received_bytes: u64,
    pub(crate) failures: u64,
    /// When the last input failed, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_failure: Option<LastFailure>,
    pub(crate) retried_batches: u64,
    pub(crate) lost_events: u64,
    /// Bytes of files that went away before they were read.
    pub(crate) lost_bytes: u64,
    /// Globs that find no file, each with the likely reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmatched: Vec<String>,
    pub(crate) buffer: Queue,
    pub(crate) blocked_seconds: f64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LastFailure {
    pub(crate) at: String,
    pub(crate) reason: String,
}

/// A pipeline's events that could not be masked, whether or not the pipeline is still there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Quarantined {
    pub(crate) pipeline: String,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pipeline {
    pub(crate) name: String,
    /// As `name@version`; none for a graph written inline.
    pub(crate) pack: Option<String>,
    pub(crate) received_events: u64,
    pub(crate) received_bytes: u64,
    pub(crate) split_parents: u64,
    pub(crate) split_children: u64,
    pub(crate) copied_events: u64,
    pub(crate) delivered_events: u64,
    pub(crate) failed_events: u64,
    pub(crate) dropped_events: u64,
    /// Received events a second, over the last ten.
    pub(crate) events_per_second: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// As `type@version`.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) received_events: u64,
    pub(crate) failed_events: u64,
    pub(crate) dropped_events: u64,
    pub(crate) quarantined_events: u64,
    /// Values that a masking node masked, by rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) masked_values: BTreeMap<String, u64>,
    /// What another node counted itself, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) calls: u64,
    pub(crate) call_seconds: f64,
    pub(crate) memory_bytes: u64,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Fault {
    pub(crate) kind: String,
    /// `guest` or `host`.
    pub(crate) blame: String,
    pub(crate) count: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sink {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// `running`, `retrying` or `failed`.
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// How long its attempts have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retrying_seconds: Option<f64>,
    pub(crate) backlog: Backlog,
    pub(crate) received_events: u64,
    pub(crate) delivered_events: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) failed_events: u64,
    pub(crate) retries: u64,
    pub(crate) buffer: Queue,
}

/// Reads the status of this moment.
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

pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    wattle_batch::format_rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000))
}

fn is_there<S>(component: &Component<S>) -> bool {
    component.state != ComponentState::Removed
}

fn describe(state: ComponentState) -> (&'static str, Option<String>) {
    match state {
        ComponentState::Starting => ("starting", None),
        ComponentState::Running => ("running", None),
        ComponentState::Ended => ("ended", None),
        ComponentState::Removed => ("removed", None),
        ComponentState::Failed(error) => ("failed", Some(error)),
    }
}

fn queue(buffer: Option<Buffer>) -> Queue {
    buffer.map_or_else(Queue::default, |Buffer { events, bytes, max_bytes }| Queue { events, bytes, max_bytes })
}

fn source(seen: Component<wattle_source::SourceStats>) -> Source {
    let (state, error) = describe(seen.state);
    Source {
        name: seen.name,
        type_name: seen.type_name,
        state: state.into(),
        error,
        received_events: load(&seen.stats.events),
        received_bytes: load(&seen.stats.bytes),
        failures: load(&seen.stats.failures),
        last_failure: seen
            .stats
            .last_failure
            .lock()
            .as_ref()
            .map(|(at, reason)| LastFailure { at: rfc3339(*at), reason: reason.clone() }),
        retried_batches: load(&seen.stats.retries),
        lost_events: load(&seen.stats.lost),
        lost_bytes: seen.stats.lost_bytes.total(),
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

fn sink(observer: &Observer, seen: Component<wattle_sink::SinkStats>) -> Sink {
    let (mut state, mut error) = describe(seen.state);
    let retrying = seen.stats.troubled_since().map(|since| since.elapsed().as_secs_f64());
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
        received_events: load(&seen.stats.received_events),
        delivered_events: load(&seen.stats.delivered_events),
        delivered_bytes: load(&seen.stats.delivered_bytes),
        failed_events: load(&seen.stats.rejected_events),
        retries: load(&seen.stats.retries),
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
            received_events: load(&counts.received),
            failed_events: counts.failed.counts().values().sum(),
            dropped_events: counts.dropped.counts().values().sum(),
            quarantined_events: load(&counts.quarantined),
            masked_values,
            counts: own,
            calls: calls.count,
            call_seconds: calls.sum.as_secs_f64(),
            memory_bytes: load(&counts.stats.memory_bytes),
            faults: faults
                .map(|(kind, blame, count)| Fault { kind: kind.name().into(), blame: blame.name().into(), count })
                .collect(),
        }
    });
    Pipeline {
        name: info.name.clone(),
        pack: info.pack.as_ref().map(ToString::to_string),
        received_events: received.0,
        received_bytes: received.1,
        split_parents: load(&counts.parents),
        split_children: load(&counts.children),
        copied_events: load(&counts.copied),
        delivered_events: load(&counts.delivered),
        failed_events: load(&counts.failed),
        dropped_events: load(&counts.dropped),
        events_per_second: rate.events,
        bytes_per_second: rate.bytes,
        nodes: nodes.collect(),
    }
}
