//! Real requests over the loopback interface.

use super::*;
use crate::stats::get;
use crate::testing::{Rig, Running, gzip, resource, texts};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

pub(super) struct World {
    pub(super) rig: Arc<Rig>,
    pub(super) running: Running,
    pub(super) address: SocketAddr,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Value,
}

pub(super) async fn start(options: Value) -> World {
    start_in(Rig::new(TempDir::new().unwrap().path()), options).await
}

async fn start_in(rig: Rig, options: Value) -> World {
    start_type("http", rig, options).await
}

pub(super) async fn start_type(type_name: &str, rig: Rig, mut options: Value) -> World {
    options["address"] = json!("127.0.0.1:0");
    let running = rig.start(type_name, options);
    rig.until(|| rig.stats.address.get().is_some()).await;
    let address = *rig.stats.address.get().unwrap();
    World { rig: Arc::new(rig), running, address }
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(super) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let mut sender = connect(address).await;
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body: serde_json::from_slice(&body).unwrap_or_default() }
}

impl World {
    pub(super) async fn send(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(self.address, "POST", "/", headers, body).await
    }

    fn sending(&self, headers: &'static [(&'static str, &'static str)], body: &'static [u8]) -> JoinHandle<Answer> {
        let address = self.address;
        tokio::spawn(async move { send(address, "POST", "/", headers, body).await })
    }

    /// Delivers everything from now on; returns the bodies at the end.
    pub(super) fn delivering(&self) -> JoinHandle<Vec<String>> {
        let queue = self.rig.queue.clone();
        tokio::spawn(async move {
            let mut bodies = Vec::new();
            while let Some(batch) = queue.pop().await {
                bodies.extend(texts(&batch.0));
                batch.0.into_ack().deliver();
            }
            bodies
        })
    }

    pub(super) async fn end(self) {
        self.rig.stop();
        self.running.ended().await.unwrap();
    }
}

/// Ends a batch as a sink does that rejects it, gives it up, or drops it.
pub(super) fn end_batch(batch: wattle_batch::Batch, end: &str) {
    match end {
        "reject" => batch.into_ack().reject(1),
        "give up" => batch.into_ack().give_up(),
        _ => drop(batch),
    }
}

#[tokio::test]
async fn the_response_is_200_only_after_the_events_are_delivered() {
    let world = start(json!({})).await;
    let answer = world.sending(&[("content-type", "application/json")], b"[{\"a\":1},{\"a\":2}]");
    let batch = world.rig.pop().await;
    assert_eq!(texts(&batch), ["{\"a\":1}", "{\"a\":2}"]);
    assert_eq!(resource(&batch), json!({ "name": "in", "type": "http", "remote": "127.0.0.1" }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!answer.is_finished());
    batch.into_ack().deliver();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "events": 2 })));
    assert_eq!((get(&world.rig.stats.events), get(&world.rig.stats.failures)), (2, 0));
    world.end().await;
}

#[tokio::test]
async fn the_status_reports_the_result_of_the_events() {
    let world = start(json!({})).await;
    let cases = [
        ("reject", StatusCode::UNPROCESSABLE_ENTITY),
        ("give up", StatusCode::SERVICE_UNAVAILABLE),
        ("drop", StatusCode::SERVICE_UNAVAILABLE),
    ];
    for (end, status) in cases {
        let answer = world.sending(&[], b"line\n");
        let batch = world.rig.pop().await;
        end_batch(batch, end);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers.contains_key("retry-after"), end != "reject");
    }
    assert_eq!(get(&world.rig.stats.failures), 3);
    world.end().await;
}

#[tokio::test]
async fn a_request_of_several_batches_succeeds_when_all_are_delivered() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.limits.max_events = 1;
    let world = start_in(rig, json!({})).await;
    for (last, status) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
        let answer = world.sending(&[], b"1\n2\n3\n");
        for number in 1..=3 {
            let batch = world.rig.pop().await;
            assert_eq!(texts(&batch), [number.to_string()]);
            assert!(!answer.is_finished());
            if number < 3 || last { batch.into_ack().deliver() } else { drop(batch) }
        }
        assert_eq!(answer.await.unwrap().status, status);
    }
    world.end().await;
}

