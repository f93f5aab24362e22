//! Prepares the tests of a condition from its options.

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexSet};
use wattle_node::{Setup, bad_pattern};

use crate::bounds;
use crate::id::Id;
use crate::literal::{Literal, Number};
use crate::network::Networks;
use crate::never;
use crate::options::{Condition, OneOrMany, Type};
use crate::test::{Literals, Relation, Test, Texts};

/// The tests of the condition at `at`. Cheap tests come first, because later tests skip the rows that fail one. Returns
/// `None` after it reported all errors to `setup`.
pub(crate) fn tests(at: &str, condition: &Condition, setup: &mut Setup<'_>) -> Option<Vec<Test>> {
    let number = |relation, limit: &Option<serde_json::Number>| {
        limit.as_ref().map(|limit| Ok(Test::Number(relation, Number::of(limit))))
    };
    let text = |text: &String| Box::from(text.as_bytes());
    let texts = |texts: &OneOrMany<String>| -> Texts { texts.as_slice().iter().map(text).collect() };
    let mut lists = Lists { at, setup };
    let tests: Vec<Result<Test, Refused>> = [
        condition.exists.map(|wanted| Ok(Test::Exists(wanted))),
        condition.kind.as_ref().map(|kinds| {
            let kinds = lists.some("type", kinds)?;
            Ok(Test::Type(kinds.as_slice().iter().fold(0, |bits, kind| bits | 1 << kind_number(*kind))))
        }),
        condition.equals.as_ref().map(|value| Ok(Test::Equals(Literal::new(value)))),
        // The list may be empty: it can be a parameter of a pack, with which an operator turns the test off.
        condition.one_of.as_ref().map(|values| Ok(Test::OneOf(Literals::new(values)))),
        condition.equals_text.as_ref().map(|wanted| Ok(Test::EqualsText(text(wanted)))),
        condition.starts_with.as_ref().map(|list| Ok(Test::StartsWith(texts(lists.some("starts_with", list)?)))),
        condition.ends_with.as_ref().map(|list| Ok(Test::EndsWith(texts(lists.some("ends_with", list)?)))),
        number(Relation::Less, &condition.lt),
        number(Relation::LessOrEqual, &condition.le),
        number(Relation::Greater, &condition.gt),
        number(Relation::GreaterOrEqual, &condition.ge),
        condition.length.map(|length| match (length.min.unwrap_or(0), length.max.unwrap_or(usize::MAX)) {
            _ if length.min.is_none() && length.max.is_none() => lists.refuse("length", "needs `min`, `max` or both"),
            (min, max) if min > max => lists.refuse("length", &format!("`min` {min} is more than `max` {max}")),
            (min, max) => Ok(Test::Length(min, max)),
        }),
        condition.contains.as_ref().map(|list| contains(&mut lists, list)),
        condition.in_network.as_ref().map(|list| networks(&mut lists, list)),
        condition.older_than.as_ref().map(|age| older_than(&mut lists, age)),
        condition.regex.as_ref().map(|pattern| Ok(Test::Regex(regex(&mut lists, "regex", pattern)?))),
        condition.matches.as_ref().map(|list| matches(&mut lists, list)),
    ]
    .into_iter()
    .flatten()
    .collect();
    // More kinds of tests that can never hold.
    let bounds = bounds::check(condition).map_or(Ok(()), |(option, message)| lists.refuse(option, &message));
    let ids = ids(&mut lists, condition);
    let mut never = Ok(());
    for (option, message) in never::problems(condition) {
        never = lists.refuse(&option, &message);
    }
    let tests = tests.into_iter().collect::<Result<_, _>>().ok()?;
    (bounds.is_ok() && ids.is_ok() && never.is_ok()).then_some(tests)
}

