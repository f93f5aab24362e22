//! State of a node: to the next version, over a restart, after a fault.

use std::io::Write as _;

use wattle_tests::{Agent, Config, Folder, built, get, wait_until};

/// A pipeline with a guest that numbers the rows of a followed file.
fn config(artifact: &str, more: &str) -> String {
    Config::new()
        .agent("workers = 1")
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .node("count", &format!("{artifact}.wasm"), &["input"])
        .set("options.field", "attributes.count")
        .with(more)
        .ok_and_fails("count")
        .file_sink("ok", &["main.ok"], "ok.ndjson")
        .file_sink("fails", &["main.fails"], "fails.ndjson")
        .text()
}

struct Rig {
    folder: Folder,
    written: usize,
}

impl Rig {
    fn new() -> Self {
        let folder = Folder::new();
        for guest in ["counter", "counter-2"] {
            folder.write(format!("{guest}.wasm"), std::fs::read(built(&format!("guests/{guest}.wasm"))).unwrap());
        }
        folder.write("in.log", "");
        Self { folder, written: 0 }
    }

    /// Writes rows, and waits until as many more have come out.
    fn move_rows(&mut self, rows: usize) {
        let mut file = std::fs::File::options().append(true).open(self.folder.path("in.log")).unwrap();
        for row in 0..rows {
            writeln!(file, "row {row}").unwrap();
        }
        self.written += rows;
        wait_until("rows", || self.folder.events("ok.ndjson").len() == self.written);
    }

    fn write_poison(&self) {
        let mut file = std::fs::File::options().append(true).open(self.folder.path("in.log")).unwrap();
        writeln!(file, "poison").unwrap();
    }

    fn counts(&self) -> Vec<u64> {
        self.folder.events("ok.ndjson").iter().map(|e| e["attributes"]["count"].as_u64().unwrap()).collect()
    }

    fn reload(&self, agent: &mut Agent, artifact: &str, more: &str) {
        self.folder.replace("agent.toml", config(artifact, more));
        agent.wait_for("reloaded");
    }
}

#[test]
fn a_count_continues_over_reloads_restarts_and_faults() {
    let mut rig = Rig::new();
    let mut agent = rig.folder.start(&config("counter", ""));
    rig.move_rows(10);
    // For the agent this is another version of the node: other limits need new instances.
    rig.reload(&mut agent, "counter", "limits = { time = \"2s\" }");
    rig.move_rows(10);
    rig.write_poison();
    wait_until("the failure", || rig.folder.events("fails.ndjson").len() == 1);
    rig.move_rows(10);
    agent.stop();
    let mut agent = rig.folder.start(&config("counter", ""));
    rig.move_rows(10);
    rig.reload(&mut agent, "counter", "limits = { time = \"3s\" }");
    rig.move_rows(10);
    agent.stop();
    assert!(rig.counts().into_iter().eq(1..=50), "{:?}", rig.counts());
}

#[test]
fn unreadable_state_refuses_the_next_version_or_is_discarded_by_the_option_of_the_node() {
    let mut rig = Rig::new();
    let address = wattle_tests::free_address();
    let admin = format!("[admin]\nlisten = \"{address}\"\n");
    let mut agent = rig.folder.start(&(config("counter", "") + &admin));
    rig.move_rows(5);
    let before = agent.log().len();
    rig.folder.replace("agent.toml", config("counter-2", "") + &admin);
    agent.wait_for("reload failed");
    let said = &agent.log()[before..];
    for part in ["main.count", "state of version 1 is not of version 2", "on_state_mismatch"] {
        assert!(said.contains(part), "{said}");
    }
    rig.move_rows(5);
    let empty = "on_state_mismatch = \"empty\"";
    rig.folder.replace("agent.toml", config("counter-2", empty) + &admin);
    agent.wait_for("cannot restore the state");
    rig.move_rows(5);
    let metrics = get(address, "/metrics").unwrap().text;
    assert!(metrics.contains("wattle_node_state_lost_total{pipeline=\"main\",node=\"count\"} 1"), "{metrics}");
    agent.stop();
    // The same policy applies at a start.
    rig.folder.write("agent.toml", config("counter", ""));
    let refused = rig.folder.run(&["run", "--config", "agent.toml"]);
    assert_eq!(refused.code, 78, "{}", refused.log);
    assert!(refused.log.contains("state of version 2 is not of version 1"), "{}", refused.log);
    let agent = rig.folder.start(&config("counter-2", ""));
    rig.move_rows(5);
    agent.stop();
    assert!(rig.counts().into_iter().eq((1..=10).chain(1..=10)), "{:?}", rig.counts());
}

#[test]
fn fewer_workers_lose_no_count() {
    let mut rig = Rig::new();
    let with_workers = |n: usize| config("counter", "").replace("workers = 1", &format!("workers = {n}"));
    for (workers, last) in [(3, 30), (2, 60), (1, 90)] {
        let agent = rig.folder.start(&with_workers(workers));
        for _ in 0..10 {
            rig.move_rows(3);
        }
        agent.stop();
        if workers == 1 {
            // All counts are merged: the highest is the number of all rows.
            assert_eq!(rig.counts().into_iter().max(), Some(last));
        }
    }
}

#[test]
fn damaged_state_is_set_aside_and_the_agent_starts() {
    let mut rig = Rig::new();
    let agent = rig.folder.start(&config("counter", ""));
    rig.move_rows(4);
    agent.stop();
    let mut saved = rig.folder.read("data/state/main/count/0");
    let last = saved.len() - 1;
    saved[last] ^= 1;
    rig.folder.write("data/state/main/count/0", saved);
    rig.folder.write("agent.toml", config("counter", ""));
    let mut agent = Agent::start(rig.folder.wattle().args(["run", "--config", "agent.toml"]));
    agent.wait_for("saved state is corrupt and was set aside");
    agent.wait_for("running");
    rig.move_rows(4);
    agent.stop();
    assert!(rig.counts().into_iter().eq((1..=4).chain(1..=4)), "{:?}", rig.counts());
}
