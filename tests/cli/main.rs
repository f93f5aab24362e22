//! The command line: its help, its output, its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod hostile;
mod output;
mod private;
mod tap;
mod top;
mod try_pack;
mod waiting;

use std::fs;
use std::process::Command;

use serde_json::Value;
use wattle_tests::{Config, Folder, Trail, binary, built, finish, wait_until};

const COMMANDS: &[&str] = &[
    "run",
    "status",
    "top",
    "tap",
    "validate",
    "config",
    "pack",
    "try",
    "graph",
    "inspect",
    "node",
    "generate",
    "cloudtrail",
    "schema",
    "explain",
    "version",
    "completions",
];

#[test]
fn every_command_has_a_description_in_its_help() {
    let folder = Folder::new();
    let all = folder.run(&["--help"]);
    assert_eq!(all.code, 0);
    assert!(all.text().contains("Exit codes: 0 success"), "{}", all.text());
    for command in COMMANDS {
        let line = all.text().lines().find(|l| l.trim_start().starts_with(command)).unwrap_or_default();
        let does = line.trim_start().trim_start_matches(command).trim();
        assert!(does.len() > 10, "`{command}` is not explained in: {}", all.text());
        let help = folder.run(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.text().starts_with(does), "`{command} --help` begins with what it does: {}", help.text());
        assert!(help.text().contains("Usage: wattle"), "{}", help.text());
        assert!(!help.text().contains('\u{1b}'), "no colours where there is no terminal");
    }
    assert!(folder.run(&["run", "--help"]).text().contains("Examples:"));
}

#[test]
fn the_version_names_the_commit_and_what_the_program_contains() {
    let folder = Folder::new();
    let json: Value = serde_json::from_str(folder.run(&["version", "--json"]).text()).unwrap();
    let short = folder.run(&["--version"]);
    assert_eq!(short.text().trim(), format!("wattle {}", json["version"].as_str().unwrap()));
    let text = folder.run(&["version"]).text().to_owned();
    for key in ["version", "target", "wasmtime", "api"] {
        let value = json[key].as_str().unwrap();
        assert!(!value.is_empty() && text.contains(value), "{key} in {text}");
    }
    let contracts = json["contracts"].as_array().unwrap();
    assert!(contracts.contains(&Value::from("0.2.0")) && contracts.contains(&Value::from("0.1.0")), "{json}");
    assert_eq!(json["features"], serde_json::json!(["aws", "kafka", "nats"]));
    // A build from an archive without `WATTLE_COMMIT` has none.
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(wattle_tests::workspace()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    if let Some(commit) = json["commit"].as_str() {
        assert!(text.contains(commit), "{text}");
        let time = json["commit_time"].as_str().expect("a commit has a time");
        assert!(time.ends_with('Z') && text.contains(time), "{text}");
        if let Some(found) = git(&["show", "-s", "--format=%ct", commit]) {
            let expected = Command::new("date").args(["-u", "+%FT%TZ", "-d", &format!("@{found}")]).output().unwrap();
            assert_eq!(
                String::from_utf8(expected.stdout).unwrap().trim(),
                time,
                "the time of the commit, not of the build"
            );
        }
    }
}

#[test]
fn completions_name_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = folder.run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        for command in COMMANDS {
            assert!(ended.text().contains(command), "{shell} does not complete `{command}`");
        }
    }
}

#[test]
fn exit_codes_match_the_help() {
    let folder = Folder::new();
    for (arguments, code, text) in [
        (vec!["validate", "absent.toml"], 78, "absent.toml"),
        (vec!["run", "--config", "absent.toml"], 78, "absent.toml"),
        (vec!["run", "--pack", "nothing-of-the-kind"], 78, "nothing-of-the-kind"),
        (vec!["run"], 2, "--config"),
        (vec!["run", "absent.toml"], 78, "absent.toml"),
        (vec!["validate", "--config", "absent.toml"], 78, "absent.toml"),
        (vec!["validate"], 78, "agent.toml"),
        (vec!["run", "a.toml", "--config", "b.toml"], 2, "both name a configuration"),
        (vec!["validate", "a.toml", "--config", "b.toml"], 2, "both name a configuration"),
        (vec!["run", "a.toml", "--pack", "cloudtrail"], 2, "--pack"),
        (vec!["run", "--config", "a.toml", "--pack", "cloudtrail"], 2, "--pack"),
        (vec!["run", "--pack", "cloudtrail", "--param", "nonsense"], 78, "NAME=VALUE"),
        (vec!["fly"], 2, "fly"),
        (vec!["graph", "--format", "png", "cloudtrail"], 2, "png"),
        (vec!["inspect", "absent.wasm"], 1, "built-in nodes are"),
        (vec!["pack", "test", "cloudtrail", "no-such-test"], 1, "no test"),
        (vec!["explain", "E9999"], 1, "E9999"),
        (vec!["pack", "list"], 0, ""),
        (vec!["explain"], 0, ""),
    ] {
        let ended = folder.run(&arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}{}", ended.text(), ended.log);
        assert!(ended.log.contains(text) || ended.text().contains(text), "{arguments:?}: {}", ended.log);
    }
}

