//! Malicious artifacts, events and servers: their cost is bounded, and the agent reports what it
//! refused.
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

use wattle_tests::{ALL_GRANTS, Ended, Folder, binary, built, capable_config, finish};

/// Runs the agent to its end in a folder with at most this much memory for data; beyond it,
/// allocations fail.
fn run_within(folder: &Folder, mebibytes: u64, arguments: &[&str]) -> Ended {
    let script = format!("ulimit -d {}; exec \"$0\" \"$@\"", mebibytes << 10);
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(binary()).args(arguments);
    command.current_dir(folder.path(".")).env("WATTLE_DATA_DIR", folder.path("data"));
    finish(&mut command, b"")
}

/// A configuration with the guest `capable` between files, with every capability that the tests use
/// granted.
fn config(agent: &str, options: &str, source: &str) -> String {
    capable_config(&format!("data_dir = \"data\"\n{agent}"), source, ALL_GRANTS, options)
}

/// A folder with a separate compile cache, because the cache shared by tests has the code of most
/// artifacts.
fn cold() -> Folder {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("data/cache")).unwrap();
    folder
}

/// A folder with the guest, and with the compile cache shared by tests.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("capable.wasm", std::fs::read(built("guests/capable.wasm")).unwrap());
    folder
}
