//! Sends one request and reads its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION, PROXY_AUTHORIZATION};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wattle_options::OptionError;
use wattle_tls::{ClientOptions, ClientTls, Endpoint, TlsConfigError};

use crate::connect::{Connector, place};
use crate::error::RequestError;
use crate::proxy::{self, Proxy, ProxyError, ProxyOptions};
use crate::redact::{redact, secrets};

/// How long an idle connection stays open. Servers close idle connections after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval of pings on a connection of HTTP/2 with requests, and how long the server may take to answer one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Maximum number of redirects that a request follows.
const MAX_REDIRECTS: usize = 3;

/// Maximum bytes of a response body in logs and dead letters.
const MAX_REASON_BYTES: usize = 300;

/// Maximum bytes of a response body that are read, so that the connection can be reused.
pub const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Server {
    /// An address with the scheme, host and port of the server.
    pub uri: Uri,
    /// The proxy of the options. Without it, the environment decides.
    pub proxy: Option<ProxyOptions>,
    /// Trusted authorities and the client certificate.
    pub tls: ClientOptions,
    /// Whether the client speaks HTTP/2 from the beginning, as gRPC does.
    pub is_http2: bool,
}

/// Why there can be no client for a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The proxy that the options or the environment name cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A certificate file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
}

impl Server {
    /// Checks what [`Client::new`] needs in addition to the options: the files of `tls` and the proxy of the environment.
    ///
    /// # Errors
    ///
    /// A certificate file or the proxy cannot be used.
    pub fn check(&self) -> Result<(), OptionError> {
        let proxy = self.find_proxy().map_err(|error| OptionError::new("", error.to_string()))?;
        wattle_tls::client_config(&self.tls, self.uses_tls(proxy.as_ref()))
            .map(drop)
            .map_err(|error| OptionError::new(error.option().unwrap_or_default(), error.to_string()))
    }

    fn find_proxy(&self) -> Result<Option<Proxy>, ProxyError> {
        proxy::find(self.proxy.as_ref(), &self.uri, |name| std::env::var(name).ok())
    }

    fn uses_tls(&self, proxy: Option<&Proxy>) -> bool {
        is_https(&self.uri) || proxy.is_some_and(|proxy| is_https(&proxy.uri))
    }
}

/// Limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time limit, including redirects and the response.
    pub timeout: Duration,
    /// The option that sets `timeout`, for error texts.
    pub timeout_option: &'static str,
    /// Maximum bytes of a response that are read. The body of a longer one is cut off.
    pub max_response_bytes: usize,
}

/// Sends requests to one server over a pool of connections.
pub struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    tls: Arc<ClientTls>,
    /// Host and port of the server.
    address: String,
    /// Credentials of a proxy that forwards plain HTTP.
    proxy_headers: HeaderMap,
}

/// The beginning of a response body, for logs and dead letters.
pub fn beginning(text: &[u8]) -> String {
    let start = text.get(..MAX_REASON_BYTES).unwrap_or(text);
    String::from_utf8_lossy(start).trim().to_owned()
}

/// The response to a request.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers and trailers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    body: Vec<u8>,
    /// Secrets of the request, which the server may repeat.
    secrets: Vec<String>,
}

