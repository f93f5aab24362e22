//! Joins lines to one event, such as a stack trace.

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Number, OptionError};
use wattle_pattern::bad_pattern;

/// How lines are joined; the keys are those of Vector.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Regular expression that the first line of an event of several lines matches, such as `^\S`.
    start_pattern: String,
    /// How `condition_pattern` decides which lines follow the first. `halt_before`: all lines up
    /// to, not including, one that matches. `halt_with`: all lines up to and including one that
    /// matches. `continue_through`: all lines that match. `continue_past`: all lines that match and
    /// the one after them. Default: `halt_before`.
    #[serde(default)]
    mode: Mode,
    /// Regular expression that `mode` applies to the lines after the first.
    /// Default: `start_pattern`.
    #[serde(default)]
    condition_pattern: Option<String>,
    /// Milliseconds without a further line after which the event is complete. Default: `1000`.
    #[serde(default = "second")]
    timeout_ms: Number<u64>,
    /// Maximum number of lines in an event; further lines form the next event. Default: `1000`.
    #[serde(default = "thousand")]
    max_lines: Number<u64>,
}

fn second() -> Number<u64> {
    Number(1000)
}

fn thousand() -> Number<u64> {
    Number(1000)
}

/// Which lines follow the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    #[default]
    HaltBefore,
    HaltWith,
    ContinueThrough,
    ContinuePast,
}

/// The checked options.
#[derive(Clone, Debug)]
pub(crate) struct Multiline {
    start: Regex,
    condition: Regex,
    mode: Mode,
    pub(crate) max_lines: u64,
    pub(crate) timeout: std::time::Duration,
}

/// The role of a line for the open event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The line is not part of an event of several lines.
    Single,
    /// The line is the first of several lines.
    Begins,
    /// The line continues the open event.
    Continues,
    /// The line is the last one of the open event.
    Ends,
    /// The open event ended before the line.
    EndedBefore,
}

impl Multiline {
    pub(crate) fn new(options: &Options, errors: &mut Vec<OptionError>) -> Option<Self> {
        let mut compile = |key: &str, pattern: &str| {
            Regex::new(pattern)
                .map_err(|error| errors.push(OptionError::new(format!("multiline.{key}"), bad_pattern(&error))))
                .ok()
        };
        let start = compile("start_pattern", &options.start_pattern);
        let condition = match &options.condition_pattern {
            Some(pattern) => compile("condition_pattern", pattern),
            None => start.clone(),
        };
        if options.max_lines.0 == 0 {
            errors.push(OptionError::new("multiline.max_lines", "must be at least 1"));
        }
        Some(Self {
            start: start?,
            condition: condition?,
            mode: options.mode,
            max_lines: options.max_lines.0,
            timeout: std::time::Duration::from_millis(options.timeout_ms.0),
        })
    }

    /// Returns the role of a line, depending on whether an event is open.
    pub(super) fn judge(&self, line: &[u8], is_open: bool) -> Meaning {
        if !is_open {
            if !self.start.is_match(line) {
                return Meaning::Single;
            }
            let is_whole = self.mode == Mode::HaltWith && self.condition.is_match(line);
            return if is_whole { Meaning::Single } else { Meaning::Begins };
        }
        let matches = self.condition.is_match(line);
        match (self.mode, matches) {
            (Mode::HaltBefore, true) | (Mode::ContinueThrough, false) => Meaning::EndedBefore,
            (Mode::HaltBefore | Mode::HaltWith, false) | (Mode::ContinueThrough | Mode::ContinuePast, true) => {
                Meaning::Continues
            }
            (Mode::HaltWith, true) | (Mode::ContinuePast, false) => Meaning::Ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_pattern_is_explained_on_one_line() {
        for (pattern, expected) in [
            ("(", "not a regular expression: unclosed group; close it with `)`, or write `\\(` for the character"),
            ("a{2,1}", "not a regular expression: invalid repetition count range, the start must be <= the end"),
        ] {
            let options = serde_json::json!({ "start_pattern": "x", "condition_pattern": pattern });
            let mut errors = Vec::new();
            Multiline::new(&serde_json::from_value(options).unwrap(), &mut errors);
            assert_eq!(errors, [OptionError::new("multiline.condition_pattern", expected)]);
        }
    }
}
