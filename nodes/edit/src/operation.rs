//! Operations, compiled from their options.

mod boundary;
mod case;
mod coding;
mod combine;
mod convert;
mod flatten;
mod groups;
mod hash;
mod keep;
mod math;
mod network;
mod now;
mod rename;
mod set;
mod text;
mod transfer;
mod unflatten;
mod url;
mod value;

use regex::bytes::Regex;
use wattle_node::Setup;

use crate::options::{ConvertError, Fields, OnMissing, Step};
use crate::plan::Plan;
use crate::rows::Rows;

use value::{Change, InPlace};

/// What a step does to rows.
pub(crate) trait Operation {
    /// Works on the open rows that are marked.
    fn run(&mut self, rows: &mut Rows, marks: &[bool]);
}

/// The numbers of the marked rows.
fn marked(marks: &[bool]) -> impl Iterator<Item = usize> {
    marks.iter().enumerate().filter_map(|(row, is_marked)| is_marked.then_some(row))
}

/// Compiles an operation; `at` is the path of its step in the options. Returns `None` after it reported errors.
pub(crate) fn compile(at: &str, step: Step, plan: &mut Plan, setup: &mut Setup<'_>) -> Option<Box<dyn Operation>> {
    let mut compiler = Compiler { at, plan, setup };
    match step {
        Step::Set(step) => set::compile(step, &mut compiler),
        Step::Copy(step) => transfer::copy(&step, &mut compiler),
        Step::Move(step) => transfer::r#move(&step, &mut compiler),
        Step::Append(step) => combine::append(&step, &mut compiler),
        Step::Merge(step) => combine::merge(&step, &mut compiler),
        Step::Rename(step) => rename::compile(&step, &mut compiler),
        Step::Remove(step) => keep::remove(&step, &mut compiler),
        Step::Keep(step) => keep::keep(&step, &mut compiler),
        Step::RemoveEmpty(step) => keep::remove_empty(&step, &mut compiler),
        Step::Convert(step) => {
            let change = convert::compile(&step, &mut compiler);
            compiler.in_place("convert", &step.convert, step.into, step.on_missing, step.on_error, change)
        }
        Step::Replace(step) => {
            let change = text::Replace::new(&step, &mut compiler);
            compiler.in_place("replace", &step.replace, step.into, step.on_missing, step.on_error, change)
        }
        Step::Lower(step) => {
            compiler.in_place("lower", &step.lower, step.into, step.on_missing, step.on_error, Some(case::Lower))
        }
        Step::Upper(step) => {
            compiler.in_place("upper", &step.upper, step.into, step.on_missing, step.on_error, Some(case::Upper))
        }
        Step::Trim(step) => {
            let change = text::Trim::new(&step, &mut compiler);
            compiler.in_place("trim", &step.trim, step.into, step.on_missing, step.on_error, change)
        }
        Step::Split(step) => {
            let change = text::Split::new(&step, &mut compiler);
            compiler.in_place("split", &step.split, step.into, step.on_missing, step.on_error, change)
        }
        Step::Join(step) => {
            let change = text::Join::new(step.separator.as_deref());
            compiler.in_place("join", &step.join, step.into, step.on_missing, step.on_error, Some(change))
        }
        Step::Slice(step) => {
            let change = text::Slice::new(&step, &mut compiler);
            compiler.in_place("slice", &step.slice, step.into, step.on_missing, step.on_error, change)
        }
        Step::Flatten(step) => {
            let change = flatten::Flatten::new(&step, &mut compiler);
            compiler.in_place("flatten", &step.flatten, step.into, step.on_missing, step.on_error, change)
        }
        Step::Unflatten(step) => {
            let change = unflatten::Unflatten::new(&step, &mut compiler);
            compiler.in_place("unflatten", &step.unflatten, step.into, step.on_missing, step.on_error, change)
        }
        Step::Hash(step) => {
            let change = hash::Hash::new(&step, &mut compiler);
            compiler.in_place("hash", &step.hash, step.into, step.on_missing, ConvertError::Fail, change)
        }
        Step::Encode(step) => {
            let change = Some(coding::Encode(step.coding));
            compiler.in_place("encode", &step.encode, step.into, step.on_missing, step.on_error, change)
        }
        Step::Decode(step) => {
            let change = Some(coding::Decode::new(&step));
            compiler.in_place("decode", &step.decode, step.into, step.on_missing, step.on_error, change)
        }
        Step::Url(step) => {
            let change = url::Url { parse_query: step.parse_query.unwrap_or(false) };
            compiler.in_place("url", &step.url, step.into, step.on_missing, step.on_error, Some(change))
        }
        Step::Now(step) => now::compile(&step, &mut compiler),
        Step::Network(step) => {
            let change = network::Network::new(&step, &mut compiler);
            compiler.in_place("network", &step.network, step.into, step.on_missing, step.on_error, change)
        }
        Step::Math(step) => {
            let change = math::Math::new(&step, &mut compiler);
            compiler.in_place("math", &step.math, step.into, step.on_missing, step.on_error, change)
        }
    }
}

/// What compiling an operation needs.
struct Compiler<'c, 's> {
    at: &'c str,
    plan: &'c mut Plan,
    setup: &'c mut Setup<'s>,
}

impl Compiler<'_, '_> {
    /// The path of a parameter in the options.
    fn at(&self, parameter: &str) -> String {
        format!("{}.{parameter}", self.at)
    }

    /// Reports something wrong with a parameter.
    fn error(&mut self, parameter: &str, message: impl Into<String>) {
        let at = self.at(parameter);
        self.setup.error(at, message);
    }

    /// Compiles a regular expression. Returns `None` after it reported an error.
    fn regex(&mut self, parameter: &str, pattern: &str) -> Option<Regex> {
        match Regex::new(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.error(parameter, wattle_node::bad_pattern(&error));
                None
            }
        }
    }

    /// An operation that changes each value by itself.
    fn in_place<C: Change + 'static>(
        &mut self,
        operation: &str,
        fields: &Fields,
        into: Option<String>,
        on_missing: OnMissing,
        on_error: ConvertError,
        change: Option<C>,
    ) -> Option<Box<dyn Operation>> {
        let made = InPlace::new(self, operation, fields, into, on_missing, on_error, change)?;
        Some(Box::new(made))
    }
}
