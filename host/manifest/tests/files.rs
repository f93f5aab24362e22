//! Configurations of several files, and values from files.

use std::fs;
use std::path::{Path, PathBuf};

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_manifest::{ConfigOrigin, Shown, files_of, load, read_settings, show};
use wattle_plan::Plan;

use crate::fakes::{FakeEndpoints, FakeNodes, env, library};
use crate::packs::folder;

const SOURCE: &str = "[sources.in]\ntype = \"stdin\"\n";
const PIPELINE: &str =
    "[pipelines.main]\ninputs = [\"in\"]\n[pipelines.main.outputs.o]\ninputs = [\"input\"]\n[pipelines.main.nodes]\n";
const SINK: &str = "[sinks.out]\ntype = \"console\"\ninputs = [\"main.o\"]\n";

fn load_from(folder: &Path, names: &[&str]) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let credentials = folder.join("credentials").display().to_string();
    let env = |name: &str| if name == "CREDENTIALS_DIRECTORY" { Some(credentials.clone()) } else { env(name) };
    load(ConfigOrigin::Files(&paths), &env, &FakeNodes, &FakeEndpoints, &library())
}

/// The diagnostics of a configuration, one line each, without the path of the folder.
fn lines(folder: &Path, names: &[&str]) -> Vec<String> {
    let all = match load_from(folder, names) {
        Ok((_, warnings)) => warnings,
        Err(invalid) => invalid.diagnostics,
    };
    let root = format!("{}/", folder.display());
    all.iter().map(|diagnostic| diagnostic.render_line().replace(&root, "")).collect()
}

#[test]
fn files_of_a_folder_are_read_by_name_and_watched_with_the_folder() {
    let folder = folder(&[
        ("conf.d/20-main.toml", PIPELINE),
        ("conf.d/10-in.toml", SOURCE),
        ("conf.d/30-out.toml", SINK),
        ("conf.d/.hidden.toml", "garbage ["),
        ("conf.d/notes.txt", "garbage ["),
        ("conf.d/old.toml/x", ""),
        ("agent.toml", "[agent]\nworkers = 3\n"),
    ]);
    let at = |name: &str| folder.path().join(name);
    let names: Vec<PathBuf> =
        ["agent.toml", "conf.d/10-in.toml", "conf.d/20-main.toml", "conf.d/30-out.toml"].map(at).into();
    // A file that is named twice counts once.
    assert_eq!(files_of(&[at("agent.toml"), at("conf.d"), at("conf.d/10-in.toml")]).unwrap(), names);
    let (plan, warnings) = load_from(folder.path(), &["agent.toml", "conf.d"]).unwrap();
    assert_eq!((plan.agent.workers, plan.sources.len(), plan.sinks.len()), (3, 1, 1));
    assert!(warnings.is_empty(), "{warnings:?}");
    for file in names.iter().chain(&[at("conf.d"), at("wattle.lock")]) {
        assert!(plan.files.contains(file), "{} is not watched", file.display());
    }
    // Without another file, the lock is in the folder.
    let (plan, _) = load_from(folder.path(), &["conf.d"]).unwrap();
    assert!(plan.files.contains(&at("conf.d/wattle.lock")));
}

#[test]
fn a_name_in_two_files_is_an_error_with_both_places() {
    let folder = folder(&[("a.toml", &format!("{SOURCE}{PIPELINE}{SINK}")), ("b.toml", &format!("\n{SINK}{SOURCE}"))]);
    let found = lines(folder.path(), &["a.toml", "b.toml"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0]
            .starts_with("b.toml:2:8: error[E0111]: the sink `out` is defined twice; the first one is at a.toml:8:8"),
        "{found:?}"
    );
    assert!(
        found[1]
            .contains("b.toml:5:10: error[E0111]: the source `in` is defined twice; the first one is at a.toml:1:10"),
        "{found:?}"
    );
    // A part of a sink in another file is the same mistake.
    fs::write(folder.path().join("b.toml"), "[sinks.out.buffer]\ntype = \"disk\"\n").unwrap();
    assert!(lines(folder.path(), &["a.toml", "b.toml"])[0].contains("the sink `out` is defined twice"));
}

