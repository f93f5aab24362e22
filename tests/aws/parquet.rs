//! The agent writes CloudTrail as Parquet, and DuckDB and pyarrow read the bucket as a table with partitions.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wattle_generator::{Generator, Options};
use wattle_tests::{Config, Folder};

use super::moto::Moto;

const BUCKET: &str = "lake";

/// Records that begin before midnight, on several days.
fn records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for (seed, start) in ["2025-12-31T23:58:00Z", "2026-01-31T23:58:00Z", "2026-02-03T12:00:00Z"].iter().enumerate() {
        let options = Options { seed: seed as u64, start: start.parse().unwrap(), ..Options::default() };
        let mut generator = Generator::new(options);
        records.extend((0..1500).map(|_| {
            let mut record = Vec::new();
            generator.next_record(&mut record);
            record
        }));
    }
    records
}

/// Runs `parquet.py` on a folder with the objects of the bucket and on a file with the records.
fn check(objects: &Path, records: &Path) {
    // `cargo xtask test` installs the readers and names the folder of their Python.
    let folder = std::env::var_os("WATTLE_PARQUET_READERS").map(PathBuf::from).unwrap_or_default();
    let python = if folder.as_os_str().is_empty() { "python3".into() } else { folder.join("python3") };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("aws/parquet.py");
    let output = Command::new(&python).arg(script).args([objects, records]).output().unwrap();
    let (found, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{}: {errors}; `cargo xtask test` installs DuckDB and pyarrow, or set `WATTLE_PARQUET_READERS` to the folder of a \
         `python3` that has them",
        python.display()
    );
    println!("{found}");
}

#[test]
fn a_trail_in_parquet_is_a_table_with_partitions() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.create_bucket(BUCKET);
    let records = records();
    let file = folder.write("in.ndjson", [records.join(&b'\n'), vec![b'\n']].concat());
    let config = Config::new()
        .file_source("in", "in.ndjson")
        .pipeline("p", &["in"])
        .node("time", "builtin:timestamp", &["input"])
        .with("options = { from = \"body.eventTime\" }")
        .ok_and_fails("time")
        .sink("lake", "aws_s3", &["p.ok"])
        .set("bucket", BUCKET)
        .set("endpoint", moto.address())
        .set("auth.access_key_id", "AKIDEXAMPLE")
        .set("auth.secret_access_key", "secret-of-test")
        .set("key_prefix", "trail/year=%Y/month=%m/day=%d/")
        .set("encoding.codec", "parquet")
        .set("encoding.schema.preset", "cloudtrail")
        .set("batch.timeout", "2s")
        .file_sink("fails", &["p.fails"], "fails.ndjson")
        .text();
    let ended = folder.once(&config);
    assert!(!ended.log.contains("WARN") && !ended.log.contains("ERROR"), "{}", ended.log);
    let keys = moto.keys(BUCKET);
    assert!(keys.len() >= 5 && keys.iter().all(|key| key.ends_with(".parquet")), "{keys:?}");
    for key in &keys {
        folder.write(format!("objects/{key}"), moto.get(BUCKET, key));
    }
    check(&folder.path("objects"), &file);
}

#[test]
fn records_without_a_required_column_are_dead_letters_and_the_others_rows() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.create_bucket(BUCKET);
    let records = records();
    let records = &records[..300];
    let mut lines = records.join(&b'\n');
    lines.extend_from_slice(b"\nno JSON\n{\"awsRegion\":\"eu-west-1\"}\n");
    folder.write("in.ndjson", lines);
    let file = folder.write("good.ndjson", [records.join(&b'\n'), vec![b'\n']].concat());
    let config = Config::new()
        .file_source("in", "in.ndjson")
        .pipeline("p", &["in"])
        .output("out", &["input"])
        .sink("lake", "aws_s3", &["p.out"])
        .set("bucket", BUCKET)
        .set("endpoint", moto.address())
        .set("auth.access_key_id", "AKIDEXAMPLE")
        .set("auth.secret_access_key", "secret-of-test")
        .set("key_prefix", "trail/region={{ body.awsRegion }}/")
        .set("encoding.codec", "parquet")
        .set("encoding.schema.preset", "cloudtrail")
        .with("encoding.schema.columns = [{ name = \"id\", type = \"string\", path = \"eventID\", required = true }]")
        .set("batch.timeout", "2s")
        .set("dead_letter", "dead.jsonl")
        .text();
    let ended = folder.once(&config);
    assert!(ended.log.contains("events cannot be written"), "{}", ended.log);
    let mut dead: Vec<(Value, bool)> = folder
        .events("dead.jsonl")
        .into_iter()
        .map(|line| (line["event"].clone(), line["reason"].as_str().unwrap().contains("column `id`")))
        .collect();
    dead.sort_by_key(|(_, is_missing)| *is_missing);
    assert_eq!(dead, [(json!("no JSON"), false), (json!("{\"awsRegion\":\"eu-west-1\"}"), true)]);
    for key in moto.keys(BUCKET) {
        folder.write(format!("objects/{key}"), moto.get(BUCKET, &key));
    }
    check(&folder.path("objects"), &file);
}
