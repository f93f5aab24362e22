//! How many requests run at the same time: a fixed number, or as many as the server takes without slowing down.
//!
//! The adaptive limit is that of TCP (additive increase, multiplicative decrease), with the rules of the adaptive request
//! concurrency of Vector: while all places are taken and responses are as fast as before, the limit grows by one; when the
//! server turns requests away, or responses become slower than their usual variation, it falls by a tenth. It changes once
//! in the time of a response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::server::Concurrency;

/// Weight of the latest responses in the average of all.
const WEIGHT: f64 = 0.4;
/// Standard deviations above the average from which responses are slow.
const DEVIATIONS: f64 = 2.5;
/// The part of the average above which responses are not as fast as before, and from which they can be slow.
const FAST: f64 = 0.01;
const SLOW: f64 = 0.05;
/// The limit after a decrease, as a part of the one before.
const DECREASE: f64 = 0.9;

/// The requests that may run at the same time.
#[derive(Debug)]
pub(super) struct Limit {
    state: Mutex<State>,
    freed: Notify,
    /// Bytes of accepted requests that wait for a confirmation.
    unconfirmed: AtomicUsize,
}

#[derive(Debug)]
struct State {
    limit: usize,
    active: usize,
    /// `None` for a fixed limit.
    control: Option<Control>,
}

/// What the adaptive limit has measured, in seconds.
#[derive(Debug)]
struct Control {
    max: usize,
    /// Average and variance of the times of responses; no average before the first.
    average: Option<f64>,
    variance: f64,
    /// Sum and number of the times since the last change.
    sum: f64,
    responses: u32,
    /// Whether the server turned a request away since the last change.
    refused: bool,
    /// Whether all places were taken since the last change.
    reached: bool,
    /// When the next change is due.
    next: Option<Instant>,
}

impl Limit {
    pub(super) fn new(concurrency: Concurrency) -> Arc<Self> {
        let (limit, control) = match concurrency {
            Concurrency::Fixed(limit) => (limit, None),
            Concurrency::Adaptive { initial, max } => (initial.min(max), Some(Control::new(max))),
        };
        let state = Mutex::new(State { limit, active: 0, control });
        Arc::new(Self { state, freed: Notify::new(), unconfirmed: AtomicUsize::new(0) })
    }

    /// A place for a request, if one is free.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Slot> {
        self.take().then(|| Slot { limit: self.clone(), is_active: true, unconfirmed: 0 })
    }

    fn take(&self) -> bool {
        let mut state = self.state.lock();
        let is_free = state.active < state.limit;
        state.active += usize::from(is_free);
        is_free
    }

    /// Whether a place is free.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.active < state.limit
    }

    /// Bytes of accepted requests that wait for a confirmation.
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.load(Ordering::Acquire)
    }

    /// Resolves when a place or unconfirmed bytes become free after this call.
    pub(super) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.freed.notified()
    }
}

/// The right to run a request. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Slot {
    limit: Arc<Limit>,
    is_active: bool,
    unconfirmed: usize,
}

impl Slot {
    /// Frees the place while an accepted request of so many bytes waits for its confirmation.
    pub(super) fn release(&mut self, bytes: usize) {
        if std::mem::take(&mut self.is_active) {
            self.limit.state.lock().active -= 1;
        }
        self.unconfirmed += bytes;
        self.limit.unconfirmed.fetch_add(bytes, Ordering::AcqRel);
        self.limit.freed.notify_waiters();
    }

    /// Takes a place again, when one becomes free, unless this is one.
    pub(super) async fn reacquire(&mut self) {
        self.limit.unconfirmed.fetch_sub(std::mem::take(&mut self.unconfirmed), Ordering::AcqRel);
        while !self.is_active {
            let freed = self.limit.freed();
            tokio::pin!(freed);
            // Before the check, so that a place that becomes free in between is not missed.
            freed.as_mut().enable();
            self.is_active = self.limit.take();
            if !self.is_active {
                freed.await;
            }
        }
    }

    /// Records a response after this time, or that the server turned the request away.
    pub(super) fn observe(&self, elapsed: Duration, refused: bool) {
        let mut state = self.limit.state.lock();
        let (limit, active) = (state.limit, state.active);
        let Some(control) = &mut state.control else { return };
        control.reached |= active >= limit;
        control.observe(elapsed, refused);
        let Some(changed) = control.change(limit, Instant::now()) else { return };
        state.limit = changed;
        drop(state);
        self.limit.freed.notify_waiters();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_active {
            self.limit.state.lock().active -= 1;
        }
        self.limit.unconfirmed.fetch_sub(self.unconfirmed, Ordering::AcqRel);
        self.limit.freed.notify_waiters();
    }
}

