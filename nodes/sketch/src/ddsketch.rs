//! Quantiles.

use wattle_snapshot::{Damaged, Reader, Writer};

/// Maps values to buckets whose bounds grow by a fixed factor.
///
/// The logarithm is the cubic interpolation between powers of two of Datadog's implementations, which costs three
/// multiplications and gives the same buckets on every platform. It needs 1 % more buckets than the exact logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mapping {
    /// Buckets for each power of two.
    multiplier: f64,
}

/// Coefficients of the interpolation: 0 at 0, 1 at 1, and slopes that fit.
const A: f64 = 6.0 / 35.0;
const B: f64 = -3.0 / 5.0;
const C: f64 = 10.0 / 7.0;
/// The smallest slope of the interpolation, relative to that of the logarithm to base 2.
const MIN_SLOPE: f64 = C * std::f64::consts::LN_2;

impl Mapping {
    /// The mapping with this relative error of a value, more than 0 and less than 1.
    #[must_use]
    pub fn new(accuracy: f64) -> Self {
        let gamma = (1.0 + accuracy) / (1.0 - accuracy);
        Self { multiplier: 1.0 / (gamma.log2() * MIN_SLOPE) }
    }

    /// The bucket of a positive, normal number.
    #[expect(clippy::cast_possible_truncation, reason = "at most 1,024 powers of two times the buckets of each")]
    fn index(&self, value: f64) -> i32 {
        let bits = value.to_bits();
        let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default() - 1023;
        let s = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52) - 1.0;
        let logarithm = ((A * s + B) * s + C) * s + f64::from(exponent);
        (logarithm * self.multiplier).floor() as i32
    }

    /// The lower bound of a bucket.
    fn bound(&self, index: i32) -> f64 {
        let logarithm = f64::from(index) / self.multiplier;
        let (exponent, fraction) = (logarithm.floor(), logarithm - logarithm.floor());
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..53 {
            let s = f64::midpoint(low, high);
            if ((A * s + B) * s + C) * s <= fraction {
                low = s;
            } else {
                high = s;
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 1,024")]
        let power = 2_f64.powi(exponent as i32);
        (1.0 + low) * power
    }

    /// A value whose relative distance to every value of the bucket is at most the accuracy.
    fn value(&self, index: i32) -> f64 {
        // The last bucket ends with the largest number, not at its bound, which can be infinite.
        let (low, high) = (self.bound(index), self.bound(index.saturating_add(1)).min(f64::MAX));
        low * (high / f64::midpoint(low, high))
    }
}

/// Counts by bucket, in the order of the buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bins {
    indices: Vec<i32>,
    counts: Vec<u64>,
}

impl Bins {
    /// Buckets that are kept at most; then the lowest two become one.
    pub const MAX: usize = 1024;

    fn add(&mut self, index: i32, count: u64) {
        match self.indices.binary_search(&index) {
            Ok(place) => self.raise(place, count),
            Err(0) if self.indices.len() >= Self::MAX => self.raise(0, count),
            Err(place) => {
                self.indices.insert(place, index);
                self.counts.insert(place, count);
                if self.indices.len() > Self::MAX {
                    self.indices.remove(0);
                    let lowest = self.counts.remove(0);
                    self.raise(0, lowest);
                }
            }
        }
    }

    fn raise(&mut self, place: usize, count: u64) {
        if let Some(sum) = self.counts.get_mut(place) {
            *sum = sum.saturating_add(count);
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, u64)> {
        self.indices.iter().copied().zip(self.counts.iter().copied())
    }

    fn merge(&mut self, other: &Self) {
        // From the highest, so that what is over the limit is what it would be in one sketch.
        other.iter().rev().for_each(|(index, count)| self.add(index, count));
    }

    fn save(&self, to: &mut Writer) {
        to.size(self.indices.len());
        let mut last = 0;
        for (index, count) in self.iter() {
            to.signed(i64::from(index) - last);
            to.number(count);
            last = index.into();
        }
    }

    fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let size = from.size(2)?;
        if size > Self::MAX {
            return Err(Damaged);
        }
        let (mut bins, mut last) = (Self::default(), 0_i64);
        for _ in 0..size {
            last = last.checked_add(from.signed()?).ok_or(Damaged)?;
            bins.indices.push(i32::try_from(last).map_err(|_| Damaged)?);
            bins.counts.push(from.number()?);
        }
        if bins.indices.is_sorted_by(|a, b| a < b) { Ok(bins) } else { Err(Damaged) }
    }
}

