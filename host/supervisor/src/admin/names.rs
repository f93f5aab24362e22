//! Every metric of the agent that is not in the table of counts (`counts.rs`): its name, type,
//! labels and description. A test generates `docs/METRICS.md` from both.
//!
//! Names follow Prometheus' conventions: prefix, subject, quantity, unit, and `_total` for
//! counters. A counter belongs to names in the configuration and lives as long as the agent: a
//! reload never sets it back, and it stays after its node, source or sink is removed.

#[cfg(test)]
use crate::counts;
use crate::metric::{Kind, Metric};

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(crate) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// The metrics of this file.
        #[cfg(test)]
        const OWN: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO Gauge "wattle_build_info" ["version", "arch", "os"] "Always 1; the labels identify the build of the agent.";
    READY Gauge "wattle_ready" [] "1 if /readyz answers 200, else 0.";
    GENERATION Gauge "wattle_generation" [] "Number of the running configuration; each reload that takes effect adds 1.";
    PIPELINE_INFO Gauge "wattle_pipeline_info" ["pipeline", "pack", "version"] "Always 1; the labels name the pack and version of a pipeline, empty for a graph that is written inline.";
    PIPELINE_QUARANTINE Gauge "wattle_pipeline_quarantine_bytes" ["pipeline"] "Size of the quarantine file of a pipeline in bytes, bounded by `max_size` in [agent.quarantine]. Stays after the pipeline is removed, until the file is empty.";
    PIPELINE_STOPPED Gauge "wattle_pipeline_stopped" ["pipeline"] "1 if a pipeline of the running configuration stopped because a node faulted too often.";
    NODE_INFO Gauge "wattle_node_info" ["pipeline", "node", "type"] "Always 1; the labels name the artifact and version of a node of the running configuration.";
    CERTIFICATE_EXPIRY Gauge "wattle_certificate_expiry_timestamp_seconds" ["kind", "name", "file"] "Unix time after which a certificate of the agent is not valid: the one in `tls.crt_file` of a source or sink. The agent also warns in its log, from 14 days before.";
    RELOADS Counter "wattle_reloads_total" ["outcome"] "Reloads by outcome: `applied`, `unchanged`, `invalid` (the configuration was refused), or `failed` (it could not be built).";
    RELOAD_SUCCESSFUL Gauge "wattle_last_reload_successful" [] "0 if the last reload was refused and the previous configuration still runs, else 1.";
    CONFIG_TIMESTAMP Gauge "wattle_config_loaded_timestamp_seconds" [] "Unix time at which the running configuration was applied.";
    BUGS Counter "wattle_bugs_total" [] "Internal states that should be impossible; the batch returns to its source. Report any.";
    CACHE_HITS Counter "wattle_compile_cache_hits_total" [] "Artifacts whose compiled code was in the cache on disk.";
    CACHE_MISSES Counter "wattle_compile_cache_misses_total" [] "Artifacts that were compiled because the cache did not have them.";

    REGISTRY_POLLS Counter "wattle_registry_polls_total" ["reference", "outcome"] "Polls of a tag in a registry by outcome: `unchanged`, `changed` (the image was pulled), or `failed`.";
    REGISTRY_ANSWERED Gauge "wattle_registry_last_answer_timestamp_seconds" ["reference"] "Unix time of the last successful response of a registry about a tag.";
    REGISTRY_REFUSED Gauge "wattle_registry_image_refused" ["reference"] "1 if the image of a tag was refused and the previous image still runs.";

    SOURCE_UP Gauge "wattle_source_up" ["source"] "1 while a source reads, 0 while it starts or after it ended.";
    SOURCE_DELAY Histogram "wattle_source_object_delay_seconds" ["source"] "Time from the creation of an announced object (`eventTime` of the notification) to the delivery of all of its events.";
    SOURCE_BLOCKED Counter "wattle_source_blocked_seconds_total" ["source"] "Time that a source waited for room in its queue.";
    SOURCE_BUFFER_EVENTS Gauge "wattle_source_buffer_events" ["source"] "Events in the queue behind a source.";
    SOURCE_BUFFER_BYTES Gauge "wattle_source_buffer_bytes" ["source"] "Bytes in the queue behind a source.";
    SOURCE_BUFFER_MAX Gauge "wattle_source_buffer_max_bytes" ["source"] "Size limit of that queue in bytes.";

    NODE_MASKED Counter "wattle_node_masked_values_total" ["pipeline", "node", "rule"] "Values that a rule of a masking node masked. Rules beyond the first 64 of a node are `other`.";
    NODE_COUNTED Counter "wattle_node_counts_total" ["pipeline", "node", "name"] "Counts that a node reports itself, by name. Names beyond the first 64 of a node are `other`.";
    NODE_FAULTS Counter "wattle_node_faults_total" ["pipeline", "node", "kind", "blame"] "Calls that faulted. `blame` is `guest` for the node, `host` for the agent or its machine.";
    NODE_CALLS Histogram "wattle_node_call_seconds" ["pipeline", "node"] "Duration of the calls of a node, including the work of the host.";

    OUTPUT_EVENTS Counter "wattle_output_sent_events_total" ["pipeline", "output"] "Events that left through an output of a pipeline, including discarded outputs.";
    OUTPUT_FAILED Counter "wattle_output_failed_events_total" ["pipeline", "output"] "Events that left through an output of a pipeline after they failed at a node.";
    OUTPUT_BYTES Counter "wattle_output_sent_bytes_total" ["pipeline", "output"] "Bytes of the bodies of the events that left through an output.";
    CAPABILITY_CALLS Counter "wattle_capability_calls_total" ["pipeline", "node", "capability"] "Calls of a node to a capability.";
    CAPABILITY_ERRORS Counter "wattle_capability_errors_total" ["pipeline", "node", "capability"] "Calls to a capability that violated the contract (a fault of the node) or returned an error.";
    CAPABILITY_SUPPRESSED Counter "wattle_capability_suppressed_total" ["pipeline", "node", "capability"] "Log lines and metric series that were suppressed, and claims that were forgotten, because they exceed the grant.";
    KV_KEYS Gauge "wattle_kv_keys" ["pipeline", "node"] "Keys that a node has in the capability `kv`.";
    KV_BYTES Gauge "wattle_kv_bytes" ["pipeline", "node"] "Bytes of these keys and their values that count against the grant.";
    KV_LOG_BYTES Gauge "wattle_kv_log_bytes" ["pipeline", "node"] "Size of the log of durable keys and values in the data folder.";
    KV_LOG_ERRORS Counter "wattle_kv_log_errors_total" ["pipeline", "node"] "Reads and writes of the log of durable keys and values that failed; writes are repeated.";
    SEEN_KEYS Gauge "wattle_seen_keys" ["pipeline", "node"] "Claims that a node remembers with the capability `seen`.";
    SEEN_LOG_BYTES Gauge "wattle_seen_log_bytes" ["pipeline", "node"] "Size of the log of durable claims in the data folder.";
    SEEN_LOG_ERRORS Counter "wattle_seen_log_errors_total" ["pipeline", "node"] "Reads and writes of the log of durable claims that failed; writes are repeated.";

    ROLLOUTS Counter "wattle_rollouts_total" ["pipeline", "outcome"] "Canaries that were `promoted` and versions that were `rolled-back`. The metrics of a canary have the pipeline `NAME@canary`.";
    SHADOW_BATCHES Counter "wattle_shadow_batches_total" ["pipeline"] "Batches on which a shadow was compared with the running version.";
    SHADOW_SKIPPED Counter "wattle_shadow_skipped_batches_total" ["pipeline"] "Batches that a shadow skipped because it was behind.";
    SHADOW_FAULTED Counter "wattle_shadow_faulted_batches_total" ["pipeline"] "Batches on which a node of a shadow faulted.";
    SHADOW_DIFFERING Counter "wattle_shadow_differing_events_total" ["pipeline"] "Events for which a shadow and the running version differ; `wattle shadow` shows the first.";
    SHADOW_EVENTS Counter "wattle_shadow_compared_events_total" ["pipeline", "output"] "Events of the running version that were compared.";
    SHADOW_COST Gauge "wattle_shadow_cpu_ratio" ["pipeline"] "CPU time of a shadow divided by that of the running version, on the same batches.";

    SINK_UP Gauge "wattle_sink_up" ["sink"] "1 while a sink runs, 0 after it ended with an error.";
    SINK_BUFFER_EVENTS Gauge "wattle_sink_buffer_events" ["sink"] "Events in the queue in front of a sink.";
    SINK_BUFFER_BYTES Gauge "wattle_sink_buffer_bytes" ["sink"] "Bytes in the queue in front of a sink.";
    SINK_BUFFER_MAX Gauge "wattle_sink_buffer_max_bytes" ["sink"] "Size limit of that queue in bytes.";

    DISK_EVENTS Gauge "wattle_sink_disk_buffer_events" ["sink"] "Events in the disk buffer of a sink.";
    DISK_BYTES Gauge "wattle_sink_disk_buffer_bytes" ["sink"] "Size of the disk buffer of a sink in bytes.";
    DISK_RECEIVED Counter "wattle_sink_disk_buffer_received_events_total" ["sink"] "Events that were written to the disk buffer of a sink.";
    DISK_RECOVERED Counter "wattle_sink_disk_buffer_recovered_events_total" ["sink"] "Events that the disk buffer of a sink held when the agent started.";
    DISK_DAMAGED Counter "wattle_sink_disk_buffer_damaged_bytes_total" ["sink"] "Bytes of the disk buffer of a sink that could not be read and were set aside.";
    DISK_MISSING Counter "wattle_sink_disk_buffer_missing_segments_total" ["sink"] "Segments of the disk buffer of a sink that were missing when the agent started; their events are lost unless the files were moved.";
    DISK_TORN Counter "wattle_sink_disk_buffer_torn_bytes_total" ["sink"] "Bytes of an unfinished write at the end of the disk buffer of a sink, left by a crash; none of them was acknowledged.";
    DISK_ERRORS Counter "wattle_sink_disk_buffer_errors_total" ["sink"] "Failed attempts to write to the disk buffer of a sink.";
    BUFFER_DROPPED Counter "wattle_sink_buffer_dropped_events_total" ["sink"] "Events that a full buffer dropped (`when_full = \"drop_newest\"`).";

    PROCESS_START Gauge "process_start_time_seconds" [] "Unix time at which the process started.";
    PROCESS_CPU Counter "process_cpu_seconds_total" [] "User and system CPU time of the process.";
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "Resident memory of the process in bytes.";
    PROCESS_VIRTUAL Gauge "process_virtual_memory_bytes" [] "Virtual memory of the process in bytes; sandboxes reserve far more than they use.";
    PROCESS_THREADS Gauge "process_threads" [] "Number of threads of the process.";
    PROCESS_FDS Gauge "process_open_fds" [] "Number of open file descriptors.";
    PROCESS_MAX_FDS Gauge "process_max_fds" [] "Maximum number of open file descriptors.";
}

