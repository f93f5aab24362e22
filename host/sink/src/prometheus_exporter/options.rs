//! Options of the sink `prometheus`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_listen::{AuthOptions, Credential, Tls, TlsOptions, check_address, check_path};
use wattle_options::{Flag, Number, OptionErrors, Period, Size};

use super::encoder::RecordEncoder;
use super::registry::Limits;
use crate::prometheus::Labels;

/// Protocols of the server over TLS, as ALPN names them.
const PROTOCOLS: &[&str] = &["http/1.1", "http/1.0"];

/// Options of the sink `prometheus`.
///
/// The sink listens, and clients such as Prometheus scrape the metric events that reached it. To send events to a server,
/// use `prometheus_remote_write`.
///
/// # Metrics
///
/// Each metric event updates a series, or several for a histogram or a summary. The name of the metric gets its unit and,
/// as a counter, `_total`; the attributes of the event become labels. `service.namespace` and `service.name` of the
/// resource become the label `job`, and `service.instance.id` becomes `instance`; an attribute of that name replaces them.
/// Prometheus renames both to `exported_job` and `exported_instance`, unless the scrape has `honor_labels`. Add other
/// fields with `labels`.
///
/// Of cumulative values, the one with the latest time is exposed. Changes (the temporality `delta`) are added up.
/// Exponential histograms become histograms with buckets, up to 160 on each side of zero, since native histograms exist in
/// protobuf only.
///
/// # When events are acknowledged
///
/// When a scrape can read their samples. The series are in memory: after a restart of the agent, a series is back with its
/// next event, and changes add up from zero, which Prometheus takes for a restart of the counter. A change that a source
/// sends again counts again. A reload keeps all series, unless it changes `address`, `default_namespace` or `labels`.
///
/// # Events that are rejected
///
/// Events that are not metrics, metrics whose numbers contradict each other, metrics that have the name of another one with
/// another type, decreasing changes of counters, and events beyond `max_series` or `max_bytes` go to `dead_letter`, or count
/// as rejected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:9598`.
    address: String,
    /// The only path that responds to scrapes, with `GET` and `HEAD`. Default: `/metrics`.
    path: String,
    /// What the names of all metrics begin with, followed by `_`. Default: none.
    default_namespace: Option<String>,
    /// Labels of all samples by their names, with fields of the event in braces, such as
    /// `{ cluster = "{{ resource.k8s.cluster }}" }`. They replace attributes of that name. An empty value is no label.
    /// Default: none.
    labels: BTreeMap<String, String>,
    /// How long a series without events stays. Must be longer than the interval of the events and of the scrapes.
    /// Default: `5m`.
    expire_after: Period,
    /// Maximum number of series, as Prometheus counts them: each bucket is one. Events with further ones are rejected.
    /// Default: 100000.
    max_series: Number<u64>,
    /// Maximum bytes of all series, which are about the bytes of a response before compression. Events with further ones
    /// are rejected. Default: `64MiB`.
    max_bytes: Size,
    /// Whether samples have the times of their events. With times, Prometheus does not mark a series as stale when it
    /// expires, and drops samples that are too old. Default: false.
    send_timestamps: Flag,
    /// Credentials that requests must have. Default: none; every request is accepted.
    auth: Option<AuthOptions>,
    /// TLS of all connections, with certificates of clients if `tls.ca_file` is set. Default: none; connections are not
    /// encrypted.
    tls: Option<TlsOptions>,
    /// Maximum number of connections. At the limit, a new connection replaces the one that was inactive for the longest
    /// time, if that is at least 1 s; it waits while all connections are busy. Default: 128.
    max_connections: Number<u64>,
    /// Maximum time that a connection stays open without a request, and maximum time for the head of a request.
    /// Default: `5m`.
    idle_timeout: Period,
    /// File for rejected events, one JSON object per line: `time`, `sink`, `status`, which is `null`, `reason`, and in
    /// `event` the samples as text with times in milliseconds, or the event if no sample could be made of it. Default:
    /// none; rejected events are counted and discarded.
    dead_letter: Option<PathBuf>,
}

/// Where a sink without the option `address` listens.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:9598";

impl Default for Options {
    fn default() -> Self {
        let minutes = Period(Duration::from_mins(5));
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            path: "/metrics".to_owned(),
            default_namespace: None,
            labels: BTreeMap::new(),
            expire_after: minutes,
            max_series: Number(100_000),
            max_bytes: Size(64 << 20),
            send_timestamps: Flag(false),
            auth: None,
            tls: None,
            max_connections: Number(128),
            idle_timeout: minutes,
            dead_letter: None,
        }
    }
}

/// Validated options.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) address: String,
    pub(super) path: String,
    /// The options that names and labels of series depend on.
    pub(super) identity: String,
    pub(super) limits: Limits,
    pub(super) send_timestamps: bool,
    pub(super) credential: Option<Credential>,
    pub(super) tls: Option<Tls>,
    pub(super) max_connections: usize,
    pub(super) idle_timeout: Duration,
    pub(super) dead_letter: Option<PathBuf>,
}

/// Validates options.
pub(super) fn check(options: Options, errors: &mut OptionErrors) -> Option<(RecordEncoder, Settings)> {
    check_address("address", &options.address, errors);
    check_path("path", &options.path, errors);
    let namespace = options.default_namespace.as_deref().unwrap_or_default();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if options.default_namespace.is_some()
        && (!namespace.bytes().all(is_name) || !namespace.starts_with(|first: char| first.is_ascii_alphabetic()))
    {
        errors.add("default_namespace", "must begin with a letter and have letters, digits and `_` only");
    }
    let labels = Labels::read("labels", &options.labels, errors);
    errors.not_zero("expire_after", options.expire_after);
    errors.not_zero("idle_timeout", options.idle_timeout);
    errors.at_least_one("max_series", options.max_series.0);
    errors.at_least_one("max_bytes", options.max_bytes.0);
    let max_connections = usize::try_from(options.max_connections.0).unwrap_or(usize::MAX);
    if !(1..=1 << 20).contains(&max_connections) {
        errors.add("max_connections", "must be at least 1 and at most 1048576");
    }
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        errors.add("dead_letter", "a path must not be empty");
    }
    let credential = options.auth.and_then(|auth| auth.check(errors));
    let tls = options.tls.and_then(|tls| tls.check(PROTOCOLS, errors));
    let settings = Settings {
        identity: serde_json::json!([namespace, options.labels]).to_string(),
        address: options.address,
        path: options.path,
        limits: Limits {
            max_series: usize::try_from(options.max_series.0).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(options.max_bytes.0).unwrap_or(usize::MAX),
            expire_after: options.expire_after.0,
        },
        send_timestamps: options.send_timestamps.0,
        credential,
        tls,
        max_connections,
        idle_timeout: options.idle_timeout.0,
        dead_letter: options.dead_letter,
    };
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}_") };
    Some((RecordEncoder { prefix, labels }, settings))
}
