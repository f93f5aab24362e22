//! The table on the terminal, and `target/chaos.json`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::outputs::Tally;

/// Result of a scenario that ran to its end.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events that are missing, or in a wrong output.
    pub lost: u64,
    /// Events that were repeated without reason.
    pub duplicated: u64,
    /// A note with figures.
    pub note: String,
    /// Another broken promise.
    pub broken: Option<String>,
}

impl Outcome {
    pub(crate) fn new(note: impl Into<String>) -> Self {
        Self { note: note.into(), ..Self::default() }
    }

    /// The outcome if each event must arrive at least once.
    pub(crate) fn of(tally: Tally, note: impl Into<String>) -> Self {
        let note = format!("{}{} repeated", with_comma(note.into()), tally.repeated);
        Self { lost: tally.lost + tally.misplaced, note, ..Self::default() }
    }

    /// Whether everything was correct.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.broken.is_none()
    }
}

fn with_comma(text: String) -> String {
    if text.is_empty() { text } else { text + ", " }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}

/// Rows, and the figures that the project has targets for.
#[derive(Debug, Default)]
pub struct Report {
    figures: Map<String, Value>,
    rows: Vec<Value>,
    bad: usize,
}

impl Report {
    /// Begins a section of the table.
    pub fn section(&mut self, title: &str) {
        println!("\n{title}");
        self.rows.push(json!({ "section": title }));
    }

    /// Runs a scenario; a panic counts as a failure. Returns its outcome, if it has one.
    pub fn run(&mut self, name: &str, scenario: impl FnOnce() -> Outcome) -> Option<Outcome> {
        let since = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(scenario));
        let seconds = since.elapsed().as_secs_f64();
        let (verdict, note, outcome) = match done {
            Ok(outcome) => {
                let verdict = if outcome.is_good() { "ok" } else { "BAD" };
                let mut note = outcome.note.clone();
                if outcome.lost + outcome.duplicated > 0 {
                    note = format!("{} LOST, {} DUPLICATED, {note}", outcome.lost, outcome.duplicated);
                }
                if let Some(broken) = &outcome.broken {
                    note = format!("{broken}; {note}");
                }
                (verdict, note, Some(outcome))
            }
            Err(panic) => ("BAD", text_of(&*panic).to_owned(), None),
        };
        self.bad += usize::from(verdict != "ok");
        println!("  {name:<28} {verdict:<4} {seconds:>6.1} s  {}", note.lines().next().unwrap_or_default());
        self.rows.push(json!({ "scenario": name, "verdict": verdict, "seconds": seconds, "note": note }));
        outcome
    }

    /// Runs a section; a panic outside of its scenarios counts as a failure, and the other sections
    /// and figures continue.
    pub fn guard(&mut self, section: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| section(self))) {
            self.bad += 1;
            self.unknown("lost");
            self.remark(&format!("BAD: the section ended early: {}", text_of(&*panic)));
        }
    }

    /// Adds a remark about the run.
    pub fn remark(&mut self, text: &str) {
        println!("  {text}");
        self.rows.push(json!({ "remark": text }));
    }

    /// Adds the loss of a scenario to `lost`. If a scenario did not end, its loss is unknown, and
    /// `lost` stays `null`.
    pub fn count_lost(&mut self, outcome: Option<&Outcome>) {
        match outcome {
            Some(outcome) => self.add("lost", outcome.lost),
            None => self.unknown("lost"),
        }
    }

    /// Marks a figure as unknown, whatever is added to it.
    pub fn unknown(&mut self, key: &str) {
        self.set(key, Value::Null);
    }

    /// Adds to one of the figures.
    pub fn add(&mut self, key: &str, more: u64) {
        let before = match self.figures.get(key) {
            Some(Value::Null) => return,
            before => before.and_then(Value::as_u64).unwrap_or(0),
        };
        self.set(key, before + more);
    }

    /// Sets one of the figures.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.figures.insert(key.to_owned(), value.into());
    }

    /// A figure, if it was measured.
    pub fn figure(&self, key: &str) -> Option<&Value> {
        self.figures.get(key)
    }

    /// Number of failed scenarios.
    pub fn bad(&self) -> usize {
        self.bad
    }

    /// Writes the figures as plain keys, with `null` for sections that did not run, and all rows.
    pub fn write(&self, path: &Path, seed: u64, keys: &[&str]) -> anyhow::Result<()> {
        let mut all: Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), self.figure(key).cloned().unwrap_or(Value::Null))).collect();
        all.extend(self.figures.clone());
        all.insert("seed".into(), seed.into());
        all.insert("rows".into(), self.rows.clone().into());
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_an_unfinished_scenario_is_unknown() {
        let mut report = Report::default();
        let lost = |lost| Outcome { lost, ..Outcome::default() };
        for (scenario, figure) in
            [(Some(2), json!(2)), (Some(3), json!(5)), (None, Value::Null), (Some(1), Value::Null)]
        {
            let outcome = report.run("scenario", || lost(scenario.expect("to end")));
            report.count_lost(outcome.as_ref());
            assert_eq!(report.figure("lost"), Some(&figure));
        }
    }

    #[test]
    fn a_section_that_panics_fails_and_all_keys_are_still_written() {
        let mut report = Report::default();
        report.guard(|report| {
            report.add("kill_rounds", 3);
            panic!("out of luck");
        });
        report.guard(|report| report.add("sink_faults", 1));
        assert_eq!(report.bad(), 1);
        let file = std::env::temp_dir().join(format!("wattle-report-{}.json", std::process::id()));
        report.write(&file, 7, &["kill_rounds", "lost", "sink_faults"]).unwrap();
        let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((&written["kill_rounds"], &written["sink_faults"]), (&json!(3), &json!(1)));
        assert_eq!(written.get("lost"), Some(&Value::Null));
        assert!(written["rows"].to_string().contains("out of luck"));
    }
}
