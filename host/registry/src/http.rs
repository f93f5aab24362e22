//! HTTP client for one registry: credentials, redirects, retries, timeouts, size limits.
//!
//! [`crate::origin`] has the rules for plain HTTP and for the servers that get credentials.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use ureq::http::{self, HeaderMap, Method, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::image;
use crate::origin::{Home, resolve, shown};
use crate::reason::json_reason;

/// Attempts for a request that fails with a transient error.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it doubles after that, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Maximum pause, also if `Retry-After` asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Maximum number of redirects that a request follows.
const MAX_REDIRECTS: u32 = 5;
/// Maximum size of a token response and of an error response, in bytes.
const MAX_SMALL_RESPONSE: u64 = 64 << 10;
/// Maximum length of the error text of a registry in messages, in characters.
const MAX_REASON: usize = 200;

/// An error of a request to a registry.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No response, or an incomplete one.
    #[error("{url}: {error}")]
    Failed {
        /// The requested URL.
        url: String,
        /// Cause.
        error: String,
    },
    /// A response with an unexpected status.
    #[error("{url}: the registry responded with {status}{reason}")]
    Status {
        /// The requested URL.
        url: String,
        /// Status code.
        status: u16,
        /// The error text of the registry, after a colon; can be empty.
        reason: String,
    },
    /// Plain HTTP to another machine.
    #[error("{0}: plain HTTP is allowed to this machine only; use https, or set `insecure = true` for this registry")]
    Insecure(String),
    /// A registry that names a token server on another host, over plain HTTP.
    #[error("{realm}: the registry `{registry}` names a token server on another host; such a server must use https")]
    ForeignRealm {
        /// Address of the token server.
        realm: String,
        /// Host of the registry.
        registry: String,
    },
    /// Too many redirects.
    #[error("{0}: redirected more than 5 times")]
    Redirects(String),
    /// The response is too large.
    #[error("{url}: the response has more than {max} bytes")]
    TooLarge {
        /// The requested URL.
        url: String,
        /// Maximum size in bytes.
        max: u64,
    },
    /// A downloaded layer cannot be written to disk.
    #[error("cannot write a layer to the data folder: {0}; check its free space and permissions")]
    Disk(io::Error),
}

impl HttpError {
    fn failed(url: &str, error: impl Into<String>) -> Self {
        Self::Failed { url: shown(url), error: error.into() }
    }

    fn bad_url(url: &str) -> Self {
        Self::failed(url, "this is not a valid URL; check the name of the registry and the addresses that it sends")
    }

    /// Returns whether a retry can succeed.
    fn is_transient(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// Options for the requests to a registry.
#[derive(Debug, Clone)]
pub(crate) struct HttpOptions {
    /// Use plain HTTP although the host is another machine.
    pub(crate) insecure: bool,
    /// Credentials, if any.
    pub(crate) credentials: Option<Credentials>,
    /// Timeout of a small response; a layer may take ten times as long.
    pub(crate) timeout: Duration,
}

/// HTTP client for one registry.
pub(crate) struct Http {
    agent: Agent,
    home: Home,
    options: HttpOptions,
    /// Value of `Authorization`, once the registry has sent a challenge.
    authorization: Mutex<Option<String>>,
}

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) accept: Option<&'a str>,
    pub(crate) content: Option<(&'a str, &'a [u8])>,
    /// Maximum size of the response body in bytes.
    pub(crate) max_bytes: u64,
    /// Use the timeout of a layer.
    pub(crate) is_long: bool,
    /// Receives the body of a response with status 200; other bodies stay in memory.
    pub(crate) file: Option<&'a File>,
    /// The request is for a blob: it carries no credentials after a redirect.
    pub(crate) is_blob: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            accept: None,
            content: None,
            max_bytes: MAX_SMALL_RESPONSE,
            is_long: false,
            file: None,
            is_blob: false,
        }
    }

    pub(crate) fn accept(self, media_type: &'a str) -> Self {
        Self { accept: Some(media_type), ..self }
    }

    pub(crate) fn content(self, media_type: &'a str, bytes: &'a [u8]) -> Self {
        Self { content: Some((media_type, bytes)), ..self }
    }

    pub(crate) fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    pub(crate) fn long(self) -> Self {
        Self { is_long: true, ..self }
    }

    pub(crate) fn blob(self) -> Self {
        Self { is_blob: true, ..self }
    }

    pub(crate) fn into_file(self, file: &'a File) -> Self {
        Self { file: Some(file), ..self }
    }
}

