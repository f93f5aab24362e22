//! The time of the timers of nodes: the clock of the machine, but it never goes back.
//!
//! If the clock is set back, the time continues at half speed until the clock has caught up. So windows
//! still end, and none has the time of an earlier one. All nodes of the agent share the time, also over
//! a reload.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A jump of the clock from which it is reported. Smaller ones are corrections of a running clock.
const REPORTED: Duration = Duration::from_secs(10);

/// The time of timers in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    static TIME: Mutex<Option<Time>> = Mutex::new(None);
    let mut time = TIME.lock();
    // Read under the lock: a thread that waits for it must not bring an older time.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (clock, at) = (i64::try_from(since.as_nanos()).unwrap_or(i64::MAX), Instant::now());
    let time = time.get_or_insert(Time { now: clock, clock, at });
    match time.advance(clock, at) {
        Some(Jump::Forward(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock of the machine was set forward; windows of nodes whose time it skipped end now"
        ),
        Some(Jump::Back(by)) => tracing::warn!(
            seconds = by.as_secs(),
            "the clock of the machine was set back; the time of nodes continues at half speed until the clock has \
             caught up"
        ),
        None => {}
    }
    time.now
}

/// The time at the last reading.
struct Time {
    now: i64,
    clock: i64,
    at: Instant,
}

/// A jump of the clock.
#[derive(Debug, PartialEq, Eq)]
enum Jump {
    Forward(Duration),
    Back(Duration),
}

impl Time {
    /// Moves on to a reading of the clock. Returns a jump that must be reported.
    fn advance(&mut self, clock: i64, at: Instant) -> Option<Jump> {
        let passed = at.saturating_duration_since(self.at);
        let nanos = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX);
        let jump = clock.saturating_sub(self.clock.saturating_add(nanos));
        self.now = clock.max(self.now.saturating_add(nanos / 2));
        (self.clock, self.at) = (clock, at);
        let by = Duration::from_nanos(jump.unsigned_abs());
        let is_back = jump < 0;
        (by >= REPORTED).then_some(if is_back { Jump::Back(by) } else { Jump::Forward(by) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_time_follows_the_clock_and_continues_at_half_speed_while_the_clock_is_behind() {
        let start = Instant::now();
        let mut time = Time { now: 100 * SECOND, clock: 100 * SECOND, at: start };
        let seconds = Duration::from_secs;
        for (after, clock, jump, now) in [
            (2, 102, None, 102),
            (3, 1103, Some(Jump::Forward(seconds(1000))), 1103),
            (4, 104, Some(Jump::Back(seconds(1000))), 1103),
            (24, 124, None, 1113),
            (34, 1118, Some(Jump::Forward(seconds(984))), 1118),
            (35, 1114, None, 1119),
            (37, 1116, None, 1120),
            (41, 1120, None, 1122),
            (44, 1123, None, 1123),
        ] {
            assert_eq!(time.advance(clock * SECOND, start + seconds(after)), jump, "after {after} s");
            assert_eq!(time.now / SECOND, now, "after {after} s");
        }
    }

    #[test]
    fn the_shared_time_never_goes_back() {
        let times: Vec<i64> = (0..1000).map(|_| now()).collect();
        assert!(times.is_sorted());
    }
}
