//! Nodes with memory that a reload removes or renames, and state that no node has.

use wattle_tests::{Folder, wait_until};

use super::{append, config, folder, total};

/// Windows that do not end in a test, of a node with this name.
fn text(node: &str, sharing: &str) -> String {
    config(&format!("window_ms = 600000, sharing = \"{sharing}\""), "").text().replace("count", node)
}

/// Waits until the file of the node has all lines: until then, no source has an acknowledgement.
fn wait_for_snapshot(folder: &Folder, node: &str) {
    let checkpoint = || std::fs::read_to_string(folder.path("data/sources/lines/checkpoints.json")).unwrap_or_default();
    let length = std::fs::metadata(folder.path("in.log")).unwrap().len();
    wait_until("a snapshot", || folder.path(format!("data/state/main/{node}")).is_dir());
    wait_until("acknowledged events", || checkpoint().contains(&length.to_string()));
}

#[test]
fn a_removed_node_makes_what_it_holds() {
    for sharing in ["single", "worker"] {
        let folder = folder();
        let mut agent = folder.start(&text("count", sharing));
        append(&folder, 0, 1000);
        wait_for_snapshot(&folder, "count");
        assert_eq!(total(&folder), 0);
        folder.replace("agent.toml", text("tally", sharing));
        agent.wait_for("reloaded");
        wait_until("the windows", || total(&folder) == 1000);
        wait_until("its state", || !folder.path("data/state/main/count").exists());
        append(&folder, 1000, 10);
        wait_for_snapshot(&folder, "tally");
        let renamed = text("tally", sharing).replace("main", "other");
        folder.replace("agent.toml", renamed);
        agent.wait_for("reloaded");
        wait_until("the windows of a renamed pipeline", || total(&folder) == 1010);
        agent.stop();
    }
}

#[test]
fn state_of_a_node_that_is_not_configured_stays() {
    let folder = folder();
    let agent = folder.start(&text("count", "single"));
    append(&folder, 0, 100);
    wait_for_snapshot(&folder, "count");
    agent.stop();
    for _ in 0..2 {
        let agent = folder.start(&text("tally", "single"));
        let of_state = |line: &&str| line.contains("keeping the state of a node that is not configured");
        let line = agent.log().lines().find(of_state).unwrap();
        for part in ["node=\"count\"", "files=1", "data/state/main/count"] {
            assert!(line.contains(part), "{line}");
        }
        agent.stop();
    }
    let mut agent = folder.start(&text("count", "single"));
    folder.replace("agent.toml", text("tally", "single"));
    agent.wait_for("reloaded");
    wait_until("the windows", || total(&folder) == 100);
    agent.stop();
}
