//! Parquet files in the bucket: their rows, the events that are no rows, and keys.

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::{Field, Row};
use bytes::Bytes;
use wattle_batch::Disposition::{Delivered, Rejected};

use super::*;

fn start(fake: &Fake, more: Value) -> Running {
    let columns = json!([{ "name": "n", "type": "int", "required": true }, { "name": "m", "type": "bigint" },
        { "name": "record", "type": "json", "path": "$" }]);
    let mut options = json!({ "encoding": { "codec": "parquet", "schema": { "columns": columns } },
        "batch": { "timeout": "200ms" } });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    start_sink(fake, options)
}

fn of_row(row: &Row) -> Value {
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Int(number) => json!(number),
        Field::Long(number) => json!(number),
        Field::Str(text) => json!(text),
        other => panic!("no column has values like {other:?}"),
    };
    Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
}

/// The rows of every object, by its key.
fn rows(fake: &Fake) -> BTreeMap<String, Vec<Value>> {
    let objects = fake.bucket.lock().objects.clone();
    let read = |bytes: Vec<u8>| {
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        reader.get_row_iter(None).unwrap().map(|row| of_row(&row.unwrap())).collect()
    };
    objects.into_iter().map(|(key, bytes)| (key, read(bytes))).collect()
}

#[tokio::test]
async fn bodies_are_rows_of_one_file() {
    let fake = Fake::start().await;
    let sink = start(&fake, json!({}));
    sink.push(&[r#"{"n":1}"#, "{\n  \"n\": \"2\",\n  \"m\": true\n}"]);
    sink.push(&[r#"{"m":9007199254740993,"n":3}"#]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered; 2], 3, 0));
    assert_eq!(rig.context().stats.misfit_values.load(std::sync::atomic::Ordering::Relaxed), 1, "true is no number");
    let found = rows(&fake);
    let (key, rows) = found.first_key_value().unwrap();
    assert!(
        found.len() == 1 && key.starts_with("day=1970-01-01/19700101T000000Z-") && key.ends_with(".parquet"),
        "{key}"
    );
    let expected = json!([{ "n": 1, "m": null, "record": "{\"n\":1}" },
        { "n": 2, "m": null, "record": "{\n  \"n\": \"2\",\n  \"m\": true\n}" },
        { "n": 3, "m": 9_007_199_254_740_993_i64, "record": "{\"m\":9007199254740993,\"n\":3}" }]);
    assert_eq!(json!(rows), expected);
    let headers = fake.bucket.lock().headers[0].clone();
    let header = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    assert_eq!(header("content-type").as_deref(), Some("application/vnd.apache.parquet"));
    assert!(!header("content-encoding").is_some_and(|value| value.contains("zstd")), "{headers:?}");
}

#[tokio::test]
async fn every_compression_can_be_read_and_is_in_the_pages() {
    let mut sizes = Vec::new();
    for compression in ["none", "snappy", "zstd"] {
        let fake = Fake::start().await;
        let sink = start(&fake, json!({ "compression": compression, "batch": { "timeout": "2s" } }));
        let bodies: Vec<String> =
            (0..2000).map(|n| format!(r#"{{"n":{n},"text":"the same again and again"}}"#)).collect();
        sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        sink.finish().await;
        let rows: Vec<Value> = rows(&fake).into_values().flatten().collect();
        assert!(rows.iter().enumerate().all(|(n, row)| row["n"] == n && row["record"] == bodies[n]), "{compression}");
        assert_eq!(rows.len(), 2000, "{compression}");
        sizes.push(fake.bucket.lock().objects.values().map(Vec::len).sum::<usize>());
    }
    assert!(sizes[0] > 3 * sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[tokio::test]
async fn records_that_are_no_rows_go_to_the_dead_letters_and_the_others_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for (more, ack) in [(json!({}), Rejected), (json!({ "dead_letter": path }), Delivered)] {
        let fake = Fake::start().await;
        let sink = start(&fake, more);
        sink.push(&[r#"{"n":1}"#, "no JSON", r#"{"n":2}"#, r#"{"n":"x"}"#]);
        sink.push(&["[1]"]);
        sink.push(&[r#"{"n":3}"#]);
        let rig = sink.finish().await;
        let mut acks = rig.acks();
        acks.sort_by_key(|found| *found == Delivered);
        assert_eq!(acks, [ack, ack, Delivered]);
        assert_eq!((rig.counts().0, rig.counts().2, rig.counts().3), (3, 3, 0));
        let found: Vec<Value> = rows(&fake).into_values().flatten().map(|row| row["n"].clone()).collect();
        assert_eq!(json!(found), json!([1, 2, 3]));
    }
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["no JSON", r#"{"n":"x"}"#, "[1]"]);
    for (line, reason) in lines.iter().zip(["not JSON", "required column `n`", "must be an object"]) {
        assert!(line["reason"].as_str().unwrap().contains(reason) && line["status"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn an_object_without_rows_is_not_written() {
    let fake = Fake::start().await;
    let sink = start(&fake, json!({}));
    sink.push(&["{}", ""]);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts()), (vec![Rejected], (0, 0, 2, 0)));
    assert!(fake.operations().is_empty());
}

#[tokio::test]
async fn refused_records_do_not_wait_for_s3_and_an_object_that_is_sent_again_is_the_same() {
    let fake = Fake::start().await;
    fake.fault("put", vec![s3_error(503, "SlowDown"); 1000]);
    let sink = start(&fake, json!({}));
    sink.push(&[r#"{"n":1}"#, "x"]);
    sink.rig.wait_for_retries(3).await;
    assert_eq!((sink.rig.acks(), sink.rig.counts().2), (vec![], 1), "the batch waits for the object only");
    sink.kill().await;
    fake.bucket.lock().faults.clear();
    let sink = start(&fake, json!({}));
    sink.push(&[r#"{"n":1}"#, "x"]);
    sink.finish().await;
    assert!(fake.keys().iter().all(|key| *key == fake.keys()[0]), "{:?}", fake.keys());
    assert_eq!(rows(&fake).into_values().map(|rows| rows.len()).collect::<Vec<_>>(), [1]);
}
