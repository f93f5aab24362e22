//! Options of the sink `http`: as written, and validated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_options::{Number, OptionError, OptionErrors, Period, Secret, Size};
use wattle_tls::{ClientOptions, TlsOptions};

use super::otlp::Call;
use super::proxy::{self, ProxyOptions};
use crate::batcher::BatchLimits;
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, schema_without_parquet};

/// Options of the sink `http`.
///
/// # Requests that are retried
///
/// A response with status 2xx acknowledges the events of the request. The sink retries until it succeeds, or until
/// `request.retry_attempts` are used up, if there is no response (the server cannot be reached, the connection breaks, or
/// `request.timeout` passes), and for the statuses 408, 425, 429 and 5xx. It also retries 3xx (except 307 and 308 within
/// the same server, which it follows) and all 4xx other than those below (401, 403, 404, 405, 415 and so on); these are
/// logged as errors, because an operator must fix the server or the options. A `Retry-After` of up to 15 minutes is
/// respected. A request that is too large (413) is sent again in halves.
///
/// # Requests that are rejected
///
/// With 400, 409 and 422 the server rejects some or all events for good; with 207 it accepted a part. The sink sends the
/// request again in halves until the rejected events are alone. They go to `dead_letter` if it is set, and count as
/// rejected. If the server accepted a part, it receives some of those events twice. The search sends at most 1,000
/// requests for one request; after that, all events still in doubt are rejected.
///
/// # Responses with a status for each event
///
/// With `format = "bulk"` the sink reads the body of a 2xx response, which has a status for each event, with the meanings
/// above. Accepted events are acknowledged, rejected ones go to `dead_letter` with their own reasons, and the others are
/// sent again. A response that cannot be read acknowledges nothing, and the request is sent again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpOptions {
    /// Address of the server, such as `https://example.com/ingest`. Set user and password with `auth`.
    pub(super) uri: String,
    /// Method of the requests. Default: `POST`.
    #[serde(default = "default_method")]
    pub(super) method: String,
    /// Additional headers of every request. They replace headers that the sink sets. Default: none.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Secret>,
    /// Credentials for the server. Default: none.
    pub(super) auth: Option<AuthOptions>,
    /// Trusted servers, and the client certificate.
    #[serde(default)]
    pub(super) tls: TlsOptions,
    /// The proxy that requests go through: an address such as `http://user:password@proxy.example.com:3128`, or a table.
    /// Default: the environment variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as in curl.
    pub(super) proxy: Option<ProxyOptions>,
    /// When a request is full.
    #[serde(default)]
    pub(super) batch: BatchOptions,
    /// How to write an event. This sink has `format` instead of `framing`; `minify` is on by default.
    #[serde(default)]
    pub(super) encoding: EncodingOptions,
    /// Format of a request. Default: `ndjson`.
    #[serde(default)]
    pub(super) format: Format,
    /// Compression of the bodies, with the header `content-encoding`: `none`, `gzip` or `zstd`. Default: `none`.
    #[serde(default)]
    pub(super) compression: Compression,
    /// Timeout, concurrency and retries.
    #[serde(default)]
    pub(super) request: RequestOptions,
    /// File for rejected events, one JSON object per line: `time`, `sink`, `status`, `reason`, and the event as it was sent
    /// in `event`, or as base64 in `event_base64` if it is not UTF-8. Default: none; rejected events are counted and
    /// discarded.
    pub(super) dead_letter: Option<PathBuf>,
}

pub(super) fn default_method() -> String {
    "POST".to_owned()
}

/// Credentials for the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum AuthOptions {
    /// User and password.
    Basic {
        /// Name of the user.
        user: String,
        /// Password of the user. Use a variable, such as `${PASSWORD}`.
        password: Secret,
    },
    /// A token.
    Bearer {
        /// The token. Use a variable, such as `${TOKEN}`.
        token: Secret,
    },
}

/// When a request is full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BatchOptions {
    /// Maximum bytes before compression. A single event may be larger. Default: `1MiB`.
    max_bytes: Size,
    /// Maximum number of events. Default: no limit.
    max_events: Option<Number<usize>>,
    /// Maximum time that an event waits for others. Default: `1s`.
    timeout: Period,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_bytes: Size(1 << 20), max_events: None, timeout: Period(Duration::from_secs(1)) }
    }
}

