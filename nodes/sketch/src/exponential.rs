//! Histograms whose buckets grow by a factor.

use wattle_snapshot::{Damaged, Reader, Writer};

/// An exponential histogram in the terms of OpenTelemetry's data model: bucket `i` of scale `s` has the values above
/// `2^(i / 2^s)` up to and including `2^((i + 1) / 2^s)`. It begins with the finest scale and halves the resolution
/// whenever the values of one sign need more buckets than allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExponentialHistogram {
    max_size: usize,
    scale: i8,
    /// Values that are 0 or subnormal.
    pub zeros: u64,
    /// Counts of positive values.
    pub positive: Buckets,
    /// Counts of the magnitudes of negative values.
    pub negative: Buckets,
}

/// Counts of consecutive buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Index of the first bucket.
    pub offset: i32,
    /// Counts of the buckets from there; the first and the last one are not 0.
    pub counts: Vec<u64>,
}

/// The finest and the coarsest scale. At the coarsest, all numbers are in two buckets.
const SCALES: std::ops::RangeInclusive<i8> = -10..=20;

impl ExponentialHistogram {
    /// Allowed numbers of buckets for each sign.
    pub const SIZES: std::ops::RangeInclusive<usize> = 2..=320;

    /// A histogram without values and with at most so many buckets for each sign, which is brought into
    /// [`SIZES`](Self::SIZES).
    #[must_use]
    pub fn new(max_size: usize) -> Self {
        let max_size = max_size.clamp(*Self::SIZES.start(), *Self::SIZES.end());
        Self { max_size, scale: 20, zeros: 0, positive: Buckets::default(), negative: Buckets::default() }
    }

    /// Bytes that a histogram takes at most.
    #[must_use]
    pub const fn max_bytes(max_size: usize) -> usize {
        64 + max_size * 2 * 8
    }

    /// The scale, from -10 to 20.
    #[must_use]
    pub const fn scale(&self) -> i8 {
        self.scale
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.positive.counts.iter().chain(&self.negative.counts);
        counts.fold(self.zeros, |sum, count| sum.saturating_add(*count))
    }

    /// Adds a finite value.
    pub fn add(&mut self, value: f64) {
        if value.abs() < f64::MIN_POSITIVE {
            self.zeros = self.zeros.saturating_add(1);
        } else {
            self.add_bucket(value < 0.0, index(value.abs(), self.scale), 1);
        }
    }

    /// Adds to the bucket with this index of the current scale.
    fn add_bucket(&mut self, is_negative: bool, mut index: i32, count: u64) {
        let max = self.max_size;
        let buckets =
            |histogram: &Self| if is_negative { &histogram.negative } else { &histogram.positive }.range(index);
        let (mut low, mut high) = buckets(self);
        let mut by = 0;
        while usize::try_from(i64::from(high) - i64::from(low)).unwrap_or(usize::MAX) >= max {
            (low, high, by) = (low >> 1, high >> 1, by + 1);
        }
        self.coarsen(by);
        index >>= by;
        if is_negative { &mut self.negative } else { &mut self.positive }.add(index, count);
    }

    /// Halves the resolution so many times.
    fn coarsen(&mut self, by: u8) {
        if by > 0 {
            self.scale = self.scale.saturating_sub_unsigned(by);
            self.positive.coarsen(by);
            self.negative.coarsen(by);
        }
    }

    /// Adds the values of another histogram of the same size.
    pub fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        if let Ok(by @ 1..) = u8::try_from(i16::from(self.scale) - i16::from(other.scale)) {
            self.coarsen(by);
        }
        for (is_negative, buckets) in [(false, &other.positive), (true, &other.negative)] {
            for (index, count) in (buckets.offset..).zip(&buckets.counts).filter(|(_, count)| **count > 0) {
                // The scale can fall with each bucket that is added.
                let by = u8::try_from(i16::from(other.scale) - i16::from(self.scale)).unwrap_or(0);
                self.add_bucket(is_negative, index >> by, *count);
            }
        }
    }

    /// Appends the histogram to a snapshot, without its maximum size.
    pub fn save(&self, to: &mut Writer) {
        to.signed(self.scale.into());
        to.number(self.zeros);
        for buckets in [&self.positive, &self.negative] {
            to.signed(buckets.offset.into());
            to.size(buckets.counts.len());
            buckets.counts.iter().for_each(|count| to.number(*count));
        }
    }

    /// Takes a histogram of this size from a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, or the histogram has another size.
    pub fn restore(max_size: usize, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut histogram = Self::new(max_size);
        histogram.scale = i8::try_from(from.signed()?).ok().filter(|scale| SCALES.contains(scale)).ok_or(Damaged)?;
        histogram.zeros = from.number()?;
        let (first, last) = (index(f64::MIN_POSITIVE, histogram.scale), index(f64::MAX, histogram.scale));
        for buckets in [&mut histogram.positive, &mut histogram.negative] {
            buckets.offset = i32::try_from(from.signed()?).map_err(|_| Damaged)?;
            let size = from.size(1)?;
            let end = i64::from(buckets.offset) + i64::try_from(size).map_err(|_| Damaged)?;
            if size > histogram.max_size || (size > 0 && (buckets.offset < first || end > i64::from(last) + 1)) {
                return Err(Damaged);
            }
            buckets.counts = (0..size).map(|_| from.number()).collect::<Result<_, _>>()?;
        }
        Ok(histogram)
    }
}

impl Buckets {
    /// The first and the last index with this one.
    fn range(&self, index: i32) -> (i32, i32) {
        match i32::try_from(self.counts.len()) {
            Ok(length @ 1..) => (self.offset.min(index), (self.offset + length - 1).max(index)),
            _ => (index, index),
        }
    }

