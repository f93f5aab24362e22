//! Patterns for the beginning, the continuation and the end of a joined event.

use regex::bytes::Regex;
use wattle_condition::{Check, Compiler, ReadFields, Spare};
use wattle_node::{Column, Setup, bad_pattern};

use crate::options::{Options, Test};
use crate::step::{Next, START, State, Step};

/// A joined event is open.
const OPEN: State = 1;
/// Its last row matched `continue_after`.
const AFTER: State = 2;

/// A compiled test. A regular expression runs only on the rows that need it.
#[derive(Debug)]
pub(crate) enum Pattern {
    Regex(Regex),
    Check(Check, Vec<bool>),
}

impl Pattern {
    /// Compiles the test of the option `at`. Returns `None` after it reported an error to `setup`.
    fn new(at: &str, test: &Test, compiler: &mut Compiler<ReadFields>, setup: &mut Setup<'_>) -> Option<Self> {
        match test {
            Test::Pattern(pattern) => regex(at, pattern, setup).map(Self::Regex),
            Test::Condition(condition) => Some(Self::Check(compiler.condition(at, condition, setup)?, Vec::new())),
        }
    }

    fn prepare(&mut self, columns: &[Column], rows: usize, spare: &mut Spare) {
        if let Self::Check(check, hits) = self {
            hits.clear();
            hits.resize(rows, true);
            check.narrow(columns, hits, spare);
        }
    }

    fn matches(&self, row: usize, text: &[u8]) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Check(_, hits) => hits.get(row).copied().unwrap_or(false),
        }
    }
}

/// Compiles the regular expression of the option `at`. Returns `None` after it reported an error to `setup`.
pub(crate) fn regex(at: &str, pattern: &str, setup: &mut Setup<'_>) -> Option<Regex> {
    Regex::new(pattern).map_err(|error| setup.error(at, bad_pattern(&error))).ok()
}

/// The patterns; without any, every row of a key belongs to the open joined event.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    start: Option<Pattern>,
    continues: Option<Pattern>,
    continue_after: Option<Pattern>,
    end: Option<Pattern>,
    /// Rows that only mark the end of an event.
    marker: Option<Regex>,
}

impl Lines {
    /// Compiles the patterns of the options. Returns `None` after it reported all errors to `setup`.
    pub(crate) fn new(options: &Options, compiler: &mut Compiler<ReadFields>, setup: &mut Setup<'_>) -> Option<Self> {
        let tests = [
            ("start", &options.start),
            ("continue", &options.continues),
            ("continue_after", &options.continue_after),
            ("end", &options.end),
        ];
        // Compile all before the first `None` ends the function, to report every error at once.
        let [start, continues, continue_after, end] =
            tests.map(|(at, test)| test.as_ref().map(|test| Pattern::new(at, test, compiler, setup)));
        let valid = |pattern: Option<Option<Pattern>>| match pattern {
            None => Some(None),
            Some(pattern) => pattern.map(Some),
        };
        Some(Self {
            start: valid(start)?,
            continues: valid(continues)?,
            continue_after: valid(continue_after)?,
            end: valid(end)?,
            marker: None,
        })
    }

    /// Patterns that a preset has.
    pub(crate) fn of_end(end: Regex, marker: Regex) -> Self {
        Self { end: Some(Pattern::Regex(end)), marker: Some(marker), ..Self::default() }
    }

    /// Runs the conditions over a batch.
    pub(crate) fn prepare(&mut self, columns: &[Column], rows: usize, spare: &mut Spare) {
        let patterns = [&mut self.start, &mut self.continues, &mut self.continue_after, &mut self.end];
        patterns.into_iter().flatten().for_each(|pattern| pattern.prepare(columns, rows, spare));
    }

    /// Decides about a row.
    pub(crate) fn step(&self, row: usize, text: &[u8], state: State) -> Step {
        let matches = |pattern: &Option<Pattern>| pattern.as_ref().is_some_and(|pattern| pattern.matches(row, text));
        if matches(&self.start) {
            return Step::Begin(self.next(row, text));
        }
        let is_open = state != START;
        // Without a pattern that limits it, a joined event goes on until the next one begins.
        let goes_on = self.continues.is_none() && self.continue_after.is_none();
        if is_open && (state == AFTER || goes_on || matches(&self.continues) || matches(&self.end)) {
            return Step::Join(self.next(row, text));
        }
        if self.marker.as_ref().is_some_and(|marker| !is_open && marker.is_match(text)) {
            return Step::Marker;
        }
        if self.start.is_some() { Step::Alone } else { Step::Begin(self.next(row, text)) }
    }

    /// What comes after a row that belongs to a joined event.
    fn next(&self, row: usize, text: &[u8]) -> Next {
        let matches = |pattern: &Option<Pattern>| pattern.as_ref().is_some_and(|pattern| pattern.matches(row, text));
        let is_after = matches(&self.continue_after);
        let can_go_on = is_after || self.continue_after.is_none() || self.continues.is_some() || self.end.is_some();
        Next { state: if is_after { AFTER } else { OPEN }, ends: !can_go_on || matches(&self.end) }
    }

    /// Whether a state can be one of these patterns.
    pub(crate) const fn has(state: State) -> bool {
        state <= AFTER
    }
}
