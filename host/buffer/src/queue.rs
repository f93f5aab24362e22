//! A queue bounded in bytes for any number of producers and consumers.
//!
//! The queue accepts an item while fewer than `max_bytes` are queued, so it holds at most
//! `max_bytes` plus one item, and an item larger than the limit still passes. [`Queue::push`] waits
//! while the queue is full: this is the back-pressure that reaches the source.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// An item that knows its size.
pub trait Sized {
    /// Size of this item in memory.
    fn byte_len(&self) -> usize;

    /// Number of events in this item.
    fn event_count(&self) -> usize {
        1
    }
}

/// Contents of a queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes; at most the limit plus one item.
    pub bytes: usize,
    /// Events.
    pub events: usize,
}

/// The queue is closed; contains the item.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

struct State<T> {
    items: VecDeque<T>,
    usage: Usage,
    closed: bool,
}

/// The time during which at least one push waited for room.
#[derive(Default)]
struct Blocked {
    waiting: usize,
    since: Option<Instant>,
    before: Duration,
}

/// A push that waits. Dropping it ends the wait, also after cancellation.
struct Waiting<'a>(&'a Mutex<Blocked>);

impl<'a> Waiting<'a> {
    fn new(blocked: &'a Mutex<Blocked>) -> Self {
        let mut state = blocked.lock();
        state.waiting += 1;
        state.since.get_or_insert_with(Instant::now);
        drop(state);
        Self(blocked)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.waiting -= 1;
        if state.waiting == 0
            && let Some(since) = state.since.take()
        {
            state.before += since.elapsed();
        }
    }
}

type Hook = Box<dyn Fn() + Send + Sync>;

struct Inner<T> {
    state: Mutex<State<T>>,
    max_bytes: usize,
    room: Notify,
    items: Notify,
    on_item: Option<Hook>,
    on_room: Option<Hook>,
    blocked: Mutex<Blocked>,
}

