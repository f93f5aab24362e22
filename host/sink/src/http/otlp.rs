//! The sink `otlp`: sends logs, metrics and spans by OTLP, over gRPC or HTTP.
//!
//! The signals have requests of their own, so each has its batches. A call of gRPC is a request of HTTP/2 whose message has
//! five bytes before it, and whose status is in the trailers of its response
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TE};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_batch::{Ack, Batch};
use wattle_http_client::{Response, beginning};
use wattle_options::{OptionError, OptionErrors, schema_of};
use wattle_otlp::{Encoder as Records, Encoding, Signal};

use super::HttpSink;
use super::client::Client;
use super::common::destination_options;
use super::destination::{Destination, Meaning};
use super::error::RequestError;
use super::response::{MAX_RETRY_AFTER, Outcome};
use super::server::{AuthOptions, ServerOptions, Settings};
use crate::batcher::RequestBatch;
use crate::compress::Compression;
use crate::sink::{Built, Encoder, Payload, Prepared};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";
const GRPC_DETAILS: &str = "grpc-status-details-bin";

/// Base64 of binary headers, which may have padding or not.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

destination_options! {
    /// Options of the sink `otlp`.
    ///
    /// # Requests that are retried
    ///
    /// The sink retries until it succeeds, or until `request.retry_attempts` are used up, if there is no response, and
    /// where the specification of OTLP says so: for the codes `CANCELLED`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`
    /// with the detail `RetryInfo`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE` and `DATA_LOSS` of gRPC, and 429, 502, 503
    /// and 504 of HTTP. It also retries `UNKNOWN`, `INTERNAL`, 408 and all other 5xx. `UNAUTHENTICATED`,
    /// `PERMISSION_DENIED`, `UNIMPLEMENTED`, `NOT_FOUND` and all other 4xx but those below are retried too and logged
    /// as errors, because an operator must fix the server or the options. The sink waits at least as long as the server
    /// asks for. A request that is too large (`RESOURCE_EXHAUSTED` without `RetryInfo`, 413) is sent again in halves.
    ///
    /// # Requests that are rejected
    ///
    /// With any other code, such as `INVALID_ARGUMENT`, and 400, 409 and 422, the server rejects some or all events for
    /// good. The sink sends the request again in halves until the rejected events are alone. They go to `dead_letter`
    /// if it is set, and count as rejected. If the response is a partial success, its number of events counts as
    /// rejected; the server does not say which ones, so they are in no dead letter.
    Options {
        /// Address of the receiver, such as `http://collector:4317` for gRPC or `https://example.com:4318` for HTTP,
        /// without the path of the signal (`/v1/logs`).
        uri: String,
        /// Protocol of the requests. Default: `grpc`.
        #[serde(default)]
        protocol: Protocol,
        /// Encoding of the requests over HTTP. Default: `protobuf`.
        encoding: Option<Form>,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Default: `gzip`.
        #[serde(default = "gzip")]
        compression: Compression,
        /// Credentials for the server. Default: none.
        auth: Option<AuthOptions>,
    }
    address = uri,
    dead_letter = "in `event` a request of OTLP in JSON with the event"
}

const fn gzip() -> Compression {
    Compression::Gzip
}

/// Protocol of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// gRPC, usually at port 4317.
    #[default]
    Grpc,
    /// HTTP, usually at port 4318.
    Http,
}

/// Encoding of the requests over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Protobuf.
    #[default]
    Protobuf,
    /// JSON.
    Json,
}

/// How a signal is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) signal: Signal,
    /// `None` for gRPC, whose messages are protobuf.
    http: Option<Encoding>,
}

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let lanes = wattle_options::read(options, check)?;
    if let Some(settings) = lanes.first() {
        settings.server().check().map_err(|error| vec![error])?;
    }
    Ok(Box::new(move |name: &Arc<str>| {
        let Some(first) = lanes.first() else { unreachable!("there is a lane for each signal") };
        let client = Arc::new(Client::new(name, first)?);
        Ok(Built { encoder: Arc::new(OtlpEncoder), sink: Box::new(HttpSink { lanes, client, lane_of }) })
    }))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    schema_of::<Options>()
}

