//! Conditions: options compiled to checks that narrow down the rows of a batch.

use memchr::memmem::Finder;
use regex::bytes::Regex;
use wattle_node::{Column, Field, Setup};

use crate::literal::{Literal, Number};
use crate::options::Condition;
use crate::test::{Literals, Relation, Test};

/// A condition, ready for use.
#[derive(Debug)]
pub(crate) enum Check {
    /// All of these tests hold for the column at this index.
    Field(usize, Vec<Test>),
    All(Vec<Check>),
    Any(Vec<Check>),
    Not(Box<Check>),
}

impl Check {
    /// Clears the rows for which the condition does not hold. It skips rows that are already clear.
    pub(crate) fn narrow(&self, columns: &[Column], rows: &mut [bool], spare: &mut Spare) {
        match self {
            Self::Field(column, tests) => {
                for (test, column) in tests.iter().filter_map(|test| Some((test, columns.get(*column)?))) {
                    test.narrow(column, rows);
                }
            }
            Self::All(checks) => checks.iter().for_each(|check| check.narrow(columns, rows, spare)),
            Self::Any(checks) => {
                // Rows for which no condition has matched yet.
                let mut open = spare.copy_of(rows);
                for check in checks {
                    let mut hits = spare.copy_of(&open);
                    check.narrow(columns, &mut hits, spare);
                    clear(&mut open, &hits);
                    spare.give_back(hits);
                }
                clear(rows, &open);
                spare.give_back(open);
            }
            Self::Not(check) => {
                let mut hits = spare.copy_of(rows);
                check.narrow(columns, &mut hits, spare);
                clear(rows, &hits);
                spare.give_back(hits);
            }
        }
    }
}

/// Clears the rows that are set in `hits`.
fn clear(rows: &mut [bool], hits: &[bool]) {
    for (row, hit) in rows.iter_mut().zip(hits) {
        *row &= !hit;
    }
}

/// Row buffers, kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<bool>>);

impl Spare {
    pub(crate) fn copy_of(&mut self, rows: &[bool]) -> Vec<bool> {
        let mut copy = self.0.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(rows);
        copy
    }

    pub(crate) fn give_back(&mut self, rows: Vec<bool>) {
        self.0.push(rows);
    }
}

/// Compiles conditions and collects the fields that they read, without duplicates.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    fields: Vec<(String, Field)>,
}

impl Compiler {
    /// The fields in the order of their columns.
    pub(crate) fn into_fields(self) -> Vec<Field> {
        self.fields.into_iter().map(|(_, field)| field).collect()
    }

    /// Compiles a condition; `at` is its path in the options. Returns `None` after reporting errors
    /// to `setup`.
    pub(crate) fn condition(&mut self, at: &str, condition: &Condition, setup: &mut Setup<'_>) -> Option<Check> {
        let tests = tests(at, condition, setup);
        match (&condition.all, &condition.any, &condition.not) {
            (None, None, None) => self.field(at, condition, tests, setup),
            _ if condition.field.is_some() || tests.is_none_or(|tests| !tests.is_empty()) => mixed(at, setup),
            (Some(all), None, None) => self.list(&format!("{at}.all"), all, setup).map(Check::All),
            (None, Some(any), None) => self.list(&format!("{at}.any"), any, setup).map(Check::Any),
            (None, None, Some(not)) => {
                let check = self.condition(&format!("{at}.not"), not, setup)?;
                Some(Check::Not(Box::new(check)))
            }
            _ => mixed(at, setup),
        }
    }

    fn field(
        &mut self,
        at: &str,
        condition: &Condition,
        tests: Option<Vec<Test>>,
        setup: &mut Setup<'_>,
    ) -> Option<Check> {
        let Some(path) = &condition.field else {
            setup.error(at, "a condition needs a `field` to test, or one of `all`, `any`, `not`");
            return None;
        };
        if tests.as_ref().is_some_and(Vec::is_empty) {
            setup.error(at, "a field needs a test, such as `exists`, `equals`, `in` or `regex`");
        }
        let known = self.fields.iter().position(|(known, _)| known == path);
        let column = match known {
            Some(column) => column,
            None => {
                self.fields.push((path.clone(), setup.read(&format!("{at}.field"), path)?));
                self.fields.len() - 1
            }
        };
        Some(Check::Field(column, tests?))
    }

    fn list(&mut self, at: &str, list: &[Condition], setup: &mut Setup<'_>) -> Option<Vec<Check>> {
        if list.is_empty() {
            setup.error(at, "at least one condition is needed");
        }
        let each = list.iter().enumerate();
        // Compile all conditions before the first `None` ends the collection, to report every error at once.
        let checks: Vec<_> = each.map(|(i, one)| self.condition(&format!("{at}[{i}]"), one, setup)).collect();
        checks.into_iter().collect()
    }
}

fn mixed(at: &str, setup: &mut Setup<'_>) -> Option<Check> {
    setup.error(at, "a condition is either tests of one `field`, or one of `all`, `any`, `not`");
    None
}

/// The tests of a condition. Cheap tests come first, because later tests skip the rows that fail
/// one.
fn tests(at: &str, condition: &Condition, setup: &mut Setup<'_>) -> Option<Vec<Test>> {
    let bytes = |text: &String| Box::from(text.as_bytes());
    let number = |relation, limit: &Option<serde_json::Number>| {
        limit.as_ref().map(|limit| Test::Number(relation, Number::of(limit)))
    };
    let mut tests: Vec<Test> = [
        condition.exists.map(Test::Exists),
        condition.equals.as_ref().map(|value| Test::Equals(Literal::new(value))),
        condition.one_of.as_ref().map(|values| Test::OneOf(Literals::new(values))),
        condition.equals_text.as_ref().map(|text| Test::EqualsText(bytes(text))),
        condition.starts_with.as_ref().map(|text| Test::StartsWith(bytes(text))),
        number(Relation::Less, &condition.lt),
        number(Relation::LessOrEqual, &condition.le),
        number(Relation::Greater, &condition.gt),
        number(Relation::GreaterOrEqual, &condition.ge),
        condition.contains.as_ref().map(|text| Test::Contains(Box::new(Finder::new(text).into_owned()))),
    ]
    .into_iter()
    .flatten()
    .collect();
    match condition.regex.as_deref().map(Regex::new) {
        None => {}
        Some(Ok(regex)) => tests.push(Test::Regex(regex)),
        Some(Err(error)) => {
            // The last line states the problem; the lines before it draw the pattern.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            setup.error(format!("{at}.regex"), format!("not a regular expression: {reason}"));
            return None;
        }
    }
    Some(tests)
}
