//! Lookup tables from files, by exact key or by the network of an IP address.
//!
//! A table is loaded once for all workers. When the file changes, the plan changes too, and the new
//! generation loads the table again. The old table is dropped with the last instance that uses it.

mod cells;
mod cidr;
mod error;
mod read;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{TableGrant, TableKind};

pub use self::error::{LookupError, NetworkError, TableError};
pub use self::table::Table;
use crate::values::{TooLarge, Values, ValuesBuilder};

/// How long an unused table stays loaded: a reload opens it for its checks first, and then for the
/// workers.
const KEPT: Duration = Duration::from_mins(1);

/// The loaded tables.
#[derive(Debug, Default)]
pub struct Tables {
    loaded: Mutex<HashMap<Place, Loaded>>,
}

type Place = (PathBuf, TableKind, Option<String>);

#[derive(Debug)]
struct Loaded {
    stamp: (u64, u128),
    used: Instant,
    table: Arc<Table>,
}

impl Tables {
    /// Opens a table with these columns. Loads it if it is not loaded, or if its file changed.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a table, or lacks a column; the text has the position and the reason.
    pub fn open(&self, grant: &TableGrant, columns: &[String]) -> Result<OpenTable, LookupError> {
        let place = (grant.path.clone(), grant.kind, grant.key.clone());
        // Locked during loading, so that several workers do not load the table at once.
        let mut loaded = self.loaded.lock();
        loaded.retain(|_, loaded| Arc::strong_count(&loaded.table) > 1 || loaded.used.elapsed() < KEPT);
        let known = loaded.get_mut(&place).filter(|known| known.stamp == grant.stamp);
        let table = match known {
            Some(known) => {
                known.used = Instant::now();
                known.table.clone()
            }
            None => {
                let table = Arc::new(Table::load(grant)?);
                let entry = Loaded { stamp: grant.stamp, used: Instant::now(), table: table.clone() };
                loaded.insert(place, entry);
                table
            }
        };
        OpenTable::new(table, columns)
    }
}

/// A table with the columns that a node selected.
#[derive(Clone, Debug)]
pub struct OpenTable {
    table: Arc<Table>,
    columns: Vec<usize>,
}

impl OpenTable {
    /// Selects columns of a table.
    ///
    /// # Errors
    ///
    /// The table lacks a column.
    pub fn new(table: Arc<Table>, columns: &[String]) -> Result<Self, LookupError> {
        let find = |name: &String| {
            let missing = || LookupError::NoColumn { column: name.clone(), columns: table.columns().to_vec() };
            table.column(name).ok_or_else(missing)
        };
        let columns = columns.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { table, columns })
    }

    /// Looks up keys. Returns for each selected column the cells of the found rows; a key without a
    /// row and a missing cell give no value.
    ///
    /// # Errors
    ///
    /// The cells have more than `max_bytes` in total.
    pub fn find(&self, keys: &Values, max_bytes: usize) -> Result<Vec<Values>, TooLarge> {
        let rows: Vec<Option<usize>> = keys.iter().map(|key| self.table.find(key?)).collect();
        let mut left = max_bytes;
        let mut all = Vec::with_capacity(self.columns.len());
        for &column in &self.columns {
            let mut cells = ValuesBuilder::with_rows(rows.len());
            for row in &rows {
                let cell = row.and_then(|row| self.table.cell(row, column));
                cells.push(cell, left).map_err(|_| TooLarge(max_bytes))?;
            }
            left = left.saturating_sub(cells.byte_len());
            all.push(cells.finish());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