/// A configuration whose source has no files.
fn without_files() -> String {
    Config::new()
        .file_source("none", "in/*")
        .pack("main", &["none"], "cloudtrail@1.0.0")
        .drop_sink("all", &["main.*"])
        .text()
}

#[test]
fn the_configuration_is_a_file_an_option_or_a_variable() {
    let folder = Folder::new();
    folder.write("own.toml", without_files());
    for command in [&["validate"][..], &["run", "--once", "--quiet"]] {
        for named in [&["own.toml"][..], &["--config", "own.toml"], &["-c", "own.toml"]] {
            let ended = folder.run(&[command, named].concat());
            assert_eq!(ended.code, 0, "{command:?} {named:?}: {}{}", ended.text(), ended.log);
        }
        let with_variable = |value: &str, more: &[&str]| {
            finish(folder.wattle().args(command).args(more).env("WATTLE_CONFIG", folder.path(value)), b"")
        };
        assert_eq!(with_variable("own.toml", &[]).code, 0);
        assert_eq!(with_variable("absent.toml", &["own.toml"]).code, 0, "the command line takes precedence");
        assert_eq!(with_variable("absent.toml", &["--config", "own.toml"]).code, 0);
        assert_eq!(with_variable("absent.toml", &[]).code, 78);
    }
    let mut pack = folder.wattle();
    pack.args(["run", "--pack", "cloudtrail@1.2.0", "--quiet"]).env("WATTLE_CONFIG", "absent.toml");
    assert_eq!(finish(&mut pack, b"").code, 0, "a pack takes precedence over the variable as well");
}

#[test]
fn every_version_of_every_pack_is_built_in() {
    let ended = Folder::new().run(&["pack", "list"]);
    let packs: Vec<&str> =
        ended.text().lines().filter_map(|line| line.strip_suffix("built in")).map(str::trim).collect();
    let expected = [
        "alb@1.0.0",
        "cloudtrail@1.0.0",
        "cloudtrail@1.1.0",
        "cloudtrail@1.2.0",
        "cloudtrail@2.0.0",
        "kubernetes-containers@1.0.0",
        "nginx@1.0.0",
        "syslog-auth@1.0.0",
        "vpc-flow@1.0.0",
    ];
    assert_eq!(packs, expected, "{}", ended.text());
}

#[test]
fn graphs_show_every_node_and_output() {
    let folder = Folder::new();
    for (format, start) in [("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg")] {
        let ended = folder.run(&["graph", "cloudtrail@1.0.0", "--format", format]);
        assert!(ended.text().trim_start().starts_with(start), "{}", ended.text());
        for name in ["mask-access-key-id", "mask-session-token", "unroll", "extract", "not_important_event", "Fails"] {
            assert!(ended.text().contains(name), "{name} is not in: {}", ended.text());
        }
    }
}

#[test]
fn inspect_shows_a_built_in_node_and_any_artifact() {
    let folder = Folder::new();
    let mask = folder.run(&["inspect", "mask", "--json"]);
    let mask: Value = serde_json::from_str(mask.text()).unwrap();
    assert_eq!((&mask["node"]["name"], &mask["node"]["masks"]), (&Value::from("mask"), &Value::from(true)));
    assert!(mask["node"]["options_schema"]["properties"]["rules"].is_object(), "{mask}");
    let imports: Vec<&str> = mask["imports"].as_array().unwrap().iter().map(|i| i.as_str().unwrap()).collect();
    assert!(imports.iter().all(|import| import.starts_with("wattle:node/")), "no WASI: {imports:?}");
    let guest = folder.run(&["inspect", built("guests/faulty.wasm").to_str().unwrap()]);
    assert!(guest.text().starts_with("faulty 0.1.0: Misbehaves"), "{}", guest.text());
}

