//! Clients that probe, send nothing, or announce more than they send.

use std::time::Instant;

use hyper::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::tests::{send, start};
use super::*;
use crate::stats::get;
use crate::testing::gzip;

/// Opens a connection and sends these bytes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads until the source closes the connection; returns the text.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("it closes");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn probes_get_a_response_and_do_not_count_as_failures() {
    let world = start(json!({ "token": "s3cret" })).await;
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("GET", "/", 405),
        ("HEAD", "/", 405),
        ("OPTIONS", "/", 204),
        ("GET", "/favicon.ico", 404),
        ("OPTIONS", "/elsewhere", 404),
    ] {
        let stream =
            raw(world.address, format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n").as_bytes()).await;
        let answer = rest(stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
    }
    assert_eq!(get(&world.rig.stats.failures), 0);
    assert_eq!(send(world.address, "POST", "/health", &[], b"x").await.status, 404);
    assert_eq!(get(&world.rig.stats.failures), 1, "only the request with events counts as a failure");
    world.end().await;
}

#[tokio::test]
async fn requests_that_a_proxy_could_parse_differently_are_refused() {
    let world = start(json!({})).await;
    for (headers, body, status, reason) in [
        ("host: a\r\nhost: b\r\ncontent-length: 2", "ab", 400, "more than one `Host`"),
        ("host: a\r\ntransfer-encoding: gzip, chunked", "2\r\nab\r\n0\r\n\r\n", 501, "`chunked`"),
        ("host: a\r\ncontent-length: 2\r\ncontent-length: 3", "abc", 400, ""),
        ("host: a\r\ntransfer-encoding: chunked", "zz\r\nab\r\n0\r\n\r\n", 400, "check its chunks"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nconnection: close\r\n{headers}\r\n\r\n{body}");
        let answer = rest(raw(world.address, request.as_bytes()).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        assert!(answer.contains(reason), "{headers}: {answer}");
    }
    assert!(world.rig.queue.is_empty());
    world.end().await;
}

#[tokio::test]
async fn data_after_a_compressed_body_is_refused() {
    let world = start(json!({})).await;
    let zstd = zstd::encode_all(&b"first\n"[..], 1).unwrap();
    for (encoding, mut body) in [("gzip", gzip(b"first\n")), ("zstd", zstd)] {
        body.extend(b"second, plain\n");
        let answer = world.send(&[("content-encoding", encoding)], &body).await;
        assert_eq!(answer.status, 400, "{encoding}: {}", answer.body);
        assert!(answer.body["error"].as_str().unwrap().contains("other data"), "{encoding}: {}", answer.body);
    }
    assert!(world.rig.queue.is_empty());
    world.end().await;
}

#[tokio::test]
async fn the_health_path_can_be_changed_or_disabled() {
    for (health_path, at, status) in [("/live", "/live", 200), ("/live", "/health", 404), ("", "/health", 404)] {
        let world = start(json!({ "health_path": health_path })).await;
        assert_eq!(send(world.address, "GET", at, &[], b"").await.status, status, "{health_path} {at}");
        world.end().await;
    }
}

/// Requests that announce a length and send no body or only a part of it; more of them than would
/// fit.
#[tokio::test]
async fn announced_and_unsent_bytes_use_no_memory() {
    let world = start(json!({ "max_body_bytes": "1MiB", "max_in_flight_bytes": "1MiB" })).await;
    let delivering = world.delivering();
    let mut silent = Vec::new();
    for body in ["", "some bytes", &"x".repeat(100 << 10)] {
        for _ in 0..3 {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", 1 << 20);
            silent.push(raw(world.address, head.as_bytes()).await);
        }
    }
    for size in [2, 100 << 10, 400 << 10] {
        assert_eq!(world.send(&[], &vec![b'y'; size]).await.status, StatusCode::OK, "{size}");
    }
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn clients_that_stop_within_a_body_are_closed_for_others() {
    let world = start(json!({ "max_body_bytes": "1MiB", "max_in_flight_bytes": "1MiB" })).await;
    let delivering = world.delivering();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{}", 1 << 20, "x".repeat(900 << 10));
    let mut stopped = raw(world.address, head.as_bytes()).await;
    let until = Instant::now() + Duration::from_secs(15);
    let mut was_kept_out = false;
    loop {
        assert!(Instant::now() < until, "other clients are blocked");
        match world.send(&[], &[b'y'; 400 << 10]).await.status {
            StatusCode::OK if was_kept_out => break,
            StatusCode::OK => {}
            // The client that stopped could still continue.
            _ => was_kept_out = true,
        }
        // The source may serve the others first and then find no room for this client.
        let answered = tokio::time::timeout(Duration::from_millis(1), stopped.peek(&mut [0])).await;
        if answered.is_ok() && !was_kept_out {
            stopped = raw(world.address, head.as_bytes()).await;
        }
    }
    let answer = rest(stopped).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn bodies_that_exceed_the_free_memory_are_refused() {
    let world = start(json!({ "max_in_flight_bytes": "64MiB", "max_body_bytes": "64MiB" })).await;
    let bomb = gzip(vec![b' '; 48 << 20]);
    let address = world.address;
    let sends: Vec<_> = (0..8)
        .map(|_| {
            let bomb = bomb.clone();
            tokio::spawn(async move { send(address, "POST", "/", &[("content-encoding", "gzip")], &bomb).await.status })
        })
        .collect();
    // One of the bodies fits; it is never delivered.
    let batch = world.rig.pop().await;
    let mut refused = 0;
    while refused < 7 {
        refused = sends.iter().filter(|send| send.is_finished()).count();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    batch.into_ack().deliver();
    let mut statuses = Vec::new();
    for send in sends {
        statuses.push(send.await.unwrap().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429, 429, 429, 429, 429, 429, 429]);
    world.end().await;
}

/// Connections that send nothing, half a head, half a body, or nothing more after a request.
#[tokio::test]
async fn connections_that_send_nothing_do_not_block_others() {
    let world = start(json!({ "max_connections": 8, "read_timeout": "10m", "idle_timeout": "10m" })).await;
    let delivering = world.delivering();
    let whole = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
    let mut kept = Vec::new();
    for bytes in [&b""[..], b"POST / HT", &whole[..whole.len() - 1], whole].repeat(6) {
        kept.push(raw(world.address, bytes).await);
    }
    for _ in 0..20 {
        assert_eq!(world.send(&[], b"new client").await.status, StatusCode::OK);
    }
    // The source closed the oldest connections.
    rest(kept.remove(0)).await;
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_a_while() {
    let world = start(json!({ "idle_timeout": "50ms" })).await;
    let (silent, half) = (raw(world.address, b"").await, raw(world.address, b"POST / HT").await);
    for stream in [silent, half] {
        let answer = rest(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_send_nothing() {
    let world = start(json!({ "read_timeout": "10m", "idle_timeout": "10m" })).await;
    let mut clients = vec![raw(world.address, b"").await, raw(world.address, b"POST / HT").await];
    for body in ["", "half"] {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{body}");
        clients.push(raw(world.address, head.as_bytes()).await);
    }
    // A complete request gets its response.
    let working = raw(world.address, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
    let batch = world.rig.pop().await;
    world.rig.stop();
    for client in clients {
        let answer = rest(client).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    assert!(!world.running.is_ended());
    batch.into_ack().deliver();
    world.running.ended().await.unwrap();
    let answer = rest(working).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
}
