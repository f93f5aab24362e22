//! The sources and sinks `syslog` and `socket`, with real and with hostile clients and servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod messages;
mod restarts;
mod rsyslog;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use wattle_tests::{Agent, Config, Folder, free_address, wait_until};
use wattle_tls::testing::Authority;

use messages::{Messages, counted};

/// A pipeline that parses messages, with a file for those that are syslog and one for all others.
pub(crate) fn parsed(config: Config, sources: &[&str]) -> Config {
    config
        .pipeline("p", sources)
        .node("parse", "builtin:parse", &["input"])
        .with("options = { format = \"syslog\" }")
        .ok_and_fails("parse")
        .file_sink("ok", &["p.ok"], "ok.ndjson")
        .with("encoding = { codec = \"json\" }")
        .file_sink("fails", &["p.fails"], "fails.ndjson")
        .with("encoding = { codec = \"json\" }")
}

/// The events of both files.
pub(crate) fn events(folder: &Folder) -> Vec<Value> {
    let mut events = folder.events("ok.ndjson");
    events.extend(folder.events("fails.ndjson"));
    events
}

/// The raw message of an event.
pub(crate) fn raw(event: &Value) -> Vec<u8> {
    match event["body_base64"].as_str() {
        Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(),
        None => event["body"].as_str().unwrap().as_bytes().to_vec(),
    }
}

/// The raw messages of a source, sorted.
fn raw_of(events: &[Value], source: &str) -> Vec<Vec<u8>> {
    let of_source = events.iter().filter(|event| event["resource"]["source"]["name"] == source);
    let mut found: Vec<Vec<u8>> = of_source.map(raw).collect();
    found.sort_unstable();
    found
}

pub(crate) fn until_it_listens(address: SocketAddr) {
    wait_until("the agent listens", || TcpStream::connect(address).is_ok());
}

/// Sends bytes over TLS, with Python, which uses another TLS library.
fn send_over_tls(address: SocketAddr, ca: &Path, bytes: &[u8]) {
    let script = "import socket, ssl, sys\n\
                  context = ssl.create_default_context(cafile=sys.argv[1])\n\
                  plain = socket.create_connection(('127.0.0.1', int(sys.argv[2])))\n\
                  tls = context.wrap_socket(plain, server_hostname='localhost')\n\
                  tls.sendall(sys.stdin.buffer.read())\n\
                  tls.unwrap().close()\n";
    let mut client = Command::new("python3")
        .args(["-c", script, ca.to_str().unwrap(), &address.port().to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(client.wait().unwrap().success());
}

/// An authority's certificate, and the options of a source whose certificate it issued.
pub(crate) fn tls(folder: &Folder) -> (PathBuf, String) {
    let authority = Authority::new("authority");
    let agent = authority.issue("localhost");
    let (crt, key) = (folder.write("agent.pem", agent.certificate), folder.write("agent.key", agent.key));
    let ca = folder.write("ca.pem", authority.pem());
    (ca, format!("tls = {{ crt_file = {crt:?}, key_file = {key:?} }}"))
}

#[test]
fn ten_thousand_fuzzed_messages_arrive_unchanged_by_every_transport() {
    let (folder, tcp, udp, secure) = (Folder::new(), free_address(), free_address(), free_address());
    let path = folder.path("log.sock");
    let (ca, options) = tls(&folder);
    let config = Config::new()
        .source("tcp", "syslog")
        .set("address", tcp.to_string())
        .source("udp", "syslog")
        .set("mode", "udp")
        .set("address", udp.to_string())
        .source("tls", "syslog")
        .set("address", secure.to_string())
        .with(options)
        .source("unix", "syslog")
        .set("mode", "unix_datagram")
        .set("path", path.to_str().unwrap());
    let agent = folder.start(&parsed(config, &["tcp", "udp", "tls", "unix"]).text());
    until_it_listens(tcp);
    until_it_listens(secure);
    wait_until("the agent listens", || path.exists());

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut messages = Messages::new(seed);
    let [by_tcp, by_udp, by_tls, by_unix] = [false, true, false, true].map(|whole| {
        let all: Vec<Vec<u8>> = (0..2500).map(|_| messages.next(whole)).collect();
        all
    });
    // Both forms of framing in one stream, cut anywhere.
    let mut stream = Vec::new();
    for message in &by_tcp {
        if message.starts_with(b"<") && messages.random.bool() {
            stream.extend(counted(message));
        } else {
            stream.extend_from_slice(message);
            stream.extend_from_slice(if messages.random.bool() { b"\n" } else { b"\r\n" });
        }
    }
    let mut client = TcpStream::connect(tcp).unwrap();
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(messages.random.usize(1..=rest.len().min(3000)));
        client.write_all(piece).unwrap();
        rest = behind;
    }
    drop(client);
    let lines: Vec<u8> = by_tls.iter().flat_map(|message| [message, &b"\n"[..]].concat()).collect();
    send_over_tls(secure, &ca, &lines);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = UnixDatagram::unbound().unwrap();
    for (number, (message, other)) in by_udp.iter().zip(&by_unix).enumerate() {
        client.send_to(message, udp).unwrap();
        local.send_to(other, &path).unwrap();
        // UDP has no flow control.
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    wait_until("all messages arrive", || events(&folder).len() >= 10_000);
    finish(agent, 10_000);
    let events = events(&folder);
    assert_eq!(events.len(), 10_000);
    for (source, mut sent) in [("tcp", by_tcp), ("udp", by_udp), ("tls", by_tls), ("unix", by_unix)] {
        sent.sort_unstable();
        let found = raw_of(&events, source);
        assert_eq!(found.len(), 2500, "{source}");
        for (found, sent) in found.iter().zip(&sent) {
            assert_eq!(found.escape_ascii().to_string(), sent.escape_ascii().to_string(), "{source}");
        }
    }
    let (ok, fails) = (folder.events("ok.ndjson"), folder.events("fails.ndjson"));
    assert!(ok.len() > 3000 && fails.len() > 1000, "{} are syslog, {} are not", ok.len(), fails.len());
    assert!(fails.iter().all(|event| event["failure"]["code"] == "not-syslog"), "{fails:?}");
}

/// Stops an agent that has received this many events.
fn finish(agent: Agent, received: u64) {
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().received, received, "{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
}