impl Response {
    /// A response with a complete body.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { status, headers, body, secrets: Vec::new() }
    }

    /// What the server says, for logs and dead letters: the beginning of the body without secrets of the request, or where
    /// a redirect leads that the client does not follow.
    pub fn reason(&self) -> String {
        if self.status.is_redirection() {
            let location = self.header(LOCATION.as_str()).unwrap_or_default();
            let to = self.redact(&beginning(location.split(['?', '#']).next().unwrap_or_default().as_bytes()));
            return match to.as_str() {
                "" => "a redirect without an address".to_owned(),
                to => format!("a redirect to `{to}`, which is not followed; set the address to where it leads"),
            };
        }
        self.redact(&beginning(&self.body))
    }

    /// A text of the server without the secrets of the request.
    pub fn redact(&self, text: &str) -> String {
        redact(text, self.secrets.iter().map(String::as_str))
    }

    /// Whether the body is a web page, as proxies and login pages send it instead of the response of an API.
    pub fn is_web_page(&self) -> bool {
        let content_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        content_type.trim_start().to_ascii_lowercase().starts_with("text/html")
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// A header, or a trailer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, or its beginning if it is longer than [`max_response_bytes`](Limits::max_response_bytes).
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

impl Client {
    /// A client for a server, on behalf of a source or sink.
    ///
    /// # Errors
    ///
    /// A certificate file cannot be used, or the proxy of the environment cannot.
    pub fn new(endpoint: &Endpoint, server: &Server) -> Result<Self, ServerError> {
        let proxy = server.find_proxy()?;
        let uses_tls = server.uses_tls(proxy.as_ref());
        let tls = Arc::new(ClientTls::new(endpoint.clone(), server.tls.clone(), uses_tls)?);
        if uses_tls && !server.tls.verify {
            log_unverified(endpoint);
        }
        let mut proxy_headers = HeaderMap::new();
        if let Some(proxy) = &proxy {
            log_proxy(endpoint, proxy);
            // For HTTPS, the request for the tunnel has the credentials instead; see `connect.rs`.
            if let Some(credentials) = proxy.credentials.clone().filter(|_| !is_https(&server.uri)) {
                proxy_headers.insert(PROXY_AUTHORIZATION, credentials);
            }
        }
        let connector = Connector::new(&server.uri, &tls, proxy.as_ref(), server.is_http2);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_only(server.is_http2)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .build(connector);
        let (host, port) = place(&server.uri);
        Ok(Self { pool, tls, address: format!("{host}:{port}"), proxy_headers })
    }

    /// Waits until the certificate files have changed; forever if there are none.
    pub async fn files_changed(&self) {
        self.tls.changed().await;
    }

    /// Sends a request and waits for the complete response. Follows redirects within the same server.
    ///
    /// # Errors
    ///
    /// There was no complete response.
    pub async fn send(&self, mut request: Request<Bytes>, limits: Limits) -> Result<Response, RequestError> {
        let exchanges = async {
            for _ in 0..MAX_REDIRECTS {
                let response = self.exchange(request.clone(), limits.max_response_bytes).await?;
                match response.redirect(request.method(), request.uri()) {
                    Some(next) => *request.uri_mut() = next,
                    None => return Ok(response),
                }
            }
            // After the last redirect, any response is the result.
            self.exchange(request, limits.max_response_bytes).await
        };
        let Limits { timeout, timeout_option, .. } = limits;
        match tokio::time::timeout(timeout, exchanges).await {
            Ok(response) => response,
            Err(_) => {
                Err(RequestError::Timeout { address: self.address.clone(), limit: timeout, option: timeout_option })
            }
        }
    }

    /// Sends a request and returns the response when its head has arrived, for bodies that have no end. Follows no
    /// redirects and has no time limit.
    ///
    /// # Errors
    ///
    /// There was no response.
    pub async fn open(&self, request: Request<Bytes>) -> Result<hyper::Response<Incoming>, RequestError> {
        let mut request = request.map(Full::new);
        for (name, value) in &self.proxy_headers {
            request.headers_mut().insert(name, value.clone());
        }
        self.pool.request(request).await.map_err(|error| self.explain(&error))
    }

    /// Why a request to this server failed, or the body of its response.
    pub fn explain(&self, error: &(dyn std::error::Error + 'static)) -> RequestError {
        RequestError::of(&self.address, error)
    }

    async fn exchange(&self, request: Request<Bytes>, max: usize) -> Result<Response, RequestError> {
        let secrets = secrets(&request);
        let (mut head, mut rest) = self.open(request).await?.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    // A response of gRPC has its status in the trailers.
                    Err(frame) => head.headers.extend(frame.into_trailers().unwrap_or_default()),
                },
                // A server that breaks off a response with status 2xx may have failed before it stored the events.
                Err(_) if head.status.is_success() => {
                    let (address, status) = (self.address.clone(), head.status.as_u16());
                    return Err(RequestError::Truncated { address, status });
                }
                // The status alone decides; only a part of the reason is missing.
                Err(_) => break,
            }
            // Give up the connection instead of reading a huge body.
            if body.len() > max {
                break;
            }
        }
        Ok(Response { status: head.status, headers: head.headers, body, secrets })
    }
}

fn log_unverified(endpoint: &Endpoint) {
    const TEXT: &str = "`tls.verify` is false: the server's certificate is not verified, so others on the network path can \
                        read and change events";
    match endpoint {
        Endpoint::Source(source) => tracing::warn!(%source, "{TEXT}"),
        Endpoint::Sink(sink) => tracing::warn!(%sink, "{TEXT}"),
    }
}

fn log_proxy(endpoint: &Endpoint, proxy: &Proxy) {
    const TEXT: &str = "requests go through a proxy";
    let (host, port) = place(&proxy.uri);
    let proxy_address = format!("{host}:{port}");
    match endpoint {
        Endpoint::Source(source) => tracing::info!(%source, proxy = proxy_address, from = proxy.origin, "{TEXT}"),
        Endpoint::Sink(sink) => tracing::info!(%sink, proxy = proxy_address, from = proxy.origin, "{TEXT}"),
    }
}

impl Response {
    /// The target of a redirect that keeps method and body. `None` if it leads to another server, which must not receive
    /// the credentials.
    fn redirect(&self, method: &Method, from: &Uri) -> Option<Uri> {
        let keeps_method = match self.status {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            // Clients replace any other method by GET.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => method == Method::GET,
            _ => false,
        };
        if !keeps_method {
            return None;
        }
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        // `//host/path` names another server.
        if location.starts_with('/') && !location.starts_with("//") {
            let mut parts = from.clone().into_parts();
            // A fragment is not part of a request.
            parts.path_and_query = Some(location.split('#').next().unwrap_or_default().parse().ok()?);
            return Uri::from_parts(parts).ok();
        }
        let to: Uri = location.parse().ok()?;
        (to.scheme() == from.scheme() && place(&to) == place(from)).then_some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redirects_within_the_server_are_followed() {
        let from = Uri::from_static("https://h.example.com/in?x=1");
        for (status, location, to) in [
            (308, "/new", Some("https://h.example.com/new")),
            (307, "/new?y=2#part", Some("https://h.example.com/new?y=2")),
            (308, "https://h.example.com:443/new", Some("https://h.example.com:443/new")),
            (301, "/new", None),
            (308, "//other.example.com/new", None),
            (308, "https://other.example.com/new", None),
            (308, "http://h.example.com/new", None),
            (308, "https://h.example.com:444/new", None),
            (308, "new", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let response = Response::new(StatusCode::from_u16(status).unwrap(), headers, Vec::new());
            assert_eq!(
                response.redirect(&Method::POST, &from).map(|uri| uri.to_string()).as_deref(),
                to,
                "{status} {location}"
            );
        }
        let headers = HeaderMap::from_iter([(LOCATION, "/new".parse().unwrap())]);
        let response = Response::new(StatusCode::FOUND, headers, Vec::new());
        assert_eq!(response.redirect(&Method::GET, &from).unwrap(), "https://h.example.com/new");
    }
}
