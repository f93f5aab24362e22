//! A table of rows in memory: one text buffer, the end of each cell, and an index of the keys.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use wattle_plan::TableKind;

use super::cells::Cells;
use super::cidr::Networks;
use super::error::TableError;
use crate::values::kind;

/// Rows of cells with a lookup by key.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<String>,
    /// The cells, row by row.
    text: Vec<u8>,
    /// End of each cell in `text`.
    ends: Vec<u32>,
    /// Kind of each cell; empty if all are strings.
    kinds: Vec<u8>,
    index: Index,
}

#[derive(Debug)]
enum Index {
    Exact { rows: HashTable<u32>, key: usize, hasher: RandomState },
    Cidr(Networks),
}

impl Rows {
    /// Indexes the cells of a table.
    ///
    /// # Errors
    ///
    /// The key column or a key is missing, or a key is repeated or not usable.
    pub(super) fn new(cells: Cells, kind: TableKind, key: Option<&str>) -> Result<Self, TableError> {
        let rows = cells.rows();
        let Cells { columns, text, ends, kinds } = cells;
        let place = |name: &str| columns.iter().position(|column| column == name);
        let key = match key {
            Some(name) => match place(name) {
                Some(key) => key,
                None => return Err(TableError::NoKeyColumn { key: name.to_owned(), columns }),
            },
            None => place("key").unwrap_or(0),
        };
        let index = Index::Cidr(Networks::default());
        let mut table = Self { columns, text, ends, kinds, index };
        table.index = match kind {
            TableKind::Exact => table.exact(rows, key)?,
            // A table in place of a MaxMind DB has networks, too.
            TableKind::Cidr | TableKind::Mmdb => {
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
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the index of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Returns the row of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        match &self.index {
            Index::Exact { rows, key: column, hasher } => {
                let is_it = |row: &u32| self.cell(*row as usize, *column) == Some(key);
                rows.find(hasher.hash_one(key), is_it).map(|row| *row as usize)
            }
            Index::Cidr(networks) => networks.find(key),
        }
    }

    /// Returns a cell; `None` if it is missing.
    pub(super) fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        let index = row.checked_mul(self.columns.len())?.checked_add(column)?;
        if column >= self.columns.len() || self.kinds.get(index) == Some(&kind::MISSING) {
            return None;
        }
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start as usize..*self.ends.get(index)? as usize)
    }

    /// Returns a cell with its kind; `None` if it is missing.
    pub(super) fn value(&self, row: usize, column: usize) -> Option<(&[u8], u8)> {
        let index = row.checked_mul(self.columns.len())?.checked_add(column)?;
        Some((self.cell(row, column)?, self.kinds.get(index).copied().unwrap_or(kind::STRING)))
    }

    /// Memory of the table in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let index = match &self.index {
            Index::Exact { rows, .. } => rows.allocation_size(),
            Index::Cidr(networks) => networks.memory_bytes(),
        };
        self.text.capacity() + 4 * self.ends.capacity() + self.kinds.capacity() + index
    }
}