/// A handle to a queue; clones share the queue.
pub struct Queue<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T: Sized> Queue<T> {
    /// Creates an empty queue. `on_item` runs after an item was added or the queue was closed,
    /// `on_room` after an item was removed. They run outside of any lock and must not block.
    pub fn new(max_bytes: usize, on_item: Option<Hook>, on_room: Option<Hook>) -> Self {
        let state = State { items: VecDeque::new(), usage: Usage::default(), closed: false };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                max_bytes,
                room: Notify::new(),
                items: Notify::new(),
                on_item,
                on_room,
                blocked: Mutex::default(),
            }),
        }
    }

    /// Adds an item if there is room and the queue is open; otherwise returns it.
    pub fn try_push(&self, item: T) -> Result<(), T> {
        {
            let mut state = self.inner.state.lock();
            if state.closed || state.usage.bytes >= self.inner.max_bytes {
                return Err(item);
            }
            state.usage.bytes += item.byte_len();
            state.usage.events += item.event_count();
            state.items.push_back(item);
        }
        self.inner.items.notify_one();
        if let Some(hook) = &self.inner.on_item {
            hook();
        }
        Ok(())
    }

    /// Adds an item; waits for room.
    ///
    /// # Errors
    ///
    /// The queue was closed before there was room.
    ///
    /// # Cancel safety
    ///
    /// A cancelled push has added nothing; the item is dropped with the future.
    pub async fn push(&self, mut item: T) -> Result<(), Closed<T>> {
        let mut waiting = None;
        let done = loop {
            let room = self.inner.room.notified();
            tokio::pin!(room);
            // Registered before the attempt, so that room made in between is not missed.
            room.as_mut().enable();
            match self.try_push(item) {
                Ok(()) => break Ok(()),
                Err(back) if self.is_closed() => break Err(Closed(back)),
                Err(back) => item = back,
            }
            waiting.get_or_insert_with(|| Waiting::new(&self.inner.blocked));
            room.await;
        };
        if waiting.is_some() {
            // This wake-up may have been the only one for the new room, and more items may fit.
            self.inner.room.notify_one();
        }
        done
    }

    /// Removes the oldest item, if there is one.
    pub fn try_pop(&self) -> Option<T> {
        let item = {
            let mut state = self.inner.state.lock();
            let item = state.items.pop_front()?;
            state.usage.bytes = state.usage.bytes.saturating_sub(item.byte_len());
            state.usage.events = state.usage.events.saturating_sub(item.event_count());
            item
        };
        self.inner.room.notify_one();
        if let Some(hook) = &self.inner.on_room {
            hook();
        }
        Some(item)
    }

    /// Removes the oldest item; waits for one. Returns `None` when the queue is closed and empty.
    ///
    /// # Cancel safety
    ///
    /// A cancelled pop has removed nothing.
    pub async fn pop(&self) -> Option<T> {
        loop {
            let items = self.inner.items.notified();
            tokio::pin!(items);
            // Registered before the attempt, as in `push`.
            items.as_mut().enable();
            if let Some(item) = self.try_pop() {
                return Some(item);
            }
            if self.is_closed() {
                // This wake-up may have been the only one, and more items may be queued.
                self.inner.items.notify_one();
                return None;
            }
            items.await;
        }
    }

    /// Closes the queue for new items; queued items can still be removed.
    pub fn close(&self) {
        self.inner.state.lock().closed = true;
        self.inner.room.notify_waiters();
        // Consumers wait for items and must learn that none will follow.
        self.inner.items.notify_waiters();
        if let Some(hook) = &self.inner.on_item {
            hook();
        }
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.state.lock().closed
    }

    /// Whether the queue has no room for an item now.
    pub fn is_full(&self) -> bool {
        self.inner.state.lock().usage.bytes >= self.inner.max_bytes
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.inner.state.lock().items.is_empty()
    }

    /// Bytes queued.
    pub fn byte_len(&self) -> usize {
        self.usage().bytes
    }

    /// Number of bytes and events in the queue.
    pub fn usage(&self) -> Usage {
        self.inner.state.lock().usage
    }

    /// The limit in bytes.
    pub fn max_bytes(&self) -> usize {
        self.inner.max_bytes
    }

    /// Total time during which at least one push waited for room, including a current wait.
    pub fn blocked(&self) -> Duration {
        let blocked = self.inner.blocked.lock();
        blocked.before + blocked.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Sized for Vec<u8> {
        fn byte_len(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn accepts_items_up_to_the_limit_and_one_larger_than_it() {
        let queue = Queue::new(10, None, None);
        assert!(queue.try_push(vec![0; 100]).is_ok());
        assert_eq!(queue.try_push(vec![1]), Err(vec![1]));
        assert_eq!(queue.try_pop().unwrap().len(), 100);
        for _ in 0..10 {
            assert!(queue.try_push(vec![1]).is_ok());
        }
        assert!(queue.try_push(vec![1]).is_err());
        assert_eq!(queue.usage(), Usage { bytes: 10, events: 10 });
    }

    #[tokio::test]
    async fn a_full_queue_blocks_the_writer_and_keeps_order() {
        let queue = Queue::new(1, None, None);
        let writer = queue.clone();
        let task = tokio::spawn(async move {
            for byte in 0..100_u8 {
                writer.push(vec![byte]).await.unwrap();
            }
            writer.close();
        });
        let mut got = Vec::new();
        while let Some(item) = queue.pop().await {
            got.push(item[0]);
            tokio::task::yield_now().await;
        }
        task.await.unwrap();
        assert_eq!(got, (0..100).collect::<Vec<u8>>());
        assert!(queue.blocked() > Duration::ZERO);
        assert_eq!(queue.usage(), Usage::default());
    }

    #[tokio::test]
    async fn blocked_time_includes_current_and_cancelled_waits() {
        let queue = Queue::new(1, None, None);
        queue.push(vec![1]).await.unwrap();
        assert_eq!(queue.blocked(), Duration::ZERO);
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let writer = queue.clone();
                tokio::spawn(async move { writer.push(vec![2]).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let first = queue.blocked();
        std::thread::sleep(Duration::from_millis(2));
        let second = queue.blocked();
        assert!(second >= first + Duration::from_millis(2), "{first:?} {second:?}");
        for wait in waits {
            wait.abort();
            assert!(wait.await.unwrap_err().is_cancelled());
        }
        let after = queue.blocked();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(queue.blocked(), after, "no push waits now");
    }

    #[tokio::test]
    async fn many_writers_and_readers_lose_nothing() {
        let queue = Queue::new(3, None, None);
        let writers: Vec<_> = (0..4_u8)
            .map(|id| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    for _ in 0..250 {
                        queue.push(vec![id]).await.unwrap();
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    while queue.pop().await.is_some() {
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        queue.close();
        let mut total = 0;
        for reader in readers {
            total += tokio::time::timeout(Duration::from_secs(10), reader).await.unwrap().unwrap();
        }
        assert_eq!(total, 1000);
    }

    #[tokio::test]
    async fn closing_wakes_a_waiting_writer_and_returns_the_item() {
        let queue = Queue::new(1, None, None);
        queue.push(vec![1]).await.unwrap();
        let writer = queue.clone();
        let task = tokio::spawn(async move { writer.push(vec![2]).await });
        tokio::task::yield_now().await;
        queue.close();
        assert_eq!(task.await.unwrap(), Err(Closed(vec![2])));
        assert_eq!(queue.pop().await, Some(vec![1]));
        assert_eq!(queue.pop().await, None);
    }
}
