//! How many objects are read at the same time: as many as make the source faster.
//!
//! The time until a store responds is the least while nothing waits for the processor, the network or the
//! store. If it stays near that, more objects at a time are worth a try; if it is twice as long, objects wait
//! for each other, and fewer of them need less memory. TCP Vegas finds its window in this way (Brakmo and
//! Peterson, 1995). The times that are compared are medians of several responses: a single one that is very fast
//! or very slow says nothing about the load.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The level at the start, and the lowest one.
const LOWEST: usize = 4;
/// Responses of which a median is made.
const SAMPLE: usize = 32;
/// The part of the level by which it changes at a time: one in this many.
const STEP: usize = 8;
/// Responses after which the source begins with the lowest level again, because the way to the store can change: the least
/// time is only seen while few objects are read.
const EPOCH: usize = 10_000;

/// The permits to read objects, as many as the level.
pub(super) struct Level {
    permits: Arc<Semaphore>,
    highest: usize,
    source: Arc<str>,
    state: Mutex<State>,
}

/// The right to read an object. Dropping it lets another one begin, unless the level is lower by then.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    level: Arc<Level>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.level.state.lock();
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

struct State {
    level: usize,
    /// Permits beyond the level that are in use.
    owed: usize,
    /// No more changes: someone waits for all permits.
    is_fixed: bool,
    /// Responses to requests that began before the level changed, which say nothing about the new one.
    outdated: usize,
    /// Times of the responses since then.
    sample: Vec<Duration>,
    /// Whether the last median was twice as long as the least one. A second one in a row is no coincidence.
    was_slow: bool,
    /// The least median in this epoch.
    least: Duration,
    /// Responses in this epoch.
    in_epoch: usize,
}

impl Level {
    /// Creates a level of at most `highest` for the source with this name.
    pub(super) fn new(source: Arc<str>, highest: usize) -> Arc<Self> {
        let level = highest.min(LOWEST);
        let state = State {
            level,
            owed: 0,
            is_fixed: false,
            outdated: 0,
            sample: Vec::with_capacity(SAMPLE),
            was_slow: false,
            least: Duration::MAX,
            in_epoch: 0,
        };
        Arc::new(Self { permits: Arc::new(Semaphore::new(level)), highest, source, state: Mutex::new(state) })
    }

    /// Waits until another object may be read.
    pub(super) async fn acquire(self: &Arc<Self>) -> Slot {
        // The permits are never closed.
        let permit = self.permits.clone().acquire_owned().await.ok();
        Slot { permit, level: self.clone() }
    }