#[tokio::test]
async fn compressed_bodies_are_decompressed() {
    let world = start(json!({})).await;
    let delivering = world.delivering();
    let large = "a line of text\n".repeat(50_000);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(b"deflated\n").unwrap();
    for (encoding, body) in [
        ("gzip", gzip(b"gzipped\n")),
        ("zstd", zstd::encode_all(&b"zstd\n"[..], 1).unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("identity", b"plain\n".to_vec()),
        ("gzip", gzip(large.as_bytes())),
    ] {
        let answer = world.send(&[("content-encoding", encoding)], &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}: {}", answer.body);
    }
    world.rig.queue.close();
    let bodies = delivering.await.unwrap();
    assert_eq!(bodies[..4], ["gzipped", "zstd", "deflated", "plain"]);
    assert_eq!(bodies.len(), 50_004);
    world.end().await;
}

/// The option `auth`, a header with the credentials, headers without them, and the challenge of the response.
type CredentialCase = (Value, Header, &'static [Header], Option<&'static str>);
type Header = (&'static str, &'static str);

#[tokio::test]
async fn requests_have_one_of_the_credentials() {
    let basic = json!({ "strategy": "basic", "user": "Aladdin", "password": "open sesame" });
    let header = json!({ "strategy": "header", "name": "X-Api-Key", "value": "k3y" });
    // The example of RFC 7617, section 2.
    let cases: [CredentialCase; 2] = [
        (
            basic,
            ("authorization", "bAsIc QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            &[("authorization", "Basic QWxhZGRpbjpvcGVu"), ("authorization", "Bearer open sesame"), ("x", "y")],
            Some("Basic realm=\"wattle\", charset=\"UTF-8\""),
        ),
        (header, ("x-api-key", "k3y"), &[("x-api-key", "k3"), ("x-api-key", ""), ("authorization", "k3y")], None),
    ];
    for (auth, right, wrong, challenge) in cases {
        let world = start(json!({ "auth": auth })).await;
        let delivering = world.delivering();
        assert_eq!(world.send(&[right], b"x").await.status, StatusCode::OK);
        for wrong in wrong {
            let answer = world.send(&[*wrong], b"x").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
            let asked = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
            assert_eq!(asked, challenge);
            assert!(answer.body["error"].as_str().unwrap().contains("missing or wrong"), "{}", answer.body);
        }
        world.rig.queue.close();
        assert_eq!(delivering.await.unwrap(), ["x"]);
        world.end().await;
    }
}

/// Method, path, headers and body of a request, the status of the response, and a part of its
/// reason.
type Case<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)], &'c [u8], u16, &'c str);

