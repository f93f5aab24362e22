//! The newest events of each pipeline, for trials of packs on recent traffic.
//!
//! Each pipeline with events that may be shown has a ring: an equal part of the memory that the operator grants, so that
//! a busy pipeline takes nothing from a quiet one. A ring has copies of whole events at the *first* points at which they
//! may be shown ([`FirstPoints`]): behind the last mask, or the input where every event may be shown. A trial feeds them
//! to the same points of another version.
//!
//! # Invariants
//!
//! - A ring belongs to one version of its pipeline, of all pipelines before it, and of the policy. A generation with
//!   another one has another ring, and the former ring is closed: no event that former masks let pass stays.
//! - An event is copied only if the policy allows to show it at its point in its generation, as for a tap, and it is
//!   checked again when a trial takes it.
//! - A worker waits for nothing: it copies a bounded number of bytes per second, and drops a copy while another thread
//!   has the ring.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use wattle_api::TapPolicy;
use wattle_batch::Batch;
use wattle_plan::{FirstPoints, Masked, PipelinePlan, Plan, hex_digest};

use super::bucket::Bucket;
use super::sample::spread;
use super::{Point, Shared, Taps};

/// Bytes of events that workers copy per second, for all pipelines together. A copy takes about 1 ns a byte, so this is
/// below 1 % of one core.
const BYTES_PER_SECOND: u64 = 4 << 20;
/// Events that workers copy per second, for all pipelines together, since a copy also takes about 1 µs for each event.
const EVENTS_PER_SECOND: u64 = 4000;
/// What an event counts in addition to its bytes.
const EVENT_BYTES: u64 = BYTES_PER_SECOND / EVENTS_PER_SECOND;

/// Where events enter a pipeline. The names are the same in other versions of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Before the first node.
    Input,
    /// Behind a port of a node.
    Port {
        /// The node.
        node: Arc<str>,
        /// The port.
        port: Arc<str>,
    },
}

impl Entry {
    /// The index of the node and of its port, or `None` for the input.
    ///
    /// # Errors
    ///
    /// The version has no such port.
    pub fn find(&self, version: &PipelinePlan) -> Result<Option<(usize, usize)>, NoEntry> {
        let Self::Port { node, port } = self else { return Ok(None) };
        let at = version.nodes.iter().position(|known| *known.name == **node);
        let ports = at.and_then(|at| version.nodes.get(at)).map(|node| node.ports.as_slice()).unwrap_or_default();
        let found = at.zip(ports.iter().position(|known| *known.name == **port));
        found.map(Some).ok_or(NoEntry)
    }
}

/// `input`, or `NODE.PORT`.
impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input => f.write_str("input"),
            Self::Port { node, port } => write!(f, "{node}.{port}"),
        }
    }
}

/// A version of a pipeline has no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the version has no such port")]
pub struct NoEntry;

/// Events that passed a point at the same time.
#[derive(Debug)]
pub struct RecentEvents {
    /// Where they were, and where they enter a trial.
    pub entry: Entry,
    /// When they passed.
    pub at: SystemTime,
    /// The generation that processed them.
    pub generation: u64,
    is_masked: bool,
    /// The events, without an acknowledgement.
    pub batch: Batch,
}

/// The newest events of one pipeline. It is empty after a swap to other masks.
#[derive(Clone)]
pub struct Recent(Arc<Ring>);

impl Recent {
    /// The events that may be shown now, the oldest first. They share their memory with what the agent keeps.
    pub fn list(&self) -> Vec<RecentEvents> {
        self.0.list()
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

/// Why there are no recent events of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecentError {
    /// The operator grants no memory.
    #[error(
        "this agent keeps no recent events; set `recent`, such as `recent = \"8MiB\"`, in [admin], and `tap` to \
         \"masked\" or \"all\""
    )]
    Off,
    /// There is no such pipeline.
    #[error("no pipeline `{0}` runs")]
    NoPipeline(String),
    /// No event of the pipeline may be shown.
    #[error(
        "this agent keeps no events of `{0}`, because none of them has passed every mask before it leaves the pipeline; \
         to keep unmasked events as well, set `tap = \"all\"` in [admin]"
    )]
    Hidden(String),
}

