//! The commands of the pages in `docs/nodes`, as they stand there.

use std::fs;
use std::process::Command;

use wattle_tests::{Folder, binary, finish, workspace};

use crate::has_clang;

/// Blocks of this language in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join("docs/nodes").join(page)).unwrap();
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

/// Runs the commands of a page in an empty folder.
fn run(page: &str, folder: &Folder) {
    let commands = blocks(page, "sh").concat();
    assert!(commands.contains("wattle node"), "{page} has commands");
    let programs = binary().parent().unwrap().to_str().unwrap().to_owned();
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", &commands])
        .current_dir(folder.path("."))
        .env("PATH", programs + ":" + &std::env::var("PATH").unwrap())
        .env("WATTLE_DATA_DIR", folder.path("data"));
    let ended = finish(&mut shell, b"");
    assert_eq!(ended.code, 0, "{page}: {}{}", ended.text(), ended.log);
}

#[test]
fn the_page_of_c_works_as_it_stands() {
    if has_clang() {
        run("c.md", &Folder::new());
    }
}

#[test]
fn the_page_for_people_without_an_sdk_works_as_it_stands() {
    if !has_clang() {
        return;
    }
    let folder = Folder::new();
    folder.write("node.c", blocks("without-sdk.md", "c").concat());
    run("without-sdk.md", &folder);
}

#[test]
fn the_page_of_rust_works_as_it_stands() {
    run("rust.md", &Folder::new());
}
