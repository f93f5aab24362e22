//! The codes that a collector responds with.

use hyper::StatusCode;
use serde_json::{Map, Value};

/// A code, which says more than the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Code {
    Success,
    TokenRequired,
    InvalidAuthorization,
    InvalidToken,
    NoData,
    InvalidFormat,
    Busy,
    ChannelMissing,
    InvalidChannel,
    EventRequired,
    EventBlank,
    AckDisabled,
    IndexedFields,
    QueryToken,
    Healthy,
    QueuesFull,
    ShuttingDown,
    TooLarge,
    /// Not one of Splunk's, which has the status in its place.
    NotFound,
    MethodNotAllowed,
}

impl Code {
    /// Number, status and text, as Splunk documents them.
    const fn parts(self) -> (u16, StatusCode, &'static str) {
        match self {
            Self::Success => (0, StatusCode::OK, "Success"),
            Self::TokenRequired => (2, StatusCode::UNAUTHORIZED, "Token is required"),
            Self::InvalidAuthorization => (3, StatusCode::UNAUTHORIZED, "Invalid authorization"),
            Self::InvalidToken => (4, StatusCode::FORBIDDEN, "Invalid token"),
            Self::NoData => (5, StatusCode::BAD_REQUEST, "No data"),
            Self::InvalidFormat => (6, StatusCode::BAD_REQUEST, "Invalid data format"),
            Self::Busy => (9, StatusCode::SERVICE_UNAVAILABLE, "Server is busy"),
            Self::ChannelMissing => (10, StatusCode::BAD_REQUEST, "Data channel is missing"),
            Self::InvalidChannel => (11, StatusCode::BAD_REQUEST, "Invalid data channel"),
            Self::EventRequired => (12, StatusCode::BAD_REQUEST, "Event field is required"),
            Self::EventBlank => (13, StatusCode::BAD_REQUEST, "Event field cannot be blank"),
            Self::AckDisabled => (14, StatusCode::BAD_REQUEST, "ACK is disabled"),
            Self::IndexedFields => (15, StatusCode::BAD_REQUEST, "Error in handling indexed fields"),
            Self::QueryToken => (16, StatusCode::BAD_REQUEST, "Query string authorization is not enabled"),
            Self::Healthy => (17, StatusCode::OK, "HEC is healthy"),
            Self::QueuesFull => (18, StatusCode::SERVICE_UNAVAILABLE, "HEC is unhealthy, queues are full"),
            Self::ShuttingDown => (23, StatusCode::SERVICE_UNAVAILABLE, "Server is shutting down"),
            Self::TooLarge => (27, StatusCode::PAYLOAD_TOO_LARGE, "Request entity too large"),
            Self::NotFound => (404, StatusCode::NOT_FOUND, "The requested URL was not found on this server."),
            Self::MethodNotAllowed => (405, StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        }
    }

    pub(in crate::http) const fn status(self) -> StatusCode {
        self.parts().1
    }

    /// The members that every response has.
    pub(super) fn body(self) -> Map<String, Value> {
        let (number, _, text) = self.parts();
        Map::from_iter([("text".to_owned(), text.into()), ("code".to_owned(), number.into())])
    }

    /// The code for a refusal that has a status only.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            // Splunk has no 429 and no 408, and its clients do not repeat a request after all of them.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Self::Busy,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            _ => Self::InvalidFormat,
        }
    }
}
