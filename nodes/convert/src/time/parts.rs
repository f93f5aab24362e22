//! What a text says about a time, and how the missing parts are found.

use super::calendar::{self, DAY};
use super::zone::Zone;

/// What a text does not say about its time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The zone of a time without a zone.
    pub zone: &'a Zone,
    /// A time close to that in the text, in nanoseconds since 1970. It decides about a missing year or date; without it,
    /// such a text gives no time.
    pub near: Option<i64>,
}

impl Context<'static> {
    /// Times without a zone are UTC, and texts without a year are no times.
    pub const UTC: Self = Self { zone: &Zone::UTC, near: None };
}

/// The day of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Day {
    /// A day since 1970.
    Date(i64),
    /// Month and day of a year that the text does not name. The weekday, if the text has it, counts from Monday as 0.
    OfYear { month: i64, day: i64, weekday: Option<i64> },
    /// The text has only a time of day.
    Missing,
}

/// The parts of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) day: Day,
    /// Seconds since midnight.
    pub(crate) second: i64,
    pub(crate) nanosecond: i64,
    /// Seconds east of UTC.
    pub(crate) offset: Option<i64>,
}

impl Parts {
    /// The time in nanoseconds since 1970, if it exists and fits.
    pub(crate) fn resolve(&self, context: &Context<'_>) -> Option<i64> {
        let seconds = match self.day {
            Day::Date(days) => self.on(days, context)?,
            Day::OfYear { month, day, weekday } => {
                let near = context.near?.div_euclid(1_000_000_000);
                let (year, ..) = calendar::civil(self.local_day(near, context));
                let date = |year| {
                    let days = calendar::date(year, month, day)?;
                    // 1970-01-01 was a Thursday.
                    let fits = weekday.is_none_or(|weekday| (days + 3).rem_euclid(7) == weekday);
                    fits.then_some(days)
                };
                // Where a leap day is not in the years around, the next one is up to 8 years away.
                let reach = if (month, day) == (2, 29) { 8 } else { 1 };
                self.nearest(near, context, Middle { step: year, reach, apart: 365 * DAY }, date)?
            }
            Day::Missing => {
                let near = context.near?.div_euclid(1_000_000_000);
                let step = self.local_day(near, context);
                self.nearest(near, context, Middle { step, reach: 1, apart: DAY }, Some)?
            }
        };
        // The first second that 64 bits of nanoseconds can express begins before them.
        let (seconds, nanosecond) =
            if seconds < 0 { (seconds + 1, self.nanosecond - 1_000_000_000) } else { (seconds, self.nanosecond) };
        seconds.checked_mul(1_000_000_000)?.checked_add(nanosecond)
    }

    /// Seconds since 1970 of the time on a day.
    fn on(&self, days: i64, context: &Context<'_>) -> Option<i64> {
        let local = days * DAY + self.second;
        match self.offset {
            Some(offset) => Some(local - offset),
            None => context.zone.instant(local),
        }
    }

    /// The day at `seconds`, in the zone of the text.
    fn local_day(&self, seconds: i64, context: &Context<'_>) -> i64 {
        let offset = self.offset.unwrap_or_else(|| context.zone.offset_at(seconds));
        (seconds + offset).div_euclid(DAY)
    }

    /// The time nearest to `near` among those on the days of the middle step and of the steps around it. Of two that are
    /// equally near, the earlier.
    fn nearest(
        &self,
        near: i64,
        context: &Context<'_>,
        middle: Middle,
        day: impl Fn(i64) -> Option<i64>,
    ) -> Option<i64> {
        let at = |step| self.on(day(step)?, context);
        // Events mostly arrive soon after their time. No other step can be nearer then, and looking at one would cost more
        // than all the rest.
        let close = (middle.apart / 2 - CLOCK_CHANGE).unsigned_abs();
        if let Some(time) = at(middle.step).filter(|time| time.abs_diff(near) < close) {
            return Some(time);
        }
        let times = (middle.step - middle.reach..=middle.step + middle.reach).filter_map(at);
        times.min_by_key(|time| time.abs_diff(near))
    }
}

/// More than clocks change, except when a zone moves across the date line.
const CLOCK_CHANGE: i64 = 3 * 3600;

/// The step, a year or a day, that contains the time to be near to, and which steps around it count.
struct Middle {
    step: i64,
    reach: i64,
    /// The least number of seconds between two steps.
    apart: i64,
}
