//! `wattle node dev`: saved code runs, and what became of the same events is shown beside what became of them before.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use wattle_tests::{Folder, wait_until};

use crate::{good, has_clang};

/// Ends the command when the test does.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It ends its agent itself.
        let ended = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(ended.is_ok());
        let _ = self.0.wait();
    }
}

#[test]
fn a_save_is_built_swapped_and_shown() {
    if !has_clang() {
        return;
    }
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "c", "own"]);
    let mut dev = folder.wattle();
    let mut child = dev.args(["node", "dev", "own"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let running = Running(child);
    let mut lines = BufReader::new(output).lines().map(Result::unwrap);
    let mut until = |text: &str| {
        let mut all = String::new();
        for line in lines.by_ref() {
            all += &(line.clone() + "\n");
            if line.contains(text) {
                return all;
            }
        }
        panic!("never said `{text}`: {all}");
    };
    let first = until("watching");
    assert!(first.contains(r#"= out {"body":"{\"message\":\"hello\"}","attributes":{"shout":"HELLO"}}"#), "{first}");
    assert!(first.contains("= dropped skipped") && first.contains("= failed missing"), "{first}");
    let source = folder.path("own/src/node.c");
    let code = fs::read_to_string(&source).unwrap();
    let loud = "shout(wattle_utf8(text))";
    assert!(code.contains(loud));
    folder.replace("own/src/node.c", code.replace(loud, "broken("));
    until("not built, the node before stays");
    folder.replace("own/src/node.c", code.replace(loud, "WATTLE(\"quiet\")"));
    let swapped = until("+ out");
    assert!(swapped.contains("swapped") && swapped.contains("reloaded"), "{swapped}");
    assert!(
        swapped.contains(r#"- out {"body":"{\"message\":\"hello\"}","attributes":{"shout":"HELLO"}}"#),
        "{swapped}"
    );
    assert!(swapped.contains(r#""shout":"quiet""#), "{swapped}");
    // The agent beside it has the new node as well.
    fs::write(folder.path("own/events.log"), "{\"message\":\"hello\"}\n{\"message\":\"a later one\"}\n").unwrap();
    wait_until("an event through the new node", || {
        String::from_utf8_lossy(&folder.read("own/out/shouted.ndjson")).contains("quiet")
    });
    drop(running);
}
