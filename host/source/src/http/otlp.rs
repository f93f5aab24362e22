//! The source `otlp`: takes log records, metrics and spans by OTLP, over gRPC and HTTP.
//!
//! The protocol is that of the "OpenTelemetry Protocol Specification 1.10"
//! (<https://opentelemetry.io/docs/specs/otlp/>). A call of gRPC is a request of HTTP/2 with one message, which has five bytes
//! before it, and a response whose status is in its trailers
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). So calls share the limits of all requests: memory,
//! connections, times. A crate for gRPC would have its own.

use std::convert::Infallible;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use wattle_batch::Rows;
use wattle_listen::AuthOptions;
use wattle_options::{OptionErrors, Secret};
use wattle_otlp::{Encoding, Signal};

use super::body::Kinds;
use super::options::{HTTP_2, Protocol, Settings, credentials, server_options};
use super::refusal::Refusal;
use super::response::{Body, Taken, respond_with};
use crate::assemble::BatchLimits;
use crate::in_flight::Share;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What `grpc-message` cannot have as it is, beside characters outside of ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Memory of a decoded request for each byte of protobuf, and of JSON, whose values become a tree before.
const PROTOBUF_FACTOR: u64 = 4;
const JSON_FACTOR: u64 = 12;

const GRPC: &str = "application/grpc";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

server_options! {
    /// The options of an `otlp` source.
    Options, acknowledge_timeout = 60, protocols = HTTP_2, {
        /// Address for gRPC: a host name or IP address, and a port. Both addresses accept gRPC and HTTP; an empty one is
        /// off. Default: `127.0.0.1:4317`.
        grpc_address = "127.0.0.1:4317",
        /// Address for HTTP, with the paths `/v1/logs`, `/v1/metrics` and `/v1/traces`. Default: `127.0.0.1:4318`.
        http_address = "127.0.0.1:4318",
    }, {
        /// Bearer token that requests must have: short for `auth` with the strategy `bearer`. Default: none.
        token: Option<Secret> = None,
        /// Credentials that requests must have. Default: none; every request is accepted.
        auth: Option<AuthOptions> = None,
    }
}

impl Options {
    pub(crate) fn check(mut self, errors: &mut OptionErrors) -> Settings {
        let (grpc, http) = (std::mem::take(&mut self.grpc_address), std::mem::take(&mut self.http_address));
        let mut addresses = vec![("grpc_address", grpc.as_str()), ("http_address", http.as_str())];
        addresses.retain(|(_, address)| !address.is_empty());
        if addresses.is_empty() {
            errors.add("grpc_address", "and `http_address` are empty; set one of them");
        }
        if grpc == http && !grpc.ends_with(":0") {
            addresses.truncate(1);
        }
        let mut settings = self.server(&addresses, errors);
        settings.credentials = credentials(self.token, self.auth, errors);
        settings.protocol = Protocol::Otlp;
        settings
    }
}

/// What a request sends.
#[derive(Debug)]
pub(super) struct Call {
    signal: Signal,
    /// `None` for gRPC, whose messages are protobuf.
    http: Option<Encoding>,
    /// The encoding of compressed messages of gRPC.
    grpc_encoding: String,
}

fn is_grpc(headers: &HeaderMap) -> bool {
    content_type(headers).starts_with(GRPC)
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl Call {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// There is no such path or content type.
    pub(super) fn of(request: &Request<Incoming>) -> Result<Self, Refusal> {
        let (path, headers) = (request.uri().path(), request.headers());
        let content_type = content_type(headers);
        if is_grpc(headers) {
            let signal = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path);
            let signal = signal.ok_or_else(|| {
                Refusal::new(
                    StatusCode::NOT_FOUND,
                    "the source has the services of OTLP for logs, metrics and traces only",
                )
            })?;
            if !matches!(content_type.strip_prefix(GRPC), Some("" | "+proto")) {
                let reason = format!("messages of the type `{content_type}` are not supported; send protobuf");
                return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
            }
            let encoding = headers.get(GRPC_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
            return Ok(Self { signal, http: None, grpc_encoding: encoding.to_owned() });
        }
        let signal = Signal::ALL.into_iter().find(|signal| signal.http_path() == path).ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "unknown path; send to `/v1/logs`, `/v1/metrics` or `/v1/traces`")
        })?;
        let encoding = match &*content_type {
            "application/x-protobuf" | "application/protobuf" => Encoding::Protobuf,
            "application/json" => Encoding::Json,
            other => {
                let reason = format!(
                    "content type `{other}` is not supported; send `application/x-protobuf` or `application/json`"
                );
                return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
            }
        };
        Ok(Self { signal, http: Some(encoding), grpc_encoding: String::new() })
    }

    /// The message in the body of a request, and how it is compressed.
    ///
    /// # Errors
    ///
    /// The body is not one message of gRPC, or its compression is not supported.
    pub(super) fn message(&self, mut body: Bytes, kinds: Kinds) -> Result<(Bytes, Kinds), Refusal> {
        if self.http.is_some() {
            return Ok((body, kinds));
        }
        let Some(&[is_compressed, a, b, c, d]) = body.first_chunk::<PREFIX>() else {
            return Err(Refusal::bad("the request has no message of gRPC"));
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if is_compressed > 1 || body.len() != PREFIX + length {
            return Err(Refusal::bad(format!(
                "the request is not one message of gRPC: the message has {length} bytes, and {} follow its prefix",
                body.len() - PREFIX
            )));
        }
        body.advance(PREFIX);
        let kinds = Kinds::of(if is_compressed == 1 { &self.grpc_encoding } else { "" }, "")?;
        Ok((body, kinds))
    }
}

