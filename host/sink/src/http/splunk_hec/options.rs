//! Options of the sink `splunk_hec`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, OptionErrors, Period, Secret, Size};

use super::Collector;
use super::acks::Acks;
use super::encoder::CollectorEncoder;
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, Template};
use crate::http::common::destination_options;
use crate::http::server::{ServerOptions, Settings};
use crate::http::writing::Members;

destination_options! {
    /// Options of the sink `splunk_hec`.
    ///
    /// # When events are delivered
    ///
    /// With acknowledgements enabled for the token, an event is delivered when the indexers have acknowledged its
    /// request, and a request without an acknowledgement is sent again after `acknowledgements.timeout`. With a token
    /// without acknowledgements, an event is delivered when the collector accepts it. A load balancer before several
    /// collectors must send all requests of a client to the same one, because each counts its own acknowledgements.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// A busy server (code 9) and all other 5xx and 429 are retried. Errors of the token (codes 1 to 4), the channel
    /// (10, 11) and an index that is the same for all events (7) are retried and logged as errors, because an operator
    /// must fix them. If the collector names an event that it refuses (codes 6, 7, 12, 13, 15), this event goes to
    /// `dead_letter`, or counts as rejected, and the others are sent again. The rest is as in the sink `http`.
    Options {
        /// Address of the collector, such as `https://splunk.example.com:8088`, without `/services/collector`.
        endpoint: String,
        /// Token of the collector. Use a variable, such as `${SPLUNK_TOKEN}`.
        token: Secret,
        /// Endpoint for the events. Default: `event`.
        #[serde(default)]
        endpoint_target: EndpointTarget,
        /// Index, with fields of the event in braces. Empty values are left out. Default: that of the token.
        index: Option<String>,
        /// Source type, likewise. Default: that of the token.
        sourcetype: Option<String>,
        /// Source, likewise, such as `{{ attributes.path }}`. Default: that of the token.
        source: Option<String>,
        /// Host, likewise. Default: `{{ resource.host.name }}`.
        host: Option<String>,
        /// Indexed fields by their names, such as `{ team = "{{ attributes.team }}" }`. Only for the endpoint `event`.
        /// Default: none.
        #[serde(default)]
        indexed_fields: BTreeMap<String, String>,
        /// Acknowledgements of the indexers.
        #[serde(default)]
        acknowledgements: AckOptions,
        /// How to write an event. With codec `json`, it is the whole event; with `ndjson` and `text`, the body, for the
        /// endpoint `event` as a JSON value.
        #[serde(default)]
        encoding: EncodingOptions,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Splunk accepts `gzip`. Default: `none`.
        #[serde(default)]
        compression: Compression,
    }
    address = endpoint,
    dead_letter = "the event as it was sent in `event`"
}

/// Endpoint of the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum EndpointTarget {
    /// Events with their time and metadata.
    #[default]
    Event,
    /// Lines, of which Splunk makes events by the rules of the source type. Requests have the lines of one index,
    /// source type, source and host.
    Raw,
}

/// Acknowledgements of the indexers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AckOptions {
    /// Whether events wait for the acknowledgement, if the token has them. Default: true.
    indexer_acknowledgements_enabled: Flag,
    /// How often the collector is asked. Default: `2s`.
    query_interval: Period,
    /// How long a request waits before it is sent again. Default: `2m`.
    timeout: Period,
    /// Maximum bytes of events that wait, in memory. Default: `64MiB`.
    max_pending_bytes: Size,
}

impl Default for AckOptions {
    fn default() -> Self {
        Self {
            indexer_acknowledgements_enabled: Flag(true),
            query_interval: Period(Duration::from_secs(2)),
            timeout: Period(Duration::from_secs(120)),
            max_pending_bytes: Size(64 << 20),
        }
    }
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(CollectorEncoder, Settings)> {
    let is_raw = options.endpoint_target == EndpointTarget::Raw;
    let common = options.server(if is_raw { "text/plain" } else { "application/json" });
    let mut metadata = Vec::new();
    let host = options.host.as_deref().unwrap_or("{{ resource.host.name }}");
    for (name, text) in [
        ("index", options.index.as_deref()),
        ("sourcetype", options.sourcetype.as_deref()),
        ("source", options.source.as_deref()),
        ("host", Some(host)),
    ] {
        let template = text.and_then(|text| errors.check(name, Template::parse(text)));
        metadata.extend(template.map(|template| (name.to_owned(), template)));
    }
    let has_indices = metadata.iter().any(|(name, template)| name == "index" && template.literal().is_none());
    if is_raw && !options.indexed_fields.is_empty() {
        errors.add("indexed_fields", "requires the endpoint `event`; remove it, or set `endpoint_target = \"event\"`");
    }
    let mut fields = Vec::new();
    for (name, text) in options.indexed_fields {
        let template = errors.check(&format!("indexed_fields.{name}"), Template::parse(&text));
        fields.extend(template.map(|template| (name, template)));
    }
    let AckOptions { indexer_acknowledgements_enabled, query_interval, timeout, max_pending_bytes } =
        options.acknowledgements;
    errors.not_zero("acknowledgements.query_interval", query_interval);
    errors.not_zero("acknowledgements.timeout", timeout);
    errors.at_least_one("acknowledgements.max_pending_bytes", max_pending_bytes.0);
    let mut encoding = Encoding::of_values(&options.encoding, errors);
    if is_raw {
        (encoding.framing, encoding.values) = (Framing::Newline, false);
    }
    let server = ServerOptions { compression: options.compression, ..common };
    let collector = |acks| {
        let channel = HeaderValue::from_str(&channel()).unwrap_or(HeaderValue::from_static("wattle"));
        Arc::new(Collector { is_raw, has_indices, channel, acks })
    };
    let mut settings = server.validate(collector(None), errors)?;
    settings.authorize("token", &format!("Splunk {}", options.token.reveal()), errors);
    let ack_uri = settings.path_below("/services/collector/ack", errors)?;
    let path = if is_raw { "/services/collector/raw" } else { "/services/collector/event" };
    settings.uri = settings.path_below(path, errors)?;
    if indexer_acknowledgements_enabled.0 {
        settings.destination = collector(Some(Acks::new(ack_uri, query_interval.0, timeout.0)));
        settings.max_unconfirmed_bytes = usize::try_from(max_pending_bytes.0).unwrap_or(usize::MAX);
    }
    let (metadata, fields) = (Members(metadata), Members(fields));
    Some((CollectorEncoder { encoding, is_raw, metadata, fields }, settings))
}

/// A new channel: a random UUID (RFC 9562, version 4).
pub(super) fn channel() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{bits:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
