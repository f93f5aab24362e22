//! The source `splunk_hec`: takes events as the HTTP Event Collector of Splunk does, so that its clients need another
//! address only.
//!
//! The protocol is that of "Format events for HTTP Event Collector", "HTTP Event Collector REST API endpoints" and "About HTTP
//! Event Collector Indexer Acknowledgment" in the documentation of Splunk
//! (<https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data>).
//!
//! Splunk refuses a whole request because of one wrong event, and so does the source: it queues no event of it. The client
//! sends the others again without duplicates.

mod acks;
mod code;
mod events;
mod time;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, Request, Response, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use wattle_options::{Flag, Number, OptionErrors, Period, Secret};

use self::acks::Acks;
pub(super) use self::acks::Ticket;
pub(super) use self::code::Code;
pub(super) use self::events::frame;
use super::options::{HTTP_1, Protocol, Settings, server_options};
use super::refusal::Refusal;
use super::response::{Body, Taken, methods as methods_of_server, respond};

/// The header with the channel of a request.
const CHANNEL: &str = "x-splunk-request-channel";
/// Maximum bytes of the name of a channel; Splunk has GUIDs.
const MAX_CHANNEL_BYTES: usize = 128;

server_options! {
    /// The options of a `splunk_hec` source.
    Options, acknowledge_timeout = 60, protocols = HTTP_1, {
        /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:8088`.
        address = "127.0.0.1:8088",
    }, {
        /// Tokens, one of which a request must have: as `Authorization: Splunk TOKEN`, or as the password of basic
        /// credentials. Use variables, such as `${HEC_TOKEN}`. Default: none; every request is accepted.
        valid_tokens: Vec<Secret> = Vec::new(),
        /// Acknowledgements, which clients ask for.
        acknowledgements: AckOptions = AckOptions::default(),
    }
}

/// Acknowledgements, which clients ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AckOptions {
    /// Whether the source responds when the events are in the queue, with a number (`ackId`) that the client asks about at
    /// `/services/collector/ack`. Requests must then have a channel. If false, the source responds when the events are
    /// delivered. Default: false.
    enabled: Flag,
    /// Maximum number of requests whose acknowledgement the client has not fetched. Default: 1000000.
    max_pending_acks: Number<u64>,
    /// The same for one channel. Beyond it, the oldest requests that were delivered are forgotten; without such, the source
    /// responds with 503. Default: 100000.
    max_pending_acks_per_channel: Number<u64>,
    /// Maximum number of channels. Further ones get 503. Default: 10000.
    max_number_of_ack_channels: Number<u64>,
    /// Whether the source forgets channels that clients do not use. Default: true.
    ack_idle_cleanup: Flag,
    /// Time without a request after which a channel is not used. Default: `300s`.
    max_idle_time: Period,
}

impl Default for AckOptions {
    fn default() -> Self {
        Self {
            enabled: Flag(false),
            max_pending_acks: Number(1_000_000),
            max_pending_acks_per_channel: Number(100_000),
            max_number_of_ack_channels: Number(10_000),
            ack_idle_cleanup: Flag(true),
            max_idle_time: Period(std::time::Duration::from_secs(300)),
        }
    }
}

impl Options {
    pub(crate) fn check(mut self, errors: &mut OptionErrors) -> Settings {
        let address = std::mem::take(&mut self.address);
        let mut settings = self.server(&[("address", &address)], errors);
        for (at, token) in self.valid_tokens.iter().enumerate() {
            if let Err(problem) = wattle_listen::check_secret(token) {
                errors.add(&format!("valid_tokens[{at}]"), problem);
            }
        }
        let options = self.acknowledgements;
        for (name, number) in [
            ("max_pending_acks", options.max_pending_acks),
            ("max_pending_acks_per_channel", options.max_pending_acks_per_channel),
            ("max_number_of_ack_channels", options.max_number_of_ack_channels),
        ] {
            errors.at_least_one(&format!("acknowledgements.{name}"), number.0);
        }
        errors.not_zero("acknowledgements.max_idle_time", options.max_idle_time);
        let number = |number: Number<u64>| usize::try_from(number.0).unwrap_or(usize::MAX);
        let limits = acks::Limits {
            pending: number(options.max_pending_acks),
            pending_of_channel: number(options.max_pending_acks_per_channel),
            channels: number(options.max_number_of_ack_channels),
            idle: options.ack_idle_cleanup.0.then_some(options.max_idle_time.0),
        };
        let acks = options.enabled.0.then(|| Arc::new(Acks::new(limits)));
        settings.protocol = Protocol::Hec(Arc::new(Collector { tokens: self.valid_tokens, acks }));
        settings
    }
}

/// The collector, shared by all requests.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Empty to accept every request.
    tokens: Vec<Secret>,
    /// `None` if responses wait for the delivery.
    acks: Option<Arc<Acks>>,
}

/// What a request asks for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Events,
    Lines,
    Acks,
    Health,
}

impl Route {
    /// The purpose of a path.
    ///
    /// # Errors
    ///
    /// There is no such path, or it does not have the method.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        let route = match path.trim_end_matches('/') {
            "/services/collector" | "/services/collector/event" | "/services/collector/event/1.0" => Self::Events,
            "/services/collector/raw" | "/services/collector/raw/1.0" => Self::Lines,
            "/services/collector/ack" => Self::Acks,
            "/services/collector/health" | "/services/collector/health/1.0" => Self::Health,
            _ => {
                let reason = "unknown path; send to `/services/collector/event` or `/services/collector/raw`";
                return Err(Refusal::new(StatusCode::NOT_FOUND, reason));
            }
        };
        let (is_right, right) = match route {
            Self::Health => (matches!(*method, Method::GET | Method::HEAD), "ask with GET"),
            _ => (matches!(*method, Method::POST | Method::PUT), "send events with POST or PUT"),
        };
        if is_right { Ok(route) } else { Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, right)) }
    }
}

/// What a request says about all of its events.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) is_raw: bool,
    /// JSON strings: `host`, `source`, `sourcetype` and `index` of events that do not have their own.
    defaults: [Option<Vec<u8>>; 4],
}

/// Names of the metadata of an event.
const METADATA: [&str; 4] = ["host", "source", "sourcetype", "index"];

impl Call {
    /// Reads path and query of a request for events.
    ///
    /// # Errors
    ///
    /// The path is not one for events.
    pub(super) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let is_raw = Route::of(&Method::POST, uri.path())? == Route::Lines;
        let value = |name: &str| parameter(uri, name).filter(|text| !text.is_empty());
        let json = |name| value(name).map(|text| Value::from(text).to_string().into_bytes());
        Ok(Self { is_raw, defaults: METADATA.map(json) })
    }
}

/// A parameter of a query.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[derive(Deserialize)]
struct Question {
    acks: Vec<u64>,
}

impl Collector {
    /// Checks the token of a request.
    ///
    /// # Errors
    ///
    /// It has none, or a wrong one.
    pub(super) fn authorize<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let Some(given) = request.headers().get(AUTHORIZATION) else {
            return Err(match parameter(request.uri(), "token") {
                None => Refusal::of_code(Code::TokenRequired, "the header `Authorization` is missing"),
                Some(_) => Refusal::of_code(Code::QueryToken, "send the token in the header `Authorization`"),
            });
        };
        let Some(given) = token(given.as_bytes()) else {
            let reason = "the header `Authorization` is not `Splunk TOKEN`, and does not have basic credentials";
            return Err(Refusal::of_code(Code::InvalidAuthorization, reason));
        };
        // Every token is compared, so that the time does not say which one is close.
        let equal = |token: &Secret| token.reveal().as_bytes().ct_eq(&given);
        if self.tokens.iter().fold(subtle::Choice::from(0), |found, token| found | equal(token)).into() {
            return Ok(());
        }
        Err(Refusal::of_code(Code::InvalidToken, "the token is wrong"))
    }

    /// Begins to track the acknowledgement of a request, if the collector has acknowledgements.
    ///
    /// # Errors
    ///
    /// The channel is missing or invalid, or there are too many of them.
    pub(super) fn ticket(&self, channel: Result<Option<String>, Refusal>) -> Result<Option<Ticket>, Refusal> {
        let Some(acks) = &self.acks else { return Ok(None) };
        acks.begin(&required(channel)?).map(Some)
    }

    /// Responds to a question about acknowledgements.
    ///
    /// # Errors
    ///
    /// There are no acknowledgements, or the question cannot be read.
    pub(super) fn ask(
        &self,
        channel: Result<Option<String>, Refusal>,
        body: &Bytes,
    ) -> Result<Response<Body>, Refusal> {
        let Some(acks) = &self.acks else {
            let reason = "acknowledgements are disabled (`acknowledgements.enabled`); a response to events says that \
                          they are delivered";
            return Err(Refusal::of_code(Code::AckDisabled, reason));
        };
        let channel = required(channel)?;
        let question: Question = serde_json::from_slice(body)
            .map_err(|error| Refusal::of_code(Code::InvalidFormat, format!("the question cannot be read: {error}")))?;
        let states = acks.ask(&channel, &question.acks);
        let states: serde_json::Map<String, Value> =
            question.acks.iter().zip(states).map(|(id, state)| (id.to_string(), state.into())).collect();
        Ok(respond(StatusCode::OK, &json!({ "acks": states })))
    }
}

fn required(channel: Result<Option<String>, Refusal>) -> Result<String, Refusal> {
    let missing = || Refusal::of_code(Code::ChannelMissing, format!("the header `{CHANNEL}` is missing"));
    channel?.ok_or_else(missing)
}

/// The channel of a request.
///
/// # Errors
///
/// It is too long, or not a text.
pub(super) fn channel(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, Refusal> {
    let channel = match headers.get(CHANNEL) {
        Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        None => parameter(uri, "channel"),
    };
    match channel {
        Some(channel) if channel.is_empty() => Ok(None),
        Some(channel) if channel.len() > MAX_CHANNEL_BYTES => {
            let reason = format!("the channel has more than {MAX_CHANNEL_BYTES} bytes");
            Err(Refusal::of_code(Code::InvalidChannel, reason))
        }
        channel => Ok(channel),
    }
}

/// The token of a header `Authorization`.
fn token(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = header.split_at_checked(header.iter().position(|byte| *byte == b' ')?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"splunk") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

/// The response to a request whose events were taken.
pub(super) fn accepted(taken: &Taken) -> Response<Body> {
    let mut body = Code::Success.body();
    if let Some(id) = taken.ack_id {
        body.insert("ackId".to_owned(), id.into());
    }
    respond(StatusCode::OK, &Value::Object(body))
}

/// The response to a refused request.
pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let code = refusal.code.unwrap_or_else(|| Code::of(refusal.status));
    let mut body = code.body();
    // The texts of Splunk do not say what to do.
    body.insert("reason".to_owned(), refusal.reason.as_str().into());
    if let Some(event) = refusal.event {
        body.insert("invalid-event-number".to_owned(), event.into());
    }
    respond(code.status(), &Value::Object(body))
}

/// The response to `OPTIONS`.
pub(super) fn methods() -> Response<Body> {
    let mut response = methods_of_server();
    *response.status_mut() = StatusCode::OK;
    response
}

/// The response to a probe.
pub(super) fn health(is_stopping: bool, is_full: bool) -> Response<Body> {
    let code = match (is_stopping, is_full) {
        (true, _) => Code::ShuttingDown,
        (false, true) => Code::QueuesFull,
        (false, false) => Code::Healthy,
    };
    respond(code.status(), &Value::Object(code.body()))
}

#[cfg(test)]
mod tests;
