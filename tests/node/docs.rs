//! The commands of the pages in `docs/nodes`, as they stand there.

use std::fs;
use std::process::Command;

use wattle_tests::{Folder, binary, finish, workspace};

use crate::{good, needs, needs_clang};

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
    needs_clang();
    run("c.md", &Folder::new());
}

#[test]
fn the_page_for_people_without_an_sdk_works_as_it_stands() {
    needs_clang();
    let folder = Folder::new();
    folder.write("node.c", blocks("without-sdk.md", "c").concat());
    run("without-sdk.md", &folder);
}

#[test]
fn the_page_of_rust_works_as_it_stands() {
    run("rust.md", &Folder::new());
}

#[test]
fn the_page_of_javascript_works_as_it_stands() {
    needs("npm");
    run("javascript.md", &Folder::new());
}

#[test]
fn the_page_of_python_works_as_it_stands() {
    needs("python3");
    run("python.md", &Folder::new());
}

#[test]
fn the_page_of_go_works_as_it_stands() {
    needs("python3");
    run("go.md", &Folder::new());
}

/// Puts the node with capabilities of a page in the place of a template's, and runs its case.
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
fn a_node_in_rust_asks_for_what_it_uses_and_is_answered() {
    asks_and_is_answered("rust", "rust.md", "src/lib.rs");
}

#[test]
fn a_node_in_c_asks_for_what_it_uses_and_is_answered() {
    needs_clang();
    asks_and_is_answered("c", "c.md", "src/node.c");
}

#[test]
fn a_node_in_javascript_asks_for_what_it_uses_and_is_answered() {
    needs("npm");
    asks_and_is_answered("js", "javascript.md", "src/node.js");
}

#[test]
fn a_node_in_python_asks_for_what_it_uses_and_is_answered() {
    needs("python3");
    asks_and_is_answered("python", "python.md", "src/app.py");
}

#[test]
fn a_node_in_go_asks_for_what_it_uses_and_is_answered() {
    needs("python3");
    asks_and_is_answered("go", "go.md", "main.go");
}
