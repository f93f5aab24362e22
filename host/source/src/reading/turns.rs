//! Turns of threads that read many inputs at the same time.
//!
//! Many inputs are read at once because the network is slow. What is decompressed takes several times
//! the memory and does not wait for the network, so few threads do it at the same time.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// A number of turns. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn of one thread. Dropping it lets another thread begin.
#[derive(Debug)]
pub(crate) struct Turn<'t>(&'t Shared);

impl Turns {
    /// Creates this number of turns. Only the source `aws_s3` reads many inputs at the same time.
    #[cfg(any(test, feature = "aws"))]
    pub(crate) fn new(number: usize) -> Self {
        Self(Arc::new(Shared { free: Mutex::new(number), freed: Condvar::new() }))
    }

    /// Waits for a turn. Blocks the thread.
    pub(crate) fn wait(&self) -> Turn<'_> {
        let mut free = self.0.free.lock();
        while *free == 0 {
            self.0.freed.wait(&mut free);
        }
        *free -= 1;
        Turn(&self.0)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_threads_than_turns_are_at_work() {
        let (turns, at_work, most) = (Turns::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = turns.wait();
                    most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(10));
                    at_work.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
    }
}
