//! MaxMind DB files: records by the network of an IP address.
//!
//! The file is read into memory. Mapped into memory, a file that another process truncates would
//! kill the agent. Every record is read once when a file is loaded, so that later reads succeed.

mod value;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use serde_json::Value;

use self::value::Cell;
use super::error::{FindError, TableError};
use super::read;
use crate::values::{TooLarge, Values, ValuesBuilder};

/// Maximum number of columns that an error names.
const MAX_LISTED: usize = 40;
/// Number of distinct records that are searched for the names of columns.
const RECORDS_LISTED: usize = 1000;

/// A MaxMind DB in memory.
#[derive(Debug)]
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    bytes: usize,
    /// Whether a record has the column, for each column that a node selected. The search can go
    /// through the whole file, and each instance of a node selects its columns.
    known: Mutex<HashMap<String, bool>>,
}

/// A path into records, such as `country.iso_code`.
#[derive(Clone, Debug)]
pub(super) struct ColumnPath(Vec<Segment>);

#[derive(Clone, Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

impl ColumnPath {
    /// Reads a path: keys separated by dots, a number for an element of an array. `.` is the whole
    /// record.
    fn new(name: &str) -> Self {
        let segment = |text: &str| match text.parse() {
            Ok(index) => Segment::Index(index),
            Err(_) => Segment::Key(text.to_owned()),
        };
        Self(if name == "." { Vec::new() } else { name.split('.').map(segment).collect() })
    }

    fn elements(&self) -> Vec<PathElement<'_>> {
        let element = |segment| match segment {
            &Segment::Index(index) => PathElement::Index(index),
            Segment::Key(key) => PathElement::Key(key),
        };
        self.0.iter().map(element).collect()
    }
}

impl Database {
    /// Loads and verifies a file.
    pub(super) fn load(path: &Path) -> Result<Self, TableError> {
        Self::new(read::bytes(path)?).map_err(|error| match error {
            MaxMindDbError::Io(error) => TableError::Unreadable(error),
            error => TableError::Database(error.to_string()),
        })
    }

    fn new(file: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let bytes = file.capacity();
        let reader = Reader::from_source(file)?;
        reader.verify()?;
        let database = Self { reader, bytes, known: Mutex::default() };
        // `verify` accepts records that cannot be read, such as one with a key that is not a string.
        for record in database.records() {
            if record.decode::<Cell<'_>>()? == Some(Cell::TooDeep) {
                return Err(MaxMindDbError::invalid_database("a record is nested too deep"));
            }
        }
        Ok(database)
    }

    /// Prepares a column; `None` if no record has it.
    pub(super) fn column(&self, name: &str) -> Option<ColumnPath> {
        let path = ColumnPath::new(name);
        // Locked during the search, so that several workers do not search for the same column at once.
        let exists = *self.known.lock().entry(name.to_owned()).or_insert_with(|| {
            let elements = path.elements();
            self.records().any(|record| matches!(record.decode_path::<IgnoredAny>(&elements), Ok(Some(_))))
        });
        exists.then_some(path)
    }

    /// Names of columns, for an error: the paths of the values in some of the records. Of texts in
    /// many languages it lists English.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        for record in self.records().take(RECORDS_LISTED) {
            if names.len() >= MAX_LISTED {
                break;
            }
            let cell = record.decode::<Cell<'_>>().ok().flatten();
            let value = cell.and_then(|cell| serde_json::from_slice(cell.text()?).ok()).unwrap_or(Value::Null);
            list(String::new(), &value, &mut names);
        }
        names
    }

    /// The distinct records. The file was verified, so its tree has an end.
    fn records(&self) -> impl Iterator<Item = LookupResult<'_, Vec<u8>>> {
        let mut seen = HashSet::new();
        let networks = self.reader.networks(WithinOptions::default());
        networks.into_iter().flatten().filter_map(Result::ok).filter(move |record| seen.insert(record.offset()))
    }

    /// Looks up addresses; see [`OpenTable::find`](super::OpenTable::find).
    pub(super) fn find(&self, paths: &[ColumnPath], keys: &Values, max_bytes: usize) -> Result<Vec<Values>, FindError> {
        // Addresses of a batch often have the same record, which is read once.
        let mut numbers = HashMap::new();
        let mut records = Vec::new();
        let mut rows = Vec::with_capacity(keys.rows());
        for key in keys.iter() {
            let record =
                key.and_then(wattle_address::read).and_then(|address| self.lookup(address).transpose()).transpose()?;
            rows.push(record.map(|record| {
                *numbers.entry(record.offset()).or_insert_with(|| {
                    records.push(record);
                    records.len() - 1
                })
            }));
        }
        let mut left = max_bytes;
        let mut all = Vec::with_capacity(paths.len());
        let mut cells: Vec<Option<Cell<'_>>> = Vec::new();
        for path in paths {
            let elements = path.elements();
            cells.clear();
            cells.resize_with(records.len(), || None);
            let mut column = ValuesBuilder::with_rows(rows.len());
            for row in &rows {
                let place = row.and_then(|number| Some((records.get(number)?, cells.get_mut(number)?)));
                let cell = match place {
                    None => None,
                    Some((_, Some(cell))) => Some(&*cell),
                    // Read only here, so that no more cells are held than fit below the limit.
                    Some((record, empty)) => Some(&*empty.insert(read_cell(record, &elements)?)),
                };
                let (text, kind) = cell.map_or((None, 0), |cell| (cell.text(), cell.kind()));
                column.push_kind(text, kind, left).map_err(|_| TooLarge(max_bytes))?;
            }
            left = left.saturating_sub(column.byte_len());
            all.push(column.finish());
        }
        Ok(all)
    }

    /// The record of an address; `None` if the file has none.
    fn lookup(&self, address: IpAddr) -> Result<Option<LookupResult<'_, Vec<u8>>>, FindError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let record = self.reader.lookup(address).map_err(|error| FindError::Record(error.to_string()))?;
        Ok(record.has_data().then_some(record))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }
}

/// The value at a path of a record.
fn read_cell<'a>(record: &LookupResult<'a, Vec<u8>>, path: &[PathElement<'_>]) -> Result<Cell<'a>, FindError> {
    match record.decode_path::<Cell<'a>>(path) {
        Ok(Some(Cell::TooDeep)) => Err(FindError::Record("a value is nested too deep".to_owned())),
        Ok(cell) => Ok(cell.unwrap_or(Cell::Missing)),
        // The path leads through a value that is not a map or an array, as the path of other records does.
        Err(MaxMindDbError::Decoding { .. }) if record.decode_path::<IgnoredAny>(path).is_err() => Ok(Cell::Missing),
        Err(error) => Err(FindError::Record(error.to_string())),
    }
}

/// Adds the paths of the values that are not containers.
fn list(path: String, value: &Value, names: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            let is_names = path == "names" || path.ends_with(".names");
            let has_english = is_names && members.contains_key("en");
            for (name, value) in members.iter().filter(|(name, _)| !has_english || *name == "en") {
                list(below(name), value, names);
            }
        }
        Value::Array(elements) => elements.first().into_iter().for_each(|first| list(below("0"), first, names)),
        Value::Null => {}
        _ => {
            let name = if path.is_empty() { ".".to_owned() } else { path };
            if names.len() < MAX_LISTED && !names.contains(&name) {
                names.push(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod writer;
