//! Lookup tables from files, by exact key or by the network of an IP address.
//!
//! A table is loaded once for all workers. When the file changes, the plan changes too, and the new
//! generation loads the table again. The old table is dropped with the last instance that uses it.

mod cells;
mod cidr;
mod error;
mod mmdb;
mod objects;
mod quotes;
mod read;
mod rows;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{TableGrant, TableKind};

pub use self::error::{FindError, LookupError, NetworkError, TableError};
pub use self::table::{OpenTable, Table};

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
        // Selecting columns can search a whole file; other tables do not wait for that.
        drop(loaded);
        OpenTable::new(table, columns)
    }
}

#[cfg(test)]
mod tests;
