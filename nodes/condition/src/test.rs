//! Tests of one field, each over a whole column.

use std::cmp::Ordering;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexSet};
#[cfg(feature = "clock")]
use wattle_convert::time::Format;
use wattle_node::Column;
use wattle_node::json::{self, Kind};

use crate::literal::{Literal, Number};
use crate::network::Networks;

/// A test of a field. For a field that is missing or null, every test is false except those for
/// exactly that.
#[derive(Debug)]
pub(crate) enum Test {
    Exists(bool),
    Equals(Literal),
    OneOf(Literals),
    EqualsText(Box<[u8]>),
    StartsWith(Texts),
    EndsWith(Texts),
    Contains(Box<Finder<'static>>),
    ContainsOneOf(Box<AhoCorasick>),
    Regex(Regex),
    Matches(RegexSet),
    Number(Relation, Number),
    InNetwork(Networks),
    Length(usize, usize),
    /// One of these kinds: bit `1 << kind`.
    Type(u8),
    #[cfg(feature = "clock")]
    OlderThan(i64),
}

/// Texts of a test; one of them is enough.
pub(crate) type Texts = Box<[Box<[u8]>]>;

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
    pub(crate) const fn fits(self, order: Ordering) -> bool {
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
            Self::StartsWith(texts) => narrow_values(column, rows, |_, text| texts.iter().any(|t| text.starts_with(t))),
            Self::EndsWith(texts) => narrow_values(column, rows, |_, text| texts.iter().any(|t| text.ends_with(t))),
            Self::Contains(finder) => narrow_values(column, rows, |_, text| finder.find(text).is_some()),
            Self::ContainsOneOf(texts) => narrow_values(column, rows, |_, text| texts.is_match(text)),
            Self::Matches(patterns) => narrow_values(column, rows, |_, text| patterns.is_match(text)),
            Self::InNetwork(networks) => {
                narrow_values(column, rows, |kind, text| kind == Kind::String && networks.have(text));
            }
            Self::Length(min, max) => {
                narrow_values(column, rows, |kind, text| (*min..=*max).contains(&length(kind, text)));
            }
            Self::Type(kinds) => narrow(column, rows, |kind, _| kinds & (1 << kind as u8) != 0),
            #[cfg(feature = "clock")]
            Self::OlderThan(age) => {
                let limit = wattle_node::capabilities::clock::now().saturating_sub(*age);
                narrow_values(column, rows, |kind, text| {
                    let time = match kind {
                        // Dates, times without seconds and the forms without separators are ISO 8601, too. A text of digits
                        // only is a number since 1970.
                        Kind::String => Format::Auto.parse(text).or_else(|| Format::Iso8601.parse(text)),
                        Kind::Number => Format::Auto.parse(text),
                        _ => None,
                    };
                    time.is_some_and(|time| time < limit)
                });
            }
            Self::Regex(regex) => narrow_values(column, rows, |_, text| regex.is_match(text)),
            Self::Number(relation, limit) => narrow_values(column, rows, |kind, text| {
                matches!(kind, Kind::Number | Kind::String)
                    && limit.order_of(text).is_some_and(|order| relation.fits(order))
            }),
        }
    }
}

/// The length of a value: elements, members, or bytes of a text.
fn length(kind: Kind, text: &[u8]) -> usize {
    let mut count = 0_usize;
    let value = json::Value { start: 0, end: text.len(), kind };
    // The host has checked that the text is JSON, so walking it does not fail.
    let _ = match kind {
        Kind::Array => json::elements(text, value, |_| count += 1),
        Kind::Object => json::members(text, value, |_, _| count += 1),
        _ => return text.len(),
    };
    count
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

#[cfg(test)]
#[cfg(feature = "clock")]
mod tests;
