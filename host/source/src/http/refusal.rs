//! Why a request is refused.

use hyper::StatusCode;

use super::hec::Code;
use crate::in_flight::NoRoom;

/// A refused request: the status and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    /// What a collector of Splunk says, where the status is not enough.
    pub(super) code: Option<Code>,
    /// The number of the event that is wrong, for the same.
    pub(super) event: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), code: None, event: None }
    }

    /// A refusal with status 400.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// A refusal with a code of Splunk and its status.
    pub(super) fn of_code(code: Code, reason: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(code.status(), reason) }
    }

    /// A refusal with a code of Splunk because of the event with this number.
    pub(super) fn of_event(event: usize, code: Code, reason: impl std::fmt::Display) -> Self {
        Self { event: Some(event), ..Self::of_code(code, format!("event {event}: {reason}")) }
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
