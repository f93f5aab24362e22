//! What becomes of one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use wattle_batch::{Ack, Batch, Disposition};

use super::body::{Refusal, encoding, frame, unpack};
use super::options::Settings;
use crate::assemble::Chunk;
use crate::decompress::Compression;
use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// Bodies up to this size are unpacked and framed on the spot; larger ones where blocking is allowed.
const SMALL_BODY: usize = 64 << 10;

/// What is in flight is counted in units of this many bytes, of which a semaphore has enough.
const UNIT: u64 = 1 << 10;

/// At least this much time lies between two lines in the log about refused requests.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// What a client should wait before it tries again, in seconds.
const RETRY_AFTER: &str = "1";

/// Answers requests; shared by all connections.
pub(crate) struct Handler {
    settings: Arc<Settings>,
    context: SourceContext,
    in_flight: Arc<Semaphore>,
    /// As many large bodies are unpacked at a time as there are cores, so that what they grow to is bounded.
    unpacking: Arc<Semaphore>,
    refusals: Mutex<Refusals>,
}

/// Keeps a client that is refused over and over from filling the log.
#[derive(Default)]
struct Refusals {
    quiet_until: Option<Instant>,
    not_logged: u64,
}

impl Refusals {
    /// Whether to log the next one, and how many were not.
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

/// A share of what may be in flight.
struct Share {
    permit: OwnedSemaphorePermit,
    semaphore: Arc<Semaphore>,
}

impl Share {
    /// Grows the share until it covers this many bytes.
    fn cover(&mut self, bytes: u64) -> Result<(), Refusal> {
        let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let more = u32::try_from(units.saturating_sub(self.permit.num_permits())).unwrap_or(u32::MAX);
        let more = self.semaphore.clone().try_acquire_many_owned(more).map_err(|_| {
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many bytes are in flight; try again in a moment")
        })?;
        self.permit.merge(more);
        Ok(())
    }
}

impl Handler {
    pub(crate) fn new(settings: Settings, context: SourceContext) -> Self {
        let units = usize::try_from(settings.max_in_flight_bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            settings: Arc::new(settings),
            context,
            in_flight: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            unpacking: Arc::new(Semaphore::new(cores)),
            refusals: Mutex::default(),
        }
    }

    /// Answers a request, when it is known what became of its events.
    pub(crate) async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = match self.take(peer, request).await {
            Ok(events) => {
                let status = if self.settings.acknowledge { StatusCode::OK } else { StatusCode::ACCEPTED };
                respond(status, &serde_json::json!({ "events": events }))
            }
            Err(Refusal { status, reason }) => {
                self.context.stats.fail(format!("request refused with {}: {reason}", status.as_u16()));
                if let Some(not_logged) = self.refusals.lock().log() {
                    tracing::warn!(
                        source = %self.context.name, peer = %peer, status = status.as_u16(), reason = %reason,
                        not_logged, "request refused"
                    );
                }
                respond(status, &serde_json::json!({ "error": reason }))
            }
        };
        if self.context.stop.is_stopped() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn take(&self, peer: SocketAddr, request: Request<Incoming>) -> Result<usize, Refusal> {
        self.check_head(&request)?;
        let text = |name: HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let compression = encoding(&text(header::CONTENT_ENCODING))?;
        let content_type = text(header::CONTENT_TYPE);
        let mut share = Share {
            permit: self
                .in_flight
                .clone()
                .try_acquire_many_owned(0)
                .map_err(|_| unavailable("the agent is stopping"))?,
            semaphore: self.in_flight.clone(),
        };
        let reading = self.read(request.into_body(), &mut share);
        let body = timeout(self.settings.read_timeout, reading)
            .await
            .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))??;
        add(&self.context.stats.read_bytes, body.len() as u64);
        let (chunks, bytes, empty) = self.prepare(body, compression, content_type).await?;
        share.cover(bytes)?;
        add(&self.context.stats.skipped_empty, empty);
        self.deliver(peer, chunks, share).await
    }

    fn check_head(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        if request.uri().path() != self.settings.path {
            let reason = format!("there is nothing here; send to `{}`", self.settings.path);
            return Err(Refusal::new(StatusCode::NOT_FOUND, reason));
        }
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send events with POST or PUT"));
        }
        if let Some(token) = &self.settings.token {
            let given = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
            let given = given.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
            let is_right = given.is_some_and(|(_, given)| bool::from(given.ct_eq(token.0.as_bytes())));
            if !is_right {
                return Err(Refusal::new(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong"));
            }
        }
        Ok(())
    }

    /// Reads a body, no further than is allowed.
    async fn read(&self, mut body: Incoming, share: &mut Share) -> Result<Bytes, Refusal> {
        let max = self.settings.max_body_bytes;
        let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes"));
        let expected = body.size_hint().lower();
        if expected > max {
            return Err(too_large());
        }
        share.cover(expected)?;
        let mut read = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0));
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = (read.len() + data.len()) as u64;
            if length > max {
                return Err(too_large());
            }
            share.cover(length)?;
            read.extend_from_slice(&data);
        }
        Ok(read.freeze())
    }

    /// Unpacks and frames a body; gives the batches, their bytes and the number of empty lines.
    async fn prepare(
        &self,
        body: Bytes,
        compression: Compression,
        content_type: String,
    ) -> Result<(Vec<Chunk>, u64, u64), Refusal> {
        let (settings, limits) = (self.settings.clone(), self.context.limits);
        let is_small = body.len() <= if compression == Compression::None { SMALL_BODY } else { SMALL_BODY / 16 };
        let work = move || {
            let body = unpack(body, compression, &settings)?;
            let (chunks, empty) = frame(&body, settings.framing, &content_type, &limits);
            Ok((chunks, body.len() as u64, empty))
        };
        if is_small {
            return work();
        }
        let _place = self.unpacking.acquire().await;
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(unavailable("unpacking the body broke off")))
    }

    /// Hands the batches to the queue and waits for what becomes of them. They share one acknowledgement.
    async fn deliver(&self, peer: SocketAddr, chunks: Vec<Chunk>, share: Share) -> Result<usize, Refusal> {
        let origin = self.context.origin("http", &[("remote", &peer.ip().to_string())]);
        let (report, reported) = oneshot::channel();
        let ack = Ack::new(move |disposition| {
            // What is in flight ends with the last event, also when the client is gone.
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
            // The rest is not turned away for a full queue: the client would send again what was taken already.
            patience = until.saturating_duration_since(Instant::now());
        }
        ack.deliver();
        if !self.settings.acknowledge {
            return Ok(events);
        }
        match timeout_at(until, reported).await {
            Ok(Ok(Disposition::Delivered)) => Ok(events),
            Ok(Ok(Disposition::Rejected)) => {
                Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "some events can never be delivered"))
            }
            Ok(Ok(Disposition::Retry) | Err(_)) => Err(unavailable("the events were not delivered; send them again")),
            Err(_) => Err(unavailable("the events were not delivered in time; they may be yet")),
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

fn respond(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let further = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "POST, PUT")),
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, "gzip, zstd, deflate")),
        _ => None,
    };
    if let Some((name, value)) = further {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
