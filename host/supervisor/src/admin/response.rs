//! The response to a request.

use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use http_body_util::Full;

use super::state::State;
use super::{metrics, status};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The content type of Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn respond(state: &State, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = with_status(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/healthz" => with_status(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => match state.unready() {
            None => with_status(StatusCode::OK, TEXT, "ready\n".into()),
            Some(reason) => with_status(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        "/metrics" => with_status(StatusCode::OK, EXPOSITION, metrics::render(state)),
        "/status" => match serde_json::to_string(&status::collect(state)) {
            Ok(json) => with_status(StatusCode::OK, JSON, json + "\n"),
            Err(error) => with_status(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        _ => {
            let not_found = "not found; use /healthz, /readyz, /metrics or /status\n";
            with_status(StatusCode::NOT_FOUND, TEXT, not_found.into())
        }
    }
}

fn with_status(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
