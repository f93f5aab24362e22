//! Realistic clients: they announce bodies that they do not send, compress a lot into little, keep
//! idle connections, and repeat requests until a status stops them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Endpoint, Folder, free_address, get, send, wait_until};

/// From an `http` source to a `blackhole` sink.
fn start(folder: &Folder, from: SocketAddr, more: &str) -> Agent {
    let config = Config::new()
        .http_source("in", from)
        .with(more)
        .pipeline("main", &["in"])
        .output("all", &["input"])
        .drop_sink("none", &["main.all"])
        .text();
    let agent = folder.start(&config);
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    agent
}

/// Opens a connection and sends these bytes.
fn raw(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn announced_bodies_that_never_arrive_block_no_other_request() {
    let folder = Folder::new();
    let from = free_address();
    let agent = start(&folder, from, "read_timeout = \"10m\"");
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 67108864\r\n\r\n";
    let silent: Vec<TcpStream> = (0..8).map(|_| raw(from, head)).collect();
    for _ in 0..4 {
        assert_eq!(send(from, &[], b"an event").status, 200);
    }
    // They do not delay a stop either: it takes a fraction of a second, and `drain_timeout` is
    // longer.
    let stopped = Instant::now();
    agent.stop();
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    drop(silent);
}

#[test]
fn compressed_bodies_stay_within_the_memory_limit() {
    let folder = Folder::new();
    let from = free_address();
    let more = "max_in_flight_bytes = \"64MiB\"\nmax_decompression_ratio = 2000";
    let agent = start(&folder, from, more);
    assert_eq!(send(from, &[], b"an event").status, 200);
    let before = agent.memory();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 60 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sends: Vec<_> =
            (0..8).map(|_| scope.spawn(|| send(from, &[("content-encoding", "gzip")], &packed).status)).collect();
        sends.into_iter().map(|send| send.join().unwrap()).collect()
    });
    assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    let grown = agent.peak_memory().saturating_sub(before) >> 20;
    assert!(grown < 160, "{grown} MiB for 64 MiB in flight");
    agent.stop();
}

#[test]
fn idle_connections_are_replaced_and_delay_no_stop() {
    let folder = Folder::new();
    let from = free_address();
    let mut agent = start(&folder, from, "max_connections = 8\nidle_timeout = \"10m\"\nread_timeout = \"10m\"");
    let whole = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nalive";
    let mut kept = Vec::new();
    for bytes in [&b""[..], b"POST / HT", &whole[..whole.len() - 1], whole] {
        kept.extend((0..4).map(|_| raw(from, bytes)));
    }
    for _ in 0..12 {
        assert_eq!(send(from, &[], b"new client").status, 200);
    }
    assert!(agent.wait_for("`max_connections` is reached").contains("max_connections=8"));
    let stopped = Instant::now();
    agent.stop();
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    let mut last = kept.pop().unwrap();
    assert!(last.read_to_end(&mut Vec::new()).is_ok(), "closed, not cut off");
}

#[test]
fn undeliverable_events_are_answered_so_that_clients_do_not_retry() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    endpoint.answer(400);
    let agent = folder
        .start(&super::config(from, to, "").replace("pack = \"cloudtrail@1.0.0\"", "outputs.all.inputs = [\"input\"]"));
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    let answer = send(from, &[], b"poison");
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains("do not send them again"), "{}", answer.text);
    endpoint.answer(200);
    assert_eq!(send(from, &[], b"good").status, 200);
    assert_eq!(endpoint.events().len(), 1);
    agent.stop();
}

#[test]
fn probes_are_answered_and_do_not_count_as_failures() {
    let folder = Folder::new();
    let from = free_address();
    let agent = start(&folder, from, "token = \"let-me-in\"");
    for (path, status) in [("/health", 200), ("/", 405), ("/favicon.ico", 404)] {
        assert_eq!(get(from, path).unwrap().status, status, "{path}");
    }
    let ended = agent.stop();
    assert!(!ended.log.contains("failures of inputs") && !ended.log.contains("WARN"), "{}", ended.log);
}
