//! Handles one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use wattle_batch::{Ack, Batch, ColumnTooLarge, Disposition, Origin, Rows};
use wattle_listen::{Connection, Connections, Credential, LogLimit};

use super::body::{Kinds, decode, frame, unpack};
use super::bulk;
use super::firehose::{self, About};
use super::head::{self, Asks};
use super::hec::{self, Ticket};
use super::options::{Protocol, Settings};
use super::otlp::{self, Call};
use super::refusal::Refusal;
use super::response::{self, Style, Taken};
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

/// Handles requests; shared by all connections.
pub(crate) struct Handler {
    settings: Arc<Settings>,
    context: SourceContext,
    connections: Arc<Connections>,
    in_flight: InFlight,
    /// At most one large body per core is decompressed at a time, which bounds the memory.
    unpacking: Arc<Semaphore>,
    refusals: LogLimit,
}

/// A request gets no response, and its connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed instead of a response that the client would take for a final one")]
pub(crate) struct Unanswered;

/// What is special about a request of a protocol.
enum Form {
    Events,
    Firehose(firehose::RecordCompression, About),
    Otlp(Call),
    Hec(hec::Call),
    Bulk(bulk::Call),
}

/// Events of a request that fit into one batch.
enum Part {
    Chunk(Chunk),
    Rows(Rows),
}

/// A body that was framed.
struct Prepared {
    parts: Vec<Part>,
    /// Number of empty lines.
    empty: u64,
    /// What to respond about each action of the bulk API.
    items: Option<bulk::Items>,
    /// Covers all of this.
    share: Share,
}

