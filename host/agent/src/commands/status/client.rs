//! One request to the admin listener.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exit::Failure;

/// How long the agent may take. It answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer; some hundred pipelines fit.
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

/// Gets a path; the reason if there is no answer.
pub(crate) fn get(address: &str, path: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let answer = timeout(PATIENCE, request(address, path)).await;
        let answer = answer.map_err(|_| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
        answer.map_err(|error| error.to_string())
    })
}

async fn request(address: &str, path: &str) -> Result<String, Error> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answers with {status}").into());
        }
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await?.to_bytes();
        Ok(String::from_utf8(body.into())?)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end before its last bytes are read; the answer knows.
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
