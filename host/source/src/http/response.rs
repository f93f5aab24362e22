//! The responses to requests, in the terms of each protocol.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::bulk::{self, Items};
use super::firehose::About;
use super::hec;
use super::options::{Protocol, Settings};
use super::otlp;
use super::refusal::Refusal;

/// The body of a response.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Methods of the path for events.
pub(super) const METHODS: &str = "OPTIONS, POST, PUT";

/// Value of `Retry-After` in seconds.
const RETRY_AFTER: &str = "1";

/// The response to a client without TLS on a port with TLS. The status says that the client may send its events again: they
/// are not wrong, and the source has not read them.
pub(super) const TLS_REQUIRED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 55\r\n\r\n{\"error\":\"this port requires TLS; send to `https://`\"}\n";

/// What became of the events of a request.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Number of events.
    pub(super) events: usize,
    /// How many of them can never be delivered.
    pub(super) rejected: usize,
    /// Under which the client asks whether they were delivered; they may not be yet.
    pub(super) ack_id: Option<u64>,
    /// The actions of a request of the bulk API.
    pub(super) items: Option<Items>,
}

/// How the client of a request expects to be answered.
pub(super) enum Style {
    /// With a JSON object.
    Events,
    /// As Firehose does; the headers of the request.
    Firehose(HeaderMap),
    /// As clients of OTLP do.
    Otlp(otlp::Style),
    /// As a collector of Splunk does.
    Hec,
    /// As the bulk API does.
    Bulk,
}

impl Style {
    pub(super) fn of(settings: &Settings, request: &Request<Incoming>) -> Self {
        match &settings.protocol {
            Protocol::Events => Self::Events,
            Protocol::Firehose(_) => Self::Firehose(request.headers().clone()),
            Protocol::Otlp => Self::Otlp(otlp::Style::of(request)),
            Protocol::Hec(_) => Self::Hec,
            Protocol::Bulk(_) => Self::Bulk,
        }
    }

    /// The response to a request whose events were taken after this time.
    pub(super) fn accepted(&self, status: StatusCode, taken: &Taken, took: Duration) -> Response<Body> {
        match self {
            Self::Events => respond(status, &json!({ "events": taken.events })),
            Self::Firehose(headers) => respond(status, &About::response(headers, None)),
            Self::Otlp(style) => style.accepted(taken),
            Self::Hec => hec::accepted(taken),
            Self::Bulk => bulk::accepted(taken, took),
        }
    }

    /// The response to a refused request.
    pub(super) fn refused(&self, refusal: &Refusal) -> Response<Body> {
        let Refusal { status, reason, .. } = refusal;
        match self {
            Self::Events => respond(*status, &json!({ "error": reason })),
            Self::Firehose(headers) => respond(About::status(*status), &About::response(headers, Some(reason))),
            Self::Otlp(style) => style.refused(refusal),
            Self::Hec => hec::refused(refusal),
            Self::Bulk => bulk::refused(refusal),
        }
    }
}

/// The response to `OPTIONS`.
pub(super) fn methods() -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
    response
}

/// A response with a JSON value.
pub(super) fn respond(status: StatusCode, body: &Value) -> Response<Body> {
    respond_with(status, "application/json", format!("{body}\n").into())
}

/// A response with a body and the headers that belong to the status.
pub(super) fn respond_with(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let further = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, METHODS)),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, "gzip, zstd, deflate")),
        _ => None,
    };
    if let Some((name, value)) = further {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
