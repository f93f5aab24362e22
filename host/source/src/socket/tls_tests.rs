//! Clients over TLS, and clients that fail to use it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wattle_tls::testing::Authority;

use crate::testing::tls::{ClientOf, Log, Setup};
use crate::testing::{Rig, Running, resource, texts};

/// A running `syslog` source with these options of TLS.
async fn start(mut options: Value) -> (Rig, Running, SocketAddr) {
    options["address"] = json!("127.0.0.1:0");
    let rig = Rig::new(std::path::Path::new("/nonexistent"));
    let running = rig.start("syslog", options);
    rig.until(|| rig.stats.address.get().is_some()).await;
    let address = *rig.stats.address.get().unwrap();
    (rig, running, address)
}

/// Failed handshakes of a reason.
fn failures(rig: &Rig, reason: &str) -> u64 {
    rig.stats.tls.failures().iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count)
}

#[tokio::test]
async fn messages_over_tls_arrive_whole_and_the_rest_at_the_end_of_the_connection() {
    let setup = Setup::new();
    let (rig, running, address) = start(setup.options.clone()).await;
    let mut stream = setup.client().connect(address).await.unwrap();
    // A record of TLS has at most 16 KiB.
    let long = format!("<34>{}", "x".repeat(100_000));
    stream.write_all(format!("{} {long}<35>two\n<36>la", long.len()).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut found = Vec::new();
    while found.len() < 2 {
        let batch = rig.pop().await;
        assert_eq!(resource(&batch)["remote"], "127.0.0.1");
        found.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    assert_eq!(found, [long.as_str(), "<35>two"]);
    stream.write_all(b"st").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rig.take(1).await, ["<36>last"]);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn wrong_clients_are_refused_logged_and_counted_and_others_go_on() {
    let setup = Setup::new();
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let (good, stranger) = (clients.issue("device"), strangers.issue("device"));
    for (refused, reason, part) in [
        (
            ClientOf::new(&strangers).with(&good),
            "server_certificate",
            "does not accept the certificate in `tls.crt_file`",
        ),
        (setup.client(), "client_certificate", "the client sent no certificate, but `tls.ca_file` is set"),
        (setup.client().with(&stranger), "client_certificate", "no authority in `tls.ca_file` issued"),
    ] {
        let (log, _guard) = Log::start();
        let (rig, running, address) = start(setup.with_clients_of(&clients)).await;
        let mut right = setup.client().with(&good).connect(address).await.unwrap();
        // In TLS 1.3, a client learns that its certificate is refused only when it reads.
        if let Ok(mut wrong) = refused.connect(address).await {
            let _ = wrong.write_all(b"<34>forged\n").await;
            let ended = wrong.read(&mut [0; 16]).await;
            assert!(!matches!(ended, Ok(1..)), "{ended:?}");
        }
        rig.until(|| failures(&rig, reason) == 1).await;
        let text = log.take();
        assert!(text.contains("TLS handshake failed") && text.contains(part), "{text}");
        right.write_all(b"<34>genuine\n").await.unwrap();
        assert_eq!(rig.take(1).await, ["<34>genuine"]);
        drop(right);
        rig.stop();
        let (rest, ended) = rig.drain(running).await;
        ended.unwrap();
        assert_eq!(rest, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_client_without_tls_is_refused_and_its_messages_are_not_events() {
    let setup = Setup::new();
    let (rig, running, address) = start(setup.options.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"<34>in clear\n").await.unwrap();
    rig.until(|| failures(&rig, "not_tls") == 1).await;
    let closed = stream.read(&mut [0; 16]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    rig.stop();
    let (events, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!(events, Vec::<String>::new());
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_open_ones_stay() {
    let setup = Setup::new();
    let (rig, running, address) = start(setup.options.clone()).await;
    let mut open = setup.client().connect(address).await.unwrap();
    let renewed = Authority::new("renewed");
    setup.write(&renewed.issue("localhost"));
    let mut new = ClientOf::new(&renewed).connect(address).await.unwrap();
    assert!(setup.client().connect(address).await.is_err());
    for (stream, text) in [(&mut open, "<1>old"), (&mut new, "<1>new")] {
        stream.write_all(format!("{text}\n").as_bytes()).await.unwrap();
        assert_eq!(rig.take(1).await, [text]);
    }
    drop((open, new));
    rig.stop();
    running.ended().await.unwrap();
}
