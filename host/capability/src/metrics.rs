//! `metrics`: metrics of nodes, with a limit of series per node.
//!
//! A metric belongs to a node by name, not to an instance: all workers add to the same metric, and
//! it survives a swap.

mod change;
mod error;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use change::MetricChange;
pub use error::MetricError;

use parking_lot::{Mutex, RwLock};

/// Prefix of the names of guest metrics.
pub const PREFIX: &str = "wattle_guest_";
/// Label value of the series that collects all series beyond the limit.
pub(crate) const OTHER: &str = "_other";

const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 128;
const MAX_LABELS: usize = 8;
const MAX_BOUNDS: usize = 32;
/// Reserved labels, which the agent or the format sets.
const TAKEN: [&str; 4] = ["pipeline", "node", "le", "quantile"];
/// Suffixes of sample names of counters and histograms.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// A label and its value.
pub type Label = (String, String);

/// Kind of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// The last set value.
    Gauge,
    /// Counts of values by these upper bounds.
    Histogram(Vec<f64>),
}

impl Kind {
    /// Name in lower case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// Initial value of a series of this kind.
    fn empty(&self) -> Value {
        match self {
            Self::Counter => Value::Counter(AtomicU64::new(0)),
            Self::Gauge => Value::Gauge(AtomicU64::new(0_f64.to_bits())),
            Self::Histogram(bounds) => Value::Histogram(Mutex::new(Histogram {
                bounds: bounds.clone(),
                buckets: vec![0; bounds.len() + 1],
                sum: 0.0,
            })),
        }
    }
}

#[derive(Debug)]
struct Histogram {
    bounds: Vec<f64>,
    /// Number of values per bucket; the last bucket is above all bounds.
    buckets: Vec<u64>,
    sum: f64,
}

#[derive(Debug)]
enum Value {
    Counter(AtomicU64),
    /// The bits of a floating-point number.
    Gauge(AtomicU64),
    Histogram(Mutex<Histogram>),
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    /// Handles of the series by their sorted labels.
    series: HashMap<Vec<Label>, u32>,
}

#[derive(Debug, Default)]
struct Families {
    by_name: BTreeMap<String, Family>,
    /// Series that count against the limit.
    count: usize,
    /// Handles for metrics beyond the limit, which are not exposed; one per kind.
    hidden: Vec<(&'static str, u32)>,
}

/// The metrics of one node.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    families: Mutex<Families>,
    /// By handle. Bounded like the series.
    values: RwLock<Vec<Arc<Value>>>,
}

impl NodeMetrics {
    fn add_value(&self, kind: &Kind) -> u32 {
        let mut values = self.values.write();
        let handle = u32::try_from(values.len()).unwrap_or(u32::MAX);
        values.push(Arc::new(kind.empty()));
        handle
    }

