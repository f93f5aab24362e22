//! Accepts connections: a bounded number, one request each, with a timeout.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::rates;
use super::response::respond;
use super::state::State;

/// Maximum number of connections. One more ends the oldest: a response takes a millisecond, so the
/// oldest of 32 hangs, and a health probe must not wait for it.
const MAX_CONNECTIONS: usize = 32;
/// Maximum size of the head of a request in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Time to receive the head of a request, so that an idle connection soon makes room for others.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
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
        Ok(Self { stop, task })
    }

    /// Closes the address. Requests in progress still get their responses.
    pub(crate) async fn close(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = VecDeque::with_capacity(MAX_CONNECTIONS);
    let mut tick = interval(rates::INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            stream = accept(&listener) => {
                connections.retain(|open: &AbortHandle| !open.is_finished());
                if connections.len() >= MAX_CONNECTIONS && let Some(oldest) = connections.pop_front() {
                    oldest.abort();
                }
                connections.push_back(tokio::spawn(converse(stream, state.clone())).abort_handle());
            }
            _ = tick.tick() => state.sample(),
            // A dropped sender means the same.
            _ = &mut stopped => return,
        }
    }
}

/// # Cancel safety
///
/// A cancelled wait has not accepted a connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let response = respond(&state, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Only the client needs to know how the connection ended.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}
