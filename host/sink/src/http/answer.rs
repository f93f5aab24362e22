//! What an answer means for the events of its request.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::beginning;
use super::dead_letter::Refusal;

/// How long the far side may ask to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(15);

/// What to do with the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The far side has them.
    Delivered,
    /// Send them again. The trouble passes by itself.
    Later,
    /// Send them again. Somebody has to mend something first.
    Mend,
    /// Send them again in smaller requests.
    TooLarge,
    /// The far side will never take some or all of them.
    Refused,
}

impl Verdict {
    /// The meaning of a status.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            // What of it was taken and what was not: nobody can say but by asking for less.
            207 => Self::Refused,
            200..=299 => Self::Delivered,
            408 | 425 | 429 | 500..=599 => Self::Later,
            413 => Self::TooLarge,
            // What these complain of can be the events.
            400 | 409 | 422 => Self::Refused,
            // All others complain of the request or the address, the same for every event; or HTTP does not know them,
            // and something else answers.
            _ => Self::Mend,
        }
    }
}

/// What became of one event of a request of format `bulk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// What to do with it. `TooLarge` is `Refused`: one event has no halves.
    pub(crate) verdict: Verdict,
    /// What the far side says of it.
    pub(crate) refusal: Refusal,
}

/// The answer of Elasticsearch's and OpenSearch's bulk API:
/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>.
#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<BTreeMap<String, BulkItem>>,
}

#[derive(Deserialize)]
struct BulkItem {
    status: u16,
    error: Option<Value>,
}

/// What a body with the status 2xx says of each event of a request of format `bulk`; `None` if the far side has all.
///
/// # Errors
///
/// It is no such answer, so nobody knows what became of the events.
pub(crate) fn items(body: &[u8], events: usize) -> Result<Option<Vec<Item>>, String> {
    let bulk: Bulk = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not that of a bulk API, which format `bulk` is for: {error}"))?;
    if !bulk.errors {
        return Ok(None);
    }
    let items: Vec<Item> = bulk.items.into_iter().flat_map(BTreeMap::into_values).map(item).collect();
    if items.len() != events {
        return Err(format!("the answer tells of {} events and the request held {events}", items.len()));
    }
    Ok(Some(items))
}

fn item(item: BulkItem) -> Item {
    let status = StatusCode::from_u16(item.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let verdict = match Verdict::of(status) {
        Verdict::TooLarge => Verdict::Refused,
        verdict => verdict,
    };
    let reason = match item.error {
        Some(Value::String(text)) => beginning(text.as_bytes()),
        Some(error) => beginning(error.to_string().as_bytes()),
        None => String::new(),
    };
    Item { verdict, refusal: Refusal { status: Some(item.status), reason } }
}

/// How long the far side asks to wait: a number of seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            // A date that has passed asks for no wait.
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn every_status_has_a_meaning() {
        for (verdict, codes) in [
            (Verdict::Delivered, &[200, 201, 202, 204][..]),
            (Verdict::Later, &[408, 425, 429, 500, 502, 503, 504, 599]),
            (Verdict::Mend, &[301, 302, 307, 401, 402, 403, 404, 405, 406, 410, 411, 414, 415, 431, 451, 600, 999]),
            (Verdict::TooLarge, &[413]),
            (Verdict::Refused, &[207, 400, 409, 422]),
        ] {
            for &code in codes {
                assert_eq!(Verdict::of(StatusCode::from_u16(code).unwrap()), verdict, "{code}");
            }
        }
    }

    #[test]
    fn a_bulk_answer_tells_of_every_event() {
        let body = br#"{"took":3,"errors":true,"items":[{"create":{"_index":"a","status":201}},{"create":{"status":429,
            "error":{"type":"es_rejected_execution_exception"}}},{"index":{"status":400,"error":"old form"}},
            {"create":{"status":413}},{"create":{"status":403}}]}"#;
        let items = items(body, 5).unwrap().unwrap();
        let verdicts: Vec<Verdict> = items.iter().map(|item| item.verdict).collect();
        assert_eq!(verdicts, [Verdict::Delivered, Verdict::Later, Verdict::Refused, Verdict::Refused, Verdict::Mend]);
        assert_eq!(items[1].refusal.reason, r#"{"type":"es_rejected_execution_exception"}"#);
        assert_eq!(items[2].refusal, Refusal { status: Some(400), reason: "old form".to_owned() });
    }

    #[test]
    fn of_a_long_reason_the_beginning_is_kept() {
        let error = "a field is not what the mapping says; ".repeat(1000);
        let body = serde_json::json!({"errors": true, "items": [{"create": {"status": 400, "error": error}}]});
        let items = items(body.to_string().as_bytes(), 1).unwrap().unwrap();
        let reason = &items[0].refusal.reason;
        assert!(reason.len() <= 300 && error.starts_with(reason.as_str()) && reason.starts_with("a field"), "{reason}");
    }

    #[test]
    fn an_answer_that_does_not_tell_is_none() {
        assert_eq!(items(br#"{"errors":false}"#, 2), Ok(None));
        for body in [
            &b""[..],
            b"ok",
            b"{}",
            br#"{"errors":true}"#,
            br#"{"errors":true,"items":[{"create":{"status":201}}]}"#,
            br#"{"errors":true,"items":[{"create":{}},{"create":{"status":201}}]}"#,
            br#"{"errors":true,"items":[{},{}]}"#,
        ] {
            assert!(items(body, 2).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("9999999999", Some(900)),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(900)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
