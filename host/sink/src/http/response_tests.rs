//! The sink with unusual responses: incomplete ones, redirects and closed connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::client::Client;
use super::options::read;
use crate::testing::Rig;

/// Responds to one request per connection with these texts, repeating the last one, and closes the
/// connection. Records the first line and the body of each request.
async fn server(at: &str, answers: &[&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (kept, answers) = (seen.clone(), answers.to_vec());
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"event\n") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            let text = String::from_utf8_lossy(&request);
            let line = text.lines().next().unwrap_or_default().to_owned();
            kept.lock().unwrap().push(line);
            stream.write_all(answers[number.min(answers.len() - 1)].as_bytes()).await.unwrap();
        }
    });
    (address, seen)
}

/// Sends one event until it is delivered; returns the first line of each request.
async fn deliver(at: &str, uri: impl Fn(SocketAddr) -> String, answers: &[&'static str]) -> Vec<String> {
    let (address, seen) = server(at, answers).await;
    let request = json!({ "retry_initial_backoff": "5ms", "retry_max_backoff": "10ms" });
    let encoding = json!({ "codec": "text" });
    let options =
        json!({ "uri": uri(address), "encoding": encoding, "batch": { "timeout": "1ms" }, "request": request });
    let built = crate::build("out", "http", &options).unwrap();
    let rig = Rig::new();
    rig.push_batch(&*built.encoder, &["event"]);
    let task = tokio::spawn(built.sink.run(rig.context()));
    rig.until("the event", || rig.counts().0 == 1).await;
    task.abort();
    let seen = seen.lock().unwrap();
    seen.clone()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn an_incomplete_response_is_retried() {
    let uri = |address: SocketAddr| format!("http://{address}/in");
    for broken in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf"] {
        let seen = deliver("127.0.0.1:0", uri, &[broken, broken, OK]).await;
        assert_eq!(seen, ["POST /in HTTP/1.1"; 3], "{broken:?}");
    }
}

#[tokio::test]
async fn redirects_within_a_server_are_followed() {
    let uri = |address: SocketAddr| format!("http://{address}/in");
    for redirect in [
        "HTTP/1.1 308 Permanent Redirect\r\nlocation: /new\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /new\r\ncontent-length: 2\r\n\r\nhi",
    ] {
        let seen = deliver("127.0.0.1:0", uri, &[redirect, OK]).await;
        assert_eq!(seen, ["POST /in HTTP/1.1", "POST /new HTTP/1.1"]);
    }
    // An endless redirect.
    let circle = "HTTP/1.1 308 Permanent Redirect\r\nlocation: /in\r\ncontent-length: 0\r\n\r\n";
    let (address, seen) = server("127.0.0.1:0", &[circle]).await;
    let (_, settings) = read(&json!({ "uri": uri(address) })).unwrap();
    let client = Client::new(&"out".into(), &settings).unwrap();
    let response = client.send(&settings, Bytes::from_static(b"event\n")).await.unwrap();
    assert_eq!((response.status.as_u16(), seen.lock().unwrap().len()), (308, 4));
}

#[tokio::test]
async fn localhost_is_found_by_ipv4_and_ipv6() {
    let uri = |address: SocketAddr| format!("http://localhost:{}/in", address.port());
    for at in ["127.0.0.1:0", "[::1]:0"] {
        assert_eq!(deliver(at, uri, &[OK]).await, ["POST /in HTTP/1.1"]);
    }
    assert_eq!(deliver("[::1]:0", |address| format!("http://{address}/in"), &[OK]).await.len(), 1);
}

#[tokio::test]
async fn errors_name_the_address_and_its_port() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (silent, _) = server("127.0.0.1:0", &[""]).await;
    let (other, _) = server("127.0.0.1:0", &["SSH-2.0-OpenSSH_9.6\r\n\r\n"]).await;
    for (uri, text) in [
        (format!("http://{closed}/"), format!("nothing listens at `{closed}` (connection refused)")),
        (format!("http://{silent}/"), format!("`{silent}` closed the connection before it responded")),
        (format!("http://{other}/"), format!("`{other}` does not speak HTTP/1.1; check the port")),
        ("http://no.such.host.invalid/".to_owned(), "cannot resolve the name of `no.such.host.invalid:80`".to_owned()),
    ] {
        let (_, settings) = read(&json!({ "uri": uri, "proxy": { "enabled": false } })).unwrap();
        let client = Client::new(&"out".into(), &settings).unwrap();
        let error = client.send(&settings, Bytes::from_static(b"event\n")).await.unwrap_err().to_string();
        assert!(error.starts_with(&text), "{error}");
    }
}
