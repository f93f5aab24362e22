//! Times in a format of `strptime`, read by jiff.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};

/// A format that was tested with a sample time.
#[derive(Debug)]
pub struct Directives(String);

impl Directives {
    /// Prepares directives of `strptime`.
    ///
    /// # Errors
    /// Describes why no time can be written or read like this.
    pub fn new(text: &str) -> Result<Self, String> {
        // Write a time in the format and read it again: this finds unknown and missing directives.
        let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let written = BrokenDownTime::from(&sample)
            .to_string(text)
            .map_err(|error| format!("`{text}` is no format of `strptime`: {error}"))?;
        let read = BrokenDownTime::parse(text, &written)
            .map_err(|error| format!("`{text}` cannot be read back, though a time can be written so: {error}"))?;
        if nanoseconds(&read).is_none() {
            return Err(format!("`{text}` lacks a part of the time; year, month and day are needed, or `%s`"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The directives.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Reads a time to nanoseconds since 1970.
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        nanoseconds(&BrokenDownTime::parse(&self.0, text.trim_ascii()).ok()?)
    }
}

/// Nanoseconds since 1970, if the parts form a time. The default zone is UTC.
fn nanoseconds(parts: &BrokenDownTime) -> Option<i64> {
    let timestamp = match (parts.timestamp(), parts.offset()) {
        (Some(timestamp), _) => timestamp,
        (None, Some(_)) => parts.to_timestamp().ok()?,
        (None, None) => {
            let civil: DateTime = parts.to_datetime().ok()?;
            Offset::UTC.to_timestamp(civil).ok()?
        }
    };
    i64::try_from(timestamp.as_nanosecond()).ok()
}
