//! Documents of any size pass through, in a known amount of memory.

use std::time::Instant;

use wattle_tests::{Config, Folder, Trail, wait_until};

const MIB: u64 = 1 << 20;

/// Runs one document with this many records, and returns the agent's peak memory in bytes.
fn run(records: u32, least_bytes: usize) -> u64 {
    let folder = Folder::new();
    let mut trail = Trail::new(3, records);
    let document = trail.document();
    assert!(document.len() >= least_bytes, "{} bytes", document.len());
    folder.write("in/large.json", &document);
    drop(document);
    let since = Instant::now();
    let mut agent = folder.start(
        &Config::new()
            .file_source("logs", "in/*.json")
            .set("stable_after", "10ms")
            .set("glob_interval", "50ms")
            .pack("main", &["logs"], "cloudtrail@1.0.0")
            .file_sink("all", &["main.*"], "all.ndjson")
            .set("encoding.codec", "text")
            .set("fsync", "never")
            .text(),
    );
    wait_until("all records are written", || {
        assert!(agent.is_running());
        folder.path("all.ndjson").metadata().is_ok_and(|m| m.len() > least_bytes as u64)
            && folder.read("all.ndjson").iter().filter(|&&b| b == b'\n').count() == records as usize
    });
    let peak = agent.peak_memory();
    let seconds = since.elapsed().as_secs_f64();
    println!("{records} records, {least_bytes} bytes: {seconds:.1} s, peak {} MiB", peak / MIB);
    let summary = agent.stop().summary();
    let (pipeline, truth) = (summary.pipeline(), trail.truth());
    assert_eq!((pipeline.received, pipeline.delivered), (1, u64::from(records)));
    assert_eq!(pipeline.output("get_describe_list"), truth.get_list_describe);
    wattle_tests::assert_hidden(&String::from_utf8(folder.read("all.ndjson")).unwrap());
    peak
}

#[test]
fn a_document_of_20_mb_goes_through() {
    let peak = run(13_000, 20_000_000);
    assert!(peak < 256 * MIB, "peak of {} MiB", peak / MIB);
}

#[test]
fn a_document_of_200_mb_goes_through() {
    let peak = run(130_000, 200_000_000);
    assert!(peak < 1024 * MIB, "peak of {} MiB", peak / MIB);
}
