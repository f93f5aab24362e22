//! Reads Prometheus' text format, independently of the agent.

use std::collections::BTreeMap;

/// Labels and their values.
type Labels = BTreeMap<String, String>;

/// The samples of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<(String, Labels), f64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Panics
    ///
    /// A line is neither a comment nor a sample of a family with a known type, or a sample occurs
    /// twice.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                assert!(metrics.types.insert(name.into(), kind.into()).is_none(), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
                assert!(metrics.types.contains_key(family) || metrics.types.contains_key(name), "no type: {line}");
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                let key = (name.to_owned(), read_labels(labels));
                assert!(metrics.samples.insert(key, value).is_none(), "twice: {line}");
            }
        }
        metrics
    }

    /// The sum of the samples of a name that have these labels; 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |of: &Labels| labels.iter().all(|(label, value)| of.get(*label).is_some_and(|v| v == value));
        self.samples.iter().filter(|((n, of), _)| n == name && fits(of)).map(|(_, value)| value).sum()
    }

    /// The values of a label in the samples of a name.
    pub fn values(&self, name: &str, label: &str) -> Vec<String> {
        let samples = self.samples.keys().filter(|(n, _)| n == name);
        let mut values: Vec<String> = samples.filter_map(|(_, labels)| labels.get(label).cloned()).collect();
        values.dedup();
        values
    }

    /// Asserts that every counter of an earlier scrape still exists and has not decreased.
    ///
    /// # Panics
    ///
    /// A counter is missing, or decreased.
    #[track_caller]
    pub fn assert_not_before(&self, earlier: &Self) {
        for (key @ (name, labels), before) in &earlier.samples {
            let is_counter = earlier.types.get(name).is_none_or(|kind| kind == "counter");
            if is_counter {
                let now = self.samples.get(key).unwrap_or_else(|| panic!("{name} {labels:?} is gone"));
                assert!(now >= before, "{name} {labels:?} went back from {before} to {now}");
            }
        }
    }
}

/// Reads `a="b",c="d"}`.
#[track_caller]
fn read_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => panic!("no end: {rest}"),
                },
                Some((at, '"')) => break at + 1,
                Some((_, character)) => value.push(character),
                None => panic!("no end: {rest}"),
            }
        };
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        text = &rest[end..];
    }
    assert_eq!(text, "}");
    labels
}
