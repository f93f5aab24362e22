//! Checks the options.

use std::ops::RangeInclusive;

use wattle_convert::duration;
use wattle_convert::time::Zone;
use wattle_node::Setup;

use crate::detector::Settings;
use crate::grid::Grid;
use crate::options::{Kind, Options};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Maximum number of counts of a key, of 4 bytes each.
const MAX_COUNTS: i64 = 1 << 20;

/// What the options say, checked.
pub(crate) struct Checked {
    pub(crate) grid: Grid,
    pub(crate) settings: Settings,
    /// In nanoseconds.
    pub(crate) delay: i64,
    pub(crate) quiet: i64,
}

/// Checks the options but for fields and conditions. Returns `None` after it reported an error to `setup`.
pub(crate) fn check(options: &Options, setup: &mut Setup<'_>) -> Option<Checked> {
    let mut length = |name: &str, text: &str, least: i64| {
        let length = duration::parse(text.as_bytes(), None).filter(|length| *length >= least);
        if length.is_none() {
            let least = if least == 0 { "" } else { " of at least 1 s" };
            setup.error(name, format!("`{text}` is not a duration{least}, such as `30m`, `6h` or `7d`"));
        }
        length
    };
    let interval = length("interval", &options.interval, SECOND);
    let period = length("period", &options.period, SECOND);
    let warm_up = length("warm_up", &options.warm_up, 0);
    let new_after = length("new_after", &options.new_after, SECOND);
    let quiet = length("quiet", &options.quiet, 0);
    let cooldown = length("cooldown", &options.cooldown, 0);
    let delay = length("delay", &options.delay, 0);
    let periods = within("periods", options.periods, 1..=366, setup);
    let neighbours = within("neighbours", options.neighbours, 0..=10, setup);
    let min_periods = within("min_periods", options.min_periods, 2..=366, setup);
    let compares = options.kinds.iter().any(|kind| matches!(kind, Kind::Spike | Kind::Drop));
    if compares && (1..min_periods).contains(&periods) && min_periods <= 366 {
        setup.error(
            "min_periods",
            format!(
                "is {min_periods}, but `periods` remembers only {periods}, so that no spike or drop would be found; write at \
                 most {periods}, or at least {min_periods} for `periods`"
            ),
        );
    }
    let max_keys = within("max_keys", options.max_keys, 1..=10_000, setup);
    let max_samples = within("samples", options.samples, 0..=10, setup);
    if !(1.0..=1000.0).contains(&options.threshold) {
        setup.error("threshold", format!("is {}; write a number from 1 to 1000, such as `6`", options.threshold));
    }
    if !(options.min_ratio >= 1.0 && options.min_ratio.is_finite()) {
        setup.error("min_ratio", format!("is {}; write a number of at least 1, such as `1.5`", options.min_ratio));
    }
    let offset = offset(&options.utc_offset);
    if offset.is_none() {
        setup.error("utc_offset", format!("`{}` is not an offset such as `+02:00`", options.utc_offset));
    }
    let (interval, period) = (interval?, period?);
    if period % interval != 0 || period == interval {
        let message =
            format!("`{}` does not divide the period `{}` into equal parts", options.interval, options.period);
        setup.error("interval", message);
        return None;
    }
    let slots = period / interval;
    if slots <= 2 * i64::from(neighbours) {
        setup.error("neighbours", format!("{neighbours} on each side are more than the {slots} intervals of a period"));
        return None;
    }
    let weekends_apart = options.weekends_apart && period == DAY;
    let offset = if period == DAY { offset? } else { 0 };
    let grid = Grid {
        interval,
        slots,
        periods: periods.into(),
        neighbours: neighbours.into(),
        weekends_apart,
        offset: offset - offset.rem_euclid(interval),
    };
    if grid.remembered() > MAX_COUNTS {
        let message =
            format!("each key has {} counts, at most {MAX_COUNTS} are possible; use longer ones", grid.remembered());
        setup.error("interval", message);
        return None;
    }
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let settings = Settings {
        kinds: options.kinds.clone(),
        threshold: options.threshold,
        min_ratio: options.min_ratio,
        min_difference: f64::from(options.min_difference),
        min_periods: size(min_periods),
        warm_up: grid.intervals(warm_up?),
        new_after: grid.intervals(new_after?),
        cooldown: grid.intervals(cooldown?),
        max_keys: size(max_keys),
        max_findings: size(options.max_findings),
        max_samples: size(max_samples),
    };
    Some(Checked { grid, settings, delay: delay?, quiet: quiet? })
}

fn within(name: &str, value: u32, range: RangeInclusive<u32>, setup: &mut Setup<'_>) -> u32 {
    if !range.contains(&value) {
        setup.error(name, format!("is {value}; write a number from {} to {}", range.start(), range.end()));
    }
    value
}

/// Local time minus UTC in nanoseconds.
fn offset(text: &str) -> Option<i64> {
    Zone::fixed(text)?;
    let digits = |range: std::ops::Range<usize>| text.get(range).map_or(Some(0), |digits| digits.parse::<i64>().ok());
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let minutes = if text.contains(':') { 4..6 } else { 3..5 };
    Some(sign * (digits(1..3)? * 60 + digits(minutes)?) * 60 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_hours_and_minutes() {
        let minutes = |text| offset(text).map(|offset| offset / SECOND / 60);
        assert_eq!(["+02:00", "-0530", "+01", "Z", "UTC"].map(minutes), [120, -330, 60, 0, 0].map(Some));
        assert_eq!(["", "2h", "+25:00", "Europe/Berlin"].map(minutes), [None; 4]);
    }
}
