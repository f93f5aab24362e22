//! `copy` and `move`.

use wattle_document::Place;
use wattle_node::json::Kind;

use super::value::NOT_UTF8;
use super::{Compiler, Operation, marked};
use crate::field::{Field, Root, Shape};
use crate::options::{Copy, Move, OnError, OnMissing};
use crate::problem::Problem;
use crate::rows::Rows;

struct Transfer {
    from: Field,
    to: Field,
    moves: bool,
    keeps: bool,
    on_missing: OnMissing,
    on_error: OnError,
    found: Vec<Place>,
}

pub(super) fn copy(options: &Copy, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("copy");
    let from = compiler.plan.read(&at, &options.copy, compiler.setup);
    let to = target(&options.copy, &options.to, compiler);
    Some(Box::new(Transfer {
        from: from?,
        to: to?,
        moves: false,
        keeps: options.overwrite == Some(false),
        on_missing: options.on_missing,
        on_error: options.on_error,
        found: Vec::new(),
    }))
}

pub(super) fn r#move(options: &Move, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("move");
    let from = compiler.plan.change(&at, &options.from, Shape::Single, compiler.setup);
    if from.as_ref().is_some_and(|from| from.root == Root::Timestamp) {
        compiler.error("move", "a timestamp cannot be removed; use `copy`");
    }
    let to = target(&options.from, &options.to, compiler);
    Some(Box::new(Transfer {
        from: from?,
        to: to?,
        moves: true,
        keeps: options.overwrite == Some(false),
        on_missing: options.on_missing,
        on_error: options.on_error,
        found: Vec::new(),
    }))
}

fn target(from: &str, to: &str, compiler: &mut Compiler<'_, '_>) -> Option<Field> {
    if from == to {
        compiler.error("to", "the field is the same; name another one");
    }
    let at = compiler.at("to");
    compiler.plan.change(&at, to, Shape::Single, compiler.setup)
}

impl Transfer {
    fn transfer(&mut self, rows: &mut Rows, row: usize) -> Result<(), (Problem, &Field)> {
        let at_from = |problem| (problem, &self.from);
        let place = if self.moves {
            rows.places(row, &self.from, &mut self.found).map_err(at_from)?;
            self.found.first().copied()
        } else {
            None
        };
        let content = match place {
            Some(place) if !self.from.is_whole() => rows.documents.content(place),
            _ => rows.read(row, &self.from),
        };
        if content.kind() <= Kind::Null {
            return if self.on_missing == OnMissing::Fail { Err(at_from(Problem::Missing)) } else { Ok(()) };
        }
        if self.keeps && rows.present(row, &self.to).kind() > Kind::Null {
            return Ok(());
        }
        if let (OnError::Keep, Err(_)) = (self.on_error, rows.check(&self.to, content)) {
            return Ok(());
        }
        if self.moves && self.from.is_whole_body() && !rows.is_utf8(content) {
            // A copy has U+FFFD for other bytes, which would be lost with the body.
            return if self.on_error == OnError::Fail { Err(at_from(NOT_UTF8)) } else { Ok(()) };
        }
        // Before the value is set, because the target may lie below its old place.
        place.into_iter().for_each(|place| rows.remove(row, &self.from, place));
        match rows.put(row, &self.to, content) {
            Ok(_) => Ok(()),
            Err(problem) if self.on_error == OnError::Fail => Err((problem, &self.to)),
            Err(_) => {
                place.into_iter().for_each(|place| rows.restore(row, &self.from, place, content));
                Ok(())
            }
        }
    }
}

impl Operation for Transfer {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for row in marked(marks) {
            if let Err((problem, field)) = self.transfer(rows, row) {
                rows.fail(row, problem, &field.name);
            }
        }
    }
}