#[test]
fn tables_of_the_agent_are_merged_by_key() {
    let whole = format!("{SOURCE}{PIPELINE}{SINK}");
    let folder = folder(&[
        ("a.toml", &format!("[agent]\nworkers = 2\n[agent.batch]\nmax_events = 7\n{whole}")),
        (
            "sub/b.toml",
            "[agent]\ndata_dir = \"data\"\n[agent.batch]\nmax_age = \"2s\"\n[admin]\nlisten = \"127.0.0.1:1\"\n",
        ),
        ("c.toml", "[agent.batch]\nmax_events = 8\n[admin]\nlisten = \"127.0.0.1:2\"\n"),
    ]);
    let (plan, _) = load_from(folder.path(), &["a.toml", "sub"]).unwrap();
    assert_eq!((plan.agent.workers, plan.agent.batch.max_events), (2, 7));
    assert_eq!(plan.agent.batch.max_age, std::time::Duration::from_secs(2));
    assert!(plan.agent.admin.is_some());
    assert_eq!(plan.agent.data_dir, folder.path().join("sub/data"), "a path is relative to its file");
    let found = lines(folder.path(), &["a.toml", "sub/b.toml", "c.toml"]);
    assert!(
        found[0].contains(
            "c.toml:2:1: error[E0111]: `max_events` of `[agent.batch]` is set twice; the first one is at a.toml:4:1"
        ),
        "{found:?}"
    );
    assert!(found[1].contains("`listen` of `[admin]` is set twice; the first one is at sub/b.toml:6:1"), "{found:?}");
    // Commands that act on the folders of the agent must not guess which one counts.
    let paths = ["a.toml", "sub/b.toml", "c.toml"].map(|name| folder.path().join(name));
    assert!(read_settings(ConfigOrigin::Files(&paths), &env).is_err());
    assert_eq!(read_settings(ConfigOrigin::Files(&paths[..2]), &env).unwrap().data_dir, folder.path().join("sub/data"));
}

#[test]
fn errors_of_all_files_are_reported_at_once_each_with_its_file() {
    let folder =
        folder(&[("a.toml", "[sources.in]\ntype = 5\n"), ("b.toml", "[sinks.x"), ("c.toml", "[agent]\nworkers = 0\n")]);
    let found = lines(folder.path(), &["a.toml", "b.toml", "c.toml", "missing.toml"]);
    assert!(found.iter().any(|line| line.starts_with("b.toml:1:")), "{found:?}");
    assert!(
        found.iter().any(|line| line.contains("missing.toml") && line.contains("there is no such file")),
        "{found:?}"
    );
    let empty = tempfile::tempdir().unwrap();
    let found = lines(empty.path(), &[""]);
    assert!(found.len() == 1 && found[0].contains("E0318"), "an empty folder runs nothing: {found:?}");
}

/// A configuration whose sink has an option with a value from a file.
fn with_value(reference: &str) -> String {
    format!("{SOURCE}{PIPELINE}{SINK}token = \"token-{reference}\"\n")
}

