//! A place at which events can be seen, as the data path uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use wattle_batch::Batch;

use super::recent::{Entry, Ring};
use super::subscription::Tap;
use super::trace::Traces;

/// Who watches the points with one name, over all generations.
#[derive(Default)]
pub(super) struct PointState {
    pub(super) name: Arc<str>,
    /// Whether there are any.
    is_watched: AtomicBool,
    taps: ArcSwap<Vec<Arc<Tap>>>,
}

impl PointState {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, ..Self::default() }
    }

    /// The caller holds the lock of the registry.
    pub(super) fn attach(&self, tap: &Arc<Tap>) {
        self.set(|taps| taps.push(tap.clone()));
    }

    pub(super) fn detach(&self, tap: &Arc<Tap>) {
        self.set(|taps| taps.retain(|other| !Arc::ptr_eq(other, tap)));
    }

    fn set(&self, change: impl FnOnce(&mut Vec<Arc<Tap>>)) {
        let mut taps = Vec::clone(&self.taps.load());
        change(&mut taps);
        let is_watched = !taps.is_empty();
        self.taps.store(Arc::new(taps));
        self.is_watched.store(is_watched, Ordering::Release);
    }
}

/// A point of one generation.
pub(crate) struct Point {
    state: Arc<PointState>,
    pub(super) generation: u64,
    /// Whether its events are masked in this generation.
    pub(crate) is_masked: bool,
    /// Where copies of its newest events go.
    recent: Option<(Arc<Ring>, Entry)>,
}

impl Point {
    pub(super) fn new(state: Arc<PointState>, generation: u64, is_masked: bool) -> Self {
        Self { state, generation, is_masked, recent: None }
    }

    /// The same point, whose newest events are kept.
    pub(crate) fn keeping(self, ring: &Arc<Ring>, entry: Entry) -> Self {
        Self { recent: Some((ring.clone(), entry)), ..self }
    }

    /// A point without a name, which can never be watched, as in a shadow.
    pub(crate) fn unseen() -> Self {
        Self::new(Arc::default(), 0, false)
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.state.name
    }

    /// Whether someone takes copies of its events.
    pub(crate) fn is_watched(&self) -> bool {
        self.state.is_watched.load(Ordering::Relaxed) || self.recent.is_some()
    }

    /// A batch passes the point. Without a tap, a marked event or a ring, this costs three loads.
    #[inline]
    pub(crate) fn pass(&self, batch: &mut Batch, traces: &mut Traces) {
        if self.is_watched() || batch.is_marked() {
            self.observe(batch, traces);
        }
    }

    #[cold]
    fn observe(&self, batch: &mut Batch, traces: &mut Traces) {
        let taps = self.state.taps.load();
        for tap in taps.iter() {
            match tap.is_trace() {
                false => tap.offer(self, batch),
                true => tap.begin(self, batch, traces),
            }
        }
        traces.record(self, batch);
        if let Some((ring, entry)) = &self.recent {
            ring.offer(self, entry, batch);
        }
    }
}
