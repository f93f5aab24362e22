//! The table of counts of sources, pipelines, nodes and sinks.
//!
//! A row has the name, the description and the accessor of a count. `/metrics`, `/status`, `wattle
//! status`, the summary of a run and `docs/METRICS.md` read the table, so a new count is a new row.
//! Its key in `/status` is its metric's name without `wattle_`, the subject and `_total`.

use std::sync::atomic::{AtomicU64, Ordering};

use wattle_api::status::Counted;
use wattle_listen::TlsStats;
use wattle_sink::SinkStats;
use wattle_source::{LostBytes, QueueStats, SourceStats};
use wattle_topology::{NodeCounts, PipelineCounts};

use crate::metric::{Kind, Metric};

/// A count of the subject `S`.
pub struct Count<S: 'static> {
    pub(crate) metric: Metric,
    pub(crate) read: Read<S>,
    column: Option<&'static str>,
    /// The column is shown only if a row has a number other than zero.
    is_optional: bool,
    note: Option<&'static str>,
    summary: Option<&'static str>,
}

/// How a count is read.
pub(crate) enum Read<S: 'static> {
    /// A single number.
    One(fn(&S) -> u64),
    /// One number for each value of the last label of the metric. All other readers use the sum.
    By(fn(&S) -> Vec<(String, u64)>),
}

impl<S> Count<S> {
    const fn one(
        kind: Kind,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: fn(&S) -> u64,
    ) -> Self {
        Self {
            metric: Metric { name, kind, labels, help },
            read: Read::One(read),
            column: None,
            is_optional: false,
            note: None,
            summary: None,
        }
    }

    const fn by(
        kind: Kind,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: fn(&S) -> Vec<(String, u64)>,
    ) -> Self {
        Self {
            metric: Metric { name, kind, labels, help },
            read: Read::By(read),
            column: None,
            is_optional: false,
            note: None,
            summary: None,
        }
    }

    /// Gives the count a column of `wattle status`.
    const fn column(mut self, title: &'static str) -> Self {
        self.column = Some(title);
        self
    }

    /// Gives the count a column of `wattle status` that is shown only if a row has a number other than zero.
    const fn optional(mut self, title: &'static str) -> Self {
        self.is_optional = true;
        self.column(title)
    }

    /// Adds a line to the summary of a run if the count is not zero.
    const fn summary(mut self, text: &'static str) -> Self {
        self.summary = Some(text);
        self
    }

    /// Adds a line to the summary of a run and to `wattle status` if the count is not zero.
    const fn note(mut self, text: &'static str) -> Self {
        self.note = Some(text);
        self.summary(text)
    }

    /// The key in `/status`.
    pub fn key(&self) -> &'static str {
        let name = self.metric.name.splitn(3, '_').last().unwrap_or_default();
        name.strip_suffix("_total").unwrap_or(name)
    }

    /// The title of the column in `wattle status` for these subjects, if it has one.
    pub fn title<'a>(&self, mut subjects: impl Iterator<Item = &'a Counted>) -> Option<&'static str> {
        self.column.filter(|_| !self.is_optional || subjects.any(|counted| counted.get(self.key()) > 0))
    }

    /// The text after the number in a line of `wattle status`, which shows the line if the count is
    /// not zero.
    pub fn status_note(&self) -> Option<&'static str> {
        self.note
    }

    /// The text after the number in a line of the summary, which shows the line if the count is not
    /// zero.
    pub fn summary_note(&self) -> Option<&'static str> {
        self.summary
    }

    /// Whether it counts bytes.
    pub fn is_bytes(&self) -> bool {
        self.key().ends_with("_bytes")
    }

    /// The number, summed over all values of the last label.
    pub fn total(&self, subject: &S) -> u64 {
        match self.read {
            Read::One(read) => read(subject),
            Read::By(read) => read(subject).iter().map(|(_, count)| count).sum(),
        }
    }
}

