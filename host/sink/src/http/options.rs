//! Options of the sink `http`, as written and as meant.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::group::Limits;
use super::proxy::{self, ProxyOptions};
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing};
use crate::options::{self, Count, Faults, OptionError, Size, Switch, Time};
use crate::secret::Secret;

/// Options of the sink `http`.
///
/// # What is tried again
///
/// An answer of 2xx acknowledges the events of the request. Tried again until it works, or `request.retry_attempts` are
/// used up: no answer (the far side cannot be reached, the connection breaks, no answer within `request.timeout`), and
/// the answers 408, 425, 429, 5xx; also 3xx (but 307 and 308 within the same server, which are followed) and all other 4xx
/// than those below (401, 403, 404, 405, 415 and so on), which
/// are logged as errors, since somebody has to mend the far side or the options. `Retry-After` is honoured up to 15
/// minutes. A request that is too large (413) is sent again in halves.
///
/// # What is not
///
/// 400, 409 and 422 say that the far side takes some or all of the events never, and so does 207, which says that it took
/// a part. The request is sent again in halves, down to the events that are refused alone: those go to `dead_letter` if
/// that is set, and count as rejected. Where a part was taken, events of it come twice. At most 1,000 requests go into the
/// search for one request; then all that are still in question are refused.
///
/// # Where the answer tells of each event
///
/// With `format = "bulk"` an answer of 2xx is read: each event has a status of its own in it, which means what is said
/// above. Those that were taken are acknowledged, those that are refused go to `dead_letter` each with its own reason,
/// and the others are sent again. An answer that cannot be read acknowledges nothing: the request is sent again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpOptions {
    /// Address of the server, such as `https://example.com/ingest`. User and password go to `auth`.
    uri: String,
    /// Method of the requests. Default: `POST`.
    #[serde(default = "default_method")]
    method: String,
    /// More headers of every request; they replace those that the sink sets itself. Default: none.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Credentials for the server. Default: none.
    auth: Option<AuthOptions>,
    /// Which servers to trust over `https`, and which certificate to show them.
    #[serde(default)]
    tls: TlsOptions,
    /// The proxy that requests go through: an address such as `http://user:password@proxy.example.com:3128`, or a table.
    /// Default: what the environment variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, as for curl.
    proxy: Option<ProxyOptions>,
    /// How many events go into a request.
    #[serde(default)]
    batch: BatchOptions,
    /// How to write an event. `framing` is not for this sink, see `format`; `minify` is on by default.
    #[serde(default)]
    encoding: EncodingOptions,
    /// How events stand in a request. `ndjson`: one line for each event. `array`: a JSON array of events; with codec `text` bodies stand in it
    /// as the codec `ndjson` writes them. `bulk`: what the `_bulk` API of Elasticsearch and OpenSearch takes, each
    /// event with `{"create":{}}` on a line before it; the index or data stream is in `uri`. Default: `ndjson`.
    #[serde(default)]
    format: Format,
    /// Compression of the bodies, with the header `content-encoding`: `none`, `gzip` or `zstd`. Default: `none`.
    #[serde(default)]
    compression: Compression,
    /// How requests are made and repeated.
    #[serde(default)]
    request: RequestOptions,
    /// File that takes refused events, one JSON object on a line for each: `time`, `sink`, `status`, `reason`, and the
    /// event as it was sent under `event`, or as base64 under `event_base64` if it is not UTF-8. Default: none; refused
    /// events are counted and given up.
    dead_letter: Option<PathBuf>,
}

fn default_method() -> String {
    "POST".to_owned()
}

/// Credentials for the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "lowercase", deny_unknown_fields)]
enum AuthOptions {
    /// User and password.
    Basic {
        /// Name of the user.
        user: String,
        /// The user's password, best a variable as in `${PASSWORD}`.
        password: Secret,
    },
    /// A token.
    Bearer {
        /// The token, best a variable as in `${TOKEN}`.
        token: Secret,
    },
}

