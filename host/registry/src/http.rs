//! Requests to one registry: where plain http is allowed, who it is told, how long it may take, how much is read.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use ureq::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::credentials::Credentials;
use crate::reference::is_loopback;

/// How often a request is sent that came to no answer, or to one that says to come again.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it doubles after that, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest that a server may have us wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a request is sent on to another address.
const MOST_REDIRECTS: u32 = 5;
/// Bytes of a token's answer, and of an answer that only says what is wrong.
const MOST_ANSWER: u64 = 64 << 10;
/// How much of what a registry says of an error is passed on, in characters.
const MOST_REASON: usize = 200;

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No answer, or one that broke off.
    #[error("{url}: {error}")]
    Failed {
        /// What was asked for.
        url: String,
        /// Why.
        error: String,
    },
    /// An answer that is no success.
    #[error("{url}: the registry answers {status}{reason}")]
    Status {
        /// What was asked for.
        url: String,
        /// Status code.
        status: u16,
        /// What the registry says, with a colon in front; can be empty.
        reason: String,
    },
    /// Plain http to another machine.
    #[error("{0}: plain http goes to this machine only; use https, or write `insecure = true` for this registry")]
    Insecure(String),
    /// It is sent from one address to the next.
    #[error("{0}: redirected more than 5 times")]
    Redirects(String),
    /// More bytes than there may be.
    #[error("{url}: more than {most} bytes, which is refused")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// Bytes there may be.
        most: u64,
    },
}

impl HttpError {
    fn failed(url: impl ToString, error: impl ToString) -> Self {
        Self::Failed { url: url.to_string(), error: error.to_string() }
    }

    /// Whether to ask once more can help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// How a registry is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct HttpOptions {
    /// Plain http although the host is another machine.
    pub(crate) insecure: bool,
    /// Name and password, if there are any.
    pub(crate) credentials: Option<Credentials>,
    /// How long a small answer may take; a layer may take ten times as long.
    pub(crate) timeout: Duration,
}

/// One registry.
pub(crate) struct Http {
    agent: Agent,
    host: String,
    options: HttpOptions,
    /// What to send as `Authorization`, once the registry has said what it wants.
    authorization: Mutex<Option<String>>,
}

/// What to ask for.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) accept: Option<&'a str>,
    pub(crate) content: Option<(&'a str, &'a [u8])>,
    /// Bytes of the answer that are read.
    pub(crate) most: u64,
    /// Takes as long as a layer may.
    pub(crate) is_long: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), accept: None, content: None, most: MOST_ANSWER, is_long: false }
    }

    pub(crate) fn accept(self, media_type: &'a str) -> Self {
        Self { accept: Some(media_type), ..self }
    }

    pub(crate) fn content(self, media_type: &'a str, bytes: &'a [u8]) -> Self {
        Self { content: Some((media_type, bytes)), ..self }
    }

    pub(crate) fn most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    pub(crate) fn long(self) -> Self {
        Self { is_long: true, ..self }
    }
}

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) url: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer if it has this status.
    pub(crate) fn expect(self, statuses: &[u16]) -> Result<Self, HttpError> {
        if statuses.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        Err(HttpError::Status { url: self.url.clone(), status: self.status.as_u16(), reason: self.reason() })
    }

    /// What the registry says is wrong, cut short and without what a terminal would obey.
    fn reason(&self) -> String {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            code: Option<String>,
            message: Option<String>,
        }
        let Ok(Errors { errors }) = serde_json::from_slice(&self.body) else { return String::new() };
        let Some(One { code, message }) = errors.into_iter().next() else { return String::new() };
        let text: Vec<String> = [code, message].into_iter().flatten().collect();
        let text: String = text.join(", ").chars().filter(|c| !c.is_control()).take(MOST_REASON).collect();
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

