//! The control socket: commands that change a running agent, over HTTP on a Unix socket in its data
//! folder.
//!
//! | request | response |
//! | --- | --- |
//! | `POST /reload` | result of the reload |
//! | `POST /rollback`, `/rollback/<pipeline>` | result of the rollback |
//! | everything else | as on the admin listener, with streams in a number of their own |
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

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::admin::{self, Body, Connection, JSON, Server, State, Times, converse, with_status};

/// Name of the socket in the data folder.
const SOCKET: &str = "control.sock";
/// Maximum number of connections that are not streams.
const MAX_CONNECTIONS: usize = 16;
/// Maximum number of streams.
const MAX_STREAMS: usize = 16;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A command to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Reload the configuration.
    Reload,
    /// Roll back this pipeline, or all.
    RollBack(Option<String>),
}

/// A command, and the channel for its response.
pub(crate) struct CommandRequest {
    pub(crate) command: Command,
    pub(crate) response: oneshot::Sender<serde_json::Value>,
}

/// The listening socket.
pub(crate) struct Control {
    path: PathBuf,
    server: Arc<Server>,
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
        let server = Arc::new(Server::new(state.clone(), MAX_STREAMS, true, Times::new(None)));
        let task = tokio::spawn(serve(listener, sender, server.clone()));
        Ok(Self { path, server, task, commands })
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
        self.server.close();
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

async fn serve(listener: UnixListener, commands: mpsc::Sender<CommandRequest>, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_one(stream, server.clone(), commands.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(
    stream: UnixStream,
    server: Arc<Server>,
    commands: mpsc::Sender<CommandRequest>,
    place: OwnedSemaphorePermit,
) {
    let connection = Connection::new(server.times.request);
    let place = Mutex::new(Some(place));
    let respond = |request| async {
        let response = respond(request, &commands, &server, &connection).await;
        // A stream has a place of its own kind.
        if connection.is_stream() {
            place.lock().take();
        }
        response
    };
    converse(stream, &server, &connection, respond).await;
}

async fn respond(
    request: Request<Incoming>,
    commands: &mpsc::Sender<CommandRequest>,
    server: &Arc<Server>,
    connection: &Arc<Connection>,
) -> Response<Body> {
    let command = match (request.method(), request.uri().path()) {
        (&Method::POST, "/reload") => Command::Reload,
        (&Method::POST, "/rollback") => Command::RollBack(None),
        (&Method::POST, path) if path.starts_with("/rollback/") => {
            Command::RollBack(path.strip_prefix("/rollback/").map(str::to_owned))
        }
        _ => return admin::respond(server, connection, request).await,
    };
    let json = |status, text: String| with_status(status, JSON, text + "\n");
    let ending = || json(StatusCode::SERVICE_UNAVAILABLE, "{\"error\":\"the agent is ending\"}".into());
    let (sender, receiver) = oneshot::channel();
    if commands.send(CommandRequest { command, response: sender }).await.is_err() {
        return ending();
    }
    receiver.await.map_or_else(|_| ending(), |response| json(StatusCode::OK, response.to_string()))
}