#[tokio::test]
async fn invalid_requests_are_refused_with_a_reason() {
    let world = start(json!({ "path": "/in", "token": "s3cret", "max_body_bytes": 1000 })).await;
    let token = ("authorization", "Bearer s3cret");
    let bomb = gzip([b'x'; 100_000]);
    let large = [b'x'; 1001];
    let cut = &gzip(b"a few words")[..20];
    let cases: &[Case] = &[
        ("POST", "/", &[token], b"x", 404, "send to `/in`"),
        ("POST", "/in/", &[token], b"x", 404, ""),
        ("DELETE", "/in", &[token], b"", 405, "POST or PUT"),
        ("POST", "/in", &[], b"x", 401, "token"),
        ("POST", "/in", &[("authorization", "Bearer wrong")], b"x", 401, "token"),
        ("POST", "/in", &[("authorization", "Bearer s3cretx")], b"x", 401, "token"),
        ("POST", "/in", &[("authorization", "s3cret")], b"x", 401, "token"),
        ("POST", "/in", &[token, ("content-encoding", "br")], b"x", 415, "`br` is not supported"),
        ("POST", "/in", &[token, ("expect", "the unexpected")], b"x", 417, "`100-continue`"),
        ("POST", "/in", &[token, ("content-type", "application/json")], b"[1,", 400, "line 1, column 4"),
        ("POST", "/in", &[token, ("content-encoding", "gzip")], b"no gzip", 400, "damaged"),
        ("POST", "/in", &[token, ("content-encoding", "gzip")], cut, 400, "ends too early"),
        ("POST", "/in", &[token, ("content-encoding", "gzip")], &bomb, 413, "more than 1000"),
        ("POST", "/in", &[token], &large, 413, "larger than 1000"),
    ];
    for (method, path, headers, body, status, reason) in cases {
        let answer = send(world.address, method, path, headers, body).await;
        assert_eq!(answer.status.as_u16(), *status, "{method} {path} {headers:?}: {}", answer.body);
        assert!(answer.body["error"].as_str().unwrap().contains(reason), "{}", answer.body);
    }
    assert_eq!(get(&world.rig.stats.failures), cases.len() as u64);
    assert!(world.rig.queue.is_empty());
    let delivering = world.delivering();
    for method in ["POST", "PUT"] {
        let headers = [("authorization", "bearer s3cret")];
        let answer = send(world.address, method, "/in?query=1", &headers, b"ok").await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn an_empty_body_is_not_an_error() {
    let world = start(json!({})).await;
    for body in [&b""[..], b"\n\n"] {
        let answer = world.send(&[], body).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "events": 0 })));
    }
    assert_eq!(get(&world.rig.stats.skipped_empty), 2);
    world.end().await;
}

#[tokio::test]
async fn a_full_queue_and_too_many_bytes_in_flight_give_429() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.queue = wattle_buffer::Queue::new(1, None, None);
    let options = json!({ "max_wait": "50ms", "max_body_bytes": "4KiB", "max_in_flight_bytes": "8KiB" });
    let world = start_in(rig, options).await;
    let first = world.sending(&[], b"fills the queue\n");
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    let answer = world.send(&[], b"has no room\n").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers.contains_key("retry-after"), "{}", answer.body);

    let taken = world.rig.pop().await;
    let large = world.sending(&[], &[b'x'; 4000]);
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    let answer = world.send(&[], &[b'y'; 4000]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.body["error"].as_str().unwrap().contains("in flight"), "{}", answer.body);

    taken.into_ack().deliver();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    let delivering = world.delivering();
    assert_eq!(large.await.unwrap().status, StatusCode::OK);
    assert_eq!(world.send(&[], &[b'y'; 4000]).await.status, StatusCode::OK, "delivered events free their memory");
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn waiting_requests_time_out() {
    let world = start(json!({ "acknowledge_timeout": "50ms", "read_timeout": "50ms" })).await;
    let answer = world.send(&[], b"never delivered\n").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    world.end().await;
}

#[tokio::test]
async fn bodies_of_unknown_length_are_limited_as_they_arrive() {
    let world = start(json!({ "max_body_bytes": "4KiB", "max_in_flight_bytes": "5KiB" })).await;
    let address = world.address;
    // The end of the body never arrives; the response must not wait for it.
    let status = |chunk: usize| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk:x}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; chunk]).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    assert_eq!(status(4097).await, "413");
    let held = world.sending(&[], &[b'x'; 4000]);
    let batch = world.rig.pop().await;
    assert_eq!(status(3000).await, "429");
    batch.into_ack().deliver();
    assert_eq!(held.await.unwrap().status, StatusCode::OK);
    world.end().await;
}

#[tokio::test]
async fn without_acknowledgement_the_response_is_202_at_once() {
    let world = start(json!({ "acknowledge": false })).await;
    assert_eq!(world.send(&[], b"line\n").await.status, StatusCode::ACCEPTED);
    assert_eq!(world.rig.take(1).await, ["line"]);
    world.end().await;
}

