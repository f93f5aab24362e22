//! The sink with servers over TCP and Unix sockets that fail in every way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_batch::Disposition;

use crate::testing::Running;

/// Options of a sink of texts, which tries again soon.
fn options(listener: &TcpListener) -> Value {
    json!({ "address": listener.local_addr().unwrap().to_string(), "encoding": { "codec": "text" },
        "request": { "retry_initial_backoff": "5ms", "retry_max_backoff": "20ms" } })
}

fn start(listener: &TcpListener) -> Running {
    Running::start("socket", &options(listener))
}

/// Pushes payloads of numbered events of about this length.
fn push(running: &Running, numbers: std::ops::Range<usize>, length: usize) {
    let events: Vec<String> = numbers.map(|number| format!("{number} {}", "x".repeat(length))).collect();
    for payload in events.chunks(50) {
        running.push(&payload.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// The next connection, on another thread than the sink.
async fn accept(listener: &TcpListener) -> TcpStream {
    let listener = listener.try_clone().unwrap();
    let accepted = tokio::task::spawn_blocking(move || listener.accept().unwrap().0);
    tokio::time::timeout(Duration::from_secs(20), accepted).await.unwrap().unwrap()
}

/// Reads this many lines, or up to the end; returns the numbers in them. The connection is closed with what is not read.
async fn numbers(stream: TcpStream, max: usize) -> Vec<usize> {
    let read = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(&stream).split(b'\n').map_while(Result::ok).take(max);
        lines.filter_map(|line| str::from_utf8(&line).ok()?.split(' ').next()?.parse().ok()).collect()
    });
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_in_order_and_the_sink_ends_when_all_are_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(&listener);
    push(&running, 0..5000, 200);
    let stream = accept(&listener).await;
    let (found, rig) = tokio::join!(numbers(stream, usize::MAX), running.finish());
    assert_eq!(found, (0..5000).collect::<Vec<_>>());
    assert_eq!(rig.acks(), vec![Disposition::Delivered; 100]);
    assert_eq!((rig.counts().0, rig.counts().3), (5000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_reads_holds_up_the_sink_at_a_bounded_number_of_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(&listener);
    push(&running, 0..32_000, 1000);
    let stream = accept(&listener).await;
    let queue = running.rig.context().input;
    let mut before = (0, 0);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = (queue.byte_len(), running.rig.counts().1);
        if now == before && now.1 > 0 {
            break;
        }
        before = now;
    }
    let queued = queue.usage().events as u64;
    let held = 32_000 - running.rig.counts().0 - queued;
    assert!(queued > 10_000 && held * 1000 <= (4 << 20) + 200_000, "{queued} events are queued, {held} are held");
    let (found, rig) = tokio::join!(numbers(stream, usize::MAX), running.finish());
    assert_eq!(found, (0..32_000).collect::<Vec<_>>());
    assert_eq!((rig.counts().0, rig.counts().3), (32_000, 0));
}

/// A server that closes a connection with unread data resets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reset_everything_that_was_not_acknowledged_is_sent_again_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(&listener);
    push(&running, 0..20_000, 1000);
    let mut found = Vec::new();
    for lines in [0, 1, 500, 3000] {
        let part = numbers(accept(&listener).await, lines).await;
        assert_eq!(part.len(), lines);
        assert!(part.is_sorted_by(|a, b| a + 1 == *b), "in order");
        found.push(part);
    }
    let stream = accept(&listener).await;
    let (rest, rig) = tokio::join!(numbers(stream, usize::MAX), running.finish());
    assert!(rest.is_sorted_by(|a, b| a + 1 == *b) && rest.last() == Some(&19_999), "in order, to the end");
    // What the kernel of the server had acknowledged and the server had not read is lost with it, and that is all: each
    // connection begins where the acknowledgements of the one before end.
    let begins: Vec<usize> = found.iter().chain([&rest]).filter_map(|part| part.first().copied()).collect();
    assert!(begins.is_sorted() && begins[0] <= 20_000, "{begins:?}");
    assert_eq!((rig.counts().0, rig.acks().len()), (20_000, 400));
    assert!(rig.acks().iter().all(|ack| *ack == Disposition::Delivered));
    assert!(rig.counts().3 >= 4);
}

/// A server that reads all it gets before it closes the connection loses nothing, and gets nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_in_order_gets_every_event_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(&listener);
    let mut found = Vec::new();
    for round in 0..20 {
        push(&running, round * 50..(round + 1) * 50, 100);
        // The sink has noticed the end of the connection before, although it had nothing to send.
        let stream = accept(&listener).await;
        found.extend(numbers(stream, 50).await);
    }
    assert_eq!(found, (0..1000).collect::<Vec<_>>());
    let rig = running.finish().await;
    assert_eq!(rig.counts().0, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_down_events_wait_and_arrive_when_it_is_up_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let running = start(&listener);
    push(&running, 0..100, 100);
    assert_eq!(numbers(accept(&listener).await, 100).await.len(), 100);
    running.rig.wait(2).await;
    drop(listener);
    push(&running, 100..200, 100);
    running.rig.wait_for_retries(3).await;
    let stats = running.rig.context().stats;
    assert!(stats.failing_since().is_some() && stats.broken(Duration::ZERO).is_none(), "it may pass");
    let listener = TcpListener::bind(address).unwrap();
    let stream = accept(&listener).await;
    let (found, rig) = tokio::join!(numbers(stream, usize::MAX), running.finish());
    assert_eq!(found, (100..200).collect::<Vec<_>>());
    assert_eq!(rig.counts().0, 200);
    assert!(stats.failing_since().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_attempts_are_used_up_the_events_fail_and_later_ones_are_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&listener);
    options["request"]["retry_attempts"] = json!(2);
    options["dead_letter"] = json!(folder.path().join("dead.jsonl"));
    let address = listener.local_addr().unwrap();
    drop(listener);
    let running = Running::start("socket", &options);
    running.push(&["one", "two"]);
    running.rig.wait(1).await;
    assert_eq!((running.rig.acks(), running.rig.counts().2), (vec![Disposition::Delivered], 2));
    let dead = std::fs::read_to_string(folder.path().join("dead.jsonl")).unwrap();
    let dead: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&Value> = dead.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["one", "two"]);
    assert!(dead[0]["reason"].as_str().unwrap().contains("connection refused"), "{dead:?}");
    let listener = TcpListener::bind(address).unwrap();
    push(&running, 0..1, 10);
    assert_eq!(numbers(accept(&listener).await, 1).await, [0]);
    assert_eq!(running.finish().await.counts().0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_messages_may_have_line_feeds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&listener);
    options["framing"] = json!("octet_counting");
    let running = Running::start("socket", &options);
    running.push(&["a\nb", "", "\n"]);
    let mut stream = accept(&listener).await;
    // What a server sends is ignored.
    stream.write_all(b"220 welcome\r\n").unwrap();
    running.finish().await;
    let mut found = String::new();
    stream.read_to_string(&mut found).unwrap();
    assert_eq!(found, "3 a\nb1 \n");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_for_a_unix_socket_is_delivered_when_the_server_has_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let options = json!({ "mode": "unix", "path": path, "encoding": { "codec": "text" },
        "request": { "retry_initial_backoff": "5ms" } });
    let running = Running::start("socket", &options);
    running.push(&["one"]);
    // The server does not run yet.
    running.rig.wait_for_retries(2).await;
    let listener = UnixListener::bind(&path).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.rig.acks(), [], "the server has not read it");
    let mut read = [0; 4];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"one\n");
    running.rig.wait(1).await;
    // A server that crashes with data that it has not read.
    running.push(&["two"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"two\n");
    assert_eq!(running.finish().await.acks(), [Disposition::Delivered; 2]);
}
