//! Tests of one field, each over a whole column.

use std::cmp::Ordering;

use memchr::memmem::Finder;
use regex::bytes::Regex;
use wattle_node::Column;
use wattle_node::json::Kind;

use crate::literal::{Literal, Number};

/// A test of a field. For a field that is missing or null, every test is false except those for
/// exactly that.
#[derive(Debug)]
pub(crate) enum Test {
    Exists(bool),
    Equals(Literal),
    OneOf(Literals),
    EqualsText(Box<[u8]>),
    StartsWith(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    Number(Relation, Number),
}

/// How one number compares to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The values of a test `in`; lists of strings can be long.
#[derive(Debug)]
pub(crate) struct Literals {
    /// Sorted.
    strings: Vec<Box<[u8]>>,
    others: Vec<Literal>,
}

impl Literals {
    pub(crate) fn new(values: &[serde_json::Value]) -> Self {
        let (mut strings, mut others) = (Vec::new(), Vec::new());
        for value in values {
            match Literal::new(value) {
                Literal::String(text) => strings.push(text),
                other => others.push(other),
            }
        }
        strings.sort_unstable();
        Self { strings, others }
    }

    fn have(&self, kind: Kind, text: &[u8]) -> bool {
        match kind {
            Kind::String => self.strings.binary_search_by(|string| (**string).cmp(text)).is_ok(),
            _ => self.others.iter().any(|other| other.equals(kind, text)),
        }
    }
}

impl Relation {
    const fn fits(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Test {
    /// Clears the rows for which the test does not hold. The column is in text form.
    pub(crate) fn narrow(&self, column: &Column, rows: &mut [bool]) {
        match self {
            Self::Exists(wanted) => narrow(column, rows, |kind, _| (kind > Kind::Null) == *wanted),
            Self::Equals(literal) => narrow(column, rows, |kind, text| literal.equals(kind, text)),
            Self::OneOf(literals) => narrow(column, rows, |kind, text| literals.have(kind, text)),
            Self::EqualsText(wanted) => narrow_values(column, rows, |_, text| text == &**wanted),
            Self::StartsWith(prefix) => narrow_values(column, rows, |_, text| text.starts_with(prefix)),
            Self::Contains(finder) => narrow_values(column, rows, |_, text| finder.find(text).is_some()),
            Self::Regex(regex) => narrow_values(column, rows, |_, text| regex.is_match(text)),
            Self::Number(relation, limit) => narrow_values(column, rows, |kind, text| {
                let number = if matches!(kind, Kind::Number | Kind::String) { Number::parse(text) } else { None };
                number.and_then(|number| number.compare(*limit)).is_some_and(|order| relation.fits(order))
            }),
        }
    }
}

fn narrow(column: &Column, rows: &mut [bool], holds: impl Fn(Kind, &[u8]) -> bool) {
    for (row, open) in rows.iter_mut().enumerate() {
        if *open {
            *open = holds(column.kind(row), column.row(row));
        }
    }
}

fn narrow_values(column: &Column, rows: &mut [bool], holds: impl Fn(Kind, &[u8]) -> bool) {
    narrow(column, rows, |kind, text| kind > Kind::Null && holds(kind, text));
}
