//! A server in memory with the protocols of S3 and SQS, for tests that need speed, faults, and a record of what happened.
//!
//! It checks no signatures. Every bucket exists, and there is one queue, whatever the request calls it. Of SQS it has the
//! rules that matter to receivers: messages stay hidden for their visibility timeout, only the newest handle of a message
//! is valid, and a request for messages continues when its client disconnects. It has no dead-letter queue.
//!
//! `POST /collect` keeps a body for [`Store::take_log`], so that one log has the order of everything that an agent did.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a server of tests: a request that it does not understand fails the test"
)]

mod faults;
mod http;
mod queue;
mod storage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

pub use faults::Faults;
pub use queue::Cause;

use queue::Queue;
use storage::Storage;

/// Something that happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The queue delivered a message, or tried to: the client may have gone.
    Delivered {
        /// Index of the message, as [`Store::send`] returned it.
        message: usize,
        /// Why the message was visible.
        cause: Cause,
    },
    /// A receiver deleted a message.
    Deleted {
        /// Index of the message.
        message: usize,
    },
    /// An object is there, also if the client never saw the response.
    Put {
        /// Name of the bucket.
        bucket: String,
        /// The key.
        key: String,
        /// Its bytes.
        body: Bytes,
    },
    /// A body was posted to `/collect`.
    Posted {
        /// Its bytes.
        body: Bytes,
    },
}

/// How a server behaves.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Faults of requests.
    pub faults: Faults,
    /// Decides every random choice.
    pub seed: u64,
    /// Whether to keep a log. Without it, bodies of replaced objects are freed at once.
    pub log: bool,
    /// The core that the server runs on.
    pub core: Option<usize>,
}

struct State {
    storage: Storage,
    queue: Queue,
    random: fastrand::Rng,
    faults: Faults,
    /// Number of requests.
    requests: u64,
    /// Faults that requests met, by name.
    met: BTreeMap<&'static str, u64>,
    log: Option<Vec<Event>>,
}

impl State {
    fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(log) = &mut self.log {
            log.push(event());
        }
    }

    /// Whether a fault with this probability happens now.
    fn meets(&mut self, name: &'static str, probability: f64) -> bool {
        let meets = probability > 0.0 && self.random.f64() < probability;
        if meets {
            *self.met.entry(name).or_default() += 1;
        }
        meets
    }
}

struct Shared {
    state: Mutex<State>,
    /// Wakes requests that wait for messages.
    arrived: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// A server on loopback, on its own thread. Dropping it ends the server.
pub struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// There is no free port, or the core does not exist.
    pub fn start(settings: Settings) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            storage: Storage::default(),
            queue: Queue::default(),
            random: fastrand::Rng::with_seed(settings.seed),
            faults: settings.faults,
            requests: 0,
            met: BTreeMap::new(),
            log: settings.log.then(Vec::new),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), arrived: Notify::new() });
        let (end, ended) = oneshot::channel();
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            if let Some(core) = settings.core {
                let mut cores = rustix::thread::CpuSet::new();
                cores.set(core);
                rustix::thread::sched_setaffinity(None, &cores).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = http::serve(&listener, of_thread) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, shared, end: Some(end), thread: Some(thread) }
    }

    /// The address of both services, such as `http://127.0.0.1:4566`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the queue.
    pub fn queue_url(&self) -> String {
        format!("{}/123456789012/events", self.address())
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Writes an object, without a trace in the log.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        self.shared.lock().storage.put(bucket, key, body.into());
    }

    /// The objects of a bucket.
    pub fn objects(&self, bucket: &str) -> Vec<(String, Bytes)> {
        self.shared.lock().storage.objects(bucket)
    }

    /// Removes all objects of a bucket.
    pub fn clear(&self, bucket: &str) {
        self.shared.lock().storage.clear(bucket);
    }

    /// Sends a message, and returns its index: the number of messages that were sent before.
    pub fn send(&self, body: impl Into<String>) -> usize {
        let message = self.shared.lock().queue.send(body.into());
        self.shared.arrived.notify_waiters();
        message
    }

    /// Number of messages that are not deleted, visible or hidden.
    pub fn messages(&self) -> usize {
        self.shared.lock().queue.left()
    }

    /// Number of requests so far.
    pub fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// What happened since the last call. Empty without [`Settings::log`].
    pub fn take_log(&self) -> Vec<Event> {
        self.shared.lock().log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The faults that requests met so far, by name.
    pub fn met(&self) -> BTreeMap<&'static str, u64> {
        self.shared.lock().met.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
