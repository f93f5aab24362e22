//! Taps: an operator looks at events as they pass points of the graph, and follows single events through it.
//!
//! A *point* is `PIPELINE/input`, `PIPELINE/NODE.PORT` or `PIPELINE.OUTPUT`. A subscription names points, and stays with
//! them when a swap replaces the generation. Without a subscription, a point costs one relaxed load for each batch.
//!
//! # Invariants
//!
//! - No worker waits for a subscriber. A worker takes no lock here; what exceeds the rate, the search budget or the
//!   queue of a subscriber is skipped and counted.
//! - What workers spend on all subscribers together is bounded (`BUDGET_BYTES_PER_SECOND`), however many there are and
//!   whatever their filters.
//! - An event is shown only if the policy allows it at its point *in the generation that processed it*: each point of a
//!   generation knows whether its events are masked ([`wattle_plan::Masked`]), so a swap cannot race with a decision.
//!   Events that wait for a subscriber are checked again when the policy changes.
//! - A filter is compared only with events that may be shown: otherwise its result would reveal them.

mod bucket;
mod error;
mod failures;
mod filter;
mod layout;
mod point;
mod recent;
mod sample;
mod subscription;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
pub use wattle_api::TapPolicy;

pub use self::error::TapError;
pub use self::failures::{FailedSample, FailedSamples};
pub(crate) use self::failures::{FailureSamples, NodeSamples};
pub use self::filter::{Filter, FilterError};
use self::layout::Wanted;
pub(crate) use self::layout::{Layout, Place, PointInfo};
pub(crate) use self::point::Point;
pub(crate) use self::recent::first_points;
pub use self::recent::{Entry, NoEntry, Recent, RecentError, RecentEvents};
pub use self::subscription::{MAX_RATE, Subscription, TapOptions, TapReport, Tapped, Trace, TraceStep};
pub(crate) use self::trace::Traces;

use self::bucket::Bucket;
use self::point::PointState;
use self::subscription::Tap;

/// Maximum number of subscriptions.
pub const MAX_SUBSCRIPTIONS: usize = 64;
/// Bytes of events that workers search and encode per second for all subscriptions together. Either takes less than 2 ns
/// a byte, so this is below 2 % of one core.
const BUDGET_BYTES_PER_SECOND: u64 = 8 << 20;
/// Bytes that they may search and encode at once.
const BUDGET_BURST_BYTES: u64 = 4 << 20;

/// What workers and subscribers share.
pub(crate) struct Shared {
    policy: AtomicU8,
    budget: Bucket,
    since: Instant,
    seed: AtomicU64,
}

impl Shared {
    fn new() -> Self {
        Self {
            policy: AtomicU8::new(TapPolicy::default() as u8),
            budget: Bucket::new(BUDGET_BYTES_PER_SECOND, BUDGET_BURST_BYTES),
            since: Instant::now(),
            seed: AtomicU64::new(0),
        }
    }

    fn policy(&self) -> TapPolicy {
        match self.policy.load(Ordering::Acquire) {
            0 => TapPolicy::Off,
            1 => TapPolicy::Masked,
            _ => TapPolicy::All,
        }
    }

    /// Whether events may be shown at a point with masked events, or with others.
    pub(crate) fn shows(&self, is_masked: bool) -> bool {
        match self.policy() {
            TapPolicy::Off => false,
            TapPolicy::Masked => is_masked,
            TapPolicy::All => true,
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A number that looks random.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        sample::mix(self.seed.fetch_add(STEP, Ordering::Relaxed))
    }
}

/// The points of the running generation, and who watches them.
#[derive(Default)]
struct Registry {
    states: BTreeMap<Arc<str>, Arc<PointState>>,
    layout: Arc<Layout>,
    entries: Vec<Watcher>,
}

/// A subscription.
struct Watcher {
    tap: Arc<Tap>,
    wanted: Vec<Wanted>,
    attached: Vec<Arc<PointState>>,
}

/// All taps of a topology. Clones share them.
#[derive(Clone)]
pub struct Taps {
    shared: Arc<Shared>,
    registry: Arc<Mutex<Registry>>,
    failures: FailureSamples,
}

impl Default for Taps {
    fn default() -> Self {
        let shared = Arc::new(Shared::new());
        Self { failures: FailureSamples::new(shared.clone()), shared, registry: Arc::default() }
    }
}

impl Taps {
    /// What may be shown.
    pub fn policy(&self) -> TapPolicy {
        self.shared.policy()
    }

    /// Changes what may be shown, also to those who watch already.
    pub fn set_policy(&self, policy: TapPolicy) {
        self.shared.policy.store(policy as u8, Ordering::Release);
        let mut registry = self.registry.lock();
        registry.follow(&self.shared);
        registry.layout.rings.forget_hidden();
    }

    /// Whether an event may be shown; see [`Shared::shows`].
    pub fn shows(&self, is_masked: bool) -> bool {
        self.shared.shows(is_masked)
    }

    /// Samples of failed events, as far as they may be shown.
    pub fn failures(&self) -> Vec<FailedSamples> {
        self.failures.list()
    }

    /// Watches events at points.
    ///
    /// # Errors
    ///
    /// A point does not exist, or its events may not be shown; or there are too many subscriptions.
    pub fn subscribe(&self, options: &TapOptions) -> Result<Subscription, TapError> {
        self.open(options, false)
    }

