//! Sends one request and reads its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, LOCATION, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wattle_options::OptionError;

use super::connect::{Connector, place};
use super::destination::Target;
use super::error::RequestError;
use super::options::Settings;
use super::proxy::{self, Proxy};
use crate::error::SinkError;
use crate::tls::Tls;

/// How long an idle connection stays open. Servers close idle connections after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval of pings on a connection of HTTP/2 with requests, and how long the server may take to answer one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Maximum number of redirects that a request follows.
const MAX_REDIRECTS: usize = 3;

/// Maximum bytes of a response body in logs and dead letters.
const MAX_REASON_BYTES: usize = 300;

/// Maximum bytes of a response body that are read, so that the connection can be reused.
pub(super) const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Maximum bytes of a response body with an item per event. OpenSearch writes about 200 bytes for an accepted event.
pub(super) const MAX_ITEMS_BYTES: usize = 64 << 20;

/// Sends requests over a pool of connections.
pub(crate) struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    tls: Arc<Tls>,
    /// Host and port of the server.
    address: String,
    /// Headers of every request, with the credentials of a proxy that forwards plain HTTP.
    headers: HeaderMap,
}

/// The beginning of a response body, for logs and dead letters.
pub(super) fn beginning(text: &[u8]) -> String {
    let start = text.get(..MAX_REASON_BYTES).unwrap_or(text);
    String::from_utf8_lossy(start).trim().to_owned()
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or its beginning.
    body: Vec<u8>,
}

impl Response {
    #[cfg(test)]
    pub(super) fn fake(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    /// The beginning of the body, for logs and dead letters.
    pub(crate) fn reason(&self) -> String {
        beginning(&self.body)
    }

    /// A header, or a trailer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, or its beginning if it is longer than [`max_response_bytes`](super::destination::Destination).
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Checks what [`Client::new`] needs in addition to the options: the files of `tls` and the proxy of the environment.
///
/// # Errors
///
/// A certificate file or the proxy cannot be used.
pub(crate) fn check(settings: &Settings) -> Result<(), OptionError> {
    let variable = |name: &str| std::env::var(name).ok();
    let proxy = proxy::find(settings.proxy.as_ref(), &settings.uri, variable)
        .map_err(|error| OptionError::new("", error.to_string()))?;
    let uses_tls = uses_tls(settings, proxy.as_ref());
    wattle_tls::client_config(&settings.tls, uses_tls)
        .map(drop)
        .map_err(|error| OptionError::new(error.option().unwrap_or_default(), error.to_string()))
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

fn uses_tls(settings: &Settings, proxy: Option<&Proxy>) -> bool {
    is_https(&settings.uri) || proxy.is_some_and(|proxy| is_https(&proxy.uri))
}

impl Client {
    /// A client for these settings of the sink `sink`.
    ///
    /// # Errors
    ///
    /// A certificate file cannot be used, or the proxy of the environment cannot.
    pub(crate) fn new(sink: &Arc<str>, settings: &Settings) -> Result<Self, SinkError> {
        let variable = |name: &str| std::env::var(name).ok();
        let proxy = proxy::find(settings.proxy.as_ref(), &settings.uri, variable).map_err(SinkError::Proxy)?;
        let uses_tls = uses_tls(settings, proxy.as_ref());
        let tls = Arc::new(Tls::new(sink.clone(), settings.tls.clone(), uses_tls).map_err(SinkError::Tls)?);
        if uses_tls && !settings.tls.verify {
            tracing::warn!(
                sink = %sink,
                "`tls.verify` is false: the server's certificate is not verified, so others on the network path can read and change events"
            );
        }
        let mut headers = settings.headers.clone();
        if let Some(proxy) = &proxy {
            let (host, port) = place(&proxy.uri);
            tracing::info!(sink = %sink, proxy = format!("{host}:{port}"), from = proxy.origin, "requests go through a proxy");
            // For HTTPS, the request for the tunnel has the credentials instead; see `connect.rs`.
            if let Some(credentials) = proxy.credentials.clone().filter(|_| !is_https(&settings.uri)) {
                headers.insert(PROXY_AUTHORIZATION, credentials);
            }
        }
        let is_http2 = settings.is_http2;
        let connector = Connector::new(&settings.uri, &tls, proxy.as_ref(), is_http2);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_only(is_http2)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .build(connector);
        let (host, port) = place(&settings.uri);
        Ok(Self { pool, tls, address: format!("{host}:{port}"), headers })
    }

    /// Waits until the certificate files have changed; forever if there are none.
    pub(crate) async fn files_changed(&self) {
        self.tls.changed().await;
    }

    /// Sends a body to the address of the settings, see [`send_to`](Self::send_to).
    #[cfg(test)]
    pub(super) async fn send(&self, settings: &Settings, body: Bytes) -> Result<Response, RequestError> {
        self.send_to(settings, &Target::of(settings), body).await
    }

    /// Sends a body and waits for the complete response. Follows redirects within the same server.
    ///
    /// # Errors
    ///
    /// There was no complete response.
    pub(super) async fn send_to(
        &self,
        settings: &Settings,
        target: &Target,
        body: Bytes,
    ) -> Result<Response, RequestError> {
        let exchanges = async {
            let mut target = target.clone();
            for _ in 0..MAX_REDIRECTS {
                let response = self.exchange(settings, &target, body.clone()).await?;
                match response.redirect(&target.uri) {
                    Some(next) => target.uri = next,
                    None => return Ok(response),
                }
            }
            // After the last redirect, any response is the result.
            self.exchange(settings, &target, body).await
        };
        match tokio::time::timeout(settings.timeout, exchanges).await {
            Ok(response) => response,
            Err(_) => Err(RequestError::Timeout { address: self.address.clone(), limit: settings.timeout }),
        }
    }

    async fn exchange(&self, settings: &Settings, target: &Target, body: Bytes) -> Result<Response, RequestError> {
        let max = settings.destination.max_response_bytes();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = settings.method.clone();
        *request.uri_mut() = target.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(target.headers.clone());
        let response = self.pool.request(request).await.map_err(|error| RequestError::of(&self.address, &error))?;
        let (mut head, mut rest) = response.into_parts();
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
                // The status alone decides about the events; only a part of the reason is missing.
                Err(_) => break,
            }
            // Give up the connection instead of reading a huge body.
            if body.len() > max {
                break;
            }
        }
        Ok(Response { status: head.status, headers: head.headers, body })
    }
}

impl Response {
    /// The target of a redirect that keeps method and body. `None` if it leads to another server, which must not receive
    /// the credentials.
    fn redirect(&self, from: &Uri) -> Option<Uri> {
        if !matches!(self.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
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
            let response = Response { status: StatusCode::from_u16(status).unwrap(), headers, body: Vec::new() };
            assert_eq!(response.redirect(&from).map(|uri| uri.to_string()).as_deref(), to, "{status} {location}");
        }
    }
}
