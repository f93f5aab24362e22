//! `append` adds elements to an array, `merge` adds the members of an object to another one.

use wattle_document::{Content, Documents, Place};
use wattle_node::json::Kind;

use super::{Compiler, Operation, marked};
use crate::field::{Field, Root, Shape};
use crate::options::{self, OnError, OnMissing};
use crate::problem::{Obstacle, Problem};
use crate::rows::{MAX_DEPTH, Rows};

enum Source {
    Constant(Content),
    Field(Field),
}

struct Append {
    target: Field,
    source: Source,
    on_missing: OnMissing,
    on_error: OnError,
    out: Vec<u8>,
    element: Vec<u8>,
}

pub(super) fn append(options: &options::Append, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("append");
    let target = compiler.plan.change(&at, &options.append, Shape::Single, compiler.setup);
    if target.as_ref().is_some_and(Field::is_whole) {
        compiler.error("append", "name a field below, such as `attributes.tags`: this one is not an array");
    }
    let source = match (&options.value, &options.from) {
        (Some(value), None) => Source::Constant(compiler.plan.constant(value)),
        (None, Some(from)) => {
            let at = compiler.at("from");
            Source::Field(compiler.plan.read(&at, from, compiler.setup)?)
        }
        _ => {
            let at = compiler.at.to_owned();
            compiler.setup.error(at, "`append` takes exactly one of `value` and `from`");
            return None;
        }
    };
    Some(Box::new(Append {
        target: target?,
        source,
        on_missing: options.on_missing,
        on_error: options.on_error,
        out: Vec::new(),
        element: Vec::new(),
    }))
}

impl Append {
    fn append(&mut self, rows: &mut Rows, row: usize) -> Result<(), (Problem, &Field)> {
        let added = match &self.source {
            Source::Constant(content) => *content,
            Source::Field(from) => match rows.read(row, from) {
                content if content.kind() > Kind::Null => content,
                _ if self.on_missing == OnMissing::Fail => return Err((Problem::Missing, from)),
                _ => return Ok(()),
            },
        };
        let present = rows.present(row, &self.target);
        self.out.clear();
        self.out.push(b'[');
        match present.kind() {
            Kind::Missing | Kind::Null => {}
            Kind::Array => elements(&rows.documents, present, &mut self.element, &mut self.out),
            kind => return self.refuse(Problem::WrongType(kind, "an array")),
        }
        elements(&rows.documents, added, &mut self.element, &mut self.out);
        self.out.push(b']');
        let new = rows.documents.new_json(&self.out);
        if let (OnError::Keep, Err(_)) = (self.on_error, rows.check(&self.target, new)) {
            return Ok(());
        }
        match rows.put(row, &self.target, new) {
            Ok(_) => Ok(()),
            Err(problem) => self.refuse(problem),
        }
    }

    fn refuse(&self, problem: Problem) -> Result<(), (Problem, &Field)> {
        if self.on_error == OnError::Fail { Err((problem, &self.target)) } else { Ok(()) }
    }
}

/// Appends the elements of an array, or a single value, to the text of an array.
fn elements(documents: &Documents, content: Content, json: &mut Vec<u8>, out: &mut Vec<u8>) {
    json.clear();
    documents.json(content, json);
    let text = json.trim_ascii();
    let inner = match (content.kind(), text) {
        (Kind::Array, [b'[', inner @ .., b']']) => inner.trim_ascii(),
        _ => text,
    };
    if out.len() > 1 && !inner.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(inner);
}

impl Operation for Append {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for row in marked(marks) {
            if let Err((problem, field)) = self.append(rows, row) {
                rows.fail(row, problem, &field.name);
            }
        }
    }
}

struct Merge {
    target: Field,
    from: Field,
    is_deep: bool,
    keeps: bool,
    on_missing: OnMissing,
    on_error: OnError,
}

