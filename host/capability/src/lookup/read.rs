//! Reads the files of tables.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use wattle_plan::TableGrant;

use super::cells::Cells;
use super::error::TableError;
use super::quotes::{BYTE_ORDER_MARK, Checked};
use crate::values::kind;

/// Reads the cells of a file: JSON if its name ends with `.json`, an object per line if it ends with
/// `.ndjson` or `.jsonl`, else CSV with a header.
pub(super) fn file(path: &Path) -> Result<Cells, TableError> {
    let extension = path.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("json") {
        return json(without_mark(&bytes(path)?));
    }
    if extension.eq_ignore_ascii_case("ndjson") || extension.eq_ignore_ascii_case("jsonl") {
        return lines(without_mark(&bytes(path)?));
    }
    csv(&mut open(path)?)
}

/// Reads a whole file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(TableError::Unreadable)?;
    if bytes.len() as u64 > TableGrant::MAX_BYTES {
        return Err(TableError::TooLarge);
    }
    Ok(bytes)
}

/// A text without the byte order mark that Windows programs write.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn open(path: &Path) -> Result<impl std::io::Read, TableError> {
    let file = File::open(path).map_err(TableError::Unreadable)?;
    Ok(BufReader::with_capacity(1 << 16, file).take(TableGrant::MAX_BYTES + 1))
}

fn csv(from: &mut dyn std::io::Read) -> Result<Cells, TableError> {
    let mut checked = Checked::new(from);
    let cells = records(&mut checked);
    // A quote that is not closed is also what gives a row another number of cells.
    checked.finish()?;
    cells
}

fn records(from: &mut dyn std::io::Read) -> Result<Cells, TableError> {
    // The csv crate skips a byte order mark.
    let mut reader = csv::ReaderBuilder::new().from_reader(from);
    let header = reader.byte_headers()?;
    let line = header.position().map_or(1, csv::Position::line);
    let name = |cell: &[u8]| String::from_utf8(cell.to_vec()).map_err(|_| TableError::NotUtf8(line));
    let columns: Vec<String> = header.iter().map(name).collect::<Result<_, _>>()?;
    check_columns(&columns)?;
    let mut cells = Cells::new(columns);
    let mut record = csv::ByteRecord::new();
    // The csv crate reports a row with another number of cells, with its line.
    while reader.read_byte_record(&mut record)? {
        for cell in &record {
            if std::str::from_utf8(cell).is_err() {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(TableError::NotUtf8(line));
            }
            cells.push(cell)?;
        }
        check_rows(&cells)?;
    }
    Ok(cells)
}

fn check_columns(columns: &[String]) -> Result<(), TableError> {
    if columns.iter().all(String::is_empty) {
        return Err(TableError::NoHeader);
    }
    for (index, name) in columns.iter().enumerate() {
        if columns.iter().take(index).any(|other| other == name) {
            return Err(TableError::RepeatedColumn(name.clone()));
        }
    }
    Ok(())
}

fn check_rows(cells: &Cells) -> Result<(), TableError> {
    match cells.rows() > TableGrant::MAX_ROWS as usize {
        true => Err(TableError::TooManyRows),
        false => Ok(()),
    }
}

/// Reads the cells of an array of objects.
pub(super) fn json(text: &[u8]) -> Result<Cells, TableError> {
    objects(|take| each_object(text, take))
}

/// Reads the cells of an array of objects whose columns are the paths of all values in them.
pub(super) fn nested(text: &[u8]) -> Result<Cells, TableError> {
    objects(|take| {
        each_object(text, |object| {
            let mut flat = Map::new();
            object.iter().for_each(|(name, value)| flatten(name, value, &mut flat));
            take(flat)
        })
    })
}

/// Adds a value and all values in it by their paths.
fn flatten(path: &str, value: &Value, flat: &mut Map<String, Value>) {
    flat.insert(path.to_owned(), value.clone());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, flat));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| flatten(&format!("{path}.{index}"), value, flat));
        }
        _ => {}
    }
}

/// Reads the cells of objects, one per line.
fn lines(text: &[u8]) -> Result<Cells, TableError> {
    objects(|take| {
        for object in serde_json::Deserializer::from_slice(text).into_iter::<Map<String, Value>>() {
            take(object.map_err(|error| match error.classify() {
                Category::Data => TableError::NotAnObject { line: error.line() },
                _ => TableError::from(error),
            })?)?;
        }
        Ok(())
    })
}

/// What is done with each object of a text.
type Take<'a> = &'a mut dyn FnMut(Map<String, Value>) -> Result<(), TableError>;

/// Reads the cells of objects. Strings give their text, other values their JSON; an absent or null member is a missing
/// cell. The text is read twice, first for the names of the columns, so that no tree of all objects is built.
fn objects(each: impl Fn(Take<'_>) -> Result<(), TableError>) -> Result<Cells, TableError> {
    let mut columns: Map<String, Value> = Map::new();
    each(&mut |object| {
        columns.extend(object.into_iter().map(|(name, _)| (name, Value::Null)));
        Ok(())
    })?;
    let columns: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    check_columns(&columns)?;
    let mut cells = Cells::new(columns.clone());
    each(&mut |object| {
        for name in &columns {
            match object.get(name) {
                None | Some(Value::Null) => cells.push_kind(&[], kind::MISSING)?,
                Some(Value::String(text)) => cells.push(text.as_bytes())?,
                Some(value) => cells.push_kind(value.to_string().as_bytes(), kind_of(value))?,
            }
        }
        check_rows(&cells)
    })?;
    Ok(cells)
}

const fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Null => kind::MISSING,
        Value::Bool(_) => kind::BOOLEAN,
        Value::Number(_) => kind::NUMBER,
        Value::String(_) => kind::STRING,
        Value::Array(_) => kind::ARRAY,
        Value::Object(_) => kind::OBJECT,
    }
}

fn each_object(text: &[u8], take: impl FnMut(Map<String, Value>) -> Result<(), TableError>) -> Result<(), TableError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut refused = None;
    let read = deserializer.deserialize_seq(Objects { take, refused: &mut refused });
    if let Some(error) = refused {
        return Err(error);
    }
    read?;
    Ok(deserializer.end()?)
}

/// Visits the objects of an array one by one.
struct Objects<'a, F> {
    take: F,
    /// The error of `take`, which the deserializer would turn into text.
    refused: &'a mut Option<TableError>,
}

impl<'de, F: FnMut(Map<String, Value>) -> Result<(), TableError>> Visitor<'de> for Objects<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut objects: A) -> Result<(), A::Error> {
        while let Some(object) = objects.next_element()? {
            if let Err(error) = (self.take)(object) {
                *self.refused = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
