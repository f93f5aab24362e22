use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stats::get;
use crate::testing::{Rig, Running, resource, texts};
use crate::types::build;
use wattle_listen::Listeners;

/// A running source and its address.
async fn start(type_name: &str, options: Value) -> (Rig, Running, SocketAddr) {
    start_in(Rig::new(std::path::Path::new("/nonexistent")), type_name, options).await
}

async fn start_in(rig: Rig, type_name: &str, mut options: Value) -> (Rig, Running, SocketAddr) {
    options["address"] = "127.0.0.1:0".into();
    let running = rig.start(type_name, options);
    rig.until(|| rig.stats.address.get().is_some()).await;
    let address = *rig.stats.address.get().unwrap();
    (rig, running, address)
}

fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_takes_lines_and_counted_messages_and_names_the_client() {
    let (rig, _running, address) = start("syslog", json!({})).await;
    let _stream = send(address, b"<34>one\n12 <34>two\nmore<34>three\r\n<34>fo");
    let batch = rig.pop().await;
    assert_eq!(texts(&batch), ["<34>one", "<34>two\nmore", "<34>three"]);
    assert_eq!(resource(&batch)["remote"], "127.0.0.1");
    assert_eq!(resource(&batch)["type"], "syslog");
    batch.into_ack().deliver();
    drop(_stream);
    assert_eq!(rig.take(1).await, ["<34>fo"], "a connection without lengths ends its last message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_once_from_many_clients_and_the_source_reads_all_before_it_stops() {
    let (rig, running, address) = start("socket", json!({})).await;
    let clients: Vec<_> = (0..20)
        .map(|client| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for message in 0..2000 {
                    writeln!(stream, "{client}-{message} {}", "x".repeat(message % 300)).unwrap();
                }
                stream
            })
        })
        .collect();
    let streams =
        tokio::task::spawn_blocking(|| clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>());
    let mut found = Vec::new();
    let streams = {
        let mut streams = std::pin::pin!(streams);
        loop {
            tokio::select! {
                streams = &mut streams => break streams.unwrap(),
                batch = rig.pop() => {
                    found.extend(texts(&batch));
                    batch.into_ack().deliver();
                }
            }
        }
    };
    // All bytes are with the kernel now, and the connections are open.
    rig.stop();
    let (rest, ended) = rig.drain(running).await;
    ended.unwrap();
    drop(streams);
    found.extend(rest);
    let ids = |text: &String| text.split(' ').next().unwrap().to_owned();
    let mut found: Vec<String> = found.iter().map(ids).collect();
    let mut expected: Vec<String> = (0..20).flat_map(|c| (0..2000).map(move |m| format!("{c}-{m}"))).collect();
    for client in 0..20 {
        let prefix = format!("{client}-");
        let order: Vec<&String> = found.iter().filter(|id| id.starts_with(&prefix)).collect();
        assert!(
            order.is_sorted_by_key(|id| id.strip_prefix(&prefix).unwrap().parse::<u32>().unwrap()),
            "the order of a client is kept"
        );
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_neither_for_silent_clients_nor_for_those_that_never_pause() {
    let (rig, running, address) = start("socket", json!({})).await;
    let silent = TcpStream::connect(address).unwrap();
    let begun = send(address, b"unfinished");
    let mut endless = TcpStream::connect(address).unwrap();
    let writer = std::thread::spawn(move || {
        let lines = "endless\n".repeat(1000);
        // Until the source closes the connection.
        while endless.write_all(lines.as_bytes()).is_ok() {}
    });
    rig.pop().await.into_ack().deliver();
    let began = std::time::Instant::now();
    rig.stop();
    let (rest, ended) = rig.drain(running).await;
    ended.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(rest.iter().any(|text| text == "unfinished"), "the last message of a connection needs no line feed");
    writer.join().unwrap();
    drop((silent, begun));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_sender_of_datagrams_that_never_pauses() {
    let (rig, running, address) = start("socket", json!({ "mode": "udp" })).await;
    let ends = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sender = std::thread::spawn({
        let ends = ends.clone();
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                // No program receives at the end, which is an error.
                let _ = socket.send_to(b"endless", address);
            }
        }
    });
    rig.pop().await.into_ack().deliver();
    let began = std::time::Instant::now();
    rig.stop();
    rig.drain(running).await.1.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    ends.store(true, std::sync::atomic::Ordering::Relaxed);
    sender.join().unwrap();
}

