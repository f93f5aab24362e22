//! Custom nodes: the commands of `wattle node`, the pages of `docs/nodes`, the templates and the
//! examples, in every language with an SDK. `cargo xtask test` installs their tools if it may.
//! `cargo xtask languages` measures them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod conformance;
mod contract;
mod dev;
mod docs;
mod project;
mod run;

use std::process::Command;

use wattle_tests::{Ended, Folder};

/// Checks that the tools of C exist.
#[track_caller]
fn needs_clang() {
    needs("clang");
    needs("wasm-ld");
}

/// Checks that a program exists: a skipped test would prove nothing.
#[track_caller]
fn needs(program: &str) {
    let is_there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(
        is_there,
        "{program} is not there; `cargo xtask test` installs it as root on Debian, elsewhere install it first"
    );
}

/// Runs a command line that must succeed.
#[track_caller]
fn good(folder: &Folder, arguments: &[&str]) -> Ended {
    let ended = folder.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.text(), ended.log);
    ended
}