#[tokio::test]
async fn a_stop_completes_open_requests_and_accepts_no_new_ones() {
    let world = start(json!({})).await;
    let idle = connect(world.address).await;
    let answer = world.sending(&[], b"line\n");
    let batch = world.rig.pop().await;
    world.rig.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(world.address).await.is_err());
    assert!(!world.running.is_ended());
    batch.into_ack().deliver();
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    world.running.ended().await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_stop_ends_connections_that_wait_to_be_accepted_at_once() {
    let world = start(json!({ "max_connections": 1 })).await;
    let busy = world.sending(&[], b"busy\n");
    let batch = world.rig.pop().await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx\n").await.unwrap();
        waiting.push(stream);
    }
    let delivering = world.delivering();
    world.rig.stop();
    let is_response =
        |answer: &str| ["200", "503"].iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status} ")));
    // None of them waits for the request that the source still has. One of them was accepted before the stop.
    for mut stream in waiting {
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
        let ended = reading.await.expect("the connection ends");
        let answer = String::from_utf8(answer).unwrap();
        assert!(ended.is_err() || answer.is_empty() || is_response(&answer), "{answer}");
    }
    assert!(TcpStream::connect(world.address).await.is_err());
    batch.into_ack().deliver();
    assert_eq!(busy.await.unwrap().status, StatusCode::OK);
    world.running.ended().await.unwrap();
    delivering.abort();
}

#[tokio::test]
async fn a_stop_closes_connections_with_the_next_response_and_silent_ones_shortly_after() {
    let world = start(json!({})).await;
    let delivering = world.delivering();
    let silent = connect(world.address).await;
    let mut sender = connect(world.address).await;
    let mut post = async || {
        let request = Request::post("/").body(Full::new(Bytes::from_static(b"line\n"))).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        body.collect().await.unwrap();
        assert_eq!(head.status, StatusCode::OK);
        head.headers.get("connection").cloned()
    };
    assert_eq!(post().await, None);
    world.rig.stop();
    assert_eq!(post().await.unwrap(), "close");
    world.running.ended().await.unwrap();
    world.rig.queue.close();
    assert_eq!(delivering.await.unwrap(), ["line", "line"]);
    drop(silent);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_with_a_hint() {
    let world = start(json!({})).await;
    // The listeners of another rig behave like another program.
    let refused = |address: &str| {
        crate::build("http", &json!({ "address": address }), &Listeners::default()).err().unwrap().to_string()
    };
    let error = refused(&world.address.to_string());
    assert!(error.starts_with(&format!("address `{}` is in use; ", world.address)), "{error}");
    let error = refused("no.such.host.invalid:1");
    assert!(error.contains("cannot listen on address `no.such.host.invalid:1`"), "{error}");
    world.end().await;
}

#[tokio::test]
async fn many_concurrent_clients_lose_no_events() {
    let world = start(json!({ "max_connections": 8 })).await;
    let delivering = world.delivering();
    let address = world.address;
    let clients: Vec<_> = (0..32)
        .map(|client| {
            tokio::spawn(async move {
                for number in 0..10 {
                    let answer = send(address, "POST", "/", &[], format!("{client} {number}").as_bytes()).await;
                    assert_eq!(answer.status, StatusCode::OK);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    world.rig.queue.close();
    let mut bodies = delivering.await.unwrap();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 320);
    world.end().await;
}

#[tokio::test]
async fn a_successor_continues_with_the_socket() {
    let rig = || Rig::new(TempDir::new().unwrap().path());
    // A port other than 0, so that the successor can request the same one.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = json!({ "address": free.to_string() });
    let first = rig();
    let running = first.start("http", options.clone());
    first.until(|| first.stats.address.get().is_some()).await;
    let successor = crate::build("http", &options, &first.listeners).unwrap();
    first.stop();
    running.ended().await.unwrap();
    // No source accepts connections at this moment, but the socket still queues them.
    let mut waiting = connect(free).await;
    let second = rig();
    let running = second.start_source(successor);
    let request = Request::post("/").body(Full::new(Bytes::from_static(b"line\n"))).unwrap();
    let answer = tokio::spawn(async move { waiting.send_request(request).await.unwrap().status() });
    second.pop().await.into_ack().deliver();
    assert_eq!(answer.await.unwrap(), StatusCode::OK);
    second.stop();
    running.ended().await.unwrap();
    assert!(TcpStream::connect(free).await.is_err(), "the last source closes the socket");
}
