//! `wattle pack`: creates, shows, compares, installs and removes packs.

use std::fs;

use serde_json::Value;
use wattle_tests::{Config, Folder, built, workspace};

/// Runs a command that must succeed, and returns its output.
#[track_caller]
pub(crate) fn run(folder: &Folder, arguments: &[&str]) -> String {
    let ended = folder.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.text(), ended.log);
    ended.text().to_owned()
}

/// Runs a command that must fail with this code, and returns all its output.
#[track_caller]
pub(crate) fn fails(folder: &Folder, code: i32, arguments: &[&str]) -> String {
    let ended = folder.run(arguments);
    assert_eq!(ended.code, code, "{arguments:?}: {}{}", ended.text(), ended.log);
    format!("{}{}", ended.text(), ended.log)
}

#[test]
fn a_new_pack_passes_its_test_and_the_lints_and_runs() {
    let folder = Folder::new();
    let said = run(&folder, &["pack", "new", "my-logs"]);
    assert!(said.contains("wattle pack test ./my-logs"), "{said}");
    assert!(run(&folder, &["pack", "test", "./my-logs"]).ends_with("1 passed, 0 failed\n"));
    assert_eq!(run(&folder, &["pack", "lint", "./my-logs"]), "./my-logs: no findings\n");
    let manifest = folder.read("my-logs/pack.toml");
    let built = run(&folder, &["pack", "build", "./my-logs"]);
    assert!(built.starts_with("./my-logs: 8 files, sha256:"), "{built}");
    assert_eq!(folder.read("my-logs/pack.toml"), manifest, "built-in nodes need no digest");
    for file in ["README.md", "LICENSE"] {
        assert!(!folder.read(&format!("my-logs/{file}")).is_empty());
    }
    let mut command = folder.wattle();
    command.args(["run", "--pack", "./my-logs", "--out", "out", "--quiet"]);
    let ended = wattle_tests::finish(&mut command, b"{\"level\":\"fatal\",\"by\":\"ada@example.com\"}\n{}\n");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let urgent = String::from_utf8(folder.read("out/urgent.ndjson")).unwrap();
    assert!(urgent.contains("fatal") && !urgent.contains("ada@"), "{urgent}");
    assert_eq!(String::from_utf8(folder.read("out/rest.ndjson")).unwrap(), "{}\n");
}

#[test]
fn update_writes_the_actual_output_and_keeps_matching_lines() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    let read =
        |output: &str| String::from_utf8(folder.read(&format!("p/tests/sample/expected.{output}.ndjson"))).unwrap();
    let (urgent, rest) = (read("urgent"), read("rest"));
    assert_eq!(run(&folder, &["pack", "test", "./p", "--update"]), "test sample ... ok\n1 passed, 0 failed\n");
    assert_eq!((read("urgent"), read("rest")), (urgent.clone(), rest.clone()), "what matches is not written");

    // A matching line keeps its spelling; a line that differs is rewritten with its own keys.
    let spaced = urgent.replacen('{', "{ ", 1);
    folder.write("p/tests/sample/expected.urgent.ndjson", format!("{spaced}{{\"failure\":{{\"code\":\"gone\"}}}}\n"));
    fs::remove_file(folder.path("p/tests/sample/expected.rest.ndjson")).unwrap();
    assert!(fails(&folder, 78, &["pack", "test", "./p"]).contains("`wattle pack test --update` writes it"));
    let said = run(&folder, &["pack", "test", "./p", "--update"]);
    assert!(said.starts_with("test sample ... updated "), "{said}");
    assert!(said.contains("expected.rest.ndjson") && said.contains("expected.urgent.ndjson"), "{said}");
    assert!(said.ends_with("0 passed, 0 failed, 1 updated\n"), "{said}");
    assert_eq!(read("urgent"), spaced);
    assert_eq!(read("rest").lines().count(), rest.lines().count());
    assert!(read("rest").lines().all(|line| line.starts_with("{\"body_json\":")), "{}", read("rest"));
    assert_eq!(run(&folder, &["pack", "test", "./p"]), "test sample ... ok\n1 passed, 0 failed\n");

    let said = fails(&folder, 78, &["pack", "test", "cloudtrail", "--update"]);
    assert!(said.contains("name the folder of a pack"), "{said}");
}