#[test]
fn a_generated_trail_is_verified_until_a_file_is_missing() {
    let folder = Folder::new();
    let made = folder.run(&["generate", "-n", "30", "--digests", "--layout", "s3", "--out", "trail"]);
    assert_eq!(made.code, 0, "{}", made.log);
    let verify = ["cloudtrail", "verify", "trail", "--keys", "trail/public-keys.json"];
    let good = folder.run(&verify);
    assert_eq!(good.code, 0, "{}{}", good.text(), good.log);
    assert!(good.text().contains("0 unverifiable, 0 failed\n30 log files: 30 as their digests say"), "{}", good.text());
    let json = folder.run(&[&verify[..], &["--json"]].concat());
    assert!(json.text().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", json.text());

    // Any log file of the tree.
    let mut place = folder.path("trail/AWSLogs");
    while place.is_dir() {
        let mut inside: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
        inside.retain(|path| !path.ends_with("CloudTrail-Digest"));
        place = inside.swap_remove(0);
    }
    fs::remove_file(&place).unwrap();
    let missing = folder.run(&verify);
    assert_eq!(missing.code, 1, "{}", missing.text());
    let name = place.file_name().unwrap().to_str().unwrap();
    assert!(
        missing.text().contains("  missing file: `AWSLogs/") && missing.text().contains(name),
        "{}",
        missing.text()
    );
    assert!(missing.text().contains("29 as their digests say, 1 missing"), "{}", missing.text());

    folder.write("keys.json", "{}");
    let wrong = folder.run(&["cloudtrail", "verify", "trail", "--keys", "keys.json"]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.log.contains("`keys.json`: it is not what `aws cloudtrail list-public-keys` prints"),
        "{}",
        wrong.log
    );
    folder.write("empty/x", "");
    let empty = folder.run(&["cloudtrail", "verify", "empty", "--keys", "trail/public-keys.json"]);
    assert_eq!(empty.code, 1);
    assert!(empty.log.contains("`empty` has no digest"), "{}", empty.log);
}

#[test]
fn generated_data_depends_only_on_the_seed() {
    let folder = Folder::new();
    let generate = |seed| folder.run(&["generate", "-n", "20", "--seed", seed]).output;
    let first = generate("7");
    assert_eq!(first, generate("7"));
    assert_ne!(first, generate("8"));
    assert_eq!(first.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count(), 20);
    let files = folder.run(&["generate", "-n", "3", "--out", "logs"]);
    assert!(files.log.contains("3 documents"), "{}", files.log);
}

#[test]
fn standard_input_runs_through_a_pack_to_a_folder_or_standard_output() {
    let folder = Folder::new();
    let mut trail = Trail::new(4, 50);
    let input: Vec<u8> = (0..3).flat_map(|_| [trail.document(), b"\n".to_vec()].concat()).collect();
    let ended = finish(folder.wattle().args(["run", "--pack", "cloudtrail@1.2.0", "--out", "out"]), &input);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let pipeline = ended.summary().pipeline().clone();
    assert_eq!((pipeline.received, pipeline.delivered), (3, 150));
    assert!(ended.log.contains("MB/s"), "{}", ended.log);
    let lines = |name: &str| folder.read(name).iter().filter(|&&b| b == b'\n').count() as u64;
    assert_eq!(lines("out/processed.ndjson"), pipeline.output("processed"));
    assert_eq!(lines("out/get_describe_list.ndjson"), pipeline.output("get_describe_list"));
    assert_eq!(folder.read("out/fails.ndjson"), b"");

    let arguments = ["run", "--pack", "cloudtrail@1.0.0", "--param", "mask_text=[gone]", "--quiet", "--log", "warn"];
    let ended = finish(folder.wattle().args(arguments), &input);
    assert_eq!((ended.code, ended.log.as_str()), (0, ""));
    assert_eq!(ended.text().lines().count(), 150);
    assert!(ended.text().contains("[gone]") && !ended.text().contains("*******************"));
}

#[test]
fn once_processes_the_existing_data_and_ends() {
    let folder = Folder::new();
    let mut trail = Trail::new(6, 10);
    folder.write("in/a.json", trail.document());
    let config = Config::new()
        .file_source("logs", "in/*")
        .pack("main", &["logs"], "cloudtrail@1.0.0")
        .file_sink("all", &["main.*"], "all.ndjson")
        .text();
    assert_eq!(folder.once(&config).summary().pipeline().received, 1);
    folder.write("in/b.json", trail.document());
    assert_eq!(folder.once(&config).summary().pipeline().received, 1, "what was delivered does not come again");
    assert_eq!(folder.events("all.ndjson").len(), 20);
}

#[test]
fn a_second_agent_in_the_same_data_folder_is_refused() {
    let folder = Folder::new();
    let first = folder.start(&without_files());
    let second = folder.run(&["run", "--config", "agent.toml"]);
    assert_eq!(second.code, 78);
    assert!(second.log.contains("is used by another agent"), "{}", second.log);
    first.stop();
    assert_eq!(folder.run(&["run", "--once", "--config", "agent.toml"]).code, 0, "it is free again");
}

#[test]
fn the_binary_runs_the_pack_alone_in_an_empty_environment() {
    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("wattle");
    fs::copy(binary(), &alone).unwrap();
    let document = Trail::new(8, 20).document();
    let mut command = Command::new(&alone);
    let arguments = ["run", "--pack", "cloudtrail@1.2.0", "--framing", "document", "--out", "out"];
    // For root the default data folder is in /var/lib, and a test must leave nothing there.
    command.args(arguments).env_clear().env("WATTLE_DATA_DIR", place.path().join("data")).current_dir(place.path());
    let ended = finish(&mut command, &document);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.summary().pipeline().delivered, 20);
}

