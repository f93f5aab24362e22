//! Sending one request: connections, TLS, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, LOCATION, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{Connector, place};
use super::options::{Format, Settings};
use super::proxy;
use super::tls::Tls;
use super::trouble::explain;

/// How long a connection is kept without use; servers close theirs after a minute or more.
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// How often a request follows a redirect.
const MAX_REDIRECTS: usize = 3;

/// How much of an answer's body is kept for people to read.
const MAX_REASON_BYTES: usize = 300;

/// How much of it is read at most, so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The same where the body tells of every event. OpenSearch says some 200 bytes of one that it took.
const MAX_ITEMS_BYTES: usize = 64 << 20;

/// Sends requests over connections that it keeps.
pub(crate) struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    tls: Arc<Tls>,
    /// Host and port of the server.
    address: String,
    /// Headers of every request; with the credentials for the proxy where it reads them.
    headers: HeaderMap,
}

/// As much of a text as people read.
pub(super) fn beginning(text: &[u8]) -> String {
    let start = text.get(..MAX_REASON_BYTES).unwrap_or(text);
    String::from_utf8_lossy(start).trim().to_owned()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or its beginning.
    body: Vec<u8>,
}

impl Answer {
    /// The beginning of the body, for people.
    pub(crate) fn reason(&self) -> String {
        beginning(&self.body)
    }

    /// The body, of which only the beginning is kept where it does not tell of every event.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Client {
    /// A client for these settings of the sink `sink`.
    ///
    /// # Errors
    ///
    /// The files with certificates cannot be read or hold none, or a proxy that the environment names is of no use.
    pub(crate) fn new(sink: &Arc<str>, settings: &Settings) -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok();
        let proxy = proxy::find(settings.proxy.as_ref(), &settings.uri, variable)
            .map_err(|(origin, message)| format!("{origin}: {message}"))?;
        let is_https = |uri: &Uri| uri.scheme_str() == Some("https");
        let uses_tls = is_https(&settings.uri) || proxy.as_ref().is_some_and(|proxy| is_https(&proxy.uri));
        let tls = Arc::new(Tls::new(sink.clone(), &settings.tls, uses_tls)?);
        if uses_tls && !settings.tls.verifies() {
            tracing::warn!(
                sink = %sink,
                "`tls.verify` is false: the server's certificate is not checked, and anyone in between can read and change events"
            );
        }
        let mut headers = settings.headers.clone();
        if let Some(proxy) = &proxy {
            let (host, port) = place(&proxy.uri);
            tracing::info!(sink = %sink, proxy = format!("{host}:{port}"), from = proxy.origin, "requests go through a proxy");
            if let Some(credentials) = proxy.credentials.clone().filter(|_| !is_https(&settings.uri)) {
                headers.insert(PROXY_AUTHORIZATION, credentials);
            }
        }
        let connector = Connector::new(&settings.uri, &tls, proxy.as_ref());
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .build(connector);
        let (host, port) = place(&settings.uri);
        Ok(Self { pool, tls, address: format!("{host}:{port}"), headers })
    }

    /// Waits until the files that TLS uses changed; for ever, if there are none.
    pub(crate) async fn files_changed(&self) {
        self.tls.changed().await;
    }

    /// Sends a body and waits for the whole answer. A redirect to another path of the same server is followed.
    ///
    /// # Errors
    ///
    /// There was none; the text says why.
    pub(crate) async fn send(&self, settings: &Settings, body: Bytes) -> Result<Answer, String> {
        let most = if settings.format == Format::Bulk { MAX_ITEMS_BYTES } else { MAX_ANSWER_BYTES };
        let exchanges = async {
            let mut uri = settings.uri.clone();
            for _ in 0..MAX_REDIRECTS {
                let answer = self.exchange(settings, &uri, body.clone(), most).await?;
                match answer.redirect(&uri) {
                    Some(next) => uri = next,
                    None => return Ok(answer),
                }
            }
            self.exchange(settings, &uri, body, most).await
        };
        match tokio::time::timeout(settings.timeout, exchanges).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(format!("no answer from `{}` within {:?} (`request.timeout`)", self.address, settings.timeout))
            }
        }
    }

    async fn exchange(&self, settings: &Settings, uri: &Uri, body: Bytes, most: usize) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = settings.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self.pool.request(request).await.map_err(|error| explain(&self.address, &error))?;
        let (head, mut rest) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                // A server that breaks off while it says that it has the events may have failed.
                Err(_) if head.status.is_success() => {
                    return Err(format!(
                        "`{}` broke off its answer with status {}",
                        self.address,
                        head.status.as_u16()
                    ));
                }
                Err(_) => break,
            }
            if body.len() > most {
                break;
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// Where a redirect leads that keeps method and body, if it stays at the same server; credentials go nowhere else.
    fn redirect(&self, from: &Uri) -> Option<Uri> {
        if !matches!(self.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return None;
        }
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        if location.starts_with('/') && !location.starts_with("//") {
            let mut parts = from.clone().into_parts();
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
    fn only_redirects_that_stay_at_the_server_are_followed() {
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
            let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Vec::new() };
            assert_eq!(answer.redirect(&from).map(|uri| uri.to_string()).as_deref(), to, "{status} {location}");
        }
    }
}
