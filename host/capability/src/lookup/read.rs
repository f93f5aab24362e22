//! Reads the files of tables.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use wattle_plan::TableGrant;

use super::cells::Cells;
use super::error::TableError;
use super::objects::{Columns, Layout, objects};
use super::quotes::{BYTE_ORDER_MARK, Checked};

/// Reads the cells of a file: JSON if its name ends with `.json`, an object per line if it ends with
/// `.ndjson` or `.jsonl`, else CSV with a header.
pub(super) fn file(path: &Path) -> Result<Cells, TableError> {
    let extension = path.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("json") {
        return objects(without_mark(&bytes(path)?), Layout::Array, Columns::Members);
    }
    if extension.eq_ignore_ascii_case("ndjson") || extension.eq_ignore_ascii_case("jsonl") {
        return objects(without_mark(&bytes(path)?), Layout::Lines, Columns::Members);
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

pub(super) fn check_columns(columns: &[String]) -> Result<(), TableError> {
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

pub(super) fn check_rows(cells: &Cells) -> Result<(), TableError> {
    match cells.rows() > TableGrant::MAX_ROWS as usize {
        true => Err(TableError::TooManyRows),
        false => Ok(()),
    }
}