/// Makes events of a message.
///
/// # Errors
///
/// The message is not valid, or there is no memory for it now.
pub(super) fn frame(
    message: Bytes,
    call: &Call,
    resource: &str,
    share: &mut Share,
    limits: &BatchLimits,
) -> Result<Vec<Rows>, Refusal> {
    let encoding = call.http.unwrap_or(Encoding::Protobuf);
    let factor = if encoding == Encoding::Json { JSON_FACTOR } else { PROTOBUF_FACTOR };
    share.cover(message.len() as u64 * factor)?;
    let request = wattle_otlp::Request::decode(call.signal, encoding, message);
    let request = request.map_err(|error| Refusal::bad(error.to_string()))?;
    Ok(request.into_events(resource, limits.max_events, limits.max_bytes))
}

/// How the client of a request expects to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    is_grpc: bool,
    encoding: Encoding,
    signal: Option<Signal>,
}

impl Style {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        let is_json = content_type(request.headers()) == "application/json";
        Self {
            // The trailers of gRPC need HTTP/2.
            is_grpc: is_grpc(request.headers()) && request.version() == Version::HTTP_2,
            encoding: if is_json { Encoding::Json } else { Encoding::Protobuf },
            signal: Call::of(request).ok().map(|call| call.signal),
        }
    }

    /// The response to a request whose events were taken, with their number if some can never be delivered.
    pub(super) fn accepted(self, taken: &Taken) -> Response<Body> {
        let message = "the destination rejected these for good";
        let partial = (taken.rejected > 0).then(|| (i64::try_from(taken.rejected).unwrap_or(i64::MAX), message));
        let body = wattle_otlp::response(self.signal.unwrap_or(Signal::Logs), self.encoding, partial);
        if !self.is_grpc {
            return respond_with(StatusCode::OK, self.content_type(), body.into());
        }
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(&body);
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        let trailers = async move { Some(Ok::<_, Infallible>(trailers)) };
        grpc(Full::new(Bytes::from(framed)).with_trailers(trailers).boxed())
    }

    /// The response to a refused request.
    pub(super) fn refused(self, refusal: &Refusal) -> Response<Body> {
        let Refusal { status, reason, .. } = refusal;
        let code = Code::of(*status);
        if !self.is_grpc {
            // Clients repeat a request after 429, 502, 503 and 504 only.
            let status = if *status == StatusCode::REQUEST_TIMEOUT { StatusCode::SERVICE_UNAVAILABLE } else { *status };
            let body = wattle_otlp::status(self.encoding, code as i32, reason, None);
            return respond_with(status, self.content_type(), body.into());
        }
        let mut response = grpc(Full::default().boxed());
        let headers = response.headers_mut();
        headers.insert(GRPC_STATUS, HeaderValue::from(code as u16));
        headers.extend(
            HeaderValue::from_str(&utf8_percent_encode(reason, ESCAPED).to_string())
                .ok()
                .map(|text| (GRPC_MESSAGE, text)),
        );
        if *status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("gzip,zstd,deflate"));
        }
        // After RESOURCE_EXHAUSTED, a client repeats a request only if the response says when.
        if matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let details = wattle_otlp::status(Encoding::Protobuf, code as i32, reason, Some(1));
            let details = HeaderValue::from_str(&BASE64_STANDARD_NO_PAD.encode(details)).ok();
            headers.extend(details.map(|details| (GRPC_DETAILS, details)));
        }
        response
    }

    fn content_type(self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::Protobuf => "application/x-protobuf",
        }
    }
}

fn grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// The codes of gRPC that the source responds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::Unimplemented
            }
            // Without the time of a retry, clients do not repeat a request that is too large.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => Self::ResourceExhausted,
            StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            _ => Self::InvalidArgument,
        }
    }
}

#[cfg(test)]
mod tests;
