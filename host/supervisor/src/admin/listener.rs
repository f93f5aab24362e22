//! Accepts connections: a bounded number, one request each, with a timeout. Streams have a limit of their own.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{MissedTickBehavior, interval};

use super::connection::{Connection, Server, Times, converse};
use super::rates;
use super::router::respond;
use super::state::State;

/// Maximum number of connections that are not streams. One more ends the oldest: a response takes milliseconds, so the
/// oldest of 32 hangs, and a health probe must not wait for it.
const MAX_CONNECTIONS: usize = 32;
/// Maximum number of streams. One more is refused, because a client may be watching each of them.
const MAX_STREAMS: usize = 64;
/// Bytes that the system keeps for a client that reads slowly.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Time for a whole connection; the default timeout of a Prometheus scrape.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept. The usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin listener cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program uses the address.
    #[error(
        "admin address `{address}` is taken; stop the program that listens there, or set another `listen` in [admin]"
    )]
    Taken {
        /// The address of the configuration.
        address: SocketAddr,
    },
    /// The system refuses the address.
    #[error("cannot listen on admin address `{address}`: {error}; set another `listen` in [admin]")]
    Refused {
        /// The address of the configuration.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
}

/// A listener that serves requests until it is closed.
pub(crate) struct Listener {
    #[cfg(test)]
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, state: Arc<State>) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let at = listener.local_addr()?;
            io::Result::Ok((listener, at))
        };
        let (listener, at) = bound.await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken { address },
            _ => ListenError::Refused { address, error },
        })?;
        tracing::info!(address = %at, "admin listening");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, state, stopped));
        Ok(Self {
            #[cfg(test)]
            address: at,
            stop,
            task,
        })
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the address. Requests in progress still get their responses.
    pub(crate) async fn close(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let server = Arc::new(Server::new(state.clone(), MAX_STREAMS, false, Times::new(Some(CONNECTION_TIMEOUT))));
    let mut requests: VecDeque<(Arc<Connection>, AbortHandle)> = VecDeque::with_capacity(MAX_CONNECTIONS);
    let mut tick = interval(rates::INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            stream = accept(&listener) => {
                requests.retain(|(connection, task)| !task.is_finished() && !connection.is_stream());
                if requests.len() >= MAX_CONNECTIONS && let Some((_, oldest)) = requests.pop_front() {
                    oldest.abort();
                }
                let connection = Connection::new(server.times.request);
                let task = tokio::spawn(serve_one(stream, server.clone(), connection.clone()));
                requests.push_back((connection, task.abort_handle()));
            }
            _ = tick.tick() => state.sample(),
            // A dropped sender means the same.
            _ = &mut stopped => break,
        }
    }
    server.close();
}

async fn serve_one(stream: TcpStream, server: Arc<Server>, connection: Arc<Connection>) {
    converse(stream, &server, &connection, |request| respond(&server, &connection, request)).await;
}

/// # Cancel safety
///
/// A cancelled wait has not accepted a connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this, the system would keep megabytes for a client that does not read. A failure costs only
                // that memory.
                let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
