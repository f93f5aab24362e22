//! The configurations of docs/AWS.md and docs/AWS-SINK.md, from the queue to the bucket. Only the addresses and the
//! credentials are others.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use wattle_tests::{Config, Folder, workspace};

use super::moto::Moto;

const PAGES: [&str; 2] = ["docs/AWS.md", "docs/AWS-SINK.md"];
const RECORDS: usize = 50;

/// The tables of the pages that begin with this line, in their order.
fn tables(head: &str) -> Vec<String> {
    let text = PAGES.map(|page| std::fs::read_to_string(workspace().join(page)).unwrap()).concat();
    let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let tables: Vec<String> = blocks.filter(|block| block.starts_with(head)).collect();
    assert!(!tables.is_empty(), "{PAGES:?} have no table that begins with `{head}`");
    tables
}

/// A table with the addresses and credentials of the server.
fn here(table: &str, moto: &Moto, folder: &Folder) -> String {
    let table = table
        .replace("https://sqs.eu-west-1.amazonaws.com/123456789012/cloudtrail", &moto.url("events"))
        .replace("/var/lib/wattle", folder.path("").to_str().unwrap());
    format!(
        "{table}endpoint = \"{}\"\nauth.access_key_id = \"AKIDEXAMPLE\"\nauth.secret_access_key = \"secret-of-test\"\n",
        moto.address()
    )
}

fn put_records(moto: &Moto, key: &str, first: usize) {
    let record = |number: usize| {
        let region = ["eu-west-1", "us-east-1"][number % 2];
        json!({ "eventID": format!("{number:03}"), "eventTime": "2026-01-31T23:59:59Z", "eventName": "GetObject",
            "awsRegion": region })
    };
    let records: Vec<Value> = (first..first + RECORDS).map(record).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json!({ "Records": records }).to_string().as_bytes()).unwrap();
    moto.put(key, &gzip.finish().unwrap());
}

#[test]
fn the_source_and_the_sinks_of_the_pages_work_together() {
    const FILES: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/31/";
    for sink in tables("[sinks.lake]") {
        let (moto, folder) = (Moto::start(), Folder::new());
        moto.create_bucket("lake");
        moto.notify();
        put_records(&moto, &format!("{FILES}one.json.gz"), 0);
        put_records(&moto, &format!("{FILES}two.json.gz"), RECORDS);
        put_records(&moto, "AWSLogs/123456789012/CloudTrail-Digest/eu-west-1/three.json.gz", 2 * RECORDS);
        let source = &tables("[sources.trail]")[0];
        let pipeline = Config::new()
            .pipeline("p", &["trail"])
            .node("records", "builtin:unroll", &["input"])
            .with("options = { path = \"Records\" }")
            .node("time", "builtin:timestamp", &["records.out"])
            .with("options = { from = \"body.eventTime\" }")
            .output("out", &["time.out"])
            .output("fails", &["records.failed", "time.failed"])
            .file_sink("fails", &["p.fails"], "fails.ndjson")
            .text();
        let config = [pipeline, here(source, &moto, &folder), here(&sink, &moto, &folder)].join("\n");
        let ended = folder.once(&config);
        let keys = moto.keys("lake");
        assert_eq!(moto.messages("events"), (0, 0), "{sink}\n{}", ended.log);
        let is_parquet = sink.contains("\"parquet\"");
        let day = "year=2026/month=01/day=31/";
        let mut prefixes: BTreeSet<String> =
            keys.iter().map(|key| key.rsplit_once('/').unwrap().0.to_owned() + "/").collect();
        if is_parquet {
            assert!(prefixes.remove(&format!("cloudtrail/{day}")), "{sink}: {keys:?}");
        } else {
            for region in ["eu-west-1", "us-east-1"] {
                assert!(prefixes.remove(&format!("cloudtrail/region={region}/{day}")), "{sink}: {keys:?}");
            }
        }
        assert!(prefixes.is_empty(), "{sink}: {keys:?}");
        if is_parquet {
            assert!(keys.iter().all(|key| moto.get("lake", key).starts_with(b"PAR1")), "{keys:?}");
            continue;
        }
        let mut text = String::new();
        for key in &keys {
            flate2::read::MultiGzDecoder::new(&moto.get("lake", key)[..]).read_to_string(&mut text).unwrap();
        }
        let ids: BTreeSet<String> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["eventID"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, (0..2 * RECORDS).map(|number| format!("{number:03}")).collect(), "{sink}");
        assert_eq!(text.lines().count(), 2 * RECORDS, "{sink}");
    }
}
