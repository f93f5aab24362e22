//! Robust statistics of counts.
//!
//! Counts get the transform of Anscombe (1948) for negative binomial variables. After it, a Poisson count has a standard
//! deviation of about 1, and so has a large count that varies by 14 %: the transform is a square root for small counts and
//! a logarithm for large ones. Then the distance from the median is divided by the median of the absolute deviations (MAD), as in
//! the modified z-score of Iglewicz and Hoaglin (1993). Both medians ignore up to half of the values, so that earlier
//! incidents have little effect.

/// Makes the MAD of normal values their standard deviation: 1 / Φ⁻¹(3/4).
const NORMAL: f64 = 1.4826;
/// φ: beyond Poisson, counts vary by the square root of this.
const DISPERSION: f64 = 0.02;
/// From so many periods on, their lowest and highest counts are enough to know how they vary.
const MANY: usize = 7;
/// The scale of n periods is multiplied by 1 + this / n.
const CORRECTION: f64 = 2.0;

/// The transform of Anscombe for negative binomial counts whose variance is m + φm².
#[expect(clippy::cast_precision_loss, reason = "a count above 2^53 needs no more digits")]
pub(crate) fn transform(count: u64) -> f64 {
    2.0 / DISPERSION.sqrt() * (DISPERSION * (count as f64 + 0.375)).sqrt().asinh()
}

/// What is expected of a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    /// The median of all counts.
    pub(crate) count: f64,
    /// The medians of the lowest and of the highest count of each period.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Standard deviations of transformed counts: those of lowest and highest counts.
    scales: (f64, f64),
    /// The medians, transformed.
    centers: (f64, f64),
}

/// Earlier counts at about the same time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// All counts.
    counts: Vec<u32>,
    /// The lowest and the highest count of each period.
    lows: Vec<u32>,
    highs: Vec<u32>,
    scratch: Vec<f64>,
}

impl Sample {
    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.lows.clear();
        self.highs.clear();
    }

    /// Adds a count of the same period as the last one, or of another one.
    pub(crate) fn push(&mut self, count: u32, is_other_period: bool) {
        self.counts.push(count);
        match (self.lows.last_mut(), self.highs.last_mut()) {
            (Some(low), Some(high)) if !is_other_period => (*low, *high) = ((*low).min(count), (*high).max(count)),
            _ => {
                self.lows.push(count);
                self.highs.push(count);
            }
        }
    }

    /// Number of periods.
    pub(crate) const fn periods(&self) -> usize {
        self.lows.len()
    }

    /// How many times less likely silence is than events, by Laplace's rule of succession: of n earlier counts, so many
    /// were zero.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub(crate) fn surprise(&self) -> f64 {
        let silent = self.counts.iter().filter(|count| **count == 0).count();
        (self.counts.len() + 1) as f64 / (silent + 1) as f64
    }

    /// What is expected; `None` without counts.
    pub(crate) fn expected(&mut self) -> Option<Expected> {
        let (count, _, all) = robust(&mut self.counts, &mut self.scratch)?;
        let (low, low_center, lows) = robust(&mut self.lows, &mut self.scratch)?;
        let (high, high_center, highs) = robust(&mut self.highs, &mut self.scratch)?;
        // The deviation of few values is often too small by chance.
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let correction = 1.0 + CORRECTION / self.lows.len() as f64;
        let all = if self.lows.len() < MANY { all } else { 0.0 };
        let scale = |deviation: f64| (deviation.max(all) * correction).max(1.0);
        let (scales, centers) = ((scale(lows), scale(highs)), (low_center, high_center));
        Some(Expected { count, low, high, scales, centers })
    }
}

impl Expected {
    /// By how many standard deviations a count is above the usual highest ones (positive), or below the usual lowest ones
    /// (negative).
    pub(crate) fn score(&self, count: u64) -> f64 {
        let count = transform(count);
        let (below, above) = ((count - self.centers.0) / self.scales.0, (count - self.centers.1) / self.scales.1);
        if above > 0.0 { above } else { below.min(0.0) }
    }
}

/// The median of counts, the median of the transformed counts, and their standard deviation by the MAD. Sorts the counts.
fn robust(counts: &mut [u32], scratch: &mut Vec<f64>) -> Option<(f64, f64, f64)> {
    counts.sort_unstable();
    scratch.clear();
    scratch.extend(counts.iter().map(|count| f64::from(*count)));
    let count = median(scratch)?;
    scratch.clear();
    scratch.extend(counts.iter().map(|count| transform(u64::from(*count))));
    let center = median(scratch)?;
    scratch.iter_mut().for_each(|value| *value = (*value - center).abs());
    scratch.sort_unstable_by(f64::total_cmp);
    Some((count, center, NORMAL * median(scratch)?))
}

/// The median of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(periods: &[&[u32]]) -> Sample {
        let mut sample = Sample::default();
        for period in periods {
            period.iter().enumerate().for_each(|(place, count)| sample.push(*count, place == 0));
        }
        sample
    }

    fn expected(counts: &[u32]) -> Expected {
        sample(&counts.iter().map(std::slice::from_ref).collect::<Vec<_>>()).expected().unwrap()
    }

    #[test]
    fn a_score_is_the_distance_from_the_median_in_standard_deviations() {
        let steady = expected(&[100; 20]);
        assert_eq!((steady.count, steady.scales), (100.0, (1.0, 1.0)));
        // The variance is m + 0.02 m²: the deviation is 17.3 of 100, 2.02 of 4, and 1418 of 10,000.
        assert!((steady.score(117) - 1.0).abs() < 0.1 && (steady.score(83) + 1.0).abs() < 0.15);
        assert!((expected(&[4; 99]).score(6) - 1.0).abs() < 0.2);
        assert!((expected(&[10_000; 99]).score(11_418) - 1.0).abs() < 0.1);
        assert_eq!(steady.score(100), 0.0);
        let varied = expected(&[60, 70, 80, 90, 100, 110, 120, 130, 140]);
        assert!(varied.score(150) < 2.0 && varied.score(800) > 4.0);
    }

    #[test]
    fn outliers_have_little_effect() {
        let clean = expected(&[95, 97, 99, 100, 100, 101, 103, 105, 107]);
        let dirty = expected(&[95, 97, 99, 100, 100, 101, 100_000, 0, 0]);
        assert!((clean.count - dirty.count).abs() <= 1.0);
        assert!(dirty.score(200) > 3.0 && dirty.score(20) < -5.0);
    }

    #[test]
    fn a_job_may_run_an_interval_earlier_or_later() {
        let job = sample(&[&[0, 30, 0], &[31, 0, 0], &[0, 29, 0], &[0, 0, 32], &[0, 30, 0]]).expected().unwrap();
        assert_eq!((job.low, job.count, job.high), (0.0, 0.0, 30.0));
        assert!(job.score(0) == 0.0 && job.score(30) == 0.0 && job.score(90) > 3.0);
    }

    #[test]
    fn few_values_are_enough_and_none_are_not() {
        assert_eq!(Sample::default().expected(), None);
        assert_eq!(expected(&[3, 5]).count, 4.0);
        assert!(expected(&[0, 0, 0]).score(1) < 1.5);
    }

    #[test]
    fn silence_is_surprising_where_there_was_none() {
        assert_eq!(sample(&[&[1, 2, 3]]).surprise(), 4.0);
        assert_eq!(sample(&[&[1, 0, 0]]).surprise(), 4.0 / 3.0);
        assert_eq!(Sample::default().surprise(), 1.0);
    }
}
