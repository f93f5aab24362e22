//! The options of a `kafka` source, as written and as checked.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_kafka::krafka::consumer::{AutoOffsetReset, GroupProtocol};
use wattle_kafka::{Connection, ConnectionOptions, SaslOptions, TlsOptions, check_topic};
use wattle_options::{OptionErrors, Period, Size};

use crate::broker::format::Format;
use crate::frame::Framing;

/// Largest session timeout. Brokers allow 30 minutes unless they are configured otherwise.
const MAX_SESSION: Duration = Duration::from_mins(30);

/// Smallest session timeout, below which a slow network costs the membership.
const MIN_SESSION: Duration = Duration::from_secs(6);

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Addresses of brokers, each a host name and a port, separated by commas, such as `kafka-1:9092,kafka-2:9092`. The
    /// source finds the other brokers of the cluster by them.
    bootstrap_servers: String,
    /// Names of the topics to read. Patterns are not supported. A topic that does not exist is read when it does.
    topics: Vec<String>,
    /// Name of the consumer group. The members of a group share the partitions, and the group keeps the offsets.
    group_id: String,
    /// How the members of the group share the partitions: `classic`, or `consumer`, the protocol of KIP-848, which needs
    /// Kafka 4.0. Default: `classic`.
    #[serde(default)]
    group_protocol: Protocol,
    /// Where to begin in a partition for which the group has no offset: `earliest`, `latest`, or `none`, which waits
    /// until an offset is committed. If the group has an offset whose message was deleted from the topic, reading goes on
    /// at the oldest message, except with `none`, which waits; what is lost is logged and counted. With `latest`,
    /// partitions that appear while the source runs are read from their beginning. Default: `latest`.
    #[serde(default)]
    auto_offset_reset: Reset,
    /// After how long without a sign of life the group gives the partitions of a member to others, `6s` to `30m`.
    /// Default: `10s`.
    session_timeout: Option<Period>,
    /// How long the source waits for the delivery of events before their partition moves to another member. After that,
    /// the other member reads the undelivered ones again. Must be shorter than `session_timeout`.
    /// Default: half of `session_timeout`.
    drain_timeout: Option<Period>,
    /// Interval at which the offsets of delivered messages are committed. Default: `5s`.
    commit_interval: Option<Period>,
    /// How long a broker may hold a request while there are no new messages, at most `30s`. Default: `100ms`.
    fetch_wait_max: Option<Period>,
    /// Time limit of a request, `1s` to `10m`. Default: `30s`.
    request_timeout: Option<Period>,
    /// Maximum bytes of events that wait for delivery. Reading pauses at this limit. Default: `64MiB`.
    max_in_flight_bytes: Option<Size>,
    /// How the bytes of a message become events. Default: `document`, each message is one event.
    framing: Option<Framing>,
    /// Maximum length of a line in bytes, unless `framing` is `document`. Longer lines are skipped, counted and logged.
    /// Default: `1MiB`.
    max_line_bytes: Option<Size>,
    /// Maximum length of an event in bytes. Longer events are skipped, counted and logged. Default: `100MiB`.
    max_event_bytes: Option<Size>,
    /// Credentials for the brokers. Default: none.
    #[serde(default)]
    sasl: SaslOptions,
    /// TLS of all connections, also as an empty table: trusted brokers, and the client certificate. `tls.ca_file` must
    /// contain an authority, not the certificate of a broker itself. Default: none; connections are not encrypted.
    tls: Option<TlsOptions>,
}

/// How the members of a group share the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// A member assigns them.
    #[default]
    Classic,
    /// A broker assigns them.
    Consumer,
}

/// Where to begin in a partition without an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Reset {
    /// At the oldest message.
    #[serde(alias = "beginning", alias = "smallest")]
    Earliest,
    /// After the newest message.
    #[default]
    #[serde(alias = "end", alias = "largest")]
    Latest,
    /// Nowhere.
    #[serde(alias = "error")]
    None,
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) connection: Connection,
    pub(super) topics: BTreeSet<String>,
    pub(super) group: String,
    pub(super) protocol: GroupProtocol,
    pub(super) reset: AutoOffsetReset,
    pub(super) session_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) commit_interval: Duration,
    pub(super) fetch_wait: Duration,
    pub(super) request_timeout: Duration,
    pub(super) max_in_flight_bytes: usize,
    pub(super) format: Format,
}

impl Settings {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let Options { bootstrap_servers, sasl, tls, .. } = &options;
        let connection = ConnectionOptions { bootstrap_servers, sasl, tls: tls.as_ref() }.check(errors);
        check_topics(&options.topics, errors);
        if options.group_id.is_empty() {
            errors.add("group_id", "must not be empty");
        }
        let within =
            |errors: &mut OptionErrors, name: &str, given: Option<Period>, default: Duration, from, to, range| {
                let value = given.map_or(default, |given| given.0);
                if !(from..=to).contains(&value) {
                    errors.add(name, format!("must be between {range}"));
                }
                value
            };
        let second = Duration::from_secs(1);
        let session_timeout = within(
            errors,
            "session_timeout",
            options.session_timeout,
            10 * second,
            MIN_SESSION,
            MAX_SESSION,
            "`6s` and `30m`",
        );
        let fetch_wait = within(
            errors,
            "fetch_wait_max",
            options.fetch_wait_max,
            second / 10,
            Duration::ZERO,
            30 * second,
            "`0s` and `30s`",
        );
        let request_timeout = within(
            errors,
            "request_timeout",
            options.request_timeout,
            30 * second,
            second,
            600 * second,
            "`1s` and `10m`",
        );
        let commit_interval = options.commit_interval.unwrap_or(Period(5 * second));
        errors.not_zero("commit_interval", commit_interval);
        let drain_timeout = options.drain_timeout.map_or(session_timeout / 2, |given| given.0);
        if drain_timeout >= session_timeout {
            errors.add("drain_timeout", "must be shorter than `session_timeout`");
        }
        let max_in_flight_bytes = options.max_in_flight_bytes.map_or(64 << 20, |size| size.0);
        errors.at_least_one("max_in_flight_bytes", max_in_flight_bytes);
        let max_event_bytes = options.max_event_bytes.unwrap_or(Size(100 << 20));
        let format = Format::new(options.framing, max_event_bytes, options.max_line_bytes, errors);
        Some(Self {
            connection: connection?,
            topics: options.topics.into_iter().collect(),
            group: options.group_id,
            protocol: match options.group_protocol {
                Protocol::Classic => GroupProtocol::Classic,
                Protocol::Consumer => GroupProtocol::Consumer,
            },
            reset: match options.auto_offset_reset {
                Reset::Earliest => AutoOffsetReset::Earliest,
                Reset::Latest => AutoOffsetReset::Latest,
                Reset::None => AutoOffsetReset::None,
            },
            session_timeout,
            drain_timeout,
            commit_interval: commit_interval.0,
            fetch_wait,
            request_timeout,
            max_in_flight_bytes: usize::try_from(max_in_flight_bytes).unwrap_or(usize::MAX),
            format,
        })
    }
}

fn check_topics(topics: &[String], errors: &mut OptionErrors) {
    if topics.is_empty() {
        errors.add("topics", "names no topic");
    }
    for (index, topic) in topics.iter().enumerate() {
        errors.check(&format!("topics[{index}]"), check_topic(topic));
    }
}
