//! Why a request is refused.

use hyper::StatusCode;

use crate::in_flight::NoRoom;

/// A refused request: the status and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// A refusal with status 400.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl From<NoRoom> for Refusal {
    fn from(_: NoRoom) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many bytes are in flight (`max_in_flight_bytes`); try again in a moment",
        )
    }
}