/// Timeout, concurrency and retries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RequestOptions {
    /// Time limit of a request, including the response. Default: `30s`.
    timeout: Period,
    /// Maximum number of concurrent requests. Events arrive in order only with 1. Default: 4.
    concurrency: Number<usize>,
    /// Upper bound of the wait before the first retry. It doubles with each retry; the wait is random below it.
    /// Default: `1s`.
    retry_initial_backoff: Period,
    /// Maximum of that bound. Default: `30s`.
    retry_max_backoff: Period,
    /// Maximum number of retries of a request. After them its events count as failed, and a source `http` responds with
    /// 503. Default: no limit.
    retry_attempts: Option<Number<usize>>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            timeout: Period(Duration::from_secs(30)),
            concurrency: Number(4),
            retry_initial_backoff: Period(Duration::from_secs(1)),
            retry_max_backoff: Period(Duration::from_secs(30)),
            retry_attempts: None,
        }
    }
}

/// Format of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One line for each event.
    #[default]
    Ndjson,
    /// A JSON array of events; with codec `text`, bodies are written as by the codec `ndjson`.
    Array,
    /// The `_bulk` API of Elasticsearch and OpenSearch, with a line `{"create":{}}` before each event; `uri` has the index
    /// or data stream.
    Bulk,
}

/// Validated options of the sending half.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) uri: Uri,
    pub(crate) method: Method,
    /// Every header of a request except its length. Headers with secrets are marked as sensitive, so that `Debug` hides them.
    pub(crate) headers: HeaderMap,
    pub(crate) tls: ClientOptions,
    pub(super) proxy: Option<ProxyOptions>,
    pub(crate) limits: BatchLimits,
    pub(crate) format: Format,
    /// Set if the requests are calls of OTLP.
    pub(super) otlp: Option<Call>,
    pub(crate) compression: Compression,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) retry_initial_backoff: Duration,
    pub(crate) retry_max_backoff: Duration,
    pub(crate) retry_attempts: Option<usize>,
    pub(crate) dead_letter: Option<PathBuf>,
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    schema_without_parquet::<HttpOptions>()
}

/// The files that options name and the sink reads.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    let tls = options.get("tls").and_then(|tls| TlsOptions::deserialize(tls).ok());
    tls.iter().flat_map(TlsOptions::files).collect()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(crate) fn read(options: &Value) -> Result<(Encoding, Settings), Vec<OptionError>> {
    wattle_options::read(options, validate)
}

pub(super) fn validate(options: HttpOptions, errors: &mut OptionErrors) -> Option<(Encoding, Settings)> {
    let uri = errors.check("uri", parse_uri(&options.uri));
    let method = Method::from_bytes(options.method.as_bytes());
    let method = errors.check("method", method.map_err(|_| format!("`{}` is not an HTTP method", options.method)));
    let headers = read_headers(&options, errors);
    if options.encoding.framing.is_some() {
        errors.add("encoding.framing", "is not an option of this sink; use `format`");
    }
    errors.at_least_one("batch.max_bytes", options.batch.max_bytes.0);
    errors.at_least_one("batch.max_events", options.batch.max_events.map_or(1, |count| count.0 as u64));
    errors.at_least_one("request.concurrency", options.request.concurrency.0 as u64);
    errors.not_zero("request.timeout", options.request.timeout);
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        errors.add("dead_letter", "a path must not be empty");
    }
    if let Some(proxy) = &options.proxy {
        proxy::check(proxy, errors);
    }
    let tls = options.tls.check(errors);
    let array = options.format == Format::Array;
    let mut encoding = Encoding::new(&options.encoding, errors);
    encoding.framing = if array { Framing::None } else { Framing::Newline };
    encoding.minify = options.encoding.minify.is_none_or(|minify| minify.0);
    encoding.values = options.format != Format::Ndjson;
    encoding.ends = true;
    let request = &options.request;
    let settings = Settings {
        uri: uri?,
        method: method?,
        headers,
        tls,
        proxy: options.proxy,
        limits: BatchLimits {
            max_bytes: usize::try_from(options.batch.max_bytes.0).unwrap_or(usize::MAX),
            max_events: options.batch.max_events.map_or(usize::MAX, |count| count.0),
            timeout: options.batch.timeout.0,
        },
        format: options.format,
        otlp: None,
        compression: options.compression,
        timeout: request.timeout.0,
        concurrency: request.concurrency.0,
        retry_initial_backoff: request.retry_initial_backoff.0,
        retry_max_backoff: request.retry_max_backoff.0,
        retry_attempts: request.retry_attempts.map(|count| count.0),
        dead_letter: options.dead_letter,
    };
    Some((encoding, settings))
}

