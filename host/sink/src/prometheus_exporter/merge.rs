//! Adds changes to values.

use crate::prometheus::{Buckets, Exponential, Histogram, MAX_BUCKETS, Value};

/// The sum of a value and a change. Where both do not fit, such as histograms with other bounds, the series begins again
/// with the change, which Prometheus takes for a restart of the counter.
pub(super) fn added(value: &Value, change: Value) -> Value {
    match (value, change) {
        (Value::Counter(value), Value::Counter(change)) => Value::Counter(value + change),
        (Value::Gauge(value), Value::Gauge(change)) => Value::Gauge(value + change),
        (Value::Histogram(value), Value::Histogram(change)) if value.bounds == change.bounds => {
            Value::Histogram(histograms(value, change))
        }
        (Value::Exponential(value), Value::Exponential(change)) => Value::Exponential(exponentials(value, change)),
        (_, change) => change,
    }
}

fn histograms(value: &Histogram, change: Histogram) -> Histogram {
    let counts = value.counts.iter().zip(&change.counts).map(|(one, other)| one.saturating_add(*other)).collect();
    Histogram {
        count: value.count.saturating_add(change.count),
        sum: sums(value.sum, change.sum),
        bounds: change.bounds,
        counts,
    }
}

/// A sum without one of its parts would be wrong.
fn sums(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one + other)
}

/// The buckets of the coarser scale, and never more than [`MAX_BUCKETS`] on each side of zero.
fn exponentials(value: &Exponential, change: Exponential) -> Exponential {
    let (mut one, mut other) = (value.clone(), change);
    let count = one.count.saturating_add(other.count);
    let sum = sums(one.sum, other.sum);
    let is_wide = |one: &Exponential, other: &Exponential| {
        let width = span(&one.positive, &other.positive).max(span(&one.negative, &other.negative));
        width > i64::try_from(MAX_BUCKETS).unwrap_or(i64::MAX)
    };
    while one.scale > other.scale {
        halve(&mut one);
    }
    while other.scale > one.scale {
        halve(&mut other);
    }
    // Each step halves all indices, so two values are neighbours after 33 steps at most.
    while is_wide(&one, &other) {
        halve(&mut one);
        halve(&mut other);
    }
    Exponential {
        count,
        sum,
        scale: one.scale,
        zero_count: one.zero_count.saturating_add(other.zero_count),
        zero_threshold: one.zero_threshold.max(other.zero_threshold),
        positive: buckets(&one.positive, &other.positive),
        negative: buckets(&one.negative, &other.negative),
    }
}

fn halve(exponential: &mut Exponential) {
    exponential.positive = exponential.positive.halved();
    exponential.negative = exponential.negative.halved();
    exponential.scale -= 1;
}

/// The first index of buckets, and the one after the last; `None` without buckets.
fn range(buckets: &Buckets) -> Option<(i64, i64)> {
    let length = i64::try_from(buckets.counts.len()).ok().filter(|length| *length > 0)?;
    let first = i64::from(buckets.offset);
    Some((first, first + length))
}

/// The range of two buckets together.
fn joined(one: &Buckets, other: &Buckets) -> Option<(i64, i64)> {
    match (range(one), range(other)) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

fn span(one: &Buckets, other: &Buckets) -> i64 {
    joined(one, other).map_or(0, |(first, end)| end - first)
}

fn buckets(one: &Buckets, other: &Buckets) -> Buckets {
    let Some((first, end)) = joined(one, other) else { return Buckets::default() };
    let mut counts = vec![0_u64; usize::try_from(end - first).unwrap_or_default()];
    for part in [one, other] {
        for (index, count) in (i64::from(part.offset)..).zip(&part.counts) {
            let place = usize::try_from(index - first).unwrap_or(usize::MAX);
            if let Some(sum) = counts.get_mut(place) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
    Buckets { offset: i32::try_from(first).unwrap_or_default(), counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(scale: i32, positive: (i32, &[u64]), negative: (i32, &[u64])) -> Exponential {
        let buckets = |(offset, counts): (i32, &[u64])| Buckets { offset, counts: counts.to_vec() };
        let count = positive.1.iter().chain(negative.1).sum();
        let (positive, negative) = (buckets(positive), buckets(negative));
        Exponential { count, sum: Some(1.0), scale, positive, negative, ..Exponential::default() }
    }

    #[test]
    fn numbers_and_histograms_add_up() {
        assert_eq!(added(&Value::Counter(1.5), Value::Counter(2.0)), Value::Counter(3.5));
        assert_eq!(added(&Value::Gauge(1.0), Value::Gauge(-2.0)), Value::Gauge(-1.0));
        let histogram = |bound, sum| Histogram { count: 3, sum, bounds: vec![bound], counts: vec![1, 2] };
        assert_eq!(
            added(&Value::Histogram(histogram(1.0, Some(0.5))), Value::Histogram(histogram(1.0, Some(2.0)))),
            Value::Histogram(Histogram { count: 6, sum: Some(2.5), bounds: vec![1.0], counts: vec![2, 4] })
        );
        let without = added(&Value::Histogram(histogram(1.0, None)), Value::Histogram(histogram(1.0, Some(2.0))));
        assert!(matches!(without, Value::Histogram(Histogram { sum: None, count: 6, .. })));
        let other = Value::Histogram(histogram(2.0, None));
        assert_eq!(added(&Value::Histogram(histogram(1.0, None)), other.clone()), other);
        assert_eq!(added(&Value::Counter(5.0), Value::Gauge(1.0)), Value::Gauge(1.0));
    }

    #[test]
    fn exponential_histograms_add_up_at_the_coarser_scale() {
        let one = exponential(1, (0, &[1, 2, 3, 4]), (0, &[]));
        let other = exponential(0, (3, &[5]), (-1, &[6]));
        let sum = exponentials(&one, other);
        // (0, 1) and (2, 3) of scale 1 are 0 and 1 of scale 0.
        assert_eq!((sum.scale, sum.count, sum.sum), (0, 21, Some(2.0)));
        assert_eq!(sum.positive, Buckets { offset: 0, counts: vec![3, 7, 0, 5] });
        assert_eq!(sum.negative, Buckets { offset: -1, counts: vec![6] });
    }

    #[test]
    fn histograms_that_are_far_apart_stay_small() {
        for (low, high) in [(-1000, 1000), (i32::MIN, i32::MAX)] {
            let sum = exponentials(&exponential(20, (low, &[1]), (0, &[])), exponential(20, (high, &[2]), (low, &[3])));
            assert!(sum.positive.counts.len() <= MAX_BUCKETS, "{}", sum.positive.counts.len());
            assert_eq!((sum.positive.counts.iter().sum::<u64>(), sum.count), (3, 6));
            // It can still be exposed.
            let samples = crate::prometheus::samples_of(&Value::Exponential(sum));
            assert_eq!(samples.last().map(|sample| sample.value), Some(6.0));
        }
    }
}
