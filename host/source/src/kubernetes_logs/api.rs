//! Requests to the API server.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use tokio::sync::Mutex;
use wattle_http_client::{Client, Limits, RequestError, Server, ServerError, beginning};
use wattle_tls::{ClientOptions, Endpoint};

/// Time limit of a list, and of the head of a response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a list.
const MAX_LIST_BYTES: usize = 64 << 20;

/// Maximum size of a response that refuses a watch.
const MAX_REASON_BYTES: usize = 64 << 10;

/// Maximum size of the file with the token.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Where the API server is, and the credentials for it.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) server: Uri,
    /// `None` for the system's authorities.
    pub(super) ca_file: Option<PathBuf>,
    /// `None` without a token.
    pub(super) token_file: Option<PathBuf>,
}

/// A client of the API server.
pub(super) struct Api {
    access: Access,
    endpoint: Endpoint,
    /// Made at the first request: the file of the authorities may come later than the agent.
    client: Mutex<Option<Arc<Client>>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error(transparent)]
    Client(#[from] ServerError),
    #[error("{}", explain(.0))]
    Request(#[from] RequestError),
    #[error("cannot read the token `{}`: {error}", .path.display())]
    Token { path: PathBuf, error: io::Error },
    #[error("token `{}` is not a text for a header", .0.display())]
    BadToken(PathBuf),
    #[error("the address is not valid: {0}")]
    Address(String),
    /// The version is too old.
    #[error("the version of the objects is too old (410)")]
    Expired,
    #[error("the token is refused (401): {0}")]
    Unauthorized(String),
    #[error("the service account has no permission (403): {0}")]
    Forbidden(String),
    #[error("it responded with status {status}: {reason}")]
    Status { status: u16, reason: String },
    #[error("its response is not valid: {0}")]
    Invalid(String),
    #[error("a list has more than {0} bytes")]
    ListTooLong(usize),
    #[error("an event of a watch has more than {0} bytes")]
    LineTooLong(usize),
    #[error("it was silent for {} seconds", .0.as_secs())]
    Silent(Duration),
}

impl ApiError {
    pub(super) fn invalid(error: serde_json::Error) -> Self {
        // The text of an object must not get into a log; the place is enough.
        Self::Invalid(
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()).to_lowercase(),
        )
    }

    pub(super) fn of_status(status: u16, reason: String) -> Self {
        match status {
            410 => Self::Expired,
            401 => Self::Unauthorized(reason),
            403 => Self::Forbidden(reason),
            _ => Self::Status { status, reason },
        }
    }
}

/// The text of an error of the client, with the options of this source.
fn explain(error: &RequestError) -> String {
    error.with_option("api_server").replace("`tls.ca_file`", "`ca_file`")
}

/// The reason in a response that is not a success: its `message`, or its beginning.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let message = serde_json::from_slice::<Message>(body).map(|status| status.message);
    message.map_or_else(|_| beginning(body), |message| beginning(message.as_bytes()))
}

impl Api {
    pub(super) fn new(access: Access, source: Arc<str>) -> Self {
        Self { access, endpoint: Endpoint::Source(source), client: Mutex::default() }
    }

    async fn client(&self) -> Result<Arc<Client>, ApiError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let tls = ClientOptions { ca_file: self.access.ca_file.clone(), crt_file: None, key_file: None, verify: true };
        let server = Server { uri: self.access.server.clone(), proxy: None, tls, is_http2: false };
        let made = Arc::new(Client::new(&self.endpoint, &server)?);
        *client = Some(made.clone());
        Ok(made)
    }

    /// The file is read for each request: the kubelet replaces it before the token expires.
    async fn token(&self) -> Result<Option<HeaderValue>, ApiError> {
        let Some(path) = self.access.token_file.clone() else { return Ok(None) };
        let read = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || wattle_files::read(&path, MAX_TOKEN_BYTES)).await
        };
        let token = match read {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return Err(ApiError::Token { path, error }),
            Err(_) => return Err(ApiError::Token { path, error: io::Error::other("the thread panicked") }),
        };
        let text = [b"Bearer ", token.trim_ascii()].concat();
        let mut header = HeaderValue::from_bytes(&text).map_err(|_| ApiError::BadToken(path))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    async fn request(&self, target: &str) -> Result<Request<Bytes>, ApiError> {
        let mut parts = self.access.server.clone().into_parts();
        let address = |error: &dyn fmt::Display| ApiError::Address(error.to_string());
        parts.path_and_query = Some(target.parse().map_err(|error: hyper::http::uri::InvalidUri| address(&error))?);
        let uri = Uri::from_parts(parts).map_err(|error| address(&error))?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = self.token().await? {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        Ok(request)
    }

    /// Gets a list.
    pub(super) async fn get(&self, target: &str) -> Result<Vec<u8>, ApiError> {
        let request = self.request(target).await?;
        let client = self.client().await?;
        // The client's error names the option with the limit. The source has no such option, so this limit is the shorter one.
        let limits = Limits { timeout: 2 * TIMEOUT, timeout_option: "", max_response_bytes: MAX_LIST_BYTES };
        let sent = tokio::time::timeout(TIMEOUT, client.send(request, limits)).await;
        let response = sent.map_err(|_| ApiError::Silent(TIMEOUT))??;
        let body = response.body();
        if response.status != StatusCode::OK {
            return Err(ApiError::of_status(response.status.as_u16(), reason(body)));
        }
        if body.len() > MAX_LIST_BYTES {
            return Err(ApiError::ListTooLong(MAX_LIST_BYTES));
        }
        Ok(body.to_vec())
    }

    /// Begins a watch, and returns its body.
    pub(super) async fn open(&self, target: &str) -> Result<Incoming, ApiError> {
        let request = self.request(target).await?;
        let client = self.client().await?;
        let response =
            tokio::time::timeout(TIMEOUT, client.open(request)).await.map_err(|_| ApiError::Silent(TIMEOUT))??;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_REASON_BYTES).collect();
        let body = tokio::time::timeout(TIMEOUT, body).await.ok().and_then(Result::ok);
        Err(ApiError::of_status(status, reason(&body.map(|body| body.to_bytes()).unwrap_or_default())))
    }

    /// Why a body ended early.
    pub(super) fn broken(&self, error: &hyper::Error) -> ApiError {
        ApiError::Invalid(format!("the connection broke: {error}"))
    }
}
