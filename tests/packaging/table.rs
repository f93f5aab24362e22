//! The metrics of the agent, read from the table in `docs/METRICS.md`, which a test of the supervisor generates from the
//! code.

use std::collections::BTreeMap;

use wattle_tests::workspace;

/// Labels that Prometheus adds to every series of a target.
pub(crate) const TARGET_LABELS: &[&str] = &["job", "instance"];

/// A metric of the table.
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) labels: Vec<String>,
    pub(crate) meaning: String,
}

/// The table, by the names that queries use: a histogram has three series.
pub(crate) struct Table(BTreeMap<String, Row>);

impl Table {
    pub(crate) fn read() -> Self {
        let page = std::fs::read_to_string(workspace().join("docs/METRICS.md")).unwrap();
        let (_, table) = page.split_once("| name | type | labels | meaning |\n").expect("the page has the table");
        let rows = table.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').splitn(4, '|').map(str::trim).collect();
            let [name, kind, labels, meaning] = cells[..] else { panic!("`{line}` has not four cells") };
            let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned()).filter(|l| !l.is_empty());
            let row = Row { kind: kind.to_owned(), labels: labels.collect(), meaning: meaning.to_owned() };
            (name.trim_matches('`').to_owned(), row)
        });
        let table = Self(rows.collect());
        assert!(table.0.len() > 100, "the table has {} metrics", table.0.len());
        table
    }

    /// The metric of a series, with the labels of the series.
    pub(crate) fn get<'a>(&'a self, series: &str) -> Option<(&'a Row, Vec<&'a str>)> {
        let labels = |row: &'a Row| row.labels.iter().map(String::as_str).collect::<Vec<_>>();
        if let Some(row) = self.0.get(series) {
            // A histogram has no series of its plain name.
            return (row.kind != "histogram").then(|| (row, labels(row)));
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(row) = series.strip_suffix(suffix).and_then(|name| self.0.get(name)) else { continue };
            if row.kind == "histogram" {
                let mut labels = labels(row);
                labels.extend((suffix == "_bucket").then_some("le"));
                return Some((row, labels));
            }
        }
        None
    }
}
