//! The sink with clients that scrape it.

use std::io::Read as _;
use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wattle_batch::Disposition::{Delivered, Rejected};
use wattle_batch::{Column, EventKind, FieldPath, Form, Root};
use wattle_tls::testing::{Authority, Files};

use super::*;
use crate::sink::Encoder;
use crate::testing::{Rig, Running};

/// Options for a port that is free.
fn options(more: Value) -> Value {
    let mut options = json!({"address": "127.0.0.1:0"});
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

async fn address(rig: &Rig) -> SocketAddr {
    let stats = rig.context().stats;
    rig.until("the address", || stats.address.get().is_some()).await;
    *stats.address.get().unwrap()
}

async fn start(more: Value) -> (Running, SocketAddr) {
    let sink = Running::start("prometheus", &options(more));
    let address = address(&sink.rig).await;
    (sink, address)
}

fn gauge(name: &str, value: impl serde::Serialize) -> Value {
    json!({"name": name, "type": "gauge", "value": value})
}

/// Queues metric events with these attributes and bodies.
fn push_to(rig: &Rig, encoder: &dyn Encoder, events: &[(Value, Value)]) {
    let bodies: Vec<String> = events.iter().map(|(_, body)| body.to_string()).collect();
    let mut batch = rig.batch(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).of_kind(EventKind::Metric);
    let attributes = Column::from_rows(events.iter().map(|(attributes, _)| attributes.to_string())).unwrap();
    batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
    batch.set_timestamps(&vec![1_000_000_000; events.len()]);
    for payload in encoder.encode(batch) {
        assert!(rig.context().input.try_push(payload).is_ok());
    }
}

fn push(sink: &Running, events: &[(Value, Value)]) {
    push_to(&sink.rig, &*sink.encoder, events);
}

/// A response: its status, its head in lower case, and its body.
#[derive(Debug)]
struct Answer(u16, String, Vec<u8>);

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.2).unwrap()
    }
}

/// Sends a request, and reads the response until the server closes the connection, as HTTP/1.0 has it.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str, headers: &[&str]) -> Answer {
    let mut request = format!("{line} HTTP/1.0\r\n");
    headers.iter().for_each(|header| request += &format!("{header}\r\n"));
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let at = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(response[..at].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer(status, head, response.split_off(at + 4))
}

async fn get(address: SocketAddr, headers: &[&str]) -> Answer {
    ask(TcpStream::connect(address).await.unwrap(), "GET /metrics", headers).await
}