impl Control {
    const fn new(max: usize) -> Self {
        Self { max, average: None, variance: 0.0, sum: 0.0, responses: 0, refused: false, reached: false, next: None }
    }

    fn observe(&mut self, elapsed: Duration, refused: bool) {
        if refused {
            self.refused = true;
        } else {
            self.sum += elapsed.as_secs_f64();
            self.responses += 1;
        }
    }

    /// The limit from now on, if a change is due.
    fn change(&mut self, limit: usize, now: Instant) -> Option<usize> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let current = (self.responses > 0).then(|| self.sum / f64::from(self.responses));
        let average = self.average.or(current).unwrap_or_default();
        let time = current.unwrap_or(average);
        let is_slow = time > average + (DEVIATIONS * self.variance.sqrt()).max(SLOW * average);
        let changed = if self.refused || is_slow {
            // `as` truncates, so that every decrease is at least one.
            ((limit as f64 * DECREASE) as usize).max(1)
        } else if self.reached && time <= average * (1.0 + FAST) {
            (limit + 1).min(self.max)
        } else {
            limit
        };
        let distance = time - average;
        self.average = Some(average + WEIGHT * distance);
        self.variance = (1.0 - WEIGHT) * (self.variance + WEIGHT * distance * distance);
        (self.sum, self.responses, self.refused, self.reached) = (0.0, 0, false, false);
        self.next = Some(now + Duration::from_secs_f64(self.average.unwrap_or_default()));
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits after each of these rounds: all places are taken, and `server` says how long a response takes with so many
    /// requests, or that it turns some away.
    fn limits(initial: usize, max: usize, rounds: usize, server: impl Fn(usize) -> Result<f64, ()>) -> Vec<usize> {
        let mut control = Control::new(max);
        let (mut limit, mut now) = (initial, Instant::now());
        let round = |_| {
            control.reached = true;
            for _ in 0..limit {
                match server(limit) {
                    Ok(time) => control.observe(Duration::from_secs_f64(time), false),
                    Err(()) => control.observe(Duration::ZERO, true),
                }
            }
            now += Duration::from_secs(10);
            limit = control.change(limit, now).unwrap();
            limit
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn the_limit_grows_to_its_maximum_while_the_server_keeps_up() {
        assert_eq!(limits(1, 20, 30, |_| Ok(0.05)).last(), Some(&20));
        assert_eq!(limits(1, 3, 3, |_| Ok(0.05)), [2, 3, 3]);
    }

    #[test]
    fn the_limit_stays_near_what_the_server_accepts() {
        let found = limits(1, 100, 200, |now| if now > 10 { Err(()) } else { Ok(0.05) });
        assert!(found[50..].iter().all(|limit| (8..=11).contains(limit)), "{found:?}");
        assert_eq!(limits(20, 100, 40, |_| Err(())).last(), Some(&1), "never below one");
    }

    #[test]
    fn the_limit_stays_near_what_the_server_handles_at_once() {
        // Beyond 12, requests wait for each other.
        let found = limits(1, 100, 300, |now| Ok(0.05 * (now as f64 / 12.0).max(1.0)));
        assert!(found[20..].iter().all(|limit| (11..=22).contains(limit)), "{found:?}");
        // All requests wait for each other.
        let found = limits(1, 100, 300, |now| Ok(0.05 * now as f64));
        assert!(found.iter().all(|limit| (1..=12).contains(limit)), "{found:?}");
    }

    #[test]
    fn the_limit_does_not_grow_while_places_are_free() {
        let mut control = Control::new(10);
        control.observe(Duration::from_millis(5), false);
        assert_eq!(control.change(4, Instant::now()), Some(4));
        control.observe(Duration::from_millis(5), false);
        assert_eq!(control.change(4, Instant::now()), None, "one change in the time of a response");
    }

    #[tokio::test]
    async fn a_place_is_free_while_a_request_waits_for_its_confirmation() {
        let limit = Limit::new(Concurrency::Fixed(1));
        let mut first = limit.try_acquire().unwrap();
        assert!(limit.try_acquire().is_none() && !limit.has_room());
        first.release(7);
        assert_eq!(limit.unconfirmed(), 7);
        let second = limit.try_acquire().unwrap();
        let again = tokio::spawn(async move {
            first.reacquire().await;
            first
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!again.is_finished());
        drop(second);
        let first = again.await.unwrap();
        assert!((limit.unconfirmed(), limit.has_room()) == (0, false));
        drop(first);
        assert!(limit.has_room());
    }
}
