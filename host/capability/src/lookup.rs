//! Tables from files, looked up by key: as text, or an address by the network that it is in.
//!
//! A table is loaded once for all workers. A file that changes makes another plan, and its generation opens the table
//! anew; the old one goes with the last instance that has it.

mod cidr;
mod read;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{TableGrant, TableKind};

pub use self::table::Table;
use crate::values::{Values, ValuesBuilder};

/// How long a table that nobody uses is kept: a reload opens it for its checks first, and for the workers after that.
const KEPT: Duration = Duration::from_mins(1);

/// The tables that are loaded.
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
    /// Opens a table for these columns, and loads it if it is not there as its file is now.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no table, or lacks a column; the text says where and what.
    pub fn open(&self, grant: &TableGrant, columns: &[String]) -> Result<OpenTable, String> {
        let place = (grant.path.clone(), grant.kind, grant.key.clone());
        // Held while it is loaded, so that several workers do not load it at once.
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

/// A table with the columns that a node asked for.
#[derive(Clone, Debug)]
pub struct OpenTable {
    table: Arc<Table>,
    columns: Vec<usize>,
}

impl OpenTable {
    /// A table with these columns.
    ///
    /// # Errors
    ///
    /// It lacks one of them.
    pub fn new(table: Arc<Table>, columns: &[String]) -> Result<Self, String> {
        let find = |name: &String| {
            let missing = || format!("there is no column `{name}`; there is {}", table.columns().join(", "));
            table.column(name).ok_or_else(missing)
        };
        let columns = columns.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { table, columns })
    }

    /// For each opened column, the cells of the rows that these keys find, none where a key finds no row or the row has no
    /// such cell.
    ///
    /// # Errors
    ///
    /// The cells have more than `max_bytes` together.
    pub fn find(&self, keys: &Values, max_bytes: usize) -> Result<Vec<Values>, String> {
        let rows: Vec<Option<usize>> = keys.iter().map(|key| self.table.find(key?)).collect();
        let mut left = max_bytes;
        let mut all = Vec::with_capacity(self.columns.len());
        for &column in &self.columns {
            let mut cells = ValuesBuilder::with_rows(rows.len());
            for row in &rows {
                let cell = row.and_then(|row| self.table.cell(row, column));
                cells.push(cell, left).map_err(|_| format!("what is found has more than {max_bytes} bytes"))?;
            }
            left = left.saturating_sub(cells.byte_len());
            all.push(cells.finish());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