#[tokio::test]
async fn a_scrape_reads_every_event_that_was_acknowledged() {
    let (sink, address) = start(json!({})).await;
    push(&sink, &[(json!({"a": 1}), gauge("g", 1)), (json!({"a": 2}), gauge("g", 2))]);
    sink.rig.wait(1).await;
    let answer = get(address, &[]).await;
    assert_eq!((answer.0, answer.text()), (200, "# TYPE g gauge\ng{a=\"1\"} 1\ng{a=\"2\"} 2\n"));
    assert!(answer.1.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", answer.1);
    push(&sink, &[(json!({"a": 1}), gauge("g", 3))]);
    sink.rig.wait(2).await;
    let answer = get(address, &["accept: application/openmetrics-text;version=1.0.0"]).await;
    assert_eq!(answer.text(), "# TYPE g gauge\ng{a=\"1\"} 3\ng{a=\"2\"} 2\n# EOF\n");
    assert!(answer.1.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", answer.1);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0), (vec![Delivered; 2], 3));
    assert!(TcpStream::connect(address).await.is_err(), "a sink that has ended does not listen");
}

#[tokio::test]
async fn a_response_is_compressed_if_the_client_accepts_it() {
    let (sink, address) = start(json!({})).await;
    let events: Vec<_> = (0..5000).map(|n| (json!({"n": n}), gauge("g", n))).collect();
    push(&sink, &events);
    sink.rig.wait(1).await;
    let plain = get(address, &["accept-encoding: deflate"]).await;
    let compressed = get(address, &["accept-encoding: gzip;q=0.5, identity"]).await;
    assert!(compressed.1.contains("content-encoding: gzip") && !plain.1.contains("content-encoding"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&compressed.2[..]).read_to_string(&mut text).unwrap();
    assert_eq!((plain.text().lines().count(), &*text), (5001, plain.text()));
    assert!(compressed.2.len() < plain.2.len() / 4);
    sink.finish().await;
}

#[tokio::test]
async fn only_scrapes_of_the_path_with_the_credentials_are_answered() {
    let auth = json!({"strategy": "basic", "user": "u", "password": "secret-4711"});
    let (sink, address) = start(json!({"auth": auth, "path": "/own"})).await;
    // u:secret-4711
    let right = "authorization: Basic dTpzZWNyZXQtNDcxMQ==";
    for (line, headers, status, part) in [
        ("GET /own", vec![right], 200, "content-type: text/plain; version=0.0.4"),
        ("GET /own?x=1", vec![right], 200, ""),
        ("HEAD /own", vec![right], 200, ""),
        ("GET /own", vec![], 401, "www-authenticate: basic realm"),
        ("GET /own", vec!["authorization: Basic dTp4"], 401, "www-authenticate: basic realm"),
        ("GET /metrics", vec![], 401, ""),
        ("GET /metrics", vec![right], 404, ""),
        ("POST /own", vec![right, "content-length: 0"], 405, "allow: get, head"),
    ] {
        let answer = ask(TcpStream::connect(address).await.unwrap(), line, &headers).await;
        assert!(answer.0 == status && answer.1.contains(part), "{line} {answer:?}");
        assert!(!answer.text().contains("4711"));
    }
    // A head that is too large. Closing a socket with unread bytes can take the response away.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let huge = format!("GET /own HTTP/1.0\r\nx: {}\r\n\r\n", "a".repeat(64 << 10));
    let _ = stream.write_all(huge.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8(response).unwrap();
    assert!(response.is_empty() || response.contains(" 431 "), "{response}");
    sink.finish().await;
}

#[tokio::test]
async fn events_that_cannot_be_exposed_are_rejected_with_the_reason_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for with_file in [true, false] {
        let mut more = json!({"max_series": 3});
        if with_file {
            more["dead_letter"] = json!(path);
        }
        let (sink, address) = start(more).await;
        let counter = json!({"name": "c", "type": "sum", "monotonic": true, "temporality": "delta", "value": -1});
        push(
            &sink,
            &[
                (json!({"a": 1}), gauge("g", 1)),
                (json!({}), json!({"name": "g", "type": "summary", "count": 1, "sum": 2})),
                (json!({}), json!({"name": "g", "type": "gauge"})),
                (json!({}), counter),
                (json!({"a": 2}), gauge("g", 2)),
                (json!({"a": 3}), gauge("g", 3)),
                (json!({"a": 4}), gauge("g", 4)),
            ],
        );
        sink.rig.push_batch(&*sink.encoder, &["a log line"]);
        sink.rig.wait(2).await;
        assert_eq!(get(address, &[]).await.text(), "# TYPE g gauge\ng{a=\"1\"} 1\ng{a=\"2\"} 2\ng{a=\"3\"} 3\n");
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }; 2]);
        assert_eq!((rig.counts().0, rig.counts().2), (3, 5));
    }
    let text = std::fs::read_to_string(path).unwrap();
    let letters: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        ("has this name with the type `gauge`", "g_sum 2 1000"),
        ("has no value", "\"kind\":\"metric\""),
        ("negative or not a number", "c_total -1 1000"),
        ("`max_series`", "g{a=\"4\"} 4 1000"),
        ("not a metric event", "a log line"),
    ];
    assert_eq!(letters.len(), expected.len(), "{text}");
    for (letter, (reason, event)) in letters.iter().zip(expected) {
        assert!(letter["reason"].as_str().unwrap().contains(reason), "{letter}");
        assert!(letter["event"].as_str().unwrap().contains(event), "{letter}");
        assert_eq!(letter["status"], Value::Null);
    }
}