/// The newest events of one pipeline.
pub(crate) struct Ring {
    shared: Arc<Shared>,
    max_bytes: usize,
    rate: Bucket,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    is_closed: bool,
    bytes: usize,
    /// The oldest first.
    events: VecDeque<(RecentEvents, usize)>,
}

impl Ring {
    fn new(shared: Arc<Shared>, max_bytes: usize, pipelines: u64) -> Self {
        let rate = (BYTES_PER_SECOND / pipelines.max(1)).max(1);
        Self { shared, max_bytes, rate: Bucket::new(rate, rate), kept: Mutex::default() }
    }

    /// Keeps copies of events that pass a point, as many as the rate lets through, spread over the batch.
    pub(super) fn offer(&self, point: &Point, entry: &Entry, batch: &Batch) {
        let rows = batch.rows();
        let now = self.shared.now();
        let available = self.rate.available(now);
        if rows == 0 || available == 0 || !self.shared.shows(point.is_masked) {
            return;
        }
        let average = batch.byte_len() as u64 / rows as u64 + EVENT_BYTES;
        let wanted = usize::try_from(available / average).unwrap_or(rows).clamp(1, rows);
        let (mut chosen, mut cost) = (Vec::with_capacity(wanted), 0);
        for row in spread(rows, wanted, self.shared.random()) {
            let size = batch.body().row(row).len() + batch.carried_bytes(row);
            // Sizes differ, so the average is not enough.
            if size <= self.max_bytes && (cost < available || chosen.is_empty()) {
                cost += size as u64 + EVENT_BYTES;
                chosen.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        if chosen.is_empty() || !self.rate.borrow(now, cost) {
            return;
        }
        let Ok(copy) = batch.copied(&chosen) else { return };
        let bytes = copy.held_bytes() + size_of::<(RecentEvents, usize)>();
        let (entry, at) = (entry.clone(), SystemTime::now());
        let events = RecentEvents { entry, at, generation: point.generation, is_masked: point.is_masked, batch: copy };
        if let Some(mut kept) = self.kept.try_lock() {
            kept.push(events, bytes, self.max_bytes);
        }
    }

    fn close(&self) {
        *self.kept.lock() = Kept { is_closed: true, ..Kept::default() };
    }

    /// Forgets what may not be shown any more.
    fn forget_hidden(&self) {
        let mut kept = self.kept.lock();
        kept.events.retain(|(events, _)| self.shared.shows(events.is_masked));
        kept.bytes = kept.events.iter().map(|(_, bytes)| bytes).sum();
    }

    /// The events, the oldest first. They share their memory with the ring.
    fn list(&self) -> Vec<RecentEvents> {
        let kept = self.kept.lock();
        let shown = kept.events.iter().filter(|(events, _)| self.shared.shows(events.is_masked));
        shown.map(|(events, _)| events.again()).collect()
    }
}

impl RecentEvents {
    fn again(&self) -> Self {
        Self { entry: self.entry.clone(), batch: self.batch.detached(), ..*self }
    }
}

impl Kept {
    fn push(&mut self, events: RecentEvents, bytes: usize, max_bytes: usize) {
        if self.is_closed || bytes > max_bytes {
            return;
        }
        while self.bytes + bytes > max_bytes
            && let Some((_, freed)) = self.events.pop_front()
        {
            self.bytes -= freed;
        }
        self.bytes += bytes;
        self.events.push_back((events, bytes));
    }
}

/// The rings of a generation, by pipeline.
#[derive(Clone, Default)]
pub(crate) struct Rings {
    is_granted: bool,
    /// With the identity of what decides about its events.
    rings: BTreeMap<String, (String, Arc<Ring>)>,
}

impl Rings {
    /// The ring of a pipeline, if it has one.
    pub(crate) fn get(&self, pipeline: &str) -> Option<&Arc<Ring>> {
        self.rings.get(pipeline).map(|(_, ring)| ring)
    }

    /// Closes the rings that the next generation does not have.
    pub(super) fn close_others(&self, next: &Self) {
        let is_kept = |name: &str, ring: &Arc<Ring>| next.get(name).is_some_and(|next| Arc::ptr_eq(next, ring));
        self.rings.iter().filter(|(name, (_, ring))| !is_kept(name, ring)).for_each(|(_, (_, ring))| ring.close());
    }

    pub(super) fn forget_hidden(&self) {
        self.rings.values().for_each(|(_, ring)| ring.forget_hidden());
    }
}

/// The first points of a version of the pipeline with this index at which the policy of the plan shows events.
pub(crate) fn first_points(plan: &Plan, masked: &Masked, index: usize, version: &PipelinePlan) -> FirstPoints {
    match plan.agent.admin.as_ref().map(|admin| admin.tap).unwrap_or_default() {
        TapPolicy::Off => FirstPoints::default(),
        TapPolicy::Masked => FirstPoints::of(version, &masked.of_version(plan, index, version)),
        TapPolicy::All => FirstPoints::of_all(version),
    }
}

/// What decides whether events of a pipeline are masked: all versions of it and of the pipelines before it, its first
/// points, and the policy.
fn identity(plan: &Plan, index: usize, first: &FirstPoints) -> String {
    let (mut open, mut seen, mut parts) = (vec![index], vec![index], Vec::new());
    while let Some(pipeline) = open.pop().and_then(|index| plan.pipelines.get(index)) {
        parts.push(pipeline.name.clone());
        parts.extend(pipeline.versions().map(PipelinePlan::fingerprint));
        for (before, output) in &pipeline.inputs {
            parts.push(format!("{before}.{output}"));
            if !seen.contains(before) {
                seen.push(*before);
                open.push(*before);
            }
        }
    }
    let policy = plan.agent.admin.as_ref().map(|admin| admin.tap);
    hex_digest(format!("{policy:?} {first:?} {}", parts.join("\n")).as_bytes())
}

impl Taps {
    /// The rings of a generation that is built. Pipelines that stay as they are keep theirs.
    pub(crate) fn rings(&self, plan: &Plan, masked: &Masked) -> Rings {
        let granted = plan.agent.admin.as_ref().map_or(0, |admin| admin.recent_bytes);
        let is_off = plan.agent.admin.as_ref().is_some_and(|admin| admin.tap == TapPolicy::Off);
        if granted == 0 || is_off {
            return Rings::default();
        }
        let first = plan.pipelines.iter().enumerate().map(|(index, pipeline)| {
            let first = first_points(plan, masked, index, pipeline);
            (index, pipeline, first)
        });
        let shown: Vec<_> = first.filter(|(_, _, first)| !first.is_empty()).collect();
        let count = shown.len().max(1) as u64;
        let max_bytes = usize::try_from(granted / count).unwrap_or(usize::MAX);
        let running = self.registry.lock().layout.rings.clone();
        let ring = |(index, pipeline, first): (usize, &PipelinePlan, FirstPoints)| {
            let identity = identity(plan, index, &first);
            let known = running.rings.get(&pipeline.name);
            let known = known.filter(|(known, ring)| *known == identity && ring.max_bytes == max_bytes);
            let ring = match known {
                Some((_, ring)) => ring.clone(),
                None => Arc::new(Ring::new(self.shared.clone(), max_bytes, count)),
            };
            (pipeline.name.clone(), (identity, ring))
        };
        Rings { is_granted: true, rings: shown.into_iter().map(ring).collect() }
    }

    /// Where the newest events of a pipeline are.
    ///
    /// # Errors
    ///
    /// The operator grants no memory, or the pipeline has no events that may be shown.
    pub fn recent(&self, pipeline: &str) -> Result<Recent, RecentError> {
        let layout = self.registry.lock().layout.clone();
        if !layout.rings.is_granted || self.policy() == TapPolicy::Off {
            return Err(RecentError::Off);
        }
        if !layout.has_pipeline(pipeline) {
            return Err(RecentError::NoPipeline(pipeline.to_owned()));
        }
        let ring = layout.rings.get(pipeline).ok_or_else(|| RecentError::Hidden(pipeline.to_owned()))?;
        Ok(Recent(ring.clone()))
    }

    /// The pipelines whose recent events are kept.
    pub fn recent_pipelines(&self) -> Vec<String> {
        self.registry.lock().layout.rings.rings.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
