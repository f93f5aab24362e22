//! The sources `socket` and `syslog`: take messages over TCP, TLS, UDP and Unix sockets.
//!
//! A message is an event, with the bytes that the client sent. The source `syslog` is the same with another framing: nodes
//! parse the messages, in the sandbox, because every device on the network can send them.
//!
//! These protocols have no acknowledgements. The source keeps each batch in memory until it is delivered, and sends it again
//! if it returns; it stops reading at `max_in_flight_bytes`. So what the source has read is lost only with the process.

mod bind;
mod connection;
mod datagrams;
mod drops;
pub(crate) mod messages;
mod options;
mod seal;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wattle_listen::{Acceptor, Listeners, LogLimit, Owner, Registration};

use crate::error::SourceError;
use crate::frame::Skipped;
use crate::outbox::{Outbox, TaskIntake};
use crate::pool::Pool;
use crate::source::{Source, SourceContext};
use bind::{Bound, Client, Opened, StreamListener};
use connection::Reader;
use datagrams::Receiver;
pub(crate) use messages::StreamFraming;
use options::Settings;
pub(crate) use options::SocketOptions;

/// Pause after a failed accept, which happens when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two log lines about the limit of connections.
const FULL_PAUSE: Duration = Duration::from_secs(60);

/// Minimum time between two log lines about what clients do wrong.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// How long clients that send without a pause are read when the source stops. The time does not run while a connection
/// waits until its events have room. What the kernel has accepted by then is read too, because the client believes that it
/// arrived.
const LAST_READ: Duration = Duration::from_millis(500);

/// After the stop, a socket that has nothing to read for this time is done. It covers the way of the last bytes through the
/// network.
const QUIET: Duration = Duration::from_millis(100);

/// The source, ready to run.
pub(crate) struct SocketSource {
    type_name: &'static str,
    settings: Settings,
    /// The socket, unless the source must bind it when it runs.
    socket: Option<bind::Taken>,
    listeners: Listeners,
}

/// What all connections of a source share.
struct Shared {
    type_name: &'static str,
    settings: Settings,
    context: SourceContext,
    intake: TaskIntake,
    pool: Pool,
    log: LogLimit,
}

impl Shared {
    /// Counts data that did not become messages, and logs messages that were too long.
    fn skip(&self, from: &str, skipped: &Skipped) {
        self.context.stats.count_skipped(skipped);
        if skipped.too_long > 0
            && let Some(not_logged) = self.log.pass()
        {
            tracing::warn!(
                source = %self.context.name, peer = from, messages = skipped.too_long, bytes = skipped.too_long_bytes,
                not_logged, "skipped messages longer than `max_message_bytes`; raise the option to receive them"
            );
        }
    }
}

impl SocketSource {
    pub(crate) fn new(type_name: &'static str, settings: Settings) -> Self {
        Self { type_name, settings, socket: None, listeners: Listeners::default() }
    }
}

impl Source for SocketSource {
    fn listen(&mut self, listeners: &Listeners) -> Result<(), SourceError> {
        self.socket = bind::prepare(&self.settings, listeners)?;
        self.listeners = listeners.clone();
        Ok(())
    }

    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let Self { type_name, settings, socket, listeners } = *self;
            let Opened { bound, registration, dropped_before, receive_buffer } =
                bind::bind(&settings, socket, &listeners)?;
            if let (Some(bytes), Some(wanted)) = (receive_buffer, settings.receive_buffer_bytes)
                && bytes < wanted
            {
                tracing::warn!(
                    source = %context.name, bytes, wanted,
                    "the kernel limits `receive_buffer_bytes`; raise `net.core.rmem_max`"
                );
            }
            match bound.address() {
                Some(address) => {
                    let _ = context.stats.address.set(address);
                    tracing::info!(source = %context.name, %address, "listening");
                }
                None => tracing::info!(source = %context.name, path = %settings.place, "listening"),
            }
            context.stats.start();
            let (intake, outbox) = Outbox::for_tasks(context.clone(), type_name, settings.max_in_flight_bytes);
            let shared = Arc::new(Shared {
                type_name,
                settings: settings.clone(),
                context,
                intake,
                pool: Pool::default(),
                log: LogLimit::new(LOG_PAUSE),
            });
            let serving = async {
                let ownership = Ownership { listeners, registration };
                match bound {
                    Bound::Streams(listener) => serve_clients(listener, shared, ownership).await,
                    Bound::Datagrams(socket) => Receiver::new(shared).run(socket, dropped_before, ownership).await,
                }
            };
            // The outbox ends when the last connection has dropped its intake and all events are delivered.
            tokio::join!(outbox.run(), serving);
            Ok(())
        })
    }
}

