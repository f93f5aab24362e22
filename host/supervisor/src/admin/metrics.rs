//! `/metrics`: reads every counter and gauge of the agent.
//!
//! Counters are atomics in the code that counts, so the crates of the data path do not depend on
//! metrics and counting costs one addition per batch. They are read one after the other, so sums
//! agree only when no batch is in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wattle_buffer::disk::BufferStats;
use wattle_capability::NodeSnapshot;
use wattle_registry::Polling;
use wattle_runtime::{CALL_SECONDS, HistogramSnapshot};
use wattle_sink::SinkStats;
use wattle_source::{DELAY_SECONDS, DelaySnapshot, SourceStats};
use wattle_topology::{
    Buffer, Endpoint, EndpointState, NodeCounts, Observer, OutputCounts, PipelineCounts, ShadowSnapshot,
};

use super::exposition::Exposition;
use super::guest;
use super::names;
use super::process::{Process, unix_seconds};
use super::state::State;
use crate::counts::{self, Count};
use crate::metric::Metric;
use crate::outcome::Outcome;

/// Writes all metrics.
pub(crate) fn render(state: &State) -> String {
    let mut out = Exposition::default();
    let services = state.services.snapshot();
    let observer = state.observer();
    agent(&mut out, state, observer.generation());
    registries(&mut out, state);
    sources(&mut out, &observer.sources());
    pipelines(&mut out, &observer.counts().pipelines().into_iter().collect::<Vec<_>>());
    capabilities(&mut out, &services);
    rollouts(&mut out, state, &observer);
    sinks(&mut out, &observer.sinks());
    buffers(&mut out, &observer);
    process(&mut out, state);
    let mut text = out.finish();
    guest::render(&services, &mut text);
    text
}

