//! Shadows, canaries and rollbacks.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use wattle_tests::{Agent, Config, Folder, built, free_address, get, wait_until};

/// A pack that passes everything, or replaces the text of its parameter.
const GOOD: &str = r#"
[pack]
name = "lines"
version = "1.0.0"
contract = "0.1"
description = "Masks what a pattern finds."
[params.pattern]
type = "string"
default = "no line holds this"
[nodes.mask]
artifact = "builtin:mask"
inputs = ["input"]
[nodes.mask.options]
fields = ["body"]
rules = [{ pattern = "${params.pattern}" }]
replacement = { fixed = "[masked]" }
[outputs.ok]
inputs = ["mask"]
[outputs.fails]
inputs = ["mask.failed"]
"#;

/// Another version, which traps on poison.
const BAD: &str = r#"
[pack]
name = "lines"
version = "1.1.0"
contract = "0.1"
description = "Panics on poison."
[nodes.guest]
artifact = "guest.wasm"
inputs = ["input"]
options = { fault = "panic" }
[outputs.ok]
inputs = ["guest"]
[outputs.fails]
inputs = ["guest.failed"]
"#;

struct Rig {
    folder: Folder,
    admin: SocketAddr,
    file: File,
    written: usize,
}

impl Rig {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("good/pack.toml", GOOD);
        folder.write("bad/pack.toml", BAD);
        folder.write("bad/guest.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
        folder.write("in.log", "");
        let file = File::options().append(true).open(folder.path("in.log")).unwrap();
        Self { folder, admin: free_address(), file, written: 0 }
    }

    fn config(&self, pipeline: &str) -> String {
        Config::new()
            .table("agent.batch")
            .set("max_events", 10)
            .admin(self.admin)
            .file_source("lines", "in.log")
            .set("glob_interval", "20ms")
            .pipeline("main", &["lines"])
            .with(pipeline)
            .file_sink("ok", &["main.ok"], "ok.ndjson")
            .set("encoding.codec", "text")
            .set("fsync", "never")
            .file_sinks(&["fails"])
            .text()
    }

    fn start(&self, pipeline: &str) -> Agent {
        self.folder.start(&self.config(pipeline))
    }

    fn change(&self, pipeline: &str) {
        self.folder.replace("agent.toml", self.config(pipeline));
    }

    /// Writes lines; the last of every `poisonous` lines is poison.
    fn write(&mut self, count: usize, poisonous: usize) {
        let mut text = String::new();
        for line in self.written..self.written + count {
            let word = if poisonous > 0 && (line + 1) % poisonous == 0 { "poison" } else { "healthy" };
            text += &format!("{{\"line\":{line},\"kind\":\"{word}\"}}\n");
        }
        self.written += count;
        self.file.write_all(text.as_bytes()).unwrap();
    }

