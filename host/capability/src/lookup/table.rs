//! A table in memory: one text buffer, the end of each cell, and an index of the keys.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use wattle_plan::{TableGrant, TableKind};

use super::cells::Cells;
use super::cidr::Networks;
use super::error::{LookupError, TableError};
use super::read;

/// Rows of cells with a lookup by key.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    /// The cells, row by row.
    text: Vec<u8>,
    /// End of each cell in `text`.
    ends: Vec<u32>,
    /// Whether each cell is missing; empty if no cell is.
    missing: Vec<bool>,
    index: Index,
}

#[derive(Debug)]
enum Index {
    Exact { rows: HashTable<u32>, key: usize, hasher: RandomState },
    Cidr(Networks),
}

impl Table {
    /// Loads a table from a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a table; the text has the path, and the line if known.
    pub fn load(grant: &TableGrant) -> Result<Self, LookupError> {
        let table = read::file(&grant.path).and_then(|cells| Self::new(cells, grant.kind, grant.key.as_deref()));
        table.map_err(|error| LookupError::File { path: grant.path.clone(), error })
    }

    /// Creates a table from JSON, an array of objects.
    ///
    /// # Errors
    ///
    /// The text is not an array of objects, or lacks the key column.
    pub fn from_json(text: &[u8], kind: TableKind, key: Option<&str>) -> Result<Self, TableError> {
        Self::new(read::json(text)?, kind, key)
    }

    fn new(cells: Cells, kind: TableKind, key: Option<&str>) -> Result<Self, TableError> {
        let rows = cells.rows();
        let Cells { columns, text, ends, missing } = cells;
        let place = |name: &str| columns.iter().position(|column| column == name);
        let key = match key {
            Some(name) => match place(name) {
                Some(key) => key,
                None => return Err(TableError::NoKeyColumn { key: name.to_owned(), columns }),
            },
            None => place("key").unwrap_or(0),
        };
        let index = Index::Cidr(Networks::default());
        let mut table = Self { columns, text, ends, missing, index };
        table.index = match kind {
            TableKind::Exact => table.exact(rows, key)?,
            TableKind::Cidr => {
                let mut networks = Networks::default();
                for row in 0..rows {
                    let text = table.cell(row, key).unwrap_or_default();
                    let number = u32::try_from(row).map_err(|_| TableError::TooManyRows)?;
                    networks.insert(text, number).map_err(|error| TableError::Network { row: row + 1, error })?;
                }
                Index::Cidr(networks)
            }
        };
        Ok(table)
    }

    fn exact(&self, count: usize, key: usize) -> Result<Index, TableError> {
        let hasher = RandomState::new();
        let mut rows = HashTable::with_capacity(count);
        let hash_of = |row: &u32| hasher.hash_one(self.cell(*row as usize, key).unwrap_or_default());
        for row in 0..count {
            let Some(text) = self.cell(row, key) else { return Err(TableError::NoKey(row + 1)) };
            let is_same = |other: &u32| self.cell(*other as usize, key) == Some(text);
            let row_number = u32::try_from(row).map_err(|_| TableError::TooManyRows)?;
            match rows.entry(hasher.hash_one(text), is_same, hash_of) {
                hashbrown::hash_table::Entry::Occupied(other) => {
                    let (first, key) = (*other.get() as usize + 1, String::from_utf8_lossy(text).into_owned());
                    return Err(TableError::RepeatedKey { first, second: row + 1, key });
                }
                hashbrown::hash_table::Entry::Vacant(place) => {
                    place.insert(row_number);
                }
            }
        }
        Ok(Index::Exact { rows, key, hasher })
    }

    /// Names of the columns, in the order of the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// Returns the row of a key.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        match &self.index {
            Index::Exact { rows, key: column, hasher } => {
                let is_it = |row: &u32| self.cell(*row as usize, *column) == Some(key);
                rows.find(hasher.hash_one(key), is_it).map(|row| *row as usize)
            }
            Index::Cidr(networks) => networks.find(key),
        }
    }

    /// Returns a cell; `None` if it is missing.
    pub fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        let index = row.checked_mul(self.columns.len())?.checked_add(column)?;
        if column >= self.columns.len() || self.missing.get(index) == Some(&true) {
            return None;
        }
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start as usize..*self.ends.get(index)? as usize)
    }

    /// Memory of the table in bytes.
    pub fn memory_bytes(&self) -> usize {
        let index = match &self.index {
            Index::Exact { rows, .. } => rows.allocation_size(),
            Index::Cidr(networks) => networks.memory_bytes(),
        };
        self.text.capacity() + 4 * self.ends.capacity() + self.missing.capacity() + index
    }
}
