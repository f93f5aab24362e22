//! One guest for each kind of fault.

use serde_json::Value;
use wattle_tests::evil::{EVIL, LINES, folder, pipeline, row};
use wattle_tests::{Config, built, free_address, send, wait_until};

use crate::faults;

const ROWS: usize = 120;
const POISON: [usize; 3] = [0, 60, 61];

/// A healthy pipeline beside the others.
fn healthy() -> String {
    Config::new()
        .pipeline("healthy", &["lines"])
        .node("parse", "builtin:parse", &["input"])
        .with("options = { field = \"body\", format = \"json\" }")
        .output("ok", &["parse", "parse.failed"])
        .file_sink("healthy", &["healthy.ok"], "healthy.ndjson")
        .set("fsync", "never")
        .text()
}

#[test]
fn each_kind_of_fault_costs_its_rows_and_no_others() {
    let folder = folder(ROWS, &POISON);
    let running = || EVIL.iter().filter(|evil| evil.runs());
    let mut config = LINES.to_owned() + &healthy();
    for evil in running() {
        config += &pipeline(evil.fault, &evil.limits("200ms"), "");
    }
    let ended = folder.once(&config);
    let summary = ended.summary();
    for evil in running() {
        evil.assert_contained(&folder, ROWS, &POISON);
        assert!(faults(&summary, evil.fault, &format!("{} (guest)", evil.code)) > 0, "{}: {}", evil.fault, ended.log);
        assert_eq!(faults(&summary, evil.fault, &format!("{} (host)", evil.code)), 0, "{}", evil.fault);
    }
    let untouched: Vec<Value> = folder.events("healthy.ndjson");
    assert!(
        untouched
            .iter()
            .map(|e| e["body"].as_str().unwrap().to_owned())
            .eq((0..ROWS).map(|i| row(i, POISON.contains(&i))))
    );
    assert_eq!(summary.pipelines["healthy"].delivered, ROWS as u64);
    assert!(ended.log.contains("poison in row"), "a panic's message reaches the log: {}", ended.log);
}

#[test]
fn a_guest_that_cannot_be_configured_is_a_diagnostic() {
    let folder = folder(0, &[]);
    for evil in EVIL.iter().filter(|evil| !evil.runs()) {
        folder.write("agent.toml", LINES.to_owned() + &pipeline(evil.fault, &evil.limits("200ms"), ""));
        let ended = folder.run(&["validate", "agent.toml"]);
        assert_eq!(ended.code, 78, "{}", evil.fault);
        for text in [evil.code, evil.message, "agent.toml:", "E0206"] {
            assert!(ended.text().contains(text), "{}: {}", evil.fault, ended.text());
        }
    }
}

#[test]
fn a_running_agent_continues_after_a_fault() {
    let folder = folder(ROWS, &POISON);
    let config = LINES.replace("follow = false", "") + &pipeline("panic", "memory = \"32MiB\"", "");
    let mut agent = folder.start(&config);
    wait_until("the first rows", || folder.events("panic-fails.ndjson").len() == POISON.len());
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    std::io::Write::write_all(&mut file, b"{\"row\":1000,\"kind\":\"late\"}\n").unwrap();
    wait_until("a row after the faults", || {
        String::from_utf8_lossy(&folder.read("panic-ok.ndjson")).contains("\"row\":1000")
    });
    assert!(agent.is_running());
    assert_eq!(agent.stop().summary().pipeline().failed, POISON.len() as u64);
}

#[test]
fn other_pipelines_continue_while_a_guest_never_returns() {
    let folder = folder(ROWS, &[7]);
    let address = free_address();
    let config = Config::new()
        .agent("workers = 2\nbatch.max_age = \"10ms\"")
        .http_source("requests", address)
        .pipeline("beside", &["requests"])
        .node("parse", "builtin:parse", &["input"])
        .with("options = { field = \"body\", format = \"json\" }")
        .output("ok", &["parse", "parse.failed"])
        .drop_sink("beside", &["beside.ok"])
        .with(LINES)
        .with(pipeline("spin", "time = \"1s\"", ""))
        .text();
    let agent = folder.start(&config);
    wait_until("the source listens", || std::net::TcpStream::connect(address).is_ok());
    for _ in 0..20 {
        assert_eq!(send(address, &[], b"{\"healthy\":true}").status, 200);
    }
    // Finding one poisonous row of 120 takes nine calls of a second each.
    assert!(folder.read("spin-fails.ndjson").is_empty(), "the guest was still spinning meanwhile");
    wait_until("the poisonous row", || folder.events("spin-fails.ndjson").len() == 1);
    assert_eq!(agent.stop().summary().pipelines["beside"].delivered, 20);
}

#[test]
fn every_way_to_misbehave_is_in_the_table() {
    let guest = String::from_utf8_lossy(&std::fs::read(built("guests/faulty.wasm")).unwrap()).into_owned();
    for evil in EVIL {
        assert!(guest.contains(evil.fault), "the guest knows no `{}`", evil.fault);
    }
}
