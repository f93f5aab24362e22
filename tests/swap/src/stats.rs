//! Figures of samples.

use std::time::{Duration, Instant};

use crate::feed::Sample;

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share of the values lies; NaN if there is none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Latencies of requests that were under way near one of the spans, and of those that were far from all.
pub(crate) fn split(samples: &[Sample], spans: &[(Instant, Instant)], calm: Duration) -> (Vec<f64>, Vec<f64>) {
    let (mut near, mut quiet) = (Vec::new(), Vec::new());
    for &(begin, end) in samples {
        let overlaps = |margin: Duration| spans.iter().any(|&(from, to)| begin <= to + margin && end >= from);
        if overlaps(Duration::ZERO) {
            near.push(ms(end - begin));
        } else if !overlaps(calm) {
            quiet.push(ms(end - begin));
        }
    }
    (near, quiet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_when_they_were_under_way() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let spans = [(at(100), at(150))];
        let samples = [(at(10), at(20)), (at(95), at(101)), (at(149), at(170)), (at(160), at(161)), (at(300), at(303))];
        let (near, quiet) = split(&samples, &spans, Duration::from_millis(100));
        assert_eq!((near, quiet), (vec![6.0, 21.0], vec![10.0, 3.0]));
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (51.0, 100.0, 100.0));
        assert!(quantile(&[], 0.5).is_nan());
    }
}