    /// Takes a slot if another object may be read now.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        Some(Slot { permit: Some(permit), level: self.clone() })
    }

    /// Waits until nothing is being read. The level stays as it is from now on.
    pub(super) async fn all(&self) {
        let all = {
            let mut state = self.state.lock();
            state.is_fixed = true;
            state.level + std::mem::take(&mut state.owed)
        };
        drop(self.permits.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await);
    }

    fn lower(&self, state: &mut State, by: usize) {
        state.level -= by;
        state.owed += by - self.permits.forget_permits(by);
    }

    fn raise(&self, state: &mut State, by: usize) {
        state.level += by;
        // Permits that were owed stay in use.
        let kept = state.owed.min(by);
        state.owed -= kept;
        self.permits.add_permits(by - kept);
    }

    /// The store responded after this time.
    pub(super) fn responded(&self, after: Duration) {
        let mut state = self.state.lock();
        if state.is_fixed {
            return;
        }
        state.in_epoch += 1;
        if state.in_epoch > EPOCH {
            let (level, fewer) = (state.level, state.level.saturating_sub(LOWEST));
            self.lower(&mut state, fewer);
            (state.in_epoch, state.least, state.outdated) = (0, Duration::MAX, level);
            state.sample.clear();
        }
        if state.outdated > 0 {
            state.outdated -= 1;
            return;
        }
        state.sample.push(after);
        if state.sample.len() < SAMPLE {
            return;
        }
        let (_, median, _) = state.sample.select_nth_unstable(SAMPLE / 2);
        let median = *median;
        state.sample.clear();
        state.least = state.least.min(median);
        let excess = median.as_secs_f64() / state.least.as_secs_f64().max(f64::MIN_POSITIVE);
        let (before, step) = (state.level, (state.level / STEP).max(1));
        let is_slow = excess > 2.0;
        let was_slow = std::mem::replace(&mut state.was_slow, is_slow);
        if is_slow && was_slow && before > LOWEST {
            self.lower(&mut state, step.min(before - LOWEST));
        } else if excess < 1.5 && before < self.highest {
            self.raise(&mut state, step.min(self.highest - before));
        } else {
            return;
        }
        state.outdated = before;
        tracing::debug!(
            source = %self.source, objects = state.level, response = ?median, least = ?state.least,
            "changed how many objects are read at the same time"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level in the end if each object is responded to after `response(level, number)`.
    fn level_after(highest: usize, response: impl Fn(usize, usize) -> Duration) -> usize {
        let level = Level::new("in".into(), highest);
        for number in 0..EPOCH {
            let now = level.state.lock().level;
            level.responded(response(now, number));
        }
        let state = level.state.lock();
        assert_eq!(level.permits.available_permits(), state.level);
        state.level
    }

    /// The level for a store that serves so many objects at a time, each in 30 ms, and lets others wait.
    fn level_for(capacity: usize, highest: usize) -> usize {
        level_after(highest, |now, _| Duration::from_millis(30) * u32::try_from(now.div_ceil(capacity)).unwrap())
    }

    #[test]
    fn requirement_15_the_level_is_what_the_store_serves_at_once() {
        assert_eq!(level_for(1_000, 16), 16);
        assert_eq!(level_for(1_000, 256), 256);
        let found = level_for(10, 64);
        assert!((8..=12).contains(&found), "{found}");
        // The least time is that of the lowest level, which is four times as long here.
        let found = level_for(1, 64);
        assert!((LOWEST..=2 * LOWEST).contains(&found), "{found}");
        assert_eq!(level_for(1_000, 2), 2);
    }

    #[test]
    fn requirement_15_a_near_store_that_slows_down_is_noticed() {
        // 0.3 ms at the lowest level, and longer with each object more, as where all wait for one processor.
        let found = level_after(64, |now, _| Duration::from_micros(75) * u32::try_from(now).unwrap());
        assert!((LOWEST..=2 * LOWEST).contains(&found), "{found}");
        // It becomes slower after the level rose.
        let found = level_after(64, |now, number| match number {
            ..2_000 => Duration::from_micros(300),
            _ => Duration::from_micros(30) * u32::try_from(now).unwrap(),
        });
        assert!((15..=20).contains(&found), "{found}");
    }

    #[test]
    fn requirement_15_single_responses_change_nothing() {
        for outlier in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(3)] {
            let response = |_, number| if number % 20 == 7 { outlier } else { Duration::from_millis(30) };
            assert_eq!(level_after(64, response), 64, "{outlier:?}");
        }
        // Times between 10 and 90 ms, without any load: the level leaves the highest one at most for moments.
        for seed in 0..20 {
            let random = Mutex::new(fastrand::Rng::with_seed(seed));
            let found = level_after(16, |_, _| Duration::from_micros(random.lock().u64(10_000..90_000)));
            assert!(found >= 12, "{found}");
        }
    }

    #[tokio::test]
    async fn permits_in_use_are_taken_back_when_they_are_released() {
        let level = Level::new("in".into(), 8);
        while level.state.lock().level < 8 {
            level.responded(Duration::from_millis(30));
        }
        let mut permits: Vec<_> = (0..8).map(|_| level.try_acquire().unwrap()).collect();
        assert!(level.try_acquire().is_none());
        while level.state.lock().level > LOWEST {
            level.responded(Duration::from_millis(900));
        }
        permits.drain(..4);
        assert!(level.try_acquire().is_none(), "four are in use, and the level is four");
        permits.pop();
        drop(level.acquire().await);
        let waiting = level.clone();
        let all = tokio::spawn(async move { waiting.all().await });
        drop(permits);
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap().unwrap();
    }
}
