//! Little memory and little address space.

use std::process::Command;
use std::time::{Duration, Instant};

use wattle_tests::{Folder, binary, finish};

use crate::{cold, config, folder, run_within};

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

/// The same for a pack of five nodes on two workers, in several runs, because the result must not
/// depend on chance.
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
        command.args(["run", "--pack", "cloudtrail@1.2.0", "--out", "out"]).current_dir(folder.path("."));
        let ended = finish(command.env("WATTLE_DATA_DIR", folder.path("data")), document.as_bytes());
        assert_eq!(ended.code, 0, "{run}: {}", ended.log);
        assert_eq!(ended.summary().pipeline().delivered + ended.summary().pipeline().dropped, 200, "{}", ended.log);
    }
}

/// `[agent.limits]` apply before a node is configured: while its artifact is instantiated and
/// describes itself.
#[test]
fn an_artifact_that_takes_memory_to_describe_itself_is_refused_in_little_memory() {
    let grows = "(loop $more
        (drop (memory.grow (i32.const 16)))
        (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
        (br $more))";
    for (case, pages, describe) in [("while it describes itself", 1, grows), ("at once", 10_000, "")] {
        let folder = cold();
        let module = format!(
            r#"(module
            (memory (export "memory") {pages})
            (func (export "wattle:node/node@0.2.0#describe") (result i32) {describe} unreachable)
            (func (export "wattle:node/node@0.2.0#configure") (param i32 i32) (result i32) unreachable)
            (func (export "wattle:node/node@0.2.0#process") (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
        );
        folder.write("module.wasm", wat::parse_str(module).unwrap());
        assert_eq!(folder.run(&["node", "wrap", "module.wasm", "--out", "capable.wasm"]).code, 0, "{case}");
        let limits = "[agent.limits]\nmemory = \"8MiB\"\n[sources.lines]";
        folder.write("agent.toml", config("", "", "").replacen("[sources.lines]", limits, 1));
        let ended = run_within(&folder, 256, &["validate", "agent.toml"]);
        let said = format!("{}{}", ended.text(), ended.log);
        assert_eq!(ended.code, 78, "{case}: {said}");
        assert!(said.contains("memory-limit") || said.contains("8388608"), "{case}: {said}");
    }
}

/// Diagnostics take time in proportion to the number of errors.
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
