//! Floors: the first events of each period, which are kept whatever the rate.

/// How many periods a floor remembers. Events arrive out of order, but rarely from more periods than this.
const PERIODS: usize = 64;

/// The floor of a class.
#[derive(Debug)]
pub(crate) struct Floor {
    size: u64,
    /// Length of a period in nanoseconds, more than 0.
    period: i64,
    /// Periods with the number of events kept; the last used one is the last.
    periods: Vec<(Option<i64>, u64)>,
}

impl Floor {
    /// A floor of `size` events per `period` nanoseconds.
    pub(crate) const fn new(size: u64, period: i64) -> Self {
        Self { size, period, periods: Vec::new() }
    }

    /// Whether an event of this time is one of the first in its period. Events without a time share one period.
    pub(crate) fn takes(&mut self, time: Option<i64>) -> bool {
        let period = time.and_then(|time| time.checked_div_euclid(self.period));
        let known = self.periods.iter().rposition(|(known, _)| *known == period);
        let kept = match known {
            Some(place) => self.periods.remove(place).1,
            None => 0,
        };
        if self.periods.len() >= PERIODS {
            self.periods.remove(0);
        }
        let takes = kept < self.size;
        self.periods.push((period, kept + u64::from(takes)));
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_period_has_its_own_first_events() {
        let mut floor = Floor::new(2, 10);
        let times = [0, 9, 5, 10, -1, 19, 12, -10, -3, 3];
        let taken = times.map(|time| floor.takes(Some(time)));
        assert_eq!(taken, [true, true, false, true, true, true, false, true, false, false]);
        assert_eq!([(); 3].map(|()| floor.takes(None)), [true, true, false]);
    }

    #[test]
    fn the_period_that_was_unused_for_longest_is_forgotten() {
        let mut floor = Floor::new(1, 1);
        let periods = i64::try_from(PERIODS).unwrap();
        assert!((0..periods).all(|time| floor.takes(Some(time))));
        assert!(!floor.takes(Some(0)));
        assert!(floor.takes(Some(periods)));
        assert!(!floor.takes(Some(0)));
        assert!(floor.takes(Some(1)));
        assert_eq!(floor.periods.len(), PERIODS);
    }
}
