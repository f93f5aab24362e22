//! Accepts the connections of clients, and serves them until the sink ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wattle_listen::{Acceptor, Connections, Owner, Registered, Registration, accept};

use super::Exposed;
use super::options::Settings;
use super::scrape::{Handler, overdue};
use crate::sink::SinkContext;

/// Maximum size of the head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long responses may take after the sink has ended.
pub(super) const LAST_RESPONSES: Duration = Duration::from_secs(5);

/// Time to send the last response on a closing connection.
const LAST_RESPONSE: Duration = Duration::from_millis(50);

/// Reply to a client that does not use TLS.
const TLS_REQUIRED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                              content-length: 32\r\n\r\nthis port requires TLS (https)\r\n";

/// An accepted connection.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    registered: Registered,
}

/// Serves clients until `stop` is true, and then the requests that are on their way.
pub(super) async fn serve(
    listener: TcpListener,
    registration: Registration,
    settings: &Settings,
    context: &SinkContext,
    exposed: Arc<Exposed>,
    mut stop: watch::Receiver<bool>,
) {
    let owner = Owner::Sink(context.name.clone());
    let open = Arc::new(Connections::new(owner.clone(), settings.max_connections));
    let (tls, stats, idle) = (settings.tls.clone(), context.stats.tls.clone(), Some(settings.idle_timeout));
    let acceptor = Arc::new(Acceptor::new(owner, stats, tls, idle, TLS_REQUIRED));
    let handler = Arc::new(Handler::new(context.name.clone(), settings.clone(), exposed));
    let mut files = std::pin::pin!(acceptor.follow_files());
    let sockets = [listener];
    // Dropping the sink drops this set, which closes the connections.
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&sockets) => accepted,
            Some(_) = connections.join_next() => continue,
            never = &mut files => match never {},
            () = stopped(&mut stop) => break,
        };
        // A connection that was already accepted is served even if the sink ends.
        let place = tokio::select! {
            place = open.place() => Some(place),
            () = stopped(&mut stop) => None,
        };
        let client = Client { stream, peer, registered: open.register(place) };
        let (acceptor, handler, idle, stop) = (acceptor.clone(), handler.clone(), settings.idle_timeout, stop.clone());
        connections.spawn(connection(client, acceptor, handler, idle, stop));
    }
    // New connections wait for the successor, which has the same socket.
    drop((sockets, registration));
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        never = open.close_waiting() => match never {},
    }
}

/// Waits until `stop` is true.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender, the sink has ended.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    client: Client,
    acceptor: Arc<Acceptor>,
    handler: Arc<Handler>,
    idle_timeout: Duration,
    stop: watch::Receiver<bool>,
) {
    let Client { stream, peer, registered } = client;
    let _ = stream.set_nodelay(true);
    let connection = registered.connection.clone();
    let begun = tokio::select! {
        begun = acceptor.accept(stream, peer) => begun,
        () = connection.closing() => None,
    };
    let Some(stream) = begun else { return };
    // The client was active until now.
    connection.touch();
    let (deadline, until) = watch::channel(None);
    let service = service_fn(|request| {
        let response = handler.answer(peer, &connection, &deadline, &request, *stop.borrow());
        std::future::ready(Ok::<_, Infallible>(response))
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
            tokio::time::timeout(LAST_RESPONSE, serving).await.unwrap_or(Ok(()))
        }
        () = overdue(until) => {
            tracing::warn!(
                peer = %peer, seconds = super::scrape::MAX_SCRAPE_TIME.as_secs(),
                "client reads the response to a scrape too slowly; closing its connection"
            );
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer, error = %error, "connection ended");
    }
}
