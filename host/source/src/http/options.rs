//! The options of an `http` source, as written and as checked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, Number, OptionError, Period, Secret, Size};

use crate::decompress::Caps;

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:8080`.
    address: String,
    /// The only path that accepts events, with `POST` and `PUT`. Default: `/`.
    path: String,
    /// Path for load balancers and probes. Responds to `GET` and `HEAD` with 200 while the source
    /// runs and with 503 while it stops; requires no token. An empty path disables it.
    /// Default: `/health`.
    health_path: String,
    /// How bodies become events. Default: `auto`.
    framing: HttpFraming,
    /// What to do with a body that is sent as JSON and is not valid JSON. Applies to framing
    /// `auto`. Default: `reject`.
    invalid_json: InvalidJson,
    /// Bearer token that requests must have. Default: none; requests need no token.
    token: Option<Secret>,
    /// Maximum size of a body in bytes, before and after decompression. Default: `64MiB`.
    max_body_bytes: Size,
    /// Maximum ratio of decompressed to compressed bytes of a body; the first MiB is exempt.
    /// Default: 1000.
    max_decompression_ratio: Number<u64>,
    /// Maximum memory of all open requests in bytes: received bytes and decompressed bytes. Further
    /// requests get 429. Default: `256MiB`.
    max_in_flight_bytes: Size,
    /// Maximum number of connections. At the limit, a new connection replaces the one that was
    /// inactive for the longest time, if that is at least 1 s; it waits while all connections are
    /// busy. Default: 1024.
    max_connections: Number<u64>,
    /// Maximum time that a connection stays open without a request, and maximum time for the head
    /// of a request. Default: `60s`.
    idle_timeout: Period,
    /// Maximum time that a request waits for room in the queue; after it, the source responds with
    /// 429. Default: `5s`.
    max_wait: Period,
    /// Maximum time for receiving a body. Default: `30s`.
    read_timeout: Period,
    /// Whether to respond only after the events are delivered. If false, the source responds with
    /// 202 when they are in the queue. Default: true.
    acknowledge: Flag,
    /// Maximum time that a request waits for delivery; after it, the source responds with 503.
    /// Default: `60s`.
    acknowledge_timeout: Period,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8080".to_owned(),
            path: "/".to_owned(),
            health_path: "/health".to_owned(),
            framing: HttpFraming::default(),
            invalid_json: InvalidJson::default(),
            token: None,
            max_body_bytes: Size(64 << 20),
            max_decompression_ratio: Number(1000),
            max_in_flight_bytes: Size(256 << 20),
            max_connections: Number(1024),
            idle_timeout: Period(Duration::from_mins(1)),
            max_wait: Period(Duration::from_secs(5)),
            read_timeout: Period(Duration::from_secs(30)),
            acknowledge: Flag(true),
            acknowledge_timeout: Period(Duration::from_mins(1)),
        }
    }
}

/// How bodies become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpFraming {
    /// A JSON body (`application/json`, `text/json`, `application/*+json`) has one event for each
    /// document, or for each element of a document that is an array. A body of any other content
    /// type has one event for each line.
    #[default]
    Auto,
    /// Each line is an event.
    Lines,
    /// Each body is an event.
    Document,
}

/// What to do with a body that is sent as JSON and is not valid JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InvalidJson {
    /// Respond with 400 and the position of the error.
    #[default]
    Reject,
    /// Accept the unchanged body as one event.
    Accept,
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) address: String,
    pub(crate) path: String,
    /// `None` where nothing answers probes.
    pub(crate) health_path: Option<String>,
    pub(crate) framing: HttpFraming,
    pub(crate) invalid_json: InvalidJson,
    pub(crate) token: Option<Secret>,
    pub(crate) max_body_bytes: u64,
    pub(crate) caps: Caps,
    pub(crate) max_in_flight_bytes: u64,
    pub(crate) max_connections: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) acknowledge: bool,
    pub(crate) acknowledge_timeout: Duration,
}

/// The most that `max_body_bytes` may be, so that a column can hold a body.
const MAX_BODY_BYTES: u64 = 2 << 30;

impl Settings {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut wrong = |path: &str, message: String| errors.push(OptionError::new(path, message));
        let port = options.address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
            wrong("address", format!("`{}` has no port or no host; write it like `127.0.0.1:8080`", options.address));
        }
        for (name, path) in [("path", &options.path), ("health_path", &options.health_path)] {
            let is_off = name == "health_path" && path.is_empty();
            if !is_off && (!path.starts_with('/') || path.contains(['?', '#'])) {
                wrong(name, format!("`{path}` is not a path; it must begin with `/` and have no query"));
            }
        }
        if options.token.as_ref().is_some_and(|token| token.reveal().is_empty()) {
            wrong("token", "is empty; leave the option out to take requests without a token".to_owned());
        }
        let known = 1..=MAX_BODY_BYTES;
        if !known.contains(&options.max_body_bytes.0) {
            wrong("max_body_bytes", "must be at least 1 and at most `2GiB`".to_owned());
        } else if options.max_in_flight_bytes.0 < options.max_body_bytes.0 {
            wrong("max_in_flight_bytes", "must be at least `max_body_bytes`, or large bodies never pass".to_owned());
        }
        let max_connections = usize::try_from(options.max_connections.0).unwrap_or(usize::MAX);
        if !(1..=1 << 20).contains(&max_connections) {
            wrong("max_connections", "must be at least 1 and at most 1048576".to_owned());
        }
        for (name, period) in [("idle_timeout", options.idle_timeout), ("read_timeout", options.read_timeout)] {
            if period.0.is_zero() {
                wrong(name, "must be longer than 0".to_owned());
            }
        }
        let max_body_bytes = options.max_body_bytes.0;
        let settings = Self {
            address: options.address,
            path: options.path,
            health_path: Some(options.health_path).filter(|path| !path.is_empty()),
            framing: options.framing,
            invalid_json: options.invalid_json,
            token: options.token,
            max_body_bytes,
            caps: Caps { max_bytes: max_body_bytes, max_ratio: options.max_decompression_ratio.0 },
            max_in_flight_bytes: options.max_in_flight_bytes.0,
            max_connections,
            idle_timeout: options.idle_timeout.0,
            max_wait: options.max_wait.0,
            read_timeout: options.read_timeout.0,
            acknowledge: options.acknowledge.0,
            acknowledge_timeout: options.acknowledge_timeout.0,
        };
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let options: Options = serde_json::from_str(r#"{"token":"hunter2"}"#).unwrap();
        let written = format!("{options:?}");
        let shown = format!("{written} {:?}", Settings::new(options));
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    }
}
