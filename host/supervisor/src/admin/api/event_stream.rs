//! Streams of server-sent events, each with a bounded queue.
//!
//! # Invariants
//!
//! - A client that stops reading holds at most its queue, and loses only its own events.
//! - A stream ends when the agent drains or its listener closes, with an event `end` that says why.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::connection::{Connection, Server};
use super::super::response::{Body, Refusal};

/// Maximum number of events that wait for a client.
const MAX_EVENTS: usize = 256;
/// Maximum bytes that wait for a client.
const MAX_BYTES: usize = 1 << 20;
/// With more than this, a client counts as slow.
const SLOW_EVENTS: usize = MAX_EVENTS / 2;
const SLOW_BYTES: usize = MAX_BYTES / 2;

/// Puts events into a stream.
pub(crate) struct EventSender {
    frames: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    taken: Arc<Notify>,
}

/// The client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left;

impl EventSender {
    /// Puts an event into the queue, unless the client is too slow. Returns whether it did.
    pub(crate) fn try_send(&self, event: &str, data: &impl Serialize) -> bool {
        let frame = frame(event, data);
        if self.waiting.load(Ordering::Acquire) + frame.len() > MAX_BYTES {
            return false;
        }
        let bytes = frame.len();
        // Before the event can be taken, so that the sum never falls below zero.
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
        let is_sent = self.frames.try_send(frame).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        }
        is_sent
    }

    /// Waits while the client is slow, so that nothing is made that it does not take.
    ///
    /// # Cancel safety
    ///
    /// A cancelled call has changed nothing.
    pub(crate) async fn room(&self) {
        let is_slow =
            || self.waiting.load(Ordering::Acquire) > SLOW_BYTES || self.frames.capacity() < MAX_EVENTS - SLOW_EVENTS;
        while is_slow() && !self.frames.is_closed() {
            self.taken.notified().await;
        }
    }

    /// Puts a frame of [`frame`] into the queue as soon as the client has taken everything else.
    ///
    /// # Errors
    ///
    /// The client has left.
    pub(crate) async fn send(&self, frame: Bytes) -> Result<(), Left> {
        // All places: nothing else waits then, and a slow client gets the newest event next.
        let Ok(places) = self.frames.reserve_many(MAX_EVENTS).await else { return Err(Left) };
        drop(places);
        self.waiting.fetch_add(frame.len(), Ordering::AcqRel);
        self.frames.try_send(frame).map_err(|_| Left)
    }
}

/// An event as the bytes of a stream. JSON without line breaks is one line of data.
pub(crate) fn frame(event: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".into());
    format!("event: {event}\ndata: {data}\n\n").into()
}

/// Opens a stream: returns its sender, and the body that sends what the sender puts in.
///
/// # Errors
///
/// Too many streams are open, or the agent is ending.
pub(crate) fn open(server: &Arc<Server>, connection: &Arc<Connection>) -> Result<(EventSender, EventBody), Refusal> {
    let refused = |error: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error);
    if server.state.is_draining() {
        return Err(refused("the agent is draining and opens no more streams".into()));
    }
    let place = server.streams.clone().try_acquire_owned().map_err(|_| {
        refused(format!("{} streams are open, which is the maximum; close one and try again", server.max_streams))
    })?;
    let (sender, frames) = mpsc::channel(MAX_EVENTS);
    let (waiting, taken) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let mut heartbeat = interval(server.times.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let stall = server.times.stall;
    connection.becomes_stream(stall);
    let (ending, connection) = (server.clone(), connection.clone());
    let body = EventBody {
        frames,
        waiting: waiting.clone(),
        taken: taken.clone(),
        heartbeat,
        ending: Box::pin(async move {
            tokio::select! {
                () = ending.closed() => "the listener closes",
                () = ending.state.draining() => "the agent is draining",
            }
        }),
        is_over: false,
        stall,
        connection,
        feeder: None,
        _place: place,
    };
    Ok((EventSender { frames: sender, waiting, taken }, body))
}

/// The body of a stream.
pub(crate) struct EventBody {
    frames: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    taken: Arc<Notify>,
    heartbeat: Interval,
    ending: Pin<Box<dyn Future<Output = &'static str> + Send>>,
    is_over: bool,
    stall: Duration,
    connection: Arc<Connection>,
    /// The task that feeds the stream.
    feeder: Option<AbortHandle>,
    /// The place among the streams of the server, until the body is dropped.
    _place: OwnedSemaphorePermit,
}

impl EventBody {
    /// Starts the task that feeds the stream until the client leaves, and returns the response.
    pub(crate) fn fed_by(mut self, feeder: impl Future<Output = ()> + Send + 'static) -> Response<Body> {
        self.feeder = Some(tokio::spawn(feeder).abort_handle());
        let mut response = Response::new(self.boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        // A proxy must not collect events.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        if let Some(feeder) = &self.feeder {
            feeder.abort();
        }
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        // The connection asks only when it has room, so the client takes what it gets.
        this.connection.becomes_stream(this.stall);
        if this.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(received) = this.frames.poll_recv(cx) {
            let frame = received.inspect(|frame| {
                this.waiting.fetch_sub(frame.len(), Ordering::AcqRel);
                this.taken.notify_one();
                this.heartbeat.reset();
            });
            this.is_over = frame.is_none();
            return Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))));
        }
        if let Poll::Ready(reason) = this.ending.as_mut().poll(cx) {
            this.is_over = true;
            return Poll::Ready(Some(Ok(Frame::data(frame("end", &serde_json::json!({ "reason": reason }))))));
        }
        let _ = ready!(this.heartbeat.poll_tick(cx));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}
