//! One request to the control socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::SOCKET;
use crate::exit::{Failure, UNAVAILABLE};

/// Most bytes of an answer.
const MAX_BODY_BYTES: usize = 64 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sends a request to the agent of a data folder, and gives its answer, which is JSON.
///
/// # Errors
///
/// No agent runs there, or it does not answer in time.
pub(crate) fn ask(data_dir: &Path, method: Method, path: &str, patience: Duration) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async { timeout(patience, request(data_dir, method, path)).await });
    let place = data_dir.join(SOCKET);
    let failed = |code, message: String| Failure::with(code, message);
    match asked {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let message =
                format!("no agent answers at `{}`: {error}; is it running with this data folder?", place.display());
            Err(failed(UNAVAILABLE, message))
        }
        Err(_) => {
            let message = format!("the agent did not answer within {patience:?}; it may still do what it was asked to");
            Err(failed(crate::exit::FAILED, message))
        }
    }
}

async fn request(data_dir: &Path, method: Method, path: &str) -> Result<String, Error> {
    let stream = connect(&data_dir.join(SOCKET))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header(HOST, "wattle").body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await?.to_bytes();
        if !status.is_success() {
            return Err(format!("it answers with {status}").into());
        }
        Ok(String::from_utf8(body.into())?)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before its last bytes are read; the answer knows.
        _ = connection => answer.await,
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = super::at(path, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
