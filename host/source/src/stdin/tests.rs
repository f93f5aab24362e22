//! Standard input in pieces, complete, and endless.

use super::*;
use crate::stats::get;
use crate::testing::{Rig, Running, gzip, resource, texts};
use serde_json::{Value, json};
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn start(rig: &Rig, options: Value, input: impl Into<OwnedFd>) -> Running {
    let mut source = Stdin::new(serde_json::from_value(options).unwrap()).unwrap();
    source.input = Some(input.into());
    rig.start_source(Box::new(source))
}

/// A pipe that never ends.
fn endless() -> io::PipeReader {
    let (reader, mut writer) = io::pipe().unwrap();
    let lines = format!("{}\n", "x".repeat(99)).repeat(1000);
    std::thread::spawn(move || while writer.write_all(lines.as_bytes()).is_ok() {});
    reader
}

/// A file with these bytes, open at its start.
fn holding(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

async fn all(options: Value, input: &[u8]) -> (Rig, Vec<String>, Result<(), SourceError>) {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let running = start(&rig, options, holding(input));
    let (bodies, ended) = rig.drain(running).await;
    (rig, bodies, ended)
}

#[tokio::test]
async fn lines_are_events_and_the_source_ends_with_its_input() {
    let (rig, bodies, ended) = all(json!({}), b"one\r\n\ntwo\nthree").await;
    ended.unwrap();
    assert_eq!(bodies, ["one", "two", "three"]);
    assert_eq!((get(&rig.stats.events), get(&rig.stats.bytes)), (3, 11));
    assert_eq!((get(&rig.stats.skipped_empty), get(&rig.stats.read_bytes)), (1, 15));
    let (_, bodies, ended) = all(json!({}), b"").await;
    assert!(bodies.is_empty() && ended.is_ok());
}

#[tokio::test]
async fn a_document_is_one_event() {
    let (_, bodies, ended) = all(json!({ "framing": "document" }), b"{\n\n}\n").await;
    ended.unwrap();
    assert_eq!(bodies, ["{\n\n}\n"]);
    let (rig, bodies, _) = all(json!({ "framing": "document" }), b"").await;
    assert!(bodies.is_empty());
    assert_eq!(get(&rig.stats.skipped_empty), 1);
}

#[tokio::test]
async fn compressed_input_is_recognised_unless_disabled() {
    for packed in [gzip(b"one\ntwo\n"), zstd::encode_all(&b"one\ntwo\n"[..], 1).unwrap()] {
        assert_eq!(all(json!({}), &packed).await.1, ["one", "two"]);
        assert_eq!(all(json!({ "framing": "document" }), &packed).await.1, ["one\ntwo\n"]);
        assert_ne!(all(json!({ "decompression": "none" }), &packed).await.1, ["one", "two"]);
    }
    assert_eq!(all(json!({}), b"ab").await.1, ["ab"], "shorter than any magic number");
}

#[tokio::test]
async fn a_damaged_input_gives_its_readable_part_and_then_an_error() {
    let text: String = (0..20_000).map(|i| format!("line number {i}\n")).collect();
    let packed = gzip(text.as_bytes());
    for framing in ["lines", "document"] {
        let (rig, bodies, ended) = all(json!({ "framing": framing }), &packed[..packed.len() / 2]).await;
        let separator = if framing == "lines" { "\n" } else { "" };
        let got = bodies.join(separator);
        assert!(!got.is_empty() && text.starts_with(&got), "{framing}: {} bytes", got.len());
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("standard input is damaged after") && error.contains("ends too early"), "{error}");
        assert_eq!(get(&rig.stats.failures), 1);
    }
}

#[tokio::test]
async fn consecutive_documents_are_events_by_default() {
    let input = b"{\"a\":1}{\"b\":2}\n[3]text\n{\n \"c\": 4\n}";
    let (_, bodies, ended) = all(json!({}), input).await;
    ended.unwrap();
    assert_eq!(bodies, ["{\"a\":1}", "{\"b\":2}", "[3]text", "{\n \"c\": 4\n}"]);
    assert_eq!(all(json!({ "framing": "lines" }), input).await.1.len(), 5);
}

