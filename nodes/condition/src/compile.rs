//! Compiles options to checks.

use wattle_node::{Batch, Column, Field, Form, Setup};

use crate::check::{Check, Kind};
use crate::hash::{Key, Sample, Share};
use crate::options::Condition;
use crate::pair::PairTest;
use crate::prepare::tests;
use crate::test::Test;

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
            _ if condition.field.is_some()
                || condition.sample.is_some()
                || condition.compares()
                || tests.is_none_or(|tests| !tests.is_empty()) =>
            {
                mixed(at, setup)
            }
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
        let untested = tests.as_ref().is_some_and(Vec::is_empty) && !condition.compares();
        let key = condition.sample.as_ref().and_then(|sample| sample.key.as_ref());
        let Some(path) = &condition.field else {
            return match &condition.sample {
                Some(sample) if untested && key.is_some() => self.sample(at, sample, None, setup),
                Some(_) if untested => {
                    setup.error(at, "`sample` needs a `field` or a `key`, whose value decides");
                    None
                }
                _ => {
                    setup.error(at, "a condition needs a `field` to test, or one of `all`, `any`, `not`");
                    None
                }
            };
        };
        if untested && condition.sample.is_none() {
            setup.error(at, "a field needs a test, such as `exists`, `equals`, `in` or `regex`");
        }
        let column = self.resolver.resolve(&format!("{at}.field"), path, setup);
        let pairs = self.pairs(at, condition, column, setup);
        let sample = condition.sample.as_ref().map(|sample| self.sample(at, sample, column, setup));
        let field = Check(Kind::Field(column?, tests?));
        let others: Vec<Check> = pairs.into_iter().chain(sample).collect::<Option<_>>()?;
        if others.is_empty() {
            return Some(field);
        }
        Some(Check(Kind::All(std::iter::once(field).chain(others).collect())))
    }

    /// Compiles the comparisons with other fields of the condition at `at`, whose field is `column`.
    fn pairs(
        &mut self,
        at: &str,
        condition: &Condition,
        column: Option<usize>,
        setup: &mut Setup<'_>,
    ) -> Vec<Option<Check>> {
        let given = [
            ("equals_field", &condition.equals_field, PairTest::Equals),
            ("starts_with_field", &condition.starts_with_field, PairTest::StartsWith),
        ];
        let mut pairs = Vec::new();
        for (option, path, test) in given {
            let Some(path) = path else { continue };
            let other = self.resolver.resolve(&format!("{at}.{option}"), path, setup);
            pairs.push(column.zip(other).map(|(column, other)| Check(Kind::Pair(column, other, test))));
        }
        pairs
    }

    /// Compiles `sample` of the condition at `at`, whose field is `column`.
    fn sample(&mut self, at: &str, sample: &Sample, column: Option<usize>, setup: &mut Setup<'_>) -> Option<Check> {
        let at = format!("{at}.sample");
        let share = Share::new(&at, sample.rate, sample.ratio.as_ref(), setup);
        let key = match &sample.key {
            Some(fields) => Key::new(&format!("{at}.key"), fields, sample.seed, &mut self.resolver, setup),
            None => column.map(|column| Key::of_column(column, sample.seed)),
        };
        Some(Check(Kind::Sample(key?, share?)))
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
