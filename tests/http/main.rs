//! HTTP source and sink: a response means delivery, and neither a server that is down nor a kill
//! loses events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod clients;
mod elasticsearch;
mod killed;
mod prometheus;
mod proxy;
mod receivers;
mod scrape;

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use wattle_tests::{Agent, Answer, Config, Endpoint, Folder, Trail, event_id, free_address, send, wait_until};

/// From an `http` source through the pack to an `http` sink.
fn config(from: SocketAddr, to: SocketAddr, more: &str) -> String {
    Config::new()
        .http_source("in", from)
        .with(more)
        .pack("main", &["in"], "cloudtrail@1.0.0")
        .http_sink("out", &["main.*"], &format!("http://{to}/ingest"))
        .with("auth = { strategy = \"bearer\", token = \"geheim\" }")
        .set("batch.timeout", "20ms")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "200ms")
        .text()
}

fn start(folder: &Folder, from: SocketAddr, to: SocketAddr, more: &str) -> Agent {
    let agent = folder.start(&config(from, to, more));
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    agent
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn sorted_ids(endpoint: &Endpoint) -> Vec<String> {
    let mut ids: Vec<String> = endpoint.events().iter().map(event_id).collect();
    ids.sort();
    ids
}

#[test]
fn a_request_is_answered_only_after_its_events_are_delivered() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    endpoint.answer(503);
    let agent = start(&folder, from, to, "");
    let document = Trail::new(31, 40).document();
    let (sender, answers) = channel();
    let request = std::thread::spawn(move || sender.send(send(from, &[JSON], &document)).unwrap());
    wait_until("repetitions", || endpoint.refused() >= 3);
    assert!(matches!(answers.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout)), "answered too early");
    endpoint.answer(200);
    let Answer { status, text } = answers.recv_timeout(Duration::from_secs(60)).unwrap();
    request.join().unwrap();
    assert_eq!((status, text.trim()), (200, "{\"events\":1}"));
    assert_eq!(sorted_ids(&endpoint), Trail::new(31, 40).ids(1));
    for headers in endpoint.headers() {
        assert_eq!(headers["authorization"], "Bearer geheim");
        assert_eq!(headers["content-type"], "application/x-ndjson");
    }
    let ended = agent.stop();
    assert_eq!(ended.summary().sinks["out"], 40);
    assert!(!ended.log.contains("geheim"), "a secret in the log");
}

#[test]
fn a_server_that_goes_down_and_up_loses_nothing() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let agent = start(&folder, from, to, "");
    let mut got = Vec::new();
    let mut trail = Trail::new(32, 10);
    for _ in 0..3 {
        // No server listens while these are sent.
        let requests: Vec<_> = (0..8)
            .map(|_| {
                let document = trail.document();
                std::thread::spawn(move || send(from, &[JSON], &document).status)
            })
            .collect();
        let endpoint = Endpoint::listen(to);
        for request in requests {
            assert_eq!(request.join().unwrap(), 200);
        }
        got.extend(endpoint.events().iter().map(event_id));
    }
    got.sort();
    assert_eq!(got, Trail::new(32, 10).ids(24));
    assert_eq!(agent.stop().summary().pipeline().delivered, 240);
}

#[test]
fn requests_are_refused_with_the_status_for_the_reason() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    let agent = start(&folder, from, to, "token = \"let-me-in\"\nmax_body_bytes = \"64KiB\"");
    let document = Trail::new(33, 3).document();
    let token = ("authorization", "Bearer let-me-in");
    for (headers, body, status) in [
        (vec![JSON], &document[..], 401),
        (vec![JSON, ("authorization", "Bearer wrong")], &document[..], 401),
        (vec![JSON, token], &[b' '; 100_000][..], 413),
        (vec![JSON, token, ("content-encoding", "br")], &document[..], 415),
        (vec![JSON, token, ("content-encoding", "gzip")], &document[..], 400),
        (vec![JSON, token], &document[..], 200),
    ] {
        let answer = send(from, &headers, body);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text);
    }
    assert_eq!(sorted_ids(&endpoint), Trail::new(33, 3).ids(1), "only the last was taken");
    agent.stop();
}

#[test]
fn json_lines_arrays_and_compressed_bodies_are_accepted() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    let agent = start(&folder, from, to, "");
    let mut trail = Trail::new(34, 2);
    let (one, two, three) = (trail.document(), trail.document(), trail.document());
    let lines = [&one[..], b"\n", &two[..], b"\n"].concat();
    assert_eq!(send(from, &[("content-type", "application/x-ndjson")], &lines).text.trim(), "{\"events\":2}");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &[b"[", &three[..], b"]"].concat()).unwrap();
    let packed = gzip.finish().unwrap();
    assert_eq!(send(from, &[JSON, ("content-encoding", "gzip")], &packed).text.trim(), "{\"events\":1}");
    assert_eq!(sorted_ids(&endpoint), Trail::new(34, 2).ids(3));
    agent.stop();
}

#[test]
fn events_that_the_server_never_accepts_become_dead_letters() {
    let folder = Folder::new();
    let (from, to) = (free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    endpoint.answer(400);
    folder.write(
        "agent.toml",
        config(from, to, "").replace("batch.timeout", "dead_letter = \"dead.ndjson\"\nbatch.timeout"),
    );
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    wait_until("the source listens", || TcpStream::connect(from).is_ok());
    send(from, &[JSON], &Trail::new(35, 5).document());
    wait_until("dead letters", || folder.events("dead.ndjson").len() == 5);
    for letter in folder.events("dead.ndjson") {
        assert_eq!((letter["sink"].as_str(), letter["status"].as_u64()), (Some("out"), Some(400)), "{letter}");
        assert!(letter["event"]["body"].is_string() || letter["event"].is_string(), "{letter:.300}");
    }
    assert!(endpoint.events().is_empty());
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().delivered, 5, "{}", ended.log);
}