/// The settings of each signal.
fn check(mut options: Options, errors: &mut OptionErrors) -> Option<Vec<Settings>> {
    let is_grpc = options.protocol == Protocol::Grpc;
    if is_grpc && options.encoding.is_some() {
        errors.add(
            "encoding",
            "has no effect on gRPC, whose messages are protobuf; remove it, or set `protocol = \"http\"`",
        );
    }
    let http = (!is_grpc).then(|| match options.encoding.unwrap_or_default() {
        Form::Protobuf => Encoding::Protobuf,
        Form::Json => Encoding::Json,
    });
    let compression = options.compression;
    let content_type = http.map_or("application/grpc", Encoding::content_type);
    let server = ServerOptions { auth: options.auth.take(), compression, ..options.server(content_type) };
    let call = |signal: Signal| Arc::new(Call { signal, http });
    let mut settings = server.validate(call(Signal::Logs), errors)?;
    if is_grpc {
        settings.is_http2 = true;
        settings.headers.insert(TE, HeaderValue::from_static("trailers"));
        match compression {
            Compression::None => None,
            Compression::Gzip => settings.headers.insert(GRPC_ENCODING, HeaderValue::from_static("gzip")),
            Compression::Zstd => settings.headers.insert(GRPC_ENCODING, HeaderValue::from_static("zstd")),
        };
        settings.headers.remove(CONTENT_ENCODING);
    }
    let lane = |signal: Signal| {
        let path = if is_grpc { signal.grpc_path() } else { signal.http_path() };
        let uri = settings.path_below(path, errors)?;
        Some(Settings { uri, destination: call(signal), ..settings.clone() })
    };
    Signal::ALL.into_iter().map(lane).collect()
}

/// The place of a signal in the lanes, which is its key in payloads.
fn lane_of(payload: &Payload) -> usize {
    Signal::ALL.iter().position(|signal| payload.key.as_deref() == Some(signal.http_path())).unwrap_or_default()
}

/// Encodes events as records of OTLP.
struct OtlpEncoder;

impl Encoder for OtlpEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let records = Records::new(&batch);
        let rows = batch.rows();
        let (mut made, mut others) = (Vec::with_capacity(batch.written_bytes()), Vec::new());
        let (mut ends, mut other_ends) = (Vec::with_capacity(rows), Vec::new());
        for row in 0..rows {
            if records.encode(row, &mut made) {
                ends.push(made.len());
            } else {
                // What is no metric is not lost.
                records.encode_as_log(row, &mut others);
                other_ends.push(others.len());
            }
        }
        let signal = records.signal();
        let ack = batch.into_ack();
        let payload = |signal: Signal, bytes: Vec<u8>, ends: Vec<usize>, ack: Ack| Payload {
            key: Some(signal.http_path().into()),
            events: ends.len(),
            bytes,
            ends,
            ack,
        };
        let mut payloads = Vec::new();
        if !ends.is_empty() {
            payloads.push(payload(signal, made, ends, ack.share()));
        }
        if !other_ends.is_empty() {
            payloads.push(payload(Signal::Logs, others, other_ends, ack.share()));
        }
        ack.deliver();
        payloads
    }
}

impl Destination for Call {
    fn is_slow(&self) -> bool {
        true
    }

    fn encode(&self, joined: Bytes, compression: Compression) -> io::Result<Bytes> {
        self.body(joined, compression)
    }

    fn read(&self, response: &Response, _: &RequestBatch) -> Result<Meaning, RequestError> {
        Ok(self.meaning(response))
    }

    /// The event as a request in JSON.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        wattle_otlp::join(self.signal, Encoding::Json, event).map_or(event.into(), Cow::Owned)
    }
}

