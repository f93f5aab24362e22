//! `rename`: one key, or the keys of an object by a pattern or a spelling.

use std::collections::BTreeMap;
use std::io::Write as _;

use wattle_document::{Place, Step};
use wattle_node::json::{Kind, Path, Segment};

use super::text::{self, Replace};
use super::{Compiler, Operation, case, marked};
use crate::field::{Field, Shape};
use crate::options::{Case, OnMissing, Rename as Options};
use crate::problem::Problem;
use crate::rows::{MAX_DEPTH, Rows};

/// What new keys are.
enum To {
    /// This key, for the field itself.
    Key(Box<[u8]>),
    /// For the keys of the object in the field.
    Pattern(Replace),
    Case(Case),
}

/// What happens if the object has the new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// The other member goes.
    Overwrite,
    /// The member keeps its key, unless the other one is null.
    Keep,
    /// The new key gets a number, such as `a_2`.
    Number,
}

struct Rename {
    field: Field,
    to: To,
    recursive: bool,
    taken: Taken,
    on_missing: OnMissing,
    found: Vec<Place>,
    key: Vec<u8>,
    /// For new keys of the object that it already had, the next number.
    numbers: BTreeMap<Vec<u8>, u32>,
    memory: Vec<u8>,
}

pub(super) fn compile(options: &Options, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("rename");
    let field = compiler.plan.change(&at, &options.rename, Shape::Each, compiler.setup);
    let to = match (&options.to, &options.pattern, options.case) {
        (Some(to), Some(pattern), None) => {
            let regex = compiler.regex("pattern", pattern);
            if regex.is_some() && text::splits_characters(pattern) {
                compiler
                    .error("pattern", "the pattern matches parts of characters, but keys are UTF-8; remove `(?-u)`");
            }
            let regex = regex.filter(|regex| text::check_groups("to", to, regex, compiler).is_some());
            regex.map(|regex| To::Pattern(Replace::all(regex, to)))
        }
        (None, None, Some(case)) => Some(To::Case(case)),
        (Some(to), None, None) => {
            if options.recursive.is_some() {
                compiler.error("recursive", "`recursive` is for `pattern` and `case`; remove it");
            }
            field.as_ref().and_then(|field| new_key(field, to, compiler)).map(To::Key)
        }
        _ => {
            let at = compiler.at.to_owned();
            compiler.setup.error(at, "`rename` takes `to`, or `pattern` and `to`, or `case`");
            None
        }
    };
    Some(Box::new(Rename {
        field: field?,
        to: to?,
        recursive: options.recursive == Some(true),
        taken: match options.overwrite {
            Some(true) => Taken::Overwrite,
            Some(false) => Taken::Keep,
            None if options.to.is_some() && options.pattern.is_none() => Taken::Overwrite,
            None => Taken::Number,
        },
        on_missing: options.on_missing,
        found: Vec::new(),
        key: Vec::new(),
        numbers: BTreeMap::new(),
        memory: Vec::new(),
    }))
}

/// The last key of `to`, which must lie in the same object as the field.
fn new_key(field: &Field, to: &str, compiler: &mut Compiler<'_, '_>) -> Option<Box<[u8]>> {
    if !matches!(field.route.steps().last(), Some(Step::Key(_))) {
        compiler.error("rename", "the path must end with a key");
        return None;
    }
    let path = match Path::parse(to) {
        Ok(path) => path,
        Err(error) => {
            compiler.error("to", error.to_string());
            return None;
        }
    };
    let from = Path::parse(&field.name).ok()?;
    if path == from {
        compiler.error("to", "the field is the same; give it another name");
        return None;
    }
    match (path.segments().split_last(), from.segments().split_last()) {
        (Some((Segment::Key(key), parents)), Some((_, others))) if parents == others => Some(key.as_bytes().into()),
        _ => {
            compiler.error("to", format!("`{to}` is not in the same object as `{}`; use `move`", field.name));
            None
        }
    }
}

