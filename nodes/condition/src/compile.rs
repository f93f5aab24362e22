//! Compiles options to checks.

use memchr::memmem::Finder;
use regex::bytes::Regex;
use wattle_node::{Batch, Column, Field, Form, Setup, bad_pattern};

use crate::check::{Check, Kind};
use crate::literal::{Literal, Number};
use crate::options::Condition;
use crate::test::{Literals, Relation, Test};

/// Finds the columns for the fields of conditions.
pub trait ResolveField {
    /// The index of the column that holds the field `path`. Returns `None` after it reported an error in the option
    /// `option` to `setup`.
    fn resolve(&mut self, option: &str, path: &str, setup: &mut Setup<'_>) -> Option<usize>;
}

/// Resolves each field once, to be read from the batch.
#[derive(Debug, Default)]
pub struct ReadFields(Vec<(String, Field)>);

impl ReadFields {
    /// Reads all fields in text form, in the order of their columns.
    pub fn read(&self, batch: &mut Batch<'_>, columns: &mut Vec<Column>) {
        columns.clear();
        columns.extend(self.0.iter().map(|(_, field)| batch.read(*field, Form::Text)));
    }
}

impl ResolveField for ReadFields {
    fn resolve(&mut self, option: &str, path: &str, setup: &mut Setup<'_>) -> Option<usize> {
        let known = self.0.iter().position(|(known, _)| known == path);
        if known.is_none() {
            self.0.push((path.to_owned(), setup.read(option, path)?));
        }
        known.or(self.0.len().checked_sub(1))
    }
}

/// Compiles conditions.
#[derive(Debug, Default)]
pub struct Compiler<R> {
    resolver: R,
}

impl<R: ResolveField> Compiler<R> {
    /// Creates a compiler that finds columns with `resolver`.
    pub const fn new(resolver: R) -> Self {
        Self { resolver }
    }

    /// The resolver, between two conditions.
    pub const fn resolver(&mut self) -> &mut R {
        &mut self.resolver
    }

    /// The resolver, after the last condition.
    pub fn into_resolver(self) -> R {
        self.resolver
    }

    /// Compiles a condition; `at` is its path in the options. Returns `None` after it reported all errors to `setup`.
    pub fn condition(&mut self, at: &str, condition: &Condition, setup: &mut Setup<'_>) -> Option<Check> {
        let tests = tests(at, condition, setup);
        match (&condition.all, &condition.any, &condition.not) {
            (None, None, None) => self.field(at, condition, tests, setup),
            _ if condition.field.is_some() || tests.is_none_or(|tests| !tests.is_empty()) => mixed(at, setup),
            (Some(all), None, None) => self.list(&format!("{at}.all"), all, setup).map(|all| Check(Kind::All(all))),
            (None, Some(any), None) => self.list(&format!("{at}.any"), any, setup).map(|any| Check(Kind::Any(any))),
            (None, None, Some(not)) => {
                let check = self.condition(&format!("{at}.not"), not, setup)?;
                Some(Check(Kind::Not(Box::new(check))))
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
        let column = self.resolver.resolve(&format!("{at}.field"), path, setup)?;
        Some(Check(Kind::Field(column, tests?)))
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
            setup.error(format!("{at}.regex"), bad_pattern(&error));
            return None;
        }
    }
    Some(tests)
}
