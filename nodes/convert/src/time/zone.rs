//! Time zones: from local times to instants, and back.

use super::calendar;
#[cfg(feature = "zones")]
use super::named::Named;

/// A time zone: a fixed offset, or (feature `zones`) a name of the IANA database.
///
/// A local time that a clock skipped when it moved forward moves by the same length: 02:30 becomes 03:30. A local time that
/// a clock showed twice is the earlier of the two. RFC 5545 has the same rules.
#[derive(Debug)]
pub struct Zone(Kind);

#[derive(Debug)]
enum Kind {
    /// Seconds east of UTC.
    Fixed(i64),
    #[cfg(feature = "zones")]
    Named(Named),
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Kind::Fixed(0));

    /// The zone with a fixed offset: `UTC`, `Z`, `+02:00`, `-0530`, `+01`. Less than 24 hours.
    pub fn fixed(text: &str) -> Option<Self> {
        let seconds = match *text.as_bytes() {
            _ if ["utc", "z", "gmt"].iter().any(|name| text.eq_ignore_ascii_case(name)) => 0,
            [sign, h0, h1] => calendar::offset(sign, [h0, h1], [b'0'; 2])?,
            [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => calendar::offset(sign, [h0, h1], [m0, m1])?,
            _ => return None,
        };
        Some(Self(Kind::Fixed(seconds)))
    }

    /// The zone with a fixed offset, or with a name of the IANA database, such as `Europe/Berlin`, in any case.
    ///
    /// # Errors
    /// Describes what is wrong with the text.
    #[cfg(feature = "zones")]
    pub fn new(text: &str) -> Result<Self, String> {
        match Self::fixed(text) {
            Some(zone) => Ok(zone),
            None => Named::new(text).map(|named| Self(Kind::Named(named))),
        }
    }

    /// The zone as [`new`](Self::new) finds it, for names of events: it looks for no similar name.
    #[cfg(feature = "zones")]
    pub fn find(text: &str) -> Option<Self> {
        Self::fixed(text).or_else(|| Named::find(text).map(|named| Self(Kind::Named(named))))
    }

    /// The instant of a local time; both in seconds, the local time as if it were UTC. `None` if jiff cannot represent it
    /// (years -9999 to 9999).
    pub(crate) fn instant(&self, local: i64) -> Option<i64> {
        match &self.0 {
            Kind::Fixed(offset) => Some(local - offset),
            #[cfg(feature = "zones")]
            Kind::Named(named) => named.instant(local),
        }
    }

    /// Seconds east of UTC at an instant, in seconds since 1970.
    #[cfg_attr(not(feature = "zones"), expect(unused_variables, reason = "a fixed offset is the same at any time"))]
    pub(crate) fn offset_at(&self, instant: i64) -> i64 {
        match &self.0 {
            Kind::Fixed(offset) => *offset,
            #[cfg(feature = "zones")]
            Kind::Named(named) => named.offset_at(instant),
        }
    }

    /// Whether the zone is UTC by definition, and not only at some time.
    pub(crate) fn is_utc(&self) -> bool {
        matches!(self.0, Kind::Fixed(0))
    }

    /// The zone for jiff.
    pub(crate) fn to_jiff(&self) -> jiff::tz::TimeZone {
        match &self.0 {
            Kind::Fixed(offset) => {
                let offset = i32::try_from(*offset).ok().and_then(|offset| jiff::tz::Offset::from_seconds(offset).ok());
                offset.map_or(jiff::tz::TimeZone::UTC, jiff::tz::TimeZone::fixed)
            }
            #[cfg(feature = "zones")]
            Kind::Named(named) => named.to_jiff(),
        }
    }
}