/// Writes a table of counts for subjects with `N` labels.
fn counts<S, const N: usize>(out: &mut Exposition, table: &[Count<S>], subjects: &[([&str; N], &S)]) {
    let subjects: Vec<(&[&str], &S)> = subjects.iter().map(|(labels, subject)| (labels.as_slice(), *subject)).collect();
    out.counts(table, &subjects);
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn agent(out: &mut Exposition, state: &State, generation: u64) {
    let info = [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS];
    out.family(names::BUILD_INFO).sample(&info, 1);
    out.single(names::READY, u8::from(state.unready().is_none()));
    out.single(names::GENERATION, generation);
    let infos = state.pipelines();
    let mut family = out.family(names::PIPELINE_INFO);
    for info in infos.iter() {
        let version = info.pack.as_ref().map(|pack| pack.version.to_string()).unwrap_or_default();
        family.sample(&[&info.name, info.pack.as_ref().map_or("", |pack| &pack.name), &version], 1);
    }
    let mut family = out.family(names::PIPELINE_QUARANTINE);
    for (pipeline, bytes) in state.quarantines() {
        family.sample(&[&pipeline], bytes);
    }
    let stopped = state.observer().stops().list();
    let mut family = out.family(names::PIPELINE_STOPPED);
    for info in infos.iter() {
        family.sample(&[&info.name], u8::from(stopped.iter().any(|stop| stop.pipeline == info.name)));
    }
    let mut family = out.family(names::NODE_INFO);
    for info in infos.iter() {
        for (node, node_type) in &info.nodes {
            family.sample(&[&info.name, node, node_type], 1);
        }
    }
    let mut family = out.family(names::CERTIFICATE_EXPIRY);
    for certificate in state.certificates().iter() {
        let Some(expiry) = certificate.expiry() else { continue };
        let file = certificate.path.to_string_lossy();
        family.sample(&[certificate.kind, &certificate.name, &file], expiry.as_second());
    }
    let mut family = out.family(names::RELOADS);
    for outcome in Outcome::ALL {
        family.sample(&[outcome.name()], state.reloads(outcome));
    }
    let is_good = state.last_reload().is_none_or(|last| last.outcome.is_good());
    out.single(names::RELOAD_SUCCESSFUL, u8::from(is_good));
    out.single(names::CONFIG_TIMESTAMP, unix_seconds(state.loaded()));
    out.single(names::BUGS, state.observer().counts().bugs().count());
    let cache = state.runtime.cache_counts();
    out.single(names::CACHE_HITS, cache.hits);
    out.single(names::CACHE_MISSES, cache.misses);
}

fn registries(out: &mut Exposition, state: &State) {
    let states = state.registries();
    let mut family = out.family(names::REGISTRY_POLLS);
    for (reference, poll) in &states {
        for (outcome, count) in Polling::ALL.into_iter().zip(poll.polls) {
            family.sample(&[reference, outcome.name()], count);
        }
    }
    let mut family = out.family(names::REGISTRY_ANSWERED);
    let used = || states.iter().filter(|(_, poll)| poll.is_used);
    for (reference, answered) in used().filter_map(|(reference, poll)| Some((reference, poll.answered?))) {
        family.sample(&[reference], unix_seconds(answered));
    }
    let mut family = out.family(names::REGISTRY_REFUSED);
    for (reference, poll) in used() {
        family.sample(&[reference], u8::from(poll.refused.is_some()));
    }
}

/// A gauge of the sources or sinks of the running configuration.
fn gauge<S>(out: &mut Exposition, metric: Metric, all: &[Endpoint<S>], value: impl Fn(Buffer) -> usize) {
    let mut family = out.family(metric);
    for (name, buffer) in all.iter().filter_map(|endpoint| Some((&endpoint.name, endpoint.buffer?))) {
        family.sample(&[name], value(buffer));
    }
}

fn up<S>(out: &mut Exposition, metric: Metric, all: &[Endpoint<S>]) {
    let mut family = out.family(metric);
    for endpoint in all.iter().filter(|endpoint| endpoint.state != EndpointState::Removed) {
        family.sample(&[&endpoint.name], u8::from(endpoint.state == EndpointState::Running));
    }
}

fn sources(out: &mut Exposition, all: &[Endpoint<SourceStats>]) {
    up(out, names::SOURCE_UP, all);
    let subjects: Vec<_> = all.iter().map(|source| ([source.name.as_str()], &*source.stats)).collect();
    counts(out, counts::SOURCES, &subjects);
    let mut family = out.family(names::SOURCE_DELAY);
    for source in all.iter().filter(|source| source.stats.queue.is_used.load(Ordering::Relaxed)) {
        let DelaySnapshot { at_most, count, sum } = source.stats.queue.delays.snapshot();
        family.histogram(&[&source.name], &DELAY_SECONDS, at_most, count, sum);
    }
    let mut family = out.family(names::SOURCE_BLOCKED);
    for source in all {
        family.sample(&[&source.name], source.blocked.as_secs_f64());
    }
    gauge(out, names::SOURCE_BUFFER_EVENTS, all, |buffer| buffer.events);
    gauge(out, names::SOURCE_BUFFER_BYTES, all, |buffer| buffer.bytes);
    gauge(out, names::SOURCE_BUFFER_MAX, all, |buffer| buffer.max_bytes);
}

fn pipelines(out: &mut Exposition, all: &[(String, Arc<PipelineCounts>)]) {
    let subjects: Vec<_> = all.iter().map(|(name, counts)| ([name.as_str()], &**counts)).collect();
    counts(out, counts::PIPELINES, &subjects);
    let nodes = all.iter().flat_map(|(pipeline, counts)| {
        counts.nodes().into_iter().map(|(node, counts)| Node { pipeline, name: node, counts })
    });
    write_nodes(out, &nodes.collect::<Vec<_>>());
    type ReadOutput = fn(&OutputCounts) -> u64;
    let counters: [(Metric, ReadOutput); 3] = [
        (names::OUTPUT_EVENTS, |o| load(&o.events)),
        (names::OUTPUT_FAILED, |o| load(&o.failed)),
        (names::OUTPUT_BYTES, |o| load(&o.bytes)),
    ];
    for (metric, read) in counters {
        let mut family = out.family(metric);
        for (pipeline, counts) in all {
            for (output, counts) in counts.outputs() {
                family.sample(&[pipeline, &output], read(&counts));
            }
        }
    }
}

struct Node<'a> {
    pipeline: &'a str,
    name: String,
    counts: Arc<NodeCounts>,
}

