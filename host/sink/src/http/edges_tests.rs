//! The cases that every destination must pass, one after the other against the same double: a server that restarts, one
//! with a wrong certificate, one whose certificate is renewed, and a sink that is replaced under load.
//!
//! `tests/README.md` has the table of all cases. What a server does with events that it refuses, when it is slow, and with
//! wrong credentials differs between the protocols, so the tests of each destination have these cases.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wattle_batch::Disposition::Delivered;
use wattle_batch::EventKind;
use wattle_tls::testing::{Authority, Files, Identity, server};

use crate::compress::{Compression, decompress};
use crate::testing::Running;

/// A destination.
struct Edge {
    type_name: &'static str,
    /// The option with the address.
    address: &'static str,
    /// What follows the host in the address.
    path: &'static str,
    /// Further options.
    options: fn() -> Value,
    kind: EventKind,
    /// The response to a request with so many events.
    accepted: fn(usize) -> String,
}

/// The destinations of this test.
const EDGES: [Edge; 6] = [
    Edge {
        type_name: "splunk_hec",
        address: "endpoint",
        path: "",
        options: || json!({"token": "secret-token", "encoding": {"codec": "text"}}),
        kind: EventKind::Log,
        accepted: |_| json!({"text": "Success", "code": 0}).to_string(),
    },
    Edge {
        type_name: "elasticsearch",
        address: "endpoint",
        path: "",
        options: || json!({"bulk": {"index": "logs"}, "encoding": {"codec": "text"}}),
        kind: EventKind::Log,
        accepted: |events| {
            let items = vec![json!({"create": {"status": 201}}); events];
            json!({"errors": false, "items": items}).to_string()
        },
    },
    Edge {
        type_name: "loki",
        address: "endpoint",
        path: "",
        options: || json!({"labels": {"source": "edge"}, "encoding": {"codec": "text"}}),
        kind: EventKind::Log,
        accepted: |_| String::new(),
    },
    Edge {
        type_name: "clickhouse",
        address: "endpoint",
        path: "",
        options: || json!({"table": "logs", "encoding": {"codec": "text"}}),
        kind: EventKind::Log,
        accepted: |_| String::new(),
    },
    Edge {
        type_name: "datadog_logs",
        address: "endpoint",
        path: "",
        options: || json!({"default_api_key": "secret-key", "encoding": {"codec": "text"}}),
        kind: EventKind::Log,
        accepted: |_| "{}".to_owned(),
    },
    Edge {
        type_name: "prometheus_remote_write",
        address: "endpoint",
        path: "/api/v1/write",
        options: || json!({}),
        kind: EventKind::Metric,
        accepted: |_| String::new(),
    },
];

impl Edge {
    /// The options of a sink that trusts the authorities of a file.
    fn options(&self, port: u16, authorities: &std::path::Path) -> Value {
        let mut options = json!({
            "tls": {"ca_file": authorities},
            "batch": {"timeout": "5ms", "max_events": 10},
            "request": {"retry_initial_backoff": "10ms", "retry_max_backoff": "20ms", "timeout": "5s"},
        });
        options[self.address] = json!(format!("https://localhost:{port}{}", self.path));
        options.as_object_mut().unwrap().extend((self.options)().as_object().unwrap().clone());
        options
    }

    /// The body of an event with a number that [`numbers`] finds.
    fn event(&self, number: usize) -> String {
        match self.kind {
            EventKind::Metric => {
                json!({"name": format!("event_{number}_"), "type": "gauge", "value": number}).to_string()
            }
            _ => format!("event_{number}_"),
        }
    }

    fn push(&self, sink: &Running, numbers: std::ops::Range<usize>) {
        let events: Vec<String> = numbers.map(|number| self.event(number)).collect();
        let batch = sink.rig.batch(&events.iter().map(String::as_str).collect::<Vec<_>>()).of_kind(self.kind);
        for payload in sink.encoder.encode(batch) {
            assert!(sink.rig.context().input.try_push(payload).is_ok());
        }
    }
}

