//! Opens connections: directly or through a proxy, with or without TLS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use reqsign_core::Env;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tower_service::Service;
use wattle_tls::TlsFailure;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A byte stream.
trait Io: hyper::rt::Read + hyper::rt::Write + Send + Unpin {}

impl<T: hyper::rt::Read + hyper::rt::Write + Send + Unpin> Io for T {}

/// An open connection.
pub(crate) struct Link {
    io: Box<dyn Io>,
    /// Whether a proxy forwards the requests on it, which then have absolute addresses.
    is_proxied: bool,
}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    http: HttpConnector,
    tls: Arc<ClientConfig>,
    proxies: Arc<Matcher>,
    limit: Duration,
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The time limit passed.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The proxy has another scheme, such as `socks5`.
    #[error(
        "the proxy in the environment must begin with `http://` or `https://`; check `HTTPS_PROXY` and `HTTP_PROXY`"
    )]
    ProxyScheme,
    /// No connection to the proxy, or it refused the tunnel.
    #[error("the proxy `{proxy}` of the environment: {cause}; check `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`")]
    Proxy {
        /// Its address, without credentials.
        proxy: String,
        /// What went wrong.
        cause: String,
    },
    /// The address has no valid host.
    #[error("the address has no valid host name; check `endpoint`")]
    Host,
}

/// The proxies of the environment, by the variables that curl uses.
pub(crate) fn proxies(env: &dyn Env) -> Matcher {
    let variable = |name: &str| {
        let found = [name.to_ascii_lowercase(), name.to_owned()].into_iter().find_map(|name| env.var(&name));
        found.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    Matcher::builder()
        .all(variable("ALL_PROXY"))
        .http(variable("HTTP_PROXY"))
        .https(variable("HTTPS_PROXY"))
        .no(variable("NO_PROXY"))
        .build()
}

impl Connector {
    pub(crate) fn new(tls: Arc<ClientConfig>, proxies: Arc<Matcher>, limit: Duration) -> Self {
        let mut http = HttpConnector::new();
        // `HttpsConnector` passes `https` addresses on to it.
        http.enforce_http(false);
        http.set_nodelay(true);
        // Each address of a name gets an equal part of the limit.
        http.set_connect_timeout(Some(limit));
        Self { http, tls, proxies, limit }
    }

    /// Credentials for a proxy that forwards requests to this address. With a tunnel the proxy gets them from the
    /// connector.
    pub(crate) fn forwarding_credentials(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() == Some("https") {
            return None;
        }
        let mut value = self.proxies.intercept(uri)?.basic_auth()?.clone();
        value.set_sensitive(true);
        Some(value)
    }

    async fn connect(self, uri: Uri) -> Result<Link, BoxError> {
        let is_https = uri.scheme_str() == Some("https");
        let Some(proxy) = self.proxies.intercept(&uri) else {
            return Ok(Link { io: Box::new(self.https(self.http.clone(), &uri)?.call(uri).await?), is_proxied: false });
        };
        if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
            return Err(ConnectError::ProxyScheme.into());
        }
        let mut to_proxy = self.https(self.http.clone(), proxy.uri())?;
        let failed = |error: BoxError| ConnectError::Proxy {
            proxy: address(proxy.uri()),
            cause: crate::http::describe(&*error),
        };
        // Plain HTTP needs no tunnel: the proxy forwards each request.
        if !is_https {
            let io = to_proxy.call(proxy.uri().clone()).await.map_err(failed)?;
            return Ok(Link { io: Box::new(io), is_proxied: true });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let mut through = self.https(tunnel, &uri)?;
        // With TLS begins the part of the server.
        let io = through.call(uri).await.map_err(|error| match TlsFailure::find(&*error) {
            Some(_) => error,
            None => failed(error).into(),
        })?;
        Ok(Link { io: Box::new(io), is_proxied: false })
    }

    fn https<C>(&self, connector: C, uri: &Uri) -> Result<HttpsConnector<C>, ConnectError> {
        let host = uri.host().unwrap_or_default();
        // A `ServerName` has no brackets around an IPv6 address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Host)?;
        let resolver = Arc::new(FixedServerNameResolver::new(name));
        Ok(HttpsConnector::new(connector, self.tls.clone(), false, resolver))
    }
}

/// The address of a proxy, without credentials.
fn address(proxy: &Uri) -> String {
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme_str().unwrap_or_default(), proxy.host().unwrap_or_default())
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Link, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connector, limit) = (self.clone(), self.limit);
        Box::pin(async move {
            let made = tokio::time::timeout(limit, connector.connect(uri)).await;
            made.unwrap_or_else(|_| Err(ConnectError::Timeout(limit).into()))
        })
    }
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
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}