/// The response to a request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// URL of the response, after redirects.
    pub(crate) url: String,
    /// Length in bytes and SHA-256 digest of a body that went to a file.
    pub(crate) written: Option<(u64, String)>,
    /// Whether the home registry responded, and no redirect led to another server.
    is_home: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the response if it has one of these statuses.
    pub(crate) fn expect(self, statuses: &[u16]) -> Result<Self, HttpError> {
        if statuses.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        let reason = match self.status {
            StatusCode::UNAUTHORIZED if !self.is_home => {
                "; credentials of the registry are not sent to the server that it redirects to".to_owned()
            }
            _ => self.reason(),
        };
        Err(HttpError::Status { url: shown(&self.url), status: self.status.as_u16(), reason })
    }

    /// Returns the error text of the registry, shortened and without control characters.
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
        let text: String = text.join(", ").chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

impl Http {
    pub(crate) fn new(host: &str, options: HttpOptions) -> Self {
        let timeout = options.timeout;
        let config = Agent::config_builder()
            .tls_config(wattle_tls::ureq_config())
            .http_status_as_error(false)
            // `follow` follows redirects, because it knows which server may receive the
            // credentials.
            .max_redirects(0)
            .user_agent(concat!("wattle/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout.min(Duration::from_secs(10))))
            .timeout_send_request(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .max_idle_age(Duration::from_secs(10))
            .build();
        let home = Home::new(host, options.insecure);
        Self { agent: config.new_agent(), home, options, authorization: Mutex::new(None) }
    }

    /// Returns the URL of the registry.
    pub(crate) fn base(&self) -> String {
        self.home.base()
    }

    /// Sends a request, and retries after transient errors.
    pub(crate) fn request(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let mut wait = pause;
            let error = match self.request_once(request) {
                Ok(response) if response.status.as_u16() == 429 || response.status.is_server_error() => {
                    if let Some(seconds) = response.header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()) {
                        wait = Duration::from_secs(seconds);
                    }
                    match response.expect(&[]) {
                        Ok(response) => return Ok(response),
                        Err(error) => error,
                    }
                }
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if !error.is_transient() || attempt >= ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "retrying a request to a registry");
            std::thread::sleep(wait.min(MAX_PAUSE).mul_f64(0.5 + fastrand::f64()));
            pause *= 2;
            attempt += 1;
        }
    }

    /// Sends a request, with credentials if the registry requires them.
    fn request_once(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let known = self.authorization.lock().clone();
        let response = self.follow(request, known.as_deref())?;
        // Only challenges of the home registry are accepted: another server could name its own
        // token server and receive the user name and password (as in CVE-2020-15157).
        if response.status != StatusCode::UNAUTHORIZED || !response.is_home {
            return Ok(response);
        }
        let challenges: Vec<Challenge> = response
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|v| Challenge::parse(v.to_str().ok()?))
            .collect();
        let Some(authorization) = self.authorize(&challenges)? else { return Ok(response) };
        if known.as_ref() == Some(&authorization) {
            return Ok(response);
        }
        *self.authorization.lock() = Some(authorization.clone());
        self.follow(request, Some(&authorization))
    }

