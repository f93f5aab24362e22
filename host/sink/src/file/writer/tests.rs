//! The writer on outputs that fail on demand.

use super::*;
use crate::compress::decompress;
use crate::output::fake::FakeOutput;
use crate::testing::Rig;
use wattle_batch::Disposition::{self, Delivered, Retry};

/// Files of a sink, one of them on an output that fails on demand.
struct Bench {
    files: Files,
    output: FakeOutput,
    rig: Rig,
}

impl Bench {
    fn new(compression: &str, fsync: &str) -> Self {
        let options =
            serde_json::json!({"path": "a", "compression": compression, "fsync": fsync, "idle_timeout": "1h"});
        let (_, _, settings) = super::super::options::read(&options).unwrap();
        let rig = Rig::new();
        let output = FakeOutput::default();
        let file = OpenFile::on(Path::new("a"), Box::new(output.clone()), settings.compression).unwrap();
        let mut files = Files::new(settings, "out".into(), rig.context().stats);
        files.open.insert("a".into(), file);
        Self { files, output, rig }
    }

    fn push(&mut self, text: &str) {
        self.files.todo.payloads.push_back(self.rig.payload(None, text, 1));
    }

    fn plan(&self, plan: impl IntoIterator<Item = Result<usize, ErrorKind>>) {
        self.output.0.lock().unwrap().plan = plan.into_iter().collect();
    }

    /// Calls `step` until it succeeds; returns the number of failures.
    fn step(&mut self, last: bool) -> usize {
        (0..1000).take_while(|_| self.files.step(last).is_err()).count()
    }

    fn written(&self) -> Vec<u8> {
        self.output.0.lock().unwrap().written.clone()
    }

    fn acks(&self) -> Vec<Disposition> {
        self.rig.acks()
    }
}

#[test]
fn a_temporarily_full_disk_neither_tears_nor_duplicates_events() {
    for fsync in ["never", "batch", "interval"] {
        for first in 1..15 {
            let mut bench = Bench::new("none", fsync);
            let full = Err(ErrorKind::StorageFull);
            bench.plan([Ok(first), full, full, Ok(1), full, Err(ErrorKind::QuotaExceeded), Ok(3)]);
            ["one\n", "two\n", "three\n"].iter().for_each(|text| bench.push(text));
            let failures = bench.step(false);
            bench.push("four\n");
            assert_eq!(failures + bench.step(true), 4, "{fsync} {first}");
            assert_eq!(bench.written(), b"one\ntwo\nthree\nfour\n", "{fsync} {first}");
            assert_eq!(bench.acks(), [Delivered; 4]);
            assert!(bench.files.is_done());
        }
    }
}

#[test]
fn a_compressed_stream_continues_after_the_disk_was_full() {
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        for fsync in ["never", "batch", "interval"] {
            for limit in [1, 2, 7, 100] {
                let mut bench = Bench::new(name, fsync);
                let full = Err(ErrorKind::StorageFull);
                bench.plan((0..400).flat_map(|n| if n % 3 == 0 { [Ok(limit), full] } else { [Ok(limit), Ok(1)] }));
                let texts: Vec<String> = (0..20).map(|n| format!("event {n} {}\n", "y".repeat(n * 7))).collect();
                let mut failures = 0;
                for text in &texts {
                    bench.push(text);
                    failures += bench.step(false);
                }
                failures += bench.step(true);
                assert!(failures > 0);
                assert_eq!(decompress(compression, &bench.written()).unwrap(), texts.concat().as_bytes());
                assert_eq!(bench.acks(), [Delivered; 20]);
            }
        }
    }
}

#[test]
fn complete_events_are_acknowledged_while_the_next_one_cannot_be_written() {
    let mut bench = Bench::new("none", "never");
    bench.plan([Ok(6), Err(ErrorKind::StorageFull)]);
    bench.push("one\n");
    bench.push("two\n");
    assert!(bench.files.step(false).is_err());
    assert_eq!(bench.acks(), [Delivered]);
    assert_eq!(bench.files.todo.offset, 2);
}