/// Checks the constants that an id is compared with.
fn ids(lists: &mut Lists<'_, '_>, condition: &Condition) -> Result<(), Refused> {
    let Some(id) = condition.field.as_deref().and_then(Id::of) else { return Ok(()) };
    let mut done = Ok(());
    for (option, message) in id.problems(condition) {
        done = lists.refuse(&option, &message);
    }
    done
}

/// An option was refused, and the reason was reported.
struct Refused;

/// Reports errors in options of one condition.
struct Lists<'a, 'b> {
    at: &'a str,
    setup: &'a mut Setup<'b>,
}

impl Lists<'_, '_> {
    fn refuse<T>(&mut self, option: &str, message: &str) -> Result<T, Refused> {
        self.setup.error(format!("{}.{option}", self.at), message);
        Err(Refused)
    }

    /// The list, if it has an element.
    fn some<'a, T>(&mut self, option: &str, list: &'a OneOrMany<T>) -> Result<&'a OneOrMany<T>, Refused> {
        if list.as_slice().is_empty() { self.refuse(option, "at least one value is needed") } else { Ok(list) }
    }
}

fn contains(lists: &mut Lists<'_, '_>, list: &OneOrMany<String>) -> Result<Test, Refused> {
    match lists.some("contains", list)?.as_slice() {
        [one] => Ok(Test::Contains(Box::new(Finder::new(one).into_owned()))),
        many => match AhoCorasick::new(many) {
            Ok(texts) => Ok(Test::ContainsOneOf(Box::new(texts))),
            Err(error) => lists.refuse("contains", &format!("the list is too long: {error}")),
        },
    }
}

fn networks(lists: &mut Lists<'_, '_>, list: &OneOrMany<String>) -> Result<Test, Refused> {
    let mut networks = Networks::default();
    let mut done = lists.some("in_network", list).map(|_| ());
    for (option, text) in list.named("in_network") {
        if let Err(message) = networks.add(text) {
            done = lists.refuse(&option, &message);
        }
    }
    networks.sort();
    done.map(|()| Test::InNetwork(networks))
}

fn matches(lists: &mut Lists<'_, '_>, list: &OneOrMany<String>) -> Result<Test, Refused> {
    let mut done = lists.some("matches", list).map(|_| ());
    // Alone, each pattern is reported with its own path.
    for (option, pattern) in list.named("matches") {
        done = regex(lists, &option, pattern).map(|_| ()).and(done);
    }
    done?;
    match RegexSet::new(list.as_slice()) {
        Ok(patterns) => Ok(Test::Matches(patterns)),
        Err(error) => lists.refuse("matches", &format!("the patterns are too large together: {error}")),
    }
}

fn regex(lists: &mut Lists<'_, '_>, option: &str, pattern: &str) -> Result<Regex, Refused> {
    Regex::new(pattern).or_else(|error| lists.refuse(option, &bad_pattern(&error)))
}

fn older_than(lists: &mut Lists<'_, '_>, age: &str) -> Result<Test, Refused> {
    let Some(age) = wattle_convert::duration::parse(age.as_bytes(), None).filter(|age| *age >= 0) else {
        return lists.refuse("older_than", &format!("`{age}` is not a duration such as `90s`, `1h 30m` or `7d`"));
    };
    #[cfg(feature = "clock")]
    {
        // A missing grant is then an error of the configuration, not a fault of the first batch.
        wattle_node::capabilities::clock::now();
        Ok(Test::OlderThan(age))
    }
    #[cfg(not(feature = "clock"))]
    {
        let _ = age;
        lists.refuse("older_than", "this node was built without the capability `clock`; compare a field with `lt`")
    }
}

const fn kind_number(kind: Type) -> u8 {
    use wattle_node::json::Kind;
    (match kind {
        Type::Null => Kind::Null,
        Type::Bool => Kind::Bool,
        Type::Number => Kind::Number,
        Type::String => Kind::String,
        Type::Array => Kind::Array,
        Type::Object => Kind::Object,
    }) as u8
}
