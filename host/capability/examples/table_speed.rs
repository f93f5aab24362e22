//! Measures a lookup table of a million rows: the time to load it, its memory, and the time of a
//! lookup.
//!
//! `cargo run --release -p wattle-capability --example table_speed`

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use wattle_capability::{OpenTable, Table, Values, ValuesBuilder};
use wattle_plan::{TableGrant, TableKind};

const ROWS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("accounts.csv");
    let mut text = String::from("account,name,team\n");
    for row in 0..ROWS {
        writeln!(text, "{:012},account number {row},team-{}", row * 7919 % 1_000_003, row % 97)?;
    }
    fs::write(&path, &text)?;
    let metadata = fs::metadata(&path)?;
    let time = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    let grant = TableGrant { path, kind: TableKind::Exact, key: None, stamp: (metadata.len(), time) };
    let since = Instant::now();
    let table = Arc::new(Table::load(&grant)?);
    let loaded = since.elapsed();
    let open = OpenTable::new(table.clone(), &["name".into(), "team".into()])?;
    let keys: Vec<u64> = (0..ROWS).map(|row| row * 7907 % 1_000_003).collect();
    let batches: Vec<Values> = keys.chunks(1000).map(values).collect();
    let since = Instant::now();
    let mut found = 0;
    for batch in &batches {
        found += open.find(batch, 1 << 20)?.first().map_or(0, |names| names.iter().flatten().count());
    }
    let each = since.elapsed().as_nanos() / u128::from(ROWS);
    println!(
        "{ROWS} rows, {} MB: loaded in {loaded:.2?}, {} MB of memory, {each} ns a lookup of two columns, {found} found",
        text.len() / 1_000_000,
        table.memory_bytes() / 1_000_000
    );
    Ok(())
}

fn values(keys: &[u64]) -> Values {
    let mut builder = ValuesBuilder::with_rows(keys.len());
    for key in keys {
        // A key is far smaller than what a builder takes.
        let _ = builder.push(Some(format!("{key:012}").as_bytes()), usize::MAX);
    }
    builder.finish()
}
