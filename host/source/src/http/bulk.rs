//! The source `elasticsearch_bulk`: takes documents by the bulk API of Elasticsearch, so that its clients need another
//! address only.
//!
//! The protocol is that of the bulk API in the documentation of Elasticsearch
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>). The response has a status for each action.
//! Clients also ask for the version, the licence and the health of a server before they send; see [`responses`].

mod actions;
mod date;
mod responses;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use wattle_listen::Credential;
use wattle_options::{Flag, OptionErrors, Secret};

pub(super) use self::actions::frame;
use super::options::{HTTP_1, Protocol, Settings, server_options};
use super::refusal::Refusal;
use super::response::{Body, Taken, respond, respond_with};

/// The header by which clients recognize Elasticsearch.
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

server_options! {
    /// The options of an `elasticsearch_bulk` source.
    Options, acknowledge_timeout = 60, protocols = HTTP_1, {
        /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:9200`.
        address = "127.0.0.1:9200",
    }, {
        /// Credentials that requests must have. Default: none; every request is accepted.
        auth: Option<BulkAuthOptions> = None,
        /// Version of Elasticsearch that clients see. Some refuse another major version than their own. Default: `8.17.0`.
        version: String = "8.17.0".to_owned(),
        /// Whether the source closes the connection, instead of a response with 429 or 503, when events of a request were not
        /// delivered. For clients that send a request again only if there is no response, such as rsyslog. Default: false.
        disconnect_on_failure: Flag = Flag(false),
    }
}

/// Credentials of requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
enum BulkAuthOptions {
    /// User and password, in the header `Authorization`.
    Basic {
        /// Name of the user, without a colon.
        user: String,
        /// Password of the user. Use a variable, such as `${PASSWORD}`.
        password: Secret,
    },
    /// An API key, in the header `Authorization`.
    ApiKey {
        /// The key: `id:key`, or the same in base64, as Elasticsearch shows it in `encoded`. Use a variable, such as
        /// `${API_KEY}`.
        key: Secret,
    },
}

impl Options {
    pub(crate) fn check(mut self, errors: &mut OptionErrors) -> Settings {
        let address = std::mem::take(&mut self.address);
        let mut settings = self.server(&[("address", &address)], errors);
        settings.credentials = match self.auth {
            None => Vec::new(),
            Some(BulkAuthOptions::Basic { user, password }) => {
                Credential::basic(&user, &password, errors).into_iter().collect()
            }
            Some(BulkAuthOptions::ApiKey { key }) => {
                let key =
                    if key.reveal().contains(':') { Secret::new(BASE64_STANDARD.encode(key.reveal())) } else { key };
                Credential::api_key("auth.key", key, errors).into_iter().collect()
            }
        };
        let numbers: Vec<_> = self.version.split('.').map(str::parse::<u16>).collect();
        if numbers.len() != 3 || numbers.iter().any(Result::is_err) {
            errors.add("version", format!("`{}` is not a version; write it like `8.17.0`", self.version));
        }
        settings.protocol =
            Protocol::Bulk(Arc::new(Server { version: self.version, disconnects: self.disconnect_on_failure.0 }));
        settings
    }
}

/// What clients see of the server.
#[derive(Debug)]
pub(crate) struct Server {
    version: String,
    /// Whether failures have no response.
    disconnects: bool,
}

/// What a request for actions says about all of them.
#[derive(Debug)]
pub(super) struct Call {
    /// The index of actions that name none.
    index: Option<String>,
    pipeline: Option<String>,
    /// Whether the client reads only the status and the error of each action.
    is_short: bool,
}

impl Call {
    /// Reads path and query of a request; `None` if the path is not one of the bulk API.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let segments: Vec<&str> = segments(request.uri().path());
        let index = match segments[..] {
            ["_bulk"] => None,
            // Elasticsearch 7 and rsyslog also have a type in the path.
            [index, "_bulk"] | [index, _, "_bulk"] if !index.starts_with('_') => {
                Some(percent_decode_str(index).decode_utf8_lossy().into_owned())
            }
            _ => return None,
        };
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let pipeline = parameter("pipeline").filter(|pipeline| !pipeline.is_empty() && pipeline != "_none");
        Some(Self { index, pipeline, is_short: parameter("filter_path").is_some() })
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// What a request is: one with actions, or a question with its response.
pub(super) enum Route {
    Actions,
    Answer(Response<Body>),
}

impl Server {
    /// Whether the connection is closed instead of a response with this status.
    pub(super) fn is_silent(&self, status: StatusCode) -> bool {
        self.disconnects && matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The purpose of a request.
    ///
    /// # Errors
    ///
    /// The server does not have the path, or the method.
    pub(super) fn route<B>(&self, request: &Request<B>) -> Result<Route, Refusal> {
        if Call::of(request).is_some() {
            return match *request.method() {
                Method::POST | Method::PUT => Ok(Route::Actions),
                _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send actions with POST or PUT")),
            };
        }
        responses::respond_to(&self.version, request).map(Route::Answer)
    }
}

/// The response to a request whose events were taken.
pub(super) fn accepted(taken: &Taken, took: Duration) -> Response<Body> {
    let Some(items) = &taken.items else { return respond(StatusCode::OK, &json!({})) };
    let mut body = format!("{{\"took\":{},\"errors\":{},\"items\":[", took.as_millis(), items.errors > 0).into_bytes();
    body.extend_from_slice(&items.text);
    body.extend_from_slice(b"]}");
    with_product(respond_with(StatusCode::OK, "application/json", Bytes::from(body)))
}

/// The response to a refused request.
pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let Refusal { status, reason, .. } = refusal;
    // Clients do not send a request again after 408.
    let status = if *status == StatusCode::REQUEST_TIMEOUT { StatusCode::SERVICE_UNAVAILABLE } else { *status };
    let kind = match status {
        StatusCode::UNAUTHORIZED => "security_exception",
        StatusCode::NOT_FOUND => "resource_not_found_exception",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable_exception",
        _ => "illegal_argument_exception",
    };
    let cause = json!({ "type": kind, "reason": reason });
    let mut error = cause.clone();
    if let Some(error) = error.as_object_mut() {
        error.insert("root_cause".to_owned(), json!([cause]));
    }
    with_product(respond(status, &json!({ "error": error, "status": status.as_u16() })))
}

fn with_product(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    response
}

/// What became of the actions of a request.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// The elements of the member `items` of the response.
    text: Vec<u8>,
    /// How many actions are wrong; their documents are no events.
    pub(super) errors: usize,
}

#[cfg(test)]
mod tests;
