//! Tables for lookups in unit tests: those of a case, or those that a test sets.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use wattle_address::Network;
use wattle_cases::{MockKind, MockTable};

use crate::column::{Column, ColumnWriter};
use crate::json::Kind;

thread_local! {
    static TABLES: RefCell<Tables> = RefCell::default();
}

#[derive(Default)]
struct Tables {
    by_name: BTreeMap<String, MockTable>,
    opened: Vec<Opened>,
}

/// A table with its selected columns.
struct Opened {
    columns: Vec<String>,
    table: MockTable,
    index: Index,
}

enum Index {
    Exact(HashMap<Vec<u8>, usize>),
    /// Networks with their rows, longest prefix first.
    Networks(Vec<(Network, usize)>),
}

/// Replaces the tables of this thread.
pub(crate) fn set(by_name: &BTreeMap<String, MockTable>) {
    TABLES.set(Tables { by_name: by_name.clone(), opened: Vec::new() });
}

pub(crate) fn open(name: &str, columns: &[&str]) -> Result<u32, String> {
    TABLES.with_borrow_mut(|tables| {
        let Some(table) = tables.by_name.get(name) else {
            let known: Vec<&str> = tables.by_name.keys().map(String::as_str).collect();
            return Err(format!("there is no table `{name}` in this test; available: {}", known.join(", ")));
        };
        for column in columns {
            if !table.rows.iter().any(|row| cell(table, row, column).is_some()) {
                return Err(format!("the table has no column `{column}`"));
            }
        }
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        tables.opened.push(Opened { columns, index: index(table)?, table: table.clone() });
        u32::try_from(tables.opened.len() - 1).map_err(|error| error.to_string())
    })
}

fn index(table: &MockTable) -> Result<Index, String> {
    let key = |row: &Value| row.get(&table.key).map(|key| text(key).0).ok_or("a row of the table has no key");
    if table.kind == MockKind::Exact {
        let rows = table.rows.iter().enumerate().map(|(number, row)| Ok((key(row)?, number)));
        return Ok(Index::Exact(rows.collect::<Result<_, String>>()?));
    }
    let mut networks = Vec::new();
    for (number, row) in table.rows.iter().enumerate() {
        let network = String::from_utf8_lossy(&key(row)?).into_owned();
        let network = Network::parse(network.trim()).map_err(|_| format!("`{network}` is not a network"))?;
        networks.push((network, number));
    }
    networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.length()));
    Ok(Index::Networks(networks))
}

/// The value of a column, a path in a table that stands for a MaxMind DB.
fn cell<'a>(table: &MockTable, row: &'a Value, column: &str) -> Option<&'a Value> {
    if table.kind == MockKind::Mmdb {
        return row.pointer(&format!("/{}", column.replace('.', "/")));
    }
    row.get(column)
}

/// A value as the agent returns it.
fn text(value: &Value) -> (Vec<u8>, Kind) {
    let kind = match value {
        Value::Null => Kind::Missing,
        Value::Bool(_) => Kind::Bool,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::Array,
        Value::Object(_) => Kind::Object,
    };
    (value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes(), kind)
}

impl Opened {
    fn find(&self, key: &[u8]) -> Option<usize> {
        match &self.index {
            Index::Exact(rows) => rows.get(key).copied(),
            Index::Networks(networks) => {
                let address = wattle_address::read(key)?;
                networks.iter().find(|(network, _)| network.contains(address)).map(|(_, row)| *row)
            }
        }
    }
}

pub(crate) fn find(table: u32, keys: ColumnWriter) -> Vec<Column> {
    TABLES.with_borrow(|tables| {
        let Some(opened) = tables.opened.get(table as usize) else { return Vec::new() };
        let keys = super::rows(keys);
        let rows: Vec<_> = (0..keys.len()).map(|row| opened.table.rows.get(opened.find(keys.get(row)?)?)).collect();
        let column = |column: &String| {
            let mut cells = ColumnWriter::with_capacity(0, rows.len());
            let mut kinds = Vec::with_capacity(rows.len());
            for row in &rows {
                let (text, kind) =
                    row.and_then(|row| cell(&opened.table, row, column)).map_or((Vec::new(), Kind::Missing), text);
                cells.push(if kind == Kind::Missing { &[] } else { &text });
                kinds.push(kind as u8);
            }
            Column { kinds, ..super::rows(cells) }
        };
        opened.columns.iter().map(column).collect()
    })
}
