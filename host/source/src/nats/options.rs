//! The options of a `nats` source, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use wattle_nats::{Api, AuthOptions, Connection, ConnectionOptions, TlsOptions, Wildcards, check_name, check_subject};
use wattle_options::{Flag, Number, OptionErrors, Period, Size};

use crate::broker::format::Format;
use crate::frame::Framing;

/// Limits of `ack_wait`. With less, a slow network costs the lease of messages.
const MIN_ACK_WAIT: Duration = Duration::from_secs(1);
const MAX_ACK_WAIT: Duration = Duration::from_hours(1);

/// Default of `max_ack_pending`, also for consumers of several agents.
const DEFAULT_MAX_ACK_PENDING: u64 = 20_000;

/// Default of `max_in_flight`.
const DEFAULT_MAX_IN_FLIGHT: u64 = 10_000;

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Addresses of servers, such as `nats://nats-1:4222,nats://nats-2:4222`. `tls://` requires TLS. The source connects to one
    /// of them, and to another one if the connection breaks.
    url: String,
    /// Name of the connection, which the server shows. Default: `wattle`.
    connection_name: Option<String>,
    /// Whether to read a stream of JetStream. With `false`, the source subscribes to `subjects` without JetStream: messages are
    /// not acknowledged, and those that come while the source is not connected or its memory is full are lost.
    /// Default: true.
    jetstream: Option<Flag>,
    /// Name of the stream, which must exist, or the source waits for it. Required with JetStream.
    stream: Option<String>,
    /// Name of the durable pull consumer. Agents with the same consumer share its messages. If it does not exist, the source
    /// creates it with the next five options; an existing one is used as it is. Required with JetStream.
    consumer: Option<String>,
    /// With JetStream, which subjects of the stream a new consumer has. Without, the subjects to subscribe to. `*` stands for
    /// one token, and a last `>` for the rest. Default: all of the stream.
    #[serde(default)]
    subjects: Vec<String>,
    /// Where a new consumer begins: `all`, at the oldest message; `last`, at the newest; `last_per_subject`, at the newest of
    /// each subject; `new`, after the newest. Default: `all`.
    deliver_policy: Option<Policy>,
    /// How long a message of a new consumer may stay without a sign of life, `1s` to `1h`. The source sends one as long as it
    /// holds a message, so this is how long messages of an agent that was killed wait for another. Default: `30s`.
    ack_wait: Option<Period>,
    /// How many messages of a new consumer may be unacknowledged, in all agents together. Default: `20000`.
    max_ack_pending: Option<Number<u64>>,
    /// How often a message of a new consumer is delivered at most. After that, JetStream gives it up, with an advisory.
    /// Default: no limit.
    max_deliver: Option<Number<u64>>,
    /// Domain of JetStream, for servers behind a leaf node. Default: none.
    domain: Option<String>,
    /// Without JetStream: name of the queue group. Each message goes to one member of the group. Default: none; each
    /// subscriber gets each message.
    queue_group: Option<String>,
    /// Maximum number of messages that wait for delivery. The source asks for no more at this limit. Default: `10000`.
    max_in_flight: Option<Number<u64>>,
    /// Maximum bytes of events that wait for delivery. The source asks for no more at this limit; without JetStream, it drops
    /// and counts messages. Default: `64MiB`.
    max_in_flight_bytes: Option<Size>,
    /// Time limit of a request to the server, `1s` to `10m`. Default: `10s`.
    request_timeout: Option<Period>,
    /// How the bytes of a message become events. Default: `document`, each message is one event.
    framing: Option<Framing>,
    /// Maximum length of a line in bytes, unless `framing` is `document`. Longer lines are skipped, counted and logged.
    /// Default: `1MiB`.
    max_line_bytes: Option<Size>,
    /// Maximum length of an event in bytes. Longer events are skipped, counted and logged. Default: `64MiB`.
    max_event_bytes: Option<Size>,
    /// Credentials, of one kind. Default: none.
    #[serde(default)]
    auth: AuthOptions,
    /// TLS, also as an empty table: trusted servers, and the client certificate. Default: none; connections are encrypted only
    /// if the server or its address requires it, with the authorities of the system.
    tls: Option<TlsOptions>,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Policy {
    /// At the oldest message.
    #[default]
    All,
    /// At the newest message.
    Last,
    /// At the newest message of each subject.
    LastPerSubject,
    /// After the newest message.
    New,
}

/// A consumer of JetStream.
#[derive(Clone, Debug)]
pub(super) struct JetStream {
    pub(super) api: Api,
    pub(super) stream: String,
    pub(super) consumer: String,
    /// The configuration of a new consumer, in the words of the server.
    pub(super) config: Value,
}

/// Subjects without JetStream.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) subjects: Vec<String>,
    pub(super) queue_group: Option<String>,
}

/// What is read.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    JetStream(JetStream),
    Core(Subscription),
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) connection: Connection,
    pub(super) mode: Mode,
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) request_timeout: Duration,
    pub(super) format: Format,
}

