//! The sink with servers of datagrams.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_batch::Disposition;

use crate::testing::Running;

fn options(more: Value) -> Value {
    let mut options = json!({ "mode": "udp", "encoding": { "codec": "text" },
        "request": { "retry_initial_backoff": "5ms", "retry_max_backoff": "20ms" } });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// The next datagram.
fn receive(socket: &UdpSocket) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_a_datagram_and_too_large_ones_are_rejected_alone() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.jsonl");
    let address = server.local_addr().unwrap().to_string();
    let running = Running::start("socket", &options(json!({ "address": address, "dead_letter": dead })));
    let (largest, larger) = ("x".repeat(65_507), "y".repeat(65_508));
    running.push(&["one\ntwo", &largest, &larger, "last"]);
    assert_eq!([receive(&server), receive(&server), receive(&server)], ["one\ntwo", largest.as_str(), "last"]);
    let rig = running.finish().await;
    assert_eq!(rig.acks(), [Disposition::Delivered]);
    assert_eq!((rig.counts().0, rig.counts().2, rig.counts().3), (3, 1, 0));
    let line: Value = serde_json::from_str(&std::fs::read_to_string(dead).unwrap()).unwrap();
    assert_eq!(
        (line["event"].as_str(), line["reason"].as_str().unwrap()),
        (Some(larger.as_str()), "an event of 65508 bytes does not fit into a datagram")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_dead_letter_file_a_too_large_event_is_reported_to_the_source() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let running = Running::start("socket", &options(json!({ "address": address })));
    running.push(&["z".repeat(70_000).as_str()]);
    running.push(&["fits"]);
    assert_eq!(receive(&server), "fits");
    assert_eq!(running.finish().await.acks(), [Disposition::Rejected, Disposition::Delivered]);
}

/// The kernel reports that nothing listens after the datagram was sent, so a single event must not count as delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_listens_events_wait() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    for events in [&["one"][..], &["one", "two", "three"]] {
        let running = Running::start("socket", &options(json!({ "address": address.to_string() })));
        running.push(events);
        running.rig.wait_for_retries(3).await;
        assert_eq!((running.rig.acks(), running.rig.counts().0), (vec![], 0));
        let server = UdpSocket::bind(address).unwrap();
        for event in events {
            assert_eq!(receive(&server), *event);
        }
        assert_eq!(running.finish().await.acks(), [Disposition::Delivered]);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_that_is_full_or_missing_holds_up_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let more = json!({ "mode": "unix_datagram", "path": path });
    let running = Running::start("syslog", &options(more));
    let events: Vec<String> = (0..5000).map(|number| format!("<13>{number}")).collect();
    running.push(&events.iter().map(String::as_str).collect::<Vec<_>>());
    running.rig.wait_for_retries(2).await;
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The queue of a socket has few places.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.rig.acks(), []);
    let mut buffer = [0; 100];
    for event in &events {
        let length = server.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], event.as_bytes());
    }
    // A server that is replaced.
    running.rig.wait(1).await;
    drop(server);
    std::fs::remove_file(&path).unwrap();
    let server = UnixDatagram::bind(&path).unwrap();
    running.push(&["<13>last"]);
    running.rig.wait(2).await;
    let length = server.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"<13>last");
    assert_eq!(running.finish().await.counts().0, 5001);
}
