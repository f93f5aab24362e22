//! Exponential histograms as native histograms of Prometheus.

use super::messages::{BucketSpan, Histogram};
use crate::prometheus::{Buckets, Exponential};

/// The finest resolution of Prometheus.
const MAX_SCHEMA: i32 = 8;
/// A gap of so many empty buckets is filled with zeros; a span has more bytes.
const MAX_GAP: i64 = 2;

/// The native histogram of an exponential one, at a time in milliseconds. Its buckets have the same bounds; with a
/// scale above 8, they are joined.
pub(super) fn native(exponential: &Exponential, timestamp: i64) -> Histogram {
    let mut scale = exponential.scale;
    let (mut positive, mut negative) = (exponential.positive.clone(), exponential.negative.clone());
    while scale > MAX_SCHEMA {
        (positive, negative, scale) = (positive.halved(), negative.halved(), scale - 1);
    }
    let (positive_spans, positive_deltas) = layout(&positive);
    let (negative_spans, negative_deltas) = layout(&negative);
    Histogram {
        count: Some(exponential.count),
        sum: exponential.sum.unwrap_or(0.0),
        schema: scale,
        zero_threshold: exponential.zero_threshold,
        zero_count: Some(exponential.zero_count),
        negative_spans,
        negative_deltas,
        positive_spans,
        positive_deltas,
        timestamp,
    }
}

/// The spans of buckets that are not empty, and the differences of their counts.
fn layout(buckets: &Buckets) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0_i64, 0_i64);
    // Bucket `i` of OpenTelemetry ends at the power `i + 1`, and that of Prometheus at the power `i`.
    let places = (i64::from(buckets.offset) + 1..).zip(&buckets.counts).filter(|(_, count)| **count > 0);
    for (index, count) in places {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= MAX_GAP => {
                for _ in 0..gap {
                    deltas.push(-std::mem::take(&mut before));
                }
                span.length = span.length.saturating_add(u32::try_from(gap + 1).unwrap_or(u32::MAX));
            }
            _ => spans.push(BucketSpan { offset: i32::try_from(gap).unwrap_or(i32::MAX), length: 1 }),
        }
        deltas.push(count - before);
        (before, next) = (count, index + 1);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(offset: i32, counts: &[u64]) -> (Vec<(i32, u32)>, Vec<i64>) {
        let (spans, deltas) = layout(&Buckets { offset, counts: counts.to_vec() });
        (spans.iter().map(|span| (span.offset, span.length)).collect(), deltas)
    }

    #[test]
    fn spans_skip_empty_buckets_and_deltas_add_up() {
        assert_eq!(spans(0, &[]), (vec![], vec![]));
        assert_eq!(spans(0, &[1, 2, 0, 1]), (vec![(1, 4)], vec![1, 1, -2, 1]));
        assert_eq!(spans(-3, &[0, 5, 0, 0, 7, 0]), (vec![(-1, 4)], vec![5, -5, 0, 7]));
        assert_eq!(spans(-5, &[1, 0, 0, 0, 4, 4]), (vec![(-4, 1), (3, 2)], vec![1, 3, 0]));
    }

    #[test]
    fn finer_scales_than_those_of_prometheus_are_joined() {
        let positive = Buckets { offset: -1, counts: vec![1, 2, 3, 4] };
        let exponential = Exponential { count: 10, scale: 9, positive, ..Exponential::default() };
        let histogram = native(&exponential, 7);
        // Pairs (-2, -1), (0, 1) and (2, 3) become -1, 0 and 1.
        assert_eq!((histogram.schema, histogram.timestamp), (8, 7));
        assert_eq!(histogram.positive_spans, [BucketSpan { offset: 0, length: 3 }]);
        assert_eq!(histogram.positive_deltas, [1, 4, -1]);
    }
}
