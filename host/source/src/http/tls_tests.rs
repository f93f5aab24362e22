//! Clients over TLS, and clients that fail to use it.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wattle_tls::testing::{Authority, params};

use super::tests::{World, send, start, start_type};
use super::*;
use crate::stats::get;
use crate::testing::Rig;
use crate::testing::tls::{ClientOf, Log, Sender, Setup, request};

/// Failed handshakes of a reason.
fn failures(world: &World, reason: &str) -> u64 {
    let all = world.rig.stats.tls.failures();
    all.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count)
}

fn all_failures(world: &World) -> u64 {
    world.rig.stats.tls.failures().iter().map(|(_, count)| count).sum()
}

/// A pause after which the next failure is logged.
async fn until_the_log_is_open() {
    tokio::time::sleep(Duration::from_millis(1050)).await;
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_sends_events() {
    let setup = Setup::new();
    for type_name in ["http", "aws_firehose"] {
        let rig = Rig::new(TempDir::new().unwrap().path());
        let world = start_type(type_name, rig, setup.options.clone()).await;
        let delivering = world.delivering();
        // Firehose requires a header.
        let expected = if type_name == "http" { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(setup.client().post(world.address).await, Ok(expected));
        // A probe of the port, and one without TLS that sends nothing.
        drop(TcpStream::connect(world.address).await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(all_failures(&world), 0);
        assert_eq!(world.rig.stats.tls.failures().len(), 7, "a source with TLS reports counts of zero");
        delivering.abort();
        world.end().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_accept_the_certificate_is_logged_with_the_reason() {
    let (log, _guard) = Log::start();
    let setup = Setup::new();
    let world = start(setup.options.clone()).await;
    let other = Authority::new("other");
    let error = ClientOf::new(&other).post(world.address).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    world.rig.until(|| failures(&world, "server_certificate") == 1).await;
    let text = log.take();
    assert!(text.contains("WARN") && text.contains("TLS handshake failed"), "{text}");
    assert!(text.contains("the client does not accept the certificate in `tls.crt_file`"), "{text}");
    assert!(text.contains("source=in") && text.contains("peer=127.0.0.1:"), "{text}");

    // Nothing more is logged within a second, but all is counted.
    let mut expired = params("localhost", false);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    setup.write(&setup.authority.sign(&expired));
    let error = setup.client().post(world.address).await.unwrap_err();
    assert!(error.contains("expired"), "{error}");
    world.rig.until(|| failures(&world, "server_certificate") == 2).await;
    assert!(!log.take().contains("handshake failed"));
    until_the_log_is_open().await;
    setup.client().post(world.address).await.unwrap_err();
    world.rig.until(|| failures(&world, "server_certificate") == 3).await;
    assert!(log.take().contains("not_logged=1"));
    assert_eq!(all_failures(&world), 3);
    assert_eq!(get(&world.rig.stats.failures), 0, "no request failed");
    world.end().await;
}

#[tokio::test]
async fn with_authorities_of_clients_a_client_needs_a_certificate_of_them() {
    let setup = Setup::new();
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let mut expired = params("agent", false);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut server_only = params("agent", false);
    server_only.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let identities = [
        (None, "the client sent no certificate, but `tls.ca_file` is set"),
        (Some(strangers.issue("agent")), "no authority in `tls.ca_file` issued the client's certificate"),
        // The same name, but another key.
        (Some(Authority::new("clients").issue("agent")), "no authority in `tls.ca_file` issued"),
        (Some(clients.sign(&expired)), "the client's certificate has expired"),
        (Some(clients.sign(&server_only)), "is not for clients"),
        (Some(clients.sign(&params("agent", true))), "belongs to an authority"),
    ];
    for (refused, (identity, part)) in identities.iter().enumerate() {
        // A source for each, so that its log is not limited yet.
        let (log, _guard) = Log::start();
        let world = start(setup.with_clients_of(&clients)).await;
        let client = ClientOf { identity: identity.as_ref(), ..setup.client() };
        assert!(client.post(world.address).await.is_err(), "{part}");
        world.rig.until(|| failures(&world, "client_certificate") == 1).await;
        let text = log.take();
        assert!(text.contains(part), "{refused}: {text}");
        world.end().await;
    }
    let world = start(setup.with_clients_of(&clients)).await;
    let delivering = world.delivering();
    let good = clients.issue("agent");
    assert_eq!(setup.client().with(&good).post(world.address).await, Ok(StatusCode::OK));
    assert_eq!(all_failures(&world), 0);
    delivering.abort();
    world.end().await;

    // Switched off, the same options accept clients without a certificate.
    let mut options = setup.with_clients_of(&clients);
    options["tls"]["verify"] = json!(false);
    let world = start(options).await;
    let delivering = world.delivering();
    assert_eq!(setup.client().post(world.address).await, Ok(StatusCode::OK));
    delivering.abort();
    world.end().await;
}

/// Subject of the certificate that a server presents: an authority that trusts it.
async fn is_served(authority: &Authority, address: SocketAddr) -> bool {
    ClientOf::new(authority).connect(address).await.is_ok()
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_new_connections_and_old_ones_go_on() {
    let setup = Setup::new();
    let renewed = Authority::new("renewed");
    let world = start(setup.options.clone()).await;
    let address = world.address;
    let delivering = world.delivering();
    let mut kept = Sender::new(setup.client().connect(address).await.unwrap()).await.unwrap();
    assert_eq!(kept.post().await, Ok(StatusCode::OK));

    // Half a file, a certificate without its key, and no file at all keep the certificate before.
    let identity = renewed.issue("localhost");
    setup.files.write("crt.pem", identity.certificate.get(..300).unwrap());
    assert!(is_served(&setup.authority, address).await);
    setup.files.write("crt.pem", &identity.certificate);
    assert!(is_served(&setup.authority, address).await && !is_served(&renewed, address).await);
    let key = setup.files.write("key.pem", "");
    std::fs::remove_file(&key).unwrap();
    assert!(is_served(&setup.authority, address).await);

    setup.files.write("key.pem", &identity.key);
    assert_eq!(ClientOf::new(&renewed).post(address).await, Ok(StatusCode::OK));
    assert!(!is_served(&setup.authority, address).await);
    assert_eq!(kept.post().await, Ok(StatusCode::OK), "the old connection goes on");
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn renewed_authorities_of_clients_are_used_for_new_connections() {
    let setup = Setup::new();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let world = start(setup.with_clients_of(&old)).await;
    let delivering = world.delivering();
    let (before, after) = (old.issue("agent"), new.issue("agent"));
    assert_eq!(setup.client().with(&before).post(world.address).await, Ok(StatusCode::OK));
    setup.files.write("ca.pem", &new.pem());
    assert_eq!(setup.client().with(&after).post(world.address).await, Ok(StatusCode::OK));
    assert!(setup.client().with(&before).post(world.address).await.is_err());
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn a_client_without_tls_is_told_that_the_port_requires_it() {
    let (log, _guard) = Log::start();
    let setup = Setup::new();
    let world = start(setup.options.clone()).await;
    let answer = send(world.address, "POST", "/", &[], b"in clear").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "the client may send its events again");
    assert_eq!(answer.body, json!({ "error": "this port requires TLS; send to `https://`" }));
    world.rig.until(|| failures(&world, "not_tls") == 1).await;
    let text = log.take();
    assert!(text.contains("the client does not use TLS, which this port requires"), "{text}");
    assert!(world.rig.queue.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_client_with_tls_at_a_source_without_it_is_logged() {
    let (log, _guard) = Log::start();
    let authority = Authority::new("authority");
    let otlp = json!({ "grpc_address": "127.0.0.1:0", "http_address": "" });
    for (type_name, options) in [("http", json!({ "address": "127.0.0.1:0" })), ("otlp", otlp)] {
        let world = start_rig(type_name, options).await;
        assert!(world.rig.stats.tls.failures().is_empty(), "a source without TLS has no counts of it");
        let began = Instant::now();
        assert!(ClientOf::new(&authority).connect(world.address).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(5), "the client does not wait for its own time limit");
        world.rig.until(|| failures(&world, "unexpected") == 1).await;
        let text = log.take();
        assert!(text.contains("the client uses TLS, but the source does not"), "{text}");
        world.end().await;
    }
}

/// Like `start_type`, with all addresses given.
async fn start_rig(type_name: &str, options: Value) -> World {
    let rig = Rig::new(TempDir::new().unwrap().path());
    let running = rig.start(type_name, options);
    rig.until(|| rig.stats.address.get().is_some()).await;
    let address = *rig.stats.address.get().unwrap();
    World { rig: Arc::new(rig), running, address }
}

/// The first record of a handshake, without its end.
const HALF_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test]
async fn a_handshake_that_does_not_end_holds_up_no_other_and_is_closed_in_time() {
    let (log, _guard) = Log::start();
    let setup = Setup::new();
    let mut options = setup.options.clone();
    options["idle_timeout"] = json!("1s");
    let world = start(options).await;
    let delivering = world.delivering();
    let began = Instant::now();
    let mut slow = Vec::new();
    for begin in [HALF_HELLO, b""].repeat(20) {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(setup.client().post(world.address).await, Ok(StatusCode::OK));
    assert!(began.elapsed() < Duration::from_secs(1), "the slow ones still wait");
    for mut stream in slow {
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 16])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
    world.rig.until(|| failures(&world, "timeout") == 40).await;
    let text = log.take();
    assert!(text.contains("the client did not complete the handshake within 1 s"), "{text}");
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn handshakes_count_as_connections_and_give_way_to_others() {
    let setup = Setup::new();
    let mut options = setup.options.clone();
    options["max_connections"] = json!(2);
    let world = start(options).await;
    let delivering = world.delivering();
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(HALF_HELLO).await.unwrap();
        slow.push(stream);
        // So that the first one is the one that is inactive for the longest time.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    assert_eq!(setup.client().post(world.address).await, Ok(StatusCode::OK));
    let waited = began.elapsed();
    // A client has 1 s to go on; the limit of a handshake is 10 s.
    assert!(waited > Duration::from_millis(500) && waited < Duration::from_secs(8), "{waited:?}");
    let closed = tokio::time::timeout(Duration::from_secs(5), slow[0].read(&mut [0; 16])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let setup = Setup::new();
    let world = start(setup.options.clone()).await;
    let mut slow = TcpStream::connect(world.address).await.unwrap();
    slow.write_all(HALF_HELLO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let began = Instant::now();
    world.end().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_handshake_chooses_the_protocol() {
    let setup = Setup::new();
    let mut options = setup.options.clone();
    options["grpc_address"] = json!("127.0.0.1:0");
    options["http_address"] = json!("");
    let world = start_rig("otlp", options).await;
    let delivering = world.delivering();
    let client = setup.client().speaking(&["h2", "http/1.1"]);
    let stream = client.connect(world.address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let path = format!("https://localhost:{}/v1/logs", world.address.port());
    assert_eq!(sender.send_request(request(&path)).await.unwrap().status(), StatusCode::OK);
    let one: [&str; 1] = ["http/1.1"];
    for protocols in [&one[..], &[]] {
        let stream = setup.client().speaking(protocols).connect(world.address).await.unwrap();
        let mut sender = Sender::new(stream).await.unwrap();
        assert_eq!(sender.0.send_request(request("/v1/logs")).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(all_failures(&world), 0);
    delivering.abort();
    world.end().await;

    // The source `http` has no HTTP/2.
    let (log, _guard) = Log::start();
    let world = start(setup.options.clone()).await;
    let stream = client.connect(world.address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(setup.client().speaking(&["h2"]).connect(world.address).await.is_err());
    world.rig.until(|| failures(&world, "protocol") == 1).await;
    let text = log.take();
    assert!(text.contains("offers no application protocol that this port has"), "{text}");
    drop(stream);
    world.end().await;
}

/// A reload of the configuration builds a source with other options at the same socket.
#[tokio::test]
async fn a_successor_with_tls_continues_with_the_socket_of_a_source_without() {
    let setup = Setup::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let first = Rig::new(TempDir::new().unwrap().path());
    let running = first.start("http", json!({ "address": free.to_string() }));
    first.until(|| first.stats.address.get().is_some()).await;
    let mut options = setup.options.clone();
    options["address"] = json!(free.to_string());
    let successor = crate::build("http", &options, &first.listeners).unwrap();
    first.stop();
    running.ended().await.unwrap();
    let second = Rig::new(TempDir::new().unwrap().path());
    let running = second.start_source(successor);
    let client = setup.client();
    let deliver = async { second.pop().await.into_ack().deliver() };
    let (answer, ()) = tokio::join!(client.post(free), deliver);
    assert_eq!(answer, Ok(StatusCode::OK));
    assert_eq!(send(free, "POST", "/", &[], b"in clear").await.status, StatusCode::SERVICE_UNAVAILABLE);
    second.stop();
    running.ended().await.unwrap();
}

#[test]
fn unusable_files_are_errors_of_the_options() {
    let setup = Setup::new();
    let (crt, key) = (&setup.options["tls"]["crt_file"], &setup.options["tls"]["key_file"]);
    let other = setup.files.write("other.key", &setup.authority.issue("localhost").key);
    for (tls, path, part) in [
        (json!({ "crt_file": crt }), "tls", "`key_file` is missing"),
        (json!({ "crt_file": setup.files.missing(), "key_file": key }), "tls.crt_file", "cannot read"),
        (json!({ "crt_file": crt, "key_file": other }), "tls.key_file", "does not belong to the certificate"),
        (json!({ "crt_file": crt, "key_file": key, "ca_file": key }), "tls.ca_file", "no PEM certificate"),
        (json!({ "crt_file": crt, "key_file": key, "verify": true }), "tls.verify", "set `tls.ca_file`"),
        (json!({ "crt_file": crt, "key_file": key, "verify_certificate": true }), "tls.verify_certificate", "unknown"),
    ] {
        for type_name in ["http", "aws_firehose", "otlp"] {
            let errors = crate::TYPES.check(type_name, &json!({ "tls": tls })).unwrap_err();
            assert_eq!((errors.len(), errors[0].path.as_str()), (1, path), "{errors:?}");
            assert!(errors[0].to_string().contains(part), "{errors:?}");
        }
    }
    let switched_off = json!({ "crt_file": crt, "key_file": key, "verify": "false" });
    assert_eq!(crate::TYPES.check("http", &json!({ "tls": switched_off })), Ok(()));
}
