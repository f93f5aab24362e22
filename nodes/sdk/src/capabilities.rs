//! Capabilities: what a node may request from the agent in addition to its batch.
//!
//! Each module is one interface of `wit/`, which has its rules. An artifact imports only the interfaces that its code
//! calls. The operator must grant them, and a pack must request them in `[capabilities.NAME]`.
//!
//! ```
//! use wattle_node::capabilities::{log, metrics};
//!
//! fn count(failed: u64) {
//!     let counter = metrics::counter("failed", &[("reason", "late")]);
//!     metrics::add(counter, failed);
//!     if failed > 0 {
//!         log::warn(&format!("{failed} events came late"));
//!     }
//! }
//! ```
//!
//! Natively, as in unit tests, there is no agent: log and metrics go nowhere, time and randomness are the machine's, keys
//! and values live in the thread, facts about the machine are those of [`wattle_cases::FACTS`] or of the case, tables are
//! those of the case or of [`testing::set_tables`](crate::testing::set_tables), and no request is sent. Cases of `wattle node test` run in the sandbox and can say what each of them answers.

use crate::column::{Column, ColumnWriter};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(not(target_arch = "wasm32"))]
use native as agent;
#[cfg(target_arch = "wasm32")]
mod sandbox;
#[cfg(target_arch = "wasm32")]
use sandbox as agent;

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Lines for the agent's log.
pub mod log {
    use super::agent;

    /// How severe a line is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Level {
        /// For the author of the node.
        Debug,
        /// Normal operation.
        Info,
        /// Degraded, but working.
        Warn,
        /// Data is lost, or the operator must act.
        Error,
    }

    /// Writes a line.
    pub fn write(level: Level, message: &str) {
        agent::log(level, message);
    }

    /// Writes a line of the level debug.
    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }

    /// Writes a line of the level info.
    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    /// Writes a line of the level warn.
    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    /// Writes a line of the level error.
    pub fn error(message: &str) {
        write(Level::Error, message);
    }
}

/// Metrics on the agent's `/metrics`.
pub mod metrics {
    use super::agent;

    /// A counter.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Counter(pub(super) u32);

    /// A gauge.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Gauge(pub(super) u32);

    /// A histogram.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Histogram(pub(super) u32);

    /// Returns the counter with this name and these labels.
    pub fn counter(name: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(agent::counter(name, labels))
    }

    /// Returns the gauge with this name and these labels.
    pub fn gauge(name: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(agent::gauge(name, labels))
    }

    /// Returns the histogram with this name, these labels and these upper bounds.
    pub fn histogram(name: &str, labels: &[(&str, &str)], bounds: &[f64]) -> Histogram {
        Histogram(agent::histogram(name, labels, bounds))
    }

    /// Adds to a counter.
    pub fn add(counter: Counter, amount: u64) {
        agent::add(counter.0, amount);
    }

    /// Sets a gauge.
    pub fn set(gauge: Gauge, value: f64) {
        agent::set(gauge.0, value);
    }

    /// Adds the values of a batch to a histogram.
    pub fn observe(histogram: Histogram, values: &[f64]) {
        agent::observe(histogram.0, values);
    }
}

/// The time.
pub mod clock {
    use super::agent;

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn now() -> i64 {
        agent::now()
    }

    /// Nanoseconds since an arbitrary moment; never goes backwards.
    pub fn monotonic() -> u64 {
        agent::monotonic()
    }
}

/// Randomness.
pub mod random {
    use super::agent;

    /// Returns this many random bytes.
    pub fn bytes(len: u32) -> Vec<u8> {
        agent::random(len)
    }

    /// A random number.
    pub fn number() -> u64 {
        let bytes = bytes(8);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// Facts about the machine and the agent, which never change.
pub mod host {
    use super::agent;

    /// Returns a fact, such as `host.name`; `None` if the machine does not have it. `wit/host.wit` has the names.
    pub fn fact(name: &str) -> Option<String> {
        agent::fact(name)
    }
}

/// Tables in files.
pub mod lookup {
    use super::{Column, ColumnWriter, agent};

    /// Opened columns of a table.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Table(pub(super) u32);

    /// Opens columns of a table, in `configure` only.
    ///
    /// # Errors
    ///
    /// The table or a column does not exist; the message lists those that exist.
    pub fn open(table: &str, columns: &[&str]) -> Result<Table, String> {
        agent::open(table, columns).map(Table)
    }

    /// Finds a row of the table for each key. Returns one column for each opened column.
    pub fn find(table: Table, keys: ColumnWriter) -> Vec<Column> {
        agent::find(table.0, keys)
    }
}

/// Keys and values that survive the instance.
pub mod kv {
    use std::time::Duration;

    use super::{Column, ColumnWriter, agent};

    /// The value of each key.
    pub fn get(keys: ColumnWriter) -> Column {
        agent::get(keys)
    }

    /// Sets the value of each key, without an end or for `ttl`.
    ///
    /// # Errors
    ///
    /// The values would exceed the quota.
    pub fn set(keys: ColumnWriter, values: ColumnWriter, ttl: Option<Duration>) -> Result<(), String> {
        agent::set_values(keys, values, ttl.map(super::milliseconds))
    }

    /// Adds to the number at each key, and returns the sums.
    ///
    /// # Errors
    ///
    /// A value is not a number, or the sums would exceed the quota.
    pub fn add(keys: ColumnWriter, amounts: &[i64]) -> Result<Vec<i64>, String> {
        agent::add_amounts(keys, amounts)
    }

    /// Removes keys.
    pub fn delete(keys: ColumnWriter) {
        agent::delete(keys);
    }
}

/// Keys that were delivered.
pub mod seen {
    use std::time::Duration;

    use super::{ColumnWriter, agent};

    /// Claims a key for each row of the batch, in `process` only. Returns for each row whether its key
    /// is new; a row without a key always is.
    pub fn claim(keys: ColumnWriter, ttl: Duration) -> Vec<bool> {
        agent::claim(keys, super::milliseconds(ttl))
    }
}

/// HTTP requests.
pub mod http {
    use super::agent;

    /// A request.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Request {
        /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
        pub method: String,
        /// With a granted host.
        pub url: String,
        /// Name and value.
        pub headers: Vec<(String, String)>,
        /// Empty for none.
        pub body: Vec<u8>,
    }

    impl Request {
        /// A `GET` request without headers and body.
        pub fn get(url: impl Into<String>) -> Self {
            Self { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
        }
    }

    /// A response, whatever its status.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Response {
        /// Status code.
        pub status: u16,
        /// Name and value.
        pub headers: Vec<(String, String)>,
        /// The body.
        pub body: Vec<u8>,
    }

    /// Why there is no response.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Failure {
        /// In kebab-case, such as `host-not-allowed`.
        pub code: String,
        /// A message for the operator.
        pub message: String,
    }

    /// Sends requests in parallel, and returns the responses in their order.
    pub fn send(requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
        agent::send(requests)
    }
}
