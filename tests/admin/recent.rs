//! Trials on recent events of a running agent.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use wattle_tests::{Agent, Config, Folder, assert_hidden, free_address, wait_until};

use crate::{is_ready, scrape};

/// Reads CloudTrail documents with secrets.
fn config(admin: SocketAddr, version: &str, more: &str) -> String {
    Config::new()
        .admin(admin)
        .with(more)
        .source("load", "demo")
        .set("rate", 200)
        .pack("main", &["load"], &format!("cloudtrail@{version}"))
        .drop_sink("all", &["main.*"])
        .text()
}

fn start(folder: &Folder, admin: SocketAddr, more: &str) -> Agent {
    let agent = folder.start(&config(admin, "1.2.0", more));
    wait_until("the agent is ready", || is_ready(admin));
    agent
}

/// A request whose response is not read yet.
fn open(admin: SocketAddr, query: &str, body: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    write!(
        stream,
        "POST /api/v1/try?{query} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\
         content-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// The status and the body of a response.
fn read(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn post(admin: SocketAddr, query: &str) -> (u16, String) {
    read(open(admin, query, "", 0))
}

#[track_caller]
fn tried(admin: SocketAddr, query: &str) -> Value {
    let (status, text) = post(admin, query);
    assert_eq!(status, 200, "{query}: {text}");
    assert_hidden(&text);
    let tried: Value = serde_json::from_str(&text).unwrap();
    for pack in [&tried["result"], &tried["against"]].into_iter().filter(|pack| !pack.is_null()) {
        assert_eq!(pack["balance"]["unbalanced"], 0, "{query}");
        assert!(pack["events"].as_u64() > Some(0), "{query}: {text}");
    }
    tried
}

#[track_caller]
fn refused(admin: SocketAddr, query: &str, status: u16, parts: &[&str]) {
    let (found, text) = post(admin, query);
    assert!(found == status && parts.iter().all(|part| text.contains(part)), "{query}: {found} {text}");
}

fn received(pack: &Value, node: &str) -> u64 {
    let nodes = pack["nodes"].as_array().unwrap();
    nodes.iter().find(|found| found["name"] == node).unwrap()["received_events"].as_u64().unwrap()
}

fn wait_for_events(admin: SocketAddr) {
    wait_until("the agent keeps events", || post(admin, "recent=taken&pipeline=main").0 == 200);
}

#[test]
fn packs_are_tried_on_masked_events_where_the_agent_took_them_or_at_the_input() {
    let (folder, admin) = (Folder::new(), free_address());
    let agent = start(&folder, admin, "recent = \"2MiB\"\n");
    wait_for_events(admin);
    let own = tried(admin, "recent=taken");
    let recent = &own["recent"];
    assert_eq!((&recent["pipeline"], &recent["entered"]), (&Value::from("main"), &Value::from("taken")));
    assert_eq!((recent["taken"].as_array().unwrap().len(), &recent["taken"][0]["point"]), (1, &"main/mask.out".into()));
    assert!(recent["oldest"].as_str().unwrap() <= recent["newest"].as_str().unwrap());
    let result = &own["result"];
    // On a busy machine, a trial can end at its time limit.
    assert!(recent["taken"][0]["events"].as_u64() >= result["events"].as_u64(), "{own}");
    assert_eq!((received(result, "mask"), received(result, "unroll")), (0, result["events"].as_u64().unwrap()));
    assert_eq!(result["traces"][0]["steps"][0]["point"], "main/mask.out");

    // Another version has no such point, but has an input.
    refused(admin, "recent=taken&pack=cloudtrail@1.1.0", 422, &["no point `mask.out`", "recent=input"]);
    let other = tried(admin, "recent=input&pack=cloudtrail@1.2.0&against=cloudtrail@1.1.0&pipeline=main");
    assert_eq!((&other["recent"]["entered"], &other["against"]["pack"]), (&"input".into(), &"cloudtrail@1.1.0".into()));
    assert_eq!(received(&other["result"], "mask"), other["result"]["events"].as_u64().unwrap());

    refused(admin, "recent=taken&pipeline=none", 404, &["no pipeline `none`"]);
    refused(admin, "recent=all", 400, &["bad `recent`", "`taken`", "`input`"]);
    refused(admin, "recent=taken&pack=a&pack=b", 400, &["\\\"pack\\\" is given more than once"]);
    let (status, text) = read(open(admin, "recent=taken", "x", 1));
    assert!(status == 400 && text.contains("has no body"), "{status} {text}");

    let run = |more: &[&str]| folder.run(&[&["try", "--recent", "--data-dir", "data"], more].concat());
    let json = run(&["--format", "json", "--limit", "2", "--trace", "1"]);
    assert_eq!(json.code, 0, "{}", json.log);
    assert_hidden(json.text());
    let document: Value = serde_json::from_str(json.text()).unwrap();
    let sizes = |key: &str| document["result"][key].as_array().unwrap().len();
    assert_eq!(sizes("traces"), 1);
    let outputs = document["result"]["outputs"].as_array().unwrap();
    assert!(outputs.iter().all(|output| output["sample"].as_array().unwrap().len() <= 2));
    let pretty = run(&["--pack", "cloudtrail@1.2.0", "--output", "processed"]);
    for part in ["recent events of main from 2", "where the agent took them, at main/mask.out; nodes before"] {
        assert!(pretty.text().contains(part), "{}{}", pretty.text(), pretty.log);
    }
    assert_hidden(pretty.text());
    let versions = ["--pack", "cloudtrail@1.2.0", "--against", "cloudtrail@1.1.0"];
    let at_input = folder.run(&[&["try", "--recent=input", "--url", &admin.to_string()], &versions[..]].concat());
    assert!(at_input.text().contains("they enter at the input"), "{}{}", at_input.text(), at_input.log);
    let wrong = run(&["--output", "nothing"]);
    assert!(wrong.code == 78 && wrong.log.contains("no output `nothing`"), "{}", wrong.log);
    let wrong = run(&["--pack", "cloudtrail@1.1.0"]);
    assert!(wrong.code == 1 && wrong.log.contains("recent=input"), "{}", wrong.log);
    assert_eq!(scrape(admin).sum("wattle_bugs_total", &[]), 0.0);
    agent.stop();
}

#[test]
fn without_the_grant_nothing_is_kept_and_a_forbidden_body_is_not_read() {
    let (folder, admin) = (Folder::new(), free_address());
    let agent = start(&folder, admin, "");
    refused(
        admin,
        "recent=taken&pipeline=main",
        403,
        &["keeps no recent events", "`recent = \\\"8MiB\\\"`", "[admin]"],
    );
    let ended = folder.run(&["try", "--recent", "--url", &admin.to_string()]);
    assert!(ended.code == 1 && ended.log.contains("keeps no recent events"), "{}", ended.log);
    agent.stop();
    let agent = start(&folder, admin, "recent = \"1MiB\"\ntry = false\n");
    // The body never comes, so the response does not wait for it.
    let (status, text) = read(open(admin, "pipeline=main", "", 1000));
    assert!(status == 403 && text.contains("try = true"), "{status} {text}");
    let (status, text) = read(open(admin, "pipelines=main", "", 1000));
    assert!(status == 400 && text.contains("unknown parameter"), "{status} {text}");
    agent.stop();
}

#[test]
fn no_unmasked_event_is_tried_while_versions_are_swapped_and_many_ask_at_once() {
    let (folder, admin) = (Folder::new(), free_address());
    let agent = start(&folder, admin, "recent = \"1MiB\"\n");
    wait_for_events(admin);
    let clients: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(move || {
                let answers: Vec<(u16, String)> = (0..8).map(|_| post(admin, "recent=input&pipeline=main")).collect();
                answers
            })
        })
        .collect();
    // Clients that never read.
    let stalled: Vec<TcpStream> = (0..6).map(|_| open(admin, "recent=input&pipeline=main", "", 0)).collect();
    for version in ["1.1.0", "1.2.0", "1.0.0", "1.2.0"] {
        let generation = scrape(admin).sum("wattle_generation", &[]);
        folder.replace("agent.toml", config(admin, version, "recent = \"1MiB\"\n"));
        wait_until("the version runs", || scrape(admin).sum("wattle_generation", &[]) > generation);
    }
    for (status, text) in clients.into_iter().flat_map(|client| client.join().unwrap()) {
        // 409: the version has just begun; 429: other trials are under way.
        assert!([200, 409, 429].contains(&status), "{status} {text}");
        assert_hidden(&text);
    }
    drop(stalled);
    wait_for_events(admin);
    // On a busy machine, each of the trials above may have met a new version or another trial.
    wait_until("a trial runs", || {
        let (status, text) = post(admin, "recent=input&pipeline=main");
        assert_hidden(&text);
        status == 200
    });
    let metrics = scrape(admin);
    assert_eq!((metrics.sum("wattle_bugs_total", &[]), metrics.sum("wattle_node_faults_total", &[])), (0.0, 0.0));
    agent.stop();
}