impl Http {
    pub(crate) fn new(host: &str, options: HttpOptions) -> Self {
        let timeout = options.timeout;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "certificates of the system");
        }
        let roots: Vec<Certificate<'static>> =
            found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Redirects are followed here, where it is known what may go where.
            .max_redirects(0)
            .user_agent(concat!("wattle/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout.min(Duration::from_secs(10))))
            .timeout_send_request(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .max_idle_age(Duration::from_secs(10))
            .build();
        Self { agent: config.new_agent(), host: host.to_owned(), options, authorization: Mutex::new(None) }
    }

    /// Where the registry is.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.options.insecure || is_loopback(&self.host) { "http" } else { "https" };
        format!("{scheme}://{}", self.host)
    }

    /// Asks, and asks again where that can help.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<Answer, HttpError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let mut wait = pause;
            let error = match self.ask_once(ask) {
                Ok(answer) if answer.status.as_u16() == 429 || answer.status.is_server_error() => {
                    if let Some(seconds) = answer.header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()) {
                        wait = Duration::from_secs(seconds);
                    }
                    match answer.expect(&[]) {
                        Ok(answer) => return Ok(answer),
                        Err(error) => error,
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_passing() || attempt >= ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "a registry is asked once more");
            std::thread::sleep(wait.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64()));
            pause *= 2;
            attempt += 1;
        }
    }

    /// Asks, with credentials if the registry wants them.
    fn ask_once(&self, ask: &Ask<'_>) -> Result<Answer, HttpError> {
        let known = self.authorization.lock().clone();
        let answer = self.follow(ask, known.as_deref())?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges: Vec<Challenge> = answer
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|v| Challenge::parse(v.to_str().ok()?))
            .collect();
        let Some(authorization) = self.authorize(&challenges)? else { return Ok(answer) };
        if known.as_ref() == Some(&authorization) {
            return Ok(answer);
        }
        *self.authorization.lock() = Some(authorization.clone());
        self.follow(ask, Some(&authorization))
    }

    /// Asks, and follows where the registry points to.
    fn follow(&self, ask: &Ask<'_>, authorization: Option<&str>) -> Result<Answer, HttpError> {
        let home: Uri = self.base().parse().map_err(|error| HttpError::failed(&ask.url, error))?;
        let mut url: Uri = ask.url.parse().map_err(|error| HttpError::failed(&ask.url, error))?;
        for _ in 0..=MOST_REDIRECTS {
            self.allow(&url)?;
            let is_home = url.authority() == home.authority() && url.scheme() == home.scheme();
            let mut request = Request::builder().method(ask.method.clone()).uri(&url);
            if let Some(accept) = ask.accept {
                request = request.header(ACCEPT, accept);
            }
            // Whoever we are sent to is not who the credentials are for.
            if let Some(authorization) = authorization.filter(|_| is_home) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let answer = self.send(ask, request, &url)?;
            let follows = answer.status().is_redirection() && matches!(ask.method, Method::GET | Method::HEAD);
            if !follows {
                return self.read(ask, answer, &url);
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| HttpError::failed(&url, "redirected to nowhere"))?;
            url = resolve(&url, location).ok_or_else(|| HttpError::failed(&url, "redirected to a bad address"))?;
        }
        Err(HttpError::Redirects(ask.url.clone()))
    }

    /// Refuses what would send anything in clear over a network.
    fn allow(&self, url: &Uri) -> Result<(), HttpError> {
        let authority = url.authority().map(ToString::to_string).unwrap_or_default();
        let allowed = match url.scheme_str() {
            Some("https") => true,
            Some("http") => is_loopback(&authority) || (self.options.insecure && authority == self.host),
            _ => false,
        };
        if allowed { Ok(()) } else { Err(HttpError::Insecure(url.to_string())) }
    }

    fn send(
        &self,
        ask: &Ask<'_>,
        request: ureq::http::request::Builder,
        url: &Uri,
    ) -> Result<Response<Body>, HttpError> {
        let timeout = if ask.is_long { self.options.timeout * 10 } else { self.options.timeout };
        let wrong = |error: ureq::Error| HttpError::failed(url, error);
        match ask.content {
            Some((media_type, bytes)) => {
                let request = request.header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, bytes.len());
                let request = request.body(bytes).map_err(|error| HttpError::failed(url, error))?;
                let request = self.agent.configure_request(request);
                let request = request.timeout_send_body(Some(timeout)).timeout_recv_body(Some(timeout)).build();
                self.agent.run(request).map_err(wrong)
            }
            None => {
                let request = request.body(()).map_err(|error| HttpError::failed(url, error))?;
                let request = self.agent.configure_request(request).timeout_recv_body(Some(timeout)).build();
                self.agent.run(request).map_err(wrong)
            }
        }
    }

    fn read(&self, ask: &Ask<'_>, answer: Response<Body>, url: &Uri) -> Result<Answer, HttpError> {
        let (head, body) = answer.into_parts();
        let too_large = || HttpError::TooLarge { url: url.to_string(), most: ask.most };
        let mut bytes = Vec::new();
        if ask.method != Method::HEAD {
            if body.content_length().is_some_and(|length| length > ask.most) {
                return Err(too_large());
            }
            let since = Instant::now();
            let read = body.into_reader().take(ask.most + 1).read_to_end(&mut bytes);
            read.map_err(|error| HttpError::failed(url, format!("broke off after {:?}: {error}", since.elapsed())))?;
            if bytes.len() as u64 > ask.most {
                return Err(too_large());
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body: bytes, url: url.to_string() })
    }

    /// What to send as `Authorization`, by what the registry wants; `None` where nothing can be.
    fn authorize(&self, challenges: &[Challenge]) -> Result<Option<String>, HttpError> {
        let credentials = self.options.credentials.as_ref();
        for challenge in challenges {
            match challenge {
                Challenge::Basic => {
                    if let Some(credentials) = credentials {
                        return Ok(Some(credentials.basic()));
                    }
                }
                Challenge::Bearer { realm, query } => {
                    return self.token(realm, query, credentials).map(|token| Some(format!("Bearer {token}")));
                }
            }
        }
        Ok(None)
    }

    fn token(&self, realm: &str, query: &str, credentials: Option<&Credentials>) -> Result<String, HttpError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let separator = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{separator}{query}");
        let uri: Uri = url.parse().map_err(|error| HttpError::failed(realm, error))?;
        self.allow(&uri)?;
        let ask = Ask::new(Method::GET, &url);
        let mut request = Request::builder().method(Method::GET).uri(&uri);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials.basic());
        }
        let answer = self.send(&ask, request, &uri)?;
        let answer = self.read(&ask, answer, &uri)?.expect(&[200])?;
        let token: Token = serde_json::from_slice(&answer.body).map_err(|error| HttpError::failed(realm, error))?;
        let token = token.token.or(token.access_token);
        token.ok_or_else(|| HttpError::failed(realm, "the answer holds no token"))
    }
}

