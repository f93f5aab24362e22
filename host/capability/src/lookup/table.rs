//! A loaded table: rows of cells, or a MaxMind DB.

use std::sync::Arc;

use wattle_plan::{TableGrant, TableKind};

use super::error::{FindError, LookupError, TableError};
use super::mmdb::{ColumnPath, Database};
use super::objects::{Columns, Layout, objects};
use super::read;
use super::rows::Rows;
use crate::values::{TooLarge, Values, ValuesBuilder};

/// A table with a lookup by key.
#[derive(Debug)]
pub struct Table(Content);

#[derive(Debug)]
enum Content {
    Rows(Rows),
    Database(Database),
}

impl Table {
    /// Loads a table from a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a table; the text has the path, and the line if known.
    pub fn load(grant: &TableGrant) -> Result<Self, LookupError> {
        let content = match grant.kind {
            TableKind::Mmdb => Database::load(&grant.path).map(Content::Database),
            kind => read::file(&grant.path)
                .and_then(|cells| Rows::new(cells, kind, grant.key.as_deref()))
                .map(Content::Rows),
        };
        content.map(Self).map_err(|error| LookupError::File { path: grant.path.clone(), error })
    }

    /// Creates a table from JSON, an array of objects. In one that stands for a MaxMind DB, columns
    /// are paths into the objects, as in `country.iso_code`.
    ///
    /// # Errors
    ///
    /// The text is not an array of objects, or lacks the key column.
    pub fn from_json(text: &[u8], kind: TableKind, key: Option<&str>) -> Result<Self, TableError> {
        let columns = match kind {
            TableKind::Mmdb => Columns::Paths,
            TableKind::Exact | TableKind::Cidr => Columns::Members,
        };
        let cells = objects(text, Layout::Array, columns)?;
        Ok(Self(Content::Rows(Rows::new(cells, kind, key)?)))
    }

    /// Memory of the table in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Content::Rows(rows) => rows.memory_bytes(),
            Content::Database(database) => database.memory_bytes(),
        }
    }
}

/// A table with the columns that a node selected.
#[derive(Clone, Debug)]
pub struct OpenTable {
    pub(super) table: Arc<Table>,
    selected: Selected,
}

#[derive(Clone, Debug)]
enum Selected {
    /// Columns of rows.
    Cells(Vec<usize>),
    /// Paths into the records of a MaxMind DB.
    Paths(Vec<ColumnPath>),
}

impl OpenTable {
    /// Selects columns of a table.
    ///
    /// # Errors
    ///
    /// The table lacks a column.
    pub fn new(table: Arc<Table>, columns: &[String]) -> Result<Self, LookupError> {
        let missing = |column: &String, columns: Vec<String>| LookupError::NoColumn { column: column.clone(), columns };
        let selected = match &table.0 {
            Content::Rows(rows) => {
                let find = |name: &String| rows.column(name).ok_or_else(|| missing(name, rows.columns().to_vec()));
                Selected::Cells(columns.iter().map(find).collect::<Result<_, _>>()?)
            }
            Content::Database(database) => {
                let find = |name: &String| database.column(name).ok_or_else(|| missing(name, database.columns()));
                Selected::Paths(columns.iter().map(find).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { table, selected })
    }

    /// Looks up keys. Returns for each selected column the cells of the found rows; a key without a
    /// row and a missing cell give no value.
    ///
    /// # Errors
    ///
    /// The cells have more than `max_bytes` in total, or a record of a MaxMind DB cannot be read.
    pub fn find(&self, keys: &Values, max_bytes: usize) -> Result<Vec<Values>, FindError> {
        match (&self.table.0, &self.selected) {
            (Content::Rows(rows), Selected::Cells(columns)) => Ok(find_cells(rows, columns, keys, max_bytes)?),
            (Content::Database(database), Selected::Paths(paths)) => database.find(paths, keys, max_bytes),
            // `new` selects by the content.
            (Content::Rows(_), Selected::Paths(_)) | (Content::Database(_), Selected::Cells(_)) => Ok(Vec::new()),
        }
    }
}

fn find_cells(rows: &Rows, columns: &[usize], keys: &Values, max_bytes: usize) -> Result<Vec<Values>, TooLarge> {
    let found: Vec<Option<usize>> = keys.iter().map(|key| rows.find(key?)).collect();
    let mut left = max_bytes;
    let mut all = Vec::with_capacity(columns.len());
    for &column in columns {
        let mut cells = ValuesBuilder::with_rows(found.len());
        for row in &found {
            let (cell, kind) = row.and_then(|row| rows.value(row, column)).unzip();
            cells.push_kind(cell, kind.unwrap_or_default(), left).map_err(|_| TooLarge(max_bytes))?;
        }
        left = left.saturating_sub(cells.byte_len());
        all.push(cells.finish());
    }
    Ok(all)
}
