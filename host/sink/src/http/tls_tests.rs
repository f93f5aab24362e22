//! The sink with TLS servers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wattle_tls::testing::{Authority, Files, Identity, params, self_signed, server};

use super::client::Client;
use super::options::read;
use crate::testing::Rig;

/// A server with an identity that responds 200 to every request. With `clients`, it requires a certificate of them.
pub(super) struct Server {
    pub(super) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(identity: &Identity, clients: Option<&Authority>) -> Self {
        Self::at(0, identity, clients).await
    }

    async fn at(port: u16, identity: &Identity, clients: Option<&Authority>) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server(identity, clients)));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // A client that does not trust the certificate closes the connection here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(response).await.unwrap();
                    }
                });
            }
        });
        Self { port, task }
    }

    fn uri(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }

    /// Stops the server and its connections, so that another server can use the port.
    async fn stop(self) -> u16 {
        self.task.abort();
        let _ = self.task.await;
        self.port
    }
}

/// A server with a self-signed certificate; returns both.
pub(super) async fn any_server() -> (Server, String) {
    let identity = self_signed(&params("localhost", true));
    (Server::start(&identity, None).await, identity.certificate)
}

/// Sends one request; returns the status of the response, or the error.
async fn attempt(uri: &str, tls: Value) -> Result<u16, String> {
    let (_, settings) = read(&json!({ "uri": uri, "tls": tls })).unwrap();
    let client = Client::new(&"out".into(), &settings).map_err(|error| error.to_string())?;
    let response = client.send(&settings, Bytes::from_static(b"one")).await;
    response.map(|response| response.status.as_u16()).map_err(|error| error.to_string())
}

#[track_caller]
fn expect(found: Result<u16, String>, part: &str) {
    let error = found.unwrap_err();
    assert!(error.contains(part), "{error}");
}

#[tokio::test]
async fn only_servers_with_trusted_certificates_receive_events() {
    let (authority, other, files) = (Authority::new("ca"), Authority::new("other"), Files::new());
    let server = Server::start(&authority.issue("localhost"), None).await;
    let uri = server.uri();
    let good = files.write("good.pem", &format!("{}{}", other.pem(), authority.pem()));
    let bad = files.write("bad.pem", &other.pem());
    assert_eq!(attempt(&uri, json!({ "ca_file": good })).await, Ok(200));
    expect(
        attempt(&uri, json!({ "ca_file": bad })).await,
        "name a file with the authority's certificate in `tls.ca_file`",
    );
    assert_eq!(attempt(&uri, json!({ "verify": false })).await, Ok(200));
    let other_name = uri.replace("localhost", "127.0.0.1");
    expect(attempt(&other_name, json!({ "ca_file": good })).await, "its certificate is for another name");
    assert_eq!(attempt(&other_name, json!({ "ca_file": good, "verify": "false" })).await, Ok(200));
}

/// A certificate from `openssl req -x509` is its own authority. It is trusted only if it is listed,
/// for its own name, and while it is valid.
#[tokio::test]
async fn a_self_signed_certificate_is_trusted_if_it_is_listed() {
    let files = Files::new();
    let mut expired = params("localhost", true);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut early = params("localhost", true);
    early.not_before = rcgen::date_time_ymd(2200, 1, 1);
    early.not_after = rcgen::date_time_ymd(2201, 1, 1);
    for (params, part) in [
        (params("localhost", true), None),
        (params("localhost", false), None),
        (params("elsewhere", true), Some("another name")),
        (expired, Some("has expired")),
        (early, Some("is not valid yet")),
    ] {
        let identity = self_signed(&params);
        let server = Server::start(&identity, None).await;
        let listed = files.write("listed.pem", &identity.certificate);
        let found = attempt(&server.uri(), json!({ "ca_file": listed })).await;
        match part {
            None => assert_eq!(found, Ok(200)),
            Some(part) => expect(found, part),
        }
        // Another certificate for the same name, with another key.
        let impostor = files.write("other.pem", &self_signed(&params).certificate);
        assert!(attempt(&server.uri(), json!({ "ca_file": impostor })).await.is_err());
    }
}

#[tokio::test]
async fn a_server_that_requires_a_certificate_gets_it() {
    let (authority, strangers, files) = (Authority::new("ca"), Authority::new("strangers"), Files::new());
    let server = Server::start(&authority.issue("localhost"), Some(&authority)).await;
    let (uri, ca) = (server.uri(), files.write("ca.pem", &authority.pem()));
    expect(attempt(&uri, json!({ "ca_file": ca })).await, "set `tls.crt_file` and `tls.key_file`");
    let pair = |name: &str, identity: &Identity| {
        let crt = files.write(&format!("{name}.pem"), &identity.certificate);
        json!({ "ca_file": ca, "crt_file": crt, "key_file": files.write(&format!("{name}.key"), &identity.key) })
    };
    let good = pair("good", &authority.issue("agent"));
    assert_eq!(attempt(&uri, good.clone()).await, Ok(200));
    let stranger = pair("stranger", &strangers.issue("agent"));
    expect(
        attempt(&uri, stranger.clone()).await,
        "does not accept the client certificate; check the certificate in `tls.crt_file`",
    );
    let mut mixed = good;
    mixed["key_file"] = stranger["key_file"].clone();
    expect(attempt(&uri, mixed).await, "does not belong to the certificate");
}