/// The numbers of the events in a body, each once: some protocols repeat a text.
fn numbers(body: &str) -> Vec<usize> {
    let mut found: Vec<usize> = body
        .split("event_")
        .skip(1)
        .filter_map(|rest| rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a server accepted: how often each event came.
type Accepted = Arc<Mutex<BTreeMap<usize, usize>>>;

/// A server with TLS that accepts every event.
struct TlsDouble {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl TlsDouble {
    async fn start(port: u16, edge: &'static Edge, identity: &Identity, accepted: &Accepted, pause: Duration) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server(identity, None)));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = accepted.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
                connections.spawn(async move {
                    // A client that does not trust the certificate closes the connection here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| respond(edge, request, accepted.clone(), pause));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port, task }
    }

    /// Stops the server and its connections.
    async fn stop(self) -> u16 {
        self.task.abort();
        let _ = self.task.await;
        self.port
    }
}

async fn respond(
    edge: &Edge,
    request: Request<Incoming>,
    accepted: Accepted,
    pause: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let encoding = request.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    let Ok(body) = request.into_body().collect().await else { return Ok(Response::default()) };
    let body = body.to_bytes();
    let body = match encoding.as_deref() {
        Some("snappy") => snap::raw::Decoder::new().decompress_vec(&body).unwrap(),
        Some("gzip") => decompress(Compression::Gzip, &body).unwrap(),
        Some("zstd") => decompress(Compression::Zstd, &body).unwrap(),
        _ => body.to_vec(),
    };
    tokio::time::sleep(pause).await;
    let found = numbers(&String::from_utf8_lossy(&body));
    let mut all = accepted.lock().unwrap();
    found.iter().for_each(|number| *all.entry(*number).or_default() += 1);
    Ok(Response::new(Full::from((edge.accepted)(found.len()))))
}

fn count(accepted: &Accepted) -> usize {
    accepted.lock().unwrap().len()
}

#[tokio::test]
async fn every_destination_gets_each_event_although_its_server_restarts() {
    for edge in &EDGES {
        let (authority, files, accepted) = (Authority::new("ca"), Files::new(), Accepted::default());
        let (identity, ca) = (authority.issue("localhost"), files.write("ca.pem", &authority.pem()));
        let mut double = TlsDouble::start(0, edge, &identity, &accepted, Duration::ZERO).await;
        let sink = Running::start(edge.type_name, &edge.options(double.port, &ca));
        for round in 0..4 {
            edge.push(&sink, round * 50..round * 50 + 25);
            // Requests may be on their way.
            let before = round * 50;
            sink.rig.until(edge.type_name, || count(&accepted) > before).await;
            let port = double.stop().await;
            edge.push(&sink, round * 50 + 25..round * 50 + 50);
            let retries = sink.rig.counts().3;
            sink.rig.wait_for_retries(retries + 1).await;
            double = TlsDouble::start(port, edge, &identity, &accepted, Duration::ZERO).await;
            sink.rig.until(edge.type_name, || count(&accepted) == round * 50 + 50).await;
        }
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), vec![Delivered; 8], "{}", edge.type_name);
        assert_eq!((rig.counts().0, rig.counts().2), (200, 0), "{}", edge.type_name);
        double.stop().await;
    }
}

#[tokio::test]
async fn no_destination_sends_events_to_a_server_that_it_does_not_trust() {
    for edge in &EDGES {
        let (right, wrong, files) = (Authority::new("ca"), Authority::new("other"), Files::new());
        let (accepted, ca) = (Accepted::default(), files.write("ca.pem", &right.pem()));
        // Another authority, then another name.
        let mut port = 0;
        for identity in [wrong.issue("localhost"), right.issue("elsewhere")] {
            let double = TlsDouble::start(port, edge, &identity, &accepted, Duration::ZERO).await;
            port = double.port;
            let sink = Running::start(edge.type_name, &edge.options(port, &ca));
            edge.push(&sink, 0..10);
            sink.rig.wait_for_retries(2).await;
            assert_eq!((count(&accepted), sink.rig.acks().len()), (0, 0), "{}", edge.type_name);
            sink.task.abort();
            double.stop().await;
        }
    }
}

#[tokio::test]
async fn every_destination_follows_certificates_that_are_replaced() {
    for edge in &EDGES {
        let (old, new, files) = (Authority::new("ca"), Authority::new("ca"), Files::new());
        let (accepted, ca) = (Accepted::default(), files.write("ca.pem", &old.pem()));
        let double = TlsDouble::start(0, edge, &old.issue("localhost"), &accepted, Duration::ZERO).await;
        let sink = Running::start(edge.type_name, &edge.options(double.port, &ca));
        edge.push(&sink, 0..10);
        sink.rig.wait(1).await;
        // The server has a certificate of an authority that the sink does not know.
        let double =
            TlsDouble::start(double.stop().await, edge, &new.issue("localhost"), &accepted, Duration::ZERO).await;
        edge.push(&sink, 10..20);
        let retries = sink.rig.counts().3;
        sink.rig.wait_for_retries(retries + 2).await;
        assert_eq!((count(&accepted), sink.rig.acks().len()), (10, 1), "{}", edge.type_name);
        files.write("ca.pem", &new.pem());
        sink.rig.wait(2).await;
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 2], 20), "{}", edge.type_name);
        assert_eq!(accepted.lock().unwrap().values().copied().collect::<Vec<_>>(), [1; 20], "{}", edge.type_name);
        double.stop().await;
    }
}

/// A reload builds a sink with other options, which begins when its predecessor has ended.
#[tokio::test]
async fn every_destination_hands_over_to_a_successor_under_load() {
    for edge in &EDGES {
        let (authority, files, accepted) = (Authority::new("ca"), Files::new(), Accepted::default());
        let (identity, ca) = (authority.issue("localhost"), files.write("ca.pem", &authority.pem()));
        let double = TlsDouble::start(0, edge, &identity, &accepted, Duration::from_millis(2)).await;
        let mut pushed = 0;
        for round in 0..5 {
            let mut options = edge.options(double.port, &ca);
            options["batch"]["max_events"] = json!(3 + round);
            let sink = Running::start(edge.type_name, &options);
            for _ in 0..10 {
                edge.push(&sink, pushed..pushed + 10);
                pushed += 10;
                tokio::task::yield_now().await;
            }
            // The queue closes with events in it, and requests on their way.
            let rig = sink.finish().await;
            assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 10], 100), "{}", edge.type_name);
        }
        double.stop().await;
        let accepted = accepted.lock().unwrap();
        assert_eq!(accepted.keys().copied().collect::<Vec<_>>(), (0..pushed).collect::<Vec<_>>(), "{}", edge.type_name);
        assert!(accepted.values().all(|times| *times == 1), "{}: {accepted:?}", edge.type_name);
    }
}