/// Reads all counts of a table.
pub(crate) fn read<S>(table: &[Count<S>], subject: &S) -> Counted {
    table.iter().map(|count| (count.key(), count.total(subject))).collect()
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Rows of `one` number or of a number `by` the last label: type, name, labels and description of
/// the metric, accessor, places on the terminal.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident: $subject:ty, $it:ident;
     $($how:ident $kind:ident $name:literal [$($label:literal),*] $help:literal $read:expr $(, $place:ident $text:literal)*;)*) => {
        $(#[$doc])*
        pub const $table: &[Count<$subject>] = &[
            $(Count::$how(Kind::$kind, $name, &[$($label),*], $help, |$it: &$subject| $read)$(.$place($text))*),*
        ];
    };
}

table! {
    /// Counts of a source.
    SOURCES: SourceStats, s;
    one Counter "wattle_source_received_events_total" ["source"] "Events that a source sent to its queue; an event that is sent again counts again." load(&s.events), column "EVENTS";
    one Counter "wattle_source_received_bytes_total" ["source"] "Bytes of the bodies of those events." load(&s.bytes), column "BYTES";
    one Counter "wattle_source_read_bytes_total" ["source"] "Bytes that a source read from files, objects, requests or standard input, before decompression; what is read again counts again." load(&s.read_bytes);
    one Counter "wattle_source_failures_total" ["source"] "Files, requests or inputs that failed." load(&s.failures), note "failures of inputs; see the log";
    one Counter "wattle_source_retried_batches_total" ["source"] "Batches that returned undelivered and are sent again." load(&s.retries), summary "batches were offered again; see the log";
    one Counter "wattle_source_lost_events_total" ["source"] "Events that returned undelivered and that the source could not send again." load(&s.lost), column "LOST", summary "events came back undelivered and are lost; see the log";
    one Counter "wattle_source_skipped_empty_total" ["source"] "Empty lines and documents, which are no events." load(&s.skipped_empty);
    one Counter "wattle_source_skipped_long_total" ["source"] "Lines and documents that were skipped because they are longer than `max_line_bytes`, `max_event_bytes` or `max_message_bytes`." load(&s.skipped_long), note "lines and documents were skipped because they are too long; see the log";
    one Counter "wattle_source_skipped_long_bytes_total" ["source"] "Bytes of those lines and documents." load(&s.skipped_long_bytes);
    one Counter "wattle_source_skipped_zero_bytes_total" ["source"] "Zero bytes in front of events that were skipped; truncated files contain them." load(&s.skipped_nuls);
    by Counter "wattle_source_lost_bytes_total" ["source", "reason"] "Bytes of log files that the source saw but never read: the file was `truncated` or rewritten, `removed` while it was not open, or `closed` after its removal because too many files were open." reasons(&s.lost_bytes), note "bytes of files were lost before they were read; see the log";
    one Counter "wattle_source_dropped_datagrams_total" ["source"] "UDP datagrams that the kernel dropped because the source did not read them in time." load(&s.dropped_datagrams), note "UDP datagrams were dropped by the kernel; see the log";
    one Counter "wattle_source_dropped_messages_total" ["source"] "Messages of NATS without JetStream that were dropped because they came faster than they were delivered." load(&s.dropped_messages), note "messages without acknowledgements were dropped; see the log";
    one Counter "wattle_source_expired_messages_total" ["source"] "Messages of Kafka or of a stream of NATS that the server deleted, by the limits of the topic or the stream, before the source had read them." load(&s.expired_messages), note "messages were deleted by the server before they were read; see the log";
    by Counter "wattle_source_tls_failures_total" ["source", "reason"] "TLS handshakes that failed: the `client_certificate` is missing or not valid, the client does not accept the `server_certificate`, the client does not use TLS (`not_tls`), violates the `protocol` or has no version in common, does not complete the handshake in time (`timeout`) or ends the connection (`closed`), or uses TLS although the source does not (`unexpected`)." tls_failures(&s.tls), note "TLS handshakes failed; see the log";
    by Counter "wattle_source_messages_total" ["source", "what"] "Messages of an SQS queue: `received`, of which `deleted` after their objects were delivered, `returned` to the queue to come again, `ignored` because they announce no new object, or `invalid`; and `extended`, how often a message was hidden for longer while its objects were in work." messages(&s.queue);
    by Counter "wattle_source_objects_total" ["source", "result"] "Objects of a store that were `read` and delivered, attempts that `failed`, objects that were `missing`, and announced objects that the options exclude (`filtered`)." objects(&s.queue);
    by Counter "wattle_source_digests_total" ["source", "result"] "Digests of CloudTrail by the result of their check: `verified`, `unlisted` (verified, but there are files of its time that it does not list), `unverifiable` (the signature or the key is missing), or `failed` (something was changed or is missing)." digests(&s.queue);
    one Counter "wattle_source_retried_requests_total" ["source"] "Requests to S3 and SQS that failed and were repeated." load(&s.queue.retried_requests);
    one Gauge "wattle_source_messages_in_flight" ["source"] "Messages of an SQS queue that are in work or wait for delivery." load(&s.queue.in_flight);
    one Gauge "wattle_source_oldest_message_seconds" ["source"] "Age of the oldest of those messages since it was sent." s.queue.oldest_seconds();
    by Gauge "wattle_source_lag_messages" ["source", "partition"] "Messages that are not delivered: of each partition of Kafka that the agent reads, by topic and partition, such as `logs/0`; of the consumer of a stream of NATS, by stream and consumer, such as `LOGS/wattle`." s.lag.parts();
    one Gauge "wattle_source_unmatched_globs" ["source"] "Globs of `include` that match no file." s.unmatched.lock().len() as u64;
}

