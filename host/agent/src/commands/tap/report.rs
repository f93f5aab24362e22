//! What a tap has seen, over all its connections.

use std::fmt;

use wattle_api::tap::TapReport;
use wattle_printable::Line;

use crate::exit::say;

/// Figures for the end, and warnings in between.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Events that were written.
    pub(super) shown: u64,
    /// Those of them that the agent cut.
    cut: u64,
    /// Totals of connections that ended.
    ended: TapReport,
    /// Totals of this connection.
    current: TapReport,
    /// Whether a connection was opened.
    is_begun: bool,
    /// Whether the warning about skipped events was written.
    has_warned: bool,
    /// Points that are missing or hidden and were named.
    named: Vec<String>,
}

impl Report {
    /// Begins the figures of another connection.
    pub(super) fn begin(&mut self) {
        let TapReport { passed, searched, skipped, .. } = std::mem::take(&mut self.current);
        self.ended.passed += passed;
        self.ended.searched += searched;
        self.ended.skipped += skipped;
        self.is_begun = true;
    }

    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Counts an event that was written.
    pub(super) fn show(&mut self, is_cut: bool) {
        self.shown += 1;
        self.cut += u64::from(is_cut);
    }

    /// Takes the figures of this connection, and warns once about each problem.
    pub(super) fn update(&mut self, data: &str, rate: u64) {
        let Ok(report) = serde_json::from_str::<TapReport>(data) else { return };
        self.current = report;
        if self.current.skipped > 0 && !self.has_warned {
            self.has_warned = true;
            say(&format!(
                "wattle: warning: more than {rate} events a second match, and some of them are skipped; use `--filter`, \
                 or a higher `--rate`"
            ));
        }
        let missing = std::mem::take(&mut self.current.missing).into_iter();
        let missing = missing.map(|point| format!("the running configuration has no point `{}`", Line(point)));
        let hidden = std::mem::take(&mut self.current.hidden).into_iter();
        let hidden = hidden.map(|point| format!("the events of `{}` may not be shown any more", Line(point)));
        for text in missing.chain(hidden) {
            if !self.named.contains(&text) {
                say(&format!("wattle: warning: {text}"));
                self.named.push(text);
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.ended.skipped + self.current.skipped;
        // The report of the agent is up to a second older than the last event.
        let passed = (self.ended.passed + self.current.passed).max(self.shown + skipped);
        write!(f, "{} events shown, {skipped} skipped, {passed} passed", self.shown)?;
        // The agent compares a part of large batches only.
        let searched = self.ended.searched + self.current.searched;
        if searched > 0 && searched < passed {
            write!(f, ", {searched} of them searched")?;
        }
        if self.cut > 0 {
            write!(f, "; {} of the shown events are cut, because they are too long", self.cut)?;
        }
        Ok(())
    }
}
