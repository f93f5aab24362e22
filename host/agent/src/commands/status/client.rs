//! One request to the admin listener.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exit::Failure;

/// Timeout. The agent responds from memory.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a response in bytes, enough for some hundred pipelines.
const MAX_BODY_BYTES: usize = 16 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Host and port of `http://host:port`, or of `host:port`.
pub(crate) fn address(url: &str) -> Result<String, Failure> {
    let wrong = || Failure::config(format!("`{url}` is not an address such as http://127.0.0.1:9598"));
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: Uri = full.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
    if !is_bare {
        return Err(wrong());
    }
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// The agent did not respond in time.
    #[error("it did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The server responded with another status than 2xx.
    #[error("it answers with {0}")]
    Status(StatusCode),
    /// The request failed.
    #[error(transparent)]
    Failed(Error),
}

/// Gets a path.
///
/// # Errors
///
/// There is no response, or it is not a success.
pub(crate) fn get(address: &str, path: &str) -> Result<String, GetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async { timeout(TIMEOUT, request(address, path)).await.map_err(|_| GetError::Timeout)? })
}

fn failed(error: impl Into<Error>) -> GetError {
    GetError::Failed(error.into())
}

async fn request(address: &str, path: &str) -> Result<String, GetError> {
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(failed)?;
    let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new()).map_err(failed)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(GetError::Status(status));
        }
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await.map_err(failed)?.to_bytes();
        String::from_utf8(body.into()).map_err(failed)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection can end before the client has read its last bytes.
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_may_be_written_with_or_without_its_scheme() {
        for (url, expected) in [
            ("http://127.0.0.1:9598", Some("127.0.0.1:9598")),
            ("http://127.0.0.1:9598/", Some("127.0.0.1:9598")),
            ("localhost:1", Some("localhost:1")),
            ("[::1]:9598", Some("[::1]:9598")),
            ("http://edge-7", Some("edge-7:80")),
            ("https://edge-7", None),
            ("http://edge-7/status", None),
            ("http://me:secret@edge-7", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(address(url).ok().as_deref(), expected, "{url}");
        }
    }
}
