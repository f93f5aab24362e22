//! Measures the node on generated CloudTrail: one document of 200 records as one row.
//!
//! Run with `cargo run --release -p wattle-node-mask --example mask_speed`. Each line gives the
//! median and the best time of many rounds for the document, the throughput at the median, and the
//! number of places found. The times include all work of the node on a column. They exclude the
//! host's work: reading the column, and checking and applying decisions.
#![allow(clippy::expect_used, reason = "a measurement may stop at what must not be")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use wattle_generator::{Generator, Shape};
use wattle_node::{Batch, Column, ColumnWriter, Emit, Events, Form, Io, Node, Resolve, configure};
use wattle_node_mask::Mask;

const RECORDS: usize = 200;

const RULES: [&str; 23] = [
    r#"{"json_key": "accessKeyId"}"#,
    r#"{"json_key": "assumedRoleId"}"#,
    r#"{"json_key": "sessionToken"}"#,
    r#"{"json_key": ["accessKeyId", "AccessKeyId"]}"#,
    r#"{"json_key": ["accessKeyId", "assumedRoleId", "sessionToken"]}"#,
    r#"{"json_key": "accessKeyId", "ignore_case": true}"#,
    r#"{"json_key": ["accessKeyId", "awsAccessKeyId"], "any_spelling": true}"#,
    r#"{"pattern": "\"accessKeyId\":\"([^\"]*)\""}"#,
    r#"{"preset": "aws-access-key-id"}"#,
    r#"{"preset": "aws-role-id"}"#,
    r#"{"preset": "aws-unique-id"}"#,
    r#"{"preset": "aws-secret-access-key"}"#,
    r#"{"preset": "aws-session-token"}"#,
    r#"{"preset": "jwt"}"#,
    r#"{"preset": "bearer-token"}"#,
    r#"{"preset": "private-key"}"#,
    r#"{"preset": "github-token"}"#,
    r#"{"preset": "slack-token"}"#,
    r#"{"preset": "basic-auth-url"}"#,
    r#"{"preset": "email"}"#,
    r#"{"preset": "ipv4"}"#,
    r#"{"preset": "ipv6"}"#,
    r#"{"preset": "card-number"}"#,
];

