//! Real requests over the loopback interface.

use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::*;
use crate::http::tests::{World, end_batch, send};
use crate::stats::get;
use crate::testing::{Rig, gzip, resource, texts};

const LOGS: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"api"}}]},
    "scopeLogs":[{"logRecords":[{"body":{"stringValue":"one"},"severityNumber":9},{"body":{"stringValue":"two"}}]}]}]}"#;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const CALL: (&str, &str) = ("content-type", "application/grpc");

fn protobuf() -> Vec<u8> {
    let request = wattle_otlp::Request::decode(Signal::Logs, Encoding::Json, Bytes::from_static(LOGS.as_bytes()));
    request.unwrap().encode(Encoding::Protobuf)
}

async fn start(mut options: Value) -> World {
    options["grpc_address"] = json!("");
    options["http_address"] = json!("127.0.0.1:0");
    let rig = Rig::new(TempDir::new().unwrap().path());
    let running = rig.start("otlp", options);
    rig.until(|| rig.stats.address.get().is_some()).await;
    let address = *rig.stats.address.get().unwrap();
    World { rig: std::sync::Arc::new(rig), running, address }
}

/// The result of a call.
struct Called {
    status: String,
    message: String,
    details: Vec<u8>,
    body: Vec<u8>,
}

async fn connect(world: &World) -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(world.address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    path: &'static str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
) -> Called {
    let mut request = Request::builder().method("POST").uri(format!("http://localhost{path}")).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or(head.headers);
    let text = |name: HeaderName| trailers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let details = BASE64_STANDARD_NO_PAD.decode(text(GRPC_DETAILS)).unwrap();
    Called { status: text(GRPC_STATUS), message: text(GRPC_MESSAGE), details, body: body.to_bytes().to_vec() }
}

#[tokio::test]
async fn requests_over_http_are_answered_when_their_events_are_delivered() {
    let world = start(json!({})).await;
    for (headers, body) in [
        (vec![PROTOBUF], protobuf()),
        (vec![PROTOBUF, ("content-encoding", "gzip")], gzip(protobuf())),
        (vec![JSON], LOGS.into()),
        (
            vec![("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")],
            gzip(LOGS.as_bytes()),
        ),
    ] {
        let address = world.address;
        let content_type = headers[0].1.split(';').next().unwrap();
        let answer = tokio::spawn(async move { send(address, "POST", "/v1/logs", &headers, &body).await });
        let batch = world.rig.pop().await;
        assert_eq!(texts(&batch), ["one", "two"]);
        assert_eq!(resource(&batch), json!({ "name": "in", "type": "otlp", "remote": "127.0.0.1" }));
        let mut written = Vec::new();
        batch.write_json(0, &mut written);
        let event: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&event["severity"], &event["resource"]["service.name"]), (&json!({"number": 9}), &json!("api")));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!answer.is_finished());
        batch.into_ack().deliver();
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (StatusCode::OK, content_type));
        assert_eq!(answer.body, if content_type == JSON.1 { json!({}) } else { Value::Null });
    }
    assert_eq!((get(&world.rig.stats.events), get(&world.rig.stats.failures)), (8, 0));
    world.end().await;
}

#[tokio::test]
async fn rejected_events_are_a_partial_success() {
    let world = start(json!({})).await;
    let address = world.address;
    let answer = tokio::spawn(async move { send(address, "POST", "/v1/logs", &[JSON], LOGS.as_bytes()).await });
    end_batch(world.rig.pop().await, "reject");
    let answer = answer.await.unwrap();
    let partial = json!({ "rejectedLogRecords": "1", "errorMessage": "the destination rejected these for good" });
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "partialSuccess": partial })));
    let mut sender = connect(&world).await;
    let called = tokio::join!(call(&mut sender, Signal::Logs.grpc_path(), &[CALL], framed(0, &protobuf())), async {
        end_batch(world.rig.pop().await, "reject")
    },);
    assert_eq!(called.0.status, "0");
    let expected =
        wattle_otlp::response(Signal::Logs, Encoding::Protobuf, Some((1, "the destination rejected these for good")));
    assert_eq!(called.0.body, framed(0, &expected));
    drop(sender);
    world.end().await;
}

