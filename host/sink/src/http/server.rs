//! Options that all destinations over HTTP have: as written, and validated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use wattle_http_client::{ProxyOptions, check_proxy};
use wattle_options::{Number, OptionErrors, Period, Secret, Size};
use wattle_tls::{ClientOptions, TlsOptions};

use super::destination::Destination;
use crate::batcher::BatchLimits;
use crate::compress::Compression;

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
    /// Maximum number of concurrent requests, or `adaptive`: as many as the server takes without slowing down. Events
    /// arrive in order only with 1. Default: 4; 1 for `loki` and `prometheus_remote_write`.
    concurrency: Option<ConcurrencyOption>,
    /// Bounds of `concurrency = "adaptive"`.
    adaptive_concurrency: AdaptiveOptions,
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
            concurrency: None,
            adaptive_concurrency: AdaptiveOptions::default(),
            retry_initial_backoff: Period(Duration::from_secs(1)),
            retry_max_backoff: Period(Duration::from_secs(30)),
            retry_attempts: None,
        }
    }
}

/// A number of concurrent requests, or `adaptive`.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(untagged)]
enum ConcurrencyOption {
    /// This number of requests.
    Number(Number<usize>),
    /// As many as the server takes.
    Word(Adaptive),
}

/// As many as the server takes without slowing down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Adaptive {
    /// As many as the server takes without slowing down: the number grows by one while responses stay as fast as before, and
    /// falls by a tenth when the server turns requests away or becomes slower.
    Adaptive,
}

impl<'de> Deserialize<'de> for ConcurrencyOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        match Value::deserialize(deserializer)? {
            Value::String(word) if word == "adaptive" => Ok(Self::Word(Adaptive::Adaptive)),
            value => Number::deserialize(value)
                .map(Self::Number)
                .map_err(|error| D::Error::custom(format!("{error}, or `adaptive`"))),
        }
    }
}

/// Bounds of an adaptive number of requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdaptiveOptions {
    /// Number at the start. Default: 1.
    initial_concurrency: Number<usize>,
    /// Maximum number. Each request holds up to `batch.max_bytes` in memory. Default: 32.
    max_concurrency_limit: Number<usize>,
}

impl Default for AdaptiveOptions {
    fn default() -> Self {
        Self { initial_concurrency: Number(1), max_concurrency_limit: Number(32) }
    }
}

/// How many requests run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(usize),
    Adaptive { initial: usize, max: usize },
}

/// Validated options of the sending half.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) uri: Uri,
    /// The option that has the address, for messages.
    pub(super) address_option: &'static str,
    pub(super) method: Method,
    /// Every header of a request except its length. Headers with secrets are marked as sensitive, so that `Debug` hides them.
    pub(super) headers: HeaderMap,
    pub(super) tls: ClientOptions,
    pub(super) proxy: Option<ProxyOptions>,
    pub(super) limits: BatchLimits,
    pub(super) destination: Arc<dyn Destination>,
    /// Whether connections use HTTP/2 without negotiation.
    pub(super) is_http2: bool,
    pub(super) compression: Compression,
    pub(super) timeout: Duration,
    pub(super) concurrency: Concurrency,
    /// Maximum bytes of accepted requests that wait for a confirmation.
    pub(super) max_unconfirmed_bytes: usize,
    pub(super) retry_initial_backoff: Duration,
    pub(super) retry_max_backoff: Duration,
    pub(super) retry_attempts: Option<usize>,
    pub(super) dead_letter: Option<PathBuf>,
}

/// The options that all destinations have, from those of a sink.
pub(super) struct ServerOptions {
    /// The option that has the address of the server, and the address.
    pub(super) address: (&'static str, String),
    /// Path below the address, such as `/_bulk`; may be empty.
    pub(super) path: Cow<'static, str>,
    pub(super) method: String,
    pub(super) content_type: &'static str,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) auth: Option<AuthOptions>,
    pub(super) tls: TlsOptions,
    pub(super) proxy: Option<ProxyOptions>,
    pub(super) batch: BatchOptions,
    pub(super) compression: Compression,
    pub(super) request: RequestOptions,
    /// Number of concurrent requests without an option; `None` for the common one.
    pub(super) concurrency: Option<usize>,
    pub(super) dead_letter: Option<PathBuf>,
}

/// Concurrent requests without an option.
const DEFAULT_CONCURRENCY: usize = 4;

impl ServerOptions {
    /// Checks the options. `None` if one of them is wrong and has no value to go on with; all errors are in `errors`.
    pub(super) fn validate(self, destination: Arc<dyn Destination>, errors: &mut OptionErrors) -> Option<Settings> {
        let (address_option, address) = &self.address;
        let uri = errors.check(address_option, parse_uri(address));
        let method = Method::from_bytes(self.method.as_bytes());
        let method = errors.check("method", method.map_err(|_| format!("`{}` is not an HTTP method", self.method)));
        let headers = self.read_headers(errors);
        errors.at_least_one("batch.max_bytes", self.batch.max_bytes.0);
        errors.at_least_one("batch.max_events", self.batch.max_events.map_or(1, |count| count.0 as u64));
        let concurrency = self.read_concurrency(errors);
        errors.not_zero("request.timeout", self.request.timeout);
        if self.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add("dead_letter", "a path must not be empty");
        }
        if let Some(proxy) = &self.proxy {
            check_proxy(proxy, errors);
        }
        let tls = self.tls.check(errors);
        let request = &self.request;
        let mut settings = Settings {
            uri: uri?,
            address_option,
            method: method?,
            headers,
            tls,
            proxy: self.proxy,
            limits: BatchLimits {
                max_bytes: usize::try_from(self.batch.max_bytes.0).unwrap_or(usize::MAX),
                max_events: self.batch.max_events.map_or(usize::MAX, |count| count.0),
                timeout: self.batch.timeout.0,
            },
            destination,
            is_http2: false,
            compression: self.compression,
            timeout: request.timeout.0,
            concurrency,
            max_unconfirmed_bytes: usize::MAX,
            retry_initial_backoff: request.retry_initial_backoff.0,
            retry_max_backoff: request.retry_max_backoff.0,
            retry_attempts: request.retry_attempts.map(|count| count.0),
            dead_letter: self.dead_letter,
        };
        if !self.path.is_empty() {
            settings.uri = settings.path_below(&self.path, errors)?;
        }
        Some(settings)
    }