    /// Follows events through the graph. They begin at the points of the options: a point, or a pipeline for its input, or
    /// every input without points. With a filter, a pipeline stands for its first points whose events may be shown.
    ///
    /// # Errors
    ///
    /// As [`Self::subscribe`]; without a filter, an event may begin where it may not be shown.
    pub fn trace(&self, options: &TapOptions) -> Result<Subscription, TapError> {
        self.open(options, true)
    }

    fn open(&self, options: &TapOptions, is_trace: bool) -> Result<Subscription, TapError> {
        if self.policy() == TapPolicy::Off {
            return Err(TapError::Off);
        }
        let mut registry = self.registry.lock();
        let layout = registry.layout.clone();
        let wanted = layout.want(&options.points, is_trace, !options.filters.is_empty())?;
        let needs_sight = !is_trace || !options.filters.is_empty();
        for wanted in &wanted {
            let found = layout.resolve(wanted, &self.shared);
            let hidden = |point: &&PointInfo| needs_sight && !self.shared.shows(point.is_masked);
            if found.iter().all(hidden) {
                return Err(layout.hidden(wanted));
            }
        }
        if registry.entries.len() >= MAX_SUBSCRIPTIONS {
            return Err(TapError::TooMany);
        }
        let (tap, queue) = Tap::new(self.shared.clone(), options, is_trace);
        let tap = Arc::new(tap);
        registry.entries.push(Watcher { tap: tap.clone(), wanted, attached: Vec::new() });
        registry.follow(&self.shared);
        Ok(Subscription::new(self.clone(), tap, queue, options.limit))
    }

    fn close(&self, tap: &Arc<Tap>) {
        let mut registry = self.registry.lock();
        let Some(place) = registry.entries.iter().position(|entry| Arc::ptr_eq(&entry.tap, tap)) else { return };
        let entry = registry.entries.swap_remove(place);
        entry.attached.iter().for_each(|state| state.detach(tap));
        registry.prune();
    }

    /// Points that a subscription wants and that do not exist, and points whose events may not be shown.
    fn unseen(&self, tap: &Arc<Tap>) -> (Vec<String>, Vec<String>) {
        let registry = self.registry.lock();
        let Some(entry) = registry.entries.iter().find(|entry| Arc::ptr_eq(&entry.tap, tap)) else {
            return Default::default();
        };
        let (mut missing, mut hidden) = (Vec::new(), Vec::new());
        for wanted in &entry.wanted {
            let found = registry.layout.resolve(wanted, &self.shared);
            if found.is_empty() {
                missing.push(wanted.name().to_owned());
            }
            let is_hidden = |point: &&&PointInfo| !self.shared.shows(point.is_masked);
            hidden.extend(found.iter().filter(is_hidden).map(|point| point.name.to_string()));
        }
        (missing, hidden)
    }

    /// The point with this name in a generation that is built.
    pub(crate) fn point(&self, name: &str, generation: u64, is_masked: bool) -> Point {
        let mut registry = self.registry.lock();
        Point::new(registry.state(name), generation, is_masked)
    }

    /// The samples of failures of a node.
    pub(crate) fn samples(&self, pipeline: &str, node: &str) -> Arc<NodeSamples> {
        self.failures.node(pipeline, node)
    }

    /// The generation with these points runs, and its configuration has this policy. Subscriptions follow to points with
    /// the same names.
    pub(crate) fn begin(&self, layout: Layout, policy: TapPolicy) {
        self.shared.policy.store(policy as u8, Ordering::Release);
        self.failures.retain(|pipeline, node| layout.has_node(pipeline, node));
        let mut registry = self.registry.lock();
        registry.layout.rings.close_others(&layout.rings);
        registry.layout = Arc::new(layout);
        registry.follow(&self.shared);
        registry.prune();
    }
}

impl Registry {
    fn state(&mut self, name: &str) -> Arc<PointState> {
        if let Some(known) = self.states.get(name) {
            return known.clone();
        }
        let state = Arc::new(PointState::new(name.into()));
        self.states.insert(state.name.clone(), state.clone());
        state
    }

    /// Attaches each subscription to the points that it wants now.
    fn follow(&mut self, shared: &Shared) {
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            let layout = self.layout.clone();
            let names = entry.wanted.iter().flat_map(|wanted| layout.resolve(wanted, shared)).map(|point| &point.name);
            let mut attached: Vec<Arc<PointState>> = Vec::new();
            for name in names {
                let state = self.state(name);
                if !attached.iter().any(|other| Arc::ptr_eq(other, &state)) {
                    attached.push(state);
                }
            }
            let is_in = |all: &[Arc<PointState>], state: &Arc<PointState>| all.iter().any(|s| Arc::ptr_eq(s, state));
            entry.attached.iter().filter(|old| !is_in(&attached, old)).for_each(|old| old.detach(&entry.tap));
            attached.iter().filter(|new| !is_in(&entry.attached, new)).for_each(|new| new.attach(&entry.tap));
            entry.attached = attached;
        }
        self.entries = entries;
    }

    /// Forgets points that no generation has any more.
    fn prune(&mut self) {
        self.states.retain(|_, state| Arc::strong_count(state) > 1);
    }
}

#[cfg(test)]
mod tests;