    /// Returns the handle of a series, and whether the series is its own. Beyond `max_series` it is
    /// a shared one.
    ///
    /// # Errors
    ///
    /// The name, the labels or the bounds break a rule; the text names it.
    pub fn series(
        &self,
        name: &str,
        mut labels: Vec<Label>,
        kind: &Kind,
        max_series: usize,
    ) -> Result<(u32, bool), MetricError> {
        check(name, &mut labels, kind)?;
        let mut families = self.families.lock();
        let families = &mut *families;
        let room = families.count < max_series;
        if !families.by_name.contains_key(name) && !room {
            if let Kind::Histogram(_) = kind {
                // A hidden histogram needs no bounds.
                return Ok((self.hidden(families, &Kind::Histogram(vec![0.0])), false));
            }
            return Ok((self.hidden(families, kind), false));
        }
        let family = families
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Family { kind: kind.clone(), series: HashMap::new() });
        if family.kind != *kind {
            return Err(MetricError::exists(name, &family.kind, kind));
        }
        if let Some(&handle) = family.series.get(&labels) {
            return Ok((handle, true));
        }
        if room {
            let handle = self.add_value(kind);
            family.series.insert(labels, handle);
            families.count += 1;
            return Ok((handle, true));
        }
        for (_, value) in &mut labels {
            OTHER.clone_into(value);
        }
        // One per metric, shared by all sets of label names.
        let other = family.series.iter().find(|(labels, _)| labels.iter().all(|(_, value)| value == OTHER));
        if let Some((_, &handle)) = other.filter(|(labels, _)| !labels.is_empty()) {
            return Ok((handle, false));
        }
        if labels.is_empty() {
            labels.push((OTHER.trim_start_matches('_').to_owned(), OTHER.to_owned()));
        }
        let handle = self.add_value(kind);
        family.series.insert(labels, handle);
        Ok((handle, false))
    }

    fn hidden(&self, families: &mut Families, kind: &Kind) -> u32 {
        if let Some((_, handle)) = families.hidden.iter().find(|(name, _)| *name == kind.name()) {
            return *handle;
        }
        let handle = self.add_value(kind);
        families.hidden.push((kind.name(), handle));
        handle
    }

    fn value(&self, handle: u32) -> Result<Arc<Value>, MetricError> {
        let values = self.values.read();
        values.get(handle as usize).cloned().ok_or(MetricError::UnknownHandle(handle))
    }

    /// Adds to a counter.
    ///
    /// # Errors
    ///
    /// The handle does not exist, or belongs to another kind of metric.
    pub fn add(&self, handle: u32, amount: u64) -> Result<(), MetricError> {
        match &*self.value(handle)? {
            Value::Counter(count) => {
                // Saturates, so that a guest cannot make a counter wrap around.
                let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_add(amount)));
                Ok(())
            }
            _ => Err(MetricError::WrongKind { handle, expected: "counter" }),
        }
    }

    /// Sets a gauge.
    ///
    /// # Errors
    ///
    /// As [`NodeMetrics::add`].
    pub fn set(&self, handle: u32, value: f64) -> Result<(), MetricError> {
        match &*self.value(handle)? {
            Value::Gauge(bits) => {
                bits.store(value.to_bits(), Ordering::Relaxed);
                Ok(())
            }
            _ => Err(MetricError::WrongKind { handle, expected: "gauge" }),
        }
    }

    /// Adds values to a histogram.
    ///
    /// # Errors
    ///
    /// As [`NodeMetrics::add`].
    pub fn observe(&self, handle: u32, values: &[f64]) -> Result<(), MetricError> {
        match &*self.value(handle)? {
            Value::Histogram(histogram) => {
                let mut histogram = histogram.lock();
                let Histogram { bounds, buckets, sum } = &mut *histogram;
                for value in values.iter().filter(|value| value.is_finite()) {
                    let index = bounds.partition_point(|bound| bound < value);
                    if let Some(bucket) = buckets.get_mut(index) {
                        *bucket += 1;
                        *sum += value;
                    }
                }
                Ok(())
            }
            _ => Err(MetricError::WrongKind { handle, expected: "histogram" }),
        }
    }

    /// Returns all metrics, sorted by name and labels.
    pub fn snapshot(&self) -> Vec<FamilySnapshot> {
        let families = self.families.lock();
        let values = self.values.read();
        let mut all = Vec::new();
        for (name, family) in &families.by_name {
            let mut series: Vec<(Vec<Label>, Reading)> = family
                .series
                .iter()
                .filter_map(|(labels, handle)| Some((labels.clone(), read(values.get(*handle as usize)?))))
                .collect();
            series.sort_by(|a, b| a.0.cmp(&b.0));
            let suffix = if family.kind == Kind::Counter && !name.ends_with("_total") { "_total" } else { "" };
            all.push(FamilySnapshot { name: format!("{name}{suffix}"), kind: family.kind.name(), series });
        }
        all
    }
}

/// One metric of a node at a point in time.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySnapshot {
    /// Exposed name, without [`PREFIX`].
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// Its series.
    pub series: Vec<(Vec<Label>, Reading)>,
}

