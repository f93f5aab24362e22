//! Behaviour of the sink against servers with certificates.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::testing::Far;

/// Starts a server that answers 200 to everything; returns its address and its certificate.
async fn start() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key.into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // One that does not trust the certificate goes away here.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (format!("https://localhost:{port}/"), made.cert.pem())
}

/// Sends one event; returns events delivered and attempts that failed, after one of either.
async fn send(uri: &str, tls: Value) -> (u64, u64) {
    let built = crate::build("out", "http", &json!({"uri": uri, "tls": tls, "batch": {"timeout": "1ms"}})).unwrap();
    let far = Far::new();
    far.push_batch(&*built.encoder, &["one"]);
    let task = tokio::spawn(built.sink.run(far.context()));
    far.until("an outcome", || far.counts().0 + far.counts().3 > 0).await;
    task.abort();
    (far.counts().0, far.counts().3)
}

#[tokio::test]
async fn only_certificates_that_are_trusted_get_events() {
    let (uri, certificate) = start().await;
    let (_, other) = start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (good, bad) = (file("good.pem", &certificate), file("bad.pem", &other));
    assert_eq!(send(&uri, json!({"ca_file": good})).await, (1, 0));
    assert_eq!(send(&uri, json!({"ca_file": bad})).await, (0, 1));
    assert_eq!(send(&uri, json!({"verify": false})).await, (1, 0));
    let wrong_name = uri.replace("localhost", "127.0.0.1");
    assert_eq!(send(&wrong_name, json!({"ca_file": good})).await, (0, 1));
    assert_eq!(send(&wrong_name, json!({"ca_file": good, "verify": "false"})).await, (1, 0));
}

#[test]
fn a_certificate_file_must_hold_one() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (path, part) in [(folder.path().join("missing.pem"), "cannot be read"), (empty, "holds no certificate")] {
        let options = json!({"uri": "https://localhost/", "tls": {"ca_file": path}});
        let error = crate::build("out", "http", &options).err().unwrap().to_string();
        assert!(error.starts_with("sink `out`: option `tls.ca_file`: `") && error.contains(part), "{error}");
    }
}
