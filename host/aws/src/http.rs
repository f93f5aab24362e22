//! The transport: one request and its response, bounded in time and bytes.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use wattle_tls::{TlsFailure, find_cause};

use crate::connect::{ConnectError, Connector};
use crate::error::ErrorKind;

/// How long an idle connection stays open. S3 closes idle connections after about 20 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request body that are written at a time, so that progress is visible.
const UPLOAD_CHUNK: usize = 64 << 10;

/// Time limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Name resolution, TCP, proxy and TLS.
    pub connect: Duration,
    /// From a connection, or from the last byte of the request that was sent, to the head of the response.
    pub first_byte: Duration,
    /// Without any byte, while a body is sent or received.
    pub progress: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            progress: Duration::from_secs(30),
        }
    }
}

/// Why a request got no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    /// No connection in time.
    #[error("cannot connect within {0:?}; check the network, and that the agent can reach the endpoint")]
    ConnectTimeout(Duration),
    /// The server does not respond.
    #[error("no response within {0:?}")]
    FirstByte(Duration),
    /// The body stopped.
    #[error("no byte of the body within {0:?}")]
    NoProgress(Duration),
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// The body is too large.
    #[error("the response has more than {0} bytes")]
    TooLarge(usize),
}

impl HttpError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::ConnectTimeout(_) | Self::FirstByte(_) | Self::NoProgress(_) => ErrorKind::Timeout,
            Self::Connection(_) => ErrorKind::Connection,
            Self::TooLarge(_) => ErrorKind::InvalidResponse,
        }
    }
}

/// Sends requests over a pool of connections.
#[derive(Clone)]
pub(crate) struct Http {
    pool: Pool<Connector, Upload>,
    connector: Connector,
    limits: Limits,
}

/// The head of a response, and its body.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of a response, as a stream of chunks. Dropping it closes the connection unless it was read to the end.
pub struct Body {
    incoming: Incoming,
    limit: Duration,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Http {
    pub(crate) fn new(tls: Arc<ClientConfig>, proxies: Arc<Matcher>, limits: Limits) -> Self {
        let connector = Connector::new(tls, proxies, limits.connect);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.clone());
        Self { pool, connector, limits }
    }

    /// Sends a request. `wait` is added to the limit for the first byte: the time for which the server may hold the
    /// response on purpose.
    pub(crate) async fn send(&self, request: Request<Bytes>, wait: Duration) -> Result<Response, HttpError> {
        let (mut head, body) = request.into_parts();
        head.headers
            .entry(USER_AGENT)
            .or_insert_with(|| hyper::header::HeaderValue::from_static(concat!("wattle/", env!("CARGO_PKG_VERSION"))));
        if let Some(credentials) = self.connector.forwarding_credentials(&head.uri) {
            head.headers.insert(PROXY_AUTHORIZATION, credentials);
        }
        let (body, sent) = Upload::new(body);
        let mut request = Request::from_parts(head, body);
        let mut connection = capture_connection(&mut request);
        let exchange = self.pool.request(request);
        tokio::pin!(exchange);
        // The connector limits the time until there is a connection.
        let early = tokio::select! {
            response = &mut exchange => Some(response),
            _ = connection.wait_for_connection_metadata() => None,
        };
        let response = match early {
            Some(response) => response,
            None => within(exchange, &sent, self.limits.first_byte + wait).await?,
        };
        let response = response.map_err(|error| explain(&error))?;
        let (head, incoming) = response.into_parts();
        let body = Body { incoming, limit: self.limits.progress };
        Ok(Response { status: head.status, headers: head.headers, body })
    }
}

/// Waits for the head of a response, at most for this time since something was sent.
async fn within<T>(exchange: impl Future<Output = T>, sent: &Mutex<Instant>, limit: Duration) -> Result<T, HttpError> {
    tokio::pin!(exchange);
    *sent.lock() = Instant::now();
    loop {
        let until = *sent.lock() + limit;
        if let Ok(response) = timeout_at(until, &mut exchange).await {
            return Ok(response);
        }
        if *sent.lock() + limit == until {
            return Err(HttpError::FirstByte(limit));
        }
    }
}

impl Body {
    /// The next chunk; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, HttpError>> {
        loop {
            let Ok(frame) = tokio::time::timeout(self.limit, self.incoming.frame()).await else {
                return Some(Err(HttpError::NoProgress(self.limit)));
            };
            match frame? {
                // Trailers are not data.
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(explain(&error))),
            }
        }
    }

    /// The complete body.
    pub(crate) async fn collect(mut self, max: usize) -> Result<Bytes, HttpError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk?;
            if all.len() + chunk.len() > max {
                return Err(HttpError::TooLarge(max));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }
}

/// A request body that notes when a part of it was sent last.
pub(crate) struct Upload {
    rest: Bytes,
    sent: Arc<Mutex<Instant>>,
}

impl Upload {
    fn new(body: Bytes) -> (Self, Arc<Mutex<Instant>>) {
        let sent = Arc::new(Mutex::new(Instant::now()));
        (Self { rest: body, sent: sent.clone() }, sent)
    }
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.rest.len().min(UPLOAD_CHUNK);
        let chunk = self.rest.split_to(count);
        *self.sent.lock() = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Why a request got no complete response, in words for operators.
fn explain(error: &(dyn StdError + 'static)) -> HttpError {
    if let Some(error) = find_cause::<ConnectError>(error) {
        return match error {
            ConnectError::Timeout(limit) => HttpError::ConnectTimeout(*limit),
            other => HttpError::Connection(other.to_string()),
        };
    }
    HttpError::Connection(describe(error))
}

/// What went wrong with a connection.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> String {
    if let Some(failure) = TlsFailure::find(error) {
        return format!("TLS failed: {failure}");
    }
    if let Some(cause) = find_cause::<hyper::Error>(error) {
        if cause.is_incomplete_message() {
            return "the server closed the connection before its response was complete".to_owned();
        }
        if cause.is_parse() {
            return "the server does not speak HTTP/1.1; check `endpoint`".to_owned();
        }
    }
    match find_cause::<io::Error>(error) {
        Some(cause) => match cause.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server reset the connection".to_owned(),
            io::ErrorKind::UnexpectedEof => {
                "the server closed the connection before its response was complete".to_owned()
            }
            io::ErrorKind::TimedOut => "the connection timed out".to_owned(),
            _ if cause.to_string().starts_with("failed to lookup address information") => {
                "cannot resolve the name of the server; check `endpoint`, `region` and the DNS of this machine"
                    .to_owned()
            }
            _ => format!("the connection failed ({cause})"),
        },
        None => {
            let mut last = error;
            while let Some(source) = last.source() {
                last = source;
            }
            format!("the connection failed ({last})")
        }
    }
}
