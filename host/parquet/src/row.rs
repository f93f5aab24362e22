//! Writes one record to the buffers of the leaves.

use std::collections::HashSet;

use wattle_convert::time::{Context, Format};
use wattle_json as json;
use wattle_json::{Kind, Value};

use crate::leaf::{Leaf, Mark, Values};
use crate::numbers;
use crate::schema::{Fields, Inner, LeafType, Lookup, Node, Shape};

/// Maximum number of levels that the lists and maps of one record add to the buffers. Further lists are misfits. Without it,
/// a record of zeros would take thousands of times its size in a list of structs with a thousand fields.
const MAX_CELLS: usize = 4_000_000;

/// Buffers of all leaves, and the memory of a walk.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) leaves: Vec<Leaf>,
    /// Nodes with a value that did not fit, in the last record.
    pub(crate) misfits: Vec<usize>,
    /// A required column without a value.
    missing: Option<usize>,
    marks: Vec<Mark>,
    /// The struct that each node and each key was last found in, by the number of the struct.
    found: Vec<u64>,
    keys: Vec<u64>,
    structs: u64,
    /// How many levels the lists and maps of this record can still add.
    cells: usize,
    key: Vec<u8>,
}

/// The levels of the place that a value is written to.
#[derive(Clone, Copy)]
struct At {
    /// Definition level if there is no value.
    definition: i16,
    repetition: i16,
}

impl Rows {
    pub(crate) fn new(schema: &Inner, leaves: Vec<Leaf>) -> Self {
        Self {
            leaves,
            misfits: Vec::new(),
            missing: None,
            marks: Vec::new(),
            found: vec![0; schema.names.len()],
            keys: vec![0; schema.keys],
            structs: 0,
            cells: 0,
            key: Vec::new(),
        }
    }

    /// Adds a row. `value` is an object in `text`, which is valid JSON.
    ///
    /// # Errors
    ///
    /// The number of a required column without a value. No row was added.
    pub(crate) fn push(&mut self, schema: &Inner, text: &[u8], value: Value) -> Result<(), usize> {
        self.misfits.clear();
        self.missing = None;
        self.cells = MAX_CELLS;
        if schema.has_required {
            self.marks.clear();
            self.marks.extend(self.leaves.iter().map(Leaf::mark));
        }
        self.fields(&schema.root, text, value, At { definition: 0, repetition: 0 });
        let Some(missing) = self.missing else { return Ok(()) };
        for (leaf, mark) in self.leaves.iter_mut().zip(&self.marks) {
            leaf.return_to(*mark);
        }
        self.misfits.clear();
        Err(missing)
    }

    /// Writes the fields of a struct, also those that are missing.
    fn fields(&mut self, fields: &Fields, text: &[u8], value: Value, at: At) {
        self.structs += 1;
        let number = self.structs;
        self.look_up(fields, &fields.lookup, text, value, at, number);
        for node in &fields.nodes {
            if self.found.get(node.id) != Some(&number) {
                self.null(node, at);
            }
        }
    }

    fn look_up(&mut self, fields: &Fields, lookup: &Lookup, text: &[u8], value: Value, at: At, number: u64) {
        for field in &lookup.here {
            let Some(node) = fields.nodes.get(*field) else { continue };
            if let Some(found) = self.found.get_mut(node.id) {
                *found = number;
            }
            self.value(node, text, value, at);
        }
        if lookup.keys.is_empty() || value.kind != Kind::Object {
            return;
        }
        let walked = json::members_with_escapes(text, value, |key, escaped, member| {
            let mut unescaped = Vec::new();
            let mut inner = key.string(text).unwrap_or_default();
            if escaped {
                json::unescape_lossy(inner, &mut unescaped);
                inner = &unescaped;
            }
            for key in lookup.keys.iter().filter(|key| key.is(inner)) {
                let Some(last) = self.keys.get_mut(key.id) else { continue };
                // The first of equal keys counts.
                if *last != number {
                    *last = number;
                    self.look_up(fields, &key.below, text, member, at, number);
                }
            }
        });
        debug_assert!(walked.is_ok(), "the record was checked");
    }

    fn null(&mut self, node: &Node, at: At) {
        if node.required {
            self.missing = Some(node.id);
        }
        self.levels(node, at);
    }

    /// Writes the same levels to all leaves of a node, without values.
    fn levels(&mut self, node: &Node, at: At) {
        for leaf in self.leaves.get_mut(node.leaves.clone()).unwrap_or_default() {
            leaf.level(at.definition, at.repetition);
        }
    }

    fn misfit(&mut self, node: &Node, at: At) {
        self.misfits.push(node.id);
        self.null(node, at);
    }