#[test]
fn a_new_pack_is_refused_with_a_bad_name_or_in_an_existing_folder() {
    let folder = Folder::new();
    assert!(fails(&folder, 78, &["pack", "new", "My Logs"]).contains("bad pack name"));
    folder.write("there/x", "");
    assert!(fails(&folder, 1, &["pack", "new", "there"]).contains("already exists"));
    run(&folder, &["pack", "new", "there", "--folder", "elsewhere/there"]);
    assert!(run(&folder, &["pack", "test", "elsewhere/there"]).contains("1 passed"));
}

#[test]
fn lint_reports_unusual_parts_and_errors() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    fs::remove_dir_all(folder.path("p/tests")).unwrap();
    fs::remove_file(folder.path("p/README.md")).unwrap();
    let said = fails(&folder, 1, &["pack", "lint", "./p", "--format", "short"]);
    assert!(said.contains("W0701") && said.contains("W0702") && said.contains("0 errors, 2 warnings"), "{said}");
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    folder.write("p/pack.toml", manifest.replace("builtin:parse", "builtin:pars"));
    let said = fails(&folder, 78, &["pack", "lint", "./p"]);
    assert!(said.contains("error[E0203]") && said.contains("did you mean `builtin:parse`?"), "{said}");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let pack = format!("cloudtrail@{version}");
        assert_eq!(run(&folder, &["pack", "lint", &pack]), format!("{pack}: no findings\n"));
    }
}

#[test]
fn show_lists_parameters_graph_outputs_artifacts_and_imports() {
    let folder = Folder::new();
    let text = run(&folder, &["pack", "show", "cloudtrail@1.1.0"]);
    for part in [
        "cloudtrail@1.1.0: Masks, splits and routes",
        "where: built in",
        "mask_key         string, default \"\", secret",
        "builtin:unroll",
        "after route.not_important_event",
        "mask-session-token: mask ",
        "wattle:node/batch@0.2.0",
        "tests, ",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let json: Value = serde_json::from_str(&run(&folder, &["pack", "show", "cloudtrail@1.1.0", "--json"])).unwrap();
    assert_eq!((&json["version"], &json["params"][1]["secret"]), (&"1.1.0".into(), &true.into()));
    assert_eq!(json["artifacts"].as_array().unwrap().len(), 7);
    assert_eq!(json["artifacts"][6]["ports"], serde_json::json!(["not_important_event", "unmatched", "failed"]));
    let files = json["files"].as_object().unwrap();
    assert!(files.contains_key("pack.toml") && files.contains_key("LICENSE"), "{files:?}");
    assert_eq!(json["digest"].as_str().unwrap().len(), 71);
}

#[test]
fn a_terminal_does_not_execute_the_content_of_a_manifest() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    folder.write("p/pack.toml", manifest.replace("All other events.", "All \\u001b[2J other events."));
    for arguments in [["pack", "show", "./p"].as_slice(), &["pack", "diff", "./p", "cloudtrail@1.0.0"]] {
        assert!(!run(&folder, arguments).contains('\u{1b}'));
    }
    assert!(run(&folder, &["pack", "show", "./p"]).contains("\\u{1b}[2J other events."));
}

#[test]
fn the_digest_of_a_pack_is_that_of_sha256sum() {
    let folder = Folder::new();
    let pack = workspace().join("packs/cloudtrail/1.0.0");
    let script = "find . -type f | sed 's|^./||' | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 sha256sum | sha256sum";
    let sum = std::process::Command::new("sh").args(["-c", script]).current_dir(&pack).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let expected = format!("sha256:{}", sum.split(' ').next().unwrap());
    for reference in ["cloudtrail@1.0.0", pack.to_str().unwrap()] {
        let json: Value = serde_json::from_str(&run(&folder, &["pack", "show", reference, "--json"])).unwrap();
        assert_eq!(json["digest"], expected.as_str(), "{reference}");
    }
}

