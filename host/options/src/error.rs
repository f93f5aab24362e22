//! Errors in options.

use std::fmt;

use crate::{Period, Problem};

/// An error in one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Path of the option, such as `encoding.codec` or `include[0]`; empty for the options as a whole.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

impl OptionError {
    /// An error that a check of the option at `path` found. The message says which values are valid.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), problem: Problem::Invalid(message.into()) }
    }

    /// An error that serde reported when it read the option at `path`, here or in a node.
    pub fn of_serde(path: impl Into<String>, message: &str) -> Self {
        Self { path: path.into(), problem: Problem::of_serde(message) }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "option `{}`: ", self.path)?;
        }
        write!(f, "{}", self.problem)?;
        self.problem.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for OptionError {}

/// The text of all errors, for callers without a list of diagnostics.
pub fn summary(errors: &[OptionError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The errors found so far.
#[derive(Debug, Default)]
pub struct OptionErrors(pub(crate) Vec<OptionError>);

impl OptionErrors {
    /// How many errors there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Ends a check: its value if there is no error.
    ///
    /// # Errors
    ///
    /// All errors, in the order in which they were added; at least one, also if the check forgot to add one.
    pub fn finish<V>(self, value: Option<V>) -> Result<V, Vec<OptionError>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            None if self.0.is_empty() => Err(vec![OptionError::new("", "the options are not valid")]),
            _ => Err(self.0),
        }
    }

    /// Adds an error.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(OptionError::new(path, message));
    }

    /// Adds an error if a number is 0.
    pub fn at_least_one(&mut self, path: &str, number: u64) {
        if number == 0 {
            self.add(path, "must be at least 1");
        }
    }

    /// Adds an error if a duration is 0.
    pub fn not_zero(&mut self, path: &str, period: Period) {
        if period.0.is_zero() {
            self.add(path, "must be longer than 0");
        }
    }

    /// The value, or `None` and its error.
    pub fn check<V>(&mut self, path: &str, result: Result<V, impl fmt::Display>) -> Option<V> {
        result.map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// The value, or `None` and its errors.
    pub fn accept<V>(&mut self, result: Result<V, Vec<OptionError>>) -> Option<V> {
        result.map_err(|errors| self.0.extend(errors)).ok()
    }
}