/// Which servers to trust over `https`, and which certificate to show them. The files are read again when they change;
/// connections that are made afterwards use what they hold then.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// File with certificates (PEM) of authorities to trust in place of the system's. The certificate of the server itself
    /// will do as well. Default: the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the client certificate (PEM) for servers that want one, followed by the certificates of its authorities.
    /// Goes with `key_file`. Default: none.
    pub(crate) crt_file: Option<PathBuf>,
    /// File with the private key (PEM, without a passphrase) of the certificate in `crt_file`. Default: none.
    pub(crate) key_file: Option<PathBuf>,
    /// Whether the server's certificate is checked. `false` lets anyone in between read and change what is sent, and is
    /// warned about in the log at every start. Default: true.
    pub(crate) verify: Option<Switch>,
}

/// How many events go into a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BatchOptions {
    /// Bytes before compression; a single event may be larger. Default: `1MiB`.
    max_bytes: Size,
    /// Number of events. Default: no limit.
    max_events: Option<Count>,
    /// How long an event waits for others to fill the request. Default: `1s`.
    timeout: Time,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_bytes: Size(1 << 20), max_events: None, timeout: Time(Duration::from_secs(1)) }
    }
}

/// How requests are made and repeated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RequestOptions {
    /// How long a request may take, answer included. Default: `30s`.
    timeout: Time,
    /// How many requests run at the same time. Default: 4. Events arrive in order only with 1.
    concurrency: Count,
    /// Upper bound of the wait before the first repetition; it doubles with each further one. The wait is random below
    /// that. Default: `1s`.
    retry_initial_backoff: Time,
    /// Where the bound stops doubling. Default: `30s`.
    retry_max_backoff: Time,
    /// How often a request is repeated before its events count as lost. Source `http` then answers 503. Default: no limit.
    retry_attempts: Option<Count>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            timeout: Time(Duration::from_secs(30)),
            concurrency: Count(4),
            retry_initial_backoff: Time(Duration::from_secs(1)),
            retry_max_backoff: Time(Duration::from_secs(30)),
            retry_attempts: None,
        }
    }
}

/// How events stand in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One line each.
    #[default]
    Ndjson,
    /// Elements of a JSON array.
    Array,
    /// Lines of Elasticsearch's bulk API.
    Bulk,
}

/// What the half that sends has to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) uri: Uri,
    pub(crate) method: Method,
    /// Every header of a request but its length; those that hold secrets are marked, so that nobody prints them.
    pub(crate) headers: HeaderMap,
    pub(crate) tls: TlsOptions,
    pub(super) proxy: Option<ProxyOptions>,
    pub(crate) limits: Limits,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) retry_initial_backoff: Duration,
    pub(crate) retry_max_backoff: Duration,
    pub(crate) retry_attempts: Option<usize>,
    pub(crate) dead_letter: Option<PathBuf>,
}

/// The schema of the options.
pub(crate) fn schema() -> Value {
    options::schema_of::<HttpOptions>()
}

/// The files that options name and the sink reads.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    let tls = options.get("tls").and_then(|tls| TlsOptions::deserialize(tls).ok());
    tls.iter().flat_map(TlsOptions::files).cloned().collect()
}

