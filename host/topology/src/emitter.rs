//! What one batch of a source becomes on its way out of the pipelines: payloads for sinks, and
//! batches for other pipelines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wattle_batch::Batch;
use wattle_buffer::Sized;
use wattle_sink::Payload;

use crate::balance::Balance;
use crate::counts::BatchTotals;
use crate::lane::Lane;
use crate::sink_handle::SinkHandle;
use crate::tap::Traces;

/// Payload bytes that a worker collects before it passes them to its lane.
const HAND_OVER_BYTES: usize = 1 << 20;
/// Bytes of rows that are encoded at once; a single row may have more.
const PIECE_BYTES: usize = 4 << 20;

/// The payloads of one batch for the sinks.
pub(crate) struct Emitter<'a> {
    lane: &'a Lane,
    sequence: u64,
    payloads: Vec<(Arc<SinkHandle>, Payload)>,
    /// Batches for other pipelines, by index. They share their data with the batch of the source,
    /// so they take little memory until the worker runs them.
    pub(crate) onward: VecDeque<(usize, Batch)>,
    bytes: usize,
    /// Whether a node faulted.
    pub(crate) faulted: bool,
    /// Totals so far of the batch of this call of `Pipeline::receive`.
    pub(crate) totals: BatchTotals,
    /// Events by output, if a shadow compares them.
    pub(crate) seen: Option<Vec<(usize, Batch)>>,
    /// What waits for nodes that workers share.
    pub(crate) deferred: DeferredNodes,
    /// Events of this call of a pipeline that are not accounted for yet.
    pub(crate) balance: Balance,
    /// Events of this batch that are followed.
    pub(crate) traces: Traces,
}

/// Batches that wait for a node that workers share.
pub(crate) struct Deferred {
    pub(crate) rank: u32,
    pub(crate) node: usize,
    pub(crate) batches: Vec<Batch>,
}

/// The nodes for which batches wait, by rank.
#[derive(Default)]
pub(crate) struct DeferredNodes(BTreeMap<u32, (usize, Vec<Batch>)>);

impl DeferredNodes {
    pub(crate) fn add(&mut self, rank: u32, node: usize, batch: Batch) {
        self.0.entry(rank).or_insert_with(|| (node, Vec::new())).1.push(batch);
    }

    fn rows(&self) -> usize {
        self.0.values().flat_map(|(_, batches)| batches).map(Batch::rows).sum()
    }

    /// Takes what waits for the node with the lowest rank.
    pub(crate) fn next(&mut self) -> Option<Deferred> {
        let (rank, (node, batches)) = self.0.pop_first()?;
        Some(Deferred { rank, node, batches })
    }
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(lane: &'a Lane, sequence: u64) -> Self {
        Self {
            lane,
            sequence,
            payloads: Vec::new(),
            onward: VecDeque::new(),
            bytes: 0,
            faulted: false,
            totals: BatchTotals::default(),
            seen: None,
            deferred: DeferredNodes::default(),
            balance: Balance::default(),
            traces: Traces::default(),
        }
    }

    /// Waits until all earlier batches of the source have passed the shared node with this rank.
    pub(crate) fn wait_for_turn(&self, pipeline: usize, rank: u32) {
        self.lane.wait_for_turn(self.sequence, pipeline, rank);
    }

    /// The batch has passed all shared nodes with a lower rank.
    pub(crate) fn pass(&self, pipeline: usize, rank: u32) {
        self.lane.pass(self.sequence, pipeline, rank);
    }

    /// Encodes a batch for a sink, in pieces if the payload would be large: rows share data in
    /// memory, but each encoded row is a separate copy.
    pub(crate) fn push(&mut self, sink: &Arc<SinkHandle>, batch: Batch) {
        if batch.written_bytes() <= PIECE_BYTES {
            return self.encode(sink, batch);
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for row in 0..u32::try_from(batch.rows()).unwrap_or(u32::MAX) {
            let own = batch.body().row(row as usize).len() + batch.carried_bytes(row as usize);
            if bytes + own > PIECE_BYTES && !rows.is_empty() {
                self.encode(sink, batch.select(&rows));
                (rows, bytes) = (Vec::new(), 0);
            }
            rows.push(row);
            bytes += own;
        }
        if !rows.is_empty() {
            self.encode(sink, batch.select(&rows));
        }
        batch.into_ack().deliver();
    }

    fn encode(&mut self, sink: &Arc<SinkHandle>, batch: Batch) {
        for mut payload in sink.encoder.encode(batch) {
            sink.stats.expect(&mut payload);
            sink.stats.received_events.fetch_add(payload.events as u64, Ordering::Relaxed);
            self.bytes += payload.byte_len();
            self.payloads.push((sink.clone(), payload));
        }
        if self.bytes >= HAND_OVER_BYTES {
            self.bytes = 0;
            self.lane.put(self.sequence, std::mem::take(&mut self.payloads), false);
        }
    }

    /// Returns the events of the batch to their source; with `later`, also those of later batches.
    /// Without that, the source would also send again the events that left in the same batch as
    /// those that could not be stored. Returns how many events waited for shared nodes, which no count has yet.
    pub(crate) fn withdraw(&mut self, later: bool) -> usize {
        self.payloads.clear();
        self.onward.clear();
        let waiting = std::mem::take(&mut self.deferred).rows();
        self.bytes = 0;
        self.lane.void(self.sequence, later);
        waiting
    }

    /// Takes the next batch that an output sent to another pipeline, with the index of that
    /// pipeline.
    pub(crate) fn next_onward(&mut self) -> Option<(usize, Batch)> {
        self.onward.pop_front()
    }

    /// Ends the batch, so that the lane can continue with the next sequence number.
    pub(crate) fn finish(mut self) {
        self.traces.finish();
        self.lane.put(self.sequence, self.payloads, true);
    }
}
