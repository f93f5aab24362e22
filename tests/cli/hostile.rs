//! No command prints control characters that a terminal executes, or characters that make a line look different from its
//! contents, whatever the origin of the text: a node, a pack, a registry, an event or a file name.

use std::fs;

use wattle_tests::{Agent, Config, Ended, FakeRegistry, Folder, built, finish, free_address, wait_until};

/// As in the guest `hostile`.
const TEXT: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[2J\u{7f}\u{9b}31m\u{202e}gnp\u{200b}\u{feff}";

/// Whether a character must not reach a terminal. Written independently, so a gap in the agent's
/// list shows.
fn is_harmful(c: char) -> bool {
    let is_control = (c < ' ' && c != '\n' && c != '\t') || ('\u{7f}'..='\u{9f}').contains(&c);
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_control || is_bidi || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

#[track_caller]
fn harmless(what: &str, ended: &Ended) {
    for (stream, text) in [("standard output", ended.text()), ("standard error", &ended.log)] {
        let found = text.char_indices().find(|(_, c)| is_harmful(*c));
        assert_eq!(found, None, "{what}, {stream}: {text:?}");
        let forged = text.lines().find(|line| line.starts_with("error: forged"));
        assert_eq!(forged, None, "{what}, {stream}: {text}");
    }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    let escape = |c: char| if is_harmful(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// A folder with the guest, events with hostile texts, and a pipeline through the guest.
fn folder(what: &str) -> Folder {
    let folder = Folder::new();
    folder.write("hostile.wasm", fs::read(built("guests/hostile.wasm")).unwrap());
    folder.write("in.log", format!("{TEXT}\n{TEXT}\n"));
    folder.write("agent.toml", agent(what));
    folder
}

fn agent(what: &str) -> String {
    Config::new()
        .file_source("lines", "in.log")
        .set("follow", false)
        .set("framing", "lines")
        .pipeline("main", &["lines"])
        .node("hostile", "hostile.wasm", &["input"])
        .set("options.what", what)
        .ok_and_fails("hostile")
        .drop_sink("all", &["main.ok", "main.fails"])
        .text()
}

#[test]
fn texts_of_a_node_are_escaped_by_every_command_that_shows_them() {
    for what in ["fail", "drop", "ports", "option", "panic-on-configure", "panic", "error"] {
        let folder = folder(what);
        for arguments in [
            &["validate", "agent.toml"][..],
            &["validate", "--format", "short", "agent.toml"],
            &["validate", "--format", "json", "agent.toml"],
            &["run", "--once", "--config", "agent.toml"],
            &["--log-format", "json", "run", "--once", "--config", "agent.toml"],
            &["history"],
            &["history", "--json"],
        ] {
            harmless(&format!("{what}: {arguments:?}"), &folder.run(arguments));
        }
    }
    let folder = folder("fail");
    let shown = folder.run(&["inspect", "hostile.wasm"]);
    assert!(shown.text().starts_with("x\\u{1b}]0;pwned\\u{7}"), "{}", shown.text());
    harmless("inspect", &shown);
    let json = folder.run(&["inspect", "--json", "hostile.wasm"]);
    harmless("inspect --json", &json);
    let value: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(
        value["node"]["name"].as_str().unwrap(),
        format!("{TEXT}\r\nerror: forged"),
        "JSON holds the value itself"
    );
    harmless("schema", &folder.run(&["schema"]));
}

#[test]
fn colors_are_the_agent_s_own_and_texts_are_escaped_beside_them() {
    for what in ["fail", "ports", "option", "panic-on-configure"] {
        let folder = folder(what);
        for command in [&["validate", "agent.toml"][..], &["run", "--once", "--config", "agent.toml"]] {
            let arguments: Vec<&str> = ["--color", "always"].into_iter().chain(command.iter().copied()).collect();
            let mut ended = folder.run(&arguments);
            let plain = |text: &str| {
                ["0", "1", "2", "3", "31", "32", "33", "34", "35", "1;31", "1;32", "1;33", "1;34"]
                    .iter()
                    .fold(text.to_owned(), |text, style| text.replace(&format!("\u{1b}[{style}m"), ""))
            };
            ended.log = plain(&ended.log);
            let out = plain(ended.text());
            assert_eq!(out.chars().find(|c| is_harmful(*c)), None, "{what} {command:?}: {out:?}");
            assert_eq!(ended.log.chars().find(|c| is_harmful(*c)), None, "{what} {command:?}: {:?}", ended.log);
        }
    }
}

#[test]
fn texts_of_a_pack_are_escaped() {
    let folder = Folder::new();
    let pack = |version: &str, text: &str| {
        format!(
            "[pack]\nname = \"sample\"\nversion = \"{version}\"\ncontract = \"0.1\"\ndescription = {0}\n\
             [params.p]\ntype = \"string\"\ndefault = {0}\ndescription = {0}\n\
             [nodes.parse]\nartifact = \"builtin:parse\"\ninputs = [\"input\"]\n\
             [outputs.ok]\ninputs = [\"parse\"]\ndescription = {0}\n[outputs.fails]\ninputs = [\"parse.failed\"]\n",
            quoted(text)
        )
    };
    folder.write("a/pack.toml", pack("1.0.0", TEXT));
    folder.write("b/pack.toml", pack("1.0.1", &format!("{TEXT}{TEXT}")));
    folder.write(format!("b/{TEXT_OF_FILES}.txt"), TEXT);
    folder.write(format!("b/tests/{TEXT_OF_FILES}/input.txt"), TEXT);
    for arguments in [
        &["pack", "show", "./a"][..],
        &["pack", "show", "--json", "./a"],
        &["pack", "lint", "./a"],
        &["pack", "diff", "./a", "./b"],
        &["pack", "diff", "--json", "./a", "./b"],
        &["pack", "test", "./a"],
        &["pack", "test", "./b"],
        &["pack", "install", "./a", "--library", "library"],
        &["pack", "list", "--library", "library"],
        &["pack", "list", "--json", "--library", "library"],
        &["pack", "archive", "./a"],
        &["pack", "verify", "./a"],
        &["graph", "./a"],
        &["graph", "--format", "dot", "./a"],
    ] {
        harmless(&format!("{arguments:?}"), &folder.run(arguments));
    }
    folder.write("bad/pack.toml", pack("1.0.0", TEXT).replace("builtin:parse", "builtin:p\\u001b\\u202e"));
    for arguments in [&["pack", "show", "./bad"][..], &["pack", "lint", "./bad"], &["pack", "test", "./bad"]] {
        harmless(&format!("{arguments:?}"), &folder.run(arguments));
    }
}

/// The part of the text that a file name can contain: a list of files allows no control characters,
/// but the others.
const TEXT_OF_FILES: &str = "x\u{202e}gnp\u{200b}";

#[test]
fn texts_of_a_configuration_and_names_of_files_are_escaped() {
    let folder = folder("fail");
    let named = format!("{TEXT}.toml");
    folder.write(&named, agent("fail").replace("type = \"blackhole\"", "type = \"\\u001b[2J\u{202e}\""));
    for arguments in [&["validate", &named][..], &["run", "--config", &named], &["graph", &named], &["inspect", &named]]
    {
        harmless(&format!("{arguments:?}"), &folder.run(arguments));
    }
    // A damaged archive with a hostile name: the log names it.
    folder.write(format!("in/{TEXT}.gz"), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff]);
    let config = agent("fail").replace("in.log", "in/*.gz");
    folder.write("agent.toml", config);
    harmless("a damaged file", &folder.run(&["run", "--once", "--config", "agent.toml"]));
}

#[test]
fn what_is_in_quarantine_is_listed_escaped() {
    let folder = folder("fail");
    let failure = serde_json::json!({ "node": TEXT, "code": TEXT, "message": TEXT });
    let event = serde_json::json!({ "body": TEXT, "failure": failure });
    let record = serde_json::json!({ "id": "1-1", "kept": "2026-01-01T00:00:00Z", "event": event });
    folder.write("data/quarantine/main.ndjson", format!("{record}\n"));
    for arguments in
        [&["quarantine", "list"][..], &["quarantine", "list", "main"], &["quarantine", "show", "main", TEXT]]
    {
        harmless(&format!("{arguments:?}"), &folder.run(arguments));
    }
    let shown = folder.run(&["quarantine", "show", "main", "1-1"]);
    harmless("quarantine show", &shown);
    assert_eq!(serde_json::from_str::<serde_json::Value>(shown.text()).unwrap(), event, "the event itself is the same");
}

#[test]
fn texts_of_a_registry_are_escaped() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    for manner in wattle_tests::Manner::ILL.map(|(manner, _)| manner) {
        registry.behave(manner);
        if matches!(manner, wattle_tests::Manner::Silent | wattle_tests::Manner::Trickles) {
            continue;
        }
        let ended = folder.run(&["pack", "pull", &registry.reference("1"), "--library", "library"]);
        harmless(&format!("{manner:?}"), &ended);
    }
}

#[test]
fn status_and_shadow_of_a_running_agent_are_escaped() {
    let folder = folder("fail");
    let address = free_address();
    let config =
        agent("fail").replace("follow = false", "follow = true") + &format!("[admin]\nlisten = \"{address}\"\n");
    folder.write("agent.toml", &config);
    let mut agent: Agent = folder.start(&config);
    wait_until("the events failed", || {
        let status = finish(folder.wattle().args(["status", "--json", "--url", &format!("http://{address}")]), b"");
        harmless("status --json", &status);
        status.text().contains("\"failed\": 2") || status.text().contains("pwned")
    });
    for arguments in [&["status", "--config", "agent.toml"][..], &["shadow"], &["reload"], &["rollback"], &["history"]]
    {
        harmless(&format!("{arguments:?}"), &folder.run(arguments));
    }
    let _ = &mut agent;
}
