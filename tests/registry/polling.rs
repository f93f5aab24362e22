//! A running agent and the tags of its packs: a change is swapped in, and nothing else that a
//! registry does has an effect.

use wattle_tests::{Agent, DockerRegistry, FakeRegistry, Folder, Manner, free_address, get, wait_until};

use crate::sample::{config, generation, image, image_of, metrics, polls, stop_in_order, wait_for_more, write};

const POLL: &str = "[packs]\npoll = \"1s\"\ntimeout = \"1s\"\n";

#[test]
fn a_changed_tag_is_noticed_by_polling_and_swapped_in() {
    let registry = DockerRegistry::start();
    let (author, user) = (Folder::new(), Folder::new());
    let reference = registry.reference("packs/sample:live");
    let push = |version: &str, mark: &str| {
        write(&author, mark, version, mark);
        let pushed = author.run(&["pack", "push", mark, &reference]);
        assert_eq!(pushed.code, 0, "{}", pushed.log);
    };
    push("1.0.0", "first");
    let admin = free_address();
    let mut agent = user.start(&config(&reference, admin, POLL));
    wait_for_more(&user, "first");
    wait_until("a poll that finds nothing new", || polls(admin, "unchanged") > 0.0);
    assert_eq!(generation(admin), 1.0, "a poll that finds nothing new changes nothing");
    push("1.1.0", "second");
    agent.wait_for("a tag changed");
    let line = agent.wait_for("reloaded");
    assert!(line.contains("sample@1.1.0"), "{line}");
    wait_for_more(&user, "second");
    assert_eq!(generation(admin), 2.0);
    stop_in_order(&user, agent, &["first", "second"]);

    // The registry is closed; its last image is still in the store.
    drop(registry);
    let admin = free_address();
    let mut agent = user.start(&config(&reference, admin, POLL));
    wait_for_more(&user, "second");
    agent.wait_for("the running version stays");
    wait_for_more(&user, "second");
    assert!(polls(admin, "failed") > 0.0);
    agent.stop().summary();
}

#[test]
fn a_failing_registry_does_no_harm() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    registry.put("live", &image(&folder, "1.0.0", "first"));
    let admin = free_address();
    let agent = folder.start(&config(&registry.reference("live"), admin, POLL));
    for manner in [
        Manner::HangsUp,
        Manner::Silent,
        Manner::WrongBlob,
        Manner::LyingHeader,
        Manner::DockerImage,
        Manner::EndlessLayer,
        Manner::RedirectLoop,
        Manner::LinkLayer,
    ] {
        let failed = polls(admin, "failed");
        registry.behave(manner);
        wait_until(&format!("a poll that fails by {manner:?}"), || polls(admin, "failed") > failed);
        let status: serde_json::Value = serde_json::from_str(&get(admin, "/status").unwrap().text).unwrap();
        let error = status["registries"][0]["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(&registry.address().to_string()) || error.contains("layer"), "{manner:?}: {error}");
        wait_for_more(&folder, "first");
        assert_eq!(generation(admin), 1.0, "{manner:?}");
        let unchanged = polls(admin, "unchanged");
        registry.behave(Manner::Good);
        wait_until("a good poll", || polls(admin, "unchanged") > unchanged);
    }
    registry.put("live", &image(&folder, "1.1.0", "second"));
    wait_for_more(&folder, "second");
    stop_in_order(&folder, agent, &["first", "second"]);
}

#[test]
fn an_image_that_the_configuration_refuses_never_becomes_current_even_after_a_restart() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    registry.put("live", &image(&folder, "1.0.0", "first"));
    let admin = free_address();
    let text = config(&registry.reference("live"), admin, POLL);
    let mut agent = folder.start(&text);
    wait_for_more(&folder, "first");
    write(&folder, "newer", "2.0.0", "second");
    let manifest = String::from_utf8(folder.read("newer/pack.toml")).unwrap();
    folder.write("newer/pack.toml", manifest.replace("contract = \"0.1\"", "contract = \"9\""));
    registry.put("live", &image_of(&folder, "newer"));
    agent.wait_for("E0403");
    agent.wait_for("the previous image stays");
    wait_until("the refusal is in the metrics", || metrics(admin).sum("wattle_registry_image_refused", &[]) > 0.0);
    wait_for_more(&folder, "first");
    assert_eq!(generation(admin), 1.0);
    agent.kill();

    let mut agent: Agent = folder.start(&text);
    wait_for_more(&folder, "first");
    agent.wait_for("the previous image stays");
    registry.put("live", &image(&folder, "2.0.1", "third"));
    agent.wait_for("reloaded");
    wait_for_more(&folder, "third");
    agent.stop().summary();
}

#[test]
fn a_pinned_tag_stays_at_its_pin_also_on_a_second_machine() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    registry.put("live", &image(&folder, "1.0.0", "first"));
    let reference = registry.reference("live");
    folder.write("agent.toml", config(&reference, free_address(), POLL));
    assert_eq!(folder.run(&["pack", "pull", &reference, "--config", "agent.toml"]).code, 0);
    let pinned = folder.run(&["pack", "upgrade", "--config", "agent.toml", "--yes"]);
    assert_eq!(pinned.code, 0, "{}", pinned.log);
    let lock = String::from_utf8(folder.read("wattle.lock")).unwrap();
    assert!(lock.contains(&format!("source = \"{}@sha256:", reference.trim_end_matches(":live"))), "{lock}");
    registry.put("live", &image(&folder, "1.1.0", "second"));
    let other = Folder::new();
    other.write("wattle.lock", lock);
    let text = config(&reference, free_address(), "").replace("rate = 40", "documents = 20");
    other.write("agent.toml", text);
    let ended = other.run(&["run", "--once", "--locked", "--config", "agent.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(crate::sample::seen(&other, "first") > 0 && crate::sample::seen(&other, "second") == 0);
}

#[test]
fn a_failed_pull_at_the_start_is_a_diagnostic_with_the_reason() {
    let folder = Folder::new();
    let address = free_address();
    folder.write("agent.toml", config(&format!("oci://{address}/packs/sample:1"), free_address(), POLL));
    let ended = folder.run(&["run", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.log);
    assert!(ended.log.contains("E0425") && ended.log.to_lowercase().contains("refused"), "{}", ended.log);
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 78);
    assert!(ended.text().contains("wattle pack pull"), "{}", ended.text());
}