/// Whether an object has a value that is not null with this key.
fn has_value(rows: &mut Rows, object: Place, key: &[u8]) -> bool {
    let found = rows.documents.find(object, key);
    found.is_some_and(|member| rows.documents.kind(member) > Kind::Null)
}

impl Rename {
    fn rename(&mut self, rows: &mut Rows, row: usize) -> Result<(), Problem> {
        rows.places(row, &self.field, &mut self.found)?;
        let count = self.found.len();
        // Null counts as missing, so that it replaces no value.
        self.found.retain(|place| rows.documents.kind(*place) > Kind::Null);
        let is_missing = self.found.is_empty() || self.found.len() < count;
        if is_missing && self.on_missing == OnMissing::Fail {
            return Err(Problem::Missing);
        }
        for index in 0..self.found.len() {
            let Some(place) = self.found.get(index).copied() else { break };
            match &self.to {
                To::Key(key) => {
                    let is_taken = self.taken == Taken::Keep
                        && rows.documents.parent(place).is_some_and(|object| has_value(rows, object, key));
                    if !is_taken {
                        rows.documents.rename(place, key);
                    }
                }
                // The body as a whole is a string, which has no keys, but its document may be an object.
                _ if self.field.is_whole() => {
                    let object = rows.root(row, &self.field)?;
                    self.keys(rows, object, 0);
                }
                _ => self.keys(rows, place, 0),
            }
        }
        Ok(())
    }

    /// Renames the keys of an object.
    fn keys(&mut self, rows: &mut Rows, container: Place, depth: usize) {
        let is_object = rows.documents.kind(container) == Kind::Object;
        self.numbers.clear();
        let mut child = rows.documents.first(container);
        while let Some(member) = child {
            child = rows.documents.next(member);
            if !is_object || !self.new_key(rows, member) {
                continue;
            }
            // Null replaces no value.
            let is_null = rows.documents.kind(member) <= Kind::Null;
            match self.taken {
                Taken::Overwrite if is_null && has_value(rows, container, &self.key) => continue,
                Taken::Keep if has_value(rows, container, &self.key) => continue,
                Taken::Number if rows.documents.find(container, &self.key).is_some() => {
                    self.add_number(rows, container);
                }
                _ => {}
            }
            rows.documents.rename(member, &self.key);
            // The member that had the key may have been the next one.
            child = rows.documents.next(member);
        }
        // Afterwards, because the index of the keys of a large object does not outlive a change of another one.
        let mut child = rows.documents.first(container).filter(|_| self.recursive && depth < MAX_DEPTH);
        while let Some(member) = child {
            if rows.documents.kind(member) >= Kind::Array {
                self.keys(rows, member, depth + 1);
            }
            child = rows.documents.next(member);
        }
    }

    /// Appends a number to the new key, the first one with which the object has no member.
    fn add_number(&mut self, rows: &mut Rows, object: Place) {
        let length = self.key.len();
        // Many keys may become one. Each continues where the one before it stopped.
        let next = self.numbers.entry(self.key.clone()).or_insert(2);
        loop {
            self.key.truncate(length);
            // Writing to a vector cannot fail.
            let _ = write!(self.key, "_{next}");
            *next = next.saturating_add(1);
            if rows.documents.find(object, &self.key).is_none() {
                break;
            }
        }
    }

    /// Makes the new key of a member; returns whether it has one.
    fn new_key(&mut self, rows: &Rows, member: Place) -> bool {
        let old = rows.documents.key(member, &mut self.memory);
        self.key.clear();
        match &self.to {
            // Without a match, this is the old key.
            To::Pattern(replace) => replace.write(old, &mut self.key),
            To::Case(case) => case::write(old, *case, &mut self.key),
            To::Key(_) => return false,
        }
        self.key != old
    }
}

impl Operation for Rename {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for row in marked(marks) {
            if let Err(problem) = self.rename(rows, row) {
                rows.fail(row, problem, &self.field.name);
            }
        }
    }
}
