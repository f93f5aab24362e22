//! Filters of taps: conditions on fields of an event.

use wattle_batch::{Batch, FieldPath, Form};
use wattle_json::Kind;

/// Maximum length of a filter in bytes.
const MAX_BYTES: usize = 4096;

/// A condition on one field: `PATH=TEXT`, `PATH!=TEXT`, `PATH~TEXT` (contains) or `PATH` (exists).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    field: Field,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Event(FieldPath),
    /// A part of the failure of an event that failed.
    Failure(FailurePart),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailurePart {
    Node,
    Code,
    Message,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Equals(String),
    Differs(String),
    Contains(String),
}

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter `{filter}`: {message}; write `PATH=TEXT`, `PATH!=TEXT`, `PATH~TEXT` (contains) or `PATH` (exists)")]
pub struct FilterError {
    /// The beginning of the text.
    pub filter: String,
    /// The problem.
    pub message: String,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    ///
    /// The path is not a field of an event, or the text is too long.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let fail = |message: String| {
            let filter = text.get(..text.floor_char_boundary(100)).unwrap_or_default().to_owned();
            FilterError { filter, message }
        };
        if text.len() > MAX_BYTES {
            return Err(fail(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let (path, test) = split(text);
        let field = match path.strip_prefix("failure.") {
            Some("node") => Field::Failure(FailurePart::Node),
            Some("code") => Field::Failure(FailurePart::Code),
            Some("message") => Field::Failure(FailurePart::Message),
            Some(_) => return Err(fail("`failure` has the fields `node`, `code` and `message`".into())),
            None => Field::Event(FieldPath::parse(path).map_err(|error| fail(error.message))?),
        };
        Ok(Self { field, test })
    }

    /// Keeps the rows, by index, that the filter accepts.
    pub(super) fn keep(&self, batch: &Batch, rows: &mut [bool]) {
        match &self.field {
            Field::Failure(part) => {
                for (row, kept) in rows.iter_mut().enumerate() {
                    let value = batch.failure(row).map(|failure| match part {
                        FailurePart::Node => &failure.node,
                        FailurePart::Code => &failure.code,
                        FailurePart::Message => &failure.message,
                    });
                    *kept &= self.test.accepts(value.map(|text| text.as_bytes()));
                }
            }
            Field::Event(path) => {
                let (bytes, offsets, kinds) = batch.read(path, Form::Text);
                let ends = offsets.windows(2).map(|pair| match *pair {
                    [start, end] => bytes.get(start as usize..end as usize).unwrap_or_default(),
                    _ => &[],
                });
                for ((kept, value), kind) in rows.iter_mut().zip(ends).zip(kinds) {
                    *kept &= self.test.accepts((kind != Kind::Missing as u8).then_some(value));
                }
            }
        }
    }
}

impl Test {
    fn accepts(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Exists => value.is_some(),
            Self::Equals(text) => value == Some(text.as_bytes()),
            Self::Differs(text) => value != Some(text.as_bytes()),
            Self::Contains(text) => value.is_some_and(|value| contains(value, text.as_bytes())),
        }
    }
}

/// Splits a filter at its operator, which is not inside the quotes of a path.
fn split(text: &str) -> (&str, Test) {
    let mut is_quoted = false;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let (path, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'!' if rest.starts_with("!=") => {
                return (path, Test::Differs(rest.get(2..).unwrap_or_default().to_owned()));
            }
            b'=' => return (path, Test::Equals(rest.get(1..).unwrap_or_default().to_owned())),
            b'~' => return (path, Test::Contains(rest.get(1..).unwrap_or_default().to_owned())),
            _ => {}
        }
    }
    (text, Test::Exists)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattle_batch::{Ack, Column, Failure, Origin};

    use super::*;

    fn kept(batch: &Batch, filter: &str) -> Vec<bool> {
        let mut rows = vec![true; batch.rows()];
        Filter::parse(filter).unwrap().keep(batch, &mut rows);
        rows
    }

    fn batch() -> Batch {
        let origin = Origin { source: "in".into(), resource: r#"{"host":"h"}"#.into(), observed: 0 };
        let bodies = [r#"{"name":"Get\u0041","n":5,"a.b":"x=y"}"#, r#"{"name":null}"#, "plain text"];
        Batch::new(Column::from_rows(bodies).unwrap(), Arc::new(origin), Ack::none())
    }

    #[test]
    fn filters_compare_the_text_of_fields() {
        let batch = batch();
        for (filter, expected) in [
            ("body.name=GetA", [true, false, false]),
            ("body.name!=GetA", [false, true, true]),
            ("body.name~tA", [true, false, false]),
            ("body.name", [true, true, false]),
            ("body.n=5", [true, false, false]),
            ("body~text", [false, false, true]),
            ("body.\"a.b\"=x=y", [true, false, false]),
            ("resource.host=h", [true, true, true]),
            ("failure.code", [false, false, false]),
            ("attributes.x=", [false, false, false]),
        ] {
            assert_eq!(kept(&batch, filter), expected, "{filter}");
        }
        let failure =
            |code: &str| Failure { node: "n".into(), version: "".into(), code: code.into(), message: "m".into() };
        let failed = batch.with_failures(vec![failure("a"), failure("b"), failure("a")]);
        assert_eq!(kept(&failed, "failure.code=a"), [true, false, true]);
        assert_eq!(kept(&failed, "failure.message~m"), [true, true, true]);
    }

    #[test]
    fn an_error_names_the_filter_and_its_problem() {
        for (filter, part) in [
            ("message=x", "must begin with"),
            ("", "must begin with"),
            ("failure.reason=x", "`node`, `code` and `message`"),
            ("attributes.", "expected a key"),
            (&"x".repeat(5000), "longer than 4096"),
        ] {
            let error = Filter::parse(filter).unwrap_err();
            assert!(error.to_string().len() < 600 && error.to_string().contains("PATH=TEXT"), "{error}");
            assert!(error.to_string().contains(part), "{filter}: {error}");
        }
    }
}
