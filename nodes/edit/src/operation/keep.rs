//! `remove`, `keep` and `remove_empty`.

use wattle_document::{Place, Step};
use wattle_node::json::Kind;

use super::{Compiler, Operation, marked};
use crate::field::{Field, Root, Shape};
use crate::options::{EmptyKind, Keep as KeepOptions, OnMissing, Remove as RemoveOptions, RemoveEmpty as EmptyOptions};
use crate::problem::Problem;
use crate::rows::{MAX_DEPTH, Rows};

struct Remove {
    fields: Vec<Field>,
    on_missing: OnMissing,
    found: Vec<Place>,
}

pub(super) fn remove(options: &RemoveOptions, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("remove");
    let fields = compiler.plan.changes(&at, &options.remove, Shape::Pattern, compiler.setup)?;
    if fields.iter().any(|field| field.root == Root::Timestamp) {
        compiler.error("remove", "a timestamp cannot be removed");
    }
    Some(Box::new(Remove { fields, on_missing: options.on_missing, found: Vec::new() }))
}

impl Operation for Remove {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for field in &self.fields {
            for row in marked(marks) {
                match rows.places(row, field, &mut self.found) {
                    Err(problem) => rows.fail(row, problem, &field.name),
                    Ok(()) if self.found.is_empty() && self.on_missing == OnMissing::Fail => {
                        rows.fail(row, Problem::Missing, &field.name);
                    }
                    Ok(()) => self.found.iter().for_each(|place| rows.remove(row, field, *place)),
                }
            }
        }
    }
}

struct Keep {
    /// The fields of each root that has any.
    roots: Vec<Vec<Field>>,
    /// Fields that lead to a container, each with the number of steps that lead there; levels follow each other.
    active: Vec<(usize, usize)>,
}

pub(super) fn keep(options: &KeepOptions, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("keep");
    let fields = compiler.plan.changes(&at, &options.keep, Shape::Pattern, compiler.setup)?;
    if let Some(whole) = fields.iter().find(|field| field.is_whole()) {
        let hint = match whole.root {
            Root::Timestamp | Root::TraceId | Root::SpanId => "remove it from the list".to_owned(),
            Root::Severity => "name `severity.text` or `severity.number`".to_owned(),
            Root::Scope => "name fields below it, such as `scope.name`".to_owned(),
            _ => format!("name fields below it, such as `{}.user`", whole.name),
        };
        let message = format!("`{}` as a whole stays anyway; {hint}", whole.name);
        compiler.error("keep", message);
    }
    let mut roots: Vec<Vec<Field>> = Vec::new();
    for field in fields {
        match roots.iter_mut().find(|root| root.first().is_some_and(|first| first.root == field.root)) {
            Some(root) => root.push(field),
            None => roots.push(vec![field]),
        }
    }
    Some(Box::new(Keep { roots, active: Vec::new() }))
}

impl Operation for Keep {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for fields in &self.roots {
            let Some(first) = fields.first() else { continue };
            for row in marked(marks) {
                match rows.root(row, first) {
                    Ok(root) => {
                        self.active.clear();
                        self.active.extend((0..fields.len()).map(|field| (field, 0)));
                        keep_in(rows, root, fields, &mut self.active, 0);
                    }
                    Err(problem) => rows.fail(row, problem, &first.name),
                }
            }
        }
    }
}

/// Removes everything from a container but what the fields in `active`, from `start` on, lead to. Returns whether
/// anything is kept. Recursion is as deep as the fields.
fn keep_in(
    rows: &mut Rows,
    container: Place,
    fields: &[Field],
    active: &mut Vec<(usize, usize)>,
    start: usize,
) -> bool {
    let step = |&(field, level): &(usize, usize)| -> Option<&Step> { fields.get(field)?.route.steps().get(level) };
    let end = active.len();
    let mut keeps_any = false;
    let mut index = 0;
    let mut child = rows.documents.first(container);
    while let Some(here) = child {
        child = rows.documents.next(here);
        let mut is_kept = false;
        for number in start..end {
            let Some(&(field, level)) = active.get(number) else { continue };
            if step(&(field, level)).is_some_and(|step| rows.documents.fits(here, index, step)) {
                let is_last = fields.get(field).is_some_and(|field| field.route.steps().len() == level + 1);
                is_kept |= is_last;
                active.push((field, level + 1));
            }
        }
        if !is_kept && active.len() > end {
            is_kept = keep_in(rows, here, fields, active, end);
        }
        active.truncate(end);
        keeps_any |= is_kept;
        if !is_kept {
            rows.documents.remove(here);
        }
        index += 1;
    }
    keeps_any
}

struct RemoveEmpty {
    fields: Vec<Field>,
    empty: Vec<EmptyKind>,
    recursive: bool,
    found: Vec<Place>,
    memory: Vec<u8>,
}

pub(super) fn remove_empty(options: &EmptyOptions, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("remove_empty");
    let fields = compiler.plan.changes(&at, &options.remove_empty, Shape::Each, compiler.setup)?;
    if options.empty.as_ref().is_some_and(Vec::is_empty) {
        compiler
            .error("empty", "the list is empty, so nothing would be removed; name at least one kind, such as `null`");
    }
    let usual = || vec![EmptyKind::Null, EmptyKind::String, EmptyKind::Array, EmptyKind::Object];
    Some(Box::new(RemoveEmpty {
        fields,
        empty: options.empty.clone().unwrap_or_else(usual),
        recursive: options.recursive.unwrap_or(true),
        found: Vec::new(),
        memory: Vec::new(),
    }))
}

impl RemoveEmpty {
    fn empty(&mut self, rows: &mut Rows, container: Place, depth: usize) {
        let mut child = rows.documents.first(container);
        while let Some(here) = child {
            child = rows.documents.next(here);
            if self.recursive && depth < MAX_DEPTH && rows.documents.kind(here) >= Kind::Array {
                self.empty(rows, here, depth + 1);
            }
            if self.is_empty(rows, here) {
                rows.documents.remove(here);
            }
        }
    }

    fn is_empty(&mut self, rows: &mut Rows, place: Place) -> bool {
        let is = |kind: EmptyKind| self.empty.contains(&kind);
        match rows.documents.kind(place) {
            Kind::Null => is(EmptyKind::Null),
            Kind::Array => is(EmptyKind::Array) && rows.documents.first(place).is_none(),
            Kind::Object => is(EmptyKind::Object) && rows.documents.first(place).is_none(),
            Kind::String => {
                let content = rows.documents.content(place);
                match rows.documents.text(content, &mut self.memory) {
                    b"" => is(EmptyKind::String),
                    b"-" => is(EmptyKind::Dash),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

impl Operation for RemoveEmpty {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for number in 0..self.fields.len() {
            for row in marked(marks) {
                let Some(field) = self.fields.get(number) else { return };
                let found = match field.is_whole() {
                    true => rows.root(row, field).map(|root| {
                        self.found.clear();
                        self.found.push(root);
                    }),
                    false => rows.places(row, field, &mut self.found),
                };
                if let Err(problem) = found {
                    rows.fail(row, problem, &field.name);
                    continue;
                }
                for index in 0..self.found.len() {
                    let Some(place) = self.found.get(index).copied() else { break };
                    self.empty(rows, place, 0);
                }
            }
        }
    }
}
