//! Nodes of one's own: the commands of `wattle node`, the pages of `docs/nodes`, the templates and the examples, in the
//! languages whose tools are there: `cargo xtask test` installs them where it may. `cargo xtask languages` measures them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod conformance;
mod dev;
mod docs;
mod project;

use std::process::Command;

use wattle_tests::{Ended, Folder};

/// Whether C can be compiled to WebAssembly here; says so where not.
fn has_clang() -> bool {
    has("clang") && has("wasm-ld")
}

/// Whether a program is there; says so where not.
fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: {program} is not there");
    }
    is_there
}

/// Runs a command line that must go well.
#[track_caller]
fn good(folder: &Folder, arguments: &[&str]) -> Ended {
    let ended = folder.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.text(), ended.log);
    ended
}
