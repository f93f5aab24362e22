//! Measures the time of an event on generated logs: the node without the host's work.
//!
//! Run with `cargo run --release -p wattle-node-pattern --example speed`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    dead_code,
    reason = "a measurement may stop at what must not be"
)]

#[path = "../tests/accuracy/generator.rs"]
mod generator;

use wattle_node::{
    Batch, ChildSpans, Column, ColumnWriter, Emit, Events, Form, Io, Node, Resolve, Tick, Timed, configure,
};
use wattle_node_pattern::Pattern;

const ROWS: usize = 1000;

fn main() {
    for dataset in &generator::DATASETS {
        for options in [r#"{"interval": "0s"}"#, "{}"] {
            let (mut node, _) = configure::<Pattern>(options, &mut Fields(0)).unwrap();
            let lines = generator::generate(dataset, 1, 20 * ROWS);
            let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
            let mut batches: Vec<Rows> = lines.chunks(ROWS).map(Rows::new).collect();
            node.tick(&mut Tick::new(&mut batches[0], 0, false)).unwrap();
            let mut times = Vec::new();
            for _ in 0..20 {
                let start = cpu();
                for rows in &mut batches {
                    node.process(&mut Batch::new(rows)).unwrap();
                }
                times.push((cpu() - start) / lines.len() as f64);
            }
            times.sort_by(f64::total_cmp);
            let (best, median) = (times[0], times[times.len() / 2]);
            println!(
                "{:8} {options:20} {:4} bytes  best {:4.0} ns  median {:4.0} ns  {:.2} million events/s",
                dataset.name,
                bytes / lines.len(),
                best * 1e9,
                median * 1e9,
                1e-6 / median
            );
        }
    }
}

/// Seconds of CPU time of this thread.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e-9
}

struct Fields(u32);

impl Resolve for Fields {
    fn resolve(&mut self, path: &str, _: bool, _: bool) -> Result<u32, String> {
        self.0 += 1;
        Ok(if path == "timestamp" { 100 } else { self.0 })
    }
}

/// A batch whose decisions have no effect.
struct Rows {
    text: Column,
    times: Column,
}

impl Rows {
    fn new(lines: &[generator::Line]) -> Self {
        let column = |rows: Vec<String>| {
            let mut writer = ColumnWriter::default();
            rows.iter().for_each(|row| writer.push(row.as_bytes()));
            let mut offsets = vec![0];
            for row in &rows {
                offsets.push(offsets.last().unwrap() + u32::try_from(row.len()).unwrap());
            }
            Column { kinds: vec![4; rows.len()], bytes: writer.bytes.into(), offsets }
        };
        let times = (0..lines.len()).map(|i| format!("2026-01-01T00:00:{:02}.{:03}Z", i / 50 % 60, i));
        Self { text: column(lines.iter().map(|line| line.text.clone()).collect()), times: column(times.collect()) }
    }
}

impl Emit for Rows {
    fn emit(&mut self, _: u8, _: Events) {}
    fn count(&mut self, _: &str, _: u64) {}
}

impl Io for Rows {
    fn rows(&self) -> usize {
        self.text.len()
    }
    fn redelivered(&self) -> bool {
        false
    }
    fn read(&mut self, field: u32, _: Form) -> Column {
        if field == 100 { self.times.clone() } else { self.text.clone() }
    }
    fn set(&mut self, _: u32, _: Form, values: ColumnWriter) {
        std::hint::black_box(values);
    }
    fn check_json(&mut self, _: u32) -> Vec<u8> {
        Vec::new()
    }
    fn combine(&mut self, _: &[u32], _: &[u32], _: ColumnWriter) {}
    fn hold(&mut self, _: &[u32]) {}
    fn replace(&mut self, _: u32, _: Form, _: &[u32], _: &[u32], _: ColumnWriter) {}
    fn set_json_from(&mut self, _: u32, _: u32, _: &[u8]) {}
    fn set_timestamp(&mut self, _: &[i64]) {}
    fn split(&mut self, _: u32, _: Form, _: ChildSpans<'_>, _: &[u8], _: &[u8]) {}
    fn split_into(&mut self, _: &[u32], _: ColumnWriter) {}
    fn drop_rows(&mut self, _: &[u32], _: &str) {}
    fn route(&mut self, _: &[u8]) {}
    fn copy_to(&mut self, _: u8, _: &[u32]) {}
    fn fail(&mut self, _: &[u32], _: &[u32], _: &[(String, String)]) {}
}
