//! Responds to requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use wattle_listen::{Connection, Credential, LogLimit, Work};

use super::Exposed;
use super::exposition::Exposition;
use super::negotiate;
use super::options::Settings;
use crate::compress::{Compression, Stream};

/// Maximum number of scrapes at the same time. Each can keep the former state of every series in memory.
const MAX_SCRAPES: usize = 8;

/// Maximum time of a response. A client that reads more slowly loses its connection.
pub(super) const MAX_SCRAPE_TIME: Duration = Duration::from_mins(1);

/// Minimum time between two log lines about refused requests.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Responds to requests; shared by all connections.
pub(super) struct Handler {
    sink: Arc<str>,
    settings: Settings,
    exposed: Arc<Exposed>,
    scrapes: Arc<Semaphore>,
    refusals: LogLimit,
}

impl Handler {
    pub(super) fn new(sink: Arc<str>, settings: Settings, exposed: Arc<Exposed>) -> Self {
        let scrapes = Arc::new(Semaphore::new(MAX_SCRAPES));
        Self { sink, settings, exposed, scrapes, refusals: LogLimit::new(LOG_PAUSE) }
    }

    /// Responds to a request. While a response is being sent, `deadline` has the time at which it must have ended.
    pub(super) fn answer(
        &self,
        peer: SocketAddr,
        connection: &Arc<Connection>,
        deadline: &watch::Sender<Option<Instant>>,
        request: &Request<Incoming>,
        is_stopped: bool,
    ) -> Response<Body> {
        connection.touch();
        let mut response = match self.check(request, connection) {
            Ok((work, permit)) => self.scrape(request.headers(), work, permit, deadline),
            Err((status, reason)) => {
                self.log(peer, status, reason);
                self.refused(status, reason)
            }
        };
        if is_stopped {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn check(
        &self,
        request: &Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Result<(Work, OwnedSemaphorePermit), (StatusCode, &'static str)> {
        if self.settings.credential.as_ref().is_some_and(|credential| !credential.is_in(request.headers())) {
            return Err((StatusCode::UNAUTHORIZED, "the credentials are missing or wrong"));
        }
        if request.uri().path() != self.settings.path {
            return Err((StatusCode::NOT_FOUND, "the path is not the one of the option `path`"));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "use GET"));
        }
        let closing = (StatusCode::SERVICE_UNAVAILABLE, "the connection is being closed");
        let work = connection.work().ok_or(closing)?;
        let busy = (StatusCode::SERVICE_UNAVAILABLE, "too many scrapes run at the same time");
        let permit = self.scrapes.clone().try_acquire_owned().map_err(|_| busy)?;
        Ok((work, permit))
    }

    fn scrape(
        &self,
        headers: &HeaderMap,
        work: Work,
        permit: OwnedSemaphorePermit,
        deadline: &watch::Sender<Option<Instant>>,
    ) -> Response<Body> {
        let text = |name: HeaderName| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(",")
        };
        let format = negotiate::format(&text(header::ACCEPT));
        let compression = match negotiate::accepts_gzip(&text(header::ACCEPT_ENCODING)) {
            true => Compression::Gzip,
            false => Compression::None,
        };
        // Without compression there is no stream, and gzip cannot fail to begin.
        let stream = Stream::new(compression).ok().flatten();
        let is_compressed = stream.is_some();
        let families = self.exposed.registry.lock().view(self.settings.limits.expire_after, Instant::now());
        let exposition = Exposition::new(families, format, self.settings.send_timestamps);
        deadline.send_replace(Some(Instant::now() + MAX_SCRAPE_TIME));
        let scrape = Scrape { exposition, stream, _work: work, _permit: permit, deadline: deadline.clone() };
        let mut response = Response::new(Body::Scrape(Box::new(scrape)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn refused(&self, status: StatusCode, reason: &'static str) -> Response<Body> {
        let mut response = Response::new(Body::Text(Some(Bytes::from(format!("{reason}\n")))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let challenge = self.settings.credential.as_ref().and_then(Credential::challenge);
        let further = match status {
            StatusCode::UNAUTHORIZED => challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge)),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, HEAD")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = further {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn log(&self, peer: SocketAddr, status: StatusCode, reason: &'static str) {
        if let Some(not_logged) = self.refusals.pass() {
            let status = status.as_u16();
            tracing::warn!(sink = %self.sink, peer = %peer, status, reason, not_logged, "request refused");
        }
    }
}

/// The body of a response.
pub(super) enum Body {
    /// A short text.
    Text(Option<Bytes>),
    Scrape(Box<Scrape>),
}

/// A response to a scrape, which is made while the client reads it.
pub(super) struct Scrape {
    exposition: Exposition,
    /// `None` without compression, and after its end.
    stream: Option<Stream>,
    /// The connection is busy until the response ends.
    _work: Work,
    _permit: OwnedSemaphorePermit,
    deadline: watch::Sender<Option<Instant>>,
}

impl Scrape {
    /// The next bytes; `None` at the end.
    fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let piece = self.exposition.next_piece();
            let Some(stream) = &mut self.stream else { return Ok(piece.map(Bytes::from)) };
            let mut out = Vec::new();
            match piece {
                Some(piece) => {
                    stream.write(piece.as_bytes())?;
                    stream.drain(&mut out);
                }
                None => {
                    if let Some(stream) = self.stream.take() {
                        stream.finish(&mut out)?;
                    }
                }
            }
            // The compression may keep all of a piece.
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        self.deadline.send_replace(None);
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let next = match self.get_mut() {
            Self::Text(text) => Ok(text.take()),
            Self::Scrape(scrape) => scrape.next(),
        };
        Poll::Ready(next.transpose().map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }
}

/// Waits until the response that is being sent must have ended.
pub(super) async fn overdue(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let at = *deadline.borrow_and_update();
        let changed: Result<(), _> = match at {
            Some(at) => tokio::select! {
                changed = deadline.changed() => changed,
                () = tokio::time::sleep_until(at) => return,
            },
            None => deadline.changed().await,
        };
        if changed.is_err() {
            // Without a sender, no response begins.
            let never: Infallible = std::future::pending().await;
            match never {}
        }
    }
}
