//! What an answer means for the events of its request.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use jiff::Timestamp;

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
