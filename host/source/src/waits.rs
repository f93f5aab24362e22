//! What sources wait for. The agent then acts before its intervals: it takes snapshots of durable state,
//! which acknowledge events, and has sinks send incomplete batches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// Counts the sources that wait for acknowledgements. Clones share the count.
#[derive(Clone)]
pub struct Waits(Arc<All>);

struct All {
    waiting: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Waits {
    /// Creates a count of zero. `wake` is called whenever a source begins to wait.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(All { waiting: AtomicUsize::new(0), wake: Box::new(wake) }))
    }

    /// Whether a source waits for acknowledgements: it reads on, or ends, only after them.
    pub fn is_any(&self) -> bool {
        self.0.waiting.load(Ordering::Acquire) > 0
    }

    /// Begins a wait, which ends when the result is dropped.
    pub(crate) fn begin(&self) -> Wait {
        self.0.waiting.fetch_add(1, Ordering::AcqRel);
        (self.0.wake)();
        Wait(self.clone())
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Waits").field(&self.0.waiting).finish()
    }
}

/// A source that waits.
#[derive(Debug)]
pub(crate) struct Wait(Waits);

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The end of the input of a source. Clones share it.
#[derive(Clone, Debug)]
pub struct InputEnd(watch::Sender<bool>);

impl InputEnd {
    /// Creates the end of an input, and a receiver that becomes `true` when the source has read all of it and only
    /// waits for acknowledgements. A source that follows its input, or that fails, drops the sender.
    pub fn new() -> (Self, watch::Receiver<bool>) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), receiver)
    }

    pub(crate) fn reach(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_wakes_and_counts_until_it_is_dropped() {
        let woken = Arc::new(AtomicUsize::new(0));
        let seen = woken.clone();
        let waits = Waits::new(move || _ = seen.fetch_add(1, Ordering::Relaxed));
        let (one, two) = (waits.begin(), waits.clone().begin());
        drop(one);
        assert!(waits.is_any());
        drop(two);
        assert!(!waits.is_any());
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
