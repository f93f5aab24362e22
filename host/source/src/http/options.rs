//! The options of an `http` source, as written and as checked.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_listen::{AuthOptions, Credential, Tls, TlsOptions, check_address, check_path};
use wattle_options::{Flag, OptionErrors, Period, Secret};

use super::bulk;
use super::firehose::RecordCompression;
use super::hec::Collector;
use crate::decompress::Caps;

/// Protocols of a server that speaks HTTP/1 only.
pub(super) const HTTP_1: &[&str] = &["http/1.1", "http/1.0"];
/// Protocols of a server that also speaks HTTP/2.
pub(super) const HTTP_2: &[&str] = &["h2", "http/1.1", "http/1.0"];

/// Defines the options of a source that is an HTTP server: those of every server, and its own. `serde(flatten)` would
/// do without a macro, but accepts unknown options.
macro_rules! server_options {
    (
        $(#[$meta:meta])* $name:ident, acknowledge_timeout = $acknowledge_timeout:literal, protocols = $protocols:expr,
        { $($(#[$address_meta:meta])* $address:ident = $address_default:literal,)* },
        { $($(#[$own_meta:meta])* $own:ident: $own_type:ty = $default:expr,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($(#[$address_meta])* $address: String,)*
            /// Path for load balancers and probes. Responds to `GET` and `HEAD` with 200 while the source
            /// runs and with 503 while it stops; requires no credentials. An empty path disables it.
            /// Default: `/health`.
            health_path: String,
            $($(#[$own_meta])* $own: $own_type,)*
            /// TLS of all connections, with certificates of clients if `tls.ca_file` is set. Default: none; connections are
            /// not encrypted.
            tls: Option<wattle_listen::TlsOptions>,
            /// Maximum size of a body in bytes, before and after decompression. Default: `64MiB`.
            max_body_bytes: wattle_options::Size,
            /// Maximum ratio of decompressed to compressed bytes of a body; the first MiB is exempt.
            /// Default: 1000.
            max_decompression_ratio: wattle_options::Number<u64>,
            /// Maximum memory of all open requests in bytes: received bytes and decompressed bytes. Further
            /// requests get 429. Default: `256MiB`.
            max_in_flight_bytes: wattle_options::Size,
            /// Maximum number of connections. At the limit, a new connection replaces the one that was
            /// inactive for the longest time, if that is at least 1 s; it waits while all connections are
            /// busy. Default: 1024.
            max_connections: wattle_options::Number<u64>,
            /// Maximum time that a connection stays open without a request, and maximum time for the head
            /// of a request. Default: `60s`.
            idle_timeout: wattle_options::Period,
            /// Maximum time that a request waits for room in the queue; after it, the source responds with
            /// 429. Default: `5s`.
            max_wait: wattle_options::Period,
            /// Maximum time for receiving a body. Default: `30s`.
            read_timeout: wattle_options::Period,
            #[doc = concat!(
                "Maximum time that a request waits for delivery; after it, the source responds with 503. Default: `",
                stringify!($acknowledge_timeout),
                "s`."
            )]
            acknowledge_timeout: wattle_options::Period,
        }

        impl Default for $name {
            fn default() -> Self {
                let seconds = |seconds| wattle_options::Period(std::time::Duration::from_secs(seconds));
                Self {
                    $($address: $address_default.to_owned(),)*
                    health_path: "/health".to_owned(),
                    $($own: $default,)*
                    tls: None,
                    max_body_bytes: wattle_options::Size(64 << 20),
                    max_decompression_ratio: wattle_options::Number(1000),
                    max_in_flight_bytes: wattle_options::Size(256 << 20),
                    max_connections: wattle_options::Number(1024),
                    idle_timeout: seconds(60),
                    max_wait: seconds(5),
                    read_timeout: seconds(30),
                    acknowledge_timeout: seconds($acknowledge_timeout),
                }
            }
        }

        impl $name {
            /// The addresses that a source with these options listens on.
            pub(crate) fn uses(options: &serde_json::Value) -> Vec<wattle_options::Use> {
                let addresses = [$((stringify!($address), $address_default)),*];
                // The others are not addresses.
                let addresses = addresses.into_iter().filter(|(option, _)| option.ends_with("address"));
                let listens = |(option, default)| {
                    let text = wattle_options::uses::text(options, option).unwrap_or(default);
                    let address = wattle_options::Address::new(wattle_options::Network::Tcp, text)?;
                    Some(wattle_options::Use { option, what: wattle_options::Used::Listens(address) })
                };
                let mut uses: Vec<wattle_options::Use> = addresses.filter_map(listens).collect();
                // One socket, if two options have the same address.
                uses.dedup_by(|one, other| match (&one.what, &other.what) {
                    (wattle_options::Used::Listens(one), wattle_options::Used::Listens(other)) => one == other,
                    _ => false,
                });
                uses
            }

            /// The settings of the server, which listens on the addresses of these options. Its own ones are those of a
            /// server that accepts every client and makes lines and JSON documents to events.
            fn server(
                &mut self,
                addresses: &[(&str, &str)],
                errors: &mut wattle_options::OptionErrors,
            ) -> $crate::http::options::Settings {
                $crate::http::options::Server {
                    health_path: std::mem::take(&mut self.health_path),
                    tls: self.tls.take(),
                    protocols: $protocols,
                    max_body_bytes: self.max_body_bytes.0,
                    max_decompression_ratio: self.max_decompression_ratio.0,
                    max_in_flight_bytes: self.max_in_flight_bytes.0,
                    max_connections: self.max_connections.0,
                    idle_timeout: self.idle_timeout,
                    max_wait: self.max_wait.0,
                    read_timeout: self.read_timeout,
                    acknowledge_timeout: self.acknowledge_timeout.0,
                }
                .check(addresses, errors)
            }
        }
    };
}
pub(super) use server_options;

server_options! {
    /// The options as written.
    Options, acknowledge_timeout = 60, protocols = HTTP_1, {
        /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:8080`.
        address = "127.0.0.1:8080",
        /// The only path that accepts events, with `POST` and `PUT`. Default: `/`.
        path = "/",
    }, {
        /// How bodies become events. Default: `auto`.
        framing: HttpFraming = HttpFraming::default(),
        /// What to do with a body that is sent as JSON and is not valid JSON. Applies to framing
        /// `auto`. Default: `reject`.
        invalid_json: InvalidJson = InvalidJson::default(),
        /// Bearer token that requests must have: short for `auth` with the strategy `bearer`. Default: none.
        token: Option<Secret> = None,
        /// Credentials that requests must have. Default: none; every request is accepted.
        auth: Option<AuthOptions> = None,
        /// Whether to respond only after the events are delivered. If false, the source responds with
        /// 202 when they are in the queue. Default: true.
        acknowledge: Flag = Flag(true),
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
    pub(crate) addresses: Vec<String>,
    /// `None` without TLS.
    pub(crate) tls: Option<Tls>,
    /// The only path for events, unless the protocol has its own.
    pub(crate) path: String,
    /// `None` where nothing answers probes.
    pub(crate) health_path: Option<String>,
    /// Requests must have one of these; empty to accept every request.
    pub(crate) credentials: Vec<Credential>,
    pub(crate) framing: HttpFraming,
    pub(crate) invalid_json: InvalidJson,
    pub(crate) protocol: Protocol,
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

/// What the clients of a server send.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// Lines and JSON documents.
    Events,
    /// Requests of Amazon Data Firehose, whose records are compressed so.
    Firehose(RecordCompression),
    /// Requests of OTLP.
    Otlp,
    /// Requests of clients of Splunk.
    Hec(Arc<Collector>),
    /// Requests of the bulk API of Elasticsearch.
    Bulk(Arc<bulk::Server>),
}

/// The options of every server, as written.
pub(super) struct Server {
    pub(super) health_path: String,
    pub(super) tls: Option<TlsOptions>,
    /// The application protocols over TLS, as ALPN names them.
    pub(super) protocols: &'static [&'static str],
    pub(super) max_body_bytes: u64,
    pub(super) max_decompression_ratio: u64,
    pub(super) max_in_flight_bytes: u64,
    pub(super) max_connections: u64,
    pub(super) idle_timeout: Period,
    pub(super) max_wait: Duration,
    pub(super) read_timeout: Period,
    pub(super) acknowledge_timeout: Duration,
}

/// The most that `max_body_bytes` may be, so that a column can hold a body.
const MAX_BODY_BYTES: u64 = 2 << 30;

impl Server {
    /// `addresses` are those to listen on, each with the name of its option.
    pub(super) fn check(self, addresses: &[(&str, &str)], errors: &mut OptionErrors) -> Settings {
        for (option, address) in addresses {
            check_address(option, address, errors);
        }
        if !self.health_path.is_empty() {
            check_path("health_path", &self.health_path, errors);
        }
        if !(1..=MAX_BODY_BYTES).contains(&self.max_body_bytes) {
            errors.add("max_body_bytes", "must be at least 1 and at most `2GiB`");
        } else if self.max_in_flight_bytes < self.max_body_bytes {
            errors.add("max_in_flight_bytes", "must be at least `max_body_bytes`, or large bodies never pass");
        }
        let max_connections = usize::try_from(self.max_connections).unwrap_or(usize::MAX);
        if !(1..=1 << 20).contains(&max_connections) {
            errors.add("max_connections", "must be at least 1 and at most 1048576");
        }
        let tls = self.tls.and_then(|tls| tls.check(self.protocols, errors));
        errors.not_zero("idle_timeout", self.idle_timeout);
        errors.not_zero("read_timeout", self.read_timeout);
        Settings {
            addresses: addresses.iter().map(|(_, address)| (*address).to_owned()).collect(),
            path: String::new(),
            tls,
            health_path: Some(self.health_path).filter(|path| !path.is_empty()),
            credentials: Vec::new(),
            framing: HttpFraming::default(),
            invalid_json: InvalidJson::default(),
            protocol: Protocol::Events,
            max_body_bytes: self.max_body_bytes,
            caps: Caps { max_bytes: self.max_body_bytes, max_ratio: self.max_decompression_ratio },
            max_in_flight_bytes: self.max_in_flight_bytes,
            max_connections,
            idle_timeout: self.idle_timeout.0,
            max_wait: self.max_wait,
            read_timeout: self.read_timeout.0,
            acknowledge: true,
            acknowledge_timeout: self.acknowledge_timeout,
        }
    }
}

/// The credentials of the options `token` and `auth`.
pub(super) fn credentials(
    token: Option<Secret>,
    auth: Option<AuthOptions>,
    errors: &mut OptionErrors,
) -> Vec<Credential> {
    if token.is_some() && auth.is_some() {
        errors.add("token", "and `auth` are two ways to say the same; leave one out");
    }
    let token = token.map(|token| Credential::bearer("token", &token, errors));
    let auth = auth.map(|auth| auth.check(errors));
    token.into_iter().chain(auth).flatten().collect()
}

impl Options {
    pub(crate) fn check(mut self, errors: &mut OptionErrors) -> Settings {
        let address = std::mem::take(&mut self.address);
        let mut settings = self.server(&[("address", &address)], errors);
        check_path("path", &self.path, errors);
        settings.path = self.path;
        settings.credentials = credentials(self.token, self.auth, errors);
        settings.framing = self.framing;
        settings.invalid_json = self.invalid_json;
        settings.acknowledge = self.acknowledge.0;
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        for text in [
            r#"{"token":"hunter2"}"#,
            r#"{"auth":{"strategy":"basic","user":"u","password":"hunter2"}}"#,
            r#"{"auth":{"strategy":"header","name":"x-api-key","value":"hunter2"}}"#,
        ] {
            let options: Options = serde_json::from_str(text).unwrap();
            let written = format!("{options:?}");
            let mut errors = OptionErrors::default();
            let shown = format!("{written} {:?}", options.check(&mut errors));
            assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
            assert!(!shown.contains("aHVudGVyMg") && !shown.contains("dTpodW50ZXIy"), "{shown}");
        }
    }
}