/// Starts a sink as the topology does.
fn start_at(listeners: &Listeners, options: &Value) -> Running {
    let mut built = crate::build("out", "prometheus", options).unwrap();
    built.sink.listen(listeners).unwrap();
    let rig = Rig::new();
    let task = tokio::spawn(built.sink.run(rig.context()));
    Running { rig, encoder: built.encoder, task }
}

#[tokio::test]
async fn a_successor_keeps_the_socket_and_the_series() {
    let listeners = Listeners::default();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = |more: Value| {
        let mut options = options(more);
        options["address"] = json!(free.to_string());
        options
    };
    let first = start_at(&listeners, &options(json!({})));
    address(&first.rig).await;
    let delta = json!({"name": "c", "type": "sum", "monotonic": true, "temporality": "delta", "value": 2});
    push(&first, &[(json!({}), delta.clone())]);
    first.rig.wait(1).await;

    // The topology builds the successor first, and starts it when its predecessor has ended.
    let changed = options(json!({"max_connections": 5, "auth": {"strategy": "bearer", "token": "t"}}));
    let mut built = crate::build("out", "prometheus", &changed).unwrap();
    built.sink.listen(&listeners).unwrap();
    first.finish().await;
    let waiting = tokio::spawn(get(free, &["authorization: bearer t"]));
    let rig = Rig::new();
    push_to(&rig, &*built.encoder, &[(json!({}), delta.clone())]);
    let task = tokio::spawn(built.sink.run(rig.context()));
    let second = Running { rig, encoder: built.encoder, task };
    second.rig.wait(1).await;
    assert_eq!(waiting.await.unwrap().0, 200, "a client that connects in between waits");
    assert_eq!(get(free, &["authorization: bearer t"]).await.text(), "# TYPE c_total counter\nc_total 4\n");

    // With other names, the former series would stay beside the new ones.
    let renamed = options(json!({"default_namespace": "x"}));
    let mut built = crate::build("out", "prometheus", &renamed).unwrap();
    built.sink.listen(&listeners).unwrap();
    second.finish().await;
    let rig = Rig::new();
    push_to(&rig, &*built.encoder, &[(json!({}), delta)]);
    let task = tokio::spawn(built.sink.run(rig.context()));
    rig.wait(1).await;
    assert_eq!(get(free, &[]).await.text(), "# TYPE x_c_total counter\nx_c_total 2\n");
    Running { rig, encoder: built.encoder, task }.finish().await;
}

#[tokio::test]
async fn an_address_in_use_refuses_the_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut built = crate::build("out", "prometheus", &json!({"address": at})).unwrap();
    let error = built.sink.listen(&Listeners::default()).unwrap_err().to_string();
    assert!(error.contains("is in use; stop the program that listens there"), "{error}");
}

