//! Requests over connections in memory, with paused time, and over the listener.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wattle_plan::{AdminSettings, ArtifactLimits};
use wattle_runtime::{Catalog, Runtime};

use super::super::connection::{Times, converse};
use super::super::listener::Listener;
use super::super::router;
use super::*;

/// A test-only request: echoes a body of at most 8 bytes.
pub(super) fn echo(_: Call, body: Bytes) -> Task<Reply> {
    Box::pin(async move { Ok(Response::new(super::super::response::full(body))) })
}

/// A test-only stream that never sends anything.
pub(super) fn silent(_: &Call, sender: EventSender) -> Result<Task<()>, Refusal> {
    Ok(Box::pin(async move {
        std::future::pending::<()>().await;
        drop(sender);
    }))
}

/// A test-only stream that sends as much as the client takes.
pub(super) fn flood(_: &Call, sender: EventSender) -> Result<Task<()>, Refusal> {
    let event = event_stream::frame("event", &"x".repeat(20_000));
    Ok(Box::pin(async move { while sender.send(event.clone()).await.is_ok() {} }))
}

fn state() -> Arc<State> {
    let catalog = Catalog::new(Runtime::new(None, ArtifactLimits::default()).unwrap(), Vec::new());
    Arc::new(State::new("agent.toml".into(), 1, catalog.runtime().clone(), catalog.services().clone()))
}

fn server(max_streams: usize) -> Arc<Server> {
    Arc::new(Server::new(state(), max_streams, false, Times::new(Some(Duration::from_secs(10)))))
}

/// A server that gives up soon.
fn impatient() -> Arc<Server> {
    let (head, heartbeat) = (Duration::from_millis(20), Duration::from_millis(5));
    let times = Times { head, request: Some(Duration::from_millis(60)), heartbeat, stall: Duration::from_millis(100) };
    Arc::new(Server::new(state(), 1, false, times))
}

/// A connection through a pipe of this many bytes, and the task that serves it.
fn connect(server: &Arc<Server>, pipe: usize) -> (DuplexStream, JoinHandle<()>) {
    let (client, served) = duplex(pipe);
    let server = server.clone();
    let task = tokio::spawn(async move {
        let connection = Connection::new(server.times.request);
        converse(served, &server, &connection, |request| router::respond(&server, &connection, request)).await;
    });
    (client, task)
}

async fn send(server: &Arc<Server>, request: &str) -> String {
    let (mut client, _) = connect(server, 1 << 20);
    client.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    response
}

async fn get(server: &Arc<Server>, path: &str) -> String {
    send(server, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")).await
}

/// Opens a stream and reads its head.
async fn open(server: &Arc<Server>, path: &str, pipe: usize) -> (DuplexStream, JoinHandle<()>) {
    let (mut client, task) = connect(server, pipe);
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    (client, task)
}

/// Reads until this text has arrived.
async fn read_until(client: &mut (impl tokio::io::AsyncRead + Unpin), text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let mut byte = [0];
        match client.read(&mut byte).await {
            Ok(1) => all.push(byte[0]),
            other => panic!("{other:?} before {text:?}: {}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8(all).unwrap()
}

#[track_caller]
fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_else(|_| panic!("{response:?}"))
}

fn body(response: &str) -> serde_json::Value {
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {response}"))
}

#[tokio::test]
async fn each_document_responds_with_headers_that_protect_browsers() {
    let server = server(1);
    let documents = REQUESTS.iter().filter(|route| matches!(route.handler, Handler::Document(_)));
    let mut count = 0;
    for route in documents {
        let response = get(&server, &format!("{ROOT}{}", route.path)).await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(body(&response).is_object());
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
        ] {
            assert!(response.contains(header), "{header} is missing: {response}");
        }
        assert!(!response.contains("access-control"), "{response}");
        count += 1;
    }
    assert!(count >= 7, "{count}");
    let index = body(&get(&server, "/api/v1/").await);
    assert_eq!((&index["api"], &index["tap"], &index["can_try"]), (&1.into(), &"masked".into(), &true.into()));
}

#[tokio::test]
async fn the_schema_describes_each_document() {
    let schema = schema::schema();
    for route in REQUESTS.iter().filter(|route| matches!(route.handler, Handler::Document(_))) {
        let name = if route.path.is_empty() { "index" } else { route.path.trim_start_matches('/') };
        let described = &schema["properties"][name];
        assert!(described.is_object() || name == "schema", "{name} has no schema");
    }
    let references = schema.to_string();
    for part in references.split("\"#/$defs/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name} is not defined");
    }
}

