//! What the headers of a response say about the rate limit.

use std::time::Duration;

use hyper::header::HeaderMap;
use jiff::Timestamp;

/// Longest wait that a server can request. GitHub counts requests by the hour.
pub(super) const MAX_WAIT: Duration = Duration::from_hours(1);

/// Names of the headers with the number of requests that are left, and with the time of the next ones: of GitHub and
/// most others, of Okta, and of the draft of the IETF.
const NAMES: [(&str, &str); 3] = [
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
];

/// Smallest number that is a time and not a number of seconds to wait.
const FIRST_TIME: f64 = 1e9;
/// Smallest number that is a time in milliseconds.
const FIRST_MILLISECONDS: f64 = 1e11;

/// How long no further request is allowed, if the headers say that none is left.
pub(super) fn exhausted(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    NAMES.into_iter().find_map(|(remaining, reset)| {
        let is_empty = number(remaining).is_some_and(|left| left < 1.0);
        let reset = number(reset).filter(|_| is_empty)?;
        let seconds = if reset >= FIRST_MILLISECONDS { reset / 1e3 } else { reset };
        if seconds < FIRST_TIME {
            return Duration::try_from_secs_f64(seconds.min(MAX_WAIT.as_secs_f64())).ok();
        }
        // A float of seconds is exact to microseconds in this century.
        let at = Timestamp::from_microsecond((seconds * 1e6) as i64).unwrap_or(Timestamp::MAX);
        Some(until(at, now))
    })
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    // A time in the past means no wait.
    Duration::try_from(at.duration_since(now)).unwrap_or_default().min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn an_exhausted_limit_says_when_it_is_reset() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        for (pairs, wait) in [
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225660")][..], Some(60)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1767225601")], Some(1)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225605000")], Some(5)),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "12")], Some(12)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], Some(1)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9e99")], Some(3600)),
            (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1767225660")], None),
            (&[("x-ratelimit-remaining", "0")], None),
            (&[("x-ratelimit-reset", "1767225660")], None),
        ] {
            assert_eq!(exhausted(&headers(pairs), now), wait.map(Duration::from_secs), "{pairs:?}");
        }
    }
}