#[test]
fn a_broken_file_is_abandoned_and_its_synced_events_count() {
    for (sync_error, expected) in [(None, Delivered), (Some(ErrorKind::Other), Retry)] {
        let mut bench = Bench::new("none", "interval");
        bench.plan([Ok(6), Err(ErrorKind::Other)]);
        bench.output.0.lock().unwrap().sync_error = sync_error;
        bench.push("one\n");
        bench.push("two\n");
        let error = bench.files.step(false).unwrap_err();
        assert!(error.to_string().starts_with("`a`: "), "{error}");
        assert_eq!(bench.acks(), [expected]);
        assert_eq!(bench.files.todo.offset, 0, "the torn event is written again from its beginning");
        assert_eq!(bench.files.todo.first(), b"two\n");
        assert!(bench.files.open.is_empty());
    }
}

#[test]
fn a_broken_compressed_file_acknowledges_only_synced_events() {
    let mut bench = Bench::new("gzip", "interval");
    bench.push("one\n");
    assert!(bench.files.step(false).is_ok());
    bench.plan([Err(ErrorKind::Other)]);
    assert!(bench.files.step(true).is_err());
    assert_eq!(bench.acks(), [Retry]);
}

#[test]
fn after_a_failed_sync_the_source_sends_the_events_again() {
    let mut bench = Bench::new("none", "batch");
    bench.output.0.lock().unwrap().sync_error = Some(ErrorKind::Other);
    bench.push("one\n");
    assert!(bench.files.step(false).is_err());
    assert_eq!(bench.acks(), [Retry]);
    assert!(bench.files.is_done());
}

#[test]
fn payloads_written_together_share_a_sync() {
    for (fsync, syncs) in [("never", 0), ("batch", 1), ("interval", 0)] {
        let mut bench = Bench::new("none", fsync);
        (0..100).for_each(|n| bench.push(&format!("{n}\n")));
        bench.step(false);
        assert_eq!(bench.output.0.lock().unwrap().syncs, syncs, "{fsync}");
    }
}

/// From the field: a process removes the output file between the write and the acknowledgement.
#[test]
fn events_in_a_removed_file_are_not_acknowledged() {
    for fsync in ["never", "batch", "interval"] {
        for compression in ["none", "gzip"] {
            let mut bench = Bench::new(compression, fsync);
            bench.push("one\n");
            bench.output.0.lock().unwrap().is_removed = true;
            bench.step(true);
            assert_eq!(bench.acks(), [Retry], "{fsync} {compression}");
            assert!(bench.files.is_done());
        }
    }
}

#[test]
fn the_next_write_after_a_rename_or_removal_creates_a_new_file() {
    for removed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let options = serde_json::json!({"path": path, "fsync": "batch", "idle_timeout": "1h"});
        let (_, _, settings) = super::super::options::read(&options).unwrap();
        let rig = Rig::new();
        let mut files = Files::new(settings, "out".into(), rig.context().stats);
        for text in ["one\n", "two\n"] {
            files.todo.payloads.push_back(rig.payload(None, text, 1));
            files.step(false).unwrap();
            if text == "one\n" {
                if removed {
                    std::fs::remove_file(&path).unwrap();
                } else {
                    std::fs::rename(&path, folder.path().join("out.1")).unwrap();
                }
            }
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(rig.acks(), [Delivered; 2]);
    }
}

/// From hostile testing: the process may open fewer files than `max_open_files`.
#[test]
fn least_recently_used_files_are_closed_when_descriptors_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = serde_json::json!({"path": "{{ attributes.k }}", "fsync": "never", "idle_timeout": "1h"});
    let (_, _, settings) = super::super::options::read(&options).unwrap();
    let rig = Rig::new();
    let mut files = Files::new(settings, "out".into(), rig.context().stats);
    let key = |n: usize| -> Arc<str> { folder.path().join(format!("{n}")).to_string_lossy().into() };
    for n in 0..10 {
        files.todo.payloads.push_back(rig.payload(Some(&key(n)), &format!("{n}\n"), 1));
        files.step(false).unwrap();
    }
    assert_eq!(files.open.len(), 10);
    assert!(files.close_oldest().unwrap());
    assert!(!files.open.contains_key(&key(0)) && files.open.contains_key(&key(9)));
    assert_eq!(rig.acks(), [Delivered; 10]);
}
