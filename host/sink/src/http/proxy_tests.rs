//! The sink behind a proxy.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::Client;
use super::options::read;
use super::tls_tests::any_server;

/// A proxy that responds with 200 and opens tunnels, or responds to every request with another
/// status.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, status, seen.clone()));
            }
        });
        Self { port, heads }
    }

    fn address(&self, credentials: &str) -> String {
        format!("http://{credentials}localhost:{}", self.port)
    }

    /// The heads of all requests so far, in lower case.
    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

async fn pass(mut stream: TcpStream, status: u16, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    seen.lock().unwrap().push(head.to_ascii_lowercase());
    if status != 200 || to.is_none() {
        let answer = format!("HTTP/1.1 {status} Because\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        // If the rest of the request is not read, the connection is reset.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        return;
    }
    let mut server = TcpStream::connect(to.unwrap()).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
}

async fn attempt(uri: &str, proxy: Value, tls: Value) -> Result<u16, String> {
    let (_, settings) = read(&json!({ "uri": uri, "proxy": proxy, "tls": tls })).unwrap();
    let client = Client::new(&"out".into(), &settings).map_err(|error| error.to_string())?;
    let response = client.send(&settings, Bytes::from_static(b"one")).await;
    response.map(|response| response.status.as_u16()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn plain_requests_are_forwarded_by_the_proxy() {
    let proxy = Proxy::start(200).await;
    let uri = "http://in.example.invalid/in?x=1";
    assert_eq!(attempt(uri, json!(proxy.address("me:geheim@")), json!({})).await, Ok(200));
    let [head] = &proxy.heads()[..] else { panic!("one request") };
    assert!(head.starts_with("post http://in.example.invalid/in?x=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: basic bwu6z2vozwlt\r\n"), "{head}");
    // The host is excluded, so the sink resolves its name itself and fails.
    let excluded = json!({ "http": proxy.address(""), "no_proxy": ["example.invalid"] });
    let error = attempt(uri, excluded, json!({})).await.unwrap_err();
    assert!(error.contains("cannot resolve the name of `in.example.invalid:80`"), "{error}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test]
async fn https_goes_through_a_tunnel_to_the_server() {
    let (server, certificate) = any_server().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let proxy = Proxy::start(200).await;
    let uri = format!("https://localhost:{}/", server.port);
    let tls = json!({ "ca_file": file.path() });
    assert_eq!(attempt(&uri, json!(proxy.address("me:geheim@")), tls.clone()).await, Ok(200));
    let [head] = &proxy.heads()[..] else { panic!("one request") };
    assert!(
        head.starts_with(&format!("connect localhost:{0} http/1.1\r\nhost: localhost:{0}\r\n", server.port)),
        "{head}"
    );
    assert!(head.contains("\r\nproxy-authorization: basic bwu6z2vozwlt\r\n"), "{head}");
    // The certificate is verified against the name of the server, not of the proxy.
    let other = uri.replace("localhost", "127.0.0.1");
    let error = attempt(&other, json!(proxy.address("")), tls).await.unwrap_err();
    assert!(error.contains("its certificate is for another name"), "{error}");
}

#[tokio::test]
async fn a_rejection_by_a_proxy_names_its_address() {
    for (status, credentials, part) in [
        (407, "", "it requires a user and a password"),
        (407, "me:geheim@", "it does not accept the user and the password"),
        (403, "", "its rules do not allow it"),
        (502, "", "with status 502"),
    ] {
        let proxy = Proxy::start(status).await;
        let error =
            attempt("https://in.example.invalid/", json!(proxy.address(credentials)), json!({ "verify": false }))
                .await
                .unwrap_err();
        let text = format!("the proxy `localhost:{}` rejects a connection to `in.example.invalid:443`", proxy.port);
        assert!(error.starts_with(&text) && error.contains(part) && !error.contains("geheim"), "{error}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = attempt("http://in.example.invalid/", json!(format!("http://{closed}")), json!({})).await.unwrap_err();
    assert_eq!(error, format!("nothing listens at `{closed}` (connection refused)"));
}
