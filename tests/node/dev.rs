//! `wattle node dev`: runs saved code, and shows the new output for the same events beside the old
//! one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use wattle_tests::{Folder, wait_until};

use crate::{good, needs_clang};

/// Timeout of every wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// The command; it ends with the test.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Its output up to a line with this text.
    #[track_caller]
    fn until(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut all = String::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            all += &(line.clone() + "\n");
            if line.contains(text) {
                return all;
            }
        }
        panic!("never said `{text}`: {all}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On SIGTERM, it also ends its agent.
        let _ = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
    }
}

#[test]
fn a_save_is_built_swapped_and_shown() {
    needs_clang();
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "c", "own"]);
    let mut dev = folder.wattle();
    let mut child = dev.args(["node", "dev", "own"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
    });
    let running = Running { child, lines };
    let first = running.until("watching");
    assert!(first.contains(r#"= out {"body":"{\"message\":\"hello\"}","attributes":{"shout":"HELLO"}}"#), "{first}");
    assert!(first.contains("= dropped skipped") && first.contains("= failed missing"), "{first}");
    let source = folder.path("own/src/node.c");
    let code = fs::read_to_string(&source).unwrap();
    let loud = "shout(wattle_utf8(text))";
    assert!(code.contains(loud));
    folder.replace("own/src/node.c", code.replace(loud, "broken("));
    running.until("build failed, the running node stays");
    folder.replace("own/src/node.c", code.replace(loud, "WATTLE(\"quiet\")"));
    let swapped = running.until("+ out");
    assert!(swapped.contains("swapped") && swapped.contains("reloaded"), "{swapped}");
    assert!(
        swapped.contains(r#"- out {"body":"{\"message\":\"hello\"}","attributes":{"shout":"HELLO"}}"#),
        "{swapped}"
    );
    assert!(swapped.contains(r#""shout":"quiet""#), "{swapped}");
    // The agent in the child process runs the new node as well.
    fs::write(folder.path("own/events.log"), "{\"message\":\"hello\"}\n{\"message\":\"a later one\"}\n").unwrap();
    wait_until("an event through the new node", || {
        String::from_utf8_lossy(&folder.read("own/out/shouted.ndjson")).contains("quiet")
    });
    drop(running);
}