#[tokio::test]
async fn wrong_requests_are_refused_with_a_text_that_helps() {
    let server = server(1);
    let missing = get(&server, "/api/v1/graphs").await;
    assert_eq!(status(&missing), 404);
    assert!(body(&missing)["error"].as_str().unwrap().contains("/api/v1/graph, "), "{missing}");
    assert_eq!(status(&get(&server, "/api/v10").await), 404);

    let host = "host: 127.0.0.1\r\n";
    let posted = send(&server, &format!("POST /api/v1/status HTTP/1.1\r\n{host}\r\n")).await;
    assert!(status(&posted) == 405 && posted.contains("allow: GET"), "{posted}");
    let got = get(&server, "/api/v1/echo").await;
    assert!(status(&got) == 405 && got.contains("allow: POST"), "{got}");

    let long = send(&server, &format!("GET /api/v1 HTTP/1.1\r\n{host}cookie: {}\r\n\r\n", "a".repeat(20_000))).await;
    assert!(status(&long) == 431 && body(&long)["error"].as_str().unwrap().contains("16 KiB"), "{long}");
    let longer = send(&server, &format!("GET /api/v1 HTTP/1.1\r\n{host}cookie: {}\r\n\r\n", "a".repeat(100_000))).await;
    assert_eq!(status(&longer), 431, "hyper's own limit");

    let head = send(&server, &format!("HEAD /api/v1/status HTTP/1.1\r\n{host}\r\n")).await;
    assert!(status(&head) == 200 && head.ends_with("\r\n\r\n"), "{head}");
    let unknown = get(&server, "/api/v1/stream?points=x").await;
    assert!(status(&unknown) == 400 && unknown.contains("unknown parameter"), "{unknown}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let server = server(1);
    let post = |more: &str| format!("POST /api/v1/echo HTTP/1.1\r\nhost: 127.0.0.1\r\n{more}");
    let fits = send(&server, &post("content-length: 8\r\n\r\n12345678")).await;
    assert!(status(&fits) == 200 && fits.ends_with("12345678"), "{fits}");
    // Announced, and refused before it is sent.
    let announced = send(&server, &post("content-length: 999999999\r\n\r\n")).await;
    assert_eq!(status(&announced), 413);
    assert_eq!(body(&announced)["error"], "the body is longer than 8 bytes");
    let chunked = send(&server, &post("transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n")).await;
    assert_eq!(status(&chunked), 413);
}

#[tokio::test]
async fn other_sites_and_rebound_names_are_refused() {
    let server = server(1);
    for (headers, path, expected) in [
        ("host: evil.example\r\n", "/api/v1/status", 403),
        ("host: evil.example\r\n", "/metrics", 200),
        ("host: evil.example\r\n", "/healthz", 200),
        ("host: 127.0.0.1\r\norigin: http://evil.example\r\n", "/api/v1/stream", 403),
        ("host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "/api/v1/stream", 403),
    ] {
        let response = send(&server, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n")).await;
        assert_eq!(status(&response), expected, "{headers}{response}");
    }
    assert_eq!(server.streams.available_permits(), 1, "no stream was opened");
    server.state.allow(Some(&AdminSettings { allowed_hosts: vec!["edge-7".into()], ..AdminSettings::default() }));
    let response = send(&server, "GET /api/v1 HTTP/1.1\r\nhost: edge-7:9598\r\n\r\n").await;
    assert_eq!(status(&response), 200);
}

#[tokio::test]
async fn a_stream_begins_with_the_graph_and_sends_a_status_when_something_changes() {
    let server = server(2);
    let (mut client, _) = open(&server, "/api/v1/stream", 1 << 20).await;
    let first = read_until(&mut client, "event: status\ndata: {").await;
    assert!(first.contains("event: graph\ndata: {\"generation\":0"), "{first}");
    let (mut other, _) = open(&server, "/api/v1/stream", 1 << 20).await;
    read_until(&mut other, "\"phase\":\"starting\"").await;

    server.state.drain();
    let rest = read_until(&mut client, "event: end\n").await;
    let (_, end) = rest.rsplit_once("event: end").unwrap();
    assert!(end.is_empty() || end == "\n", "{end}");
    let last = read_until(&mut client, "\n\n").await;
    assert!(last.contains("the agent is draining"), "{last}");
    let mut nothing = String::new();
    client.read_to_string(&mut nothing).await.unwrap();
    // The end of the last chunk may come with it.
    assert_eq!(nothing.trim_start_matches("\r\n"), "0\r\n\r\n", "the response is complete");
    let refused = get(&server, "/api/v1/stream").await;
    assert!(status(&refused) == 503 && refused.contains("draining"), "{refused}");
}

#[tokio::test]
async fn more_streams_than_places_are_refused_until_one_ends() {
    let server = server(2);
    let (first, task) = open(&server, "/api/v1/silent", 1024).await;
    let _second = open(&server, "/api/v1/silent", 1024).await;
    let refused = get(&server, "/api/v1/silent").await;
    assert!(status(&refused) == 503 && refused.contains("2 streams are open"), "{refused}");
    assert_eq!(status(&get(&server, "/api/v1/status").await), 200, "requests are no streams");
    drop(first);
    task.await.unwrap();
    let _third = open(&server, "/api/v1/silent", 1024).await;
}

#[tokio::test]
async fn an_idle_stream_sends_comments_and_outlives_the_timeout_of_requests() {
    let server = impatient();
    let (mut client, task) = open(&server, "/api/v1/silent", 1024).await;
    for _ in 0..100 {
        read_until(&mut client, ":\n\n").await;
    }
    assert!(!task.is_finished());
    server.close();
    let end = read_until(&mut client, "\n\n\r\n").await;
    assert!(end.contains("event: end\ndata: {\"reason\":\"the listener closes\"}"), "{end}");
    task.await.unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_is_disconnected_and_loses_its_place() {
    let server = impatient();
    // A small pipe stands for the buffers of a socket.
    let (client, task) = open(&server, "/api/v1/flood", 64).await;
    task.await.unwrap();
    assert_eq!(server.streams.available_permits(), 1);
    drop(client);
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up() {
    let server = impatient();
    let unfinished = "POST /api/v1/status HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\n\r\n12";
    for begin in ["", "GET /api/v1 HT", unfinished] {
        let (mut client, task) = connect(&server, 1024);
        client.write_all(begin.as_bytes()).await.unwrap();
        task.await.unwrap();
    }
    // A client that does not read its response.
    let (mut client, task) = connect(&server, 64);
    client.write_all(b"GET /api/v1/schema HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_full_queue_loses_events_and_delays_nothing() {
    let server = server(1);
    let connection = Connection::new(None);
    let (sender, body) = event_stream::open(&server, &connection).unwrap();
    let mut sent = 0;
    while sender.try_send("event", &"x".repeat(100_000)) {
        sent += 1;
    }
    assert_eq!(sent, 10, "about a MiB");
    assert!(!sender.try_send("event", &"x".repeat(100_000)));
    let mut body = body.fed_by(std::future::pending()).into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(frame.starts_with(b"event: event\ndata: \"xxx") && frame.ends_with(b"x\"\n\n"));
    assert!(sender.try_send("event", &"x".repeat(100_000)), "there is room again");
    drop(body);
    assert!(!sender.try_send("event", &1), "the client has left");
    assert_eq!(server.streams.available_permits(), 1);
}

#[tokio::test]
async fn nothing_is_made_for_a_slow_client_until_it_reads() {
    async fn is_slow(sender: &EventSender) -> bool {
        tokio::select! {
            biased;
            () = sender.room() => false,
            () = std::future::ready(()) => true,
        }
    }
    let server = server(1);
    for text in [100_000, 1] {
        let connection = Connection::new(None);
        let (sender, body) = event_stream::open(&server, &connection).unwrap();
        assert!(!is_slow(&sender).await);
        while sender.try_send("event", &"x".repeat(text)) {}
        assert!(is_slow(&sender).await);
        let mut body = body.fed_by(std::future::pending()).into_body();
        let mut read = 0;
        // `room` comes first, so it waits until the client has read enough.
        tokio::select! {
            biased;
            () = sender.room() => {}
            () = async {
                loop {
                    body.frame().await.unwrap().unwrap();
                    read += 1;
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        assert!(read >= 5, "{read} of {text}");
        assert!(!is_slow(&sender).await && sender.try_send("event", &"x".repeat(text)));
    }
}

async fn tcp(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_take_no_place_from_probes_and_probes_end_no_stream() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), state()).await.unwrap();
    let address = listener.address();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut stream = tcp(address, &request("/api/v1/stream")).await;
        read_until(&mut stream, "event: status").await;
        streams.push(stream);
    }
    let mut hanging = Vec::new();
    for _ in 0..80 {
        hanging.push(tcp(address, "GET /heal").await);
        let mut probe = tcp(address, &request("/healthz")).await;
        let mut response = String::new();
        probe.read_to_string(&mut response).await.unwrap();
        assert_eq!(status(&response), 200);
    }
    for stream in &mut streams {
        read_until(stream, "event: status").await;
    }
    listener.close().await;
    for mut stream in streams {
        read_until(&mut stream, "the listener closes").await;
    }
}