/// Why a text is not the address of a server. The texts do not repeat the address, which may contain a password.
#[derive(Debug, thiserror::Error)]
enum UriError {
    #[error("is not a valid address; write it as `https://example.com/ingest`")]
    Invalid,
    #[error("must begin with `http://` or `https://` and a host name")]
    NotHttp,
    #[error("must not contain a user and a password; use `auth`")]
    Credentials,
}

fn parse_uri(text: &str) -> Result<Uri, UriError> {
    let uri: Uri = text.parse().map_err(|_| UriError::Invalid)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(UriError::NotHttp);
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(UriError::Credentials);
    }
    Ok(uri)
}

fn read_headers(options: &HttpOptions, errors: &mut OptionErrors) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let kind = match options.format {
        Format::Ndjson | Format::Bulk => "application/x-ndjson",
        Format::Array => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("wattle/", env!("CARGO_PKG_VERSION"))));
    match options.compression {
        Compression::None => {}
        Compression::Gzip => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
        Compression::Zstd => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"))),
    }
    if let Some(auth) = &options.auth {
        let (path, value) = match auth {
            AuthOptions::Basic { user, .. } if user.contains(':') => {
                errors.add("auth.user", "must not contain a colon");
                return headers;
            }
            AuthOptions::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal());
                ("auth", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
            }
            AuthOptions::Bearer { token } => ("auth.token", format!("Bearer {}", token.reveal())),
        };
        match HeaderValue::from_str(&value) {
            Ok(value) => drop(headers.insert(AUTHORIZATION, sensitive(value))),
            Err(_) => errors.add(path, "contains characters that a header must not contain, such as a line break"),
        }
    }
    for (name, value) in &options.headers {
        let path = format!("headers.{name}");
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.reveal()));
        match (name, value) {
            (Ok(name), Ok(value)) => drop(headers.insert(name, sensitive(value))),
            (Err(_), _) => errors.add(&path, "is not a valid header name"),
            (_, Err(_)) => errors.add(&path, "the value contains characters that a header must not contain"),
        }
    }
    headers
}

/// Marks a header as sensitive: headers from options may contain keys.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_never_printed() {
        for auth in [
            json!({"strategy": "basic", "user": "me", "password": "geheim"}),
            json!({"strategy": "bearer", "token": "geheim"}),
        ] {
            let options = json!({"uri": "http://h/", "auth": auth, "headers": {"x-api-key": "geheim"}});
            let raw = wattle_options::read(&options, |raw: HttpOptions, _| Some(raw)).unwrap();
            let (_, settings) = read(&options).unwrap();
            let shown = format!("{raw:?} {settings:?}");
            assert!(!shown.contains("geheim"), "{shown}");
            assert!(!shown.contains(&base64::engine::general_purpose::STANDARD.encode("me:geheim")), "{shown}");
            assert!(settings.headers.get("authorization").is_some());
        }
        for (auth, part) in [
            (json!({"strategy": "bearer", "token": "4711\n"}), "auth.token"),
            (json!({"strategy": "bearer", "token": 4711}), "must be a string"),
            (json!({"strategy": "basic", "user": "u", "password": 4711}), "must be a string"),
        ] {
            let error = format!("{:?}", read(&json!({"uri": "http://h/", "auth": auth})).unwrap_err());
            assert!(error.contains(part) && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn headers_of_the_options_replace_those_of_the_sink() {
        let (_, settings) = read(&json!({"uri": "http://h/", "headers": {"Content-Type": "text/plain"}})).unwrap();
        assert_eq!(settings.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["text/plain"]);
    }
}
