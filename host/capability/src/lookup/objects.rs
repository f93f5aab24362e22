//! Reads JSON tables: objects whose members are the cells.

use std::collections::HashMap;

use wattle_json::{Kind, Value};

use super::cells::Cells;
use super::error::TableError;
use super::read::{check_columns, check_rows};
use crate::values::kind;

/// Levels of arrays and objects in a table, as `serde_json` allows.
const MAX_DEPTH: usize = 128;

/// How the objects stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// An array.
    Array,
    /// One after the other, usually one per line.
    Lines,
}

/// The columns of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// Its members.
    Members,
    /// The paths of all values in it, as in `country.iso_code`.
    Paths,
}

/// Reads the cells of objects. Strings give their text, other values their JSON as it is written, so numbers keep their
/// digits; an absent or null member is a missing cell.
///
/// # Errors
///
/// The text is not valid JSON, not objects in this layout, or an object has two members with the same name.
pub(super) fn objects(text: &[u8], layout: Layout, columns: Columns) -> Result<Cells, TableError> {
    let rows = match layout {
        Layout::Array => elements(text)?,
        Layout::Lines => lines(text)?,
    };
    let mut table = Table { text, columns, names: Vec::new(), places: HashMap::new() };
    for row in &rows {
        table.find_columns(*row, "");
    }
    check_columns(&table.names)?;
    let mut cells = Cells::new(table.names.clone());
    let (mut row_cells, mut memory) = (Vec::new(), Vec::new());
    for row in &rows {
        row_cells.clear();
        row_cells.resize(table.names.len(), None);
        table.read(*row, "", &mut row_cells)?;
        for cell in &row_cells {
            push(text, *cell, &mut memory, &mut cells)?;
        }
        check_rows(&cells)?;
    }
    Ok(cells)
}

/// Finds the elements of an array, all of them objects.
fn elements(text: &[u8]) -> Result<Vec<Value>, TableError> {
    wattle_json::check(text, MAX_DEPTH).map_err(|error| invalid(text, error))?;
    let mut rows = Vec::new();
    let array = wattle_json::skip(text, 0).map_err(|error| invalid(text, error))?;
    let found = wattle_json::elements(text, array, |element| rows.push(element));
    let other = match found {
        Ok(_) => rows.iter().find(|row| row.kind != Kind::Object).map(|row| row.start),
        // The text is valid, so it is not an array.
        Err(error) => Some(error.offset),
    };
    match other.map(|offset| place(text, offset)) {
        Some((line, column)) => Err(TableError::NotObjects { line, column }),
        None => Ok(rows),
    }
}

/// Finds objects that follow each other.
fn lines(text: &[u8]) -> Result<Vec<Value>, TableError> {
    let mut rows = Vec::new();
    let mut at = wattle_json::white(text, 0);
    while at < text.len() {
        let row = wattle_json::skip(text, at).map_err(|error| invalid(text, error))?;
        wattle_json::check(row.text(text), MAX_DEPTH)
            .map_err(|error| invalid(text, wattle_json::Error { offset: row.start + error.offset, ..error }))?;
        if row.kind != Kind::Object {
            return Err(TableError::NotAnObject { line: place(text, row.start).0 });
        }
        rows.push(row);
        at = wattle_json::white(text, row.end);
    }
    Ok(rows)
}

/// The columns of the rows of a text.
struct Table<'a> {
    text: &'a [u8],
    columns: Columns,
    /// Names of the columns in the order in which they are found.
    names: Vec<String>,
    /// Index of each name.
    places: HashMap<String, usize>,
}

impl Table<'_> {
    /// Adds the columns of a row that are new.
    fn find_columns(&mut self, container: Value, path: &str) {
        let text = self.text;
        each(text, container, path, &mut |name, value| {
            if !self.places.contains_key(&name) {
                self.places.insert(name.clone(), self.names.len());
                self.names.push(name.clone());
            }
            if self.columns == Columns::Paths {
                self.find_columns(value, &name);
            }
        });
    }

    /// Puts the values of a row into the cells of their columns.
    fn read(&self, container: Value, path: &str, cells: &mut [Option<Value>]) -> Result<(), TableError> {
        let mut result = Ok(());
        each(self.text, container, path, &mut |name, value| {
            let cell = self.places.get(&name).and_then(|place| cells.get_mut(*place));
            if result.is_err() {
            } else if let Some(first) = cell.and_then(|cell| cell.replace(value)) {
                let (first, second) = (place(self.text, first.start).0, place(self.text, value.start).0);
                result = Err(TableError::RepeatedMember { name, first, second });
            } else if self.columns == Columns::Paths {
                result = self.read(value, &name, cells);
            }
        });
        result
    }
}

/// Calls `found` with the name and value of each member of an object or element of an array.
fn each(text: &[u8], container: Value, path: &str, found: &mut dyn FnMut(String, Value)) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut name = Vec::new();
    let mut index = 0;
    // The text has been checked, so neither walk nor unescape fails.
    let _ = match container.kind {
        Kind::Object => wattle_json::members(text, container, |key, value| {
            name.clear();
            wattle_json::unescape_lossy(key.string(text).unwrap_or_default(), &mut name);
            found(below(&String::from_utf8_lossy(&name)), value);
        }),
        Kind::Array => wattle_json::elements(text, container, |value| {
            found(below(&index.to_string()), value);
            index += 1;
        }),
        _ => Ok(0),
    };
}

fn push(text: &[u8], value: Option<Value>, memory: &mut Vec<u8>, cells: &mut Cells) -> Result<(), TableError> {
    let Some(value) = value else { return cells.push_kind(&[], kind::MISSING) };
    memory.clear();
    let kind = match value.kind {
        Kind::Missing | Kind::Null => return cells.push_kind(&[], kind::MISSING),
        Kind::String => {
            wattle_json::unescape_lossy(value.string(text).unwrap_or_default(), memory);
            return cells.push(memory);
        }
        Kind::Bool => kind::BOOLEAN,
        Kind::Number => kind::NUMBER,
        Kind::Array => kind::ARRAY,
        Kind::Object => kind::OBJECT,
    };
    wattle_json::minify(value.text(text), memory);
    cells.push_kind(memory, kind)
}

fn invalid(text: &[u8], error: wattle_json::Error) -> TableError {
    if error.kind == wattle_json::ErrorKind::EndOfText {
        return TableError::Incomplete;
    }
    let (line, column) = place(text, error.offset);
    TableError::NotJson { line, column, reason: error.kind }
}

/// Line and column of an offset, both from 1, the column in bytes.
fn place(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1)
}