table! {
    /// Counts of a pipeline.
    PIPELINES: PipelineCounts, p;
    one Counter "wattle_pipeline_received_events_total" ["pipeline"] "Events that a pipeline received from its sources." p.received.count(), column "IN";
    one Counter "wattle_pipeline_received_bytes_total" ["pipeline"] "Bytes of the bodies of those events." load(&p.received_bytes);
    one Counter "wattle_pipeline_split_parents_total" ["pipeline"] "Events that were split or combined." p.parents.count(), optional "SPLIT";
    one Counter "wattle_pipeline_split_children_total" ["pipeline"] "Events that they became." p.children.count(), optional "INTO";
    one Counter "wattle_pipeline_made_events_total" ["pipeline"] "Events that nodes made without a parent, such as summaries of windows." p.made.count(), optional "MADE";
    one Counter "wattle_pipeline_held_events_total" ["pipeline"] "Events that ended in the memory of a node." p.held.count(), optional "HELD";
    one Counter "wattle_pipeline_copied_events_total" ["pipeline"] "Copies made for a second port or link." p.copied.count(), optional "COPIED";
    one Counter "wattle_pipeline_delivered_events_total" ["pipeline"] "Events that left through an output and had not failed." p.delivered.count(), column "OUT";
    one Counter "wattle_pipeline_failed_events_total" ["pipeline"] "Events that left through an output after they failed at a node." p.failed.count(), column "FAILED";
    one Counter "wattle_pipeline_dropped_events_total" ["pipeline"] "Events that were dropped on purpose, by a node or by a discarded output." p.dropped.count(), column "DROPPED";
    one Counter "wattle_pipeline_returned_events_total" ["pipeline"] "Events that a pipeline returned undelivered because it stopped or its quarantine could not be written. The source sends them again." p.returned.count(), optional "RETURNED";
    one Counter "wattle_pipeline_unbalanced_events_total" ["pipeline"] "Events that a batch did not account for: the agent checks for each batch that received, split, copied and made events equal delivered, failed, dropped, held and returned ones. Any number but 0 is a bug of the agent." load(&p.unbalanced), note "events of batches did not add up: a bug of the agent; please report it";
}

