//! Configurations of several files and folders, values from files, and files of variables.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wattle_tests::{Agent, Config, Ended, Folder, free_address, get, wait_until};

/// A value that no output may show.
const MARKER: &str = "MARKER7f3a9";

fn source() -> String {
    Config::new().file_source("lines", "in/*.log").set("glob_interval", "20ms").text()
}

fn pipeline() -> String {
    Config::new().pipeline("main", &["lines"]).output("all", &["input"]).text()
}

fn sink(name: &str) -> String {
    Config::new().file_sink(name, &["main.all"], &format!("{name}.txt")).set("encoding.codec", "text").text()
}

fn start(folder: &Folder, arguments: &[&str]) -> Agent {
    let mut agent = Agent::start(folder.wattle().arg("run").args(arguments));
    agent.wait_for("running");
    agent
}

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).unwrap()
}

#[test]
fn a_new_file_in_the_folder_is_applied_and_a_removed_one_too() {
    let folder = Folder::new();
    folder.write("in/a.log", "one\n");
    folder.write("agent.toml", source() + &pipeline());
    folder.write("conf.d/10-first.toml", sink("first"));
    let mut agent = start(&folder, &["--config", "agent.toml", "-c", "conf.d"]);
    wait_until("the line", || text(&folder, "first.txt") == "one\n");
    folder.write("conf.d/20-second.toml", sink("second"));
    agent.wait_for("reloaded");
    folder.write("in/b.log", "two\n");
    wait_until("the second sink", || text(&folder, "second.txt") == "two\n");
    fs::remove_file(folder.path("conf.d/10-first.toml")).unwrap();
    agent.wait_for("reloaded");
    // A file that defines a sink again is refused, and what runs stays.
    folder.write("conf.d/30-again.toml", sink("second"));
    agent.wait_for("the sink `second` is defined twice; the first one is at conf.d/20-second.toml:1:8");
    agent.wait_for("the changed configuration is invalid");
    let reload = folder.run(&["reload", "-c", "agent.toml", "-c", "conf.d/20-second.toml"]);
    assert_eq!(reload.code, 78, "{}", reload.log);
    fs::remove_file(folder.path("conf.d/30-again.toml")).unwrap();
    agent.wait_for("nothing changed");
    folder.write("in/c.log", "three\n");
    wait_until("the third line", || text(&folder, "second.txt") == "two\nthree\n");
    assert_eq!(text(&folder, "first.txt").lines().count(), 2, "the first sink is removed");
    agent.stop().summary();
}

