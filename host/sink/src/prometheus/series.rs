//! The samples of a data point, and exponential histograms as classic ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::point::{Buckets, Exponential, Histogram, MAX_SAMPLE_BYTES, PointError, Summary, Value};

/// Maximum number of buckets on each side of zero that an exponential histogram has as a classic one.
pub(crate) const MAX_BUCKETS: usize = 160;

/// One sample of a data point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// What follows the name of the metric, such as `_bucket`.
    pub(crate) suffix: &'static str,
    /// The label that only this sample has: `le` or `quantile`.
    pub(crate) label: Option<(&'static str, String)>,
    pub(crate) value: f64,
}

impl Sample {
    fn new(suffix: &'static str, value: f64) -> Self {
        Self { suffix, label: None, value }
    }
}

/// The samples of a value, with this name and these labels. An exponential histogram has those of a classic one.
///
/// # Errors
///
/// Together they would be too large.
pub(crate) fn samples(value: &Value, name: &str, labels: &BTreeMap<String, String>) -> Result<Vec<Sample>, PointError> {
    let samples = samples_of(value);
    let each = labels.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>() + name.len() + 64;
    if samples.len().saturating_mul(each) > MAX_SAMPLE_BYTES {
        return Err(PointError::TooLarge);
    }
    Ok(samples)
}

/// The same without a limit.
pub(crate) fn samples_of(value: &Value) -> Vec<Sample> {
    match value {
        Value::Counter(value) | Value::Gauge(value) => vec![Sample::new("", *value)],
        Value::Histogram(histogram) => of_histogram(histogram),
        Value::Exponential(exponential) => of_histogram(&classic(exponential)),
        Value::Summary(summary) => of_summary(summary),
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
pub(crate) const fn double(count: u64) -> f64 {
    count as f64
}

/// Renames attributes that have the name of a label of the samples.
pub(crate) fn free_reserved(value: &Value, labels: &mut BTreeMap<String, String>) {
    let reserved = match value {
        Value::Counter(_) | Value::Gauge(_) => return,
        Value::Histogram(_) | Value::Exponential(_) => "le",
        Value::Summary(_) => "quantile",
    };
    if let Some(text) = labels.remove(reserved) {
        labels.insert(format!("exported_{reserved}"), text);
    }
}

fn of_histogram(histogram: &Histogram) -> Vec<Sample> {
    let bucket =
        |bound: String, at_most: u64| Sample { label: Some(("le", bound)), ..Sample::new("_bucket", double(at_most)) };
    let mut samples = Vec::with_capacity(histogram.bounds.len() + 3);
    let mut at_most = 0_u64;
    for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
        at_most = at_most.saturating_add(*count);
        // The last bucket is the one of all values.
        if *bound != f64::INFINITY {
            samples.push(bucket(number(*bound), at_most));
        }
    }
    samples.push(bucket("+Inf".to_owned(), histogram.count));
    samples.extend(histogram.sum.map(|sum| Sample::new("_sum", sum)));
    samples.push(Sample::new("_count", double(histogram.count)));
    samples
}

fn of_summary(summary: &Summary) -> Vec<Sample> {
    let quantile = |(quantile, value): &(f64, f64)| Sample {
        label: Some(("quantile", number(*quantile))),
        ..Sample::new("", *value)
    };
    let mut samples: Vec<Sample> = summary.quantiles.iter().map(quantile).collect();
    samples.push(Sample::new("_sum", summary.sum.unwrap_or(0.0)));
    samples.push(Sample::new("_count", double(summary.count)));
    samples
}

/// An exponential histogram with explicit bounds. Every bound of it is one of the exponential histogram, so no value
/// moves to another bucket, except that a negative value that equals a bound counts in the bucket above.
pub(crate) fn classic(exponential: &Exponential) -> Histogram {
    let Exponential { count, sum, zero_count, zero_threshold, .. } = *exponential;
    let mut scale = exponential.scale;
    let (mut positive, mut negative) = (exponential.positive.clone(), exponential.negative.clone());
    while positive.counts.len().max(negative.counts.len()) > MAX_BUCKETS && scale > -10 {
        (positive, negative, scale) = (positive.halved(), negative.halved(), scale - 1);
    }
    let bound = |index: i64| (2_f64).powf(index_as_double(index) * (2_f64).powi(-scale));
    let (mut bounds, mut counts) = (Vec::new(), Vec::new());
    let mut push = |bound: f64, count: u64| {
        let is_next = bounds.last().is_none_or(|last| *last < bound);
        match counts.last_mut().filter(|_| !is_next) {
            // Beyond what a double can hold, bounds are equal.
            Some(last) => *last += count,
            None => {
                bounds.push(bound);
                counts.push(count);
            }
        }
    };
    let places =
        |buckets: &Buckets| -> Vec<(i64, u64)> { (i64::from(buckets.offset)..).zip(buckets.counts.clone()).collect() };
    for (index, count) in places(&negative).into_iter().rev() {
        push(-bound(index), count);
    }
    push(zero_threshold, zero_count);
    for (index, count) in places(&positive) {
        push(bound(index + 1), count);
    }
    let below = counts.iter().fold(0_u64, |total, count| total.saturating_add(*count));
    counts.push(count.saturating_sub(below));
    Histogram { count, sum, bounds, counts }
}

#[expect(clippy::cast_precision_loss, reason = "an index has 33 bits")]
const fn index_as_double(index: i64) -> f64 {
    index as f64
}

impl Buckets {
    /// The same values in buckets that are twice as wide.
    pub(crate) fn halved(&self) -> Self {
        let mut counts: Vec<u64> = Vec::with_capacity(self.counts.len() / 2 + 1);
        let offset = self.offset >> 1;
        for (index, count) in (i64::from(self.offset)..).zip(&self.counts) {
            let place = usize::try_from((index >> 1) - i64::from(offset)).unwrap_or_default();
            match counts.get_mut(place) {
                Some(sum) => *sum = sum.saturating_add(*count),
                None => counts.push(*count),
            }
        }
        Self { offset, counts }
    }
}

/// A double as Prometheus writes it.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
    } else {
        value.to_string()
    }
}