    /// Sends a request and follows redirects.
    fn follow(&self, request: &Request<'_>, authorization: Option<&str>) -> Result<Response, HttpError> {
        let mut url: Uri = request.url.parse().map_err(|_| HttpError::bad_url(&request.url))?;
        let mut is_home = self.home.is_at(&url);
        let mut may_authorize = is_home;
        for _ in 0..=MAX_REDIRECTS {
            self.allow(&url)?;
            let mut builder = http::Request::builder().method(request.method.clone()).uri(&url);
            if let Some(accept) = request.accept {
                builder = builder.header(ACCEPT, accept);
            }
            if let Some(authorization) = authorization.filter(|_| may_authorize) {
                builder = builder.header(AUTHORIZATION, authorization);
            }
            let response = self.send(request, builder, &url)?;
            let follows = response.status().is_redirection() && matches!(request.method, Method::GET | Method::HEAD);
            if !follows {
                return self.read(request, response, &url, is_home);
            }
            let at = url.to_string();
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| HttpError::failed(&at, "redirect without a location"))?;
            url = resolve(&url, location).ok_or_else(|| HttpError::failed(&at, "redirect to an invalid location"))?;
            // A redirect by another server cannot lead back to the home registry.
            is_home = is_home && self.home.is_at(&url);
            may_authorize = is_home && !request.is_blob;
        }
        Err(HttpError::Redirects(shown(&request.url)))
    }

    /// Refuses addresses that would send anything unencrypted over a network.
    fn allow(&self, url: &Uri) -> Result<(), HttpError> {
        if self.home.allows(url) { Ok(()) } else { Err(HttpError::Insecure(shown(&url.to_string()))) }
    }

    fn send(
        &self,
        request: &Request<'_>,
        builder: http::request::Builder,
        url: &Uri,
    ) -> Result<http::Response<Body>, HttpError> {
        let timeout = if request.is_long { self.options.timeout * 10 } else { self.options.timeout };
        let at = url.to_string();
        let wrong = |error: ureq::Error| HttpError::failed(&at, wattle_tls::explain(&error));
        let not_built = |error: http::Error| HttpError::failed(&at, format!("the request cannot be built ({error})"));
        match request.content {
            Some((media_type, bytes)) => {
                let builder = builder.header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, bytes.len());
                let sent = builder.body(bytes).map_err(not_built)?;
                let sent = self.agent.configure_request(sent);
                let sent = sent.timeout_send_body(Some(timeout)).timeout_recv_body(Some(timeout)).build();
                self.agent.run(sent).map_err(wrong)
            }
            None => {
                let sent = builder.body(()).map_err(not_built)?;
                let sent = self.agent.configure_request(sent).timeout_recv_body(Some(timeout)).build();
                self.agent.run(sent).map_err(wrong)
            }
        }
    }

    fn read(
        &self,
        request: &Request<'_>,
        response: http::Response<Body>,
        url: &Uri,
        is_home: bool,
    ) -> Result<Response, HttpError> {
        let (head, body) = response.into_parts();
        let url = url.to_string();
        let file = request.file.filter(|_| head.status == StatusCode::OK);
        let max = if file.is_some() || head.status.is_success() { request.max_bytes } else { MAX_SMALL_RESPONSE };
        let too_large = || HttpError::TooLarge { url: shown(&url), max };
        let (mut bytes, mut written) = (Vec::new(), None);
        if request.method != Method::HEAD {
            if body.content_length().is_some_and(|length| length > max) {
                return Err(too_large());
            }
            let since = Instant::now();
            let mut body = body.into_reader().take(max + 1);
            let read = match file {
                Some(file) => spool(&mut body, file).map(|(length, digest)| {
                    written = Some((length, digest));
                    length
                }),
                None => body.read_to_end(&mut bytes).map(|read| read as u64).map_err(SpoolError::Body),
            };
            let read = read.map_err(|error| match error {
                SpoolError::Body(error) => {
                    let reason = wattle_tls::explain(&error.into());
                    HttpError::failed(&url, format!("the response ended early after {:?}: {reason}", since.elapsed()))
                }
                SpoolError::Disk(error) => HttpError::Disk(error),
            })?;
            if read > max {
                return Err(too_large());
            }
        }
        Ok(Response { status: head.status, headers: head.headers, body: bytes, url, written, is_home })
    }

    /// Returns the value of `Authorization` that answers a challenge; `None` if no challenge can be
    /// answered.
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
        let uri: Uri = url.parse().map_err(|_| HttpError::bad_url(realm))?;
        self.allow(&uri)?;
        if !self.home.trusts_realm(&uri) {
            return Err(HttpError::ForeignRealm { realm: shown(realm), registry: self.home.host().to_owned() });
        }
        let request = Request::new(Method::GET, &url);
        let mut builder = http::Request::builder().method(Method::GET).uri(&uri);
        if let Some(credentials) = credentials {
            builder = builder.header(AUTHORIZATION, credentials.basic());
        }
        // Only the address of the token server itself was checked, so its redirects are errors.
        let response = self.send(&request, builder, &uri)?;
        let response = self.read(&request, response, &uri, true)?.expect(&[200])?;
        let token: Token = serde_json::from_slice(&response.body).map_err(|error| {
            HttpError::failed(realm, format!("the response is not a token: {}", json_reason(&error)))
        })?;
        let token = token.token.or(token.access_token);
        token.ok_or_else(|| HttpError::failed(realm, "the response contains no token"))
    }
}

/// Why a body was not written to a file.
enum SpoolError {
    /// The body broke off, so a retry can succeed.
    Body(io::Error),
    /// The file cannot be written.
    Disk(io::Error),
}

/// Writes a body to a file from its beginning, and returns the length in bytes and the digest.
fn spool(body: &mut impl Read, mut file: &File) -> Result<(u64, String), SpoolError> {
    // An incomplete earlier attempt may have written a part.
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(SpoolError::Disk)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let read = body.read(&mut buffer).map_err(SpoolError::Body)?;
        if read == 0 {
            return Ok((length, image::digest_text(&sha.finalize())));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        file.write_all(bytes).map_err(SpoolError::Disk)?;
        sha.update(bytes);
        length += read as u64;
    }
}
