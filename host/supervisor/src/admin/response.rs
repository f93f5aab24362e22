//! Bodies, headers and errors of responses.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Entry, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use wattle_api::Problem;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
/// The content type of Prometheus' text format.
pub(crate) const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of a response: complete, or a stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A complete body.
pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// A response with a complete body.
pub(crate) fn with_status(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A document as JSON.
pub(crate) fn document(document: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let text = serde_json::to_string(document).map_err(|error| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot write the document: {error}; please report this"),
        )
    })?;
    Ok(with_status(StatusCode::OK, JSON, text + "\n"))
}

/// A request that failed, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) problem: Problem,
    /// Methods that are allowed, if the method was wrong.
    pub(crate) allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, problem: Problem { error: error.into(), diagnostics: Vec::new() }, allow: None }
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this request takes only {allow}"));
        Self { allow: Some(allow), ..refusal }
    }

    /// As plain text, for requests outside the API.
    pub(crate) fn text(self) -> Response<Body> {
        let body = format!("{}\n", self.problem.error);
        self.with(TEXT, body)
    }

    /// As a [`Problem`], for requests of the API.
    pub(crate) fn json(self) -> Response<Body> {
        let body = serde_json::to_string(&self.problem).unwrap_or_default() + "\n";
        self.with(JSON, body)
    }

    fn with(self, content_type: &'static str, body: String) -> Response<Body> {
        let mut response = with_status(self.status, content_type, body);
        if let Some(allow) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// Headers of every response, unless the response has its own. There are no CORS headers: no other site may read a
/// response.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    ),
];

/// Adds the headers that protect a browser.
pub(crate) fn protected(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in HEADERS {
        if let Entry::Vacant(entry) = response.headers_mut().entry(name) {
            entry.insert(HeaderValue::from_static(value));
        }
    }
    response
}
