//! Little memory and little address space.

use std::process::Command;
use std::time::{Duration, Instant};

use wattle_tests::{Folder, binary, finish};

use crate::{config, folder};

/// Old hosting limits the address space to 1 GB, where each linear memory would reserve 4 GiB.
#[test]
fn an_agent_runs_in_a_gigabyte_of_address_space() {
    let folder = folder();
    folder.write("in.log", "one\ntwo\n");
    folder.write("agent.toml", config("", "mode = \"clock\"", "follow = false"));
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]).arg(binary());
    command.args(["run", "--once", "--config", "agent.toml"]).current_dir(folder.path("."));
    let ended = finish(command.env("WATTLE_DATA_DIR", folder.path("data")), b"");
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(folder.events("all.ndjson").len(), 2, "{}", ended.log);
}

/// The same for a pack of five nodes on two workers, in several runs: what fits is no matter of chance.
#[test]
fn the_cloudtrail_pack_runs_in_a_gigabyte_of_address_space() {
    let folder = Folder::new();
    let record = serde_json::json!({
        "eventVersion": "1.08", "eventName": "PutObject", "eventTime": "2024-01-01T00:00:00Z",
        "requestParameters": { "k": "v".repeat(800) },
    });
    let document = serde_json::json!({ "Records": vec![record; 200] }).to_string();
    for run in 0..3 {
        let mut command = Command::new("bash");
        command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]).arg(binary());
        command.args(["run", "--pack", "cloudtrail", "--out", "out"]).current_dir(folder.path("."));
        let ended = finish(command.env("WATTLE_DATA_DIR", folder.path("data")), document.as_bytes());
        assert_eq!(ended.code, 0, "{run}: {}", ended.log);
        assert_eq!(ended.summary().pipeline().delivered + ended.summary().pipeline().dropped, 200, "{}", ended.log);
    }
}

/// Diagnostics take time in proportion to what is wrong.
#[test]
fn thousands_of_unknown_keys_are_reported_in_linear_time() {
    let folder = Folder::new();
    let time = |keys: usize| {
        let keys: String = (0..keys).map(|i| format!("unknown_key_{i} = 1\n")).collect();
        folder.write("agent.toml", format!("[agent]\n{keys}"));
        let since = Instant::now();
        let ended = folder.run(&["validate", "agent.toml"]);
        assert_eq!(ended.code, 78);
        since.elapsed()
    };
    let (some, many) = (time(2000), time(16_000));
    assert!(many < some * 24 + Duration::from_secs(1), "{some:?} {many:?}");
}