pub(super) fn merge(options: &options::Merge, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    if options.merge == options.from {
        compiler.error("from", "the field is the same; name another one");
    }
    let at = compiler.at("merge");
    let target = compiler.plan.change(&at, &options.merge, Shape::Single, compiler.setup);
    let at = compiler.at("from");
    let from = compiler.plan.read_members(&at, &options.from, compiler.setup);
    for (parameter, field) in [("merge", &target), ("from", &from)] {
        if field.as_ref().is_some_and(|field| field.root == Root::Timestamp) {
            compiler.error(parameter, "a timestamp is not an object; name another field");
        }
    }
    Some(Box::new(Merge {
        target: target?,
        from: from?,
        is_deep: options.deep == Some(true),
        keeps: options.overwrite == Some(false),
        on_missing: options.on_missing,
        on_error: options.on_error,
    }))
}

impl Merge {
    fn merge(&self, rows: &mut Rows, row: usize) -> Result<(), (Problem, &Field)> {
        let refuse = |problem, field| if self.on_error == OnError::Fail { Err((problem, field)) } else { Ok(()) };
        let root = rows.root_to_read(row, &self.from);
        if root.is_none() && self.from.is_whole_body() {
            return refuse(Problem::NotJson, &self.from);
        }
        let from = root.and_then(|root| rows.documents.get(root, &self.from.route));
        let from = from.filter(|from| !rows.is_missing_root(row, &self.from, *from));
        let from = match from.map(|from| (from, rows.documents.kind(from))) {
            // One of them can contain the other, so what is merged must not change meanwhile.
            Some((from, Kind::Object)) if self.from.root == self.target.root => {
                let content = rows.documents.content(from);
                rows.documents.open_content(content)
            }
            Some((from, Kind::Object)) => from,
            Some((_, kind)) if kind > Kind::Null => return refuse(Problem::WrongType(kind, "an object"), &self.from),
            _ if self.on_missing == OnMissing::Fail => return Err((Problem::Missing, &self.from)),
            _ => return Ok(()),
        };
        let root = match rows.root(row, &self.target) {
            Ok(root) => root,
            Err(problem) => return refuse(problem, &self.target),
        };
        let mut target = rows.documents.get(root, &self.target.route);
        if target.is_none_or(|target| rows.documents.kind(target) <= Kind::Null) {
            let empty = rows.documents.new_json(b"{}");
            if let Err(problem) = rows.put(row, &self.target, empty) {
                return refuse(problem, &self.target);
            }
            target = rows.documents.get(root, &self.target.route);
        }
        match target.map(|target| (target, rows.documents.kind(target))) {
            Some((target, Kind::Object)) => self.members(rows, row, from, target, 0),
            Some((_, kind)) => return refuse(Problem::WrongType(kind, "an object"), &self.target),
            None => return refuse(Problem::NoPlace(Obstacle::InElement), &self.target),
        }
        Ok(())
    }

    /// Sets the members of one object in another one.
    fn members(&self, rows: &mut Rows, row: usize, from: Place, target: Place, depth: usize) {
        let mut members = Vec::new();
        let mut next = rows.documents.first(from);
        while let Some(member) = next {
            let content = rows.documents.content(member);
            members.push((member, rows.documents.key(member, &mut Vec::new()).to_vec(), content));
            next = rows.documents.next(member);
        }
        for (member, key, content) in members {
            let present = rows.documents.find(target, &key);
            let kind = present.map_or(Kind::Missing, |present| rows.documents.kind(present));
            if let Some(present) = present
                && self.is_deep
                && depth < MAX_DEPTH
                && (kind, content.kind()) == (Kind::Object, Kind::Object)
            {
                self.members(rows, row, member, present, depth + 1);
            } else if kind <= Kind::Null || (!self.keeps && content.kind() > Kind::Null) {
                rows.note_depth(row, content);
                rows.documents.set_member(target, &key, content);
            }
        }
    }
}

impl Operation for Merge {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for row in marked(marks) {
            if let Err((problem, field)) = self.merge(rows, row) {
                rows.fail(row, problem, &field.name);
            }
        }
    }
}
