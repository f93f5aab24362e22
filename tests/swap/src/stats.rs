//! Figures of samples.

use std::time::{Duration, Instant};

use crate::feed::Sample;

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share of the values lies; NaN without values.
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

/// Latencies of requests in progress during one of the spans, and of those in progress during a
/// span of the same length in the middle between two of them.
///
/// The second one is the control: a long request is more likely to be in progress at any given
/// time, so requests "of any other time" would seem faster even if the spans changed nothing.
pub(crate) fn split(samples: &[Sample], spans: &[(Instant, Instant)]) -> (Vec<f64>, Vec<f64>) {
    let control = |pair: &[(Instant, Instant)]| {
        let &[(from, to), (next, _)] = pair else { unreachable!("windows of two") };
        let begin = to + next.saturating_duration_since(to).saturating_sub(to - from) / 2;
        (begin, begin + (to - from))
    };
    let controls: Vec<_> = spans.windows(2).map(control).collect();
    let during = |spans: &[(Instant, Instant)]| -> Vec<f64> {
        let overlaps = |&&(begin, end): &&Sample| spans.iter().any(|&(from, to)| begin <= to && end >= from);
        samples.iter().filter(overlaps).map(|&(begin, end)| ms(end - begin)).collect()
    };
    (during(spans), during(&controls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_during_spans_are_compared_with_those_half_way_between_them() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        // The control is 275 to 325.
        let spans = [(at(100), at(150)), (at(450), at(470))];
        let samples = [
            (at(10), at(20)),
            (at(95), at(101)),
            (at(149), at(170)),
            (at(160), at(161)),
            (at(270), at(274)),
            (at(270), at(275)),
            (at(300), at(303)),
            (at(325), at(335)),
            (at(326), at(460)),
        ];
        let (near, quiet) = split(&samples, &spans);
        assert_eq!((near, quiet), (vec![6.0, 21.0, 134.0], vec![5.0, 3.0, 10.0]));
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (51.0, 100.0, 100.0));
        assert!(quantile(&[], 0.5).is_nan());
    }
}
