//! What a request asks for, and whether its head is right.

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};

use super::bulk;
use super::hec::{self, Route};
use super::options::{Protocol, Settings};
use super::refusal::Refusal;
use super::response::Body;
use crate::source::SourceContext;

/// Purpose of a request.
pub(super) enum Asks {
    /// Send events.
    Events,
    /// Check whether the source runs.
    Health,
    /// List the allowed methods.
    Methods,
    /// Whether the events of earlier requests were delivered.
    Acks,
    /// Something that is known already.
    Answer(Box<Response<Body>>),
}

/// Checks path, method, headers and credentials of a request.
///
/// # Errors
///
/// The request is refused; its body is not read.
pub(super) fn check(
    settings: &Settings,
    context: &SourceContext,
    request: &Request<Incoming>,
) -> Result<Asks, Refusal> {
    let (method, path) = (request.method(), request.uri().path());
    let is_probe = matches!(*method, Method::GET | Method::HEAD);
    if is_probe && settings.health_path.as_deref() == Some(path) {
        return Ok(Asks::Health);
    }
    let asks = match &settings.protocol {
        Protocol::Events | Protocol::Firehose(_) if path != settings.path => {
            let reason = format!("unknown path; send to `{}`", settings.path);
            return Err(Refusal::new(StatusCode::NOT_FOUND, reason));
        }
        // Docker checks address and token so, and requires 200.
        Protocol::Hec(_) if *method == Method::OPTIONS => {
            Route::of(&Method::POST, path)?;
            Asks::Answer(Box::new(hec::methods()))
        }
        _ if *method == Method::OPTIONS => return Ok(Asks::Methods),
        Protocol::Hec(_) => match Route::of(method, path)? {
            Route::Health => {
                let answer = hec::health(context.stop.is_stopped(), context.output.is_full());
                return Ok(Asks::Answer(Box::new(answer)));
            }
            Route::Acks => Asks::Acks,
            Route::Events | Route::Lines => Asks::Events,
        },
        Protocol::Bulk(server) => match server.route(request)? {
            bulk::Route::Actions => Asks::Events,
            bulk::Route::Answer(answer) => Asks::Answer(Box::new(answer)),
        },
        // The paths of OTLP are those of its calls.
        Protocol::Events | Protocol::Firehose(_) | Protocol::Otlp => match *method {
            Method::POST | Method::PUT => Asks::Events,
            _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send events with POST or PUT")),
        },
    };
    // A proxy in front could understand such a request in another way and see two requests in
    // it. hyper refuses different lengths itself.
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request has more than one `Host` header"));
    }
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        let reason = "the only transfer coding that is supported is `chunked`; use `Content-Encoding` for compression";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
    }
    if let Some(expected) = request.headers().get(header::EXPECT)
        && !expected.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        let reason = "the only expectation that is supported is `100-continue`";
        return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, reason));
    }
    let credentials = &settings.credentials;
    if let Some(first) = credentials.first()
        && !credentials.iter().any(|credential| credential.is_in(request.headers()))
    {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, first.what()));
    }
    if let Protocol::Hec(collector) = &settings.protocol {
        collector.authorize(request)?;
    }
    Ok(asks)
}