fn write_nodes(out: &mut Exposition, nodes: &[Node<'_>]) {
    let subjects: Vec<_> = nodes.iter().map(|node| ([node.pipeline, node.name.as_str()], &*node.counts)).collect();
    counts(out, counts::NODES, &subjects);
    let counted = |masks: bool| move |n: &NodeCounts| n.masks.load(Ordering::Relaxed) == masks;
    for (metric, fits) in [(names::NODE_MASKED, counted(true)), (names::NODE_COUNTED, counted(false))] {
        let mut family = out.family(metric);
        for node in nodes.iter().filter(|node| fits(&node.counts)) {
            for (name, count) in node.counts.counted.counts() {
                family.sample(&[node.pipeline, &node.name, &name], count);
            }
        }
    }
    let mut family = out.family(names::NODE_FAULTS);
    for node in nodes {
        for (kind, blame, count) in node.counts.stats.faults.list() {
            family.sample(&[node.pipeline, &node.name, kind.name(), blame.name()], count);
        }
    }
    let mut family = out.family(names::NODE_CALLS);
    for node in nodes {
        let HistogramSnapshot { at_most, count, sum } = node.counts.stats.call_time.snapshot();
        family.histogram(&[node.pipeline, &node.name], &CALL_SECONDS, at_most, count, sum);
    }
}

/// Calls of nodes to capabilities.
fn capabilities(out: &mut Exposition, nodes: &[NodeSnapshot]) {
    let metrics = [names::CAPABILITY_CALLS, names::CAPABILITY_ERRORS, names::CAPABILITY_SUPPRESSED];
    for (index, metric) in metrics.into_iter().enumerate() {
        let mut family = out.family(metric);
        for node in nodes {
            for (capability, counts) in &node.used {
                let count = counts.get(index).copied().unwrap_or_default();
                family.sample(&[&node.pipeline, &node.node, capability.name()], count);
            }
        }
    }
    type Read = fn(&NodeSnapshot) -> Option<u64>;
    let sizes: [(Metric, Read); 7] = [
        (names::KV_KEYS, |node| Some(node.kv?.keys)),
        (names::KV_BYTES, |node| Some(node.kv?.bytes)),
        (names::KV_LOG_BYTES, |node| Some(node.kv?.log_bytes)),
        (names::KV_LOG_ERRORS, |node| Some(node.kv?.log_errors)),
        (names::SEEN_KEYS, |node| Some(node.seen?.keys)),
        (names::SEEN_LOG_BYTES, |node| Some(node.seen?.log_bytes)),
        (names::SEEN_LOG_ERRORS, |node| Some(node.seen?.log_errors)),
    ];
    for (metric, read) in sizes {
        let mut family = out.family(metric);
        for node in nodes {
            if let Some(size) = read(node) {
                family.sample(&[&node.pipeline, &node.node], size);
            }
        }
    }
}

/// Canaries and shadows.
fn rollouts(out: &mut Exposition, state: &State, observer: &Observer) {
    let mut family = out.family(names::ROLLOUTS);
    for (pipeline, [promoted, rolled_back]) in state.rollouts() {
        family.sample(&[&pipeline, "promoted"], promoted);
        family.sample(&[&pipeline, "rolled-back"], rolled_back);
    }
    let shadows = observer.shadows();
    type Read = fn(&ShadowSnapshot) -> u64;
    let counters: [(Metric, Read); 4] = [
        (names::SHADOW_BATCHES, |s| s.batches),
        (names::SHADOW_SKIPPED, |s| s.skipped),
        (names::SHADOW_FAULTED, |s| s.faulted),
        (names::SHADOW_DIFFERING, ShadowSnapshot::differing),
    ];
    for (metric, read) in counters {
        let mut family = out.family(metric);
        for (pipeline, shadow) in &shadows {
            family.sample(&[pipeline], read(shadow));
        }
    }
    let mut family = out.family(names::SHADOW_EVENTS);
    for (pipeline, shadow) in &shadows {
        for (output, report) in &shadow.outputs {
            family.sample(&[pipeline, output], report.primary);
        }
    }
    let mut family = out.family(names::SHADOW_COST);
    for (pipeline, shadow) in &shadows {
        family.sample(&[pipeline], crate::shadow::cost(shadow));
    }
}

fn sinks(out: &mut Exposition, all: &[Endpoint<SinkStats>]) {
    up(out, names::SINK_UP, all);
    let subjects: Vec<_> = all.iter().map(|sink| ([sink.name.as_str()], &*sink.stats)).collect();
    counts(out, counts::SINKS, &subjects);
    gauge(out, names::SINK_BUFFER_EVENTS, all, |buffer| buffer.events);
    gauge(out, names::SINK_BUFFER_BYTES, all, |buffer| buffer.bytes);
    gauge(out, names::SINK_BUFFER_MAX, all, |buffer| buffer.max_bytes);
}

/// Buffers of sinks that are on disk or drop events.
fn buffers(out: &mut Exposition, observer: &Observer) {
    let all: Vec<_> = observer.sinks().into_iter().filter_map(|s| Some((observer.buffer(&s.name)?, s.name))).collect();
    type Read = fn(&BufferStats) -> u64;
    let families: [(Metric, Read); 9] = [
        (names::DISK_EVENTS, |b| load(&b.events)),
        (names::DISK_BYTES, |b| load(&b.bytes)),
        (names::DISK_RECEIVED, |b| load(&b.received_events)),
        (names::DISK_RECOVERED, |b| load(&b.recovered_events)),
        (names::DISK_DAMAGED, |b| load(&b.damaged_bytes)),
        (names::DISK_MISSING, |b| load(&b.missing_segments)),
        (names::DISK_TORN, |b| load(&b.torn_bytes)),
        (names::DISK_ERRORS, |b| load(&b.errors)),
        (names::BUFFER_DROPPED, |b| load(&b.dropped_events)),
    ];
    for (metric, read) in families {
        let mut family = out.family(metric);
        for (stats, sink) in &all {
            family.sample(&[sink], read(stats));
        }
    }
}

fn process(out: &mut Exposition, state: &State) {
    let process = Process::read();
    out.single(names::PROCESS_START, unix_seconds(state.started));
    out.single(names::PROCESS_CPU, process.cpu_seconds);
    out.single(names::PROCESS_MEMORY, process.resident_memory_bytes);
    out.single(names::PROCESS_VIRTUAL, process.virtual_memory_bytes);
    out.single(names::PROCESS_THREADS, process.threads);
    out.single(names::PROCESS_FDS, process.open_fds);
    out.single(names::PROCESS_MAX_FDS, process.max_fds);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_runtime::Runtime;

    #[test]
    fn every_metric_of_the_table_is_written_once_and_in_its_order() {
        let state = State::new(
            "agent.toml".into(),
            1,
            Runtime::new(None, wattle_plan::ArtifactLimits::default()).unwrap(),
            Arc::default(),
        );
        let text = render(&state);
        let written: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let expected: Vec<String> = names::all().iter().map(|m| format!("{} {}", m.name, m.kind.name())).collect();
        assert_eq!(written, expected);
        assert!(text.contains("\nwattle_ready 0\n"), "it has not started: {text}");
    }
}