#[tokio::test]
async fn a_complete_document_does_not_wait_for_the_next() {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let (input, mut writer) = io::pipe().unwrap();
    let running = start(&rig, json!({}), input);
    writer.write_all(b"{\"a\":1}").unwrap();
    assert_eq!(rig.take(1).await, ["{\"a\":1}"]);
    writer.write_all(b"{\"b\":2}").unwrap();
    drop(writer);
    assert_eq!(rig.take(1).await, ["{\"b\":2}"]);
    running.ended().await.unwrap();
}

#[tokio::test]
async fn an_event_beyond_the_limit_is_skipped_and_a_document_beyond_it_ends_the_source() {
    let (rig, bodies, ended) = all(json!({ "max_event_bytes": 5 }), b"one\ntoo long\nthree\n").await;
    ended.unwrap();
    assert_eq!(bodies, ["one", "three"]);
    assert_eq!((get(&rig.stats.skipped_long), get(&rig.stats.skipped_long_bytes)), (1, 8));
    let (_, bodies, ended) = all(json!({ "max_event_bytes": 5, "framing": "document" }), b"123456").await;
    assert!(bodies.is_empty() && ended.is_err());
    let (_, bodies, ended) = all(json!({ "max_event_bytes": 5, "framing": "document" }), b"12345").await;
    assert!(bodies == ["12345"] && ended.is_ok());
}

#[tokio::test]
async fn lines_are_sent_at_their_maximum_age_without_new_input() {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let (input, mut writer) = io::pipe().unwrap();
    let running = start(&rig, json!({}), input);
    writer.write_all(b"first\nsec").unwrap();
    let batch = rig.pop().await;
    assert_eq!(texts(&batch), ["first"]);
    assert_eq!(resource(&batch), json!({ "name": "in", "type": "stdin" }));
    batch.into_ack().deliver();
    writer.write_all(b"ond\n").unwrap();
    assert_eq!(rig.take(1).await, ["second"]);
    drop(writer);
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_the_source_during_a_blocked_read() {
    for written in [&b""[..], b"begun", b"\x1f\x8b\x08\x00"] {
        let rig = Rig::new(TempDir::new().unwrap().path());
        let (input, mut writer) = io::pipe().unwrap();
        let running = start(&rig, json!({}), input);
        writer.write_all(written).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        rig.stop();
        let (bodies, ended) = rig.drain(running).await;
        ended.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(bodies.concat().as_bytes(), if written == b"begun" { written } else { b"" });
        drop(writer);
    }
}

#[tokio::test]
async fn the_source_waits_for_acknowledgements_and_sends_returned_batches_again() {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let running = start(&rig, json!({}), holding(b"one\n"));
    let batch = rig.pop().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!running.is_ended() && !batch.is_redelivered());
    drop(batch);
    let batch = rig.pop().await;
    assert_eq!((texts(&batch), batch.is_redelivered()), (vec!["one".to_owned()], true));
    batch.into_ack().deliver();
    running.ended().await.unwrap();
    assert_eq!((get(&rig.stats.retries), get(&rig.stats.lost)), (1, 0));
}

#[tokio::test]
async fn a_full_queue_stops_reading() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.queue = wattle_buffer::Queue::new(512 << 10, None, None);
    let running = start(&rig, json!({}), endless());
    rig.until(|| rig.queue.byte_len() >= 512 << 10).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let read = get(&rig.stats.read_bytes);
    assert!(read < 3 << 20, "{read}");
    for _ in 0..20 {
        rig.pop().await.into_ack().deliver();
    }
    assert!(get(&rig.stats.read_bytes) > read);
    rig.stop();
    rig.drain(running).await.1.unwrap();
}

#[tokio::test]
async fn reading_stops_at_the_limit_of_unacknowledged_bytes() {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let running = start(&rig, json!({}), endless());
    let mut unacknowledged = Vec::new();
    let mut bytes = 0;
    while bytes < 16 << 20 {
        let batch = rig.pop().await;
        bytes += batch.byte_len();
        unacknowledged.push(batch);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.queue.byte_len(), 0);
    let read = get(&rig.stats.read_bytes);
    assert!(read < 20 << 20, "{read}");
    unacknowledged.drain(..).for_each(|batch| batch.into_ack().deliver());
    rig.pop().await.into_ack().deliver();
    rig.stop();
    rig.drain(running).await.1.unwrap();
}
