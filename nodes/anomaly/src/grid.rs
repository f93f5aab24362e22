//! Intervals and periods, by number.

use wattle_snapshot::align;

const DAY: i64 = 86_400_000_000_000;

/// How time is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Length of an interval in nanoseconds.
    pub(crate) interval: i64,
    /// Intervals of a period.
    pub(crate) slots: i64,
    /// Number of earlier periods.
    pub(crate) periods: i64,
    /// Intervals compared on each side of the same time.
    pub(crate) neighbours: i64,
    pub(crate) weekends_apart: bool,
    /// Local time minus UTC in nanoseconds.
    pub(crate) offset: i64,
}

impl Grid {
    /// The number of the interval that contains a time.
    pub(crate) fn index(&self, time: i64) -> i64 {
        align(time, self.interval).div_euclid(self.interval)
    }

    /// The first nanosecond of an interval.
    pub(crate) const fn start(&self, index: i64) -> i64 {
        index.saturating_mul(self.interval)
    }

    /// How many intervals a duration has, rounded up.
    pub(crate) fn intervals(&self, duration: i64) -> i64 {
        (duration.saturating_add(self.interval - 1)).div_euclid(self.interval)
    }

    /// How many intervals a key remembers.
    pub(crate) const fn remembered(&self) -> i64 {
        self.slots * self.periods + self.neighbours + 1
    }

    /// The number of the local period of an interval.
    pub(crate) fn period(&self, index: i64) -> i64 {
        self.start(index).saturating_add(self.offset).div_euclid(self.interval * self.slots)
    }

    /// Whether the interval is the last one of its local period.
    pub(crate) fn ends_period(&self, index: i64) -> bool {
        self.period(index) != self.period(index + 1)
    }

    /// What tells apart days that are not compared.
    pub(crate) fn class(&self, index: i64) -> bool {
        // The first day since 1970 was a Thursday.
        let day = self.start(index).saturating_add(self.offset).div_euclid(DAY);
        self.weekends_apart && matches!((day + 4).rem_euclid(7), 0 | 6)
    }

    /// The intervals with which an interval is compared, the latest period first.
    pub(crate) fn compared(&self, index: i64) -> impl Iterator<Item = i64> + '_ {
        let class = self.class(index);
        let around = move |period| {
            let center = index - period * self.slots;
            center - self.neighbours..=center + self.neighbours
        };
        (1..=self.periods).flat_map(around).filter(move |other| *other < index && self.class(*other) == class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = DAY / 24;

    fn grid() -> Grid {
        Grid { interval: HOUR, slots: 24, periods: 7, neighbours: 1, weekends_apart: true, offset: 2 * HOUR }
    }

    #[test]
    fn weekends_are_compared_with_weekends() {
        // 2026-01-03 was a Saturday; it begins at 22:00 UTC of the day before.
        let saturday = grid().index(1_767_391_200_000_000_000);
        assert!(!grid().class(saturday - 1) && grid().class(saturday) && grid().class(saturday + 47));
        assert!(!grid().class(saturday + 48));
        assert!(grid().ends_period(saturday - 1) && !grid().ends_period(saturday));
        let compared: Vec<i64> = grid().compared(saturday + 1).map(|index| saturday + 1 - index).collect();
        assert_eq!(compared, [6 * 24 + 1, 6 * 24, 6 * 24 - 1, 7 * 24 + 1, 7 * 24, 7 * 24 - 1]);
        let compared: Vec<i64> = grid().compared(saturday + 49).map(|index| saturday + 49 - index).collect();
        assert_eq!(compared.len(), 15);
        assert!(compared.iter().all(|back| *back < grid().remembered()));
    }

    #[test]
    fn durations_are_rounded_up() {
        assert_eq!([0, 1, HOUR, HOUR + 1].map(|time| grid().intervals(time)), [0, 1, 1, 2]);
        assert_eq!(grid().index(-1), -1);
    }
}