#[tokio::test]
async fn clients_that_do_not_read_hold_up_neither_events_nor_other_scrapes() {
    let (sink, address) = start(json!({"max_bytes": "1GiB", "max_series": 1_000_000, "max_connections": 10})).await;
    let long = "x".repeat(5000);
    let events: Vec<_> = (0..3000).map(|n| (json!({"n": n, "l": long}), gauge("g", n))).collect();
    push(&sink, &events);
    sink.rig.wait(1).await;
    // Responses of 15 MB, of which these clients read nothing.
    let mut stuck = Vec::new();
    for _ in 0..7 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        // The response has begun.
        stream.peek(&mut [0]).await.unwrap();
        stuck.push(stream);
    }
    push(&sink, &[(json!({"n": 0, "l": long}), gauge("g", 7))]);
    sink.rig.wait(2).await;
    let answer = get(address, &[]).await;
    assert!(answer.text().contains(",n=\"0\"} 7\n") && answer.text().lines().count() == 3001);
    // One more that does not read, and then there is no room.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    let refused = get(address, &[]).await;
    assert!(refused.0 == 503 && refused.1.contains("retry-after: 1"), "{refused:?}");
    drop((stream, stuck));
    let mut status = 503;
    for _ in 0..1000 {
        if status == 503 {
            status = get(address, &[]).await.0;
        }
    }
    assert_eq!(status, 200);
    sink.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_takes_too_long_is_cut_off() {
    let (deadline, until) = watch::channel(None);
    let waiting = tokio::spawn(scrape::overdue(until));
    tokio::time::sleep(scrape::MAX_SCRAPE_TIME * 2).await;
    let at = tokio::time::Instant::now() + scrape::MAX_SCRAPE_TIME;
    deadline.send_replace(Some(at));
    tokio::time::sleep(scrape::MAX_SCRAPE_TIME / 2).await;
    // The response has ended, and the next one begins.
    deadline.send_replace(None);
    tokio::time::sleep(scrape::MAX_SCRAPE_TIME).await;
    assert!(!waiting.is_finished());
    let at = tokio::time::Instant::now() + scrape::MAX_SCRAPE_TIME;
    deadline.send_replace(Some(at));
    waiting.await.unwrap();
    assert_eq!(tokio::time::Instant::now(), at);
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let (sink, address) = start(json!({"max_connections": 2})).await;
    let _idle = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    assert_eq!(get(address, &[]).await.0, 200);
    sink.finish().await;
}

#[tokio::test]
async fn tls_needs_a_trusted_client_and_follows_its_files() {
    let (authority, next, files) = (Authority::new("ca"), Authority::new("next"), Files::new());
    let write = |authority: &Authority| {
        let identity = authority.issue("localhost");
        (files.write("crt.pem", &identity.certificate), files.write("key.pem", &identity.key))
    };
    let (crt, key) = write(&authority);
    let (sink, address) = start(json!({"tls": {"crt_file": crt, "key_file": key}})).await;
    let scrape = async |authority: &Authority| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        match connector.connect(name, stream).await {
            Ok(stream) => Some(ask(stream, "GET /metrics", &[]).await.0),
            Err(_) => None,
        }
    };
    assert_eq!((scrape(&authority).await, scrape(&next).await), (Some(200), None));
    let plain = get(address, &[]).await;
    assert!(plain.0 == 400 && plain.text().contains("requires TLS"), "{plain:?}");
    let stats = sink.rig.context().stats;
    let failures = |reason| stats.tls.failures().iter().find(|(known, _)| *known == reason).map(|(_, count)| *count);
    sink.rig.until("counts", || failures("server_certificate") == Some(1) && failures("not_tls") == Some(1)).await;
    write(&next);
    assert_eq!(scrape(&next).await, Some(200), "files are checked before each handshake");
    sink.finish().await;
}

#[test]
fn errors_of_the_options_name_the_option() {
    for (options, path, part) in [
        (json!({"address": "nowhere"}), "address", "has no port"),
        (json!({"path": "metrics"}), "path", "must begin with `/`"),
        (json!({"default_namespace": "1a"}), "default_namespace", "begin with a letter"),
        (json!({"labels": {"le": "x"}}), "labels.le", "is not a label"),
        (json!({"expire_after": "0s"}), "expire_after", "longer than 0"),
        (json!({"max_series": 0}), "max_series", "at least 1"),
        (json!({"max_bytes": 0}), "max_bytes", "at least 1"),
        (json!({"max_connections": 0}), "max_connections", "at least 1"),
        (json!({"dead_letter": ""}), "dead_letter", "must not be empty"),
        (json!({"auth": {"strategy": "basic", "user": "a:b", "password": "p"}}), "auth.user", "colon"),
        (json!({"namespace": "a"}), "namespace", "unknown"),
    ] {
        let errors = crate::TYPES.check("prometheus", &options).unwrap_err();
        assert_eq!((errors.len(), errors[0].path.as_str()), (1, path), "{errors:?}");
        assert!(errors[0].to_string().contains(part), "{errors:?}");
    }
}