fn main() {
    let compact = document(wattle_generator::Form::Compact, Shape::Records);
    let pretty = document(wattle_generator::Form::Pretty, Shape::Records);
    let envelope = document(wattle_generator::Form::Compact, Shape::CloudWatch);
    let text = String::from_utf8(envelope.clone()).expect("generated text");
    let by_code = text.replace(r#"\""#, r"\u0022").into_bytes();
    println!("compact, {} bytes", compact.len());
    for rule in RULES {
        measure(rule, "", &compact);
    }
    measure(r#"{"json_key": "accessKeyId"}"#, r#", "replacement": {"hmac_key": "0123456789abcdef"}"#, &compact);
    measure(r#"{"json_key": "accessKeyId"}"#, r#", "replacement": {"keep_last": 4}"#, &compact);
    // Without the search for undecidable rows: the difference is its cost.
    measure(r#"{"json_key": "accessKeyId"}"#, r#", "on_undecidable": "pass""#, &compact);
    measure(r#"{"preset": "jwt"}"#, r#", "on_undecidable": "pass""#, &compact);
    for (name, document) in [("pretty", &pretty), ("CloudWatch envelope", &envelope), ("quotes as \\u0022", &by_code)] {
        println!("{name}, {} bytes", document.len());
        measure(r#"{"json_key": "accessKeyId"}"#, "", document);
    }
    let records: Vec<Vec<u8>> = compact_records();
    println!("200 rows, {} bytes", records.iter().map(Vec::len).sum::<usize>());
    measure_rows(r#"{"json_key": "accessKeyId"}"#, "", &records);
    measure_rows(r#"{"preset": "email"}"#, "", &records);
    measure_rows(r#"{"json_key": "accessKeyId"}"#, r#", "on_undecidable": "pass""#, &records);
    measure_rows(r#"{"preset": "email"}"#, r#", "on_undecidable": "pass""#, &records);
}

fn generator(form: wattle_generator::Form, shape: Shape) -> Generator {
    Generator::new(wattle_generator::Options {
        seed: 1,
        form,
        shape,
        bulk_rate: 0.0,
        ..wattle_generator::Options::default()
    })
}

fn document(form: wattle_generator::Form, shape: Shape) -> Vec<u8> {
    let mut out = Vec::new();
    generator(form, shape).next_document(RECORDS, &mut out);
    out
}

fn compact_records() -> Vec<Vec<u8>> {
    let mut generator = generator(wattle_generator::Form::Compact, Shape::Records);
    let record = |_| {
        let mut out = Vec::new();
        generator.next_record(&mut out);
        out
    };
    (0..RECORDS).map(record).collect()
}

fn measure(rule: &str, more: &str, document: &[u8]) {
    measure_rows(rule, more, &[document.to_vec()]);
}

fn measure_rows(rule: &str, more: &str, rows: &[Vec<u8>]) {
    let mut host = Host { column: column(rows), found: 0 };
    let options = format!(r#"{{"rules": [{rule}]{more}}}"#);
    let (mut node, _) = configure::<Mask>(&options, &mut Host::default()).expect("right options");
    let mut times = Vec::new();
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until || times.len() < 20 {
        let started = Instant::now();
        node.process(&mut Batch::new(&mut host)).expect("no error");
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let (best, median) =
        (times.first().copied().unwrap_or_default(), times.get(times.len() / 2).copied().unwrap_or_default());
    let throughput = host.column.bytes.len() as f64 / median.as_secs_f64() / 1e9;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("  {:8.1} us {:8.1} us {throughput:6.2} GB/s {:6} {rule}{more}", micros(median), micros(best), host.found);
}

fn column(rows: &[Vec<u8>]) -> Column {
    let mut offsets = vec![0];
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(row);
        offsets.push(u32::try_from(bytes.len()).expect("small"));
    }
    Column { bytes: bytes.into(), offsets, kinds: vec![4; rows.len()] }
}

/// A host that provides one column and ignores decisions.
#[derive(Default)]
struct Host {
    column: Column,
    found: usize,
}

impl Resolve for Host {
    fn resolve(&mut self, _: &str, _: bool, _: bool) -> Result<u32, String> {
        Ok(0)
    }
}

impl Emit for Host {
    fn emit(&mut self, _: u8, _: Events) {}
    fn count(&mut self, _: &str, _: u64) {}
}

impl Io for Host {
    fn redelivered(&self) -> bool {
        false
    }
    fn combine(&mut self, _: &[u32], _: &[u32], _: ColumnWriter) {}
    fn hold(&mut self, _: &[u32]) {}

    fn rows(&self) -> usize {
        self.column.len()
    }

    fn read(&mut self, _: u32, _: Form) -> Column {
        self.column.clone()
    }

    fn replace(&mut self, _: u32, _: Form, starts: &[u32], ends: &[u32], with: ColumnWriter) {
        self.found = starts.len();
        black_box((starts, ends, with));
    }

    fn check_json(&mut self, _: u32) -> Vec<u8> {
        Vec::new()
    }

    fn set(&mut self, _: u32, _: Form, _: ColumnWriter) {}
    fn set_json_from(&mut self, _: u32, _: u32, _: &[u8]) {}
    fn set_timestamp(&mut self, _: &[i64]) {}
    fn split(&mut self, _: u32, _: Form, _: wattle_node::ChildSpans<'_>, _: &[u8], _: &[u8]) {}
    fn split_into(&mut self, _: &[u32], _: ColumnWriter) {}
    fn drop_rows(&mut self, _: &[u32], _: &str) {}
    fn route(&mut self, _: &[u8]) {}
    fn copy_to(&mut self, _: u8, _: &[u32]) {}
    fn fail(&mut self, _: &[u32], _: &[u32], _: &[(String, String)]) {}
}
