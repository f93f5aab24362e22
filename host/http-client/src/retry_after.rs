//! The header `Retry-After`.

use std::time::Duration;

use hyper::header::{HeaderMap, RETRY_AFTER};
use jiff::Timestamp;

/// The wait that a server asks for with `Retry-After`, at most `max`: a number of seconds, or a date (RFC 9110, section
/// 10.2.3). A number may have decimals, as some servers send it. `None` without a valid header.
pub fn retry_after(headers: &HeaderMap, now: Timestamp, max: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let seconds = Some(seconds).filter(|seconds| seconds.is_finite())?;
        return Duration::try_from_secs_f64(seconds.min(max.as_secs_f64())).ok();
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A date in the past means no wait.
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default().min(max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn it_is_seconds_or_a_date_and_bounded() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120.0)),
            (" 0 ", Some(0.0)),
            ("0.5", Some(0.5)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30.0)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0.0)),
            ("9999999999", Some(900.0)),
            ("99999999999999999999", Some(900.0)),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(900.0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            let wait = retry_after(&headers, now, Duration::from_mins(15));
            assert_eq!(wait, seconds.map(Duration::from_secs_f64), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now, Duration::MAX), None);
    }
}
