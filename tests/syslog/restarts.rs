//! Two agents, of which the receiving one is restarted under load.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use wattle_tests::{Config, Folder, free_address};

use crate::until_it_listens;

/// Messages, and how often the receiver is restarted while they are sent.
const MESSAGES: usize = 60_000;
const RESTARTS: usize = 6;

/// How often each message arrived.
fn arrived(folder: &Folder) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for line in String::from_utf8(folder.read("out.txt")).unwrap().lines() {
        *arrived.entry(line.to_owned()).or_default() += 1;
    }
    arrived
}

#[test]
fn a_receiver_that_is_restarted_under_load_loses_nothing() {
    for framing in ["octet_counting", "lines"] {
        let (from, to) = (Folder::new(), Folder::new());
        let (first, second) = (free_address(), free_address());
        let sender = Config::new()
            .source("in", "syslog")
            .set("address", first.to_string())
            .sink("out", "syslog", &["in"])
            .set("address", second.to_string())
            .set("framing", framing)
            .with("request = { retry_initial_backoff = \"10ms\", retry_max_backoff = \"50ms\" }");
        let receiver = Config::new()
            .source("in", "syslog")
            .set("address", second.to_string())
            .file_sink("out", &["in"], "out.txt")
            .with("encoding = { codec = \"text\" }")
            .text();
        let sender = from.start(&sender.text());
        until_it_listens(first);
        let mut running = to.start(&receiver);
        let message = |number: usize| format!("<13>1 - - - - - - {number} {}", "x".repeat(number % 500));
        let client = std::thread::spawn(move || {
            let mut client = TcpStream::connect(first).unwrap();
            for number in 0..MESSAGES {
                client.write_all((message(number) + "\n").as_bytes()).unwrap();
                if number % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        for restart in 0..RESTARTS {
            std::thread::sleep(Duration::from_millis(400));
            let ended = running.stop();
            assert_eq!(ended.code, 0, "{restart}: {}", ended.log);
            std::thread::sleep(Duration::from_millis(100));
            running = to.start(&receiver);
        }
        client.join().unwrap();
        // Ends when the receiver has acknowledged everything.
        let ended = sender.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
        let ended = running.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
        let arrived = arrived(&to);
        let lost: Vec<usize> = (0..MESSAGES).filter(|number| !arrived.contains_key(&message(*number))).collect();
        let doubled = arrived.values().filter(|count| **count > 1).count();
        let cut = arrived.len() + lost.len() - MESSAGES;
        println!("{framing}: {RESTARTS} restarts, {} lost, {doubled} doubled, {cut} cut", lost.len());
        assert_eq!(lost, Vec::<usize>::new(), "{framing}");
        assert_eq!(cut, 0, "no message was cut");
    }
}
