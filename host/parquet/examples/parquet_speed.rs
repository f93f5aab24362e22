//! Measures how fast records of CloudTrail become a Parquet file, and how large the file is beside gzip.
//!
//! `cargo run --release -p wattle-parquet --example parquet_speed [FILE.ndjson]`; by default 200 MB of generated records.

use std::io::Write as _;
use std::time::Duration;

use flate2::write::GzEncoder;
use rustix::time::{ClockId, clock_gettime};
use wattle_generator::{Generator, Options, Shape};
use wattle_parquet::{Compression, Preset, Schema, SchemaOptions, Writer, WriterOptions};

const BYTES: usize = 200_000_000;
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => generated(),
    };
    let records: Vec<_> = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    println!("{} records, {:.1} MB", records.len(), data.len() as f64 / 1e6);
    let mut options: SchemaOptions = toml::from_str(Preset::Cloudtrail.text())?;
    let all = schema(&options)?;
    options.columns.retain(|column| column.name != "record");
    let columns = schema(&options)?;
    for (name, schema, compression) in [
        ("parquet zstd", &all, Compression::Zstd),
        ("parquet snappy", &all, Compression::Snappy),
        ("parquet none", &all, Compression::None),
        ("without record", &columns, Compression::Zstd),
    ] {
        let mut best = Duration::MAX;
        let mut size = 0;
        for _ in 0..ROUNDS {
            let start = cpu_time();
            let options = WriterOptions { compression, ..WriterOptions::default() };
            let mut writer = Writer::new(schema, options)?;
            for record in &records {
                writer.push(record)?;
            }
            size = writer.finish()?.bytes.len();
            best = best.min(cpu_time() - start);
        }
        report(name, data.len(), size, best);
    }
    let start = cpu_time();
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&data)?;
    let size = gzip.finish()?.len();
    report("ndjson gzip 6", data.len(), size, cpu_time() - start);
    Ok(())
}

fn schema(options: &SchemaOptions) -> Result<Schema, String> {
    Schema::new(options).map_err(|errors| wattle_options::summary(&errors))
}

fn report(name: &str, bytes: usize, size: usize, time: Duration) {
    let (speed, ratio) = (bytes as f64 / 1e6 / time.as_secs_f64(), bytes as f64 / size as f64);
    println!("{name:16} {speed:7.1} MB per CPU second, {:8.2} MB, ratio {ratio:.2}", size as f64 / 1e6);
}

fn generated() -> Vec<u8> {
    let mut generator = Generator::new(Options { shape: Shape::Ndjson, ..Options::default() });
    let mut data = Vec::new();
    while data.len() < BYTES {
        generator.next_record(&mut data);
        data.push(b'\n');
    }
    data
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