#[test]
fn a_first_signal_drains_and_ends_successfully() {
    let folder = Folder::new();
    let agent = folder.start(
        &Config::new()
            .source("load", "demo")
            .set("rate", 100)
            .pack("main", &["load"], "cloudtrail@1.0.0")
            .file_sink("all", &["main.*"], "all.ndjson")
            .text(),
    );
    wait_until("events", || !folder.events("all.ndjson").is_empty());
    let summary = agent.stop().summary();
    assert_eq!(folder.events("all.ndjson").len() as u64, summary.pipeline().delivered);
}

#[test]
fn an_unreadable_configuration_never_leads_to_the_folder_of_another_agent() {
    let folder = Folder::new();
    folder.write("agent.toml", "[agent]\ndata_dir = \"data\"\ntoken = \"hunter2\"\ngarbage [\n");
    for arguments in [
        vec!["reload"],
        vec!["status"],
        vec!["rollback"],
        vec!["history"],
        vec!["shadow"],
        vec!["quarantine", "list"],
        vec!["quarantine", "retry", "p", "--all"],
        vec!["pack", "list"],
    ] {
        let ended = folder.run(&[arguments.as_slice(), &["--config", "agent.toml"]].concat());
        assert_eq!(ended.code, 78, "{arguments:?}: {}", ended.log);
        assert!(ended.log.contains("does not say which folders the agent uses"), "{arguments:?}: {}", ended.log);
        assert!(ended.log.contains("error[E0102]") && ended.log.contains("agent.toml:4:"), "{}", ended.log);
        assert!(!ended.log.contains("hunter2") && !ended.log.contains("/var/lib/wattle"), "{}", ended.log);
    }
    let ended = folder.run(&["reload", "--config", "agent.toml"]);
    assert!(ended.log.contains("name the folder with `--data-dir`"), "{}", ended.log);
    // Other commands may have locked the folder before.
    let folder = Folder::new();
    folder.write("agent.toml", "garbage [\n");
    let ended = folder.run(&["run", "agent.toml"]);
    assert!(ended.code == 78 && ended.log.contains("error[E0102]"), "{} {}", ended.code, ended.log);
    assert!(!folder.path("data/lock").exists(), "the agent fails before it locks the default data folder");
}

#[test]
fn a_command_that_compiles_nothing_creates_no_data_folder() {
    let folder = Folder::new();
    fs::remove_file(folder.path("data/cache")).unwrap();
    fs::remove_dir(folder.path("data")).unwrap();
    folder.write("agent.toml", "garbage [\n");
    for (arguments, code) in [
        (&["validate", "agent.toml"][..], 78),
        (&["graph", "agent.toml"], 78),
        (&["graph", "absent@1.0.0"], 78),
        (&["pack", "list"], 0),
        (&["pack", "list", "--config", "agent.toml"], 78),
        (&["pack", "remove", "cloudtrail@1.0.0", "--config", "agent.toml"], 78),
    ] {
        let ended = folder.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.log);
        assert!(!folder.path("data").exists(), "{arguments:?}");
    }
}

#[test]
fn an_empty_configuration_is_an_error_with_an_example() {
    let folder = Folder::new();
    folder.write("agent.toml", "");
    for command in ["run", "validate"] {
        let ended = folder.run(&[command, "agent.toml"]);
        assert_eq!(ended.code, 78);
        let said = format!("{}{}", ended.text(), ended.log);
        assert!(said.contains("error[E0318]") && said.contains("write `[sources.NAME]`"), "{said}");
    }
}