/// All metrics, in the order in which they are written.
#[cfg(test)]
pub(crate) fn all() -> Vec<Metric> {
    fn rows<S>(table: &[counts::Count<S>]) -> impl Iterator<Item = Metric> {
        table.iter().map(|count| count.metric)
    }
    let mut all = Vec::new();
    for metric in OWN {
        all.push(*metric);
        match metric.name {
            "wattle_source_up" => all.extend(rows(counts::SOURCES)),
            "wattle_source_buffer_max_bytes" => all.extend(rows(counts::PIPELINES).chain(rows(counts::NODES))),
            "wattle_sink_up" => all.extend(rows(counts::SINKS)),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    #[test]
    fn names_keep_the_conventions() {
        let mut seen = BTreeSet::new();
        for metric in all() {
            let Metric { name, kind, labels, help } = metric;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("wattle_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len(), "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
    }

    /// The page about metrics, from its hand-written head to its last table.
    fn page(head: &str) -> String {
        let mut page = head.to_owned();
        for metric in all() {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind) = (metric.name, metric.kind.name());
            writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(", "), metric.help).unwrap();
        }
        page
    }

    #[test]
    fn the_page_about_metrics_is_up_to_date() {
        const TABLE: &str = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
        let written = std::fs::read_to_string(path).unwrap();
        let (head, _) = written.split_once(TABLE).expect("docs/METRICS.md has the table");
        let page = page(&format!("{head}{TABLE}"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap() == page, "set UPDATE_EXPECT=1 to write docs/METRICS.md");
    }
}
