//! One connection of the admin listener or of the control socket: one request, with a timeout unless its response is a
//! stream.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::response::{Body, Refusal};
use super::state::State;

/// Hard limit of a request's head in bytes; the connection ends with a bare 431. The router refuses smaller heads with
/// a text.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// Time that a stream has to write its last event when its server ends.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of documents that are made at the same time, so that a flood of requests takes neither all CPUs nor hundreds
/// of threads.
const MAX_DOCUMENTS: usize = 4;

/// Times of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// To receive the head of a request, so that an idle connection soon makes room for others.
    pub(crate) head: Duration,
    /// For a request and its response; none for the control socket, whose commands take as long as a reload.
    pub(crate) request: Option<Duration>,
    /// Without an event, after which a comment shows that a stream is alive.
    pub(crate) heartbeat: Duration,
    /// After which a client that takes nothing of its stream is disconnected.
    pub(crate) stall: Duration,
}

impl Times {
    /// The times of all connections, with this one for requests.
    pub(crate) fn new(request: Option<Duration>) -> Self {
        let (head, heartbeat, stall) = (Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60));
        Self { head, request, heartbeat, stall }
    }
}

/// What all connections of a listener share.
pub(crate) struct Server {
    pub(crate) state: Arc<State>,
    /// Places for streams, so that they take none from requests.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) max_streams: usize,
    /// Whether only the agent's user can connect, as to the control socket.
    pub(crate) is_private: bool,
    pub(crate) times: Times,
    documents: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn new(state: Arc<State>, max_streams: usize, is_private: bool, times: Times) -> Self {
        let streams = Arc::new(Semaphore::new(max_streams));
        let documents = Arc::new(Semaphore::new(MAX_DOCUMENTS));
        Self { state, streams, max_streams, is_private, times, documents, closing: watch::Sender::new(false) }
    }

    /// Makes a document on a thread that may wait for files, since the threads of this runtime serve sources and sinks.
    ///
    /// # Errors
    ///
    /// The code panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let failed =
            |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; see the log of the agent");
        // The semaphore is never closed.
        let place = self.documents.clone().acquire_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            // Until the end of the work, also if the client has left meanwhile.
            let _place = place;
            make()
        });
        task.await.map_err(failed)
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until [`Self::close`].
    pub(crate) async fn closed(&self) {
        // The sender lives as long as `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }
}

/// A connection, as the code that responds sees it.
pub(crate) struct Connection {
    deadline: Mutex<Option<Instant>>,
    is_stream: AtomicBool,
    changed: Notify,
}

impl Connection {
    pub(crate) fn new(timeout: Option<Duration>) -> Arc<Self> {
        let deadline = Mutex::new(timeout.map(|timeout| Instant::now() + timeout));
        Arc::new(Self { deadline, is_stream: AtomicBool::new(false), changed: Notify::new() })
    }

    /// Gives the connection this much time from now on, which must not end before the time that it had.
    pub(crate) fn extend(&self, time: Duration) {
        let before = self.deadline.lock().replace(Instant::now() + time);
        // With a deadline, `expired` finds the new one at the old one. A notification would poll the connection, which
        // polls the body, which extends the deadline.
        if before.is_none() {
            self.changed.notify_one();
        }
    }

    /// Records that the response is a stream. Its deadline moves whenever the client takes a part of it.
    pub(crate) fn becomes_stream(&self, stall: Duration) {
        self.is_stream.store(true, Ordering::Release);
        self.extend(stall);
    }

    /// Whether the response is a stream; it then counts as such, and not as a request.
    pub(crate) fn is_stream(&self) -> bool {
        self.is_stream.load(Ordering::Acquire)
    }

    /// Waits for the deadline, also if it moves meanwhile.
    async fn expired(&self) {
        loop {
            let deadline = *self.deadline.lock();
            match deadline {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => sleep_until(deadline).await,
                // A notification before this wait is not lost.
                None => self.changed.notified().await,
            }
        }
    }
}

/// Serves one connection until its response is complete or its time is over.
pub(crate) async fn converse<I, R, F>(io: I, server: &Server, connection: &Connection, respond: R)
where
    I: AsyncRead + AsyncWrite + Unpin,
    R: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(MAX_BUFFER_BYTES)
            .timer(TokioTimer::new())
            .header_read_timeout(server.times.head)
            .serve_connection(TokioIo::new(io), service)
    );
    // Only the client needs to know how the connection ended.
    tokio::select! {
        _ = &mut served => return,
        () = connection.expired() => return,
        () = server.closed() => {}
    }
    let rest = if connection.is_stream() { END_TIMEOUT } else { server.times.request.unwrap_or(END_TIMEOUT) };
    let _ = tokio::time::timeout(rest, served).await;
}
