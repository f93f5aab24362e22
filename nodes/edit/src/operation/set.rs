//! `set`: a field becomes a constant, a template, the first of several fields, or a fact about the machine.

use std::collections::HashMap;

use wattle_document::Content;
use wattle_node::json::Kind;

use super::{Compiler, Operation, marked};
use crate::field::{Field, Root, Shape};
use crate::options::{OnError, OnMissing, Set as Options};
use crate::problem::Problem;
use crate::rows::Rows;
use crate::takes::Takes;
use crate::time;

/// Where the value comes from.
enum Source {
    Constant(Content),
    Template(Vec<Part>),
    FirstOf(Vec<Field>),
    /// The first of several fields, and the new value for each text.
    Map(Vec<Field>, HashMap<Box<[u8]>, Content>),
}

/// A part of a template.
enum Part {
    Literal(Box<[u8]>),
    Field(Field),
}

struct Set {
    target: Field,
    source: Source,
    default: Option<Content>,
    keeps: bool,
    on_missing: OnMissing,
    on_error: OnError,
    /// What is missing if the value is, for the message.
    from: Box<str>,
    missing: Problem,
    memory: Vec<u8>,
    out: Vec<u8>,
}

pub(super) fn compile(options: Options, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    let at = compiler.at("set");
    let target = compiler.plan.change(&at, &options.set, Shape::Each, compiler.setup);
    let keeps = options.overwrite == Some(false);
    if let Some(target) = &target {
        if keeps && !target.route.is_single() {
            compiler.error("overwrite", "`overwrite = false` is not possible with `[*]`");
        }
        check_constant(target, options.value.as_ref(), "value", compiler);
        check_constant(target, options.default.as_ref(), "default", compiler);
    }
    let given = [
        options.value.is_some(),
        options.template.is_some(),
        options.from.is_some(),
        options.first_of.is_some(),
        options.host.is_some(),
    ];
    if given.into_iter().filter(|is_given| *is_given).count() != 1 {
        let at = compiler.at.to_owned();
        compiler.setup.error(at, "`set` takes exactly one of `value`, `template`, `from`, `first_of` and `host`");
        return None;
    }
    if options.map.is_some() && options.from.is_none() && options.first_of.is_none() {
        compiler.error("map", "`map` is for `from` and `first_of`; remove it");
    }
    if options.value.is_some() && options.default.is_some() {
        compiler.error("default", "`default` is for `template`, `from`, `first_of` and `host`; remove it");
    }
    let default = options.default.as_ref().map(|value| compiler.plan.constant(value));
    let mut from = String::new();
    let missing = if options.host.is_some() { Problem::NoFact } else { Problem::Missing };
    let source = if let Some(fact) = options.host {
        if let Some(target) = target.as_ref().filter(|target| target.is_whole() && target.root != Root::Body) {
            compiler
                .error("host", format!("`{}` as a whole takes no fact; name a field below `resource`", target.name));
        }
        from = fact.name().to_owned();
        // A fact never changes, so it is a constant.
        match wattle_node::capabilities::host::fact(fact.name()) {
            Some(fact) => Source::Constant(compiler.plan.constant(&fact.into())),
            None => Source::FirstOf(Vec::new()),
        }
    } else if let Some(value) = &options.value {
        Source::Constant(compiler.plan.constant(value))
    } else if let Some(text) = &options.template {
        Source::Template(template(text, compiler)?)
    } else {
        let (parameter, fields) = match (options.from, options.first_of) {
            (Some(field), _) => ("from", vec![field]),
            (_, fields) => ("first_of", fields.unwrap_or_default()),
        };
        if fields.is_empty() {
            compiler.error(parameter, "at least one field is needed");
        }
        from = fields.join("`, `");
        let is_list = parameter == "first_of";
        let fields: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(i, path)| {
                let at = compiler.at(&if is_list { format!("first_of[{i}]") } else { parameter.to_owned() });
                compiler.plan.read(&at, path, compiler.setup)
            })
            .collect();
        let fields = fields.into_iter().collect::<Option<_>>()?;
        match &options.map {
            None => Source::FirstOf(fields),
            Some(values) => {
                let each = values.iter().map(|(text, value)| {
                    if let Some(target) = &target {
                        check_constant(target, Some(value), &format!("map.{text}"), compiler);
                    }
                    (text.as_bytes().into(), compiler.plan.constant(value))
                });
                let values: HashMap<_, _> = each.collect();
                if values.is_empty() {
                    compiler.error("map", "at least one value is needed, such as `{ warn = 4 }`");
                }
                Source::Map(fields, values)
            }
        }
    };
    Some(Box::new(Set {
        target: target?,
        source,
        default,
        keeps,
        on_missing: options.on_missing,
        on_error: options.on_error,
        from: from.into(),
        missing,
        memory: Vec::new(),
        out: Vec::new(),
    }))
}