    fn lines(&self) -> Vec<usize> {
        let ok = self.folder.read("ok.ndjson");
        // The last line can be incomplete at this moment.
        let whole = ok.iter().rposition(|b| *b == b'\n').unwrap_or(0);
        let ok = ok[..whole]
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice::<Value>(l).unwrap());
        let fails = self.folder.events("fails.ndjson").into_iter();
        let fails = fails.map(|e| serde_json::from_str::<Value>(e["body"].as_str().unwrap()).unwrap());
        let mut lines: Vec<usize> =
            ok.chain(fails).map(|l| usize::try_from(l["line"].as_u64().unwrap()).unwrap()).collect();
        lines.sort_unstable();
        lines
    }

    fn metrics(&self) -> String {
        get(self.admin, "/metrics").unwrap().text
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    fn history(&self) -> Vec<Value> {
        let history = self.folder.run(&["history", "--config", "agent.toml", "--json"]);
        history.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Stops the agent, and checks that every line came out once.
    #[track_caller]
    fn assert_conserved(&self, agent: Agent) {
        wait_until("all lines", || self.lines().len() >= self.written);
        agent.stop().summary();
        assert!(self.lines().into_iter().eq(0..self.written), "{} lines", self.lines().len());
    }
}

#[test]
fn a_shadow_finds_one_different_event_in_a_hundred_thousand() {
    let mut rig = Rig::new();
    let shadow = r#"shadow = { pack = "./good", params = { pattern = "77777" }, max_cpu_share = 1.0 }"#;
    let agent = rig.start(&format!("pack = \"./good\"\n{shadow}"));
    for _ in 0..50 {
        // No faster than the shadow compares, so it skips nothing.
        rig.write(2_000, 0);
        let name = "wattle_shadow_compared_events_total{pipeline=\"main\",output=\"ok\"}";
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        wait_until("the comparison", || rig.metric(name) == rig.written as f64);
    }
    assert_eq!(rig.metric("wattle_shadow_differing_events_total{pipeline=\"main\"}"), 1.0);
    assert_eq!(rig.metric("wattle_shadow_skipped_batches_total{pipeline=\"main\"}"), 0.0);
    let shadow = rig.folder.run(&["shadow", "--config", "agent.toml", "--json"]);
    let report: Value = serde_json::from_slice(&shadow.output).unwrap();
    let report = &report["main"];
    assert_eq!(report["outputs"]["ok"]["changed"], 1, "{report}");
    assert!(report["cpu_ratio"].as_f64().unwrap() > 0.0, "{report}");
    let first = &report["first"][0];
    assert!(first["primary"].as_str().unwrap().contains("77777"), "{first}");
    assert!(first["candidate"].as_str().unwrap().contains("[masked]"), "{first}");
    assert_eq!(report["first"].as_array().unwrap().len(), 1);
    let text = rig.folder.run(&["shadow", "--config", "agent.toml"]);
    assert!(text.text().contains("1 events differ") && text.text().contains("77777"), "{}", text.text());
    let status = get(rig.admin, "/status").unwrap().text;
    assert!(status.contains("\"differing_events\":1") && !status.contains("77777"), "the status has no events");
    rig.assert_conserved(agent);
}

#[test]
fn a_slow_shadow_skips_batches_and_delays_nothing() {
    let mut rig = Rig::new();
    // A version that traps on everything is very slow.
    let shadow = r#"shadow = { pack = "./bad", max_cpu_share = 0.01 }"#;
    let agent = rig.start(&format!("pack = \"./good\"\n{shadow}"));
    rig.write(50_000, 1);
    wait_until("all lines", || rig.lines().len() == rig.written);
    wait_until("batches passed over", || rig.metric("wattle_shadow_skipped_batches_total{pipeline=\"main\"}") > 0.0);
    wait_until("faults", || rig.metric("wattle_shadow_faulted_batches_total{pipeline=\"main\"}") > 0.0);
    assert!(rig.folder.events("fails.ndjson").is_empty());
    rig.assert_conserved(agent);
}

#[test]
fn a_canary_that_traps_on_one_batch_in_a_hundred_is_rolled_back_permanently() {
    let mut rig = Rig::new();
    let pipeline = "pack = \"./good\"\ncanary = { pack = \"./bad\", share = 0.05, for = \"10m\" }";
    let mut agent = rig.start(pipeline);
    let since = Instant::now();
    let writer = std::thread::spawn({
        let mut file = File::options().append(true).open(rig.folder.path("in.log")).unwrap();
        move || {
            // Ten lines form a batch.
            for block in 0..400 {
                let mut text = String::new();
                for line in block * 1000..(block + 1) * 1000 {
                    let word = if line % 1000 == 999 { "poison" } else { "healthy" };
                    text += &format!("{{\"line\":{line},\"kind\":\"{word}\"}}\n");
                }
                file.write_all(text.as_bytes()).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    });
    let line = agent.wait_for("rolled back");
    println!("rolled back {:.1} s after the first line", since.elapsed().as_secs_f64());
    assert!(line.contains("a node faulted at"), "{line}");
    agent.wait_for("reloaded");
    writer.join().unwrap();
    rig.written = 400_000;
    wait_until("all lines", || rig.lines().len() == rig.written);
    let fails = rig.folder.events("fails.ndjson");
    assert!(!fails.is_empty() && fails.iter().all(|e| e["body"].as_str().unwrap().contains("poison")), "{fails:?}");
    assert_eq!(rig.metric("wattle_rollouts_total{pipeline=\"main\",outcome=\"rolled-back\"}"), 1.0);
    assert_eq!(rig.history().last().unwrap()["what"], "rolled-back");
    agent.stop();
    // The decision applies to these two versions, also after a restart.
    let agent = rig.start(pipeline);
    assert!(agent.log().contains("was rolled back earlier and gets no batches"), "{}", agent.log());
    rig.write(5_000, 10);
    wait_until("all lines", || rig.lines().len() == rig.written);
    assert_eq!(rig.folder.events("fails.ndjson").len(), fails.len());
    rig.assert_conserved(agent);
}

#[test]
fn a_good_canary_is_promoted_and_can_be_rolled_back() {
    let mut rig = Rig::new();
    let pipeline = "pack = \"./good\"\ncanary = { pack = \"./bad\", share = 0.5, for = \"1s\", min_events = 100 }";
    let mut agent = rig.start(pipeline);
    rig.write(2_000, 0);
    let line = agent.wait_for("canary promoted");
    assert!(line.contains("kept to all rules"), "{line}");
    assert!(agent.wait_for("reloaded").contains("lines@1.1.0"));
    rig.write(100, 0);
    wait_until("all lines", || rig.lines().len() == rig.written);
    let asked = rig.folder.run(&["rollback", "main", "--config", "agent.toml"]);
    assert_eq!(asked.code, 0, "{}", asked.log);
    let from_to =
        asked.log.lines().find(|line| line.contains("from lines@1.1.0")).unwrap_or_else(|| panic!("{}", asked.log));
    assert!(from_to.contains("to lines@1.0.0"), "{from_to}");
    assert!(agent.wait_for("reloaded").contains("lines@1.0.0"));
    let what: Vec<Value> = rig.history().iter().map(|entry| entry["what"].clone()).collect();
    assert_eq!(what, ["started", "promoted", "rolled-back"]);
    let again = rig.folder.run(&["rollback", "main", "--config", "agent.toml"]);
    assert_eq!(again.code, 1, "{}", again.log);
    assert!(again.log.contains("no other version of pipeline `main` ran before this one"), "{}", again.log);
    rig.write(10, 5);
    wait_until("all lines", || rig.lines().len() == rig.written);
    assert!(rig.folder.events("fails.ndjson").is_empty(), "the version that traps runs no more");
    rig.assert_conserved(agent);
}

/// A version that counts rows. Each has another limit, because only a change of the running parts
/// makes another version.
fn counting(version: &str, time: &str) -> String {
    format!(
        r#"
[pack]
name = "lines"
version = "{version}"
contract = "0.1"
description = "Counts rows."
[nodes.count]
artifact = "counter.wasm"
inputs = ["input"]
options = {{ field = "body" }}
limits = {{ time = "{time}" }}
[outputs.ok]
inputs = ["count"]
[outputs.fails]
inputs = ["count.failed"]
"#
    )
}

#[test]
fn the_count_of_a_canary_is_not_lost_when_it_ends() {
    let mut rig = Rig::new();
    for (pack, version, time) in [("first", "2.0.0", "2s"), ("second", "2.1.0", "3s")] {
        rig.folder.write(format!("{pack}/pack.toml"), counting(version, time));
        rig.folder.write(format!("{pack}/counter.wasm"), std::fs::read(built("guests/counter.wasm")).unwrap());
    }
    let with_canary = |pack, canary, wait| {
        let rule = format!("share = 0.5, for = \"{wait}\", min_events = 100");
        format!("pack = \"./{pack}\"\ncanary = {{ pack = \"./{canary}\", {rule} }}")
    };
    // With one worker, the last count is that of all lines.
    let one_worker =
        |pipeline: &str| rig.config(pipeline).replace("[agent.batch]", "[agent]\nworkers = 1\n[agent.batch]");
    let (start, back) =
        (one_worker(&with_canary("first", "second", "1s")), one_worker(&with_canary("second", "first", "1h")));
    let without = one_worker("pack = \"./second\"");
    let mut agent = rig.folder.start(&start);
    let counted = |rig: &Rig| -> Vec<usize> {
        let ok = String::from_utf8(rig.folder.read("ok.ndjson")).unwrap();
        ok.lines().filter_map(|line| line.parse().ok()).collect()
    };
    rig.write(2_000, 0);
    agent.wait_for("canary promoted");
    agent.wait_for("reloaded");
    wait_until("all lines", || counted(&rig).len() == rig.written);
    assert!(counted(&rig).into_iter().max().unwrap() < 2_000, "each version counted what it had");
    rig.write(10, 0);
    wait_until("more lines", || counted(&rig).len() == rig.written);
    assert_eq!(counted(&rig).last(), Some(&2_010), "the version that was promoted goes on with the counts of both");
    // The same for a canary that is not promoted.
    rig.folder.replace("agent.toml", back);
    agent.wait_for("reloaded");
    rig.write(1_000, 0);
    wait_until("still more lines", || counted(&rig).len() == rig.written);
    rig.folder.replace("agent.toml", without);
    agent.wait_for("reloaded");
    // State that no worker visited is not lost either.
    let ended = agent.stop();
    assert!(!ended.log.contains("its state with it"), "{}", ended.log);
    let agent = rig.folder.start(&std::fs::read_to_string(rig.folder.path("agent.toml")).unwrap());
    rig.write(1, 0);
    wait_until("the last line", || counted(&rig).len() == rig.written);
    assert_eq!(counted(&rig).last(), Some(&3_011));
    agent.stop();
}

#[test]
fn a_version_that_faults_after_a_reload_is_disabled_until_the_configuration_changes() {
    let mut rig = Rig::new();
    let mut agent = rig.start("pack = \"./good\"");
    rig.write(1_000, 0);
    rig.change("pack = \"./bad\"");
    assert!(agent.wait_for("reloaded").contains("lines@1.1.0"));
    rig.write(1_000, 10);
    let line = agent.wait_for("rolled back");
    assert!(line.contains("since the change"), "{line}");
    assert!(agent.wait_for("reloaded").contains("lines@1.0.0"));
    wait_until("all lines", || rig.lines().len() == rig.written);
    let failed = rig.folder.events("fails.ndjson").len();
    // Requesting the same version again changes nothing, and the response gives the reason.
    let asked = rig.folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(asked.text(), "nothing changed; generation 3 stays\n", "{}", asked.log);
    assert!(
        asked.log.contains("lines@1.1.0") && asked.log.contains("was rolled back and does not run"),
        "{}",
        asked.log
    );
    rig.write(1_000, 10);
    wait_until("all lines", || rig.lines().len() == rig.written);
    assert_eq!(rig.folder.events("fails.ndjson").len(), failed);
    // Another version clears the decision; then the first version can be requested again.
    rig.change("pack = \"./good\"");
    let asked = rig.folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(asked.text(), "nothing changed; generation 3 stays\n", "{}", asked.log);
    rig.change("pack = \"./bad\"\n[agent.rollback]\nenabled = false");
    assert!(agent.wait_for("reloaded").contains("lines@1.1.0"));
    rig.write(1_000, 10);
    // More than are poisonous, once the circuit of the node has opened.
    wait_until("failures", || rig.folder.events("fails.ndjson").len() >= failed + 100);
    rig.assert_conserved(agent);
}
