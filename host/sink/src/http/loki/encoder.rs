//! Encodes events as entries of streams, and bounds the number of streams.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_batch::Batch;

use crate::encode::{Encoding, Template};
use crate::http::writing::{BoundMembers, Encoded, Groups, Members, write_member, write_tenant, write_text};
use crate::retry::Outage;
use crate::sink::{Encoder, Payload, SinkStats};

/// How long a stream counts. Loki closes a stream after half an hour without entries.
const STREAM_AGE: Duration = Duration::from_secs(3600);

/// The label of events whose stream would be one too many.
const OVERFLOW: &str = "overflow";

/// Encodes events as entries of streams.
pub(super) struct StreamEncoder {
    pub(super) sink: Arc<str>,
    pub(super) encoding: Encoding,
    pub(super) labels: Members,
    pub(super) structured_metadata: Members,
    pub(super) tenant: Option<Template>,
    pub(super) streams: Streams,
}

/// The streams of the last hour.
pub(super) struct Streams {
    max: usize,
    seen: Mutex<Seen>,
    random: RandomState,
    overflow: Mutex<Outage>,
    stats: OnceLock<Arc<SinkStats>>,
}

struct Seen {
    /// Hashes of the tenant and the labels.
    streams: HashSet<u64>,
    since: Instant,
}

impl Streams {
    pub(super) fn new(max: usize) -> Self {
        let seen = Mutex::new(Seen { streams: HashSet::new(), since: Instant::now() });
        Self { max, seen, random: RandomState::new(), overflow: Mutex::default(), stats: OnceLock::new() }
    }

    /// Whether events may go to the stream of this tenant with these labels.
    fn allow(&self, tenant: &[u8], labels: &[u8]) -> bool {
        let hash = self.random.hash_one((tenant, labels));
        let mut seen = self.seen.lock();
        if seen.since.elapsed() >= STREAM_AGE {
            seen.streams.clear();
            seen.since = Instant::now();
        }
        seen.streams.contains(&hash) || (seen.streams.len() < self.max && seen.streams.insert(hash))
    }
}

impl StreamEncoder {
    /// Writes the labels of the stream of a row. A stream has at least one label.
    fn write_labels(&self, labels: &mut BoundMembers<'_>, tenant: &[u8], row: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.push(b'{');
        if !labels.write(row, b"", out) {
            write_member("agent", b"wattle", out);
        }
        out.push(b'}');
        let is_allowed = self.streams.allow(tenant, out);
        if !is_allowed {
            self.write_overflow(out);
        }
        is_allowed
    }

    /// Writes the labels that are the same for all events, and one that says that the others are left out.
    fn write_overflow(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(b'{');
        for (name, text) in self.labels.0.iter().filter_map(|(name, template)| Some((name, template.literal()?))) {
            write_member(name, text.as_bytes(), out);
            out.push(b',');
        }
        write_member(OVERFLOW, b"true", out);
        out.push(b'}');
    }

    fn report_overflow(&self, events: usize) {
        if let Some(stats) = self.streams.stats.get() {
            stats.overflow_events.fetch_add(events as u64, Ordering::Relaxed);
        }
        if let Some(batches) = self.streams.overflow.lock().failed() {
            tracing::error!(
                sink = %self.sink, max_streams = self.streams.max, events, batches,
                "labels would make too many streams; events go to a stream with `overflow = \"true\"` instead; use labels \
                 with few values, or raise `max_streams`"
            );
        }
    }
}

impl Encoder for StreamEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut events = self.encoding.bind(&batch);
        let (mut labels, mut metadata) = (self.labels.bind(&batch), self.structured_metadata.bind(&batch));
        let tenant = self.tenant.as_ref().map(|template| template.bind(&batch));
        let mut groups = Groups::default();
        let (mut of_tenant, mut of_stream, mut line) = (Vec::new(), Vec::new(), Vec::new());
        let mut left_out = 0;
        for row in 0..batch.rows() {
            write_tenant(tenant.as_ref(), row, &mut of_tenant);
            left_out += usize::from(!self.write_labels(&mut labels, &of_tenant, row, &mut of_stream));
            let Encoded { bytes, ends } = groups.of(&of_tenant);
            bytes.extend_from_slice(&of_stream);
            let time = batch.timestamp(row).unwrap_or(batch.origin().observed);
            // Writing to a vector cannot fail.
            let _ = write!(bytes, "\n[\"{time}\",\"");
            line.clear();
            events.write(row, &mut line);
            write_text(&line, bytes);
            bytes.push(b'"');
            if !metadata.is_empty() {
                bytes.extend_from_slice(b",{");
                metadata.write(row, b"", bytes);
                bytes.push(b'}');
            }
            bytes.extend_from_slice(b"]\n");
            ends.push(bytes.len());
        }
        if left_out > 0 {
            self.report_overflow(left_out);
        }
        drop((events, labels, metadata, tenant));
        groups.into_payloads(batch)
    }

    fn count_in(&self, stats: &Arc<SinkStats>) {
        // A sink has one set of counters.
        let _ = self.streams.stats.set(stats.clone());
    }
}