impl Call {
    /// The body of a request with these events.
    pub(super) fn body(self, events: Bytes, compression: Compression) -> io::Result<Bytes> {
        let encoding = self.http.unwrap_or(Encoding::Protobuf);
        let message = wattle_otlp::join(self.signal, encoding, &events).map_err(io::Error::other)?;
        let is_compressed = compression != Compression::None;
        let message = if is_compressed { compression.compress([&message[..]])? } else { message };
        if self.http.is_some() {
            return Ok(message.into());
        }
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        let mut framed = Vec::with_capacity(message.len() + 5);
        framed.push(is_compressed.into());
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&message);
        Ok(framed.into())
    }

    /// What a response means.
    pub(super) fn meaning(self, response: &Response) -> Meaning {
        let asked = wattle_http_client::retry_after(&response.headers, Timestamp::now(), MAX_RETRY_AFTER);
        let meaning = |outcome, reason| Meaning { retry_after: asked, ..Meaning::new(outcome, reason) };
        let Some(encoding) = self.http else {
            return match response.header(GRPC_STATUS) {
                Some(code) => self.grpc_meaning(code, response),
                // A proxy, or no server of gRPC.
                None if response.status == StatusCode::OK => {
                    let reason = "the response has no status of gRPC; check that the server speaks gRPC";
                    meaning(Outcome::NeedsOperator, reason.to_owned())
                }
                None => meaning(Outcome::of(response.status), response.reason()),
            };
        };
        let outcome = Outcome::of(response.status);
        if outcome == Outcome::Delivered {
            return self.accepted(encoding, response);
        }
        let reason = wattle_otlp::read_status(encoding, response.body()).map(|status| status.message);
        meaning(outcome, reason.filter(|text| !text.is_empty()).unwrap_or_else(|| response.reason()))
    }

    /// What the response to an accepted request over HTTP says about its events.
    fn accepted(self, encoding: Encoding, response: &Response) -> Meaning {
        if let Some(partial) = wattle_otlp::read_response(self.signal, encoding, response.body()) {
            return delivered(partial);
        }
        let content_type = response.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        if content_type.eq_ignore_ascii_case(encoding.content_type()) {
            let reason = "the response is not one of OTLP; check that the server at this address speaks it";
            return Meaning::new(Outcome::NeedsOperator, reason.to_owned());
        }
        // Some servers answer with a text such as `ok`.
        delivered((0, String::new()))
    }

    fn grpc_meaning(self, code: &str, response: &Response) -> Meaning {
        let message = percent_decode_str(response.header(GRPC_MESSAGE).unwrap_or_default()).decode_utf8_lossy();
        let details = response.header(GRPC_DETAILS).and_then(|details| BINARY.decode(details).ok());
        let status = details.and_then(|details| wattle_otlp::read_status(Encoding::Protobuf, &details));
        let retry_after = status.and_then(|status| status.retry_after);
        let outcome = match code {
            "0" => {
                let body = response.body().get(5..).unwrap_or_default();
                let partial = wattle_otlp::read_response(self.signal, Encoding::Protobuf, body);
                return delivered(partial.unwrap_or_default());
            }
            "8" if retry_after.is_none() => Outcome::TooLarge,
            "1" | "2" | "4" | "8" | "10" | "11" | "13" | "14" | "15" => Outcome::Retry,
            "5" | "7" | "12" | "16" => Outcome::NeedsOperator,
            _ => Outcome::Rejected,
        };
        let reason = beginning(format!("code {code} of gRPC: {message}").as_bytes());
        Meaning { retry_after, ..Meaning::new(outcome, reason) }
    }
}

/// The meaning of a request that was accepted, but for some records.
fn delivered((rejected, reason): (u64, String)) -> Meaning {
    Meaning { rejected, ..Meaning::new(Outcome::Delivered, beginning(reason.as_bytes())) }
}

#[cfg(test)]
mod tests;
