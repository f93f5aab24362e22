//! DuckDB and pyarrow read what this crate writes. `check.py` compares it with the records.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use wattle_generator::{Generator, Options, Shape};
use wattle_parquet::{Compression, Preset, Schema, SchemaOptions, Writer, WriterOptions};

/// Runs `check.py`.
fn check(arguments: &[&str]) {
    // `cargo xtask test` installs the readers and names the folder of their Python.
    let folder = std::env::var_os("WATTLE_PARQUET_READERS").map(PathBuf::from).unwrap_or_default();
    let python = if folder.as_os_str().is_empty() { "python3".into() } else { folder.join("python3") };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/check.py");
    let output = Command::new(&python).arg(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let help = if errors.contains("ModuleNotFoundError") {
        "; run the tests by `cargo xtask test`, which installs the readers, or install them by `pip install duckdb pyarrow` \
         and set `WATTLE_PARQUET_READERS` to the folder of that `python3`"
    } else {
        ""
    };
    assert!(output.status.success(), "{}: {errors}{help}", python.display());
}

/// Writes records, one to a line, and has the file checked.
fn check_trail(records: &[Vec<u8>], options: WriterOptions) {
    let schema = Schema::preset(Preset::Cloudtrail).unwrap();
    let mut writer = Writer::new(&schema, options).unwrap();
    let mut misfits = 0;
    for record in records {
        misfits += writer.push(record).unwrap();
    }
    assert_eq!(misfits, 0, "genuine records fit: {:?}", writer.misfits().collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let (parquet, ndjson) = (folder.path().join("trail.parquet"), folder.path().join("trail.ndjson"));
    fs::write(&parquet, writer.finish().unwrap().bytes).unwrap();
    fs::write(&ndjson, [records.join(&b'\n'), vec![b'\n']].concat()).unwrap();
    check(&["cloudtrail", parquet.to_str().unwrap(), ndjson.to_str().unwrap()]);
}

#[test]
fn generated_trails_are_read_with_every_compression() {
    let mut generator = Generator::new(Options { shape: Shape::Ndjson, ..Options::default() });
    let records: Vec<_> = std::iter::repeat_with(|| {
        let mut record = Vec::new();
        generator.next_record(&mut record);
        record
    })
    .take(5_000)
    .collect();
    for compression in [Compression::Zstd, Compression::Snappy, Compression::None] {
        check_trail(&records, WriterOptions { compression, row_group_rows: 2_000, ..WriterOptions::default() });
    }
}

/// Records of a document: of an array, of `Records`, or of a rule's test cases.
fn add_records(document: &Value, records: &mut Vec<Vec<u8>>) {
    match document {
        Value::Array(elements) => elements.iter().for_each(|element| add_records(element, records)),
        Value::Object(members) if members.contains_key("eventName") => records.push(document.to_string().into_bytes()),
        Value::Object(members) => members.values().for_each(|value| add_records(value, records)),
        _ => {}
    }
}

#[test]
fn genuine_records_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !root.is_dir() {
        println!("skipped: the sample data is not there");
        return;
    }
    let mut records = Vec::new();
    for folder in ["compact-gz", "stratus-pretty"] {
        let mut files: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let mut bytes = fs::read(&file).unwrap();
            if file.extension().is_some_and(|extension| extension == "gz") {
                let compressed = std::mem::take(&mut bytes);
                MultiGzDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
            }
            add_records(&serde_json::from_slice(&bytes).unwrap(), &mut records);
        }
    }
    assert_eq!(records.len(), 330);
    check_trail(&records, WriterOptions::default());
}

#[test]
fn types_are_those_of_the_readers() {
    let schema = r#"columns = [
        { name = "s", type = "string" },
        { name = "i", type = "int" },
        { name = "l", type = "bigint" },
        { name = "d", type = "double" },
        { name = "b", type = "boolean" },
        { name = "t", type = "timestamp" },
        { name = "day", type = "date", path = "t" },
        { name = "j", type = "json" },
        { name = "o", type = "struct", fields = [
            { name = "x", type = "int" },
            { name = "y", type = "struct", fields = [{ name = "z", type = "string" }] },
        ] },
        { name = "a", type = "list", element = { type = "list", element = { type = "bigint" } } },
        { name = "m", type = "map", element = { type = "list", element = { type = "double" } } },
    ]"#;
    let schema = Schema::new(&toml::from_str::<SchemaOptions>(schema).unwrap()).unwrap();
    let records = [
        r#"{"s":"é\ud83d\ude00\u0000","i":-7,"l":9007199254740993,"d":0.1,"b":true,"t":"2023-11-08T12:00:00.123456789Z",
            "j":{"k":[1]},"o":{"x":1,"y":{"z":"w"}},"a":[[1,null],[],null],"m":{"k":[0.5,null],"e":[],"n":null}}"#,
        "{}",
        r#"{"s":"","i":"2147483647","l":-9223372036854775808,"d":-1.7976931348623157e308,"b":"false",
            "t":"1969-12-31T23:59:59.9999995Z","j":12,"o":{"x":2147483648},"a":[],"m":{}}"#,
    ];
    let mut writer = Writer::new(&schema, WriterOptions::default()).unwrap();
    let misfits: Vec<_> = records.iter().map(|record| writer.push(record.as_bytes()).unwrap()).collect();
    assert_eq!(misfits, [0, 0, 1], "2147483648 is no int");
    let file = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
    fs::write(file.path(), writer.finish().unwrap().bytes).unwrap();
    check(&["types", file.path().to_str().unwrap()]);
}
