//! The sink with servers over TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::NoServerSessionStorage;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use wattle_batch::Disposition;
use wattle_tls::testing::{Authority, Files, Identity, server};

use crate::testing::Running;

/// A server that reads lines.
struct Server {
    port: u16,
    lines: mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// With `clients`, it requires a certificate of them. Without `tickets`, it sends nothing after the handshake.
    async fn start(port: u16, identity: &Identity, clients: Option<&Authority>, tickets: bool) -> Self {
        let mut config = server(identity, clients);
        if !tickets {
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, lines) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        read(stream, sender).await;
                    }
                });
            }
        });
        Self { port, lines, task }
    }

    /// Stops the server and its connections.
    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await.unwrap().unwrap()
    }
}

async fn read(stream: impl AsyncRead + AsyncWrite + Unpin, sender: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = sender.send(line);
    }
}

fn start(port: u16, tls: Value) -> Running {
    let options = json!({ "address": format!("localhost:{port}"), "framing": "lines", "tls": tls,
        "request": { "retry_initial_backoff": "5ms", "retry_max_backoff": "20ms" } });
    Running::start("syslog", &options)
}

/// Waits until the sink says that an operator must act; returns the reason.
async fn broken(running: &Running) -> String {
    let stats = running.rig.context().stats;
    running.rig.until("an error", || stats.broken(Duration::ZERO).is_some()).await;
    stats.broken(Duration::ZERO).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_over_tls_with_and_without_tickets() {
    let (authority, files) = (Authority::new("ca"), Files::new());
    let ca_file = files.write("ca.pem", &authority.pem());
    for tickets in [true, false] {
        let mut server = Server::start(0, &authority.issue("localhost"), None, tickets).await;
        let running = start(server.port, json!({ "ca_file": ca_file }));
        let long = format!("<13>{}", "x".repeat(100_000));
        for number in 0..200 {
            running.push(&[&format!("<13>{number}"), &long]);
        }
        let finishing = tokio::spawn(running.finish());
        for number in 0..200 {
            assert_eq!(server.next().await, format!("<13>{number}"));
            assert_eq!(server.next().await, long);
        }
        let rig = finishing.await.unwrap();
        assert_eq!((rig.counts().0, rig.counts().3), (400, 0), "tickets {tickets}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_server_gets_nothing_until_its_authority_is_listed() {
    let (authority, files) = (Authority::new("ca"), Files::new());
    let ca_file = files.write("ca.pem", &Authority::new("other").pem());
    let mut server = Server::start(0, &authority.issue("localhost"), None, true).await;
    let running = start(server.port, json!({ "ca_file": ca_file }));
    running.push(&["<13>secret"]);
    let reason = broken(&running).await;
    assert!(reason.contains("name a file with the authority's certificate in `tls.ca_file`"), "{reason}");
    assert!(server.lines.try_recv().is_err());
    assert_eq!(running.rig.acks(), []);
    files.write("ca.pem", &authority.pem());
    assert_eq!(server.next().await, "<13>secret");
    running.rig.wait(1).await;
    assert_eq!(running.rig.context().stats.broken(Duration::ZERO), None);
    // A certificate for another name.
    server.stop().await;
    let server = Server::start(0, &authority.issue("elsewhere"), None, true).await;
    let other = start(server.port, json!({ "ca_file": ca_file }));
    other.push(&["<13>secret"]);
    let reason = broken(&other).await;
    assert!(reason.contains("its certificate is for another name; check the name in `address`"), "{reason}");
    assert_eq!(running.finish().await.acks(), [Disposition::Delivered]);
}

/// In TLS 1.3, the sink learns that its certificate is refused after it has sent events, and the kernel of the server has
/// acknowledged them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_for_a_server_that_refuses_the_client_are_not_lost() {
    let (authority, clients, files) = (Authority::new("ca"), Authority::new("clients"), Files::new());
    let ca_file = files.write("ca.pem", &authority.pem());
    let write =
        |identity: &Identity| (files.write("crt.pem", &identity.certificate), files.write("key.pem", &identity.key));
    for tickets in [true, false] {
        let (crt_file, key_file) = write(&Authority::new("strangers").issue("agent"));
        let mut server = Server::start(0, &authority.issue("localhost"), Some(&clients), tickets).await;
        let without = start(server.port, json!({ "ca_file": ca_file }));
        let stranger = start(server.port, json!({ "ca_file": ca_file, "crt_file": crt_file, "key_file": key_file }));
        for (sink, part) in [
            (&without, "the server requires a client certificate; set `tls.crt_file`"),
            (&stranger, "the server does not accept the client certificate; check the certificate in `tls.crt_file`"),
        ] {
            sink.push(&["<13>one", "<13>two"]);
            let reason = broken(sink).await;
            assert!(reason.contains(part), "{reason}");
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!((sink.rig.acks(), sink.rig.counts().0), (vec![], 0));
        }
        write(&clients.issue("agent"));
        assert_eq!([server.next().await, server.next().await], ["<13>one", "<13>two"]);
        assert_eq!(stranger.finish().await.acks(), [Disposition::Delivered]);
        without.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(listener.local_addr().unwrap().port(), json!({ "verify": false }));
    running.push(&["<13>secret"]);
    let answering = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            if stream.write_all(b"220 this is no TLS\r\n").is_err() {
                continue;
            }
            return (listener, stream);
        }
    });
    let reason = broken(&running).await;
    assert!(
        reason.contains("the server does not speak TLS on this port; remove `tls`, or use another port"),
        "{reason}"
    );
    drop(answering.await.unwrap());
    running.task.abort();
}