table! {
    /// Counts of a node.
    NODES: NodeCounts, n;
    one Counter "wattle_node_received_events_total" ["pipeline", "node"] "Events that a node received." load(&n.received);
    by Counter "wattle_node_sent_events_total" ["pipeline", "node", "port"] "Events that left a node, by port; failed events leave on the port `failed`." n.sent().into_iter().collect();
    one Counter "wattle_node_split_parents_total" ["pipeline", "node"] "Events that a node split or combined." load(&n.parents);
    one Counter "wattle_node_split_children_total" ["pipeline", "node"] "Events that they became." load(&n.children);
    one Counter "wattle_node_made_events_total" ["pipeline", "node"] "Events that a node made without a parent." load(&n.made);
    one Counter "wattle_node_held_events_total" ["pipeline", "node"] "Events that ended in the memory of a node." load(&n.held);
    one Gauge "wattle_node_unsaved_events" ["pipeline", "node"] "Events in the memory of a node with durable state that are not acknowledged yet, because no snapshot on disk contains them." load(&n.stats.unsaved_events);
    one Counter "wattle_node_copied_events_total" ["pipeline", "node"] "Copies of events that left a node on more than one port." load(&n.copied);
    by Counter "wattle_node_dropped_events_total" ["pipeline", "node", "reason"] "Events that a node dropped on purpose. Reasons beyond the first 64 of a node are `other`." n.dropped.counts().into_iter().collect();
    by Counter "wattle_node_failed_events_total" ["pipeline", "node", "code"] "Events that failed at a node. Codes beyond the first 64 of a node are `other`." n.failed.counts().into_iter().collect();
    one Counter "wattle_node_quarantined_events_total" ["pipeline", "node"] "Failed events of a masking node that were written to the quarantine." load(&n.quarantined);
    one Counter "wattle_node_circuit_opened_total" ["pipeline", "node"] "How often the circuit of a node opened because the node faulted too often." load(&n.circuit_opened);
    one Gauge "wattle_node_circuit_open" ["pipeline", "node"] "1 while the circuit of a node is open and the node is not called." u64::from(n.circuit_open.load(Ordering::Relaxed));
    one Counter "wattle_node_passed_events_total" ["pipeline", "node"] "Events that passed a node unchanged while its circuit was open (`on_fault = \"pass\"`)." load(&n.passed);
    one Counter "wattle_node_restarts_total" ["pipeline", "node"] "Instances that replaced one that faulted or whose memory grew too large." load(&n.stats.restarts);
    one Gauge "wattle_node_memory_bytes" ["pipeline", "node"] "Linear memory of all instances of a node." load(&n.stats.memory_bytes);
    one Gauge "wattle_node_peak_memory_bytes" ["pipeline", "node"] "Peak linear memory of one instance of a node." load(&n.stats.peak_memory_bytes);
    one Gauge "wattle_node_state_bytes" ["pipeline", "node"] "Size of the last state snapshot of a stateful node on one worker." load(&n.stats.state_bytes);
    one Counter "wattle_node_state_restored_total" ["pipeline", "node"] "Instances of a stateful node that restored state." load(&n.stats.state_restored);
    one Counter "wattle_node_state_lost_total" ["pipeline", "node"] "Instances of a node that started without state because they could not restore the saved state." load(&n.stats.state_lost);
}