/// Where a location leads that is given at an address.
pub(crate) fn resolve(at: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let (folder, _) = at.path().rsplit_once('/')?;
        format!("{folder}/{location}")
    };
    format!("{}://{}{path}", at.scheme_str()?, at.authority()?).parse().ok()
}

/// What a registry wants before it answers.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, query: String },
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut query) = (None, Vec::new());
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.trim_matches([' ', ',']);
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            rest = after;
            match key {
                "realm" => realm = Some(value.to_owned()),
                "service" | "scope" => query.push(format!("{key}={}", encode(value))),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, query: query.join("&") })
    }
}

/// Percent-encodes what a query does not take as it is.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_in_the_forms_that_registries_write() {
        let text =
            r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example.com/token".into(),
            query: "service=registry&scope=repository:a/b:pull,push".into(),
        };
        assert_eq!(Challenge::parse(text), Some(expected));
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        for text in ["Bearer", "Bearer service=\"x\"", "Negotiate", "", "Bearer realm=\"open"] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
        assert_eq!(encode("a b&c=d%"), "a%20b%26c%3Dd%25");
    }

    #[test]
    fn locations_lead_from_where_they_are_given() {
        let at: Uri = "http://127.0.0.1:5000/v2/a/blobs/uploads/".parse().unwrap();
        let resolved = |location| resolve(&at, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/v2/x").as_deref(), Some("http://127.0.0.1:5000/v2/x"));
        assert_eq!(resolved("x?y=1").as_deref(), Some("http://127.0.0.1:5000/v2/a/blobs/uploads/x?y=1"));
        assert_eq!(resolved("https://b.example.com/x").as_deref(), Some("https://b.example.com/x"));
    }

    #[test]
    fn plain_http_goes_nowhere_but_here() {
        let http = |host: &str, insecure| {
            let options = HttpOptions { insecure, credentials: None, timeout: Duration::from_secs(1) };
            Http::new(host, options)
        };
        let allowed = |http: &Http, url: &str| http.allow(&url.parse().unwrap()).is_ok();
        let plain = http("127.0.0.1:5000", false);
        assert_eq!(plain.base(), "http://127.0.0.1:5000");
        assert!(allowed(&plain, "http://localhost:1/x"));
        assert!(!allowed(&plain, "http://169.254.169.254/latest"));
        assert!(!allowed(&plain, "ftp://127.0.0.1/x"));
        let far = http("r.example.com", false);
        assert_eq!(far.base(), "https://r.example.com");
        assert!(!allowed(&far, "http://r.example.com/x"));
        let insecure = http("r.example.com", true);
        assert!(allowed(&insecure, "http://r.example.com/x"));
        assert!(!allowed(&insecure, "http://other.example.com/x"));
    }
}
