//! Keeps clients that fail repeatedly from flooding the log.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one log line pass in each period, and counts the others.
pub struct LogLimit {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quiet_until: Option<Instant>,
    not_logged: u64,
}

impl LogLimit {
    /// `pause` is the minimum time between two lines.
    pub fn new(pause: Duration) -> Self {
        Self { pause, state: Mutex::default() }
    }

    /// Returns how many lines were left out before this one; `None` to leave out this one as well.
    pub fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.quiet_until.is_some_and(|until| until > now) {
            state.not_logged += 1;
            return None;
        }
        state.quiet_until = Some(now + self.pause);
        Some(std::mem::take(&mut state.not_logged))
    }
}
