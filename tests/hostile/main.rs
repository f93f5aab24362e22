//! Artifacts, events and servers that are made to harm: what each costs is bounded, and the agent says what it refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod budget;
mod compile;
mod memory;
mod ports;
mod split;

use std::process::Command;

use wattle_tests::{Ended, Folder, binary, built, finish};

/// Runs the agent to its end in a folder with at most so much memory for data. What needs more fails there.
fn run_within(folder: &Folder, mebibytes: u64, arguments: &[&str]) -> Ended {
    let script = format!("ulimit -d {}; exec \"$0\" \"$@\"", mebibytes << 10);
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(binary()).args(arguments);
    command.current_dir(folder.path(".")).env("WATTLE_DATA_DIR", folder.path("data"));
    finish(&mut command, b"")
}

/// A configuration with the guest `capable` between files, with every capability that the tests use granted.
fn config(agent: &str, options: &str, more: &str) -> String {
    format!(
        r#"
        [agent]
        data_dir = "data"
        {agent}
        [sources.lines]
        type = "file"
        include = ["in*.log"]
        {more}
        [pipelines.main]
        inputs = ["lines"]
        [pipelines.main.grants]
        log = true
        metrics = true
        clock = true
        random = true
        kv = true
        lookup = {{ tables = {{}} }}
        http-client = {{ hosts = [] }}
        [pipelines.main.nodes.cap]
        artifact = "capable.wasm"
        inputs = ["input"]
        options = {{ {options} }}
        [pipelines.main.outputs.all]
        inputs = ["cap"]
        [pipelines.main.outputs.fails]
        inputs = ["cap.failed"]
        [sinks.all]
        type = "file"
        inputs = ["main.all"]
        path = "all.ndjson"
        fsync = "never"
        [sinks.fails]
        type = "file"
        inputs = ["main.fails"]
        path = "fails.ndjson"
        fsync = "never"
        "#
    )
}

/// A folder with a compile cache of its own, since the one that tests share has code of most artifacts.
fn cold() -> Folder {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("data/cache")).unwrap();
    folder
}

/// A folder with the guest, and with the compile cache that tests share.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("capable.wasm", std::fs::read(built("guests/capable.wasm")).unwrap());
    folder
}
