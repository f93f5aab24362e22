//! The source `http`: takes events from the bodies of requests.
//!
//! The source responds with 200 when all events of a request are delivered. Any other status says
//! whether the client should send the request again:
//!
//! | status | meaning |
//! | --- | --- |
//! | 200 | every event was delivered, or dropped on purpose by a node (202: was queued, with `acknowledge = false`) |
//! | 400 | the body is incomplete, cannot be decompressed, or is sent as JSON and is not valid JSON |
//! | 401 | the credentials are missing or wrong |
//! | 404, 405, 415, 417 | the path, method, content encoding or expectation is not supported |
//! | 408 | the body did not arrive within `read_timeout` |
//! | 413 | the body, decompressed or not, is larger than `max_body_bytes` |
//! | 422 | some events can never be delivered; the others were delivered |
//! | 429 | requests hold `max_in_flight_bytes`, or the queue stayed full for `max_wait`; with `Retry-After` |
//! | 503 | delivery failed, took longer than `acknowledge_timeout`, or the agent is stopping; with `Retry-After` |
//!
//! So a client that repeats a request after 5xx and 429, and never after another 4xx, loses no
//! events and repeats no request forever.

pub(crate) mod body;
mod connections;
mod credential;
pub(crate) mod firehose;
mod handler;
pub(crate) mod options;
pub(crate) mod refusal;

#[cfg(test)]
mod clients_tests;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::error::SourceError;
use crate::listeners::{Listeners, Registration};
use crate::source::{Source, SourceContext};
use connections::{Connections, Registered};
use handler::Handler;
pub(crate) use options::Options;
use options::Settings;

/// Maximum size of the head of a request, and of one read of a body.
const MAX_HEAD_BYTES: usize = 128 << 10;

/// Time to send the last response on a closing connection.
const LAST_ANSWER: Duration = Duration::from_millis(50);

/// Pause after a failed accept, which happens when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The source, ready to run.
pub(crate) struct HttpSource {
    settings: Settings,
    /// The socket, unless the source must bind it when it runs.
    socket: Option<std::net::TcpListener>,
    listeners: Listeners,
}

impl HttpSource {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, socket: None, listeners: Listeners::default() }
    }
}

impl Source for HttpSource {
    fn listen(&mut self, listeners: &Listeners) -> Result<(), SourceError> {
        let address = &self.settings.address;
        self.socket = listeners.prepare(address).map_err(|error| SourceError::listen(address, error))?;
        self.listeners = listeners.clone();
        Ok(())
    }

    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let (listener, registration) =
                listen(&self.settings.address, self.socket, &self.listeners, &context).await?;
            context.stats.start();
            let idle_timeout = self.settings.idle_timeout;
            let mut stop = context.stop.clone();
            let open = Arc::new(Connections::new(context.name.clone(), self.settings.max_connections));
            let handler = Arc::new(Handler::new(self.settings, context, open.clone()));
            // Dropping the source drops this set, which closes the connections.
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = tokio::select! {
                    accepted = accept(&listener) => accepted,
                    Some(_) = connections.join_next() => continue,
                    () = stop.stopped() => break,
                };
                // A connection that was already accepted is served even if the source stops.
                let place = tokio::select! {
                    place = open.place() => Some(place),
                    () = stop.stopped() => None,
                };
                connections.spawn(serve(stream, peer, handler.clone(), open.register(place), idle_timeout));
            }
            // Accept no new connections. Requests in progress still get a response: a client whose
            // connection just closes cannot know whether the source accepted its request. Clients
            // that send nothing do not delay the stop.
            drop((listener, registration));
            let all = async { while connections.join_next().await.is_some() {} };
            tokio::select! {
                () = all => {}
                never = open.close_waiting() => match never {},
            }
            Ok(())
        })
    }
}

async fn listen(
    address: &str,
    socket: Option<std::net::TcpListener>,
    listeners: &Listeners,
    context: &SourceContext,
) -> Result<(TcpListener, Registration), SourceError> {
    let bound = async {
        let listener = match socket {
            Some(socket) => TcpListener::from_std(socket)?,
            None => TcpListener::bind(address).await?,
        };
        let at = listener.local_addr()?;
        let registration = listeners.register(address, &listener)?;
        std::io::Result::Ok((listener, registration, at))
    };
    let (listener, registration, at) = bound.await.map_err(|error| SourceError::listen(address, error))?;
    let _ = context.stats.address.set(at);
    tracing::info!(source = %context.name, address = %at, "listening");
    Ok((listener, registration))
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<Handler>,
    registered: Registered,
    idle_timeout: Duration,
) {
    // Responses are small and should be sent at once.
    let _ = stream.set_nodelay(true);
    let connection = &registered.connection;
    let service = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(peer, connection, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = connection.closing() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // The client disconnected. It got no response, so it must send its events again.
        tracing::debug!(peer = %peer, error = %error, "connection ended");
    }
}
