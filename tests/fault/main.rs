//! Guests that misbehave: the agent lives, healthy events all arrive, poisonous ones fail with the right code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use serde_json::Value;
use wattle_tests::{Folder, built};

const ROWS: usize = 120;
const POISON: [usize; 3] = [0, 60, 61];

/// A pipeline through the faulty guest, with its outputs to files of its name.
fn pipeline(fault: &str, limits: &str) -> String {
    format!(
        r#"
        [pipelines.{fault}]
        inputs = ["lines"]
        [pipelines.{fault}.nodes.faulty]
        artifact = "faulty.wasm"
        inputs = ["input"]
        options = {{ fault = "{fault}" }}
        limits = {{ {limits} }}
        [pipelines.{fault}.outputs.ok]
        inputs = ["faulty"]
        [pipelines.{fault}.outputs.fails]
        inputs = ["faulty.failed"]
        [sinks.{fault}-ok]
        type = "file"
        inputs = ["{fault}.ok"]
        path = "{fault}-ok.ndjson"
        encoding.codec = "text"
        fsync = "never"
        [sinks.{fault}-fails]
        type = "file"
        inputs = ["{fault}.fails"]
        path = "{fault}-fails.ndjson"
        fsync = "never"
        "#
    )
}

fn source() -> &'static str {
    "[sources.lines]\ntype = \"file\"\ninclude = [\"in.log\"]\nfollow = false\n"
}

/// A healthy pipeline beside the others.
fn healthy() -> &'static str {
    r#"
    [pipelines.healthy]
    inputs = ["lines"]
    [pipelines.healthy.nodes.parse]
    artifact = "builtin:parse"
    inputs = ["input"]
    options = { field = "body", format = "json" }
    [pipelines.healthy.outputs.ok]
    inputs = ["parse", "parse.failed"]
    [sinks.healthy]
    type = "file"
    inputs = ["healthy.ok"]
    path = "healthy.ndjson"
    fsync = "never"
    "#
}

fn row(index: usize) -> String {
    let kind = if POISON.contains(&index) { "poison" } else { "healthy" };
    format!("{{\"row\":{index},\"kind\":\"{kind}\"}}")
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("faulty.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
    folder.write("in.log", (0..ROWS).map(|index| row(index) + "\n").collect::<String>());
    folder
}

#[track_caller]
fn assert_isolated(folder: &Folder, fault: &str, code: &str, message: &str) {
    let passed = String::from_utf8(folder.read(&format!("{fault}-ok.ndjson"))).unwrap();
    let healthy: Vec<String> = (0..ROWS).filter(|index| !POISON.contains(index)).map(row).collect();
    assert!(passed.lines().eq(&healthy), "{fault}: healthy rows, in their order, and no others: {passed}");
    let failed = folder.events(&format!("{fault}-fails.ndjson"));
    let bodies: Vec<&str> = failed.iter().map(|event| event["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, POISON.map(row), "{fault}: poisonous rows, unchanged");
    for event in failed {
        let Value::Object(failure) = &event["failure"] else { panic!("{fault}: {event}") };
        assert_eq!(failure["code"], code, "{fault}: {event}");
        assert_eq!(failure["node"], "faulty");
        assert!(failure["message"].as_str().unwrap().contains(message), "{fault}: {event}");
    }
}

#[test]
fn each_kind_of_fault_fails_its_rows_and_no_others() {
    let faults = [
        ("panic", "trap", "poison in row"),
        ("grow-memory", "memory-limit", "more than 32 MiB"),
        ("recurse", "stack-overflow", ""),
        ("flood", "output-limit", "more than 1048576 bytes"),
        ("call-host", "host-call-limit", "host calls"),
        ("bad-span", "invalid-decision", ""),
        ("bad-offsets", "invalid-decision", ""),
        ("bad-port", "invalid-decision", ""),
        ("bad-json", "invalid-decision", ""),
        ("bad-row", "invalid-decision", ""),
        ("bad-field", "invalid-decision", ""),
    ];
    let folder = folder();
    let mut config = source().to_owned() + healthy();
    for (fault, _, _) in faults {
        config += &pipeline(fault, "memory = \"32MiB\", time = \"5s\"");
    }
    let ended = folder.once(&config);
    for (fault, code, message) in faults {
        assert_isolated(&folder, fault, code, message);
        let pipeline = &ended.summary().pipelines[fault];
        assert_eq!((pipeline.delivered, pipeline.failed), ((ROWS - POISON.len()) as u64, POISON.len() as u64));
        assert!(pipeline.reasons.iter().any(|r| r.starts_with("faults of faulty:")), "{:?}", pipeline.reasons);
    }
    let untouched: Vec<Value> = folder.events("healthy.ndjson");
    assert!(untouched.iter().map(|e| e["body"].as_str().unwrap().to_owned()).eq((0..ROWS).map(row)));
    assert!(ended.log.contains("poison in row"), "a panic's message reaches the log: {}", ended.log);
}

#[test]
fn an_error_that_a_guest_answers_with_fails_its_whole_batch() {
    let folder = folder();
    let ended = folder.once(&(source().to_owned() + healthy() + &pipeline("error", "memory = \"32MiB\"")));
    let failed = folder.events("error-fails.ndjson");
    assert!(
        failed.iter().map(|e| e["body"].as_str().unwrap().to_owned()).eq((0..ROWS).map(row)),
        "unchanged, in order"
    );
    assert!(
        failed.iter().all(|e| e["failure"]["code"] == "node-error" && e["failure"]["message"] == "row 0 holds poison")
    );
    assert_eq!(folder.events("healthy.ndjson").len(), ROWS);
    assert_eq!(ended.summary().pipelines["error"].failed, ROWS as u64);
}

#[test]
fn a_guest_that_never_comes_back_is_stopped_and_others_go_on() {
    let folder = folder();
    let ended = folder.once(&(source().to_owned() + healthy() + &pipeline("spin", "time = \"200ms\"")));
    assert_isolated(&folder, "spin", "time-limit", "longer than 200 ms");
    assert_eq!(folder.events("healthy.ndjson").len(), ROWS);
    assert_eq!(ended.summary().pipelines["healthy"].delivered, ROWS as u64);
}

#[test]
fn a_running_agent_goes_on_with_what_comes_after_a_fault() {
    let folder = folder();
    let config = source().replace("follow = false", "") + &pipeline("panic", "memory = \"32MiB\"");
    let mut agent = folder.start(&config);
    wattle_tests::wait_until("the first rows", || folder.events("panic-fails.ndjson").len() == POISON.len());
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    std::io::Write::write_all(&mut file, b"{\"row\":1000,\"kind\":\"late\"}\n").unwrap();
    wattle_tests::wait_until("a row after the faults", || {
        String::from_utf8_lossy(&folder.read("panic-ok.ndjson")).contains("\"row\":1000")
    });
    assert!(agent.is_running());
    assert_eq!(agent.stop().summary().pipeline().failed, POISON.len() as u64);
}

#[test]
fn a_guest_that_panics_in_configure_is_a_diagnostic() {
    let folder = folder();
    folder.write("agent.toml", source().to_owned() + &pipeline("panic-on-configure", ""));
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 78);
    assert!(ended.text().contains("configured to panic"), "{}", ended.text());
    assert!(ended.text().contains("agent.toml:"), "{}", ended.text());
}