#[test]
fn diff_lists_what_an_upgrade_would_change() {
    let folder = Folder::new();
    let text = run(&folder, &["pack", "diff", "cloudtrail@1.0.0", "cloudtrail@1.1.0"]);
    for line in ["params", "  + sensitive_reads: list, default [", "  ~ version: 1.0.0 -> 1.1.0", "options"] {
        assert!(text.contains(line), "`{line}` is not in: {text}");
    }
    assert!(text.contains("\n  + route.paths[0].when.all[1].not.any[0].exists: true\n"), "{text}");
    let json = run(&folder, &["pack", "diff", "cloudtrail@1.0.0", "cloudtrail@1.1.0", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["from"]["version"], &json["to"]["version"]), (&"1.0.0".into(), &"1.1.0".into()));
    let sections: Vec<&str> =
        json["changes"].as_array().unwrap().iter().map(|change| change["section"].as_str().unwrap()).collect();
    assert!(sections.contains(&"files") && !sections.contains(&"ports"), "{sections:?}");
    let same = run(&folder, &["pack", "diff", "cloudtrail@1.0.0", "cloudtrail@1.0.0"]);
    assert_eq!(same, "the packs are the same, file by file\n");
}

#[test]
fn artifacts_and_their_imports_are_compared() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    folder.write("p/nodes/own.wasm", fs::read(built("nodes/parse.wasm")).unwrap());
    folder.write("p/pack.toml", manifest.replace("builtin:parse", "nodes/own.wasm"));
    folder.copy(&folder.path("p"), "q");
    folder.write("q/nodes/own.wasm", fs::read(built("nodes/unroll.wasm")).unwrap());
    let q = String::from_utf8(folder.read("q/pack.toml")).unwrap();
    let options = "options.field = \"body\"\noptions.format = \"json\"\noptions.into = \"attributes\"\n";
    assert!(q.contains(options));
    folder.write("q/pack.toml", q.replace(options, "options.path = [\"$\"]\n"));
    let text = run(&folder, &["pack", "diff", "./p", "./q"]);
    assert!(text.contains("artifacts\n  ~ node parse: sha256:"), "{text}");
    assert!(text.contains("options\n  - parse.field"), "{text}");
    assert!(text.contains("files\n  ~ nodes/own.wasm\n  ~ pack.toml"), "{text}");
}

#[test]
fn a_pack_is_installed_once_listed_and_removed() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    let said = run(&folder, &["pack", "install", "./p"]);
    assert!(said.starts_with("p@0.1.0 installed at ") && said.contains("data/packs/p/0.1.0\nsha256:"), "{said}");
    assert!(run(&folder, &["pack", "install", "./p"]).contains("already installed"));
    assert!(run(&folder, &["pack", "test", "p@^0.1"]).contains("1 passed"));
    let listed = run(&folder, &["pack", "list"]);
    let has = |name: &str, place: &str| {
        listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .any(|(pack, at)| pack == name && at.trim().starts_with(place))
    };
    assert!(has("p@0.1.0", "/") && has("cloudtrail@1.1.0", "built in"), "{listed}");
    folder.write("p/README.md", "# Other\n");
    let said = fails(&folder, 1, &["pack", "install", "./p"]);
    assert!(said.contains("give the new pack another version"), "{said}");
    assert_ne!(folder.read("data/packs/p/0.1.0/README.md"), folder.read("p/README.md"));
    assert!(run(&folder, &["pack", "remove", "p@0.1.0"]).starts_with("p@0.1.0 removed"));
    assert!(!folder.path("data/packs/p").exists());
    assert!(fails(&folder, 1, &["pack", "remove", "p@0.1.0"]).contains("is not in"));
    assert!(fails(&folder, 1, &["pack", "remove", "cloudtrail@1.0.0"]).contains("built into the agent"));
    assert!(fails(&folder, 78, &["pack", "remove", "p"]).contains("name@version"));
}

