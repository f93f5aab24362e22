//! Changes while data flows: they take effect without a restart, and no event is lost or
//! duplicated. After an invalid change, the old graph keeps running and the log gives the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod artifact;
mod broken;
mod control;
mod load;
mod rollout;
mod save;
mod state;

use serde_json::Value;
use wattle_tests::{Agent, Folder, Trail, event_id, wait_until, workspace};

use crate::load::{Load, has_error, is_read};

#[test]
fn twenty_swaps_of_a_packs_version_lose_and_double_nothing() {
    let folder = Folder::new();
    let load = Load { seed: 21, ..Load::default() };
    let mut agent = folder.start(&load.config());
    let mut moved = Vec::new();
    for swap in 1..=20 {
        let version = if swap % 2 == 1 { "1.1.0" } else { "1.0.0" };
        let before = folder.read("processed.ndjson").len();
        folder.replace("agent.toml", Load { pack: format!("cloudtrail@{version}"), ..load.clone() }.config());
        let line = agent.wait_for("reloaded");
        assert!(line.contains(&format!("generation={}", swap + 1)) && line.contains(version), "{line}");
        // Every generation must process events.
        wait_until("events after the swap", || folder.read("processed.ndjson").len() > before + 20_000);
        moved.push(folder.events("processed.ndjson").len());
    }
    assert!(moved.windows(2).all(|pair| pair[0] < pair[1]), "{moved:?}");
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "get_describe_list.ndjson"]);
    // Only 1.1.0 treats reads with an error as evidence, so this shows that both versions ran.
    let evidence = |name: &str| folder.events(name).iter().filter(|e| is_read(e) && has_error(e)).count();
    assert!(evidence("processed.ndjson") > 0 && evidence("get_describe_list.ndjson") > 0);
}

#[test]
fn a_changed_parameter_applies_to_later_events() {
    let folder = Folder::new();
    let load = Load { seed: 22, ..Load::default() };
    let mut agent = folder.start(&load.config());
    wait_until("events", || !folder.events("processed.ndjson").is_empty());
    assert!(!folder.events("processed.ndjson").iter().any(is_read));
    folder.replace("agent.toml", Load { params: "{ route_pattern = \"^Nothing$\" }".into(), ..load.clone() }.config());
    agent.wait_for("reloaded");
    wait_until("reads on processed", || folder.events("processed.ndjson").iter().any(is_read));
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "get_describe_list.ndjson"]);
}

#[test]
fn a_sink_moves_to_another_file_under_load() {
    let folder = Folder::new();
    let load = Load { seed: 23, ..Load::default() };
    let mut agent = folder.start(&load.config());
    wait_until("events", || !folder.events("processed.ndjson").is_empty());
    folder.replace("agent.toml", Load { path: "moved.ndjson".into(), ..load.clone() }.config());
    agent.wait_for("reloaded");
    wait_until("events in the new file", || folder.events("moved.ndjson").len() > 100);
    let left = folder.events("processed.ndjson").len();
    folder.replace("agent.toml", load.config());
    agent.wait_for("reloaded");
    wait_until("events in the old file", || folder.events("processed.ndjson").len() > left);
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "moved.ndjson", "get_describe_list.ndjson"]);
}

#[test]
fn an_invalid_agent_toml_leaves_the_old_graph_running_with_a_reason() {
    let folder = Folder::new();
    let load = Load { seed: 24, ..Load::default() };
    let mut agent = folder.start(&load.config());
    for (broken, reason) in [
        (load.config() + "\n[sinks.more]\ntype = \"fiel\"\ninputs = [\"main.processed\"]\n", "fiel"),
        (load.config().replace("main.fails", "main.failz"), "failz"),
        (load.config() + "\n[unfinished", "E0102"),
        (Load { params: "{ route_pattern = \"(\" }".into(), ..load.clone() }.config(), "route_pattern"),
        (Load { pack: "cloudtrail@9.9.9".into(), ..load.clone() }.config(), "9.9.9"),
    ] {
        let before = agent.log().len();
        folder.replace("agent.toml", broken);
        agent.wait_for(reason);
        let line = agent.wait_for("the running one stays");
        assert!(line.contains("generation=1"), "{line}");
        let said = &agent.log()[before..];
        assert!(said.contains("error[E") && said.contains("agent.toml:") && said.contains(reason), "{said}");
        let count = folder.events("processed.ndjson").len();
        wait_until("events after the broken change", || folder.events("processed.ndjson").len() > count);
    }
    folder.replace("agent.toml", Load { pack: "cloudtrail@1.1.0".into(), ..load.clone() }.config());
    assert!(agent.wait_for("reloaded").contains("generation=2"));
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "get_describe_list.ndjson"]);
}

