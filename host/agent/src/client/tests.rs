//! The client against a server in the test.

use std::net::SocketAddr;

use super::*;
use crate::exit::{FAILED, UNAVAILABLE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Serves each path with its response, which begins with the status; other paths get 404.
async fn serve(responses: Vec<(&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let response = responses.iter().find(|(known, _)| *known == path);
            let response = response.map_or("404 Not Found\r\n\r\nnot found", |(_, response)| response);
            stream.write_all(format!("HTTP/1.1 {response}").as_bytes()).await.unwrap();
        }
    });
    address
}

fn ok(body: &str) -> String {
    format!("200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn client(address: SocketAddr) -> Client {
    Client { places: vec![Place::Address(address.to_string())] }
}

#[tokio::test]
async fn documents_are_read_and_problems_are_reported() {
    let problem = r#"{"error":"tap is off; set `[admin] tap`"}"#;
    let refused = format!("403 Forbidden\r\ncontent-length: {}\r\n\r\n{problem}", problem.len());
    let client = client(serve(vec![("/api/v1", ok("{\"version\":\"9\"}")), ("/api/v1/tap", refused)]).await);
    let index: wattle_api::Index = client.get("").await.unwrap();
    assert_eq!(index.version, "9");
    let error = client.get_text("/tap").await.unwrap_err();
    assert!(!error.is_passing());
    let failure = error.failure("");
    assert_eq!((failure.code, failure.message.as_str()), (FAILED, "tap is off; set `[admin] tap`"));
    let error = client.get_text("/unknown").await.unwrap_err();
    assert!(error.to_string().ends_with("answers with 404 Not Found"), "{error}");
}

#[tokio::test]
async fn an_agent_without_the_api_is_distinguished_from_another_server() {
    let old = client(serve(vec![("/status", ok("{\"version\":\"0.0.7\",\"pid\":1}"))]).await);
    let failure = old.get_text("/status").await.unwrap_err().failure("");
    assert_eq!(failure.code, UNAVAILABLE);
    assert!(failure.message.contains("runs version 0.0.7 without the API"), "{}", failure.message);
    let other = client(serve(vec![("/status", ok("fine"))]).await);
    let message = other.get_text("/status").await.unwrap_err().to_string();
    assert!(message.contains("is not a Wattle agent"), "{message}");
    let other = client(serve(vec![("/api/v1/status", ok("<html>"))]).await);
    let error = other.get::<wattle_api::status::Status>("/status").await.unwrap_err();
    assert!(matches!(error, ClientError::NotAgent(_)));
}

#[tokio::test]
async fn the_next_place_is_tried_and_the_error_names_all() {
    let folder = tempfile::tempdir().unwrap();
    let socket = Place::Socket(folder.path().to_owned());
    let address = serve(vec![("/api/v1/status", ok("{}"))]).await;
    let both = Client { places: vec![socket.clone(), Place::Address(address.to_string())] };
    assert_eq!(both.get_text("/status").await.unwrap(), "{}");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let none = Client { places: vec![socket, Place::Address(closed.to_string())] };
    let error = none.get_text("/status").await.unwrap_err();
    assert!(error.is_passing());
    let failure = error.failure("Name it with `--url`.");
    assert_eq!(failure.code, UNAVAILABLE);
    for part in
        ["no agent answers at `", "control.sock`: ", &format!(", nor at `{closed}`: "), "is it running?\nName it"]
    {
        assert!(failure.message.contains(part), "no `{part}` in: {}", failure.message);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_agent() {
    let whole = "200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: a\ndata: 1\n\ndata: 2\n\n".to_owned();
    let cut = "200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\nda".to_owned();
    let client = client(serve(vec![("/api/v1/whole", whole), ("/api/v1/cut", cut)]).await);
    let mut events = client.stream("/whole").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.event.as_str(), first.data.as_str()), ("a", "1"));
    assert_eq!(events.next().await.unwrap().unwrap().data, "2");
    assert_eq!(events.next().await.unwrap(), None);
    let mut events = client.stream("/cut").await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().data, "1");
    assert!(matches!(events.next().await, Err(ClientError::Lost(_))));
}

#[test]
fn a_query_is_encoded_and_bounded() {
    let pairs = [("point", "main/parse.ok"), ("filter", "body~a b&c=ü")];
    assert_eq!(query(&pairs).ok().as_deref(), Some("point=main%2Fparse.ok&filter=body%7Ea+b%26c%3D%C3%BC"));
    assert!(query(&[("filter", &"x".repeat(20_000))]).is_err());
}

#[test]
fn an_address_may_be_written_with_or_without_its_scheme() {
    for (url, expected) in [
        ("http://127.0.0.1:9598", Some("127.0.0.1:9598")),
        ("http://127.0.0.1:9598/", Some("127.0.0.1:9598")),
        ("localhost:1", Some("localhost:1")),
        ("[::1]:9598", Some("[::1]:9598")),
        ("http://edge-7", Some("edge-7:80")),
        ("https://edge-7", None),
        ("http://edge-7/status", None),
        ("http://me:secret@edge-7", None),
        ("", None),
        ("a b", None),
    ] {
        assert_eq!(place::address(url).ok().as_deref(), expected, "{url}");
    }
}
