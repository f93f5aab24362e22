//! Limits around the present timestamp of an event.

use wattle_convert::duration;
use wattle_node::{Field, Setup};

use crate::options::{OnSkew, Options};

/// On which side of the limits a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    TooOld,
    InFuture,
}

impl Skew {
    /// The code of failures, drops and counts.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::TooOld => "too-old",
            Self::InFuture => "in-future",
        }
    }
}

/// The limits, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    max_age: Option<i64>,
    max_future: Option<i64>,
}

impl Limits {
    /// Reads the limits. Returns `None` after it reported an error to `setup`.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let max_age = limit("max_age", options.max_age.as_deref(), setup);
        let max_future = limit("max_future", options.max_future.as_deref(), setup);
        if options.max_age.is_none() && options.max_future.is_none() && options.on_skew != OnSkew::Fail {
            setup.error("on_skew", "`on_skew` needs a limit; add `max_age` or `max_future`, or remove it");
        }
        if options.skew_field.is_some() && options.on_skew != OnSkew::Tag {
            setup.error("skew_field", "`skew_field` is for `on_skew = \"tag\"`; add it, or remove the field");
        }
        Some(Self { max_age: max_age?, max_future: max_future? })
    }

    /// Whether there is a limit.
    pub(crate) const fn any(&self) -> bool {
        self.max_age.is_some() || self.max_future.is_some()
    }

    /// The side on which a time is outside of the limits around `near`, and the limit on that side.
    pub(crate) fn check(&self, time: i64, near: i64) -> Option<(Skew, i64)> {
        let oldest = self.max_age.map_or(i64::MIN, |age| near.saturating_sub(age).max(i64::MIN + 1));
        let newest = self.max_future.map_or(i64::MAX, |future| near.saturating_add(future));
        if time < oldest {
            Some((Skew::TooOld, oldest))
        } else if time > newest {
            Some((Skew::InFuture, newest))
        } else {
            None
        }
    }
}

/// The field for the side of the limits, if the options have one. Returns `None` after it reported an error to `setup`.
pub(crate) fn tag(options: &Options, setup: &mut Setup<'_>) -> Option<Option<Field>> {
    if options.on_skew != OnSkew::Tag {
        return Some(None);
    }
    let path = options.skew_field.as_deref().unwrap_or("attributes.time_skew");
    let root = path.split(['.', '[']).next().unwrap_or_default();
    if path == root || !matches!(root, "attributes" | "resource") {
        setup.error("skew_field", "the field is `attributes.<key>` or `resource.<key>`");
        return None;
    }
    if path == options.into {
        setup.error("skew_field", "the time goes to this field; name another one");
        return None;
    }
    setup.write("skew_field", path).map(Some)
}

/// A limit, if the options have it. Returns `None` after it reported an error to `setup`.
fn limit(option: &str, text: Option<&str>, setup: &mut Setup<'_>) -> Option<Option<i64>> {
    let Some(text) = text else { return Some(None) };
    let length = duration::parse(text.as_bytes(), None).filter(|length| *length >= 0);
    if length.is_none() {
        setup
            .error(option, format!("`{text}` is not a duration of at most 292 years, such as `7d`, `1h 30m` or `90s`"));
    }
    length.map(Some)
}