/// Starts a sink with long waits between retries, and sends it one event.
fn start(uri: &str, tls: &Value) -> (Rig, tokio::task::JoinHandle<Result<(), crate::SinkError>>) {
    let request = json!({ "retry_initial_backoff": "10m", "retry_max_backoff": "10m" });
    let options = json!({ "uri": uri, "tls": tls, "batch": { "timeout": "1ms" }, "request": request });
    let built = crate::build("out", "http", &options).unwrap();
    let rig = Rig::new();
    rig.push_batch(&*built.encoder, &["one"]);
    let task = tokio::spawn(built.sink.run(rig.context()));
    (rig, task)
}

#[tokio::test]
async fn a_renewed_authority_is_used_without_a_restart() {
    let (old, new, files) = (Authority::new("ca"), Authority::new("ca"), Files::new());
    let server = Server::start(&new.issue("localhost"), None).await;
    let tls = json!({ "ca_file": files.write("ca.pem", &old.pem()) });
    let (rig, task) = start(&server.uri(), &tls);
    rig.wait_for_retries(1).await;
    // The sink ignores an incomplete file until it is complete.
    files.write("ca.pem", new.pem().get(..100).unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    files.write("ca.pem", &new.pem());
    rig.until("the event", || rig.counts().0 == 1).await;
    task.abort();
}

#[tokio::test]
async fn a_renewed_client_certificate_is_used_for_the_next_connection() {
    let (old, new, files) = (Authority::new("old"), Authority::new("new"), Files::new());
    let server_identity = old.issue("localhost");
    let server = Server::start(&server_identity, Some(&old)).await;
    let uri = server.uri();
    let identity = old.issue("agent");
    let tls = json!({
        "ca_file": files.write("ca.pem", &old.pem()),
        "crt_file": files.write("crt.pem", &identity.certificate),
        "key_file": files.write("key.pem", &identity.key),
    });
    let (_, settings) = read(&json!({ "uri": uri, "tls": tls })).unwrap();
    let client = Client::new(&"out".into(), &settings).unwrap();
    let send = async || {
        let response = client.send(&settings, Bytes::from_static(b"one")).await;
        response.map(|response| response.status.as_u16()).map_err(|error| error.to_string())
    };
    assert_eq!(send().await, Ok(200));
    // The server now requires certificates of another authority.
    let _server = Server::at(server.stop().await, &server_identity, Some(&new)).await;
    let mut last = send().await;
    for _ in 0..3 {
        last = send().await;
    }
    expect(last, "does not accept the client certificate");
    // The key is replaced after the certificate. In between, the sink keeps the old pair.
    let identity = new.issue("agent");
    files.write("crt.pem", &identity.certificate);
    expect(send().await, "does not accept the client certificate");
    files.write("key.pem", &identity.key);
    assert_eq!(send().await, Ok(200));
}

#[test]
fn an_error_names_the_option_of_a_bad_file() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let identity = authority.issue("agent");
    let (empty, key) = (files.write("empty.pem", ""), files.write("key.pem", &identity.key));
    let crt = files.write("crt.pem", &identity.certificate);
    let cut = files.write("cut.pem", authority.pem().get(..200).unwrap());
    for (tls, option, part) in [
        (json!({ "ca_file": files.missing() }), "tls.ca_file", "cannot read"),
        (json!({ "ca_file": empty }), "tls.ca_file", "contains no PEM certificate"),
        (json!({ "ca_file": key }), "tls.ca_file", "contains no PEM certificate"),
        (json!({ "ca_file": cut }), "tls.ca_file", "not valid PEM"),
        (json!({ "ca_file": crt, "crt_file": files.missing(), "key_file": key }), "tls.crt_file", "cannot read"),
        (json!({ "ca_file": crt, "crt_file": crt, "key_file": crt }), "tls.key_file", "contains no PEM private key"),
    ] {
        let options = json!({ "uri": "https://localhost/", "tls": tls });
        let error = crate::build("out", "http", &options).err().unwrap().to_string();
        assert!(error.starts_with(&format!("option `{option}`: ")) && error.contains(part), "{error}");
        assert!(!error.contains("::") && !error.contains("(\""), "must not contain the name of a type: {error}");
    }
    let named = json!({ "uri": "https://h/", "tls": { "ca_file": "a", "crt_file": "b", "key_file": "c" } });
    assert_eq!(crate::TYPES.files("http", &named), ["a", "b", "c"].map(Path::new));
    assert!(crate::TYPES.files("http", &json!({ "tls": 5 })).is_empty());
    let half = crate::TYPES.check("http", &json!({ "uri": "https://h/", "tls": { "crt_file": "b" } })).unwrap_err();
    assert!(half[0].path == "tls.crt_file" && half[0].to_string().contains("set `tls.key_file`"), "{half:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 512]).await;
    });
    let error = attempt(&format!("https://localhost:{port}/"), json!({ "verify": false })).await.unwrap_err();
    let expected = format!("TLS with `localhost:{port}` failed: the server does not speak TLS on this port");
    assert!(error.starts_with(&expected), "{error}");
}
