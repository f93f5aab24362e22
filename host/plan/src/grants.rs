//! Grants of a pipeline, `[pipelines.NAME.grants]`, and the only table of their defaults.
//! `docs/LIMITS.md` documents it.
//!
//! A capability that is not listed here does not exist: a node that imports it does not start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Capabilities that the nodes of one pipeline may use. `None` or `false` means not granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    /// Writing to the agent's log.
    pub log: Option<LogGrant>,
    /// Custom metrics.
    pub metrics: Option<MetricsGrant>,
    /// Reading the time.
    pub clock: bool,
    /// Random bytes.
    pub random: bool,
    /// Facts about the machine and the agent.
    pub host: bool,
    /// Lookup tables from files.
    pub lookup: Option<LookupGrant>,
    /// A key-value store.
    pub kv: Option<KvGrant>,
    /// HTTP requests.
    pub http_client: Option<HttpGrant>,
    /// A memory of keys that were delivered.
    pub seen: Option<SeenGrant>,
}

impl Grants {
    /// All capabilities that need no settings from the operator. A pack that is checked or tested
    /// on its own gets these. Nodes remember as long as they ask for, since a test ends soon.
    pub fn of_tests() -> Self {
        Self {
            log: Some(LogGrant::default()),
            metrics: Some(MetricsGrant::default()),
            clock: true,
            random: true,
            host: true,
            lookup: Some(LookupGrant::default()),
            kv: Some(KvGrant::default()),
            http_client: Some(HttpGrant::default()),
            seen: Some(SeenGrant { max_age: SeenGrant::MAX_AGE, ..SeenGrant::default() }),
        }
    }

    /// The grants of the capabilities whose names are kept, and no others.
    #[must_use]
    pub fn only(&self, is_kept: impl Fn(&str) -> bool) -> Self {
        let Self { log, metrics, clock, random, host, lookup, kv, http_client, seen } = self.clone();
        Self {
            log: log.filter(|_| is_kept("log")),
            metrics: metrics.filter(|_| is_kept("metrics")),
            clock: clock && is_kept("clock"),
            random: random && is_kept("random"),
            host: host && is_kept("host"),
            lookup: lookup.filter(|_| is_kept("lookup")),
            kv: kv.filter(|_| is_kept("kv")),
            http_client: http_client.filter(|_| is_kept("http-client")),
            seen: seen.filter(|_| is_kept("seen")),
        }
    }

    /// Whether the capability with this name is granted.
    pub fn has(&self, capability: &str) -> bool {
        match capability {
            "log" => self.log.is_some(),
            "metrics" => self.metrics.is_some(),
            "clock" => self.clock,
            "random" => self.random,
            "host" => self.host,
            "lookup" => self.lookup.is_some(),
            "kv" => self.kv.is_some(),
            "http-client" => self.http_client.is_some(),
            "seen" => self.seen.is_some(),
            _ => false,
        }
    }
}

/// Severity of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Details for the author of the node.
    Debug,
    /// Information for operators.
    Info,
    /// Warnings that operators should look at.
    Warn,
    /// Errors.
    Error,
}

/// `log`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogGrant {
    /// Lowest severity that is logged.
    pub level: LogLevel,
    /// Log lines per second and node; further lines are counted and dropped.
    pub lines_per_second: u32,
}

impl Default for LogGrant {
    fn default() -> Self {
        Self { level: LogLevel::Info, lines_per_second: 100 }
    }
}

/// `metrics`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricsGrant {
    /// Maximum number of series of one node, each a name with labels; further series of a name
    /// share one series.
    pub max_series: u32,
}

impl Default for MetricsGrant {
    fn default() -> Self {
        Self { max_series: 100 }
    }
}

/// `lookup`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LookupGrant {
    /// Tables by the name that nodes use to open them.
    pub tables: BTreeMap<String, TableGrant>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableGrant {
    /// The file: CSV with a header, JSON (an array of objects, or one object per line), or a MaxMind DB.
    pub path: PathBuf,
    /// How keys are compared.
    pub kind: TableKind,
    /// Column with the keys. Default: `key`, or the first column. A MaxMind DB has none.
    pub key: Option<String>,
    /// Length and modification time of the file when the configuration was read. A changed file
    /// changes the plan, so that a reload swaps it in.
    pub stamp: (u64, u128),
}

impl TableGrant {
    /// Maximum size of a table file, in bytes.
    pub const MAX_BYTES: u64 = 1 << 30;
    /// Maximum number of rows.
    pub const MAX_ROWS: u32 = 10_000_000;
}

/// How keys of a table are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// As text, byte for byte.
    #[default]
    Exact,
    /// The keys are networks such as `10.0.0.0/8`, and lookups are by address; the longest matching
    /// prefix wins.
    Cidr,
    /// The file is a MaxMind DB, lookups are by address, and columns are paths into its records.
    Mmdb,
}

/// `kv`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KvGrant {
    /// Maximum bytes of keys and values of one node.
    pub max_bytes: u64,
    /// Maximum number of keys of one node.
    pub max_keys: u64,
    /// Whether keys and values survive the process.
    pub durable: bool,
}

impl Default for KvGrant {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_keys: 10_000, durable: false }
    }
}

/// `http-client`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpGrant {
    /// Allowed hosts, over HTTPS: `api.example.com` or `*.example.com`, with an optional port
    /// (default 443). The prefix `http://` allows plain HTTP to a host (default port 80).
    pub hosts: Vec<String>,
    /// Timeout of one request.
    pub timeout: Duration,
    /// Maximum size of a response body, in bytes.
    pub max_response_bytes: u64,
    /// Total time of all requests for one batch.
    pub time_per_batch: Duration,
    /// Maximum number of requests for one batch.
    pub requests_per_batch: u32,
    /// Whether hosts may resolve to loopback, private or link-local addresses.
    pub allow_private: bool,
}

impl Default for HttpGrant {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            timeout: Duration::from_secs(2),
            max_response_bytes: 1 << 20,
            time_per_batch: Duration::from_secs(2),
            requests_per_batch: 100,
            allow_private: false,
        }
    }
}

/// `seen`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeenGrant {
    /// Maximum number of claims of one node; the oldest ones beyond it are forgotten.
    pub max_keys: u64,
    /// Maximum age of a claim.
    pub max_age: Duration,
    /// Whether claims of delivered events survive the process.
    pub durable: bool,
}

impl SeenGrant {
    /// The largest `max_keys`. So many claims take about 4.5 GB.
    pub const MOST_KEYS: u64 = 100_000_000;
    /// The largest `max_age`.
    pub const MAX_AGE: Duration = Duration::from_hours(366 * 24);
}

impl Default for SeenGrant {
    /// An hour is six times the longest distance of duplicates that a trail of CloudTrail was seen to
    /// have. A million claims take 44 MB.
    fn default() -> Self {
        Self { max_keys: 1_000_000, max_age: Duration::from_hours(1), durable: false }
    }
}