    fn value(&mut self, node: &Node, text: &[u8], value: Value, at: At) {
        if value.kind == Kind::Null {
            self.null(node, at);
            return;
        }
        match &node.shape {
            Shape::Leaf(r#type) => {
                let leaf = self.leaves.get_mut(node.leaves.start);
                if leaf.is_some_and(|leaf| put(leaf, r#type, text, value, At { definition: node.present, ..at })) {
                    return;
                }
                self.misfit(node, at);
            }
            Shape::Struct(fields) if value.kind == Kind::Object => {
                self.fields(fields, text, value, At { definition: node.present, ..at });
            }
            Shape::List { level, element } if value.kind == Kind::Array && self.has_room(node, text, value) => {
                let mut repetition = at.repetition;
                let definition = node.present + 1;
                let walked = json::elements(text, value, |member| {
                    self.value(element, text, member, At { definition, repetition });
                    repetition = *level;
                });
                if walked == Ok(0) {
                    self.levels(node, At { definition: node.present, ..at });
                }
            }
            Shape::Map { level, value: inner } if value.kind == Kind::Object && self.has_room(node, text, value) => {
                self.map(node, inner, *level, text, value, at);
            }
            _ => self.misfit(node, at),
        }
    }

    /// Takes the levels of a list or map from what the record can still add.
    fn has_room(&mut self, node: &Node, text: &[u8], value: Value) -> bool {
        let members = match value.kind {
            Kind::Array => json::elements(text, value, |_| {}),
            _ => json::members(text, value, |_, _| {}),
        };
        let cells = members.unwrap_or_default().saturating_mul(node.leaves.len());
        let left = self.cells.checked_sub(cells);
        self.cells = left.unwrap_or(self.cells);
        left.is_some()
    }

    fn map(&mut self, node: &Node, inner: &Node, level: i16, text: &[u8], value: Value, at: At) {
        let mut repetition = at.repetition;
        let definition = node.present + 1;
        // Readers refuse maps with equal keys.
        let mut keys = HashSet::new();
        let walked = json::members_with_escapes(text, value, |key, _, member| {
            self.key.clear();
            json::unescape_lossy(key.string(text).unwrap_or_default(), &mut self.key);
            if keys.contains(&self.key) {
                return;
            }
            keys.insert(self.key.clone());
            if let Some(leaf) = self.leaves.get_mut(node.leaves.start) {
                put(leaf, &LeafType::String, text, key, At { definition, repetition });
            }
            self.value(inner, text, member, At { definition, repetition });
            repetition = level;
        });
        if walked == Ok(0) {
            self.levels(node, At { definition: node.present, ..at });
        }
    }
}

/// Writes a value with its levels, unless it does not fit.
fn put(leaf: &mut Leaf, r#type: &LeafType, text: &[u8], value: Value, at: At) -> bool {
    let done = match (&mut leaf.values, r#type) {
        (Values::Bytes { text: out, ends }, LeafType::String) => {
            match value.string(text) {
                Some(inner) if memchr::memchr(b'\\', inner).is_some() => json::unescape_lossy(inner, out),
                Some(inner) => out.extend_from_slice(inner),
                None => out.extend_from_slice(value.text(text)),
            }
            ends.push(out.len());
            Some(())
        }
        (Values::Bytes { text: out, ends }, LeafType::Json) => {
            out.extend_from_slice(value.text(text));
            ends.push(out.len());
            Some(())
        }
        (Values::Int(out), LeafType::Int) => {
            integer(text, value).and_then(|int| i32::try_from(int).ok()).map(|v| out.push(v))
        }
        (Values::Bigint(out), LeafType::Bigint) => integer(text, value).map(|v| out.push(v)),
        (Values::Double(out), LeafType::Double) => {
            numbers::text(text, value).and_then(numbers::double).map(|v| out.push(v))
        }
        (Values::Boolean(out), LeafType::Boolean) => boolean(text, value).map(|v| out.push(v)),
        (Values::Bigint(out), LeafType::Timestamp(format)) => {
            time(text, value, format).map(|time| out.push(time.div_euclid(1_000)))
        }
        (Values::Int(out), LeafType::Date(format)) => days(text, value, format).map(|days| out.push(days)),
        _ => None,
    };
    if done.is_some() {
        leaf.level(at.definition, at.repetition);
    }
    done.is_some()
}

fn integer(text: &[u8], value: Value) -> Option<i64> {
    numbers::text(text, value).and_then(numbers::integer)
}

fn boolean(text: &[u8], value: Value) -> Option<bool> {
    match value.string(text).unwrap_or(value.text(text)) {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Days since 1970. A date such as `9999-12-31` need not fit into 64 bits of nanoseconds.
fn days(text: &[u8], value: Value, format: &Format) -> Option<i32> {
    let date = value.string(text).filter(|_| matches!(format, Format::Auto)).filter(|text| text.len() == 10);
    let date = date.and_then(|text| std::str::from_utf8(text).ok()?.parse::<jiff::civil::Date>().ok());
    if let Some(date) = date {
        return date.since(jiff::civil::date(1970, 1, 1)).ok().map(|span| span.get_days());
    }
    let nanoseconds = time(text, value, format)?;
    i32::try_from(nanoseconds.div_euclid(86_400_000_000_000)).ok()
}

/// Nanoseconds since 1970.
fn time(text: &[u8], value: Value, format: &Format) -> Option<i64> {
    match value.kind {
        Kind::Number => format.parse_any_in(value.text(text), &Context::UTC),
        Kind::String => {
            let text = value.string(text)?;
            let time = format.parse_any_in(text, &Context::UTC);
            // `Auto` needs a time of day; a date alone is its midnight here.
            time.or_else(|| {
                Format::Iso8601.parse_any_in(text, &Context::UTC).filter(|_| matches!(format, Format::Auto))
            })
        }
        _ => None,
    }
}
