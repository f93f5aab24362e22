//! The source `http`: takes events from the bodies of requests.
//!
//! A request is answered with 200 when all of its events are delivered. Whatever else is answered, the client may send
//! the same again:
//!
//! | status | means |
//! | --- | --- |
//! | 200 | every event was delivered, or dropped on purpose by a node (202: was queued, with `acknowledge = false`) |
//! | 400 | the body cannot be read or decompressed |
//! | 401 | the bearer token is missing or wrong |
//! | 404, 405, 415 | another path, method or content encoding is wanted |
//! | 408 | the body did not come within `read_timeout` |
//! | 413 | the body, decompressed or not, is larger than `max_body_bytes` |
//! | 429 | too much is in flight, or the queue stayed full for `max_wait`; with `Retry-After` |
//! | 500 | some events can never be delivered |
//! | 503 | delivery failed, took longer than `acknowledge_timeout`, or the agent is stopping; with `Retry-After` |

pub(crate) mod body;
mod handler;
mod listeners;
pub(crate) mod options;

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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::options::OptionError;
use crate::source::{Source, SourceContext, SourceError};
use handler::Handler;
pub(crate) use options::Options;
use options::Settings;

/// How long a client may take for the head of a request, or keep an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection may still bring a request when the source has been told to stop.
const LAST_REQUEST: Duration = Duration::from_millis(100);

/// How long to wait when a connection cannot be accepted, which is when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The source, ready to run.
pub(crate) struct HttpSource {
    settings: Settings,
    /// Where it will listen, unless that is only known when it runs.
    socket: Option<std::net::TcpListener>,
}

impl HttpSource {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        Ok(Self { settings: Settings::new(options)?, socket: None })
    }

    /// Takes its address, from a source that runs there and is to be replaced if there is one.
    pub(crate) fn listen(mut self) -> Result<Self, SourceError> {
        let address = &self.settings.address;
        self.socket = listeners::prepare(address).map_err(|error| cannot_listen(address, &error))?;
        Ok(self)
    }
}

impl Source for HttpSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let (listener, shown) = listen(&self.settings.address, self.socket, &context).await?;
            context.stats.start();
            let max_connections = self.settings.max_connections;
            let mut stop = context.stop.clone();
            let handler = Arc::new(Handler::new(self.settings, context));
            let places = Arc::new(Semaphore::new(max_connections));
            let graceful = GracefulShutdown::new();
            // Dropping the set ends the connections, when the source is dropped.
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = accept(&listener, &places) => accepted,
                    Some(_) = connections.join_next() => continue,
                    () = stop.stopped() => break,
                };
                let (stream, peer, place) = accepted;
                connections.spawn(serve(stream, peer, handler.clone(), graceful.watcher(), place));
            }
            // No further connection. A connection ends with an answer that says so: a client whose connection just goes away
            // cannot know whether the request that it has sent was taken. Those that are silent are not waited for.
            drop((listener, shown));
            let all = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_REQUEST, all).await;
            // What is being answered is answered.
            graceful.shutdown().await;
            connections.join_all().await;
            Ok(())
        })
    }
}

async fn listen(
    address: &str,
    socket: Option<std::net::TcpListener>,
    context: &SourceContext,
) -> Result<(TcpListener, listeners::Shown), SourceError> {
    let bound = async {
        let listener = match socket {
            Some(socket) => TcpListener::from_std(socket)?,
            None => TcpListener::bind(address).await?,
        };
        let at = listener.local_addr()?;
        let shown = listeners::show(address, &listener)?;
        std::io::Result::Ok((listener, shown, at))
    };
    let (listener, shown, at) = bound.await.map_err(|error| cannot_listen(address, &error))?;
    let _ = context.stats.address.set(at);
    tracing::info!(source = %context.name, address = %at, "listening");
    Ok((listener, shown))
}

fn cannot_listen(address: &str, error: &std::io::Error) -> SourceError {
    let message = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("address `{address}` is taken; stop the program that listens there or set another `address`")
        }
        _ => format!("cannot listen on address `{address}`: {error}"),
    };
    SourceError { message }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(error = %error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<Handler>,
    watcher: hyper_util::server::graceful::Watcher,
    _place: OwnedSemaphorePermit,
) {
    // Answers are small and should leave at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        // A client that went away; whether its events count is seen in the answer that it did not get.
        tracing::debug!(peer = %peer, error = %error, "connection ended");
    }
}
