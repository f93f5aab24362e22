//! The API of a running agent: documents, the stream over a swap, and hostile clients.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Config, Folder, free_address, get, wait_until};

use crate::{is_ready, raw};

fn config(admin: SocketAddr, version: &str) -> String {
    Config::new()
        .admin(admin)
        .set("price_per_gb", 0.5)
        .set("currency", "EUR")
        .source("load", "demo")
        .set("rate", 200)
        .pack("main", &["load"], &format!("cloudtrail@{version}"))
        .drop_sink("all", &["main.*"])
        .text()
}

#[track_caller]
fn document(admin: SocketAddr, path: &str) -> Value {
    let answer = get(admin, path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

/// The first line of the response; a stream never ends.
fn first_line(admin: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// A client of a stream.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(admin: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\n\r\n").as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        Self(reader)
    }

    /// The data of the next event of this name.
    fn next(&mut self, event: &str) -> Value {
        let mut lines = self.0.by_ref().lines().map(|line| line.expect("the stream has not ended"));
        lines.find(|line| *line == format!("event: {event}")).expect("the stream has not ended");
        let data = lines.next().unwrap();
        serde_json::from_str(data.strip_prefix("data: ").unwrap_or_else(|| panic!("{data}"))).unwrap()
    }
}

#[test]
fn the_documents_describe_the_agent() {
    let folder = Folder::new();
    let admin = free_address();
    let agent = folder.start(&config(admin, "1.2.0"));
    wait_until("the agent is ready", || is_ready(admin));
    let index = document(admin, "/api/v1");
    assert_eq!((&index["tap"], &index["currency"]), (&"masked".into(), &"EUR".into()), "{index}");

    let graph = document(admin, "/api/v1/graph");
    let pipeline = &graph["pipelines"][0];
    assert_eq!((&pipeline["pack"], &pipeline["inputs"][0]), (&"cloudtrail@1.2.0".into(), &"load".into()));
    let edge = |point: &str| {
        let edges = pipeline["edges"].as_array().unwrap();
        edges.iter().find(|edge| edge["point"] == point).unwrap_or_else(|| panic!("no {point}: {pipeline}"))
    };
    for (point, masked) in
        [("main/input", false), ("main/mask.out", true), ("main/mask.failed", false), ("main/unroll.failed", true)]
    {
        assert_eq!(edge(point)["masked"], masked, "{point}");
    }
    let output = |name: &str| pipeline["outputs"].as_array().unwrap().iter().find(|o| o["name"] == name).unwrap();
    assert_eq!((&output("processed")["masked"], &output("fails")["masked"]), (&true.into(), &false.into()));
    assert_eq!(output("processed")["sinks"][0], "all");
    let drawing = &pipeline["drawing"];
    let count = |list: &Value| list.as_array().unwrap().len();
    assert_eq!(count(&drawing["boxes"]), 1 + count(&pipeline["nodes"]) + count(&pipeline["outputs"]));
    assert_eq!(count(&drawing["paths"]), count(&pipeline["edges"]));

    let packs = document(admin, "/api/v1/packs");
    let pack = &packs["packs"][0];
    assert_eq!((&pack["origin"], &pack["pipelines"][0]), (&"builtin".into(), &"main".into()), "{packs}");
    assert!(pack["signature"].as_str().unwrap().contains("part of the agent"), "{packs}");
    let history = document(admin, "/api/v1/history");
    assert_eq!(history["entries"][0]["what"], "started", "{history}");
    assert_eq!(history["entries"][0]["packs"]["main"], "cloudtrail@1.2.0");
    assert_eq!(document(admin, "/api/v1/shadows")["shadows"], serde_json::json!({}));
    let schema = document(admin, "/api/v1/schema");
    assert!(schema["properties"]["status"].is_object(), "{schema}");

    // The same on the control socket, which takes any name.
    let mut socket = UnixStream::connect(folder.path("data/control.sock")).unwrap();
    socket.write_all(b"GET /api/v1/graph HTTP/1.1\r\nhost: wattle\r\n\r\n").unwrap();
    let text = std::io::read_to_string(socket).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), graph);
    agent.stop();
}

#[test]
fn a_swap_is_in_the_stream_within_a_second() {
    let folder = Folder::new();
    let admin = free_address();
    let mut agent = folder.start(&config(admin, "1.0.0"));
    wait_until("the agent is ready", || is_ready(admin));
    let mut events = Events::open(admin, "/api/v1/stream");
    assert_eq!(events.next("graph")["pipelines"][0]["pack"], "cloudtrail@1.0.0");
    let received = |status: &Value| status["pipelines"][0]["received_events"].as_u64().unwrap();
    let first = received(&events.next("status"));
    let second = received(&events.next("status"));
    assert!(second > first, "counts move: {first}, {second}");
    folder.replace("agent.toml", config(admin, "1.2.0"));
    agent.wait_for("reloaded");
    let since = Instant::now();
    let graph = events.next("graph");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!((&graph["generation"], &graph["pipelines"][0]["pack"]), (&2.into(), &"cloudtrail@1.2.0".into()));
    agent.signal("TERM");
    assert_eq!(events.next("end")["reason"], "the agent is draining");
    assert_eq!(agent.ended().code, 0);
}

#[test]
fn hostile_clients_are_refused_and_delay_nothing() {
    let folder = Folder::new();
    let admin = free_address();
    let agent = folder.start(&config(admin, "1.0.0"));
    wait_until("the agent is ready", || is_ready(admin));
    for (headers, expected) in [
        ("host: evil.example", "`allowed_hosts` in [admin]"),
        ("host: localhost\r\norigin: http://evil.example", "another site"),
        ("host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors", "another site"),
    ] {
        let refused = raw(admin, &format!("GET /api/v1/status HTTP/1.1\r\n{headers}\r\n\r\n"));
        assert!(refused.starts_with("HTTP/1.1 403") && refused.contains(expected), "{headers}: {refused}");
    }
    // Streams that no client reads, and more than there are places.
    let request = format!("GET /api/v1/stream HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    let streams: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            // Served, so it is a stream now, or refused: requests that wait have other places.
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        })
        .collect();
    wait_until("all places are taken", || first_line(admin, &request).starts_with("HTTP/1.1 503"));
    let since = Instant::now();
    assert!(is_ready(admin));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    let before = document(admin, "/api/v1/status")["pipelines"][0]["received_events"].as_u64().unwrap();
    wait_until("events continue", || {
        document(admin, "/api/v1/status")["pipelines"][0]["received_events"].as_u64().unwrap() > before + 100
    });
    drop(streams);
    wait_until("places are free again", || first_line(admin, &request).starts_with("HTTP/1.1 200"));
    agent.stop();
}

#[test]
fn the_drawing_of_a_pack_is_an_svg_that_stands_alone() {
    let folder = Folder::new();
    let drawn = folder.run(&["graph", "cloudtrail@2.0.0", "--format", "svg"]);
    assert_eq!(drawn.code, 0, "{}", drawn.log);
    let text = drawn.text();
    assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && text.ends_with("</svg>\n"), "{text}");
    assert!(text.contains("prefers-color-scheme:dark") && text.contains("<title>cloudtrail@2.0.0</title>"));
    assert!(!text.contains("href") && !text.contains("url("), "no external part");
    folder.write("agent.toml", config(free_address(), "1.0.0"));
    let both = folder.run(&["graph", "agent.toml", "--format", "svg"]);
    assert!(both.text().contains("input: load"), "{}{}", both.text(), both.log);
}
