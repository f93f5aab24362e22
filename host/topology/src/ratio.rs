//! Ratios with a known uncertainty, such as failed events per event, which the rules of canaries
//! compare.
//!
//! Events of one batch are similar: a bad file fails as a whole. So the unit of observation is the
//! batch, and the variance of the ratio is that of a ratio of sums over clusters (linearization;
//! Cochran, Sampling Techniques, 3rd ed., 6.9 and 9A.3). Only sums are kept, so a ratio costs five
//! additions per batch.

/// Sums over batches of a part and of the whole that it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Batches that were observed.
    pub batches: f64,
    /// Sum of the parts.
    pub part: f64,
    /// Sum of the wholes.
    pub whole: f64,
    part_squared: f64,
    product: f64,
    whole_squared: f64,
}

impl Ratio {
    /// Adds the values of one batch.
    #[expect(clippy::cast_precision_loss, reason = "the rules compare shares, which need not be exact")]
    pub fn observe(&mut self, part: u64, whole: u64) {
        let (part, whole) = (part as f64, whole as f64);
        self.batches += 1.0;
        self.part += part;
        self.whole += whole;
        self.part_squared += part * part;
        self.product += part * whole;
        self.whole_squared += whole * whole;
    }

    /// The observations since an earlier copy of the same ratio.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            batches: self.batches - before.batches,
            part: self.part - before.part,
            whole: self.whole - before.whole,
            part_squared: self.part_squared - before.part_squared,
            product: self.product - before.product,
            whole_squared: self.whole_squared - before.whole_squared,
        }
    }

    /// The part divided by the whole; 0 if the whole is 0.
    pub fn rate(&self) -> f64 {
        if self.whole > 0.0 { self.part / self.whole } else { 0.0 }
    }

    /// Sum of the squared differences between the parts of the batches and the prediction of the
    /// rate.
    pub fn residual(&self) -> f64 {
        let rate = self.rate();
        (self.part_squared - 2.0 * rate * self.product + rate * rate * self.whole_squared).max(0.0)
    }

    /// Variance of the rate, from the differences between batches. Infinite for fewer than two
    /// batches.
    pub fn variance(&self) -> f64 {
        if self.batches < 2.0 || self.whole <= 0.0 {
            return f64::INFINITY;
        }
        self.batches / (self.batches - 1.0) * self.residual() / (self.whole * self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(batches: &[(u64, u64)]) -> Ratio {
        let mut ratio = Ratio::default();
        batches.iter().for_each(|(part, whole)| ratio.observe(*part, *whole));
        ratio
    }

    #[test]
    fn the_variance_is_computed_between_batches() {
        // Ten events fail one by one, or in one bad batch: the same rate with different certainty.
        let scattered = of(&[(1, 100); 10]);
        let lumped =
            of(&[(10, 100), (0, 100), (0, 100), (0, 100), (0, 100), (0, 100), (0, 100), (0, 100), (0, 100), (0, 100)]);
        assert!((scattered.rate() - lumped.rate()).abs() < 1e-12);
        assert!(scattered.variance() < 1e-12, "{}", scattered.variance());
        // Ten observations 0.1, 0, ..., 0: the variance of their mean is 0.001 / 10.
        assert!((lumped.variance() - 1e-4).abs() < 1e-9, "{}", lumped.variance());
        assert_eq!(of(&[(1, 2)]).variance(), f64::INFINITY);
        assert_eq!(Ratio::default().rate(), 0.0);
    }

    #[test]
    fn a_difference_contains_the_observations_in_between() {
        let before = of(&[(1, 10), (2, 20)]);
        let mut after = before;
        after.observe(3, 30);
        assert_eq!(after.since(&before), of(&[(3, 30)]));
    }
}
