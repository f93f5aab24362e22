//! The control socket: commands that change a running agent, over HTTP on a Unix socket in its data
//! folder.
//!
//! | request | response |
//! | --- | --- |
//! | `POST /reload` | result of the reload |
//! | `POST /rollback`, `/rollback/<pipeline>` | result of the rollback |
//! | `GET /shadow` | reports of shadows, with the first events that differ |
//! | `GET /status` | the status, as on the admin listener |
//!
//! Only the user of the agent can open the socket, because opening it is enough to change the
//! agent. The socket has mode 0600 before it is in place.
//!
//! # Invariants
//!
//! - The response to a command is sent when its result is known. A request for the status waits for no command.
//! - A client that reads slowly or not at all does not stop the agent.

pub mod client;
pub mod response;

use std::convert::Infallible;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::admin::{State, status};

/// Name of the socket in the data folder.
const SOCKET: &str = "control.sock";
/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 16;
/// Time to receive the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A command to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Reload the configuration.
    Reload,
    /// Roll back this pipeline, or all.
    RollBack(Option<String>),
    /// Report on shadows.
    Shadow,
}

/// A command, and the channel for its response.
pub(crate) struct CommandRequest {
    pub(crate) command: Command,
    pub(crate) response: oneshot::Sender<serde_json::Value>,
}

/// The listening socket.
pub(crate) struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
    commands: mpsc::Receiver<CommandRequest>,
}

impl Control {
    /// Listens in a data folder, which must be locked.
    ///
    /// # Errors
    ///
    /// The socket cannot be created.
    pub(crate) fn listen(data_dir: &Path, state: &Arc<State>) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        // Created in a private folder and moved after setting its mode.
        let private = tempfile::Builder::new().prefix(".control-").tempdir_in(data_dir)?;
        let made = private.path().join(SOCKET);
        let listener = at(&made, |path| UnixListener::bind(path))?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        let (sender, commands) = mpsc::channel(MAX_CONNECTIONS);
        Ok(Self { path, task: tokio::spawn(serve(listener, sender, state.clone())), commands })
    }

    /// The next command.
    ///
    /// # Cancel safety
    ///
    /// No command is lost.
    pub(crate) async fn next(&mut self) -> CommandRequest {
        match self.commands.recv().await {
            Some(request) => request,
            // Unreachable: the listener does not end before `self`.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// Calls a function with the path of a socket. The system limits such paths to about 100 bytes, so
/// for a longer path it names the folder by a descriptor.
fn at<T>(path: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const ROOM: usize = 100;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() > ROOM => {
            let folder = File::open(folder)?;
            call(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
        }
        _ => call(path),
    }
}

async fn serve(listener: UnixListener, commands: mpsc::Sender<CommandRequest>, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (commands, state) = (commands.clone(), state.clone());
                tokio::spawn(async move {
                    converse(stream, commands, state).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, commands: mpsc::Sender<CommandRequest>, state: Arc<State>) {
    let service = service_fn(move |request| {
        let (commands, state) = (commands.clone(), state.clone());
        async move { Ok::<_, Infallible>(respond(&request, &commands, &state).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Only the client needs to know how the connection ended.
    let _ = connection.await;
}

async fn respond(
    request: &Request<Incoming>,
    commands: &mpsc::Sender<CommandRequest>,
    state: &State,
) -> Response<Full<Bytes>> {
    let command = match (request.method(), request.uri().path()) {
        (&Method::POST, "/reload") => Command::Reload,
        (&Method::POST, "/rollback") => Command::RollBack(None),
        (&Method::GET, "/status") => {
            let status = serde_json::to_string(&status::collect(state));
            return with_status(StatusCode::OK, status.unwrap_or_default());
        }
        (&Method::GET, "/shadow") => Command::Shadow,
        (&Method::POST, path) if path.starts_with("/rollback/") => {
            Command::RollBack(path.strip_prefix("/rollback/").map(str::to_owned))
        }
        _ => return with_status(StatusCode::NOT_FOUND, "{\"error\":\"not found\"}".into()),
    };
    let (sender, receiver) = oneshot::channel();
    let ending = || with_status(StatusCode::SERVICE_UNAVAILABLE, "{\"error\":\"the agent is ending\"}".into());
    if commands.send(CommandRequest { command, response: sender }).await.is_err() {
        return ending();
    }
    receiver.await.map_or_else(|_| ending(), |response| with_status(StatusCode::OK, response.to_string()))
}

fn with_status(status: StatusCode, json: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json + "\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