#[cfg(unix)]
#[test]
fn a_value_from_a_file_ends_before_its_line_break_and_is_read_at_each_load() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[
        ("agent.toml", &with_value("${file:secrets/token}")),
        ("secrets/token", "first\n"),
        ("credentials/token", "other\r\n"),
    ]);
    let at = |name: &str| folder.path().join(name);
    let private = |name: &str| fs::set_permissions(at(name), fs::Permissions::from_mode(0o640)).unwrap();
    private("secrets/token");
    private("credentials/token");
    let token = || {
        let (plan, warnings) = load_from(folder.path(), &["agent.toml"]).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        (plan.sinks[0].endpoint.options["token"].as_str().unwrap().to_owned(), plan.files)
    };
    let (value, files) = token();
    assert_eq!(value, "token-first");
    assert!(files.contains(&at("secrets/token")), "a rotated secret is a change");
    fs::write(at("secrets/token"), "second\n\n").unwrap();
    assert_eq!(token().0, "token-second\n", "only one line break");
    fs::write(at("agent.toml"), with_value("${credential:token}")).unwrap();
    assert_eq!(token().0, "token-other");
    fs::write(at("agent.toml"), with_value("$${file:secrets/token}")).unwrap();
    assert_eq!(token().0, "token-${file:secrets/token}");
    fs::write(at("agent.toml"), with_value("${file:secrets/token}")).unwrap();
    fs::set_permissions(at("secrets/token"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = lines(folder.path(), &["agent.toml"]);
    assert!(found[0].contains("agent.toml:11:9: warning[W0605]: every user of this machine can read"), "{found:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_a_value_is_an_error_at_its_reference_without_its_content() {
    let folder = folder(&[("empty", "\n"), ("large", &"MARKER-".repeat(10_000)), ("folder/x", "")]);
    fs::write(folder.path().join("binary"), b"MARKER-\xff").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    for (reference, problem) in [
        ("${file:missing}", "there is no such file"),
        ("${file:empty}", "it is empty"),
        ("${file:large}", "it is larger than 64 KiB"),
        ("${file:binary}", "it is not UTF-8"),
        ("${file:folder}", "it is not a regular file"),
        ("${file:socket}", "it is not a regular file"),
        ("${file:}", "names no file"),
        ("${credential:none}", "there is no such file"),
        ("${credential:../large}", "bad name of a credential"),
        ("${credential:}", "bad name of a credential"),
    ] {
        fs::write(folder.path().join("agent.toml"), with_value(reference)).unwrap();
        let found = lines(folder.path(), &["agent.toml"]);
        assert!(found.len() == 1 && found[0].starts_with("agent.toml:11:9: error[E01"), "{reference}: {found:?}");
        assert!(found[0].contains(problem) && !found[0].contains("MARKER"), "{reference}: {found:?}");
    }
    fs::write(folder.path().join("agent.toml"), with_value("${credential:x}")).unwrap();
    let paths = [folder.path().join("agent.toml")];
    let none = load(ConfigOrigin::Files(&paths), &|_| None, &FakeNodes, &FakeEndpoints, &library()).unwrap_err();
    assert!(none.text().contains("the agent has no credentials of systemd"), "{}", none.text());
}

#[test]
fn the_merged_configuration_is_shown_with_places_and_without_secrets() {
    let sink = "[sinks.out]\ntype = \"console\"\ninputs = [\"main.masked\", \"main.fails\"]\n\
                auth = { strategy = \"bearer\", token = \"MARKER-1\" }\nuri = \"http://me:MARKER-2@host/\"\n\
                password = \"${file:missing}\"\napi_key = \"${NOT_SET:-MARKER-3}\"\nheaders.\"X-Y\" = \"MARKER-4\"\n";
    let folder = folder(&[
        ("a.toml", &format!("[agent]\nworkers = 2\n{SOURCE}[sources.in.\"o p\"]\nx = [1, 2.0, {{ y = true }}]\n")),
        ("b.toml", &format!("[agent]\ndata_dir = \"d\"\n{sink}")),
        (
            "c.toml",
            "[pipelines.main]\ninputs = [\"in\"]\npack = \"sample\"\nparams = { key = \"MARKER-5\", text = \"shown\" }\n\
                    [pipelines.other]\npack = \"missing\"\nparams = { any = \"MARKER-6\" }\n",
        ),
    ]);
    let paths = ["a.toml", "b.toml", "c.toml"].map(|name| folder.path().join(name));
    let (Shown { toml, json }, _) = show(ConfigOrigin::Files(&paths), &env, &library()).unwrap();
    let root = format!("{}/", folder.path().display());
    let (text, json_text) = (toml.replace(&root, ""), json.to_string());
    assert!(!text.contains("MARKER") && !json_text.contains("MARKER"), "{text}\n{json_text}");
    for part in [
        "# a.toml:1:2\n[agent]\nworkers = 2\ndata_dir = \"d\" # b.toml:2:1\n",
        "# a.toml:3:10\n[sources.in]\ntype = \"stdin\"\n",
        "[sources.in.\"o p\"]\nx = [1, 2.0, { y = true }]\n",
        "# b.toml:3:8\n[sinks.out]\n",
        "password = \"${file:missing}\"\napi_key = \"***\"\n",
        "strategy = \"bearer\"\ntoken = \"***\"\n",
        "headers]\nX-Y = \"***\"",
        "key = \"***\"",
        "any = \"***\"",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(json["configuration"]["sinks"]["out"]["password"], "${file:missing}");
    assert!(json["from"]["sinks.out"].as_str().unwrap().ends_with("b.toml:3:8"), "{json}");
    // It is a configuration again.
    fs::write(folder.path().join("again.toml"), &toml).unwrap();
    let again = [folder.path().join("again.toml")];
    let (again, _) = show(ConfigOrigin::Files(&again), &env, &library()).unwrap();
    assert_eq!(again.json["configuration"], json["configuration"]);
    let twice = [folder.path().join("a.toml"), folder.path().join("a2.toml")];
    fs::write(&twice[1], SOURCE).unwrap();
    assert!(show(ConfigOrigin::Files(&twice), &env, &library()).is_err_and(|invalid| invalid.text().contains("E0111")));
}
