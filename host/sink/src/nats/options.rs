//! Options of the sink `nats`: as written, and validated.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_batch::FieldPath;
use wattle_nats::{AuthOptions, Connection, ConnectionOptions, TlsOptions};
use wattle_options::{Flag, Number, OptionError, OptionErrors, Period, Size};

use super::encoder::{Ids, MessageEncoder};
use super::subject::Template;
use crate::encode::{Encoding, EncodingOptions, Framing, schema_without_parquet};

/// Default of `max_in_flight`. A server refuses messages for a stream beyond 10,000 that wait.
const DEFAULT_MAX_IN_FLIGHT: u64 = 4096;

/// Options of the sink `nats`.
///
/// # When events are acknowledged
///
/// When a stream of JetStream has confirmed the message. Each message has an id (`Nats-Msg-Id`), so what the sink sends again
/// after an error is in the stream once, as long as the stream remembers the id (`duplicate_window`, 2 minutes by default).
/// Events that a source offers again after a crash have new ids, unless `message_id` derives them from the events.
///
/// With `jetstream = false`, events are acknowledged when they are written to the connection: what the server or its
/// subscribers lose is lost.
///
/// # Order
///
/// Messages of a subject stay in order when the connection breaks: what is not confirmed is sent again, in order, before
/// anything new. If a stream refuses single messages for a while, because it is full, later ones can come before them.
///
/// # Errors that are retried
///
/// The sink retries until a stream has the events: if no server can be reached, JetStream has no leader or the stream is full,
/// and also while the credentials or the permissions are wrong or no stream takes the subject; these are logged as errors,
/// because an operator must fix them. Meanwhile events of other subjects wait, too.
///
/// # Messages that are rejected
///
/// A message that is larger than `max_payload` of the server or `max_msg_size` of its stream goes to `dead_letter` if that is
/// set, and counts as rejected. The other messages are delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NatsOptions {
    /// Addresses of servers, such as `nats://nats-1:4222,nats://nats-2:4222`. `tls://` requires TLS. The sink connects to one
    /// of them, and to another one if the connection breaks.
    url: String,
    /// Name of the connection, which the server shows. Default: `wattle`.
    connection_name: Option<String>,
    /// Subject of the messages. `{{ attributes.x }}` and similar are replaced by fields of the event. In a value, white space,
    /// control characters, `*` and `>` become `_`, and so does a value that is empty or missing; dots stay, so a value can
    /// have several tokens. A subject that begins with a value never begins with `$`. Subjects with values are cut to 512
    /// bytes.
    subject: String,
    /// Whether a stream of JetStream must confirm each message. Default: true.
    jetstream: Option<Flag>,
    /// Id of a message, with fields of the event, such as `{{ resource.source.stream }}-{{ attributes.nats.sequence }}`. Must
    /// be different for different events: a stream drops a message whose id it remembers. An event that lacks one of the
    /// fields, or whose id has more than 512 bytes, gets an id that the sink makes. Default: the sink makes all ids.
    message_id: Option<String>,
    /// Field with the headers of the message, such as `attributes.nats.headers`: an object whose values are strings, or lists
    /// for headers that occur more than once; other values are written as JSON. Names that begin with `Nats-` direct JetStream
    /// and are left out, and so are names that no header can have. Default: none.
    headers_key: Option<String>,
    /// How to write an event. Each event is one message, so `framing` has no effect.
    #[serde(default)]
    encoding: EncodingOptions,
    /// Maximum number of messages that wait for a confirmation. Default: `4096`.
    max_in_flight: Option<Number<u64>>,
    /// Maximum bytes of messages that wait for a confirmation. A single message may be larger. Default: `16MiB`.
    max_in_flight_bytes: Option<Size>,
    /// How long to wait for a connection to answer or a stream to confirm before a message is sent again, `1s` to `10m`.
    /// Default: `10s`.
    request_timeout: Option<Period>,
    /// File for rejected events, one JSON object per line: `time`, `sink`, `status`, which is `null`, `reason`, and the value
    /// of the message in `event`, or as base64 in `event_base64` if it is not UTF-8. Default: none; rejected events are
    /// counted and discarded.
    dead_letter: Option<PathBuf>,
    /// Credentials, of one kind. Default: none.
    #[serde(default)]
    auth: AuthOptions,
    /// TLS, also as an empty table: trusted servers, and the client certificate. Default: none; connections are encrypted only
    /// if the server or its address requires it, with the authorities of the system.
    tls: Option<TlsOptions>,
}

/// Validated options of the sending half.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) connection: Connection,
    pub(super) is_jetstream: bool,
    pub(super) max_in_flight: usize,
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
    schema_without_parquet::<NatsOptions>()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(super) fn read(options: &Value) -> Result<Checked, Vec<OptionError>> {
    wattle_options::read(options, validate)
}

fn validate(options: NatsOptions, errors: &mut OptionErrors) -> Option<Checked> {
    let NatsOptions { url, connection_name, auth, tls, .. } = &options;
    let connection = ConnectionOptions { url, connection_name: connection_name.as_deref(), auth, tls: tls.as_ref() };
    let connection = connection.check(errors);
    let subject = errors.check("subject", Template::of_subject(&options.subject));
    let is_jetstream = options.jetstream.is_none_or(|is_on| is_on.0);
    let id = options.message_id.as_deref();
    if id.is_some() && !is_jetstream {
        errors.add("message_id", "has no effect with `jetstream = false`; remove it");
    }
    let id = id.and_then(|text| errors.check("message_id", Template::of_id(text)));
    let headers = options.headers_key.as_deref();
    let headers = headers.and_then(|text| errors.check("headers_key", FieldPath::parse(text)));
    if options.encoding.framing.is_some() {
        errors.add("encoding.framing", "is not an option of this sink, since each event is one message; remove it");
    }
    let max_in_flight = options.max_in_flight.map_or(DEFAULT_MAX_IN_FLIGHT, |number| number.0);
    errors.at_least_one("max_in_flight", max_in_flight);
    let max_in_flight_bytes = options.max_in_flight_bytes.map_or(16 << 20, |size| size.0);
    errors.at_least_one("max_in_flight_bytes", max_in_flight_bytes);
    let request_timeout = options.request_timeout.map_or(Duration::from_secs(10), |given| given.0);
    if !(Duration::from_secs(1)..=Duration::from_mins(10)).contains(&request_timeout) {
        errors.add("request_timeout", "must be between `1s` and `10m`");
    }
    if options.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        errors.add("dead_letter", "a path must not be empty");
    }
    let mut encoding = Encoding::new(&options.encoding, errors);
    encoding.framing = Framing::None;
    encoding.minify = options.encoding.minify.is_some_and(|minify| minify.0);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let settings = Settings {
        connection: connection?,
        is_jetstream,
        max_in_flight: size(max_in_flight),
        max_in_flight_bytes: size(max_in_flight_bytes),
        request_timeout,
        dead_letter: options.dead_letter,
    };
    let ids = is_jetstream.then(Ids::new);
    Some(Checked { encoder: MessageEncoder { encoding, subject: subject?, id, ids, headers }, settings })
}