/// The value of a series at a point in time.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Level(f64),
    /// Of a histogram.
    Distribution {
        /// Cumulative number of values up to each bound.
        at_most: Vec<(f64, u64)>,
        /// Number of values.
        count: u64,
        /// Sum of the values.
        sum: f64,
    },
}

/// Returns each sample of these metrics with its value. Names are as in `/metrics`, without the
/// prefix and the labels of the agent, such as `rows_total{kind="any"}`.
pub fn samples(families: &[FamilySnapshot]) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for family in families {
        for (labels, reading) in &family.series {
            reading.each(|suffix, bound, value| {
                let mut name = format!("{}{suffix}", family.name);
                write_labels(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())), bound, &mut name);
                all.push((name, value));
            });
        }
    }
    all
}

/// Writes labels in the Prometheus text format; nothing if there are no labels. The exposition is
/// written by hand, since the labels of guests are known only at run time and each sample goes
/// straight to the output.
pub fn write_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, bound: Option<&'a str>, to: &mut String) {
    let mut separator = '{';
    for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
        to.push(separator);
        to.push_str(label);
        to.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => to.push_str("\\\\"),
                '\n' => to.push_str("\\n"),
                '"' => to.push_str("\\\""),
                other => to.push(other),
            }
        }
        to.push('"');
        separator = ',';
    }
    if separator == ',' {
        to.push('}');
    }
}

impl Reading {
    /// Calls `sample` for each sample with the suffix of its name, the bound of its bucket, and its
    /// value.
    pub fn each(&self, mut sample: impl FnMut(&str, Option<&str>, f64)) {
        match self {
            Self::Count(count) => sample("", None, *count as f64),
            Self::Level(level) => sample("", None, *level),
            Self::Distribution { at_most, count, sum } => {
                for (bound, count) in at_most {
                    sample("_bucket", Some(&bound.to_string()), *count as f64);
                }
                sample("_bucket", Some("+Inf"), *count as f64);
                sample("_sum", None, *sum);
                sample("_count", None, *count as f64);
            }
        }
    }
}

fn read(value: &Value) -> Reading {
    match value {
        Value::Counter(count) => Reading::Count(count.load(Ordering::Relaxed)),
        Value::Gauge(bits) => Reading::Level(f64::from_bits(bits.load(Ordering::Relaxed))),
        Value::Histogram(histogram) => {
            let histogram = histogram.lock();
            let mut count = 0;
            let at_most = histogram.bounds.iter().zip(&histogram.buckets);
            let at_most = at_most.map(|(bound, n)| {
                count += n;
                (*bound, count)
            });
            let at_most = at_most.collect();
            let count = histogram.buckets.iter().sum();
            Reading::Distribution { at_most, count, sum: histogram.sum }
        }
    }
}

