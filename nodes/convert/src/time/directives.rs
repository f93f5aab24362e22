//! Times in a format of `strptime`, read by jiff.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::calendar;
use super::iso;
use super::parts::{Context, Day, Parts};

/// A format that was tested with a sample time.
#[derive(Debug)]
pub struct Directives {
    text: String,
    says: Says,
}

/// What texts in a format say about the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Date,
    DayOfYear,
    Nothing,
}

impl Directives {
    /// Prepares directives of `strptime` that give a whole time.
    ///
    /// # Errors
    /// Describes why no time can be written or read like this.
    pub fn new(text: &str) -> Result<Self, String> {
        let directives = Self::partial(text)?;
        match directives.says {
            Says::Date => Ok(directives),
            _ => Err(format!("`{text}` lacks a part of the time; year, month and day are needed, or `%s`")),
        }
    }

    /// Prepares directives of `strptime` that can lack the year, or the date.
    ///
    /// # Errors
    /// Describes why no time can be written or read like this.
    pub fn partial(text: &str) -> Result<Self, String> {
        // Write a time in the format and read it again: this finds unknown and missing directives.
        let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let written = BrokenDownTime::from(&sample)
            .to_string(text)
            .map_err(|error| format!("`{text}` is no format of `strptime`: {error}"))?;
        let read = BrokenDownTime::parse(text, &written)
            .map_err(|error| format!("`{text}` cannot be read back, though a time can be written so: {error}"))?;
        if read.iana_time_zone().is_some() {
            return Err(format!("`{text}` reads names of time zones, which is not supported; use `%z` for offsets"));
        }
        let directives = |says| Self { text: text.to_owned(), says };
        let any = [Says::Date, Says::DayOfYear, Says::Nothing].map(directives);
        any.into_iter().find(|directives| directives.parts(&read).is_some()).ok_or_else(|| {
            format!("`{text}` lacks a part of the time; year, month and day are needed, or month and day, or a time of day, or `%s`")
        })
    }

    /// The directives.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a time close to that of the text is needed.
    pub(crate) const fn needs_near(&self) -> bool {
        !matches!(self.says, Says::Date)
    }

    /// Reads a time to nanoseconds since 1970.
    pub(crate) fn parse(&self, text: &[u8], context: &Context<'_>) -> Option<i64> {
        let read = BrokenDownTime::parse(&self.text, text.trim_ascii()).ok()?;
        self.parts(&read)?.resolve(context)
    }

    fn parts(&self, read: &BrokenDownTime) -> Option<Parts> {
        // `%Q` is refused, but it also reads offsets, so a sample alone cannot exclude a name.
        if read.iana_time_zone().is_some() {
            return None;
        }
        let offset = read.offset().map(|offset| i64::from(offset.seconds()));
        if self.says == Says::Date {
            if let Some(timestamp) = read.timestamp() {
                // `%s` is a whole second, and directives such as `%f` give the fraction that follows it.
                let fraction = SignedDuration::from_nanos(read.subsec_nanosecond().unwrap_or_default().into());
                let timestamp = timestamp.checked_add(fraction).ok()?;
                let civil = TimeZone::UTC.to_datetime(timestamp);
                return iso::parts(civil.date(), civil.time(), Some(0));
            }
            return iso::parts(read.to_date().ok()?, read.to_time().ok()?, offset);
        }
        let day = match (self.says, read.month(), read.day()) {
            _ if read.year().is_some() || read.day_of_year().is_some() => return None,
            (Says::DayOfYear, Some(month), Some(day)) => {
                let (month, day) = (month.into(), day.into());
                let weekday = read.weekday().map(|weekday| weekday.to_monday_zero_offset().into());
                // The leap day must be a day, so test with a leap year.
                calendar::date(2000, month, day)?;
                Day::OfYear { month, day, weekday }
            }
            (Says::Nothing, None, None) if read.weekday().is_none() => {
                read.hour()?;
                Day::Missing
            }
            _ => return None,
        };
        let time = read.to_time().ok()?;
        let second = iso::second_of_day(time);
        Some(Parts { day, second, nanosecond: time.subsec_nanosecond().into(), offset })
    }
}
