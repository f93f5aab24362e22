//! Budgets apply to a batch: over all calls that search for a poisonous row, and including the
//! host's work for them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wattle_tests::{Metrics, free_address, get, wait_until};

use crate::{config, folder};

/// This many rows with the same text, one of them poisonous.
fn rows(count: usize) -> String {
    (0..count).map(|row| if row == count / 3 { "poison\n" } else { "seen\n" }).collect()
}

/// The host rolls back keys and values of calls that fault.
#[test]
fn keys_count_each_row_once_however_often_its_batch_is_retried() {
    for count in [2, 64, 500] {
        let folder = folder();
        folder.write("in.log", rows(count));
        folder.once(&config("", "mode = \"kv-add\", poison = \"poison\"", "follow = false"));
        let answers: Vec<usize> = folder
            .events("all.ndjson")
            .iter()
            .map(|event| event["attributes"]["answer"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(answers.len(), count - 1);
        assert_eq!(answers.iter().max(), Some(&(count - 1)));
        assert_eq!(folder.events("fails.ndjson").len(), 1);
    }
}

/// Metrics of calls that fault never take effect.
#[test]
fn metrics_count_each_row_once_however_often_its_batch_is_retried() {
    let folder = folder();
    folder.write("in.log", rows(300));
    let address = free_address();
    let config = config("", "mode = \"count\", poison = \"poison\"", "");
    let agent = folder.start(&format!("[admin]\nlisten = \"{address}\"\n{config}"));
    wait_until("all rows", || folder.events("all.ndjson").len() == 299 && folder.events("fails.ndjson").len() == 1);
    let metrics = Metrics::read(&get(address, "/metrics").unwrap().text);
    assert_eq!(metrics.sum("wattle_guest_rows_total", &[]), 299.0);
    assert_eq!(metrics.sum("wattle_guest_size_count", &[]), 299.0);
    agent.stop();
}

/// Requests of calls that fault count against the budget of their batch.
#[test]
fn requests_of_all_calls_for_one_batch_share_its_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let folder = folder();
    folder.write("in.log", rows(64));
    let options = format!("mode = \"http\", times = 5, url = \"http://127.0.0.1:{port}/\", poison = \"poison\"");
    let grant = format!("{{ hosts = [\"http://127.0.0.1:{port}\"], requests_per_batch = 12, allow_private = true }}");
    let config = config("", &options, "follow = false");
    folder.once(&config.replace("http-client = { hosts = [] }", &format!("http-client = {grant}")));
    assert_eq!(folder.events("all.ndjson").len(), 63);
    assert_eq!(requests.load(Ordering::SeqCst), 12);
}

/// Decisions that are applied after the call count against its time.
#[test]
fn the_work_for_decisions_counts_against_the_time_of_the_call() {
    let folder = folder();
    folder.write("in.log", format!("{{\"a\":0,\"pad\":\"{}\"}}\n{{\"a\":0}}\n", "x".repeat(4 << 20)));
    let config = config("", "mode = \"sets\", times = 9000", "follow = false\nmax_line_bytes = \"8MiB\"").replace(
        "artifact = \"capable.wasm\"",
        "artifact = \"capable.wasm\"\nlimits = { time = \"200ms\", time_per_kib = \"10us\" }",
    );
    let since = Instant::now();
    folder.once(&config);
    // Applied to the end, they rewrite 36 GB in each of several calls: more than any machine does
    // within 241 ms.
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    let failed = folder.events("fails.ndjson");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["failure"]["code"], "time-limit");
    let message = failed[0]["failure"]["message"].as_str().unwrap();
    assert!(message.contains("including the time to apply its decisions"), "{message}");
    assert_eq!(folder.events("all.ndjson").len(), 1);
}