/// That a source owns its socket, until a successor takes it over.
struct Ownership {
    listeners: Listeners,
    registration: Registration,
}

impl Ownership {
    /// Seals the socket, unless a successor has it. Returns whether it is sealed.
    fn seal(self, socket: &impl AsFd, settings: &Settings) -> bool {
        bind::end(socket, settings, &self.listeners, self.registration)
    }
}

/// Reads the messages of all clients until the source stops and the last connection is closed.
async fn serve_clients(listener: StreamListener, shared: Arc<Shared>, ownership: Ownership) {
    let settings = &shared.settings;
    let acceptor = Arc::new(Acceptor::new(
        Owner::Source(shared.context.name.clone()),
        shared.context.stats.tls.clone(),
        settings.tls.clone(),
        settings.idle_timeout,
        b"",
    ));
    let mut files = std::pin::pin!(acceptor.follow_files());
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let serve = |client, place| serve(client, place, places.clone(), acceptor.clone(), shared.clone());
    let log = LogLimit::new(FULL_PAUSE);
    let mut stop = shared.context.stop.clone();
    // Dropping the source drops this set, which closes the connections.
    let mut connections = JoinSet::new();
    loop {
        if places.available_permits() == 0 && log.pass().is_some() {
            tracing::warn!(
                source = %shared.context.name, connections = settings.max_connections,
                "as many clients as `max_connections` allows are connected; further clients wait"
            );
        }
        let next = async {
            // Clients without a place wait in the backlog of the socket.
            let place = places.clone().acquire_owned().await;
            (accept(&listener).await, place)
        };
        let (client, place) = tokio::select! {
            next = next => next,
            Some(_) = connections.join_next() => continue,
            never = &mut files => match never {},
            () = stop.stopped() => break,
        };
        connections.spawn(serve(client, place.ok()));
    }
    // Clients in the backlog believe that they are connected. A successor with the same socket accepts them.
    if ownership.seal(&listener, settings) {
        take_waiting(listener, &mut connections, serve).await;
    }
    drop(shared);
    while connections.join_next().await.is_some() {}
}

/// Accepts the clients that wait at a sealed socket, and closes it. They need a place to be read, but not to be accepted, so
/// that later clients are refused at once.
async fn take_waiting<F: Future<Output = ()> + Send + 'static>(
    listener: StreamListener,
    connections: &mut JoinSet<()>,
    serve: impl Fn(Client, Option<OwnedSemaphorePermit>) -> F,
) {
    let waiting = match listener.into_waiting() {
        Ok(waiting) => waiting,
        Err(error) => return tracing::warn!(%error, "cannot accept the clients that wait"),
    };
    loop {
        match waiting.next() {
            Ok(Some(client)) => _ = connections.spawn(serve(client, None)),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Connections that end leave room for further files.
                if connections.join_next().await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Reads the messages of one client, when it has a place.
async fn serve(
    client: Client,
    place: Option<OwnedSemaphorePermit>,
    places: Arc<Semaphore>,
    acceptor: Arc<Acceptor>,
    shared: Arc<Shared>,
) {
    let _place = match place {
        Some(place) => Some(place),
        None => places.acquire_owned().await.ok(),
    };
    let reader = Reader::new(shared.clone());
    match client {
        Client::Tcp(stream, peer) => {
            bind::keep_alive(&stream);
            let mut stop = shared.context.stop.clone();
            let stopped = async move { stop.stopped().await };
            if let Some(stream) = acceptor.accept_before(stream, peer, stopped, LAST_READ).await {
                reader.run(stream, Some(peer)).await;
            }
        }
        Client::Unix(stream) => reader.run(stream, None).await,
    }
}

async fn accept(listener: &StreamListener) -> Client {
    loop {
        match listener.accept().await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
