//! Handles one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use wattle_batch::{Ack, Batch, Disposition};

use super::body::{Kinds, decode, frame, unpack};
use super::connections::{Connection, Connections};
use super::credential::Credential;
use super::firehose::{self, About};
use super::options::Settings;
use super::refusal::Refusal;
use crate::assemble::Chunk;
use crate::in_flight::{InFlight, NoRoom, Share};
use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// Bodies up to this size are decompressed and framed in place; larger ones on a blocking thread.
const SMALL_BODY: usize = 64 << 10;

/// How long a request waits for memory of inactive clients.
const ROOM_WAIT: Duration = Duration::from_millis(200);

/// Minimum time between two log lines about refused requests.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Methods of the path for events.
const METHODS: &str = "OPTIONS, POST, PUT";

/// Value of `Retry-After` in seconds.
const RETRY_AFTER: &str = "1";

/// Handles requests; shared by all connections.
pub(crate) struct Handler {
    settings: Arc<Settings>,
    context: SourceContext,
    connections: Arc<Connections>,
    in_flight: InFlight,
    /// At most one large body per core is decompressed at a time, which bounds the memory.
    unpacking: Arc<Semaphore>,
    refusals: Mutex<Refusals>,
}

/// Keeps a client that is refused repeatedly from flooding the log.
#[derive(Default)]
struct Refusals {
    quiet_until: Option<Instant>,
    not_logged: u64,
}

impl Refusals {
    /// Returns whether to log the next refusal, and how many were not logged.
    fn log(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.quiet_until.is_some_and(|until| until > now) {
            self.not_logged += 1;
            return None;
        }
        self.quiet_until = Some(now + LOG_PAUSE);
        Some(std::mem::take(&mut self.not_logged))
    }
}

/// Purpose of a request.
enum Asks {
    /// Send events.
    Events,
    /// Check whether the source runs.
    Health,
    /// List the allowed methods.
    Methods,
}

