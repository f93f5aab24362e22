//! Rates of pipelines, from the counts of the last seconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use wattle_topology::Counts;

/// Time between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// Number of samples; a rate is the mean over as many intervals.
const NOTES: usize = 10;

/// Events and bytes that a pipeline received.
type Received = (u64, u64);

#[derive(Default)]
pub(crate) struct Rates {
    notes: VecDeque<(Instant, BTreeMap<String, Received>)>,
}

/// Events and bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) events: f64,
    pub(crate) bytes: f64,
}

impl Rates {
    /// Adds a sample of all pipelines.
    pub(crate) fn note(&mut self, now: Instant, counts: &Counts) {
        let received = counts.pipelines().into_iter().map(|(name, pipeline)| {
            let snapshot = pipeline.snapshot();
            (name, (snapshot.received, snapshot.received_bytes))
        });
        self.notes.push_back((now, received.collect()));
        if self.notes.len() > NOTES {
            self.notes.pop_front();
        }
    }

    /// The rate of a pipeline, from its current count.
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
    pub(crate) fn of(&self, pipeline: &str, now: Instant, (events, bytes): Received) -> Rate {
        let Some((then, received)) = self.notes.front() else { return Rate::default() };
        // A pipeline that is missing in the sample had not started.
        let (events_then, bytes_then) = received.get(pipeline).copied().unwrap_or_default();
        let seconds = now.saturating_duration_since(*then).as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        Rate {
            events: events.saturating_sub(events_then) as f64 / seconds,
            bytes: bytes.saturating_sub(bytes_then) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_rate_is_the_mean_of_the_last_seconds() {
        let (mut rates, counts, start) = (Rates::default(), Counts::default(), Instant::now());
        let second = |n: u64| start + Duration::from_secs(n);
        assert_eq!(rates.of("main", start, (5, 5)), Rate::default());
        for n in 0..30 {
            let events = if n == 0 { 0 } else { 100 };
            counts.pipeline("main").received.add(events, &mut wattle_topology::Balance::default());
            counts.pipeline("main").received_bytes.store(n * 1000, Ordering::Relaxed);
            rates.note(second(n), &counts);
        }
        assert_eq!(rates.of("main", second(30), (3000, 30_000)), Rate { events: 100.0, bytes: 1000.0 });
        assert_eq!(rates.of("new", second(30), (50, 0)).events, 5.0);
        assert_eq!(rates.notes.len(), NOTES);
    }
}
