//! The source `http`: takes events from the bodies of requests. The sources `aws_firehose`, `otlp`, `splunk_hec` and
//! `elasticsearch_bulk` are this server too, with the requests and responses of their protocols.
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
pub(crate) mod bulk;
pub(crate) mod firehose;
mod handler;
mod head;
pub(crate) mod hec;
mod http2;
pub(crate) mod options;
pub(crate) mod otlp;
pub(crate) mod refusal;
mod response;

#[cfg(test)]
mod clients_tests;
#[cfg(test)]
mod edges_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tls_tests;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wattle_listen::{Acceptor, Connections, Listeners, Owner, Registered, Registration, Stream, accept};

use crate::error::SourceError;
use crate::source::{Source, SourceContext, Stop};
use handler::Handler;
pub(crate) use options::Options;
use options::{Protocol, Settings};

/// Maximum size of the head of a request, and of one read of a body.
const MAX_HEAD_BYTES: usize = 128 << 10;

/// Time to send the last response on a closing connection.
const LAST_ANSWER: Duration = Duration::from_millis(50);

/// The source, ready to run.
pub(crate) struct HttpSource {
    settings: Settings,
    /// The socket of each address, unless the source must bind it when it runs.
    sockets: Vec<Option<std::net::TcpListener>>,
    listeners: Listeners,
}

impl HttpSource {
    pub(crate) fn new(settings: Settings) -> Self {
        let sockets = settings.addresses.iter().map(|_| None).collect();
        Self { settings, sockets, listeners: Listeners::default() }
    }
}

impl Source for HttpSource {
    fn listen(&mut self, listeners: &Listeners) -> Result<(), SourceError> {
        for (address, socket) in self.settings.addresses.iter().zip(&mut self.sockets) {
            *socket = listeners.prepare(address).map_err(|error| SourceError::listen(address, error))?;
        }
        self.listeners = listeners.clone();
        Ok(())
    }

    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let (mut sockets, mut registrations) = (Vec::new(), Vec::new());
            for (address, socket) in self.settings.addresses.iter().zip(self.sockets) {
                let (listener, registration) = listen(address, socket, &self.listeners, &context).await?;
                sockets.push(listener);
                registrations.push(registration);
            }
            context.stats.start();
            let mut stop = context.stop.clone();
            let owner = Owner::Source(context.name.clone());
            let open = Arc::new(Connections::new(owner.clone(), self.settings.max_connections));
            let settings = self.settings.clone();
            let reply = response::TLS_REQUIRED;
            let (tls, tls_stats) = (settings.tls.clone(), context.stats.tls.clone());
            let acceptor = Acceptor::new(owner, tls_stats, tls, Some(settings.idle_timeout), reply);
            let acceptor = Arc::new(acceptor);
            let handler = Arc::new(Handler::new(self.settings, context, open.clone()));
            let mut files = std::pin::pin!(acceptor.follow_files());
            // Dropping the source drops this set, which closes the connections.
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = tokio::select! {
                    accepted = accept(&sockets) => accepted,
                    Some(_) = connections.join_next() => continue,
                    never = &mut files => match never {},
                    () = stop.stopped() => break,
                };
                // A connection that was already accepted is served even if the source stops.
                let place = tokio::select! {
                    place = open.place() => Some(place),
                    () = stop.stopped() => None,
                };
                let registered = open.register(place);
                let client = Client { stream, peer, registered };
                connections.spawn(serve(client, acceptor.clone(), handler.clone(), settings.clone(), stop.clone()));
            }
            // Accept no new connections. Requests in progress still get a response: a client whose
            // connection just closes cannot know whether the source accepted its request. Clients
            // that send nothing do not delay the stop.
            drop((sockets, registrations));
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
    let opened = listeners.open(address, socket, None).await;
    let (listener, registration, at) = opened.map_err(|error| SourceError::listen(address, error))?;
    let _ = context.stats.address.set(at);
    tracing::info!(source = %context.name, address = %at, "listening");
    Ok((listener, registration))
}

/// An accepted connection.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    registered: Registered,
}

async fn serve(client: Client, acceptor: Arc<Acceptor>, handler: Arc<Handler>, settings: Settings, mut stop: Stop) {
    let Client { stream, peer, registered } = client;
    // Responses are small and should be sent at once.
    let _ = stream.set_nodelay(true);
    let connection = registered.connection.clone();
    let begun = async {
        let stream = acceptor.accept(stream, peer).await?;
        // The client was active until now.
        connection.touch();
        let is_http2 = match (&stream, &settings.protocol) {
            (Stream::Tls(_), _) => stream.protocol() == Some(b"h2"),
            (Stream::Plain(stream), Protocol::Otlp) => http2::is_begun(stream, settings.idle_timeout).await,
            (Stream::Plain(_), _) => false,
        };
        Some((stream, is_http2))
    };
    let begun = tokio::select! {
        begun = begun => begun,
        () = connection.closing() => None,
    };
    let Some((stream, is_http2)) = begun else { return };
    let service = service_fn(|request| {
        let (handler, connection) = (handler.clone(), connection.clone());
        async move { handler.answer(peer, &connection, request).await }
    });
    let stream = TokioIo::new(stream);
    let ended: Result<(), hyper::Error> = if is_http2 {
        let mut serving = std::pin::pin!(http2::server(settings.idle_timeout).serve_connection(stream, service));
        tokio::select! {
            ended = serving.as_mut() => ended,
            () = connection.closing() => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_ANSWER, serving).await.unwrap_or(Ok(()))
            }
            // The client sends its next requests on another connection, and gets the responses to those before.
            () = stop.stopped() => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = connection.closing() => tokio::time::timeout(LAST_ANSWER, serving).await.unwrap_or(Ok(())),
                }
            }
        }
    } else {
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.idle_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(stream, service);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            ended = serving.as_mut() => ended,
            () = connection.closing() => {
                serving.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_ANSWER, serving).await.unwrap_or(Ok(()))
            }
        }
    };
    if let Err(error) = ended {
        // The client disconnected. It got no response, so it must send its events again.
        tracing::debug!(peer = %peer, error = %error, "connection ended");
    }
}