    /// Adds to the bucket with this index.
    fn add(&mut self, index: i32, count: u64) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        if let Ok(missing @ 1..) = usize::try_from(i64::from(self.offset) - i64::from(index)) {
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = index;
        }
        let place = usize::try_from(i64::from(index) - i64::from(self.offset)).unwrap_or_default();
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        if let Some(sum) = self.counts.get_mut(place) {
            *sum = sum.saturating_add(count);
        }
    }

    fn coarsen(&mut self, by: u8) {
        let before = std::mem::take(self);
        for (index, count) in (before.offset..).zip(before.counts) {
            self.add(index >> by, count);
        }
    }
}

/// The bucket of a positive, normal number.
#[expect(clippy::cast_possible_truncation, reason = "at most 1,074 * 2^20 in magnitude")]
fn index(value: f64, scale: i8) -> i32 {
    let bits = value.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default() - 1023;
    let mantissa = bits & ((1 << 52) - 1);
    // A power of two is the upper bound of its bucket.
    let is_power = mantissa == 0;
    if scale <= 0 {
        return (exponent - i32::from(is_power)) >> scale.unsigned_abs();
    }
    let first = exponent << scale;
    if is_power {
        return first - 1;
    }
    let steps = 1 << scale;
    let place = f64::from_bits(mantissa | 1023 << 52).log2() * f64::from(steps);
    first + (place.ceil() as i32 - 1).clamp(0, steps - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(max_size: usize, values: &[f64]) -> ExponentialHistogram {
        let mut histogram = ExponentialHistogram::new(max_size);
        values.iter().for_each(|value| histogram.add(*value));
        histogram
    }

    fn bound(index: i32, scale: i8) -> f64 {
        (f64::from(index) / 2_f64.powi(scale.into())).exp2()
    }

    #[test]
    fn every_value_is_in_the_bounds_of_its_bucket() {
        for scale in SCALES {
            let mut value = 1e-300;
            while value < 1e300 {
                let index = index(value, scale);
                let slack = 1.0 + 1e-12;
                let is_in = bound(index, scale) <= value * slack && value <= bound(index + 1, scale) * slack;
                assert!(is_in, "{scale} {value} {index}");
                value *= 1.93;
            }
            // A power of two is the last value of its bucket.
            assert_eq!(index(2.0, scale), if scale > 0 { (1 << scale) - 1 } else { 0 }, "{scale}");
            assert_eq!(index(1.0, scale), -1);
        }
    }

    #[test]
    fn the_relative_error_follows_from_the_scale() {
        // 1 ms to 10 s in 160 buckets: 13.3 powers of two, so scale 3, and bounds that differ by the factor 2^(1/8).
        let values: Vec<f64> = (0..100_000).map(|i| 0.001 + f64::from(i) * 0.0001).collect();
        let histogram = of(160, &values);
        assert_eq!(histogram.scale(), 3);
        assert_eq!(histogram.count(), 100_000);
        let mut seen = 0;
        for (index, count) in (histogram.positive.offset..).zip(&histogram.positive.counts) {
            seen += count;
            // The bounds contain the value with this rank.
            if *count > 0 {
                let value = values[usize::try_from(seen).unwrap() - 1];
                assert!(bound(index, 3) < value * 1.000_001 && value <= bound(index + 1, 3) * 1.000_001);
            }
        }
    }

    #[test]
    fn the_extremes_fit_into_two_buckets() {
        let histogram = of(2, &[f64::MIN_POSITIVE, f64::MAX, 1.0, 0.0, -1.0, 5e-324]);
        assert_eq!(histogram.scale(), -10);
        assert_eq!((histogram.count(), histogram.zeros), (6, 2));
        assert_eq!(histogram.positive, Buckets { offset: -1, counts: vec![2, 1] });
    }

    #[test]
    fn scales_are_as_fine_as_possible() {
        assert_eq!(of(4, &[1.5]).scale(), 20);
        let histogram = of(4, &[2.0, 4.0, 16.0]);
        // The example of OpenTelemetry's data model.
        assert_eq!((histogram.scale(), histogram.positive), (0, Buckets { offset: 0, counts: vec![1, 1, 0, 1] }));
    }

    proptest! {
        #[test]
        fn a_merged_histogram_is_that_of_all_values(
            first in prop::collection::vec(-1e6..1e6_f64, 0..40), second in prop::collection::vec(-1e3..1e9_f64, 0..40),
            size in 2..30_usize,
        ) {
            let mut merged = of(size, &first);
            merged.merge(&of(size, &second));
            let mut all = of(size, &[first, second].concat());
            // Merged buckets may need a coarser scale than the values in their order, never a finer one.
            prop_assert!(merged.scale() <= all.scale());
            all.coarsen(u8::try_from(all.scale() - merged.scale()).unwrap());
            prop_assert_eq!(&merged, &all);
            let mut writer = Writer::new();
            merged.save(&mut writer);
            let saved = writer.finish();
            prop_assert_eq!(ExponentialHistogram::restore(size, &mut Reader::new(&saved).unwrap()), Ok(merged));
        }

        #[test]
        fn any_numbers_are_a_histogram_or_refused(numbers in prop::collection::vec(0..300_u64, 0..14), size in 2..9_usize) {
            let mut writer = Writer::new();
            numbers.iter().for_each(|number| writer.number(*number));
            if let Ok(mut histogram) = ExponentialHistogram::restore(size, &mut Reader::new(&writer.finish()).unwrap()) {
                histogram.add(1e300);
                histogram.add(-1e-300);
                let _ = histogram.count();
            }
        }
    }
}
