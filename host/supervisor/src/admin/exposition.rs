//! Prometheus' text format, version 0.0.4: for each family a `# HELP` and a `# TYPE` line, then its samples.
//!
//! It is written by hand: the counters are atomics of the crates of the data path, and one table has their names
//! ([`crate::counts`]). A crate such as `prometheus-client` would add a second registry to print three kinds of lines.

use std::fmt::{Display, Write as _};

use std::time::Duration;

use crate::counts::{Count, Read};
use crate::metric::Metric;

/// The text under construction.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
}

/// The samples of one family.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    metric: Metric,
}

impl Exposition {
    /// Begins a family. It is written even without samples, so a reader sees every possible metric.
    pub(crate) fn family(&mut self, metric: Metric) -> Family<'_> {
        let Metric { name, kind, help, .. } = metric;
        // Writing to a string does not fail, here and below.
        let _ = write!(self.text, "# HELP {name} ");
        escape(help, false, &mut self.text);
        let _ = writeln!(self.text, "\n# TYPE {name} {}", kind.name());
        Family { text: &mut self.text, metric }
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, metric: Metric, value: impl Display) {
        self.family(metric).sample(&[], value);
    }

    /// A family for each row of a table of counts, with the samples of these subjects and their
    /// labels.
    pub(crate) fn counts<S>(&mut self, table: &[Count<S>], subjects: &[(&[&str], &S)]) {
        for count in table {
            let mut family = self.family(count.metric);
            for (labels, subject) in subjects {
                match count.read {
                    Read::One(read) => family.sample(labels, read(subject)),
                    Read::By(read) => {
                        for (value, number) in read(subject) {
                            let all: Vec<&str> = labels.iter().copied().chain([value.as_str()]).collect();
                            family.sample(&all, number);
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample with these values of the family's labels.
    pub(crate) fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Adds the samples of a histogram: the numbers of durations up to each bound in seconds, of all, and their sum.
    pub(crate) fn histogram<const N: usize>(
        &mut self,
        labels: &[&str],
        bounds: &[f64; N],
        at_most: [u64; N],
        count: u64,
        sum: Duration,
    ) {
        for (bound, at_most) in bounds.iter().zip(at_most) {
            self.line("_bucket", labels, Some(&bound.to_string()), at_most);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum.as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{}", self.metric.name);
        let _ = write!(self.text, "{}{suffix}", self.metric.name);
        let pairs = self.metric.labels.iter().copied().zip(labels.iter().copied());
        let mut separator = '{';
        for (label, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.text, "{separator}{label}=\"");
            escape(value, true, self.text);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// Escapes a text, so it stays on its line; with `quoted`, also escapes quotes.
fn escape(text: &str, quoted: bool, to: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '"' if quoted => to.push_str("\\\""),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::counts;
    use crate::metric::Kind;
    use std::collections::BTreeSet;
    use wattle_runtime::CALL_SECONDS;

    const SAMPLE: Metric = Metric {
        name: "sample_total",
        kind: Kind::Counter,
        labels: &["node", "code"],
        help: "A \"help\" with \\ and\nmore.",
    };

    #[test]
    fn labels_and_help_are_escaped_as_in_the_format() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family(SAMPLE);
        family.sample(&["a\\b", "say \"no\"\nnever"], 3);
        family.sample(&["", "é{}=,"], 0.5);
        assert_eq!(
            exposition.finish(),
            "# HELP sample_total A \"help\" with \\\\ and\\nmore.\n# TYPE sample_total counter\n\
             sample_total{node=\"a\\\\b\",code=\"say \\\"no\\\"\\nnever\"} 3\n\
             sample_total{node=\"\",code=\"é{}=,\"} 0.5\n"
        );
    }

    #[test]
    fn a_family_without_labels_has_no_braces() {
        let mut exposition = Exposition::default();
        exposition.single(names::READY, 1);
        assert!(exposition.finish().ends_with("# TYPE wattle_ready gauge\nwattle_ready 1\n"));
    }

    #[test]
    fn a_histogram_ends_with_all_sum_and_count() {
        let mut exposition = Exposition::default();
        let at_most = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2];
        let sum = Duration::from_millis(12_500);
        exposition.family(names::NODE_CALLS).histogram(&["main", "parse"], &CALL_SECONDS, at_most, 3, sum);
        let text = exposition.finish();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 15);
        for (line, expected) in [
            (0, "_bucket{pipeline=\"main\",node=\"parse\",le=\"0.00001\"} 0"),
            (2, "_bucket{pipeline=\"main\",node=\"parse\",le=\"0.0001\"} 1"),
            (11, "_bucket{pipeline=\"main\",node=\"parse\",le=\"10\"} 2"),
            (12, "_bucket{pipeline=\"main\",node=\"parse\",le=\"+Inf\"} 3"),
            (13, "_sum{pipeline=\"main\",node=\"parse\"} 12.5"),
            (14, "_count{pipeline=\"main\",node=\"parse\"} 3"),
        ] {
            assert_eq!(lines[line], format!("wattle_node_call_seconds{expected}"));
        }
    }

    fn check<S: Default>(table: &[Count<S>]) {
        let subject = S::default();
        let status = serde_json::to_value(counts::read(table, &subject)).unwrap();
        let keys: BTreeSet<&str> = table.iter().map(Count::key).collect();
        assert_eq!(keys.len(), table.len(), "a key is there twice");
        let mut out = Exposition::default();
        let labels = vec!["x"; if table[0].metric.labels.contains(&"node") { 2 } else { 1 }];
        out.counts(table, &[(&labels, &subject)]);
        let metrics = out.finish();
        for count in table {
            let name = count.metric.name;
            assert_eq!(status[count.key()], 0, "{name} is in /status");
            assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is in /metrics");
            if let Read::One(_) = count.read {
                assert!(metrics.contains(&format!("\n{name}{{")), "{name} has a sample");
            }
        }
    }

    #[test]
    fn every_count_is_in_metrics_and_status() {
        check(counts::SOURCES);
        check(counts::PIPELINES);
        check(counts::NODES);
        check(counts::SINKS);
    }
}
