//! Lines that a source sends again after a kill, before the node `join`.

use std::fs::File;
use std::io::Write as _;

use wattle_tests::{Config, Folder, wait_until};

fn config() -> String {
    Config::new()
        .agent("workers = 2")
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .node("join", "builtin:join", &["input"])
        .with("options = { start = '^s', timeout = \"1h\" }\nstate = { snapshot_interval = \"20ms\" }")
        .output("ok", &["join", "join.failed"])
        .file_sink("ok", &["main.ok"], "ok.ndjson")
        .text()
}

const POSITIONS: &str = "data/sources/lines/checkpoints.json";

fn append(folder: &Folder, text: &str) {
    File::options().create(true).append(true).open(folder.path("in.log")).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until all lines are acknowledged, so a snapshot on disk has them.
fn wait_for_positions(folder: &Folder) {
    let end = format!("\"position\":{}", std::fs::metadata(folder.path("in.log")).unwrap().len());
    wait_until("the position", || {
        std::fs::read_to_string(folder.path(POSITIONS)).is_ok_and(|text| text.contains(&end))
    });
}

fn bodies(folder: &Folder) -> Vec<String> {
    if !folder.path("ok.ndjson").exists() {
        return Vec::new();
    }
    folder.events("ok.ndjson").iter().map(|event| event["body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lines_from_before_an_open_event_that_come_again_do_not_join_it() {
    let folder = Folder::new();
    append(&folder, "s1\na\nb\n");
    let text = config();
    let agent = folder.start(&text);
    wait_for_positions(&folder);
    let before = folder.read(POSITIONS);
    append(&folder, "c\ns2\nd\n");
    wait_until("the first event", || bodies(&folder).contains(&"s1\na\nb\nc".to_owned()));
    wait_for_positions(&folder);
    agent.kill();
    // As if the kill had come after the snapshot, and before the source stored its position.
    folder.write(POSITIONS, before);
    append(&folder, "e\ns3\n");
    let agent = folder.start(&text);
    wait_until("the second event", || bodies(&folder).contains(&"s2\nd\ne".to_owned()));
    let ended = agent.stop();
    let events = ["s1\na\nb\nc", "s2\nd\ne", "s3"];
    let bodies = bodies(&folder);
    assert!(bodies.iter().all(|body| events.iter().any(|event| event.contains(body))), "{bodies:?}: {}", ended.log);
    assert!(ended.log.contains("counted at join: 1 repeated"), "{}", ended.log);
}

#[test]
fn kills_at_any_time_mix_no_events() {
    let folder = Folder::new();
    let text = config();
    let (mut seed, mut group) = (11_u64, 0);
    let mut random = |below: u64| {
        // A linear congruential generator: the same pauses in every run.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut lines = Vec::new();
    append(&folder, "");
    for _ in 0..8 {
        let agent = folder.start(&text);
        for _ in 0..30 {
            let line = match random(4) {
                0 => {
                    group += 1;
                    format!("s{group}")
                }
                _ => format!("  of s{group}: {}", lines.len()),
            };
            append(&folder, &format!("{line}\n"));
            lines.push(line);
            std::thread::sleep(std::time::Duration::from_millis(random(15)));
        }
        agent.kill();
    }
    append(&folder, "s-last\n");
    // The event of the last group is complete, and what is still open leaves at the end.
    let ended = folder.once(&text);
    let bodies = bodies(&folder);
    let group = |line: &str| line.trim_start_matches("  of ").split(':').next().unwrap().to_owned();
    for body in &bodies {
        let first = group(body.lines().next().unwrap());
        assert!(body.lines().all(|line| group(line) == first), "{body}: {}", ended.text());
    }
    let all: std::collections::BTreeSet<&str> = bodies.iter().flat_map(|body| body.lines()).collect();
    let missing: Vec<&String> = lines.iter().filter(|line| !all.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}: {}", ended.text());
}
