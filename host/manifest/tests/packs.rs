//! The plans of packs: those in a folder, in the library and in the agent, and their tests.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use wattle_manifest::{ConfigOrigin, Expectations, Framing, load_pack, load_tests};
use wattle_pack::Library;
use wattle_plan::Origin;

use crate::fakes::{FakeEndpoints, FakeNodes, env, library};
use crate::plan::{around, options, render};

/// Writes files into a new folder.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const LOCAL: &str = r#"
[pack]
name = "local"
version = "0.3.0"
contract = "^0.1"
[nodes.own]
artifact = "nodes/own.wasm"
inputs = ["input"]
[nodes.again]
artifact = "./nodes/own.wasm"
inputs = ["own.left"]
[outputs.out]
inputs = ["own.right", "again.*", "own.failed"]
"#;

#[test]
fn a_pack_in_a_folder_brings_its_artifacts_and_all_files_are_watched() {
    let folder = folder(&[
        ("agent.toml", &around("pack = \"./packs/local\"")),
        ("packs/local/pack.toml", LOCAL),
        ("packs/local/nodes/own.wasm", "ports left right"),
    ]);
    let at = |name: &str| folder.path().join(name);
    let loaded =
        wattle_manifest::load(ConfigOrigin::Files(&[at("agent.toml")]), &env, &FakeNodes, &FakeEndpoints, &library());
    let (plan, _) = loaded.unwrap_or_else(|invalid| panic!("{}", render(&invalid)));
    let nodes = &plan.pipelines[0].nodes;
    assert_eq!(nodes[0].artifact.origin, Origin::File(at("packs/local/nodes/own.wasm")));
    assert_eq!(nodes[0].artifact.name, "own");
    assert!(std::sync::Arc::ptr_eq(&nodes[0].artifact, &nodes[1].artifact));
    // Folders too, since a file that is copied into one changes the pack; and files that can appear
    // later: a signature, a lock.
    let expected: Vec<PathBuf> = [
        "agent.toml",
        "packs/local",
        "packs/local/nodes",
        "packs/local/nodes/own.wasm",
        "packs/local/pack.sum",
        "packs/local/pack.sum.minisig",
        "packs/local/pack.toml",
        "wattle.lock",
    ]
    .map(at)
    .into_iter()
    .collect();
    assert_eq!(plan.files.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn missing_files_are_watched_too() {
    let text = around("pack = \"./packs/local\"");
    let folder = folder(&[("agent.toml", &text), ("packs/local/pack.toml", LOCAL)]);
    let at = |name: &str| folder.path().join(name);
    let load = || {
        wattle_manifest::load(ConfigOrigin::Files(&[at("agent.toml")]), &env, &FakeNodes, &FakeEndpoints, &library())
    };
    let invalid = load().unwrap_err();
    assert!(invalid.files.contains(&at("packs/local/nodes/own.wasm")), "{:?}", invalid.files);
    fs::remove_dir_all(at("packs")).unwrap();
    assert!(load().unwrap_err().files.contains(&at("packs/local/pack.toml")));
    fs::write(at("agent.toml"), around("pack = \"new@1\"\n[packs]\npath = \"library\"")).unwrap();
    assert!(load().unwrap_err().files.contains(&at("library/new")));
}

#[cfg(unix)]
#[test]
fn a_link_cannot_lead_out_of_its_pack() {
    let folder = folder(&[("outside.wasm", "ports left right"), ("pack/pack.toml", LOCAL), ("pack/nodes/x", "")]);
    std::os::unix::fs::symlink(folder.path().join("outside.wasm"), folder.path().join("pack/nodes/own.wasm")).unwrap();
    let pack = folder.path().join("pack");
    let invalid = load_pack(pack.to_str().unwrap(), &Map::new(), &FakeNodes, &library()).unwrap_err();
    // A pack must not contain links, whatever their target.
    assert_eq!(invalid.diagnostics[0].code, "E0406", "{}", render(&invalid));
}

#[test]
fn a_library_folder_overrides_built_in_packs() {
    let manifest = include_str!("sample/1.1.0.toml").replace("Masked", "Fixed");
    let newer = manifest.replace("1.1.0", "1.2.0");
    let folder = folder(&[("sample/1.1.0/pack.toml", &manifest), ("sample/pack.toml", &newer), ("x/readme", "")]);
    let library = library().with_folder(folder.path());
    let versions: Vec<String> = library.list().iter().map(|pack| format!("{}@{}", pack.name, pack.version)).collect();
    assert_eq!(versions, ["sample@1.0.0", "sample@1.1.0", "sample@1.1.0", "sample@1.2.0"]);
    let own: Vec<bool> = library.list().iter().map(|pack| pack.folder.is_some()).collect();
    assert_eq!(own, [false, true, false, true], "what lies in the folder comes before what is built in");
    for (reference, title) in
        [("sample@1.0.0", "Masked"), ("sample@1.1.0", "Fixed"), ("sample@=1.1.0", "Fixed"), ("sample", "Fixed")]
    {
        let (pipeline, _) = load_pack(reference, &Map::new(), &FakeNodes, &library).unwrap();
        assert_eq!(pipeline.outputs[0].title, title, "{reference}");
    }
}

#[test]
fn a_pack_by_itself_takes_parameters_as_json() {
    let Json::Object(params) = json!({ "width": 3, "keep": ["x"] }) else { panic!("an object") };
    let (pipeline, warnings) = load_pack("sample@1.0.0", &params, &FakeNodes, &library()).unwrap();
    assert_eq!(pipeline.name, "sample");
    assert!(pipeline.sources.is_empty() && warnings.is_empty());
    assert_eq!(options(&pipeline, 0)["rules"][0]["width"], 3);
    let Json::Object(params) = json!({ "width": null, "other": 1 }) else { panic!("an object") };
    let invalid = load_pack("sample@1.0.0", &params, &FakeNodes, &library()).unwrap_err();
    let codes: Vec<&str> = invalid.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, ["E0413", "E0411"], "{}", render(&invalid));
}

#[test]
fn tests_of_a_pack_are_read_from_a_folder_and_from_the_agent() {
    let files: &[(&str, &str)] = &[
        (
            "pack.toml",
            "[pack]\nname = \"p\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n[outputs.o]\ninputs = [\"input\"]\n",
        ),
        ("tests/b/input.ndjson.gz", "gz"),
        ("tests/b/expected.o.ndjson", ""),
        (
            "tests/a/case.toml",
            "framing = \"lines\"\nparams = { x = 1 }\ndescription = \"d\"\nmocks.clock = 1970-01-01T00:00:01Z\n",
        ),
        ("tests/a/input.txt", "one\n"),
        ("tests/a/expected.o.ndjson", "{\"body\":\"one\"}\n\n{\"failure\":null}\n"),
        ("tests/notes.md", "no test"),
    ];
    let folder = folder(files);
    let builtin = wattle_pack::BuiltinPack {
        name: "p".to_owned(),
        version: "1.0.0".to_owned(),
        files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes())).collect(),
    };
    let library = Library::new(vec![builtin]);
    let tests = load_tests(folder.path().to_str().unwrap(), &library, Expectations::Required).unwrap();
    assert_eq!(tests, load_tests("p@1.0.0", &library, Expectations::Required).unwrap());
    let [a, b] = tests.as_slice() else { panic!("{tests:?}") };
    assert_eq!((a.name.as_str(), a.framing, a.input_name.as_str()), ("a", Framing::Lines, "input.txt"));
    assert_eq!((a.input.as_slice(), a.params["x"].as_i64()), (b"one\n".as_slice(), Some(1)));
    assert_eq!((a.mocks["clock"].as_str(), b.mocks.len()), (Some("1970-01-01T00:00:01Z"), 0));
    assert_eq!(a.expected["o"], [json!({ "body": "one" }), json!({ "failure": null })]);
    assert_eq!((b.name.as_str(), b.framing, b.input_name.as_str()), ("b", Framing::Document, "input.ndjson.gz"));
    assert!(b.expected["o"].is_empty());
}
