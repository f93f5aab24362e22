//! How many objects are read at the same time: as many as make the source faster.
//!
//! The time until a store responds is the least while nothing waits for the processor, the network or the
//! store. If it stays near that, another object at a time is worth a try; if it is twice as long, objects wait
//! for each other, and fewer of them need less memory. TCP Vegas finds its window in this way (Brakmo and
//! Peterson, 1995).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The level at the start, and the lowest one.
const LOWEST: usize = 4;
/// Responses of the one store can differ by this much without a load.
const TOLERANCE: Duration = Duration::from_millis(2);
/// Weight of a new response in the mean.
const WEIGHT: f64 = 0.2;
/// Responses after which the source begins with the lowest level again, because the way to the store can change: the least
/// time is only seen while few objects are read.
const EPOCH: usize = 10_000;

/// The permits to read objects, as many as the level.
pub(super) struct Level {
    permits: Arc<Semaphore>,
    highest: usize,
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
    /// Mean time of a response, in seconds.
    mean: Option<f64>,
    /// The least time of a response in this epoch.
    least: f64,
    /// Responses in this epoch, and since the last change.
    in_epoch: usize,
    since_change: usize,
}

impl Level {
    /// Creates a level of at most `highest`.
    pub(super) fn new(highest: usize) -> Arc<Self> {
        let level = highest.min(LOWEST);
        let state =
            State { level, owed: 0, is_fixed: false, mean: None, least: f64::INFINITY, in_epoch: 0, since_change: 0 };
        Arc::new(Self { permits: Arc::new(Semaphore::new(level)), highest, state: Mutex::new(state) })
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

    /// The store responded after this time.
    pub(super) fn responded(&self, after: Duration) {
        let after = after.as_secs_f64();
        let mut state = self.state.lock();
        state.in_epoch += 1;
        if state.in_epoch > EPOCH && !state.is_fixed {
            let fewer = state.level.saturating_sub(LOWEST);
            self.lower(&mut state, fewer);
            (state.in_epoch, state.since_change) = (0, 0);
            (state.mean, state.least) = (None, f64::INFINITY);
        }
        state.least = state.least.min(after);
        let mean = state.mean.map_or(after, |mean| mean + WEIGHT * (after - mean));
        state.mean = Some(mean);
        state.since_change += 1;
        // A change shows in the responses to what began after it.
        if state.is_fixed || state.since_change < 2 * state.level {
            return;
        }
        let excess = (mean - TOLERANCE.as_secs_f64()) / state.least;
        if excess > 2.0 && state.level > LOWEST {
            self.lower(&mut state, 1);
        } else if excess < 1.5 && state.level < self.highest {
            state.level += 1;
            match state.owed {
                0 => self.permits.add_permits(1),
                _ => state.owed -= 1,
            }
        } else {
            return;
        }
        state.since_change = 0;
        tracing::debug!(objects = state.level, "changed how many objects are read at the same time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that serves so many objects at a time, each in 30 ms, and lets others wait. Returns the level in the end.
    fn level_for(capacity: usize, highest: usize) -> usize {
        let level = Level::new(highest);
        for _ in 0..EPOCH {
            let now = level.state.lock().level;
            let rounds = u32::try_from(now.div_ceil(capacity)).unwrap();
            level.responded(Duration::from_millis(30) * rounds);
        }
        let state = level.state.lock();
        assert_eq!(level.permits.available_permits(), state.level);
        state.level
    }

    #[test]
    fn the_level_is_what_the_store_serves_at_once() {
        assert_eq!(level_for(1_000, 16), 16);
        let found = level_for(10, 64);
        assert!((8..=12).contains(&found), "{found}");
        // The least time is that of the lowest level, which is four times as long here.
        let found = level_for(1, 64);
        assert!((LOWEST..=2 * LOWEST).contains(&found), "{found}");
        assert_eq!(level_for(1_000, 2), 2);
    }

    #[tokio::test]
    async fn permits_in_use_are_taken_back_when_they_are_released() {
        let level = Level::new(8);
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
