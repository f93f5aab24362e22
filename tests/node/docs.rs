//! Runs the commands of the pages in `docs/nodes` unchanged.

use std::fs;
use std::process::Command;

use wattle_tests::{Folder, binary, finish, workspace};

use crate::{good, needs, needs_clang};

/// The blocks in this language of a page.
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
fn the_commands_of_the_c_page_work() {
    needs_clang();
    run("c.md", &Folder::new());
}

#[test]
fn the_commands_of_the_page_without_an_sdk_work() {
    needs_clang();
    let folder = Folder::new();
    folder.write("node.c", blocks("without-sdk.md", "c").concat());
    run("without-sdk.md", &folder);
}

#[test]
fn the_commands_of_the_rust_page_work() {
    run("rust.md", &Folder::new());
}

#[test]
fn the_commands_of_the_javascript_page_work() {
    needs("npm");
    run("javascript.md", &Folder::new());
}

#[test]
fn the_commands_of_the_python_page_work() {
    needs("python3");
    run("python.md", &Folder::new());
}

#[test]
fn the_commands_of_the_go_page_work() {
    needs("python3");
    run("go.md", &Folder::new());
}

/// Replaces a template's node by the node with capabilities from a page, and runs its case.
fn asks_and_is_answered(language: &str, page: &str, source: &str) {
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", language, "own"]);
    let code = blocks(page, language).pop().unwrap();
    folder.write(format!("own/{source}"), code);
    if let Some(world) = blocks(page, "wit").pop() {
        folder.write("own/sdk/wit/own.wit", world);
        let project = fs::read_to_string(folder.path("own/node.toml")).unwrap();
        folder.write("own/node.toml", project.replace("\"processor\"", "\"account\""));
    }
    fs::remove_dir_all(folder.path("own/tests/cases")).unwrap();
    folder.write("own/tests/cases/account.json", blocks("capabilities.md", "json").pop().unwrap());
    good(&folder, &["node", "build", "own"]);
    let tested = good(&folder, &["node", "test", "--project", "own"]);
    assert!(tested.text().contains("1 passed, 0 failed"), "{}", tested.text());
    let seen = good(&folder, &["inspect", "own/own.wasm"]);
    assert!(seen.text().contains("requests the capabilities log, metrics, lookup\n"), "{}", seen.text());
}

#[test]
fn the_rust_node_with_capabilities_works() {
    asks_and_is_answered("rust", "rust.md", "src/lib.rs");
}

#[test]
fn the_c_node_with_capabilities_works() {
    needs_clang();
    asks_and_is_answered("c", "c.md", "src/node.c");
}

#[test]
fn the_javascript_node_with_capabilities_works() {
    needs("npm");
    asks_and_is_answered("js", "javascript.md", "src/node.js");
}

#[test]
fn the_python_node_with_capabilities_works() {
    needs("python3");
    asks_and_is_answered("python", "python.md", "src/app.py");
}

#[test]
fn the_go_node_with_capabilities_works() {
    needs("python3");
    asks_and_is_answered("go", "go.md", "main.go");
}