table! {
    /// Counts of a sink.
    SINKS: SinkStats, s;
    one Counter "wattle_sink_received_events_total" ["sink"] "Events that were encoded for a sink; an event that is sent again counts again." load(&s.received_events);
    one Counter "wattle_sink_delivered_events_total" ["sink"] "Events that the destination of a sink accepted." load(&s.delivered_events), column "DELIVERED";
    one Counter "wattle_sink_delivered_bytes_total" ["sink"] "Bytes that the destination of a sink accepted, before compression." load(&s.delivered_bytes), column "BYTES";
    one Counter "wattle_sink_failed_events_total" ["sink"] "Events that a sink could not deliver: the destination rejected them, or the attempts ran out." load(&s.rejected_events), column "FAILED", summary "rejected";
    one Counter "wattle_sink_dead_letter_events_total" ["sink"] "Failed events that a sink wrote to its dead-letter file." load(&s.dead_letter_events), summary "in dead letters";
    one Counter "wattle_sink_lost_events_total" ["sink"] "Events that the destination rejected, or for which the attempts ran out, and that no dead-letter file has." load(&s.lost_events);
    one Counter "wattle_sink_retries_total" ["sink"] "Failed attempts to send that were repeated." load(&s.retries), column "RETRIES", summary "retries";
    one Counter "wattle_sink_misfit_values_total" ["sink"] "Values that did not fit their column of a Parquet file and became null." load(&s.misfit_values);
    one Counter "wattle_sink_overflow_events_total" ["sink"] "Events of a sink `loki` that went to its stream `overflow`, because their labels would make more than `max_streams` streams." load(&s.overflow_events), note "events went to the stream `overflow`; see the log";
    by Counter "wattle_sink_tls_failures_total" ["sink", "reason"] "TLS handshakes of clients of a sink that listens that failed, by the reasons of `wattle_source_tls_failures_total`." tls_failures(&s.tls);
}

fn messages(queue: &QueueStats) -> Vec<(String, u64)> {
    let counts = [
        ("received", &queue.received),
        ("deleted", &queue.deleted),
        ("returned", &queue.returned),
        ("ignored", &queue.ignored),
        ("invalid", &queue.invalid),
        ("extended", &queue.extended),
    ];
    of_queue(queue, &counts)
}

fn objects(queue: &QueueStats) -> Vec<(String, u64)> {
    let counts = [
        ("read", &queue.objects),
        ("failed", &queue.failed),
        ("missing", &queue.missing),
        ("filtered", &queue.filtered),
    ];
    of_queue(queue, &counts)
}

fn digests(queue: &QueueStats) -> Vec<(String, u64)> {
    let counts = [
        ("verified", &queue.digests.verified),
        ("unlisted", &queue.digests.unlisted),
        ("unverifiable", &queue.digests.unverifiable),
        ("failed", &queue.digests.failed),
    ];
    // Only where digests come.
    if counts.iter().all(|(_, count)| load(count) == 0) { Vec::new() } else { of_queue(queue, &counts) }
}

/// No time series for sources of other types.
fn of_queue(queue: &QueueStats, counts: &[(&str, &AtomicU64)]) -> Vec<(String, u64)> {
    if !queue.is_used.load(Ordering::Relaxed) {
        return Vec::new();
    }
    counts.iter().map(|(name, count)| ((*name).to_owned(), load(count))).collect()
}

fn tls_failures(tls: &TlsStats) -> Vec<(String, u64)> {
    tls.failures().into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect()
}

fn reasons(lost: &LostBytes) -> Vec<(String, u64)> {
    let reasons = [("truncated", &lost.truncated), ("removed", &lost.removed), ("closed", &lost.closed)];
    reasons.map(|(reason, count)| (reason.to_owned(), load(count))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_name_of_the_metric_without_its_subject() {
        let keys: Vec<&str> = SOURCES.iter().take(4).map(Count::key).collect();
        assert_eq!(keys, ["received_events", "received_bytes", "read_bytes", "failures"]);
        assert_eq!(NODES.iter().filter(|count| count.key() == "memory_bytes").count(), 1);
    }

    #[test]
    fn counts_by_label_are_summed_outside_of_metrics() {
        let stats = SourceStats::default();
        stats.lost_bytes.truncated.store(2, Ordering::Relaxed);
        stats.lost_bytes.removed.store(3, Ordering::Relaxed);
        assert_eq!(read(SOURCES, &stats).get("lost_bytes"), 5);
    }
}
