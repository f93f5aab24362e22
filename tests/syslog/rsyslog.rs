//! rsyslog of Debian as a client and as a server.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use wattle_tests::{Config, Folder, Rsyslog, free_address, wait_until};

use crate::{events, parsed, raw, tls, until_it_listens};

/// Messages of both RFCs, which rsyslog forwards as they are.
fn messages() -> Vec<String> {
    let text = |number: usize| format!("message {number} {} ü end", "x".repeat(number % 900));
    (0..2000)
        .map(|number| match number % 2 {
            0 => format!("<34>1 2026-10-11T22:14:15.003Z host app 7 ID [a@1 b=\"c\"] {}", text(number)),
            _ => format!("<13>Oct 11 22:14:15 host app[7]: {}", text(number)),
        })
        .collect()
}

fn send(address: SocketAddr, messages: &[String]) {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all((messages.join("\n") + "\n").as_bytes()).unwrap();
}

/// Rules of rsyslog that forward raw messages.
fn forward(to: SocketAddr, framing: &str, more: &str) -> String {
    format!(
        "template(name=\"raw\" type=\"string\" string=\"%rawmsg%\")\n\
         action(type=\"omfwd\" target=\"localhost\" port=\"{}\" protocol=\"tcp\" TCP_Framing=\"{framing}\" template=\"raw\" \
         action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\" {more})",
        to.port(),
    )
}

fn gtls(ca: &Path) -> String {
    format!(
        "StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\" \
         StreamDriverPermittedPeers=\"localhost\" StreamDriver.CAFile=\"{}\"",
        ca.display()
    )
}

#[test]
fn messages_that_rsyslog_forwards_arrive_unchanged() {
    for (framing, is_secure) in [("octet-counted", false), ("traditional", false), ("octet-counted", true)] {
        let (folder, from, to) = (Folder::new(), free_address(), free_address());
        let (ca, options) = tls(&folder);
        let config = Config::new().source("in", "syslog").set("address", to.to_string());
        let config = if is_secure { config.with(options) } else { config };
        let agent = folder.start(&parsed(config, &["in"]).text());
        until_it_listens(to);
        let more = if is_secure { gtls(&ca) } else { String::new() };
        let rsyslog = Rsyslog::start(&folder, "rsyslog", from, &forward(to, framing, &more));
        send(from, &messages());
        wait_until("all messages arrive", || events(&folder).len() >= messages().len());
        drop(rsyslog);
        let ended = agent.stop();
        ended.summary().pipeline();
        let mut found: Vec<String> =
            folder.events("ok.ndjson").iter().map(|event| String::from_utf8(raw(event)).unwrap()).collect();
        let mut sent = messages();
        found.sort_unstable();
        sent.sort_unstable();
        assert_eq!(found, sent, "{framing}, TLS {is_secure}");
    }
}

#[test]
fn rsyslog_receives_what_the_sink_sends() {
    for framing in ["octet_counting", "lines"] {
        let (folder, from, to) = (Folder::new(), free_address(), free_address());
        let out = folder.path("out.txt");
        let rules = format!(
            "template(name=\"out\" type=\"string\" string=\"%pri%|%hostname%|%app-name%|%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"out\" flushOnTXEnd=\"on\")",
            out.display()
        );
        let rsyslog = Rsyslog::start(&folder, "rsyslog", to, &rules);
        let config = Config::new()
            .source("in", "syslog")
            .set("address", from.to_string())
            .set("framing", "octet_counting")
            .sink("out", "syslog", &["in"])
            .set("address", to.to_string())
            .set("framing", framing)
            .with("facility = \"local3\"\nseverity = \"notice\"\nhostname = \"here\"\napp_name = \"tested\"");
        let agent = folder.start(&config.text());
        until_it_listens(from);
        let mut client = TcpStream::connect(from).unwrap();
        let texts = |number: usize| match number % 3 {
            0 => (format!("<34>1 - h a - - - message {number}"), format!("34|h|a|message {number}")),
            1 => (format!("plain {number}"), format!("157|here|tested|plain {number}")),
            // rsyslog writes the line feed as the sink does.
            _ => (format!("two\nlines {number}"), format!("157|here|tested|two#012lines {number}")),
        };
        for number in 0..3000 {
            let (message, _) = texts(number);
            client.write_all(format!("{} {message}", message.len()).as_bytes()).unwrap();
        }
        drop(client);
        let received = || String::from_utf8(folder.read("out.txt")).unwrap();
        wait_until("all messages arrive", || received().lines().count() >= 3000);
        agent.stop();
        drop(rsyslog);
        // The worker threads of rsyslog keep no order.
        let mut found: Vec<String> = received().lines().map(|line| line.replace("| ", "|")).collect();
        let mut expected: Vec<String> = (0..3000).map(|number| texts(number).1).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{framing}");
    }
}