/// Quantiles with a relative error: DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
/// relative-error guarantees", 2019).
///
/// The error bound holds for every quantile whose value is in a bucket that was not collapsed: with more than
/// [`Bins::MAX`] buckets of one sign, the values next to zero lose it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DdSketch {
    positive: Bins,
    /// Buckets of the magnitudes of negative values.
    negative: Bins,
    zeros: u64,
    /// The lowest and the highest value.
    range: Option<(f64, f64)>,
}

impl DdSketch {
    /// Bytes that a sketch takes at most.
    pub const MAX_BYTES: usize = 24 + 2 * Bins::MAX * 12;

    /// Bytes that the sketch takes now.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        24 + (self.positive.indices.len() + self.negative.indices.len()) * 12
    }

    /// Adds a finite value. Subnormal numbers count as 0.
    pub fn add(&mut self, mapping: &Mapping, value: f64) {
        if value >= f64::MIN_POSITIVE {
            self.positive.add(mapping.index(value), 1);
        } else if value <= -f64::MIN_POSITIVE {
            self.negative.add(mapping.index(-value), 1);
        } else {
            self.zeros = self.zeros.saturating_add(1);
        }
        self.widen(value, value);
    }

    fn widen(&mut self, low: f64, high: f64) {
        let (lowest, highest) = self.range.unwrap_or((low, high));
        self.range = Some((lowest.min(low), highest.max(high)));
    }

    /// Adds the values of another sketch of the same mapping.
    pub fn merge(&mut self, other: &Self) {
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
        self.zeros = self.zeros.saturating_add(other.zeros);
        if let Some((low, high)) = other.range {
            self.widen(low, high);
        }
    }

    /// The smallest value that this share of the values, of 0 to 1, does not exceed; `None` without values.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 0 and the count; above 2^53 values it is rounded"
    )]
    pub fn quantile(&self, mapping: &Mapping, q: f64) -> Option<f64> {
        let (lowest, highest) = self.range?;
        let counts = self.negative.counts.iter().chain([&self.zeros]).chain(&self.positive.counts);
        let count = counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
        // 0.07 * 100 is a little more than 7.
        let rank = ((q.clamp(0.0, 1.0) * count as f64 - 1e-9).ceil() as u64).clamp(1, count) - 1;
        if rank == 0 {
            return Some(lowest);
        }
        if rank == count - 1 {
            return Some(highest);
        }
        let negative = self.negative.iter().rev().map(|(index, count)| (Some((index, -1.0)), count));
        let positive = self.positive.iter().map(|(index, count)| (Some((index, 1.0)), count));
        let mut seen = 0_u64;
        for (bucket, count) in negative.chain([(None, self.zeros)]).chain(positive) {
            seen = seen.saturating_add(count);
            if seen > rank {
                let value = bucket.map_or(0.0, |(index, sign)| sign * mapping.value(index));
                return Some(value.clamp(lowest, highest));
            }
        }
        Some(highest)
    }

    /// Appends the sketch to a snapshot, without its mapping.
    pub fn save(&self, to: &mut Writer) {
        self.positive.save(to);
        self.negative.save(to);
        to.number(self.zeros);
        to.flag(self.range.is_some());
        if let Some((low, high)) = self.range {
            to.float(low);
            to.float(high);
        }
    }

    /// Takes a sketch from a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged.
    pub fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (positive, negative) = (Bins::restore(from)?, Bins::restore(from)?);
        let zeros = from.number()?;
        let range = if from.flag()? { Some((from.float()?, from.float()?)) } else { None };
        let counts = positive.counts.iter().chain(&negative.counts).chain([&zeros]);
        let count = counts.copied().try_fold(0_u64, u64::checked_add).ok_or(Damaged)?;
        let fits = range.map_or(count == 0, |(low, high)| count > 0 && low <= high);
        if fits { Ok(Self { positive, negative, zeros, range }) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(mapping: &Mapping, values: &[f64]) -> DdSketch {
        let mut sketch = DdSketch::default();
        values.iter().for_each(|value| sketch.add(mapping, *value));
        sketch
    }

    /// The smallest value that a share of the values does not exceed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    fn exact(values: &[f64], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[((q * sorted.len() as f64 - 1e-9).ceil() as usize).max(1) - 1]
    }

    #[track_caller]
    fn check(accuracy: f64, values: &[f64]) {
        let mapping = Mapping::new(accuracy);
        let sketch = of(&mapping, values);
        for q in [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0] {
            let (found, exact) = (sketch.quantile(&mapping, q).unwrap(), exact(values, q));
            let error = (found - exact).abs();
            assert!(error <= accuracy * exact.abs() * (1.0 + 1e-9), "q {q}: {found} instead of {exact}");
        }
    }

    #[test]
    fn the_error_is_within_its_bound() {
        // Long tails: values from a linear congruential generator, mapped to a Pareto distribution.
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        };
        let pareto: Vec<f64> = (0..100_000).map(|_| 1.0 / (1.0 - next() * 0.999_99).powf(0.8)).collect();
        let latencies: Vec<f64> = (0..100_000).map(|_| 0.001 + next() * next() * 3.0).collect();
        let signed: Vec<f64> = (0..10_000).map(|i| (next() - 0.5) * f64::from(i % 100)).collect();
        for accuracy in [0.005, 0.01, 0.05] {
            check(accuracy, &pareto);
            check(accuracy, &latencies);
            check(accuracy, &signed);
        }
    }

    #[test]
    fn every_value_is_near_the_value_of_its_bucket() {
        for accuracy in [0.001, 0.01, 0.1] {
            let mapping = Mapping::new(accuracy);
            let mut value = f64::MIN_POSITIVE;
            while value < f64::MAX / 2.0 {
                let found = mapping.value(mapping.index(value));
                assert!((found - value).abs() <= accuracy * value * (1.0 + 1e-9), "{value} {found}");
                value *= 1.37;
            }
        }
    }

    #[test]
    fn many_buckets_collapse_next_to_zero() {
        let mapping = Mapping::new(0.01);
        let values: Vec<f64> = (0..3000).map(|i| 1.03_f64.powi(i)).collect();
        let sketch = of(&mapping, &values);
        assert_eq!(sketch.positive.indices.len(), Bins::MAX);
        assert!(sketch.bytes() <= DdSketch::MAX_BYTES);
        for q in [0.7, 0.9, 0.99] {
            let (found, exact) = (sketch.quantile(&mapping, q).unwrap(), exact(&values, q));
            assert!((found / exact - 1.0).abs() <= 0.010_001, "{q}");
        }
        assert_eq!(sketch.quantile(&mapping, 0.0), Some(1.0));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(DdSketch::default().quantile(&Mapping::new(0.01), 0.5), None);
    }

    #[test]
    fn quantiles_of_the_greatest_numbers_are_numbers() {
        for accuracy in [0.001, 0.01, 0.2] {
            let values =
                [f64::MAX, f64::MAX / 1.1, f64::MAX / 2.0, -f64::MAX, -f64::MAX / 1.5, f64::MIN_POSITIVE, 5e-324];
            check(accuracy, &values);
        }
    }

    proptest! {
        #[test]
        fn any_values_are_within_the_bound(
            values in prop::collection::vec(prop_oneof![
                any::<f64>().prop_filter("normal", |x| x.is_normal()), -1e3..1e3_f64, Just(0.0),
            ], 1..60),
            q in 0.0..=1.0_f64,
        ) {
            let mapping = Mapping::new(0.02);
            let (found, exact) = (of(&mapping, &values).quantile(&mapping, q).unwrap(), exact(&values, q));
            let error = if exact.abs() >= f64::MIN_POSITIVE { ((found - exact) / exact).abs() } else { found.abs() };
            prop_assert!(error <= 0.02 * (1.0 + 1e-9), "{} instead of {}", found, exact);
        }

        #[test]
        fn a_merged_sketch_is_that_of_all_values(
            first in prop::collection::vec(-1e3..1e3_f64, 0..60), second in prop::collection::vec(-1e3..1e3_f64, 0..60),
        ) {
            let mapping = Mapping::new(0.01);
            let mut merged = of(&mapping, &first);
            merged.merge(&of(&mapping, &second));
            prop_assert_eq!(&merged, &of(&mapping, &[second, first].concat()));
            let mut writer = Writer::new();
            merged.save(&mut writer);
            let saved = writer.finish();
            prop_assert_eq!(DdSketch::restore(&mut Reader::new(&saved).unwrap()), Ok(merged));
        }

        #[test]
        fn any_numbers_are_a_sketch_or_refused(numbers in prop::collection::vec(0..2000_u64, 0..12), floats: [f64; 2]) {
            let mut writer = Writer::new();
            numbers.iter().for_each(|number| writer.number(*number));
            floats.iter().for_each(|float| writer.float(*float));
            if let Ok(sketch) = DdSketch::restore(&mut Reader::new(&writer.finish()).unwrap()) {
                let _ = sketch.quantile(&Mapping::new(0.01), 0.5);
            }
        }
    }
}
