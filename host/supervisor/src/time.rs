//! Times as text, for status and reports.

use std::time::{SystemTime, UNIX_EPOCH};

/// RFC 3339 with whole seconds, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    wattle_batch::format_rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000))
}