/// Writes a sample as a line of the text format, without a time and without the end of the line.
pub(crate) fn write_sample<'l>(
    name: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    value: f64,
    out: &mut String,
) {
    out.push_str(name);
    let mut separator = '{';
    for (label, value) in labels {
        // Writing to a string cannot fail.
        let _ = write!(out, "{separator}{label}=\"");
        escape(value, true, out);
        out.push('"');
        separator = ',';
    }
    out.push_str(if separator == ',' { "} " } else { " " });
    out.push_str(&number(value));
}

/// Escapes a text, so it stays on its line; with `quoted`, also escapes quotes.
pub(crate) fn escape(text: &str, quoted: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &Value) -> Vec<String> {
        let samples = samples(value, "m", &BTreeMap::new()).unwrap();
        let line = |sample: Sample| {
            let mut out = String::new();
            let labels = sample.label.iter().map(|(name, value)| (*name, &**value));
            write_sample(&format!("m{}", sample.suffix), labels, sample.value, &mut out);
            out
        };
        samples.into_iter().map(line).collect()
    }

    #[test]
    fn buckets_count_all_values_up_to_their_bound() {
        let histogram = Histogram { count: 9, sum: Some(2.5), bounds: vec![0.1, 1.0], counts: vec![2, 3, 4] };
        assert_eq!(
            texts(&Value::Histogram(histogram)),
            ["m_bucket{le=\"0.1\"} 2", "m_bucket{le=\"1\"} 5", "m_bucket{le=\"+Inf\"} 9", "m_sum 2.5", "m_count 9"]
        );
        let without = Histogram { count: 3, sum: None, bounds: Vec::new(), counts: Vec::new() };
        assert_eq!(texts(&Value::Histogram(without)), ["m_bucket{le=\"+Inf\"} 3", "m_count 3"]);
        let infinite = Histogram { count: 3, sum: None, bounds: vec![f64::INFINITY], counts: vec![3, 0] };
        assert_eq!(texts(&Value::Histogram(infinite)), ["m_bucket{le=\"+Inf\"} 3", "m_count 3"]);
    }

    #[test]
    fn exponential_histograms_keep_their_bounds_as_classic_ones() {
        // The example of docs/FORMATS.md.
        let exponential = Exponential {
            count: 6,
            sum: Some(23.5),
            scale: 0,
            zero_count: 1,
            zero_threshold: 0.0,
            positive: Buckets { offset: 0, counts: vec![1, 2, 0, 1] },
            negative: Buckets { offset: -1, counts: vec![1] },
        };
        assert_eq!(
            texts(&Value::Exponential(exponential)),
            [
                "m_bucket{le=\"-0.5\"} 1",
                "m_bucket{le=\"0\"} 2",
                "m_bucket{le=\"2\"} 3",
                "m_bucket{le=\"4\"} 5",
                "m_bucket{le=\"8\"} 5",
                "m_bucket{le=\"16\"} 6",
                "m_bucket{le=\"+Inf\"} 6",
                "m_sum 23.5",
                "m_count 6"
            ]
        );
    }

    #[test]
    fn long_exponential_histograms_get_wider_buckets() {
        let positive = Buckets { offset: -301, counts: vec![1; 700] };
        let exponential = Exponential { count: 700, scale: 4, positive, ..Exponential::default() };
        let histogram = classic(&exponential);
        assert!(histogram.bounds.len() <= MAX_BUCKETS + 1, "{}", histogram.bounds.len());
        assert_eq!(histogram.counts.iter().sum::<u64>(), 700);
        assert_eq!(histogram.counts.len(), histogram.bounds.len() + 1);
        assert!(histogram.bounds.is_sorted());
        // Bucket -301 ends at 2^(-300 / 16).
        assert!(histogram.bounds[1] >= 2_f64.powf(-300.0 / 16.0));
        let huge = Buckets { offset: i32::MAX, counts: vec![1, 2] };
        let histogram = classic(&Exponential { count: 3, positive: huge, ..Exponential::default() });
        assert_eq!(histogram.counts.iter().sum::<u64>(), 3);
    }

    #[test]
    fn an_event_whose_buckets_repeat_long_labels_too_often_is_refused() {
        let labels = BTreeMap::from([("a".to_owned(), "x".repeat(10_000))]);
        let histogram =
            Histogram { bounds: (0..1000).map(f64::from).collect(), counts: vec![0; 1001], ..Histogram::default() };
        assert_eq!(samples(&Value::Histogram(histogram.clone()), "m", &labels), Err(PointError::TooLarge));
        assert_eq!(samples(&Value::Histogram(histogram), "m", &BTreeMap::new()).unwrap().len(), 1002);
    }
}
