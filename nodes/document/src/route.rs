//! Paths, prepared for an arena.

use std::cell::Cell;
use std::fmt;

use wattle_json::{Path, PathError, Segment};

use crate::bytes::same;
use crate::documents::Documents;
use crate::key::Key;
use crate::node::NONE;

/// A path from a place to one value, or to many.
#[derive(Clone, Debug, Default)]
pub struct Route {
    steps: Box<[Step]>,
}

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Step {
    /// To the member with this key.
    Key(Key),
    /// To the element with this number, from 0.
    Index(usize),
    /// To every element.
    Each,
    /// To every member whose key fits the pattern.
    Glob(Glob),
}

/// A pattern of keys: `*` stands for any text, everything else for itself.
#[derive(Clone, Debug)]
pub struct Glob {
    parts: Box<[Box<[u8]>]>,
    /// Number of a shape, and which of its members fit, as bits.
    pub(crate) known: Cell<(u32, u64)>,
}

impl Glob {
    /// Reads a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let parts = pattern.split('*').map(|part| Box::from(part.as_bytes())).collect();
        Self { parts, known: Cell::new((NONE, 0)) }
    }

    /// Whether a key fits.
    #[must_use]
    pub fn fits(&self, key: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.parts else {
            return self.parts.first().is_some_and(|only| **only == *key);
        };
        if key.len() < first.len() + last.len() || !same(key.get(..first.len()).unwrap_or_default(), first) {
            return false;
        }
        let Some(mut rest) = key.get(first.len()..).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        // The earliest place of each part leaves the most for those that follow.
        for part in middle {
            match memchr::memmem::find(rest, part).and_then(|at| rest.get(at + part.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(PathError);

impl fmt::Display for RouteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for RouteError {}

impl Route {
    /// The steps of the path.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the path leads to one value at most.
    #[must_use]
    pub fn is_single(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step, Step::Each | Step::Glob(_)))
    }

    /// Whether the path has a pattern of keys.
    #[must_use]
    pub fn has_glob(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Glob(_)))
    }
}

impl Documents {
    /// Prepares a path of literal keys, numbers and `[*]`.
    pub fn route(&mut self, path: &Path) -> Route {
        let steps = path.segments().iter().map(|segment| match segment {
            Segment::Key(key) => Step::Key(self.constant_key(key)),
            Segment::Index(index) => Step::Index(*index),
            Segment::Each => Step::Each,
        });
        Route { steps: steps.collect() }
    }

    /// Prepares a path in which `*` in a bare key stands for any text, such as `a.debug_*`; in
    /// quotes it is a literal.
    ///
    /// # Errors
    ///
    /// The text is not a path.
    pub fn pattern(&mut self, text: &str) -> Result<Route, RouteError> {
        let path = Path::parse(text).map_err(RouteError)?;
        let mut quoted = quoted_keys(text).into_iter();
        let steps = path.segments().iter().map(|segment| match segment {
            Segment::Key(key) if !quoted.next().unwrap_or(false) && key.contains('*') => Step::Glob(Glob::new(key)),
            Segment::Key(key) => Step::Key(self.constant_key(key)),
            Segment::Index(index) => Step::Index(*index),
            Segment::Each => Step::Each,
        });
        Ok(Route { steps: steps.collect() })
    }
}

/// Whether each key of a path that was read stands in quotes, in order.
fn quoted_keys(path: &str) -> Vec<bool> {
    let mut found = Vec::new();
    let mut chars = path.chars().peekable();
    let mut at_key = true;
    while let Some(char) = chars.next() {
        match char {
            '.' => at_key = true,
            '[' => {
                chars.by_ref().find(|char| *char == ']');
                at_key = false;
            }
            '"' if at_key => {
                found.push(true);
                at_key = false;
                let mut escaped = false;
                chars.by_ref().find(|char| {
                    let ends = *char == '"' && !escaped;
                    escaped = *char == '\\' && !escaped;
                    ends
                });
            }
            // `$` at the start is the root, not a key.
            '$' if found.is_empty() && at_key && matches!(chars.peek(), None | Some('.' | '[')) => at_key = false,
            _ if at_key => {
                found.push(false);
                at_key = false;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_keys() {
        let fits = |pattern: &str, key: &str| Glob::new(pattern).fits(key.as_bytes());
        assert!(fits("debug_*", "debug_") && fits("debug_*", "debug_x") && !fits("debug_*", "xdebug_"));
        assert!(fits("*", "") && fits("*_id", "a_id") && !fits("*_id", "a_id_"));
        assert!(fits("a*b*c", "abc") && fits("a*b*c", "axbybc") && !fits("a*b*c", "acb"));
        assert!(!fits("ab*ba", "aba"), "the parts may not overlap");
        assert!(fits("a", "a") && !fits("a", "ab"));
    }

    #[test]
    fn an_asterisk_in_quotes_is_a_literal() {
        let mut documents = Documents::default();
        let mut globs = |text: &str| -> Vec<bool> {
            let route = documents.pattern(text).unwrap();
            route.steps().iter().map(|step| matches!(step, Step::Glob(_))).collect()
        };
        assert_eq!(globs("a*"), [true]);
        assert_eq!(globs("\"a*\""), [false]);
        assert_eq!(globs("a.\"x.\\\"*\".b*[*].c*[2].\"*\""), [false, false, true, false, true, false, false]);
        assert_eq!(globs("$.a.b*"), [false, true]);
        assert_eq!(globs("[0].b*"), [false, true]);
        assert!(documents.pattern("a..b").unwrap_err().to_string().contains("expected a key"));
    }
}
