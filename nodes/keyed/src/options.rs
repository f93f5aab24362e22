//! Options that are sizes and times.

use std::time::Duration;

use wattle_convert::size::Prefixes;
use wattle_node::Setup;

/// Reads the option `at` as a duration of more than 0, in nanoseconds. Returns `None` after it reported an error.
pub fn nanoseconds(at: &str, text: &str, setup: &mut Setup<'_>) -> Option<i64> {
    let length = wattle_convert::duration::parse(text.as_bytes(), None).filter(|length| *length > 0);
    if length.is_none() {
        setup.error(
            at,
            format!(
                "`{text}` is not a duration of more than 0 and at most 292 years, such as `500ms`, `30s`, `5m` or `1h`"
            ),
        );
    }
    length
}

/// Reads the option `at` as the time that the host remembers a key: a duration of at least 1 ms. Returns `None` after it reported
/// an error.
pub fn memory_time(at: &str, text: &str, setup: &mut Setup<'_>) -> Option<Duration> {
    let length = nanoseconds(at, text, setup)?;
    if length < 1_000_000 {
        setup.error(at, format!("`{text}` is less than `1ms`, the shortest time that a key is remembered"));
        return None;
    }
    Some(Duration::from_nanos(length.unsigned_abs()))
}

/// Reads the option `at` as a number of bytes of more than 0.
pub fn size(at: &str, text: &str, setup: &mut Setup<'_>) -> Option<usize> {
    let size = wattle_convert::size::parse(text.as_bytes(), Prefixes::Decimal).filter(|size| *size > 0);
    let size = size.and_then(|size| usize::try_from(size).ok());
    if size.is_none() {
        setup.error(at, format!("`{text}` is not a size of more than 0, such as `512`, `64KiB` or `1MiB`"));
    }
    size
}

/// How often a node looks at the time for spans of this many nanoseconds: ten times in a span, but at most once in 10 ms
/// and at least once a second.
#[must_use]
pub fn tick_interval(span: i64) -> Duration {
    Duration::from_nanos(span.unsigned_abs() / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
}
