//! What the operator lets the nodes of a pipeline use beyond their batch: `[pipelines.NAME.grants]`, with the one table of
//! defaults. `docs/LIMITS.md` shows it to operators.
//!
//! A capability that is not here is not served: a node that imports it does not start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What the nodes of one pipeline may use. Each `None` or `false` is a capability that they do not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    /// Lines in the agent's log.
    pub log: Option<LogGrant>,
    /// Metrics of their own.
    pub metrics: Option<MetricsGrant>,
    /// The time.
    pub clock: bool,
    /// Random bytes.
    pub random: bool,
    /// Tables from files.
    pub lookup: Option<LookupGrant>,
    /// A store of keys and values.
    pub kv: Option<KvGrant>,
    /// Requests over HTTP.
    pub http_client: Option<HttpGrant>,
}

impl Grants {
    /// Everything that needs nothing from the operator: what a pack is checked and tested with by itself.
    pub fn of_tests() -> Self {
        Self {
            log: Some(LogGrant::default()),
            metrics: Some(MetricsGrant::default()),
            clock: true,
            random: true,
            lookup: Some(LookupGrant::default()),
            kv: Some(KvGrant::default()),
            http_client: Some(HttpGrant::default()),
        }
    }

    /// Whether a capability is granted, by its name.
    pub fn has(&self, capability: &str) -> bool {
        match capability {
            "log" => self.log.is_some(),
            "metrics" => self.metrics.is_some(),
            "clock" => self.clock,
            "random" => self.random,
            "lookup" => self.lookup.is_some(),
            "kv" => self.kv.is_some(),
            "http-client" => self.http_client.is_some(),
            _ => false,
        }
    }
}

/// The least severe line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For the author of the node.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What went wrong.
    Error,
}

/// `log`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogGrant {
    /// Less severe lines are left out.
    pub level: LogLevel,
    /// Lines a second, for each node, that are written; more are counted and left out.
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
    /// Series, each a name with its labels, of one node; what comes after shares one series a name.
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
    /// Tables by the name that nodes open them by.
    pub tables: BTreeMap<String, TableGrant>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableGrant {
    /// The file: CSV with a header, or JSON: an array of objects.
    pub path: PathBuf,
    /// How keys are compared.
    pub kind: TableKind,
    /// The column of the keys; the first of a CSV file, `key` in JSON.
    pub key: Option<String>,
    /// Length and time of the file when the configuration was read: another file makes another plan, which is swapped in.
    pub stamp: (u64, u128),
}

impl TableGrant {
    /// Bytes of a file that are taken.
    pub const MAX_BYTES: u64 = 1 << 30;
    /// Rows that are taken.
    pub const MAX_ROWS: u32 = 10_000_000;
}

/// How keys of a table are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// As text, byte for byte.
    #[default]
    Exact,
    /// The keys of the table are networks such as `10.0.0.0/8`, what is looked up are addresses; the longest prefix wins.
    Cidr,
}

/// `kv`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KvGrant {
    /// Bytes of keys and values that one node keeps.
    pub max_bytes: u64,
    /// Keys that one node keeps.
    pub max_keys: u64,
}

impl Default for KvGrant {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_keys: 10_000 }
    }
}

/// `http-client`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpGrant {
    /// Hosts that may be asked, over HTTPS: `api.example.com`, `*.example.com`, with a port or without (443). With
    /// `http://` before it a host may be asked in clear (port 80).
    pub hosts: Vec<String>,
    /// Time of one request.
    pub timeout: Duration,
    /// Bytes of a response's body.
    pub max_response_bytes: u64,
    /// Time of all requests for one batch.
    pub time_per_batch: Duration,
    /// Requests for one batch.
    pub requests_per_batch: u32,
    /// Whether hosts may have addresses of loopback, private or link-local networks.
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
