//! TLS and proxies.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use wattle_aws::{ErrorKind, S3, Session, SessionConfig, StaticEnv};

use crate::config;
use crate::double::{Double, Reply, ok};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"secure\"\r\nconnection: close\r\n\r\n";

/// A TLS server whose certificate is in `ca.pem` of the folder. Returns its port.
async fn tls_server(folder: &Path) -> u16 {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(RESPONSE).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// A proxy for tunnels. Returns its port, and the head of the first request by the channel.
async fn proxy() -> (u16, tokio::sync::oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let to = head.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
        let mut server = TcpStream::connect(to).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        send.send(head).unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    (port, receive)
}

fn at(endpoint: &str, variables: &[(&str, String)]) -> SessionConfig {
    let auth = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"});
    let mut config = config(json!({"region": "eu-west-1", "endpoint": endpoint, "auth": auth}));
    let envs: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    config.env = Arc::new(StaticEnv { home_dir: None, envs });
    config
}

async fn head(config: SessionConfig) -> Result<Option<String>, wattle_aws::Error> {
    let session = Session::new(config).await.unwrap();
    S3::new(&session).head("logs", "k", None).await.map(|head| head.etag)
}

#[tokio::test]
async fn only_trusted_servers_get_requests() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("https://localhost:{}", tls_server(folder.path()).await);
    let mut trusting = at(&endpoint, &[]);
    trusting.tls.ca_file = Some(folder.path().join("ca.pem"));
    assert_eq!(head(trusting).await.unwrap().as_deref(), Some("secure"));
    let other = tempfile::tempdir().unwrap();
    tls_server(other.path()).await;
    let mut wary = at(&endpoint, &[]);
    wary.tls.ca_file = Some(other.path().join("ca.pem"));
    let error = head(wary).await.unwrap_err();
    assert!(error.kind == ErrorKind::Connection && error.to_string().contains("TLS failed: "), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named_without_its_password() {
    for (endpoint, variable) in [("https://localhost:1", "HTTPS_PROXY"), ("http://localhost:1", "HTTP_PROXY")] {
        let config = at(endpoint, &[(variable, "http://me:pass@127.0.0.1:9".to_owned())]);
        let error = head(config).await.unwrap_err();
        let wanted = "the proxy `http://127.0.0.1:9` of the environment: nothing listens there (connection refused)";
        assert!(error.to_string().contains(wanted) && error.kind == ErrorKind::Connection, "{error}");
        assert!(!error.to_string().contains("pass"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_tunnels_https_and_gets_its_credentials_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("https://localhost:{}", tls_server(folder.path()).await);
    let (port, seen) = proxy().await;
    let mut config = at(&endpoint, &[("HTTPS_PROXY", format!("http://me:pass@127.0.0.1:{port}"))]);
    config.tls.ca_file = Some(folder.path().join("ca.pem"));
    assert_eq!(head(config).await.unwrap().as_deref(), Some("secure"));
    let request = seen.await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("connect localhost:"), "{request}");
    assert!(request.contains("proxy-authorization: basic bwu6cgfzcw=="), "{request}");
    assert!(!request.contains("akidexample"), "{request}");
}

#[tokio::test]
async fn a_proxy_forwards_plain_http() {
    let double = Double::with(vec![ok("")]).await;
    let address = double.address.replace("http://", "http://me:pass@");
    head(at("http://storage.example.com", &[("http_proxy", address.clone())])).await.unwrap();
    let seen = &double.seen()[0];
    assert_eq!(seen.target, "http://storage.example.com/logs/k");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6cGFzcw=="));
    // Hosts of `NO_PROXY` are reached directly.
    let direct = Double::with(vec![Reply::Full(200, vec![("etag", "direct".to_owned())], Vec::new())]).await;
    let variables = [("http_proxy", address), ("NO_PROXY", "127.0.0.1".to_owned())];
    assert_eq!(head(at(&direct.address, &variables)).await.unwrap().as_deref(), Some("direct"));
    assert_eq!((direct.seen()[0].header("proxy-authorization"), double.seen().len()), (None, 1));
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_an_error_with_a_fix() {
    let error = head(at("http://storage.example.com", &[("ALL_PROXY", "socks5://127.0.0.1:1".to_owned())])).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("must begin with `http://` or `https://`"), "{error}");
}