impl Part {
    fn into_batch(self, origin: Arc<Origin>, ack: Ack) -> Result<Batch, ColumnTooLarge> {
        match self {
            Self::Chunk(chunk) => Ok(Batch::new(chunk.column, origin, ack)),
            Self::Rows(rows) => rows.into_batch(origin, ack),
        }
    }
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
            refusals: LogLimit::new(LOG_PAUSE),
        }
    }

    /// Responds to a request once the result of its events is known.
    ///
    /// # Errors
    ///
    /// The connection must be closed instead of a response.
    pub(crate) async fn answer(
        &self,
        peer: SocketAddr,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Response<response::Body>, Unanswered> {
        connection.touch();
        let (style, version, began) = (Style::of(&self.settings, &request), request.version(), Instant::now());
        // Browsers, scanners and probes do not lose events.
        let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let mut response = match head::check(&self.settings, &self.context, &request) {
            Ok(Asks::Health) if self.context.stop.is_stopped() => {
                response::respond(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "stopping" }))
            }
            Ok(Asks::Health) => response::respond(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
            Ok(Asks::Methods) => response::methods(),
            Ok(Asks::Answer(answer)) => *answer,
            Ok(Asks::Acks) => match self.acks(connection, request).await {
                Ok(answer) => answer,
                Err(refusal) => self.refuse(peer, &refusal, &style),
            },
            Ok(Asks::Events) => match self.take(peer, connection, request).await {
                Ok(taken) => {
                    let status = if self.settings.acknowledge { StatusCode::OK } else { StatusCode::ACCEPTED };
                    style.accepted(status, &taken, began.elapsed())
                }
                Err(refusal) => self.refuse(peer, &refusal, &style),
            },
            Err(refusal) if is_harmless => {
                let status = refusal.status.as_u16();
                tracing::debug!(source = %self.context.name, peer = %peer, status, "probe refused");
                style.refused(&refusal)
            }
            Err(refusal) => self.refuse(peer, &refusal, &style),
        };
        // HTTP/2 has its own way to say this.
        if self.context.stop.is_stopped() && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match &self.settings.protocol {
            Protocol::Bulk(server) if !is_harmless && server.is_silent(response.status()) => Err(Unanswered),
            _ => Ok(response),
        }
    }

    /// The response to a refused request.
    fn refuse(&self, peer: SocketAddr, refusal: &Refusal, style: &Style) -> Response<response::Body> {
        let Refusal { status, reason, .. } = refusal;
        self.context.stats.fail(format!("request refused with {}: {reason}", status.as_u16()));
        if let Some(not_logged) = self.refusals.pass() {
            tracing::warn!(
                source = %self.context.name, peer = %peer, status = status.as_u16(), reason = %reason,
                not_logged, "request refused"
            );
        }
        let mut response = style.refused(refusal);
        let challenge = self.settings.credentials.first().and_then(Credential::challenge);
        if let Some(challenge) = challenge.filter(|_| *status == StatusCode::UNAUTHORIZED) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }

    async fn take(
        &self,
        peer: SocketAddr,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Taken, Refusal> {
        let text = |name: HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let kinds = Kinds::of(&text(header::CONTENT_ENCODING), &text(header::CONTENT_TYPE))?;
        let form = match &self.settings.protocol {
            Protocol::Events => Form::Events,
            Protocol::Firehose(compression) => Form::Firehose(*compression, About::of(request.headers())?),
            Protocol::Otlp => Form::Otlp(Call::of(&request)?),
            Protocol::Hec(_) => Form::Hec(hec::Call::of(request.uri())?),
            Protocol::Bulk(_) => Form::Bulk(
                bulk::Call::of(&request).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "send to `/_bulk`"))?,
            ),
        };
        let ticket = match &self.settings.protocol {
            Protocol::Hec(collector) => collector.ticket(hec::channel(request.headers(), request.uri()))?,
            _ => None,
        };
        let mut share = self.in_flight.share();
        let body = self.body(connection, request.into_body(), &mut share).await?;
        let Some(_work) = connection.work() else { return Err(self.closed()) };
        add(&self.context.stats.read_bytes, body.len() as u64);
        let origin = self.origin(peer, &form);
        let only_delivered = matches!(form, Form::Events);
        let Prepared { parts, empty, items, share } = self.prepare(body, kinds, form, origin.clone(), share).await?;
        add(&self.context.stats.skipped_empty, empty);
        let mut taken = self.deliver(parts, &origin, share, ticket).await?;
        taken.items = items;
        if only_delivered && taken.rejected > 0 {
            // A status that asks for a retry would only repeat delivered events.
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the destination rejected some of the events for good and accepted the others; do not send them again",
            ));
        }
        Ok(taken)
    }

    /// Reads a body in the time that it has.
    async fn body(&self, connection: &Arc<Connection>, body: Incoming, share: &mut Share) -> Result<Bytes, Refusal> {
        let reading = self.read(connection, body, share);
        tokio::select! {
            body = timeout(self.settings.read_timeout, reading) => body
                .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within `read_timeout`"))?,
            () = connection.closing() => Err(self.closed()),
        }
    }

    /// Responds to a question about acknowledgements.
    async fn acks(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Response<response::Body>, Refusal> {
        let Protocol::Hec(collector) = &self.settings.protocol else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "the source has no acknowledgements to ask for"));
        };
        let channel = hec::channel(request.headers(), request.uri());
        let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let kinds = Kinds::of(encoding.unwrap_or_default(), "")?;
        let mut share = self.in_flight.share();
        let body = self.body(connection, request.into_body(), &mut share).await?;
        let body = unpack(body, &kinds, &self.settings, &mut share)?;
        // The numbers, their states, and the response.
        share.cover_all(body.len() as u64 * 64)?;
        collector.ask(channel, &body)
    }

    /// The response to a request whose connection is being closed.
    fn closed(&self) -> Refusal {
        if self.context.stop.is_stopped() {
            return unavailable("the agent is stopping");
        }
        unavailable("the rest of the body did not arrive, and other clients need the connection or the memory")
    }

    /// Reads a body up to the limit. Reserves memory for received bytes, not for the announced
    /// length.
    async fn read(
        &self,
        connection: &Arc<Connection>,
        mut body: Incoming,
        share: &mut Share,
    ) -> Result<Bytes, Refusal> {
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

    /// The origin of the events of a request.
    fn origin(&self, peer: SocketAddr, form: &Form) -> Arc<Origin> {
        let (type_name, mut resource) = match form {
            Form::Events => ("http", serde_json::Map::new()),
            Form::Firehose(_, about) => ("aws_firehose", about.resource.clone()),
            Form::Otlp(_) => ("otlp", serde_json::Map::new()),
            Form::Hec(_) => ("splunk_hec", serde_json::Map::new()),
            Form::Bulk(_) => ("elasticsearch_bulk", serde_json::Map::new()),
        };
        resource.insert("remote".into(), peer.ip().to_string().into());
        self.context.origin_of(type_name, resource)
    }

    /// Decompresses and frames a body.
    async fn prepare(
        &self,
        body: Bytes,
        kinds: Kinds,
        form: Form,
        origin: Arc<Origin>,
        mut share: Share,
    ) -> Result<Prepared, Refusal> {
        let (settings, limits) = (self.settings.clone(), self.context.limits);
        let (body, kinds) = match &form {
            Form::Otlp(call) => call.message(body, kinds)?,
            Form::Events | Form::Firehose(..) | Form::Hec(_) | Form::Bulk(_) => (body, kinds),
        };
        // A compressed body grows, so its limit is lower.
        let is_small = body.len() <= SMALL_BODY / if kinds.is_plain(&body) { 1 } else { 16 };
        let work = move || {
            let body = unpack(body, &kinds, &settings, &mut share)?;
            let chunks = |(chunks, empty): (Vec<Chunk>, u64)| (chunks.into_iter().map(Part::Chunk).collect(), empty);
            let mut items = None;
            let (parts, empty) = match form {
                Form::Firehose(compression, about) => {
                    chunks(firehose::frame(&body, &about, compression, &settings, &mut share, &limits)?)
                }
                Form::Events => {
                    let body = decode(body, &kinds, &settings, &mut share)?;
                    chunks(frame(&body, &kinds, &settings, &mut share, &limits)?)
                }
                Form::Otlp(call) => {
                    let events = otlp::frame(body, &call, &origin.resource, &mut share, &limits)?;
                    (events.into_iter().map(Part::Rows).collect(), 0)
                }
                Form::Hec(call) => {
                    let (events, empty) = hec::frame(&body, &call, &origin.resource, &mut share, &limits)?;
                    (events.into_iter().map(Part::Rows).collect(), empty)
                }
                Form::Bulk(call) => {
                    let (events, found) = bulk::frame(&body, &call, &mut share, &limits)?;
                    items = Some(found);
                    (events.into_iter().map(Part::Rows).collect(), 0)
                }
            };
            Ok(Prepared { parts, empty, items, share })
        };
        if is_small {
            return work();
        }
        let _place = self.unpacking.acquire().await;
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(unavailable("decompressing the body ended unexpectedly")))
    }

    /// Pushes the batches to the queue and waits for their result, unless the client has a ticket to ask for it. They share
    /// one acknowledgement.
    async fn deliver(
        &self,
        parts: Vec<Part>,
        origin: &Arc<Origin>,
        share: Share,
        ticket: Option<Ticket>,
    ) -> Result<Taken, Refusal> {
        let ack_id = ticket.as_ref().map(|ticket| ticket.id);
        let (report, reported) = oneshot::channel();
        let ack = Ack::counting(move |disposition, rejected| {
            // The count of events in flight ends with the last event, also after the client
            // disconnected.
            drop(share);
            if let Some(ticket) = ticket {
                ticket.end(disposition);
            }
            let _ = report.send((disposition, rejected));
        });
        let until = Instant::now() + self.settings.acknowledge_timeout;
        let mut events = 0;
        let mut patience = self.settings.max_wait;
        for part in parts {
            let batch = part.into_batch(origin.clone(), ack.share()).map_err(|_| too_many_bytes())?;
            let (rows, bytes) = (batch.rows(), batch.byte_len() as u64);
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
        if !self.settings.acknowledge || ack_id.is_some() {
            return Ok(Taken { events, rejected: 0, ack_id, items: None });
        }
        match timeout_at(until, reported).await {
            Ok(Ok((Disposition::Delivered, _))) => Ok(Taken { events, rejected: 0, ack_id, items: None }),
            // Nodes can make more events of one, and fewer.
            Ok(Ok((Disposition::Rejected, rejected))) => {
                Ok(Taken { events, rejected: rejected.clamp(1, events.max(1)), ack_id, items: None })
            }
            Ok(Ok((Disposition::GivenUp | Disposition::Retry, _)) | Err(_)) => {
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

fn too_many_bytes() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the events of the request have more than 4 GiB")
}
