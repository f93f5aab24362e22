//! What a response means for the events of its request.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use wattle_http_client::beginning;

use super::error::RequestError;
use crate::dead_letter::Rejection;

/// Maximum wait that a server can request.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_mins(15);

/// The outcome of a request, or of one of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server accepted the events.
    Delivered,
    /// A temporary error: send the events again.
    Retry,
    /// The server refused the request because of other events in it: send these again at once.
    Again,
    /// An error that only an operator can fix: send the events again until then.
    NeedsOperator,
    /// The request is too large: send the events again in smaller requests.
    TooLarge,
    /// The server will never accept some or all of the events.
    Rejected,
}

impl Outcome {
    /// The meaning of a status.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            // The server accepted a part. Only smaller requests show which one.
            207 => Self::Rejected,
            200..=299 => Self::Delivered,
            408 | 425 | 429 | 500..=599 => Self::Retry,
            413 => Self::TooLarge,
            // These can be errors in the events.
            400 | 409 | 422 => Self::Rejected,
            // All others are errors of the request or the address, which are the same for every
            // event, or are not HTTP.
            _ => Self::NeedsOperator,
        }
    }
}

/// The outcome of one event of a request in format `bulk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The outcome. Never `TooLarge`: a single event cannot be halved, so it is `Rejected` instead.
    pub(crate) outcome: Outcome,
    /// Status and reason of the event.
    pub(crate) rejection: Rejection,
}

impl Item {
    /// Whether the server already has an event with this id.
    pub(super) fn is_conflict(&self) -> bool {
        self.rejection.status == Some(StatusCode::CONFLICT.as_u16())
    }
}

/// The response of the bulk API of Elasticsearch and OpenSearch:
/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>.
#[derive(Deserialize)]
struct Bulk<I> {
    errors: bool,
    /// A filter on the way to the client can leave them out.
    items: Option<I>,
}

#[derive(Deserialize)]
struct BulkItem {
    status: u16,
    error: Option<Value>,
}

/// The outcome of each event, from the body of a response with status 2xx to a request in format `bulk`; `None` if the
/// server accepted all events.
///
/// # Errors
///
/// The body is not the response of a bulk API, so the outcome of the events is unknown.
pub(super) fn items(body: &[u8], events: usize) -> Result<Option<Vec<Item>>, RequestError> {
    // Usually there is no error. Reading each item would then take most of the time of the sink; a list of `IgnoredAny` takes
    // no memory.
    let bulk: Bulk<Vec<IgnoredAny>> = serde_json::from_slice(body).map_err(RequestError::NotBulk)?;
    let found = match (bulk.errors, bulk.items) {
        (false, None) => return Ok(None),
        (_, items) => items.map_or(0, |items| items.len()),
    };
    if found != events {
        return Err(RequestError::BulkItems { found, expected: events });
    }
    if !bulk.errors {
        return Ok(None);
    }
    let bulk: Bulk<Vec<BTreeMap<String, BulkItem>>> = serde_json::from_slice(body).map_err(RequestError::NotBulk)?;
    let given = bulk.items.unwrap_or_default();
    let items: Vec<Item> = given.into_iter().flat_map(BTreeMap::into_values).map(item).collect();
    if items.len() != events {
        return Err(RequestError::BulkItems { found: items.len(), expected: events });
    }
    Ok(Some(items))
}

fn item(item: BulkItem) -> Item {
    let status = StatusCode::from_u16(item.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let outcome = match Outcome::of(status) {
        Outcome::TooLarge => Outcome::Rejected,
        outcome => outcome,
    };
    let reason = match item.error {
        Some(Value::String(text)) => beginning(text.as_bytes()),
        Some(error) => beginning(error.to_string().as_bytes()),
        None => String::new(),
    };
    Item { outcome, rejection: Rejection { status: Some(item.status), reason } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_an_outcome() {
        for (outcome, codes) in [
            (Outcome::Delivered, &[200, 201, 202, 204][..]),
            (Outcome::Retry, &[408, 425, 429, 500, 502, 503, 504, 599]),
            (
                Outcome::NeedsOperator,
                &[301, 302, 307, 401, 402, 403, 404, 405, 406, 410, 411, 414, 415, 431, 451, 600, 999],
            ),
            (Outcome::TooLarge, &[413]),
            (Outcome::Rejected, &[207, 400, 409, 422]),
        ] {
            for &code in codes {
                assert_eq!(Outcome::of(StatusCode::from_u16(code).unwrap()), outcome, "{code}");
            }
        }
    }

    #[test]
    fn a_bulk_response_has_the_outcome_of_every_event() {
        let body = br#"{"took":3,"errors":true,"items":[{"create":{"_index":"a","status":201}},{"create":{"status":429,
            "error":{"type":"es_rejected_execution_exception"}}},{"index":{"status":400,"error":"old form"}},
            {"create":{"status":413}},{"create":{"status":403}}]}"#;
        let items = items(body, 5).unwrap().unwrap();
        let outcomes: Vec<Outcome> = items.iter().map(|item| item.outcome).collect();
        assert_eq!(
            outcomes,
            [Outcome::Delivered, Outcome::Retry, Outcome::Rejected, Outcome::Rejected, Outcome::NeedsOperator]
        );
        assert_eq!(items[1].rejection.reason, r#"{"type":"es_rejected_execution_exception"}"#);
        assert_eq!(items[2].rejection, Rejection { status: Some(400), reason: "old form".to_owned() });
    }

    #[test]
    fn only_the_beginning_of_a_long_reason_is_kept() {
        let error = "a field is not what the mapping says; ".repeat(1000);
        let body = serde_json::json!({"errors": true, "items": [{"create": {"status": 400, "error": error}}]});
        let items = items(body.to_string().as_bytes(), 1).unwrap().unwrap();
        let reason = &items[0].rejection.reason;
        assert!(reason.len() <= 300 && error.starts_with(reason.as_str()) && reason.starts_with("a field"), "{reason}");
    }

    #[test]
    fn a_response_without_the_outcome_of_every_event_is_an_error() {
        assert!(items(br#"{"errors":false}"#, 2).unwrap().is_none());
        for body in [
            &b""[..],
            b"ok",
            b"{}",
            br#"{"errors":true}"#,
            br#"{"errors":true,"items":[{"create":{"status":201}}]}"#,
            br#"{"errors":true,"items":[{"create":{}},{"create":{"status":201}}]}"#,
            br#"{"errors":true,"items":[{},{}]}"#,
            br#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
        ] {
            assert!(items(body, 2).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
