//! Taps, traces and samples of failures of a running agent, over HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use wattle_tests::{Config, Folder, assert_hidden, free_address, get, send, wait_until};

use crate::{is_ready, scrape};

/// A stream of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    #[track_caller]
    fn open(admin: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {admin}\r\n\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        let status = stream.line().unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        stream
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event: its name and its document. `None` at the end of the stream.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line()?;
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// All documents with this name up to the end of the stream, and the last report.
    fn all(mut self, wanted: &str) -> (Vec<Value>, Value) {
        let (mut found, mut report) = (Vec::new(), Value::Null);
        while let Some((name, document)) = self.next() {
            match name.as_str() {
                "report" => report = document,
                name if name == wanted => found.push(document),
                _ => {}
            }
        }
        (found, report)
    }
}

/// Reads CloudTrail documents with secrets, and requests.
fn config(admin: SocketAddr, from: SocketAddr, version: &str, more: &str) -> String {
    Config::new()
        .admin(admin)
        .with(more)
        .source("load", "demo")
        .set("rate", 200)
        .http_source("in", from)
        .pack("main", &["load", "in"], &format!("cloudtrail@{version}"))
        .drop_sink("all", &["main.*"])
        .text()
}

#[track_caller]
fn refused(admin: SocketAddr, path: &str, status: u16, parts: &[&str]) {
    let answer = get(admin, path).unwrap();
    assert_eq!(answer.status, status, "{path}: {}", answer.text);
    let problem: Value = serde_json::from_str(&answer.text).unwrap();
    let error = problem["error"].as_str().unwrap();
    assert!(parts.iter().all(|part| error.contains(part)), "{path}: {error}");
}

#[test]
fn a_tap_shows_masked_events_only_while_versions_are_swapped() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let agent = folder.start(&config(admin, from, "1.1.0", ""));
    wait_until("the agent is ready", || is_ready(admin));
    let taps: Vec<_> = ["/api/v1/tap?point=main&rate=500&limit=400", "/api/v1/trace?point=main&rate=50&limit=40"]
        .map(|path| {
            let wanted = if path.contains("trace") { "trace" } else { "event" };
            std::thread::spawn(move || Stream::open(admin, path).all(wanted))
        })
        .into();
    for version in ["1.2.0", "1.1.0", "1.0.0", "1.1.0"] {
        let generation = scrape(admin).sum("wattle_generation", &[]);
        folder.replace("agent.toml", config(admin, from, version, ""));
        wait_until("the version runs", || scrape(admin).sum("wattle_generation", &[]) > generation);
    }
    for tap in taps {
        let (seen, report) = tap.join().unwrap();
        assert!(!seen.is_empty() && report["shown"] == seen.len(), "{report}");
        for document in &seen {
            assert_hidden(&format!("{document}\n"));
        }
        let text = Value::from(seen).to_string();
        assert!(text.contains("eventName") && text.contains("accessKeyId"), "events with secrets were shown");
    }
    assert_eq!(scrape(admin).sum("wattle_pipeline_unbalanced_events_total", &[]), 0.0);
    agent.stop();
}

#[test]
fn bad_requests_are_refused_with_the_reason() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let agent = folder.start(&config(admin, from, "1.1.0", ""));
    wait_until("the agent is ready", || is_ready(admin));
    let hidden = ["before the masking nodes", "`main/mask-access-key-id`", "tap = \"all\""];
    refused(admin, "/api/v1/tap?point=main/input", 403, &hidden);
    refused(admin, "/api/v1/trace?point=main/input&filter=body~key", 403, &hidden);
    refused(admin, "/api/v1/tap?point=main.procesed", 400, &["did you mean `main.processed`?"]);
    refused(admin, "/api/v1/tap", 400, &["`point` is missing"]);
    refused(admin, "/api/v1/tap?point=main&rate=5000", 400, &["from 1 to 1000"]);
    refused(admin, "/api/v1/tap?point=main&filter=name", 400, &["must begin with", "PATH=TEXT"]);
    agent.stop();

    let agent = folder.start(&config(admin, from, "1.1.0", "tap = \"off\"\n"));
    wait_until("the agent is ready", || is_ready(admin));
    refused(admin, "/api/v1/tap?point=main", 403, &["`tap = \"off\"`", "[admin]"]);
    refused(admin, "/api/v1/trace", 403, &["`tap = \"off\"`"]);
    agent.stop();

    let agent = folder.start(&config(admin, from, "1.1.0", "tap = \"all\"\n"));
    wait_until("the agent is ready", || is_ready(admin));
    let (seen, _) = Stream::open(admin, "/api/v1/tap?point=main/input&limit=2").all("event");
    assert_eq!(seen.len(), 2);
    agent.stop();
}

#[test]
fn a_trace_and_the_samples_of_failures_show_where_an_event_went_and_why() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let config = Config::new()
        .admin(admin)
        .http_source("in", from)
        .pack("main", &["in"], "cloudtrail@1.1.0")
        .drop_sink("all", &["main.*"])
        .text();
    let agent = folder.start(&config);
    wait_until("the agent is ready", || is_ready(admin));
    let mut trace = Stream::open(admin, "/api/v1/trace");
    // The first report: the subscription exists.
    assert_eq!(trace.next().unwrap().0, "report");
    let document = r#"{"Records":[{"eventVersion":"1.08","eventName":"RunInstances","accessKeyId":"AKIASECRET"}]}"#;
    assert_eq!(send(from, &[("content-type", "application/json")], document.as_bytes()).status, 200);
    let steps = |trace: &mut Stream| loop {
        let (name, document) = trace.next().unwrap();
        if name == "trace" {
            return document["steps"].as_array().unwrap().clone();
        }
    };
    let seen = steps(&mut trace);
    let points: Vec<&str> = seen.iter().map(|step| step["point"].as_str().unwrap()).collect();
    assert_eq!(points.first(), Some(&"main/input"), "{points:?}");
    assert!(points.contains(&"main/mask-session-token.out") && points.ends_with(&["main.processed"]), "{points:?}");
    assert!(seen[0]["event"].is_null() && seen.last().unwrap()["event"]["body"].is_string(), "{seen:?}");
    assert!(!Value::from(seen).to_string().contains("AKIASECRET"));

    // One trace a second; two reports later, the next one may begin.
    for _ in 0..2 {
        while trace.next().unwrap().0 != "report" {}
    }
    assert_eq!(send(from, &[("content-type", "text/plain")], b"AKIASECRET is no document").status, 200);
    let seen = steps(&mut trace);
    let failure = seen.iter().find_map(|step| step.get("failure")).unwrap();
    assert_eq!(failure["node"], "unroll");
    wait_until("a sample of the failure", || {
        let failures = get(admin, "/api/v1/failures").unwrap().text;
        let failures: Value = serde_json::from_str(&failures).unwrap();
        let found = failures["failures"].as_array().unwrap().first().cloned();
        found.is_some_and(|found| {
            found["node"] == "unroll" && found["events"] == 1 && found["samples"][0]["at"].is_string()
        })
    });
    agent.stop();
}
