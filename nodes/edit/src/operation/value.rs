//! Operations that change each value of a field by itself, in place or into another field.

use wattle_document::{Content, Place};
use wattle_node::json::Kind;

use super::{Compiler, Operation, marked};
use crate::field::{Field, Root, Shape};
use crate::options::{ConvertError, Fields, OnMissing};
use crate::problem::Problem;
use crate::rows::Rows;
use crate::takes::Takes;

/// The value is a text with other bytes than those of UTF-8, or would become one.
pub(super) const NOT_UTF8: Problem = Problem::BadValue("UTF-8");

/// Text of a value, for changes that need UTF-8.
pub(super) fn utf8(text: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(text).map_err(|_| NOT_UTF8)
}

/// What a change made of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// The value stays.
    Same,
    /// What was written is the text of a string.
    Text,
    /// What was written is JSON.
    Json,
}

/// A change of one value.
pub(crate) trait Change {
    /// Reads the other fields of a row that the change needs.
    fn prepare(&mut self, _rows: &mut Rows, _row: usize) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether the body as a whole is read as the JSON in its text instead of as a string.
    fn takes_json(&self) -> bool {
        false
    }

    /// How many hexadecimal digits each new value is, if it is always so many.
    fn digits(&self) -> Option<usize> {
        None
    }

    /// Writes the new value. `text` is the value in text form; it is neither missing nor null.
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem>;
}

/// A change of each value of fields.
pub(crate) struct InPlace<C> {
    fields: Vec<Field>,
    into: Option<Field>,
    on_missing: OnMissing,
    on_error: ConvertError,
    change: C,
    found: Vec<Place>,
    memory: Vec<u8>,
    out: Vec<u8>,
}

impl<C: Change> InPlace<C> {
    /// Returns `None` after it reported errors.
    pub(super) fn new(
        compiler: &mut Compiler<'_, '_>,
        operation: &str,
        fields: &Fields,
        into: Option<String>,
        on_missing: OnMissing,
        on_error: ConvertError,
        change: Option<C>,
    ) -> Option<Self> {
        let at = compiler.at(operation);
        let fields = compiler.plan.changes(&at, fields, Shape::Each, compiler.setup);
        let into_field = into.as_ref().map(|into| {
            let at = compiler.at("into");
            compiler.plan.change(&at, into, Shape::Single, compiler.setup)
        });
        if let Some(fields) = &fields {
            let is_single = fields.len() == 1 && fields.iter().all(|field| field.route.is_single());
            if into.is_some() && !is_single {
                compiler.error("into", "`into` takes one value; give the operation one field, without `[*]`");
            }
            let is_root = into.is_none() && fields.iter().any(Field::is_whole);
            if is_root && matches!(on_error, ConvertError::Null | ConvertError::Remove) {
                compiler.error(
                    "on_error",
                    "the body, attributes, resource and timestamp as a whole take `fail` and `keep`",
                );
            }
        }
        let into = match into_field {
            Some(field) => Some(field?),
            None => None,
        };
        let digits = change.as_ref().and_then(Change::digits);
        match &into {
            Some(into) => never_fits(compiler, "into", operation, into, digits),
            None => fields.iter().flatten().for_each(|field| {
                if !never_changes(compiler, operation, field) {
                    never_fits(compiler, operation, operation, field, digits);
                }
            }),
        }
        let (found, memory, out) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { fields: fields?, into, on_missing, on_error, change: change?, found, memory, out })
    }

    /// Changes one value.
    fn change(&mut self, rows: &mut Rows, row: usize, field: usize, place: Place) -> Result<(), Problem> {
        let Some(field) = self.fields.get(field) else { return Ok(()) };
        let place_of_value = match field.is_whole_body() && self.change.takes_json() {
            true => rows.root(row, field)?,
            false => place,
        };
        let content = rows.documents.content(place_of_value);
        if content.kind() <= Kind::Null {
            return if self.on_missing == OnMissing::Fail { Err(Problem::Missing) } else { Ok(()) };
        }
        match self.change.prepare(rows, row) {
            Err(Problem::Missing) if self.on_missing == OnMissing::Keep => return Ok(()),
            prepared => prepared?,
        }
        self.out.clear();
        let text = rows.documents.text(content, &mut self.memory);
        let made = self.change.change(content.kind(), text, &mut self.out)?;
        let is_same = made == Made::Same || (made == Made::Text && content.kind() == Kind::String && self.out == text);
        let is_body = self.into.as_ref().unwrap_or(field).is_whole_body();
        if made == Made::Text && !is_body && std::str::from_utf8(&self.out).is_err() {
            // JSON cannot hold other bytes, and U+FFFD in their place would lose them.
            return Err(NOT_UTF8);
        }
        let new = match made {
            _ if is_same && self.into.is_none() => return Ok(()),
            Made::Same => content,
            Made::Text => rows.documents.new_text(&self.out),
            Made::Json => rows.documents.new_json(&self.out),
        };
        if self.on_error != ConvertError::Fail {
            // Otherwise the host fails the event, unless a later step corrects the value.
            rows.check(self.into.as_ref().unwrap_or(field), new)?;
        }
        match &self.into {
            // A change can make null, as `decode` of the JSON `null` does. It replaces no value of another field.
            Some(into) if new.kind() == Kind::Null && rows.present(row, into).kind() > Kind::Null => Ok(()),
            Some(into) => rows.put(row, into, new).map(drop),
            None => rows.replace(row, field, place, new),
        }
    }

    /// Does what options say where a value cannot be changed.
    #[cold]
    fn fail(&self, rows: &mut Rows, row: usize, field: &Field, place: Place, problem: Problem) {
        let to = self.into.as_ref().unwrap_or(field);
        match (problem, self.on_error) {
            (Problem::Missing, _) | (_, ConvertError::Fail) => {
                let is_target =
                    matches!(problem, Problem::NoPlace(_) | Problem::BadTimestamp | Problem::EmptyTimestamp);
                let name = if is_target { &to.name } else { &field.name };
                rows.fail(row, problem, name);
            }
            (Problem::NoPlace(_) | Problem::NotJson, _) | (_, ConvertError::Keep) => {}
            (_, ConvertError::Null) => {
                let null = rows.documents.new_json(b"null");
                self.give(rows, row, place, null);
            }
            (_, ConvertError::Remove) => match &self.into {
                None => rows.remove(row, field, place),
                Some(into) => {
                    let mut found = Vec::new();
                    if rows.places(row, into, &mut found).is_ok() {
                        found.into_iter().for_each(|place| rows.remove(row, into, place));
                    }
                }
            },
        }
    }

    fn give(&self, rows: &mut Rows, row: usize, place: Place, content: Content) {
        match &self.into {
            // A field without a place for the value has no place for null either.
            Some(into) => drop(rows.put(row, into, content)),
            None => rows.documents.set(place, content),
        }
    }
}

