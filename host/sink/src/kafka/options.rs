//! Options of the sink `kafka`: as written, and validated.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_batch::FieldPath;
use wattle_kafka::krafka::Compression;
use wattle_kafka::{Connection, ConnectionOptions, SaslOptions, TlsOptions, check_topic};
use wattle_options::{OptionError, OptionErrors, Period, Size};

use super::encoder::MessageEncoder;
use crate::encode::{Encoding, EncodingOptions, Framing, schema_without_parquet};
use crate::path_template::Template;

/// Options of the sink `kafka`.
///
/// # When events are acknowledged
///
/// When all replicas in sync have the message (`acks = all`). The producer is idempotent: what it repeats after an error
/// is in the topic once. Events that a source offers again, after a crash, are in the topic again.
///
/// # Order
///
/// Messages with the same key go to the same partition, as with the Java client, and stay in order. Messages without a key
/// fill one partition after another.
///
/// # Errors that are retried
///
/// The sink retries until the brokers have the events: if no broker can be reached, a leader is elected or replicas are
/// missing, and also while the credentials or the permissions are wrong or the topic does not exist; these are logged as
/// errors, because an operator must fix them. Meanwhile events of other topics wait, too.
///
/// # Messages that are rejected
///
/// If the brokers reject a message for good, because it is larger than `max.message.bytes` of its topic or violates a
/// policy, it goes to `dead_letter` if that is set, and counts as rejected. The other messages are delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KafkaOptions {
    /// Addresses of brokers, each a host name and a port, separated by commas, such as `kafka-1:9092,kafka-2:9092`. The
    /// sink finds the other brokers of the cluster by them.
    bootstrap_servers: String,
    /// Name of the topic. `{{ attributes.x }}` and similar are replaced by fields of the event, and `%Y-%m-%d` and similar
    /// directives by its time in UTC. In a value, characters other than letters, digits, `.`, `_` and `-` become `_`, and so
    /// does a value that is empty or missing. Values are cut to 80 bytes, names of topics to 249.
    topic: String,
    /// Field with the key of the message, such as `attributes.user`. An event without it has no key. Values that are no
    /// strings are written as JSON; of `{"bytesValue": "<base64>"}`, the bytes are. Default: none.
    key_field: Option<String>,
    /// Field with the headers of the message, such as `attributes.kafka.headers`: an object whose values are as in
    /// `key_field`, `null` for a header without a value, or lists of them for headers that occur more than once.
    /// Default: none.
    headers_key: Option<String>,
    /// How to write an event. Each event is one message, so `framing` has no effect.
    #[serde(default)]
    encoding: EncodingOptions,
    /// Compression of batches: `none`, `gzip`, `snappy` or `lz4`. Default: `none`.
    #[serde(default)]
    compression: CompressionOption,
    /// When a batch is sent.
    #[serde(default)]
    batch: BatchOptions,
    /// Maximum bytes of events that wait for the brokers. Beyond it, the sink takes no more events. Default: `32MiB`.
    max_in_flight_bytes: Option<Size>,
    /// Time limit of a request, `1s` to `10m`. Default: `30s`.
    request_timeout: Option<Period>,
    /// File for rejected events, one JSON object per line: `time`, `sink`, `status`, which is `null`, `reason`, and the value
    /// of the message in `event`, or as base64 in `event_base64` if it is not UTF-8. Default: none; rejected events are
    /// counted and discarded.
    dead_letter: Option<PathBuf>,
    /// Credentials for the brokers. Default: none.
    #[serde(default)]
    sasl: SaslOptions,
    /// TLS of all connections, also as an empty table: trusted brokers, and the client certificate. `tls.ca_file` must
    /// contain an authority, not the certificate of a broker itself. Default: none; connections are not encrypted.
    tls: Option<TlsOptions>,
}

/// Compression of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CompressionOption {
    /// No compression.
    #[default]
    None,
    /// Gzip, at the default level.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
}

/// When a batch for a partition is sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BatchOptions {
    /// Maximum bytes of a batch before compression. A single event may be larger. Brokers refuse batches of more than
    /// `max.message.bytes`, 1 MiB by default; the sink sends those again in halves. Default: `512KiB`.
    max_bytes: Size,
    /// Maximum time that an event waits for others, at most `1m`. Default: `100ms`.
    #[serde(alias = "timeout_secs")]
    timeout: Period,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_bytes: Size(512 << 10), timeout: Period(Duration::from_millis(100)) }
    }
}

/// Validated options of the sending half.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) connection: Connection,
    pub(super) compression: Compression,
    pub(super) batch_bytes: usize,
    pub(super) batch_timeout: Duration,
    pub(super) max_in_flight_bytes: usize,
    pub(super) request_timeout: Duration,
    pub(super) dead_letter: Option<PathBuf>,
}

/// Validated options of both halves.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) encoder: MessageEncoder,
    pub(super) settings: Settings,
}

/// The JSON schema of the options.
pub(super) fn schema() -> Value {
    schema_without_parquet::<KafkaOptions>()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(super) fn read(options: &Value) -> Result<Checked, Vec<OptionError>> {
    wattle_options::read(options, validate)
}

fn validate(options: KafkaOptions, errors: &mut OptionErrors) -> Option<Checked> {
    let KafkaOptions { bootstrap_servers, sasl, tls, batch, .. } = &options;
    let connection = ConnectionOptions { bootstrap_servers, sasl, tls: tls.as_ref() }.check(errors);
    let template = errors.check("topic", Template::parse(&options.topic));
    if let Some(topic) = template.as_ref().and_then(Template::literal) {
        errors.check("topic", check_topic(topic));
    }
    let mut field =
        |name: &str, text: &Option<String>| text.as_deref().and_then(|text| errors.check(name, FieldPath::parse(text)));
    let (key, headers) = (field("key_field", &options.key_field), field("headers_key", &options.headers_key));
    if options.encoding.framing.is_some() {
        errors.add("encoding.framing", "is not an option of this sink, since each event is one message; remove it");
    }
    errors.at_least_one("batch.max_bytes", batch.max_bytes.0);
    if batch.timeout.0 > Duration::from_mins(1) {
        errors.add("batch.timeout", "must be at most `1m`");
    }
    let max_in_flight_bytes = options.max_in_flight_bytes.map_or(32 << 20, |size| size.0);
    if max_in_flight_bytes < batch.max_bytes.0 {
        errors.add("max_in_flight_bytes", "must be at least `batch.max_bytes`, or no batch would become as large");
    }
    let request_timeout = options.request_timeout.map_or(Duration::from_secs(30), |given| given.0);
    if !(Duration::from_secs(1)..=Duration::from_mins(10)).contains(&request_timeout) {
        errors.add("request_timeout", "must be between `1s` and `10m`");
    }
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        errors.add("dead_letter", "a path must not be empty");
    }
    let mut encoding = Encoding::new(&options.encoding, errors);
    encoding.framing = Framing::None;
    encoding.minify = options.encoding.minify.is_some_and(|minify| minify.0);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let settings = Settings {
        connection: connection?,
        compression: match options.compression {
            CompressionOption::None => Compression::None,
            CompressionOption::Gzip => Compression::Gzip,
            CompressionOption::Snappy => Compression::Snappy,
            CompressionOption::Lz4 => Compression::Lz4,
        },
        batch_bytes: bytes(options.batch.max_bytes.0),
        batch_timeout: options.batch.timeout.0,
        max_in_flight_bytes: bytes(max_in_flight_bytes),
        request_timeout,
        dead_letter: options.dead_letter,
    };
    Some(Checked { encoder: MessageEncoder { encoding, topic: template?, key, headers }, settings })
}
