//! `wattle reload` and `wattle history`: results and exit codes.

use serde_json::Value;
use wattle_tests::{Agent, Ended, Folder};

use crate::load::Load;

fn reload(folder: &Folder, more: &[&str]) -> Ended {
    folder.run(&[&["reload", "--config", "agent.toml"], more].concat())
}

/// An agent that does not watch files.
fn start(folder: &Folder, load: &Load) -> Agent {
    folder.write("agent.toml", load.config());
    let mut agent = Agent::start(folder.wattle().args(["run", "--no-watch", "--config", "agent.toml"]));
    agent.wait_for("running");
    agent
}

#[test]
fn a_reload_prints_its_outcome() {
    let folder = Folder::new();
    let load = Load { seed: 31, ..Load::default() };
    folder.write("agent.toml", load.config());
    let stopped = reload(&folder, &[]);
    assert_eq!(stopped.code, 69, "{}", stopped.log);
    assert!(stopped.log.contains("control.sock"), "{}", stopped.log);

    let agent = start(&folder, &load);
    let same = reload(&folder, &[]);
    assert_eq!((same.code, same.text()), (0, "nothing changed; generation 1 stays\n"), "{}", same.log);
    folder.replace("agent.toml", Load { pack: "cloudtrail@1.1.0".into(), ..load.clone() }.config());
    let applied = reload(&folder, &[]);
    assert_eq!(applied.code, 0, "{}", applied.log);
    assert!(applied.text().starts_with("generation 2 runs, after "), "{}", applied.text());

    folder.replace("agent.toml", Load { pack: "cloudtrail@9.9.9".into(), params: "{ x = 1 }".into(), ..load }.config());
    let invalid = reload(&folder, &[]);
    assert_eq!(invalid.code, 78, "{}", invalid.log);
    assert!(invalid.log.contains("error[E0402]") && invalid.log.contains("agent.toml:"), "{}", invalid.log);
    assert!(invalid.log.contains("generation 2 stays"), "{}", invalid.log);
    let json = reload(&folder, &["--json"]);
    assert_eq!(json.code, 78);
    let answer: Value = serde_json::from_slice(&json.output).unwrap();
    assert_eq!((&answer["outcome"], &answer["generation"]), (&"invalid".into(), &2.into()), "{answer}");
    assert_eq!(answer["diagnostics"][0]["code"], "E0402", "{answer}");

    let history = folder.run(&["history", "--config", "agent.toml", "--json"]);
    let entries: Vec<Value> = history.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let what: Vec<(u64, &str)> =
        entries.iter().map(|e| (e["generation"].as_u64().unwrap(), e["what"].as_str().unwrap())).collect();
    assert_eq!(what, [(1, "started"), (2, "applied"), (2, "invalid"), (2, "invalid")]);
    let of = |entry: &Value| entry["pipelines"][0].clone();
    let (old, new) = (of(&entries[0]), of(&entries[1]));
    assert_eq!((&old["version"], &new["version"]), (&"1.0.0".into(), &"1.1.0".into()), "{old} {new}");
    assert_ne!(old["fingerprint"], new["fingerprint"]);
    assert_eq!(entries[1]["why"], "wattle reload");
    let text = folder.run(&["history", "--config", "agent.toml", "-n", "3"]);
    assert!(text.text().contains("cloudtrail@1.1.0") && !text.text().contains("cloudtrail@1.0.0"), "{}", text.text());
    agent.stop();
    assert_eq!(reload(&folder, &[]).code, 69, "the socket went with the agent");
}

#[test]
fn only_the_user_of_the_agent_can_open_the_control_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let agent = start(&folder, &Load { seed: 32, ..Load::default() });
    let mode = std::fs::metadata(folder.path("data/control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    agent.stop();
}

#[test]
fn a_data_folder_with_a_long_name_also_has_a_control_socket() {
    let folder = Folder::new();
    let name = "long".repeat(40);
    let data = folder.path(&name);
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(folder.path("data/cache"), data.join("cache")).unwrap();
    let config = format!("[agent]\ndata_dir = \"{name}\"\n") + &Load { seed: 33, ..Load::default() }.config();
    let mut agent = folder.start(&config);
    let same = reload(&folder, &[]);
    assert_eq!((same.code, same.text()), (0, "nothing changed; generation 1 stays\n"), "{}", same.log);
    assert!(agent.is_running());
    agent.stop();
}
