//! Nodes whose state all workers share: one instance, or one for each part of the keys.
//!
//! There is no hand-over between threads: a worker calls the instance itself, behind its lock.
//! `lane.rs` keeps the order of a source.

mod place;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use wattle_batch::{Batch, FieldPath, Outcome};
use wattle_runtime::{Process, StateSlot};

/// The instances of a node that workers share.
pub(crate) struct SharedNode {
    shards: Vec<Mutex<Box<dyn Process>>>,
    /// The fields whose texts decide which shard gets a row; empty for a single instance.
    key: Vec<FieldPath>,
    /// Whether the instances have the state of their predecessors.
    has_taken_over: AtomicBool,
}

impl SharedNode {
    /// One instance for each shard.
    pub(crate) fn new(shards: Vec<Box<dyn Process>>, key: Vec<FieldPath>) -> Arc<Self> {
        let shards = shards.into_iter().map(Mutex::new).collect();
        Arc::new(Self { shards, key, has_taken_over: AtomicBool::new(false) })
    }

    /// A handle for one worker.
    pub(crate) fn handle(self: &Arc<Self>) -> Box<dyn Process> {
        Box::new(Handle { node: self.clone(), has_faulted: false })
    }

    /// Checks whether the instances could restore the state of these slots.
    pub(crate) fn check_state(&self, slots: &[Arc<StateSlot>]) -> Result<(), String> {
        self.shards.iter().zip(slots).try_for_each(|(shard, slot)| shard.lock().check_state(&slot.get()))
    }

    /// Whether the instances keep state.
    pub(crate) fn is_stateful(&self) -> bool {
        self.shards.first().is_some_and(|shard| shard.lock().is_stateful())
    }

    /// Restores the state of the slots, once; later calls do nothing. `inherit` runs before.
    ///
    /// # Errors
    ///
    /// Why an instance started without state.
    pub(crate) fn take_over(&self, slots: &[Arc<StateSlot>], inherit: impl FnOnce()) -> Result<(), String> {
        // The first lock keeps other workers from using the node before it has its state.
        let mut first = self.shards.first().map(|shard| shard.lock());
        if self.has_taken_over.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        inherit();
        let mut done = Ok(());
        for (index, slot) in slots.iter().enumerate() {
            let taken = match (index, &mut first) {
                (0, Some(shard)) => shard.take_over(slot),
                _ => self.shards.get(index).map_or(Ok(()), |shard| shard.lock().take_over(slot)),
            };
            done = done.and(taken);
        }
        done
    }

    fn call(&self, shard: usize, batch: Batch, has_faulted: &mut bool) -> Vec<Outcome> {
        let Some(shard) = self.shards.get(shard) else { return Vec::new() };
        let mut shard = shard.lock();
        let outcomes = shard.process(batch);
        *has_faulted |= shard.has_faulted();
        outcomes
    }
}

/// A shared node as one worker calls it.
struct Handle {
    node: Arc<SharedNode>,
    has_faulted: bool,
}

impl Process for Handle {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        self.has_faulted = false;
        if self.node.key.is_empty() {
            return self.node.call(0, batch, &mut self.has_faulted);
        }
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.node.shards.len()];
        for (row, place) in (0..).zip(place::places(&batch, &self.node.key, self.node.shards.len())) {
            if let Some(rows) = rows.get_mut(place) {
                rows.push(row);
            }
        }
        let mut used = rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        if let (Some((shard, _)), None) = (used.next(), used.next()) {
            return self.node.call(shard, batch, &mut self.has_faulted);
        }
        let batch = batch.numbered();
        let mut outcomes = Vec::new();
        for (shard, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            outcomes.extend(self.node.call(shard, batch.select(rows), &mut self.has_faulted));
        }
        // Every part has its own share.
        batch.into_ack().deliver();
        merge(outcomes)
    }

    fn has_faulted(&self) -> bool {
        self.has_faulted
    }

    fn is_stateful(&self) -> bool {
        self.node.is_stateful()
    }

    fn save(&mut self) {
        self.node.shards.iter().for_each(|shard| shard.lock().save());
    }

    fn save_if_wanted(&mut self) {
        // A shard that is in a call saves after it.
        self.node.shards.iter().filter_map(Mutex::try_lock).for_each(|mut shard| shard.save_if_wanted());
    }

    fn next_tick(&self) -> Option<Instant> {
        // The owner of the lock looks after a shard that is in a call.
        self.node.shards.iter().filter_map(|shard| shard.try_lock()?.next_tick()).min()
    }

    fn tick(&mut self, is_last: bool) -> Vec<Outcome> {
        self.node.shards.iter().flat_map(|shard| shard.lock().tick(is_last)).collect()
    }
}

/// Puts the outcomes of the parts of a batch together, with rows in the order of the batch.
fn merge(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut merged = Outcome::default();
    let mut emitted: BTreeMap<usize, Vec<Batch>> = BTreeMap::new();
    let mut failed = Vec::new();
    for outcome in outcomes {
        let Outcome {
            emitted: own,
            children,
            failed: own_failed,
            dropped,
            parents,
            combined,
            held,
            made,
            copied,
            counts,
            ended,
            returned,
        } = outcome;
        own.into_iter().for_each(|(port, batch)| emitted.entry(port).or_default().push(batch));
        for (port, mut children) in children {
            // As events that rows became, like those of combined rows.
            merged.combined += children.remaining();
            emitted.entry(port).or_default().extend(std::iter::from_fn(|| children.next_batch(usize::MAX)));
        }
        failed.extend(own_failed);
        for (code, rows) in dropped {
            match merged.dropped.iter_mut().find(|(known, _)| *known == code) {
                Some((_, sum)) => *sum += rows,
                None => merged.dropped.push((code, rows)),
            }
        }
        merged.parents += parents;
        merged.combined += combined;
        merged.held += held;
        merged.copied += copied;
        merged.made.extend(made);
        merged.counts.extend(counts);
        merged.ended.extend(ended);
        merged.returned += returned;
    }
    let mut together = |parts: Vec<Batch>| {
        let rows: usize = parts.iter().map(Batch::rows).sum();
        Batch::merge(parts).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot put a batch together; its source sends it again");
            merged.returned += rows;
            None
        })
    };
    let emitted: Vec<(usize, Batch)> =
        emitted.into_iter().filter_map(|(port, parts)| Some((port, together(parts)?))).collect();
    let failed = together(failed);
    merged.emitted = emitted;
    merged.failed = failed;
    vec![merged]
}