#[test]
fn an_invalid_pack_is_not_installed() {
    let folder = Folder::new();
    assert!(fails(&folder, 78, &["pack", "install", "./absent"]).contains("E0401"));
    run(&folder, &["pack", "new", "p"]);
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    folder.write("p/pack.toml", manifest.replace("preset = \"email\"", "preset = \"nothing\""));
    assert!(fails(&folder, 78, &["pack", "install", "./p"]).contains("E0211"));
    assert!(!folder.path("data/packs").exists());
}

#[test]
fn a_built_in_pack_can_be_installed_and_changed() {
    let folder = Folder::new();
    run(&folder, &["pack", "install", "cloudtrail@1.0.0", "--library", "lib"]);
    let manifest = String::from_utf8(folder.read("lib/cloudtrail/1.0.0/pack.toml")).unwrap();
    folder.write("lib/cloudtrail/1.0.0/pack.toml", manifest.replace("Masks, splits", "MASKS, splits"));
    let shown = run(&folder, &["pack", "show", "cloudtrail@1.0.0", "--library", "lib"]);
    assert!(shown.contains("MASKS, splits"), "{shown}");
    assert!(run(&folder, &["pack", "test", "cloudtrail@1.0.0", "--library", "lib"]).contains(" 0 failed"));
}

const OUTER: &str = r#"
[pack]
name = "outer"
version = "1.0.0"
contract = "0.1"

[params.mask]
type = "string"
default = "[hidden]"

[nodes.trail]
pack = "cloudtrail@^1.0"
params = { mask_text = "${params.mask}" }
inputs = ["input"]

[nodes.mine]
artifact = "pack:p@0.1.0/nodes/own.wasm"
inputs = ["trail.processed", "trail.get_describe_list"]
options = { field = "attributes.eventName", format = "csv", into = "attributes.csv", columns = ["name"] }

[outputs.all]
inputs = ["mine"]

[outputs.fails]
inputs = ["trail.fails", "*.failed"]
"#;

#[test]
fn a_pack_of_packs_runs_as_one_graph_and_is_pinned_with_its_parts() {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    folder.write("p/nodes/own.wasm", fs::read(built("nodes/parse.wasm")).unwrap());
    run(&folder, &["pack", "install", "./p"]);
    folder.write("outer/pack.toml", OUTER);
    let graph = run(&folder, &["graph", "./outer"]);
    assert!(graph.contains("trail/mask<br/>") && graph.contains("\"mine<br/>"), "{graph}");
    folder.write(
        "agent.toml",
        Config::new()
            .agent("data_dir = \"data\"")
            .file_source("s", "in/*")
            .pack("main", &["s"], "./outer")
            .file_sink("all", &["main.*"], "out.ndjson")
            .text(),
    );
    let record =
        r#"{"eventVersion":"1.08","eventName":"CreateUser","userIdentity":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE"}}"#;
    folder.write("in/a.json", format!("{{\"Records\":[{record},{record}]}}"));
    folder.write("in/b.json", "no JSON at all");
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    let events = folder.events("out.ndjson");
    let (failed, good): (Vec<&Value>, Vec<&Value>) = events.iter().partition(|event| !event["failure"].is_null());
    assert_eq!((good.len(), failed.len()), (2, 1), "{events:?}");
    assert!(good.iter().all(|event| event["body"].as_str().unwrap().contains("\"accessKeyId\":\"[hidden]\"")));
    assert!(good.iter().all(|event| event["attributes"]["csv"]["name"] == "CreateUser"), "{good:?}");
    assert_eq!(failed[0]["failure"]["node"], "trail/unroll");

    run(&folder, &["pack", "upgrade", "--yes"]);
    let lock = String::from_utf8(folder.read("wattle.lock")).unwrap();
    for reference in ["./outer", "cloudtrail@^1.0", "p@0.1.0"] {
        assert!(lock.contains(&format!("reference = \"{reference}\"")), "{lock}");
    }
    run(&folder, &["validate", "agent.toml", "--locked"]);
    folder.write("data/packs/p/0.1.0/nodes/own.wasm", fs::read(built("nodes/unroll.wasm")).unwrap());
    let said = fails(&folder, 78, &["validate", "agent.toml"]);
    assert!(said.contains("error[E0434]") && said.contains("artifact `nodes/own.wasm` is"), "{said}");
}
