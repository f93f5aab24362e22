//! The clock of the reading thread. A test can run the reader in its own thread with simulated
//! time, and act while the reader waits.

use std::time::{Duration, Instant, SystemTime};

/// Returns the current time.
pub(super) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = fake::now() {
        return now;
    }
    Instant::now()
}

/// Returns the time since an instant.
pub(super) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// Returns the current time of the file system.
pub(super) fn wall() -> SystemTime {
    #[cfg(test)]
    if let Some(wall) = fake::wall() {
        return wall;
    }
    SystemTime::now()
}

#[cfg(test)]
pub(super) mod fake {
    use std::cell::{Cell, RefCell};
    use std::time::{Duration, Instant, SystemTime};

    type OnWait = Box<dyn FnMut()>;

    thread_local! {
        /// Start of the simulated time, and the elapsed part of it.
        static NOW: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
        static ON_WAIT: RefCell<Option<OnWait>> = const { RefCell::new(None) };
    }

    pub(super) fn now() -> Option<Instant> {
        NOW.get().map(|(start, passed)| start + passed)
    }

    /// Returns the elapsed simulated time.
    pub(in crate::file) fn passed() -> Duration {
        NOW.get().map(|(_, passed)| passed).unwrap_or_default()
    }

    /// Returns the time for new files.
    pub(in crate::file) fn wall() -> Option<SystemTime> {
        NOW.get().map(|(_, passed)| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + passed)
    }

    /// Runs a closure in this thread with a time that passes only during waits. Each wait
    /// calls `on_wait`.
    pub(in crate::file) fn run<T>(on_wait: impl FnMut() + 'static, run: impl FnOnce() -> T) -> T {
        NOW.set(Some(NOW.get().unwrap_or_else(|| (Instant::now(), Duration::ZERO))));
        ON_WAIT.set(Some(Box::new(on_wait)));
        let result = run();
        ON_WAIT.set(None);
        result
    }

    /// Waits in simulated time, if there is one; returns whether there is.
    pub(in crate::file) fn wait(longest: Duration) -> bool {
        let Some((start, passed)) = NOW.get() else { return false };
        NOW.set(Some((start, passed + longest)));
        let on_wait = ON_WAIT.take();
        if let Some(mut on_wait) = on_wait {
            on_wait();
            ON_WAIT.set(Some(on_wait));
        }
        true
    }
}