/// Sends a line and ends the connection. Returns whether the source has closed it too, without a reset, so that the client
/// must believe that the line was read.
fn delivers(stream: &mut (impl std::io::Read + std::io::Write), end: impl FnOnce(), line: &str) -> bool {
    if stream.write_all(line.as_bytes()).is_err() {
        return false;
    }
    end();
    stream.read(&mut [0]).is_ok_and(|read| read == 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_connect_during_a_stop_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    for options in [json!({ "mode": "tcp" }), json!({ "mode": "unix_stream", "path": path })] {
        let mut options = options;
        options["max_connections"] = 1.into();
        let rig = Rig::new(folder.path());
        let is_tcp = options["mode"] == "tcp";
        if is_tcp {
            options["address"] = "127.0.0.1:0".into();
        }
        let running = rig.start("socket", options);
        rig.until(|| rig.stats.started.load(std::sync::atomic::Ordering::Relaxed)).await;
        let address = rig.stats.address.get().copied();
        let connect = {
            let path = path.clone();
            move |line: String| -> std::io::Result<bool> {
                match address {
                    Some(address) => {
                        let mut stream = TcpStream::connect(address)?;
                        let end = stream.try_clone()?;
                        Ok(delivers(&mut stream, || end.shutdown(Shutdown::Write).unwrap(), &line))
                    }
                    None => {
                        let mut stream = UnixStream::connect(&path)?;
                        let end = stream.try_clone()?;
                        Ok(delivers(&mut stream, || end.shutdown(Shutdown::Write).unwrap(), &line))
                    }
                }
            }
        };
        // One client has the only place, so these wait in the backlog of the socket.
        let mut waiting: Vec<Box<dyn std::io::Write>> = Vec::new();
        for client in 0..5 {
            let mut stream: Box<dyn std::io::Write> = match address {
                Some(address) => Box::new(TcpStream::connect(address).unwrap()),
                None => Box::new(UnixStream::connect(&path).unwrap()),
            };
            stream.write_all(format!("waiting {client}\n").as_bytes()).unwrap();
            waiting.push(stream);
            if client == 0 {
                assert_eq!(rig.take(1).await, ["waiting 0"]);
            }
        }
        // More clients come until the first one is refused.
        let late = std::thread::spawn(move || {
            let mut believed = Vec::new();
            for client in 0.. {
                let line = format!("late {client}");
                match connect(format!("{line}\n")) {
                    Ok(true) => believed.push(line),
                    Ok(false) => {}
                    Err(_) => return believed,
                }
            }
            unreachable!("the source refuses clients in the end");
        });
        rig.stop();
        let (found, ended) = rig.drain(running).await;
        ended.unwrap();
        let mut expected: Vec<String> = (1..5).map(|client| format!("waiting {client}")).collect();
        expected.extend(late.join().unwrap());
        for line in &expected {
            assert!(found.contains(line), "{line} is not in {found:?}, is_tcp: {is_tcp}");
        }
        drop(waiting);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reads_what_clients_have_written_however_long_the_events_wait_for_room() {
    let mut rig = Rig::new(std::path::Path::new("/nonexistent"));
    rig.queue = wattle_buffer::Queue::new(64 << 10, None, None);
    let (rig, running, address) = start_in(rig, "socket", json!({ "max_in_flight_bytes": "64KiB" })).await;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let line = |number: usize| format!("{number:08}{}\n", "x".repeat(991));
    // Until the source and the kernel take no more. A part of a line is an event too.
    let (mut sent, mut quiet) = (0, 0);
    while quiet < 20 {
        let text = line(sent / 1000);
        match stream.write(&text.as_bytes()[sent % 1000..]) {
            Ok(bytes) => (sent, quiet) = (sent + bytes, 0),
            Err(_) => {
                quiet += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    rig.stop();
    let mut found = Vec::new();
    // So that the connection reads on, and waits again.
    for _ in 0..8 {
        let batch = rig.pop().await;
        found.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    // No event leaves for longer than the source reads at a stop.
    tokio::time::sleep(super::LAST_READ * 2).await;
    let (rest, ended) = rig.drain(running).await;
    found.extend(rest);
    ended.unwrap();
    let read: usize = found.iter().map(|text| text.len() + usize::from(text.len() == 999)).sum();
    assert_eq!(read, sent, "{} events", found.len());
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_learns_at_its_first_write_after_a_stop_that_the_source_is_gone() {
    let (rig, running, address) = start("socket", json!({})).await;
    let mut stream = send(address, b"one\n");
    assert_eq!(rig.take(1).await, ["one"]);
    rig.stop();
    running.ended().await.unwrap();
    assert!(stream.write_all(b"two\n").is_err(), "the kernel took a message that no source reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_stops_reading_at_max_in_flight_bytes_and_sends_returned_batches_again() {
    let (rig, running, address) = start("socket", json!({ "max_in_flight_bytes": "64KiB" })).await;
    let line = format!("{}\n", "x".repeat(999));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // The kernel's buffers take some MB, the source as much as the option says and one batch.
    let mut sent = 0_u64;
    while stream.write_all(line.as_bytes()).is_ok() {
        sent += 1;
        assert!(sent < 100_000, "the source reads without a limit");
    }
    let received = get(&rig.stats.bytes);
    assert!((1..=(64 << 10) + (256 << 10)).contains(&received), "{received} bytes are in flight");
    assert!(rig.waits.is_any(), "the agent learns that the source waits");
    let first = rig.pop().await;
    let lost = texts(&first);
    drop(first);
    let mut found = Vec::new();
    while !lost.iter().all(|text| found.contains(text)) || found.len() < 1000 {
        let batch = rig.pop().await;
        found.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    assert_eq!(get(&rig.stats.retries), 1);
    drop(stream);
    rig.stop();
    rig.drain(running).await.1.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_and_wrong_lengths_are_counted_and_the_others_arrive() {
    let (rig, _running, address) =
        start("syslog", json!({ "framing": "octet_counting", "max_message_bytes": 10 })).await;
    let _stream = send(address, b"3 one11 abcdefghijk3 two2x");
    assert_eq!(rig.take(2).await, ["one", "two"]);
    rig.until(|| get(&rig.stats.failures) == 1).await;
    assert_eq!((get(&rig.stats.skipped_long), get(&rig.stats.skipped_long_bytes)), (1, 11));
    let failure = rig.stats.last_failure.lock().clone().unwrap().1;
    assert!(failure.contains("`2x` is not the length of a message"), "{failure}");
    // A counted message that is cut is not an event.
    drop(send(address, b"5 ab"));
    rig.until(|| get(&rig.stats.failures) == 2).await;
    rig.expect_quiet(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_beyond_max_connections_wait_and_idle_ones_are_closed() {
    let options = json!({ "max_connections": 1, "idle_timeout": "300ms" });
    let (rig, _running, address) = start("socket", options).await;
    let first = send(address, b"first\n");
    assert_eq!(rig.take(1).await, ["first"]);
    let _second = send(address, b"second\n");
    rig.expect_quiet(Duration::from_millis(50)).await;
    assert_eq!(rig.take(1).await, ["second"], "the first one was idle");
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_is_one_event_or_none_and_senders_are_told_apart() {
    let (rig, running, address) = start("syslog", json!({ "mode": "udp", "max_message_bytes": "60KiB" })).await;
    let [one, two] = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| UdpSocket::bind(from).unwrap());
    let largest = "x".repeat(60 << 10);
    one.send_to(b"<34>a\nb 12 <1>c\n", address).unwrap();
    two.send_to(b"<34>d", address).unwrap();
    one.send_to(largest.as_bytes(), address).unwrap();
    one.send_to(format!("{largest}y").as_bytes(), address).unwrap();
    two.send_to(b"\r\n", address).unwrap();
    one.send_to(b"last", address).unwrap();
    let mut found = Vec::new();
    while found.len() < 4 {
        let batch = rig.pop().await;
        let remote = resource(&batch)["remote"].as_str().unwrap().to_owned();
        found.extend(texts(&batch).into_iter().map(|text| (remote.clone(), text)));
        batch.into_ack().deliver();
    }
    let of = |remote: &str| -> Vec<&str> {
        found.iter().filter(|(from, _)| from == remote).map(|(_, text)| text.as_str()).collect()
    };
    assert_eq!(of("127.0.0.1"), ["<34>a\nb 12 <1>c", largest.as_str(), "last"]);
    assert_eq!(of("127.0.0.2"), ["<34>d"]);
    assert_eq!((get(&rig.stats.skipped_long), get(&rig.stats.skipped_empty)), (1, 1));
    // What the kernel has when the source stops is read.
    one.send_to(b"late", address).unwrap();
    rig.stop();
    assert_eq!(rig.drain(running).await.0, ["late"]);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_that_the_kernel_drops_are_counted() {
    let options = json!({ "mode": "udp", "max_in_flight_bytes": 1, "receive_buffer_bytes": "8KiB" });
    let (rig, running, address) = start("socket", options).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..1000 {
        socket.send_to(format!("{number} {}", "x".repeat(900)).as_bytes(), address).unwrap();
    }
    rig.stop();
    let (found, _) = rig.drain(running).await;
    let dropped = get(&rig.stats.dropped_datagrams);
    assert!(dropped > 0, "{} arrived", found.len());
    assert_eq!(found.len() as u64 + dropped, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_replace_what_nobody_uses_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    for (mode, is_stream) in [("unix_stream", true), ("unix_datagram", false)] {
        // As a killed agent leaves them, of either kind.
        for leave_stream in [true, false] {
            if leave_stream {
                drop(UnixListener::bind(&path).unwrap());
            } else {
                drop(UnixDatagram::bind(&path).unwrap());
            }
            let rig = Rig::new(folder.path());
            let running = rig.start("syslog", json!({ "mode": mode, "path": path, "socket_file_mode": "0620" }));
            rig.until(|| rig.stats.started.load(std::sync::atomic::Ordering::Relaxed)).await;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o620);
            let refused = build("socket", &json!({ "mode": mode, "path": path }), &Listeners::default());
            let refused = refused.err().unwrap().to_string();
            assert!(refused.contains("is in use"), "{refused}");
            if is_stream {
                UnixStream::connect(&path).unwrap().write_all(b"<1>local\n").unwrap();
            } else {
                UnixDatagram::unbound().unwrap().send_to(b"<1>local\n", &path).unwrap();
            }
            let batch = rig.pop().await;
            assert_eq!((texts(&batch), &resource(&batch)["remote"]), (vec!["<1>local".to_owned()], &Value::Null));
            batch.into_ack().deliver();
            rig.stop();
            running.ended().await.unwrap();
            assert!(!path.exists(), "the file is removed");
        }
    }
    std::fs::write(&path, "a file").unwrap();
    let error = build("socket", &json!({ "mode": "unix", "path": path }), &Listeners::default()).err().unwrap();
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_replaces_another_one_continues_with_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for options in [
        json!({ "mode": "tcp", "address": tcp }),
        json!({ "mode": "udp", "address": udp }),
        json!({ "mode": "unix_stream", "path": path }),
        json!({ "mode": "unix_datagram", "path": path }),
    ] {
        let old = Rig::new(folder.path());
        let running = old.start("socket", options.clone());
        old.until(|| old.stats.started.load(std::sync::atomic::Ordering::Relaxed)).await;
        let mut new = Rig::new(folder.path());
        new.listeners = old.listeners.clone();
        let mut changed = options.clone();
        if options["path"].is_string() {
            changed["socket_file_mode"] = json!("0600");
        }
        let source = build("socket", &changed, &new.listeners).unwrap();
        old.stop();
        running.ended().await.unwrap();
        // Between the end of the old one and the start of the new one.
        let sent = match options["mode"].as_str().unwrap() {
            "tcp" => TcpStream::connect(tcp.as_str()).unwrap().write_all(b"x\n"),
            "udp" => UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", udp.as_str()).map(drop),
            "unix_stream" => UnixStream::connect(&path).and_then(|mut stream| stream.write_all(b"x\n")),
            _ => UnixDatagram::unbound().unwrap().send_to(b"x", &path).map(drop),
        };
        sent.unwrap();
        let running = new.start_source(source);
        assert_eq!(new.take(1).await, ["x"], "{options}");
        if changed.get("socket_file_mode").is_some() {
            assert_eq!(
                path.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "the options are those of the new one"
            );
        }
        new.stop();
        running.ended().await.unwrap();
    }
}
