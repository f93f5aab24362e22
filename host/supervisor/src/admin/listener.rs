//! Accepting connections: a bounded number of them, one request each, and a time by which it must be over.

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

use super::answer::answer;
use super::rates;
use super::state::State;

/// Connections at once. A further one ends the oldest: an answer takes a millisecond, so the oldest of so many hangs, and
/// a probe of the agent's health must not wait for it.
const MAX_CONNECTIONS: usize = 32;
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a request may take to come, so that who connects and says nothing soon makes room for others.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take altogether; Prometheus gives a scrape as long.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when a connection cannot be accepted, which is when there are too many open files.
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
        /// What is wrong.
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

    /// Gives the address free. Requests that are being answered are answered.
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
            // A sender that is gone means the same.
            _ = &mut stopped => return,
        }
    }
}

/// # Cancel safety
///
/// A cancelled wait has accepted nothing.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "an admin connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let answer = answer(&state, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // How it ended concerns the client alone.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}
