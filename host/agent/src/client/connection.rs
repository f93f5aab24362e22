//! One request on a new connection.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wattle_supervisor::control::client;

use super::error::Error;
use super::place::Place;

/// Maximum size of the head of a response in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Sends a request and returns the head of the response. The body can be read as long as the runtime lives.
///
/// # Errors
///
/// The connection fails.
pub(super) async fn send(place: &Place, method: &Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Error> {
    let host = place.host();
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    // The agent asks for it, since a form of a web site cannot send it.
    if *method == Method::POST {
        request = request.header(CONTENT_TYPE, "application/octet-stream");
    }
    let request = request.body(Full::new(body))?;
    match place {
        Place::Socket(data_dir) => exchange(client::connect(data_dir)?, request).await,
        Place::Address(address) => exchange(TcpStream::connect(address).await?, request).await,
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    // It ends with the body, or when the body is dropped. Its error is also an error of the body.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
