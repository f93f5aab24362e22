//! Figures: medians with their spread, and the report.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// Measurements of the same thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        let at = |index: usize| self.0.get(index).copied().unwrap_or(f64::NAN);
        if self.0.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 }
    }

    fn spread(&self) -> Option<(f64, f64)> {
        match (self.0.first(), self.0.last()) {
            (Some(low), Some(high)) if self.0.len() > 1 => Some((*low, *high)),
            _ => None,
        }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut samples: Vec<f64> = values.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// All measurements so far. Each row is printed at once.
#[derive(Default)]
pub(crate) struct Report {
    keys: Map<String, Value>,
    rows: Vec<Value>,
}

impl Report {
    pub(crate) fn section(&mut self, title: &str) {
        println!("\n{title}");
        self.rows.push(json!({ "section": title }));
    }

    /// A row of the table: what was measured, its median, its unit, and a note.
    pub(crate) fn row(&mut self, what: &str, samples: &Samples, unit: &str, note: &str) {
        let median = samples.median();
        let mut line = format!("  {what:<46} {:>10} {unit:<9}", shown(median));
        if let Some((low, high)) = samples.spread() {
            let _ = write!(line, " {:<19}", format!("{} to {}", shown(low), shown(high)));
        } else {
            let _ = write!(line, " {:<19}", "");
        }
        println!("{} {note}", line);
        self.rows.push(json!({
            "what": what, "median": median, "unit": unit, "note": note,
            "spread": samples.spread().map(|(low, high)| [low, high]),
        }));
    }

    /// A row whose figure is one of the targets of the project.
    pub(crate) fn key(&mut self, key: &str, what: &str, samples: &Samples, unit: &str, note: &str) {
        self.row(what, samples, unit, note);
        self.keys.insert(key.into(), json!(samples.median()));
    }

    pub(crate) fn remark(&mut self, text: &str) {
        println!("  {text}");
        self.rows.push(json!({ "remark": text }));
    }

    /// Writes these figures as plain keys, the machine, and all rows.
    pub(crate) fn write(&self, path: &Path, machine: &str) -> anyhow::Result<()> {
        let mut all = self.keys.clone();
        all.insert("machine".into(), machine.into());
        all.insert("rows".into(), self.rows.clone().into());
        let text = serde_json::to_string_pretty(&all)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// Formats with at least three significant digits.
fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Model of the processor, number of cores, kernel, load.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores, Linux {}, load {}",
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        for (values, median) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[4.0, 1.0], 2.5), (&[7.0], 7.0)] {
            assert_eq!(values.iter().copied().collect::<Samples>().median(), median, "{values:?}");
        }
        assert!(Samples::default().median().is_nan());
    }
}
