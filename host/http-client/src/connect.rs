//! Opens connections: to the server or through a proxy, with or without TLS.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tower_service::Service;
use wattle_tls::ClientTls;

use crate::error::ConnectError;
use crate::proxy::Proxy;

/// Time limit for a TCP connection, shared by all addresses of a name.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a connection: name resolution, TCP, proxy and TLS.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum bytes of the head of a proxy's response.
const MAX_PROXY_HEAD: usize = 8 << 10;

/// A byte stream.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection.
pub(crate) struct Link {
    io: TokioIo<Box<dyn Io>>,
    /// Whether a proxy forwards the requests on it.
    is_proxied: bool,
}

/// Opens connections to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    to: Arc<Route>,
    http: HttpConnector<Names>,
}

/// How to reach a server.
struct Route {
    host: String,
    port: u16,
    /// `None` for plain HTTP.
    tls: Option<Arc<ClientTls>>,
    proxy: Option<ProxyRoute>,
    is_http2: bool,
}

struct ProxyRoute {
    host: String,
    port: u16,
    tls: Option<Arc<ClientTls>>,
    credentials: Option<HeaderValue>,
}

/// Resolves names. `localhost` is always the loopback address of IPv4 and IPv6, without asking the system (RFC 6761).
#[derive(Clone)]
struct Names {
    system: GaiResolver,
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if name.as_str().eq_ignore_ascii_case("localhost") {
            // The connector replaces the port.
            let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Box::pin(std::future::ready(Ok(both.map(|ip| SocketAddr::new(ip, 0)).to_vec().into_iter())));
        }
        let found = self.system.call(name);
        Box::pin(async move { Ok(found.await?.collect::<Vec<_>>().into_iter()) })
    }
}

/// Host and port of an address. An IPv6 host keeps its brackets.
pub fn place(uri: &Uri) -> (String, u16) {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    (uri.host().unwrap_or_default().to_owned(), port)
}

impl Connector {
    /// `is_http2` says that the client speaks HTTP/2 from the beginning.
    pub(crate) fn new(uri: &Uri, tls: &Arc<ClientTls>, proxy: Option<&Proxy>, is_http2: bool) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names { system: GaiResolver::new() });
        http.enforce_http(true);
        http.set_nodelay(true);
        // Each address gets an equal part of the limit, so that one that does not respond leaves time for the others.
        http.set_connect_timeout(Some(TCP_TIMEOUT));
        let secured = |uri: &Uri| (uri.scheme_str() == Some("https")).then(|| tls.clone());
        let (host, port) = place(uri);
        let proxy = proxy.map(|proxy| {
            let (host, port) = place(&proxy.uri);
            ProxyRoute { host, port, tls: secured(&proxy.uri), credentials: proxy.credentials.clone() }
        });
        Self { to: Arc::new(Route { host, port, tls: secured(uri), proxy, is_http2 }), http }
    }
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (to, http) = (self.to.clone(), self.http.clone());
        Box::pin(async move {
            let made = tokio::time::timeout(TIMEOUT, to.connect(http)).await;
            made.unwrap_or_else(|_| {
                let (host, port) = to.proxy.as_ref().map_or((&to.host, to.port), |proxy| (&proxy.host, proxy.port));
                Err(ConnectError::Timeout { address: format!("{host}:{port}"), limit: TIMEOUT })
            })
        })
    }
}

impl Route {
    async fn connect(&self, http: HttpConnector<Names>) -> Result<Link, ConnectError> {
        let Some(proxy) = &self.proxy else {
            let io = dial(http, &self.host, self.port).await?;
            let io = TokioIo::new(secure(io, &self.tls, &self.host, self.port, self.is_http2).await?);
            return Ok(Link { io, is_proxied: false });
        };
        let io = dial(http, &proxy.host, proxy.port).await?;
        let mut io = secure(io, &proxy.tls, &proxy.host, proxy.port, false).await?;
        // Plain HTTP needs no tunnel: the proxy forwards each request.
        if self.tls.is_none() {
            return Ok(Link { io: TokioIo::new(io), is_proxied: true });
        }
        let to = format!("{}:{}", self.host, self.port);
        proxy.tunnel(&mut io, &to).await?;
        let io = TokioIo::new(secure(io, &self.tls, &self.host, self.port, self.is_http2).await?);
        Ok(Link { io, is_proxied: false })
    }
}

async fn dial(mut http: HttpConnector<Names>, host: &str, port: u16) -> Result<Box<dyn Io>, ConnectError> {
    let address = format!("{host}:{port}");
    let uri = Uri::builder().scheme("http").authority(address.as_str()).path_and_query("/").build();
    let uri = uri.map_err(|_| ConnectError::NoHost { address: address.clone() })?;
    let stream = http.call(uri).await.map_err(|error| ConnectError::connect(address, TCP_TIMEOUT, &error))?;
    Ok(Box::new(stream.into_inner()))
}

/// Starts TLS, if configured.
async fn secure(
    io: Box<dyn Io>,
    tls: &Option<Arc<ClientTls>>,
    host: &str,
    port: u16,
    is_http2: bool,
) -> Result<Box<dyn Io>, ConnectError> {
    let Some(tls) = tls else { return Ok(io) };
    let address = format!("{host}:{port}");
    // A `ServerName` has no brackets around an IPv6 address.
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(name) = ServerName::try_from(name.to_owned()) else { return Err(ConnectError::NoHost { address }) };
    let mut config = tls.current().await;
    if is_http2 {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    }
    match TlsConnector::from(config).connect(name, io).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(ConnectError::tls(address, &error)),
    }
}

impl ProxyRoute {
    /// Requests a connection to `to` from the proxy.
    async fn tunnel(&self, io: &mut Box<dyn Io>, to: &str) -> Result<(), ConnectError> {
        let proxy = format!("{}:{}", self.host, self.port);
        let mut head = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
        if let Some(credentials) = &self.credentials {
            head.extend_from_slice(b"proxy-authorization: ");
            head.extend_from_slice(credentials.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let closed = |_| ConnectError::Closed { address: format!("proxy {proxy}") };
        io.write_all(&head).await.map_err(closed)?;
        io.flush().await.map_err(closed)?;
        // Byte by byte, so that no byte of the tunnel is consumed. This is slow, but happens once
        // per connection.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAX_PROXY_HEAD {
                return Err(ConnectError::NotHttp { address: format!("proxy {proxy}") });
            }
            head.push(io.read_u8().await.map_err(closed)?);
        }
        let status = status(&head).ok_or_else(|| ConnectError::NotHttp { address: format!("proxy {proxy}") })?;
        match status {
            200..=299 => Ok(()),
            _ => Err(ConnectError::Proxy {
                proxy,
                to: to.to_owned(),
                status,
                has_credentials: self.credentials.is_some(),
            }),
        }
    }
}

/// The status in the head of a response.
fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    version.strip_prefix("HTTP/1.")?;
    rest.split(' ').next()?.parse().ok()
}

impl hyper::rt::Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_proxy_response_is_parsed() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\nproxy-authenticate: Basic\r\n\r\n"), Some(407));
        for text in [&b"SSH-2.0-x\r\n\r\n"[..], b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n", b"\r\n\r\n"] {
            assert_eq!(status(text), None);
        }
    }
}