/// Validates options.
pub(crate) fn read(options: &Value) -> Result<(Encoding, Settings), Vec<OptionError>> {
    let options: HttpOptions = options::read(options)?;
    let mut faults = Faults::default();
    let uri = read_uri(&options.uri).map_err(|message| faults.add("uri", message)).ok();
    let method = Method::from_bytes(options.method.as_bytes());
    let method = method.map_err(|_| faults.add("method", format!("`{}` is no method of HTTP", options.method))).ok();
    let headers = read_headers(&options, &mut faults);
    if options.encoding.framing.is_some() {
        faults.add("encoding.framing", "is not for this sink; `format` says how events stand in a request");
    }
    faults.at_least_one("batch.max_bytes", options.batch.max_bytes.0);
    faults.at_least_one("batch.max_events", options.batch.max_events.map_or(1, |count| count.0 as u64));
    faults.at_least_one("request.concurrency", options.request.concurrency.0 as u64);
    if options.request.timeout.0.is_zero() {
        faults.add("request.timeout", "must be more than no time at all");
    }
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        faults.add("dead_letter", "a path must not be empty");
    }
    if let Some(proxy) = &options.proxy {
        proxy::check(proxy, |path, message| faults.add(path, message));
    }
    match (&options.tls.crt_file, &options.tls.key_file) {
        (Some(_), None) => faults.add("tls.crt_file", "needs the certificate's private key; set `tls.key_file`"),
        (None, Some(_)) => faults.add("tls.key_file", "needs the certificate of the key; set `tls.crt_file`"),
        _ => {}
    }
    let array = options.format == Format::Array;
    let encoding = Encoding {
        framing: if array { Framing::None } else { Framing::Newline },
        minify: options.encoding.minify.is_none_or(|minify| minify.0),
        values: options.format != Format::Ndjson,
        ends: true,
        ..Encoding::new(&options.encoding)
    };
    let request = &options.request;
    let settings = uri.zip(method).map(|(uri, method)| Settings {
        uri,
        method,
        headers,
        tls: options.tls,
        proxy: options.proxy,
        limits: Limits {
            max_bytes: usize::try_from(options.batch.max_bytes.0).unwrap_or(usize::MAX),
            max_events: options.batch.max_events.map_or(usize::MAX, |count| count.0),
            timeout: options.batch.timeout.0,
        },
        format: options.format,
        compression: options.compression,
        timeout: request.timeout.0,
        concurrency: request.concurrency.0,
        retry_initial_backoff: request.retry_initial_backoff.0,
        retry_max_backoff: request.retry_max_backoff.0,
        retry_attempts: request.retry_attempts.map(|count| count.0),
        dead_letter: options.dead_letter,
    });
    faults.finish(settings.map(|settings| (encoding, settings)))
}

/// Reads the address; messages do not repeat it, since it may hold a password.
fn read_uri(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("is no address: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("must begin with `http://` or `https://` and the name of a host".to_owned());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not hold user and password; use `auth`".to_owned());
    }
    Ok(uri)
}

fn read_headers(options: &HttpOptions, faults: &mut Faults) -> HeaderMap {
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
                faults.add("auth.user", "must not hold a colon");
                return headers;
            }
            AuthOptions::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal());
                ("auth", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
            }
            AuthOptions::Bearer { token } => ("auth.token", format!("Bearer {}", token.reveal())),
        };
        match HeaderValue::from_str(&value) {
            Ok(value) => drop(headers.insert(AUTHORIZATION, hidden(value))),
            Err(_) => faults.add(path, "holds characters that a header cannot hold, such as a line break"),
        }
    }
    for (name, value) in &options.headers {
        let path = format!("headers.{name}");
        let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.reveal()));
        match (name, value) {
            (Ok(name), Ok(value)) => drop(headers.insert(name, hidden(value))),
            (Err(_), _) => faults.add(&path, "is no name of a header"),
            (_, Err(_)) => faults.add(&path, "its value holds characters that a header cannot hold"),
        }
    }
    headers
}

/// A header that nobody prints: those that people set may hold keys.
fn hidden(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_do_not_show() {
        for auth in [
            json!({"strategy": "basic", "user": "me", "password": "geheim"}),
            json!({"strategy": "bearer", "token": "geheim"}),
        ] {
            let options = json!({"uri": "http://h/", "auth": auth, "headers": {"x-api-key": "geheim"}});
            let raw: HttpOptions = options::read(&options).unwrap();
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
    fn own_headers_replace_those_of_the_sink() {
        let (_, settings) = read(&json!({"uri": "http://h/", "headers": {"Content-Type": "text/plain"}})).unwrap();
        assert_eq!(settings.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["text/plain"]);
    }
}