    fn read_concurrency(&self, errors: &mut OptionErrors) -> Concurrency {
        let default = ConcurrencyOption::Number(Number(self.concurrency.unwrap_or(DEFAULT_CONCURRENCY)));
        let AdaptiveOptions { initial_concurrency, max_concurrency_limit } = &self.request.adaptive_concurrency;
        for (name, number) in
            [("initial_concurrency", initial_concurrency), ("max_concurrency_limit", max_concurrency_limit)]
        {
            errors.at_least_one(&format!("request.adaptive_concurrency.{name}"), number.0 as u64);
        }
        match self.request.concurrency.unwrap_or(default) {
            ConcurrencyOption::Number(number) => {
                errors.at_least_one("request.concurrency", number.0 as u64);
                Concurrency::Fixed(number.0)
            }
            ConcurrencyOption::Word(Adaptive::Adaptive) => {
                Concurrency::Adaptive { initial: initial_concurrency.0, max: max_concurrency_limit.0 }
            }
        }
    }

    fn read_headers(&self, errors: &mut OptionErrors) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("wattle/", env!("CARGO_PKG_VERSION"))));
        match self.compression {
            Compression::None => {}
            Compression::Gzip => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
            Compression::Zstd => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"))),
        }
        if let Some(auth) = &self.auth {
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
            insert_secret(&mut headers, AUTHORIZATION, path, &value, errors);
        }
        for (name, value) in &self.headers {
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
}

impl Settings {
    /// Sets the credentials, unless the options have another header `authorization`. `path` is the option that has them.
    pub(super) fn authorize(&mut self, path: &str, value: &str, errors: &mut OptionErrors) {
        self.set_secret(AUTHORIZATION, path, value, errors);
    }

    /// Sets a header with a secret, unless the options have another one of this name. `path` is the option that has it.
    pub(super) fn set_secret(&mut self, name: HeaderName, path: &str, value: &str, errors: &mut OptionErrors) {
        if !self.headers.contains_key(&name) {
            insert_secret(&mut self.headers, name, path, value, errors);
        }
    }

    /// The address with a path below its own.
    pub(super) fn path_below(&self, path: &str, errors: &mut OptionErrors) -> Option<Uri> {
        errors.check(self.address_option, self.with_path(path).ok_or("is not a valid address"))
    }

    /// The address with more parameters, which are encoded already.
    pub(super) fn with_query(&self, query: &str) -> Uri {
        let with = || {
            let mut parts = self.uri.clone().into_parts();
            let separator = if self.uri.query().is_some() { '&' } else { '?' };
            let path = parts.path_and_query.as_ref().filter(|_| !query.is_empty())?;
            parts.path_and_query = Some(format!("{path}{separator}{query}").parse().ok()?);
            Uri::from_parts(parts).ok()
        };
        with().unwrap_or_else(|| self.uri.clone())
    }

    fn with_path(&self, path: &str) -> Option<Uri> {
        let mut parts = self.uri.clone().into_parts();
        let base = self.uri.path().trim_end_matches('/');
        let query = self.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        parts.path_and_query = Some(format!("{base}{path}{query}").parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, path: &str, value: &str, errors: &mut OptionErrors) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, sensitive(value))),
        Err(_) => errors.add(path, "contains characters that a header must not contain, such as a line break"),
    }
}

/// Marks a header as sensitive: headers from options may contain keys.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn concurrency_is_a_number_or_adaptive() {
        let read = |options: Value| {
            wattle_options::read(&options, |options: super::super::options::HttpOptions, errors| {
                super::super::options::validate(options, errors)
            })
            .map(|(_, settings)| settings.concurrency)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let with = |request: Value| read(json!({"uri": "http://h/", "request": request}));
        assert_eq!(with(json!({})), Ok(Concurrency::Fixed(4)));
        assert_eq!(with(json!({"concurrency": "7"})), Ok(Concurrency::Fixed(7)));
        assert_eq!(with(json!({"concurrency": "adaptive"})), Ok(Concurrency::Adaptive { initial: 1, max: 32 }));
        let bounds = json!({"initial_concurrency": 3, "max_concurrency_limit": "9"});
        assert_eq!(
            with(json!({"concurrency": "adaptive", "adaptive_concurrency": bounds})),
            Ok(Concurrency::Adaptive { initial: 3, max: 9 })
        );
        for (request, part) in [
            (json!({"concurrency": "many"}), "or `adaptive`"),
            (
                json!({"adaptive_concurrency": {"max_concurrency_limit": 0}}),
                "max_concurrency_limit`: must be at least 1",
            ),
        ] {
            let error = with(request).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
