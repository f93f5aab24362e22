//! `/status` and `/api/v1/status`: the current state of the agent as JSON.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use wattle_api::status::{
    Backlog, Balance, Canary, Fault, LastFailure, LastReload, Node, Output, Pipeline, Quarantined, Queue, Registry,
    Reloads, Sink, Source, Status,
};
use wattle_registry::PollState;
use wattle_topology::{Buffer, Endpoint, EndpointState, Observer, OutputCounts, PipelineCounts, canary_name};

use super::process::Process;
use super::state::{CanaryInfo, PipelineInfo, State};
use crate::counts;
use crate::outcome::Outcome;
use crate::rollout::Progress;
use crate::shadow;
use crate::time::rfc3339;

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
        at: rfc3339(SystemTime::now()),
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
        shadows: observer.shadows().iter().map(|(name, s)| (name.clone(), shadow::json(s))).collect(),
        pipelines: state.pipelines().iter().map(|info| pipeline(state, info)).collect(),
        sinks: observer.sinks().into_iter().filter(is_there).map(|seen| sink(&observer, seen)).collect(),
        canaries: state.pipelines().iter().filter_map(|info| canary(state, &observer, info)).collect(),
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
        counts: counts::read(counts::SOURCES, &seen.stats),
        unmatched: seen.stats.unmatched.lock().clone(),
        buffer: queue(seen.buffer),
        blocked_seconds: seen.blocked.as_secs_f64(),
    }
}

fn canary(state: &State, observer: &Observer, info: &PipelineInfo) -> Option<Canary> {
    let CanaryInfo { pack, settings } = info.canary.as_ref()?;
    let counts = observer.counts().pipeline(&canary_name(&info.name));
    let Progress { elapsed, rules } = state.canary(&info.name);
    Some(Canary {
        pipeline: info.name.clone(),
        candidate: pack.as_ref().map(ToString::to_string),
        share: settings.share,
        received_events: counts.received.count(),
        failed_events: counts.failed.count(),
        faulted_batches: load(&counts.faulted_batches),
        promoted_after_seconds: settings.time.as_secs_f64(),
        min_events: settings.min_events,
        elapsed_seconds: elapsed.as_secs_f64(),
        rules,
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
        counts: counts::read(counts::SINKS, &seen.stats),
        buffer: queue(seen.buffer),
    }
}

fn pipeline(state: &State, info: &PipelineInfo) -> Pipeline {
    let counts = state.observer().counts().pipeline(&info.name);
    let received = (counts.received.count(), load(&counts.received_bytes));
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
            ports: counts.sent(),
            failures: counts.failed.counts(),
            drops: counts.dropped.counts(),
            counts: counts::read(counts::NODES, &counts),
            faults: faults
                .map(|(kind, blame, count)| Fault { kind: kind.name().into(), blame: blame.name().into(), count })
                .collect(),
        }
    });
    Pipeline {
        name: info.name.clone(),
        pack: info.pack.as_ref().map(ToString::to_string),
        counts: counts::read(counts::PIPELINES, &counts),
        events_per_second: rate.events,
        bytes_per_second: rate.bytes,
        nodes: nodes.collect(),
        outputs: counts.outputs().iter().map(|(name, counts)| output(name, counts)).collect(),
        balance: balance(&counts),
    }
}

fn output(name: &str, counts: &OutputCounts) -> Output {
    Output {
        name: name.to_owned(),
        events: load(&counts.events),
        failed_events: load(&counts.failed),
        bytes: load(&counts.bytes),
    }
}

/// The workers count while this reads, so what is in progress is approximate.
fn balance(counts: &PipelineCounts) -> Balance {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut balance = Balance {
        received: counts.received.count(),
        split: signed(counts.children.count()) - signed(counts.parents.count()),
        copied: counts.copied.count(),
        made: counts.made.count(),
        delivered: counts.delivered.count(),
        failed: counts.failed.count(),
        dropped: counts.dropped.count(),
        held: counts.held.count(),
        returned: counts.returned.count(),
        unbalanced: load(&counts.unbalanced),
        ..Balance::default()
    };
    let entered = signed(balance.received + balance.copied + balance.made) + balance.split;
    let left = balance.delivered + balance.failed + balance.dropped + balance.held + balance.returned;
    balance.in_progress = entered - signed(left);
    balance
}