/// Waits for output events with this mask.
fn wait_for_mask(folder: &Folder, mask: &str) {
    wait_until("events with the new mask", || {
        String::from_utf8_lossy(&folder.read("processed.ndjson")).contains(&format!("accessKeyId\\\":\\\"{mask}"))
    });
}

#[test]
fn an_edited_pack_takes_effect_and_a_broken_one_does_not() {
    let folder = Folder::new();
    folder.copy(&workspace().join("packs/cloudtrail/1.0.0"), "packs/mine");
    // The tests expect the text that is edited here.
    std::fs::remove_dir_all(folder.path("packs/mine/tests")).unwrap();
    let manifest = String::from_utf8(folder.read("packs/mine/pack.toml")).unwrap();
    let load = Load { seed: 25, pack: "./packs/mine".into(), ..Load::default() };
    let mut agent = folder.start(&load.config());
    wait_for_mask(&folder, "*******************");

    folder.replace("packs/mine/pack.toml", manifest.replace("*******************", "first-edit"));
    agent.wait_for("reloaded");
    wait_for_mask(&folder, "first-edit");

    let before = agent.log().len();
    folder.replace(
        "packs/mine/pack.toml",
        manifest.replace("*******************", "broken").replace("\"^(Get", "\"^((Get"),
    );
    agent.wait_for("the running one stays");
    let said = &agent.log()[before..];
    assert!(said.contains("error[E0211]") && said.contains("pack.toml:"), "{said}");
    let count = folder.events("processed.ndjson").len();
    wait_until("events after the broken edit", || folder.events("processed.ndjson").len() > count + 100);
    assert!(!String::from_utf8(folder.read("processed.ndjson")).unwrap().contains("broken"));

    folder.replace("packs/mine/pack.toml", manifest.replace("*******************", "second-edit"));
    agent.wait_for("reloaded");
    wait_for_mask(&folder, "second-edit");
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "get_describe_list.ndjson"]);
}

#[test]
fn a_signal_reloads_without_a_file_watcher() {
    let folder = Folder::new();
    let load = Load { seed: 26, ..Load::default() };
    folder.write("agent.toml", load.config());
    let mut agent = Agent::start(folder.wattle().args(["run", "--no-watch", "--config", "agent.toml"]));
    agent.wait_for("running");
    folder.replace("agent.toml", Load { pack: "cloudtrail@1.1.0".into(), ..load.clone() }.config());
    agent.signal("HUP");
    assert!(agent.wait_for("reloaded").contains("1.1.0"));
    load.assert_exactly_once(&folder, agent, &["processed.ndjson", "get_describe_list.ndjson"]);
}

/// Ids of the events of files, sorted.
fn ids(folder: &Folder, files: &[&str]) -> Vec<String> {
    let events: Vec<Value> = files.iter().flat_map(|file| folder.events(file)).collect();
    let mut ids: Vec<String> = events.iter().map(event_id).collect();
    ids.sort();
    ids
}

impl Load {
    /// Stops the agent, and compares its output with the generated events: each must occur once.
    #[track_caller]
    fn assert_exactly_once(&self, folder: &Folder, agent: Agent, files: &[&str]) {
        let summary = agent.stop().summary();
        let pipeline = summary.pipeline();
        assert!(pipeline.received > 0 && pipeline.failed == 0, "{pipeline:?}");
        let expected = Trail::new(self.seed, Load::RECORDS).ids(pipeline.received);
        assert!(expected.windows(2).all(|pair| pair[0] != pair[1]), "ids tell events apart");
        let got = ids(folder, files);
        assert_eq!(got.len(), expected.len(), "events lost or doubled");
        assert!(got == expected, "other events than were generated");
        assert!(folder.events("fails.ndjson").is_empty());
    }
}