#[test]
fn every_command_takes_several_files() {
    let folder = Folder::new();
    folder.write("agent.toml", source() + &pipeline() + "[agent]\ndata_dir = \"elsewhere\"\n");
    folder.write("conf.d/a.toml", sink("out"));
    folder.write("in/a.log", "one\n");
    let both = ["--config", "agent.toml", "--config", "conf.d"];
    let ok = |ended: Ended| {
        assert_eq!(ended.code, 0, "{}", ended.log);
        ended.text().to_owned()
    };
    let with = |command: &[&str]| ok(folder.run(&[command, &both].concat()));
    let line = with(&["validate"]);
    assert!(line.contains("agent.toml, conf.d: valid (1 sources, 1 pipelines with 0 nodes, 1 sinks)"), "{line}");
    assert_eq!(ok(folder.run(&["validate", "agent.toml", "conf.d"])), line);
    assert!(ok(folder.run(&["graph", "agent.toml", "conf.d"])).contains("flowchart"));
    with(&["run", "--once"]);
    assert_eq!(text(&folder, "out.txt"), "one\n");
    assert!(folder.path("elsewhere/sources/lines").exists(), "a path is relative to its file");
    assert!(with(&["history"]).contains("started"));
    with(&["pack", "list"]);
    let shown = with(&["config", "show"]);
    assert!(shown.contains("# conf.d/a.toml:1:8\n[sinks.out]\n"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&with(&["config", "show", "--format", "json"])).unwrap();
    assert_eq!(json["configuration"]["sinks"]["out"]["path"], "out.txt");
    assert!(json["from"]["agent"].as_str().unwrap().starts_with("agent.toml:"), "{json}");
    // The variable separates files by colons.
    let mut command = folder.wattle();
    command.arg("validate").env("WATTLE_CONFIG", "agent.toml:conf.d");
    assert_eq!(ok(wattle_tests::finish(&mut command, b"")), line);
    let twice = folder.run(&["validate", "agent.toml", "--config", "conf.d"]);
    assert_eq!(twice.code, 2, "{}", twice.log);
}

#[test]
fn variables_come_from_files_and_are_read_again_by_a_reload() {
    let folder = Folder::new();
    folder.write("in/a.log", "one\n");
    folder.write("env", "# for the sink\nNAME=\"first\"\n");
    folder.write("agent.toml", source() + &pipeline() + &sink("${NAME}").replace("[sinks.${NAME}]", "[sinks.out]"));
    let agent = start(&folder, &["--env-file", "env", "--config", "agent.toml", "--no-watch"]);
    wait_until("the line", || text(&folder, "first.txt") == "one\n");
    folder.write("env", "NAME=second\n");
    assert_eq!(folder.run(&["--env-file", "env", "reload", "--config", "agent.toml"]).code, 0);
    folder.write("in/b.log", "two\n");
    wait_until("the second file", || text(&folder, "second.txt") == "two\n");
    agent.stop().summary();
    let mut command = folder.wattle();
    let ended = wattle_tests::finish(command.args(["--env-file", "env", "validate"]).env("NAME", "own"), b"");
    assert_eq!(ended.code, 0, "{}", ended.log);
    folder.write("env", format!("A=1\nNAME='{MARKER}\n"));
    let wrong = folder.run(&["--env-file", "env", "validate"]);
    assert_eq!(wrong.code, 78);
    assert!(wrong.log.contains("env:2: ") && !wrong.log.contains(MARKER), "{}", wrong.log);
    assert_eq!(folder.run(&["--env-file", "missing", "validate"]).code, 78);
}

/// A configuration with a secret in each kind of option that takes one.
fn with_secrets(address: std::net::SocketAddr, reference: &str) -> String {
    let to = free_address();
    source()
        + &pipeline()
        + &format!(
            "[admin]\nlisten = \"{address}\"\ntap = \"all\"\n\
             [sinks.web]\ntype = \"http\"\ninputs = [\"main.all\"]\nuri = \"http://{to}/in?sig={reference}\"\n\
             auth = {{ strategy = \"bearer\", token = \"{reference}\" }}\nheaders = {{ X-Own = \"a {reference} b\" }}\n\
             [pipelines.cloud]\ninputs = [\"lines\"]\npack = \"cloudtrail@1.2.0\"\nparams = {{ mask_text = \"{reference}\" }}\n\
             discard = [\"*\"]\n"
        )
}

#[test]
fn a_secret_from_a_file_is_in_no_output() {
    let folder = Folder::new();
    folder.write("secrets/token", format!("{MARKER}\n"));
    fs::set_permissions(folder.path("secrets/token"), fs::Permissions::from_mode(0o600)).unwrap();
    folder.write("in/a.log", "one\n");
    let address = free_address();
    folder.write("agent.toml", with_secrets(address, "${file:secrets/token}"));
    let mut seen = Vec::new();
    let mut check = |what: &str, output: &str| {
        assert!(!output.contains(MARKER), "{what} shows the secret:\n{output}");
        seen.push(what.to_owned());
    };
    let mut command = folder.wattle();
    let mut agent = Agent::start(command.args(["--log", "trace", "run", "--config", "agent.toml"]));
    agent.wait_for("running");
    // The server is missing, so the sink logs errors with its address.
    agent.wait_for("sink=web");
    for path in ["", "/graph", "/packs", "/schema", "/shadows", "/history", "/failures", "/status"] {
        let answer = get(address, &format!("/api/v1{path}"));
        check(&format!("/api/v1{path}"), &answer.map(|answer| answer.text).unwrap_or_default());
    }
    for path in ["/status", "/metrics", "/", "/readyz"] {
        check(path, &get(address, path).expect("the agent answers").text);
    }
    for arguments in [
        &["validate", "agent.toml"][..],
        &["validate", "agent.toml", "--format", "json"],
        &["config", "show", "agent.toml"],
        &["config", "show", "agent.toml", "--format", "json"],
        &["graph", "agent.toml"],
        &["graph", "agent.toml", "--format", "svg"],
        &["status", "--config", "agent.toml", "--json"],
        &["history", "--config", "agent.toml", "--json"],
        &["shadow", "--config", "agent.toml", "--json"],
        &["reload", "--config", "agent.toml", "--json"],
    ] {
        let ended = folder.run(arguments);
        check(&arguments.join(" "), &format!("{}{}", ended.text(), ended.log));
    }
    // A rotated secret is read again; errors beside it show neither value.
    folder.replace("secrets/token", format!("{MARKER}-second\n"));
    let good = text(&folder, "agent.toml");
    let broken = good.replace("strategy = \"bearer\"", "strategy = \"beaver\"").replace("mask_text", "mask_tex");
    folder.replace("agent.toml", broken);
    agent.wait_for("the changed configuration is invalid");
    let refused = folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(refused.code, 78, "{}", refused.log);
    check("an invalid reload", &format!("{}{}", refused.text(), refused.log));
    check("the status after it", &get(address, "/status").unwrap().text);
    folder.replace("agent.toml", good);
    agent.wait_for("reloaded");
    check("the log", &agent.kill().log);
    for file in ["data/history.ndjson", "data/rollout.json"] {
        check(file, &text(&folder, file));
    }
    assert!(seen.len() > 20, "{seen:?}");
}
