//! HTTP client for one registry: credentials, redirects, retries, timeouts, size limits.
//!
//! [`crate::origin`] has the rules for plain http and for who gets credentials.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::image;
use crate::origin::{Home, resolve, shown};

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
    /// A registry that names a token server at another host, over plain http.
    #[error("{realm}: the registry `{registry}` names a token server at another host; such a server needs https")]
    ForeignRealm {
        /// Address of the token server.
        realm: String,
        /// Host of the registry.
        registry: String,
    },
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
    fn failed(url: &str, error: impl ToString) -> Self {
        Self::Failed { url: shown(url), error: error.to_string() }
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

/// Options for the requests to a registry.
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
    home: Home,
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
    /// Receives the body of an answer with status 200, instead of memory.
    pub(crate) file: Option<&'a File>,
    /// The content of a blob is asked for: no redirect gets credentials.
    pub(crate) is_blob: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            accept: None,
            content: None,
            most: MOST_ANSWER,
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

    pub(crate) fn most(self, most: u64) -> Self {
        Self { most, ..self }
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
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Address that the answer comes from, after redirects.
    pub(crate) url: String,
    /// Length in bytes and SHA-256 digest of a body that went to a file.
    pub(crate) written: Option<(u64, String)>,
    /// Whether the home registry answers, and no other server was asked on the way.
    is_home: bool,
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
        let reason = match self.status {
            StatusCode::UNAUTHORIZED if !self.is_home => {
                "; credentials of the registry are not sent to the server that it redirects to".to_owned()
            }
            _ => self.reason(),
        };
        Err(HttpError::Status { url: shown(&self.url), status: self.status.as_u16(), reason })
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
        let home = Home::new(host, options.insecure);
        Self { agent: config.new_agent(), home, options, authorization: Mutex::new(None) }
    }

    /// Address of the registry.
    pub(crate) fn base(&self) -> String {
        self.home.base()
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
        // A challenge counts from the home registry only: another server could name a token server of its own and
        // receive the name and password (as in CVE-2020-15157).
        if answer.status != StatusCode::UNAUTHORIZED || !answer.is_home {
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

    /// Sends a request and follows redirects.
    fn follow(&self, ask: &Ask<'_>, authorization: Option<&str>) -> Result<Answer, HttpError> {
        let mut url: Uri = ask.url.parse().map_err(|error| HttpError::failed(&ask.url, error))?;
        let mut is_home = self.home.is_at(&url);
        let mut may_authorize = is_home;
        for _ in 0..=MOST_REDIRECTS {
            self.allow(&url)?;
            let mut request = Request::builder().method(ask.method.clone()).uri(&url);
            if let Some(accept) = ask.accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(authorization) = authorization.filter(|_| may_authorize) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let answer = self.send(ask, request, &url)?;
            let follows = answer.status().is_redirection() && matches!(ask.method, Method::GET | Method::HEAD);
            if !follows {
                return self.read(ask, answer, &url, is_home);
            }
            let at = url.to_string();
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| HttpError::failed(&at, "redirected to nowhere"))?;
            url = resolve(&url, location).ok_or_else(|| HttpError::failed(&at, "redirected to a bad address"))?;
            // Once another server has chosen the address, the chain stays foreign, also if it leads back.
            is_home = is_home && self.home.is_at(&url);
            may_authorize = is_home && !ask.is_blob;
        }
        Err(HttpError::Redirects(shown(&ask.url)))
    }

    /// Refuses addresses that would send anything unencrypted over a network.
    fn allow(&self, url: &Uri) -> Result<(), HttpError> {
        if self.home.allows(url) { Ok(()) } else { Err(HttpError::Insecure(shown(&url.to_string()))) }
    }

    fn send(
        &self,
        ask: &Ask<'_>,
        request: ureq::http::request::Builder,
        url: &Uri,
    ) -> Result<Response<Body>, HttpError> {
        let timeout = if ask.is_long { self.options.timeout * 10 } else { self.options.timeout };
        let at = url.to_string();
        let wrong = |error: ureq::Error| HttpError::failed(&at, error);
        match ask.content {
            Some((media_type, bytes)) => {
                let request = request.header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, bytes.len());
                let request = request.body(bytes).map_err(|error| HttpError::failed(&at, error))?;
                let request = self.agent.configure_request(request);
                let request = request.timeout_send_body(Some(timeout)).timeout_recv_body(Some(timeout)).build();
                self.agent.run(request).map_err(wrong)
            }
            None => {
                let request = request.body(()).map_err(|error| HttpError::failed(&at, error))?;
                let request = self.agent.configure_request(request).timeout_recv_body(Some(timeout)).build();
                self.agent.run(request).map_err(wrong)
            }
        }
    }

    fn read(&self, ask: &Ask<'_>, answer: Response<Body>, url: &Uri, is_home: bool) -> Result<Answer, HttpError> {
        let (head, body) = answer.into_parts();
        let url = url.to_string();
        let file = ask.file.filter(|_| head.status == StatusCode::OK);
        let max = if file.is_some() || head.status.is_success() { ask.most } else { MOST_ANSWER };
        let too_large = || HttpError::TooLarge { url: shown(&url), most: max };
        let (mut bytes, mut written) = (Vec::new(), None);
        if ask.method != Method::HEAD {
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
                None => body.read_to_end(&mut bytes).map(|read| read as u64),
            };
            let read = read
                .map_err(|error| HttpError::failed(&url, format!("broke off after {:?}: {error}", since.elapsed())))?;
            if read > max {
                return Err(too_large());
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body: bytes, url, written, is_home })
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
        if !self.home.trusts_realm(&uri) {
            return Err(HttpError::ForeignRealm { realm: shown(realm), registry: self.home.host().to_owned() });
        }
        let ask = Ask::new(Method::GET, &url);
        let mut request = Request::builder().method(Method::GET).uri(&uri);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials.basic());
        }
        // A token server that redirects is an error: what it redirects to is not the server that was checked.
        let answer = self.send(&ask, request, &uri)?;
        let answer = self.read(&ask, answer, &uri, true)?.expect(&[200])?;
        let token: Token = serde_json::from_slice(&answer.body).map_err(|error| HttpError::failed(realm, error))?;
        let token = token.token.or(token.access_token);
        token.ok_or_else(|| HttpError::failed(realm, "the answer holds no token"))
    }
}

/// Writes a body to a file from its beginning, and returns the length in bytes and the digest.
fn spool(body: &mut impl Read, mut file: &File) -> io::Result<(u64, String)> {
    // An attempt that broke off may have left something.
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let read = body.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, image::digest_text(&sha.finalize())));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        file.write_all(bytes)?;
        sha.update(bytes);
        length += read as u64;
    }
}
