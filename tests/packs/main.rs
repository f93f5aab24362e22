//! The tests of the built-in packs, and the commands of `wattle pack`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod build;
mod cloudtrail;
mod commands;
mod generated;
mod mocks;
mod propose;
mod upgrade;

use wattle_tests::{Folder, workspace};

#[track_caller]
fn check(pack: &str, least: usize) {
    let folder = Folder::new();
    let ended = folder.run(&["pack", "test", pack]);
    let text = ended.text();
    assert_eq!(ended.code, 0, "{text}{}", ended.log);
    let passed = text.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok")).count();
    assert_eq!(text.lines().last(), Some(format!("{passed} passed, 0 failed").as_str()), "{text}");
    assert!(passed >= least, "{passed} tests of {pack}");
}

#[test]
fn built_in_packs_pass_their_tests() {
    check("cloudtrail@1.0.0", 15);
    check("cloudtrail@1.1.0", 20);
    check("cloudtrail@1.2.0", 40);
    check("cloudtrail@2.0.0", 90);
    for (pack, least) in [("alb", 2), ("kubernetes-containers", 3), ("nginx", 6), ("syslog-auth", 3), ("vpc-flow", 3)] {
        check(pack, least);
    }
}

#[test]
fn a_pack_in_a_folder_passes_its_tests() {
    let folder = workspace().join("packs/cloudtrail/1.2.0");
    check(folder.to_str().unwrap(), 40);
}

#[test]
fn a_pack_that_does_not_meet_its_expectations_fails_its_tests() {
    let folder = Folder::new();
    folder.copy(&workspace().join("packs/cloudtrail/1.0.0"), "mine");
    let manifest = String::from_utf8(folder.read("mine/pack.toml")).unwrap();
    folder.write("mine/pack.toml", manifest.replace("\"accessKeyId\", ", ""));
    let ended = folder.run(&["pack", "test", "./mine", "compact"]);
    assert_eq!(ended.code, 1, "{}{}", ended.text(), ended.log);
    assert!(ended.text().contains("test compact ... FAILED"), "{}", ended.text());
    assert_eq!(ended.text().lines().last(), Some("0 passed, 1 failed"));
}