/// Reports a root whose value an operation can only change to one that the root does not take.
fn never_changes(compiler: &mut Compiler<'_, '_>, operation: &str, field: &Field) -> bool {
    let is_text = matches!(field.root, Root::Timestamp | Root::TraceId | Root::SpanId);
    let is_never = field.is_whole() && is_text && !matches!(operation, "replace" | "lower" | "upper" | "trim" | "hash");
    if is_never {
        let root = field.root.name();
        compiler.error(
            operation,
            format!(
                "`{root}` never takes what `{operation}` makes of it; write the result to another field with `into`"
            ),
        );
    }
    is_never
}

/// Reports a field that takes no hash or number of the operation.
fn never_fits(compiler: &mut Compiler<'_, '_>, parameter: &str, operation: &str, field: &Field, digits: Option<usize>) {
    let is_time = field.is_whole() && field.root == Root::Timestamp;
    let message = match (field.takes, digits) {
        (Takes::Id(wanted), Some(digits)) if digits != wanted => {
            format!("`{}` takes {wanted} hexadecimal digits, but the hash has {digits}; set `length`", field.name)
        }
        (_, Some(_)) if is_time => "a timestamp takes no hash; name another field".to_owned(),
        (Takes::Id(_), None) if operation == "math" => format!("`{}` takes no number; name another field", field.name),
        (_, None) if operation == "math" && is_time => "a timestamp takes no number; name another field".to_owned(),
        _ => return,
    };
    compiler.error(parameter, message);
}

impl<C: Change> Operation for InPlace<C> {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for number in 0..self.fields.len() {
            for row in marked(marks) {
                let Some(field) = self.fields.get(number) else { return };
                if let Err(problem) = rows.places(row, field, &mut self.found) {
                    rows.fail(row, problem, &field.name);
                    continue;
                }
                if self.found.is_empty() && self.on_missing == OnMissing::Fail {
                    rows.fail(row, Problem::Missing, &field.name);
                }
                for index in 0..self.found.len() {
                    let Some(place) = self.found.get(index).copied() else { break };
                    if let Err(problem) = self.change(rows, row, number, place)
                        && let Some(field) = self.fields.get(number)
                    {
                        self.fail(rows, row, field, place, problem);
                    }
                }
            }
        }
    }
}