/// Reports a constant that a field cannot take.
fn check_constant(target: &Field, value: Option<&serde_json::Value>, parameter: &str, compiler: &mut Compiler<'_, '_>) {
    let Some(value) = value else { return };
    let json = value.to_string();
    let kind = Kind::of_first_byte(json.as_bytes().first().copied().unwrap_or_default());
    let text = value.as_str().unwrap_or(&json).as_bytes();
    // Null removes a member of a root, but not the root.
    let is_null_root = target.is_whole() && value.is_null();
    let message = match target.root {
        _ if target.takes != Takes::Anything => match target.takes.fits(kind, text) && !is_null_root {
            true => return,
            false => format!("`{}` takes {}, not {json}", target.name, target.takes.wanted()),
        },
        root if root.is_object() && target.is_whole() && !value.is_object() => {
            format!("`{}` as a whole takes an object", target.name)
        }
        Root::Timestamp if value.is_string() && time::read(text).is_some() => return,
        Root::Timestamp => "a timestamp takes a time of RFC 3339, such as `2023-10-17T04:53:21Z`".to_owned(),
        _ => return,
    };
    compiler.error(parameter, message);
}

/// Reads a text with fields between `{{` and `}}`. Returns `None` after it reported errors.
fn template(text: &str, compiler: &mut Compiler<'_, '_>) -> Option<Vec<Part>> {
    let at = compiler.at("template");
    let mut parts = Vec::new();
    let mut is_valid = true;
    let found = wattle_template::parts(text);
    for part in found.map_err(|error| compiler.setup.error(at.as_str(), error.to_string())).ok()? {
        match part {
            wattle_template::Part::Literal(text) => parts.push(Part::Literal(text.as_bytes().into())),
            wattle_template::Part::Field(path) => match compiler.plan.read(&at, path, compiler.setup) {
                Some(field) => parts.push(Part::Field(field)),
                None => is_valid = false,
            },
        }
    }
    if is_valid && !parts.iter().any(|part| matches!(part, Part::Field(_))) {
        compiler
            .setup
            .error(at, "the template has no field, such as `{{ attributes.user }}`; use `value` for a constant");
        return None;
    }
    is_valid.then_some(parts)
}

impl Set {
    /// The value for a row, or why it has no value.
    ///
    /// With the problem comes the number of the part of the template whose field has no value.
    fn value(&mut self, rows: &mut Rows, row: usize) -> Result<Content, (Problem, Option<usize>)> {
        let first = |fields: &[Field], rows: &mut Rows| {
            fields.iter().map(|field| rows.read(row, field)).find(|content| content.kind() > Kind::Null)
        };
        let (mut missing, mut missing_part) = (self.missing, None);
        let found = match &self.source {
            Source::Constant(content) => return Ok(*content),
            Source::FirstOf(fields) => first(fields, rows),
            Source::Map(fields, values) => first(fields, rows).and_then(|content| {
                missing = Problem::BadValue("one of the values in `map`");
                values.get(rows.documents.text(content, &mut self.memory)).copied()
            }),
            Source::Template(parts) => {
                self.out.clear();
                missing_part = parts.iter().position(|part| match part {
                    Part::Literal(text) => {
                        self.out.extend_from_slice(text);
                        false
                    }
                    Part::Field(field) => {
                        let (kind, text) = rows.read_text(row, field, &mut self.memory);
                        self.out.extend_from_slice(text);
                        kind <= Kind::Null
                    }
                });
                missing_part.is_none().then(|| rows.documents.new_text(&self.out))
            }
        };
        found.or(self.default).ok_or((missing, missing_part))
    }

    /// What lacks a value: the field of this part of the template, or what the options name.
    fn name_of_missing(&self, part: Option<usize>) -> &str {
        match (&self.source, part) {
            (Source::Template(parts), Some(part)) => match parts.get(part) {
                Some(Part::Field(field)) => &field.name,
                _ => &self.from,
            },
            _ => &self.from,
        }
    }
}

impl Operation for Set {
    fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
        for row in marked(marks) {
            if self.keeps && rows.present(row, &self.target).kind() > Kind::Null {
                continue;
            }
            let done = match self.value(rows, row) {
                // Otherwise the host fails the event, unless a later step corrects the value.
                Ok(value) if self.on_error == OnError::Keep && rows.check(&self.target, value).is_err() => continue,
                Ok(value) => rows.put(row, &self.target, value).map(drop),
                Err((missing, part)) if self.on_missing == OnMissing::Fail => {
                    rows.fail(row, missing, self.name_of_missing(part));
                    continue;
                }
                Err(_) => continue,
            };
            if let Err(problem) = done
                && self.on_error == OnError::Fail
            {
                rows.fail(row, problem, &self.target.name);
            }
        }
    }
}