#[tokio::test]
async fn calls_share_a_connection_and_may_be_compressed() {
    let world = start(json!({ "grpc_address": "" })).await;
    let sender = connect(&world).await;
    let calls = [
        (vec![CALL], framed(0, &protobuf())),
        (vec![("content-type", "application/grpc+proto"), ("grpc-encoding", "gzip")], framed(1, &gzip(protobuf()))),
        (vec![CALL, ("grpc-encoding", "zstd")], framed(1, &zstd::encode_all(&protobuf()[..], 1).unwrap())),
        (vec![CALL, ("grpc-encoding", "gzip")], framed(0, &protobuf())),
    ];
    let running: Vec<_> = calls
        .into_iter()
        .map(|(headers, body)| {
            let mut sender = sender.clone();
            tokio::spawn(async move { call(&mut sender, Signal::Logs.grpc_path(), &headers, body).await })
        })
        .collect();
    let mut batches = Vec::new();
    for _ in 0..running.len() {
        batches.push(world.rig.pop().await);
    }
    assert!(running.iter().all(|call| !call.is_finished()), "all calls are open at the same time");
    for batch in batches {
        assert_eq!(texts(&batch), ["one", "two"]);
        batch.into_ack().deliver();
    }
    for call in running {
        let called = call.await.unwrap();
        assert_eq!((&*called.status, &called.body[..]), ("0", &framed(0, b"")[..]));
    }
    drop(sender);
    world.end().await;
}

#[tokio::test]
async fn refused_requests_say_whether_to_send_them_again() {
    let world = start(json!({ "max_body_bytes": "1KiB", "max_in_flight_bytes": "1MiB", "token": "t" })).await;
    let bearer = ("authorization", "Bearer t");
    for (path, headers, body, status, reason) in [
        ("/v1/log", vec![PROTOBUF, bearer], protobuf(), StatusCode::NOT_FOUND, "unknown path"),
        (
            "/v1/logs",
            vec![("content-type", "text/plain"), bearer],
            protobuf(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "text/plain",
        ),
        ("/v1/logs", vec![PROTOBUF], protobuf(), StatusCode::UNAUTHORIZED, "bearer token"),
        ("/v1/logs", vec![JSON, bearer], b"{\"resourceLogs\":1}".to_vec(), StatusCode::BAD_REQUEST, "must be a list"),
        ("/v1/logs", vec![JSON, bearer], vec![b' '; 2000], StatusCode::PAYLOAD_TOO_LARGE, "max_body_bytes"),
    ] {
        let answer = send(world.address, "POST", path, &headers, &body).await;
        assert_eq!(answer.status, status);
        if headers[0] == JSON {
            assert!(answer.body["message"].as_str().unwrap().contains(reason), "{}", answer.body);
        }
    }
    let mut sender = connect(&world).await;
    for (path, headers, body, code, reason) in [
        ("/x.y/Export", vec![CALL, bearer], framed(0, b""), "12", "services of OTLP"),
        (Signal::Logs.grpc_path(), vec![CALL], framed(0, b""), "16", "bearer token"),
        (Signal::Logs.grpc_path(), vec![CALL, bearer], framed(0, b"\xff\xff"), "3", "not valid protobuf"),
        (Signal::Logs.grpc_path(), vec![CALL, bearer], vec![0, 0, 0, 0, 9], "3", "has 9 bytes, and 0 follow"),
        (Signal::Logs.grpc_path(), vec![CALL, bearer], vec![], "3", "no message"),
        (Signal::Logs.grpc_path(), vec![CALL, bearer, ("grpc-encoding", "snappy")], framed(1, b"x"), "12", "snappy"),
        (Signal::Logs.grpc_path(), vec![CALL, bearer], framed(0, &vec![b' '; 2000]), "8", "max_body_bytes"),
    ] {
        let called = call(&mut sender, path, &headers, body).await;
        assert!(called.status == code && called.message.contains(reason), "{} {}", called.status, called.message);
        // No code with details: the client must not repeat the call.
        assert_eq!(called.details, b"");
    }
    let headers = [CALL, bearer];
    let (called, ()) =
        tokio::join!(call(&mut sender, Signal::Logs.grpc_path(), &headers, framed(0, &protobuf())), async {
            end_batch(world.rig.pop().await, "drop")
        },);
    assert_eq!(called.status, "14");
    let expected =
        wattle_otlp::status(Encoding::Protobuf, 14, "the events were not delivered; send them again", Some(1));
    assert_eq!(called.details, expected);
    drop(sender);
    world.end().await;
}

#[tokio::test]
async fn a_stop_answers_open_calls_and_refuses_later_ones() {
    let world = start(json!({})).await;
    let sender = connect(&world).await;
    let mut first = sender.clone();
    let open =
        tokio::spawn(async move { call(&mut first, Signal::Logs.grpc_path(), &[CALL], framed(0, &protobuf())).await });
    let batch = world.rig.pop().await;
    world.rig.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!open.is_finished() && !world.running.is_ended());
    batch.into_ack().deliver();
    assert_eq!(open.await.unwrap().status, "0");
    // The client keeps its connection, which does not delay the end.
    world.running.ended().await.unwrap();
    drop(sender);
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let world = start(json!({ "idle_timeout": "200ms" })).await;
    for begin in ["", "P", "PR", "POST"] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the source closes it").ok();
    }
    world.end().await;
}
