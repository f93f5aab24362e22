//! One request to the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::SOCKET;

/// Maximum size of a response in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No agent runs with this data folder, or the response is not from an agent.
    #[error("no agent answers at `{}`: {error}; is it running with this data folder?", .socket.display())]
    Unavailable {
        /// The control socket.
        socket: PathBuf,
        /// The reason.
        error: String,
    },
    /// The agent did not respond in time.
    #[error("the agent did not answer within {timeout:?}; it may still do what it was asked to")]
    Timeout {
        /// How long the client waited.
        timeout: Duration,
    },
    /// The client cannot start.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a request to the agent of a data folder, and returns the response, which is JSON.
///
/// # Errors
///
/// No agent runs there, or it does not respond in time.
pub fn send(data_dir: &Path, method: Method, path: &str, limit: Duration) -> Result<String, RequestError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let response = runtime.block_on(async { timeout(limit, request(data_dir, method, path)).await });
    match response {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(RequestError::Unavailable { socket: data_dir.join(SOCKET), error: error.to_string() }),
        Err(_) => Err(RequestError::Timeout { timeout: limit }),
    }
}

async fn request(data_dir: &Path, method: Method, path: &str) -> Result<String, Error> {
    let stream = connect(&data_dir.join(SOCKET))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header(HOST, "wattle").body(Empty::<Bytes>::new())?;
    let response = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("it answers with {status}").into());
        }
        Ok(String::from_utf8(body.into())?)
    };
    tokio::pin!(response);
    tokio::select! {
        response = &mut response => response,
        // The connection can end before its last bytes are read.
        _ = connection => response.await,
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = super::at(path, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