/// Checks the metric that a guest requests, and sorts the labels.
fn check(name: &str, labels: &mut [Label], kind: &Kind) -> Result<(), MetricError> {
    if !is_name(name) {
        return Err(MetricError::Name(shortened(name)));
    }
    if let Some(suffix) = SUFFIXES.into_iter().find(|suffix| *kind != Kind::Counter && name.ends_with(suffix)) {
        return Err(MetricError::Suffix { name: name.to_owned(), kind: kind.name(), suffix });
    }
    if labels.len() > MAX_LABELS {
        return Err(MetricError::TooManyLabels { name: name.to_owned(), count: labels.len() });
    }
    labels.sort();
    for (label, value) in labels.iter() {
        if !is_name(label) || label.starts_with("__") || TAKEN.contains(&label.as_str()) {
            return Err(MetricError::Label { name: name.to_owned(), label: shortened(label) });
        }
        if value.len() > MAX_VALUE_BYTES {
            let (name, label) = (name.to_owned(), label.clone());
            return Err(MetricError::LabelValue { name, label, bytes: value.len() });
        }
    }
    if labels.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
        return Err(MetricError::RepeatedLabel(name.to_owned()));
    }
    if let Kind::Histogram(bounds) = kind {
        let increase = bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if bounds.is_empty() || bounds.len() > MAX_BOUNDS || !increase || !bounds.iter().all(|b| b.is_finite()) {
            return Err(MetricError::Bounds(name.to_owned()));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn a_metric_is_found_by_name_and_labels_in_any_order() {
        let metrics = NodeMetrics::default();
        let (one, _) = metrics.series("seen", labels(&[("a", "1"), ("b", "2")]), &Kind::Counter, 10).unwrap();
        let (same, _) = metrics.series("seen", labels(&[("b", "2"), ("a", "1")]), &Kind::Counter, 10).unwrap();
        assert_eq!(one, same);
        metrics.add(one, 3).unwrap();
        metrics.add(one, u64::MAX).unwrap();
        let seen = metrics.snapshot();
        assert_eq!(seen[0].name, "seen_total");
        assert_eq!(seen[0].series[0].1, Reading::Count(u64::MAX));
    }

    #[test]
    fn a_flood_of_series_and_names_stays_within_the_limit() {
        let metrics = NodeMetrics::default();
        for i in 0..1000 {
            let (handle, own) = metrics.series("user", labels(&[("id", &i.to_string())]), &Kind::Counter, 10).unwrap();
            assert_eq!(own, i < 10);
            metrics.add(handle, 1).unwrap();
        }
        for i in 0..1000 {
            let (handle, own) = metrics.series(&format!("name_{i}"), Vec::new(), &Kind::Gauge, 10).unwrap();
            assert!(!own);
            metrics.set(handle, 1.0).unwrap();
        }
        let seen = metrics.snapshot();
        assert_eq!((seen.len(), seen[0].series.len()), (1, 11));
        let other = seen[0].series.iter().find(|(labels, _)| labels[0].1 == OTHER).unwrap();
        assert_eq!(other.1, Reading::Count(990));
        assert!(metrics.values.read().len() <= 12);
    }

    #[test]
    fn a_histogram_counts_by_bound_and_ignores_values_that_are_not_finite() {
        let metrics = NodeMetrics::default();
        let kind = Kind::Histogram(vec![1.0, 10.0]);
        let (handle, _) = metrics.series("size", Vec::new(), &kind, 10).unwrap();
        metrics.observe(handle, &[0.5, 1.0, 2.0, 100.0, f64::NAN, f64::INFINITY]).unwrap();
        let reading = metrics.snapshot().remove(0).series.remove(0).1;
        let at_most = vec![(1.0, 2), (10.0, 3)];
        assert_eq!(reading, Reading::Distribution { at_most, count: 4, sum: 103.5 });
    }

    #[test]
    fn breaking_a_rule_is_refused_with_the_rule() {
        let metrics = NodeMetrics::default();
        let ask = |name: &str, pairs: &[(&str, &str)], kind: &Kind| {
            metrics.series(name, labels(pairs), kind, 10).map(|_| ()).unwrap_err().to_string()
        };
        assert!(ask("a b", &[], &Kind::Counter).contains("not a metric name"));
        assert!(ask("x_sum", &[], &Kind::Gauge).contains("_sum"));
        assert!(ask("x", &[("node", "n")], &Kind::Gauge).contains("cannot be a label"));
        assert!(ask("x", &[("a", "1"), ("a", "2")], &Kind::Gauge).contains("twice"));
        assert!(ask("x", &[("a", &"v".repeat(129))], &Kind::Gauge).contains("129 bytes"));
        assert!(ask("x", &[], &Kind::Histogram(vec![2.0, 1.0])).contains("bounds"));
        metrics.series("taken", Vec::new(), &Kind::Counter, 10).unwrap();
        assert!(ask("taken", &[], &Kind::Gauge).contains("exists as a counter"));
        assert_eq!(metrics.set(0, 1.0), Err(MetricError::WrongKind { handle: 0, expected: "gauge" }));
        assert_eq!(metrics.add(7, 1), Err(MetricError::UnknownHandle(7)));
    }
}