impl Settings {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let Options { url, connection_name, auth, tls, .. } = &options;
        let connection =
            ConnectionOptions { url, connection_name: connection_name.as_deref(), auth, tls: tls.as_ref() };
        let connection = connection.check(errors);
        for (index, subject) in options.subjects.iter().enumerate() {
            errors.check(&format!("subjects[{index}]"), check_subject(subject, Wildcards::Allowed));
        }
        let is_jetstream = options.jetstream.is_none_or(|is_on| is_on.0);
        let mode = if is_jetstream { jetstream(&options, errors) } else { core(&options, errors) };
        let max_in_flight = options.max_in_flight.map_or(DEFAULT_MAX_IN_FLIGHT, |number| number.0);
        errors.at_least_one("max_in_flight", max_in_flight);
        let max_in_flight_bytes = options.max_in_flight_bytes.map_or(64 << 20, |size| size.0);
        errors.at_least_one("max_in_flight_bytes", max_in_flight_bytes);
        let request_timeout = options.request_timeout.map_or(Duration::from_secs(10), |given| given.0);
        if !(Duration::from_secs(1)..=Duration::from_mins(10)).contains(&request_timeout) {
            errors.add("request_timeout", "must be between `1s` and `10m`");
        }
        let max_event_bytes = options.max_event_bytes.unwrap_or(Size(64 << 20));
        let format = Format::new(options.framing, max_event_bytes, options.max_line_bytes, errors);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Some(Self {
            connection: connection?,
            mode: mode?,
            max_in_flight: size(max_in_flight),
            max_in_flight_bytes: size(max_in_flight_bytes),
            request_timeout,
            format,
        })
    }
}

fn jetstream(options: &Options, errors: &mut OptionErrors) -> Option<Mode> {
    if options.queue_group.is_some() {
        errors.add(
            "queue_group",
            "needs `jetstream = false`; with JetStream, agents with the same `consumer` share messages",
        );
    }
    let mut name = |option: &str, name: &Option<String>| match name {
        Some(name) => errors.check(option, check_name(name)).map(|()| name.clone()),
        None => {
            errors.add(option, "is missing; set it, or `jetstream = false` to subscribe to subjects without JetStream");
            None
        }
    };
    let (stream, consumer) = (name("stream", &options.stream), name("consumer", &options.consumer));
    if let Some(domain) = &options.domain {
        errors.check("domain", check_name(domain));
    }
    let ack_wait = options.ack_wait.map_or(Duration::from_secs(30), |given| given.0);
    if !(MIN_ACK_WAIT..=MAX_ACK_WAIT).contains(&ack_wait) {
        errors.add("ack_wait", "must be between `1s` and `1h`");
    }
    let max_ack_pending = options.max_ack_pending.map_or(DEFAULT_MAX_ACK_PENDING, |number| number.0);
    errors.at_least_one("max_ack_pending", max_ack_pending);
    let max_deliver = options.max_deliver.map(|number| number.0);
    errors.at_least_one("max_deliver", max_deliver.unwrap_or(1));
    let (stream, consumer) = (stream?, consumer?);
    let mut config = json!({
        "durable_name": consumer,
        "description": "made by Wattle",
        "deliver_policy": match options.deliver_policy.unwrap_or_default() {
            Policy::All => "all",
            Policy::Last => "last",
            Policy::LastPerSubject => "last_per_subject",
            Policy::New => "new",
        },
        "ack_policy": "explicit",
        "ack_wait": u64::try_from(ack_wait.as_nanos()).unwrap_or(u64::MAX),
        "max_deliver": max_deliver.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1),
        "max_ack_pending": max_ack_pending,
        "replay_policy": "instant",
    });
    // Servers before 2.10 know one filter only.
    match (&options.subjects[..], config.as_object_mut()) {
        ([], _) | (_, None) => {}
        ([subject], Some(config)) => _ = config.insert("filter_subject".to_owned(), subject.as_str().into()),
        (subjects, Some(config)) => _ = config.insert("filter_subjects".to_owned(), subjects.into()),
    }
    let api = Api::new(options.domain.as_deref());
    Some(Mode::JetStream(JetStream { api, stream, consumer, config }))
}

fn core(options: &Options, errors: &mut OptionErrors) -> Option<Mode> {
    for (name, is_set) in [
        ("stream", options.stream.is_some()),
        ("consumer", options.consumer.is_some()),
        ("deliver_policy", options.deliver_policy.is_some()),
        ("ack_wait", options.ack_wait.is_some()),
        ("max_ack_pending", options.max_ack_pending.is_some()),
        ("max_deliver", options.max_deliver.is_some()),
        ("domain", options.domain.is_some()),
    ] {
        if is_set {
            errors.add(name, "has no effect with `jetstream = false`; remove it");
        }
    }
    if options.subjects.is_empty() {
        errors.add("subjects", "names no subject, which `jetstream = false` needs");
    }
    if let Some(group) = &options.queue_group {
        errors.check("queue_group", check_subject(group, Wildcards::Forbidden));
    }
    Some(Mode::Core(Subscription { subjects: options.subjects.clone(), queue_group: options.queue_group.clone() }))
}