impl Handler {
    pub(crate) fn new(settings: Settings, context: SourceContext, connections: Arc<Connections>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            in_flight: InFlight::new(settings.max_in_flight_bytes),
            settings: Arc::new(settings),
            context,
            connections,
            unpacking: Arc::new(Semaphore::new(cores)),
            refusals: Mutex::default(),
        }
    }

    /// Responds to a request once the result of its events is known.
    pub(crate) async fn answer(
        &self,
        peer: SocketAddr,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        connection.touch();
        let headers = self.settings.firehose.map(|_| request.headers().clone());
        // Browsers, scanners and probes do not lose events.
        let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let mut response = match self.check_head(&request) {
            Ok(Asks::Health) if self.context.stop.is_stopped() => {
                respond(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "stopping" }))
            }
            Ok(Asks::Health) => respond(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            Ok(Asks::Methods) => methods(),
            Ok(Asks::Events) => match self.take(peer, connection, request).await {
                Ok(events) => {
                    let status = if self.settings.acknowledge { StatusCode::OK } else { StatusCode::ACCEPTED };
                    match &headers {
                        Some(headers) => respond(status, &About::response(headers, None)),
                        None => respond(status, &serde_json::json!({ "events": events })),
                    }
                }
                Err(refusal) => self.refuse(peer, &refusal, headers.as_ref()),
            },
            Err(Refusal { status, reason }) if is_harmless => {
                tracing::debug!(source = %self.context.name, peer = %peer, status = status.as_u16(), "probe refused");
                respond(status, &serde_json::json!({ "error": reason }))
            }
            Err(refusal) => self.refuse(peer, &refusal, headers.as_ref()),
        };
        if self.context.stop.is_stopped() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The response to a refused request. `headers` are those of a request of Firehose.
    fn refuse(
        &self,
        peer: SocketAddr,
        Refusal { status, reason }: &Refusal,
        headers: Option<&HeaderMap>,
    ) -> Response<Full<Bytes>> {
        self.context.stats.fail(format!("request refused with {}: {reason}", status.as_u16()));
        if let Some(not_logged) = self.refusals.lock().log() {
            tracing::warn!(
                source = %self.context.name, peer = %peer, status = status.as_u16(), reason = %reason,
                not_logged, "request refused"
            );
        }
        let mut response = match headers {
            Some(headers) => respond(About::status(*status), &About::response(headers, Some(reason))),
            None => respond(*status, &serde_json::json!({ "error": reason })),
        };
        let challenge = self.settings.credentials.first().and_then(Credential::challenge);
        if let Some(challenge) = challenge.filter(|_| *status == StatusCode::UNAUTHORIZED) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }

    async fn take(
        &self,
        peer: SocketAddr,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Result<usize, Refusal> {
        let text = |name: HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let kinds = Kinds::of(&text(header::CONTENT_ENCODING), &text(header::CONTENT_TYPE))?;
        let about = self.settings.firehose.map(|_| About::of(request.headers())).transpose()?;
        let mut share = self.in_flight.share();
        let reading = self.read(connection, request.into_body(), &mut share);
        let body = tokio::select! {
            body = timeout(self.settings.read_timeout, reading) => body
                .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within `read_timeout`"))??,
            () = connection.closing() => return Err(self.closed()),
        };
        let Some(_work) = connection.work() else { return Err(self.closed()) };
        add(&self.context.stats.read_bytes, body.len() as u64);
        let (chunks, empty, share) = self.prepare(body, kinds, about.clone(), share).await?;
        add(&self.context.stats.skipped_empty, empty);
        self.deliver(peer, chunks, about, share).await
    }

    /// The response to a request whose connection is being closed.
    fn closed(&self) -> Refusal {
        if self.context.stop.is_stopped() {
            return unavailable("the agent is stopping");
        }
        unavailable("the rest of the body did not arrive, and other clients need the connection or the memory")
    }

    fn check_head(&self, request: &Request<Incoming>) -> Result<Asks, Refusal> {
        let (method, path) = (request.method(), request.uri().path());
        let is_probe = matches!(*method, Method::GET | Method::HEAD);
        if is_probe && self.settings.health_path.as_deref() == Some(path) {
            return Ok(Asks::Health);
        }
        if path != self.settings.path {
            let reason = format!("unknown path; send to `{}`", self.settings.path);
            return Err(Refusal::new(StatusCode::NOT_FOUND, reason));
        }
        match *method {
            Method::POST | Method::PUT => {}
            Method::OPTIONS => return Ok(Asks::Methods),
            _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send events with POST or PUT")),
        }
        // A proxy in front could understand such a request in another way and see two requests in
        // it. hyper refuses different lengths itself.
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request has more than one `Host` header"));
        }
        let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
            let reason =
                "the only transfer coding that is supported is `chunked`; use `Content-Encoding` for compression";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
        }
        if let Some(expected) = request.headers().get(header::EXPECT)
            && !expected.as_bytes().eq_ignore_ascii_case(b"100-continue")
        {
            let reason = "the only expectation that is supported is `100-continue`";
            return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, reason));
        }
        let credentials = &self.settings.credentials;
        if let Some(first) = credentials.first()
            && !credentials.iter().any(|credential| credential.is_in(request.headers()))
        {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, first.what()));
        }
        Ok(Asks::Events)
    }

    /// Reads a body up to the limit. Reserves memory for received bytes, not for the announced
    /// length.
    async fn read(&self, connection: &Connection, mut body: Incoming, share: &mut Share) -> Result<Bytes, Refusal> {
        let max = self.settings.max_body_bytes;
        let too_large = || {
            let reason = format!("the body is larger than {max} bytes (`max_body_bytes`)");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
        };
        // Refuse a body that announces too much before reading it.
        if body.size_hint().lower() > max {
            return Err(too_large());
        }
        let most = usize::try_from(body.size_hint().upper().map_or(max, |upper| upper.min(max))).unwrap_or(usize::MAX);
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let is_cut = error.is_incomplete_message() || error.is_closed();
                let reason = if is_cut {
                    "the body is incomplete: the client closed the connection"
                } else {
                    "the body cannot be read; check its chunks"
                };
                Refusal::new(StatusCode::BAD_REQUEST, reason)
            })?;
            // Trailers are not part of the body.
            let Ok(data) = frame.into_data() else { continue };
            connection.received();
            let length = read.len() + data.len();
            if length as u64 > max {
                return Err(too_large());
            }
            if length > read.capacity() {
                // Doubles the capacity, but never beyond the announced length.
                let room = (read.capacity() * 2).min(most).max(length);
                self.cover(room as u64, share).await?;
                read.reserve_exact(room - read.len());
            }
            read.extend_from_slice(&data);
        }
        Ok(read.into())
    }

    /// Grows a share. If others hold too much, connections of clients that stopped within a body
    /// are closed.
    async fn cover(&self, bytes: u64, share: &mut Share) -> Result<(), Refusal> {
        let covered = share.cover(bytes);
        if covered.is_err() && self.connections.close_silent_bodies() {
            return timeout(ROOM_WAIT, share.wait_for(bytes)).await.map_err(|_| NoRoom.into());
        }
        covered.map_err(Refusal::from)
    }

    /// Decompresses and frames a body; returns the batches, the number of empty lines, and the
    /// share that covers them.
    async fn prepare(
        &self,
        body: Bytes,
        kinds: Kinds,
        about: Option<About>,
        mut share: Share,
    ) -> Result<(Vec<Chunk>, u64, Share), Refusal> {
        let (settings, limits) = (self.settings.clone(), self.context.limits);
        // A compressed body grows, so its limit is lower.
        let is_small = body.len() <= SMALL_BODY / if kinds.is_plain(&body) { 1 } else { 16 };
        let work = move || {
            let body = unpack(body, &kinds, &settings, &mut share)?;
            let (chunks, empty) = match settings.firehose.zip(about) {
                Some((compression, about)) => {
                    firehose::frame(&body, &about, compression, &settings, &mut share, &limits)?
                }
                None => {
                    let body = decode(body, &kinds, &settings, &mut share)?;
                    frame(&body, &kinds, &settings, &mut share, &limits)?
                }
            };
            Ok((chunks, empty, share))
        };
        if is_small {
            return work();
        }
        let _place = self.unpacking.acquire().await;
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(unavailable("decompressing the body ended unexpectedly")))
    }

    /// Pushes the batches to the queue and waits for their result. They share one acknowledgement.
    async fn deliver(
        &self,
        peer: SocketAddr,
        chunks: Vec<Chunk>,
        about: Option<About>,
        share: Share,
    ) -> Result<usize, Refusal> {
        let is_firehose = about.is_some();
        let mut resource = about.map(|about| about.resource).unwrap_or_default();
        resource.insert("remote".into(), peer.ip().to_string().into());
        let origin = self.context.origin_of(if is_firehose { "aws_firehose" } else { "http" }, resource);
        let (report, reported) = oneshot::channel();
        let ack = Ack::new(move |disposition| {
            // The count of events in flight ends with the last event, also after the client
            // disconnected.
            drop(share);
            let _ = report.send(disposition);
        });
        let until = Instant::now() + self.settings.acknowledge_timeout;
        let mut events = 0;
        let mut patience = self.settings.max_wait;
        for chunk in chunks {
            let (rows, bytes) = (chunk.column.rows(), chunk.column.byte_len() as u64);
            let batch = Batch::new(chunk.column, origin.clone(), ack.share());
            self.push(batch, patience).await?;
            add(&self.context.stats.events, rows as u64);
            add(&self.context.stats.bytes, bytes);
            events += rows;
            // The rest is not refused for a full queue: the client would send the accepted events
            // again.
            patience = until.saturating_duration_since(Instant::now());
        }
        // This share belongs to the request; each batch has its own.
        ack.deliver();
        if !self.settings.acknowledge {
            return Ok(events);
        }
        match timeout_at(until, reported).await {
            Ok(Ok(Disposition::Delivered)) => Ok(events),
            // Firehose takes any other status as a failure of the whole request. The rejected events are counted, or in
            // the dead letters.
            Ok(Ok(Disposition::Rejected)) if is_firehose => Ok(events),
            // A status that asks for a retry would only repeat delivered events.
            Ok(Ok(Disposition::Rejected)) => Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the destination rejected some of the events for good and accepted the others; do not send them again",
            )),
            Ok(Ok(Disposition::GivenUp | Disposition::Retry) | Err(_)) => {
                Err(unavailable("the events were not delivered; send them again"))
            }
            Err(_) => Err(unavailable("the events were not delivered in time; they may still be delivered")),
        }
    }

    async fn push(&self, batch: Batch, patience: Duration) -> Result<(), Refusal> {
        match timeout(patience, self.context.output.push(Batches(batch))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(unavailable("the agent is stopping")),
            Err(_) => Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "the queue is full; try again in a moment")),
        }
    }
}

fn unavailable(reason: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}

fn methods() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
    response
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let further = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, METHODS)),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, "gzip, zstd, deflate")),
        _ => None,
    };
    if let Some((name, value)) = further {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
