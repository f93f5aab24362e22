//! Packs that use nodes of other packs, and other packs as nodes: checks the flat graph.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use wattle_manifest::{ConfigOrigin, load, load_pack};
use wattle_pack::Library;
use wattle_plan::{PipelinePlan, Target};

use crate::fakes::{FakeEndpoints, FakeNodes, env};

const INNER: &str = r#"
[pack]
name = "inner"
version = "1.2.0"
contract = "0.1"
[params.pattern]
type = "string"
[params.key]
type = "string"
default = ""
secret = true
[nodes.hide]
artifact = "builtin:mask"
inputs = ["input"]
options = { rules = [{ pattern = "${params.pattern}", key = "${params.key}" }] }
[nodes.split]
artifact = "nodes/split.wasm"
inputs = ["hide"]
[outputs.left]
inputs = ["split.left"]
[outputs.right]
inputs = ["split.right"]
[outputs.raw]
inputs = ["input"]
[outputs.fails]
inputs = ["*.failed"]
"#;

const OUTER: &str = r#"
[pack]
name = "outer"
version = "0.1.0"
contract = "0.1"
[params.what]
type = "string"
default = "[0-9]+"
[nodes.first]
artifact = "builtin:parse"
inputs = ["input"]
[nodes.in]
pack = "inner@^1"
params = { pattern = "x${params.what}", key = "${params.what}" }
inputs = ["first"]
[nodes.last]
artifact = "pack:inner@1/nodes/split.wasm"
inputs = ["in.left", "in.raw"]
[outputs.out]
inputs = ["last.left", "last.right", "in.right"]
[outputs.fails]
inputs = ["*.failed", "in.fails"]
"#;

fn library(folder: &Path) -> Library {
    for (path, content) in [
        ("inner/1.2.0/pack.toml", INNER),
        ("inner/1.2.0/nodes/split.wasm", "ports left right"),
        ("outer/0.1.0/pack.toml", OUTER),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    Library::default().with_folder(folder)
}

/// Every link as `node.port > node`.
fn links(plan: &PipelinePlan) -> Vec<String> {
    let name = |target: &Target| match target {
        Target::Node(index) => plan.nodes[*index].name.clone(),
        Target::Output(index) => format!("[{}]", plan.outputs[*index].name),
    };
    let mut links: Vec<String> = plan.entry.iter().map(|target| format!("input > {}", name(target))).collect();
    for node in &plan.nodes {
        for port in &node.ports {
            links.extend(port.targets.iter().map(|target| format!("{}.{} > {}", node.name, port.name, name(target))));
        }
    }
    links
}

#[test]
fn a_pack_as_a_node_becomes_its_nodes_with_prefixed_names() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, warnings) = load_pack("outer", &Map::new(), &FakeNodes, &library(folder.path())).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(
        links(&plan),
        [
            "input > first",
            "first.out > in/hide",
            "first.out > last",
            "first.failed > [fails]",
            "in/hide.out > in/split",
            "in/hide.failed > [fails]",
            "in/split.left > last",
            "in/split.right > [out]",
            "in/split.failed > [fails]",
            "last.left > [out]",
            "last.right > [out]",
            "last.failed > [fails]",
        ]
    );
    let hide: Json = serde_json::from_str(&plan.nodes[1].options).unwrap();
    assert_eq!(hide, json!({ "rules": [{ "pattern": "x[0-9]+", "key": "[0-9]+" }] }), "parameters are passed on");
    assert_eq!(plan.nodes[2].artifact.digest, plan.nodes[3].artifact.digest, "a node of the other pack");
    for (index, node) in plan.nodes.iter().enumerate() {
        let targets = node.ports.iter().flat_map(|port| &port.targets);
        assert!(targets.into_iter().all(|target| !matches!(target, Target::Node(to) if *to <= index)));
    }
}

fn configuration(pipeline: &str, folder: &Path) -> String {
    format!(
        "[packs]\npath = {:?}\n[sources.s]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"s\"]\n{pipeline}\n\
         [sinks.k]\ntype = \"console\"\ninputs = [\"p.*\"]\n",
        folder.to_str().unwrap()
    )
}

#[test]
fn a_graph_in_a_configuration_can_use_packs_and_every_pack_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    let text = configuration(
        "[pipelines.p.nodes.all]\npack = \"outer\"\ninputs = [\"input\"]\n\
         [pipelines.p.outputs.o]\ninputs = [\"all.*\"]",
        folder.path(),
    );
    let (plan, _) =
        load(ConfigOrigin::Text { name: "agent.toml", text: &text }, &env, &FakeNodes, &FakeEndpoints, &library)
            .unwrap();
    let names: Vec<&str> = plan.pipelines[0].nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["all/first", "all/in/hide", "all/in/split", "all/last"]);
    let uses: Vec<(&str, String, usize)> = plan
        .packs
        .iter()
        .map(|used| (used.reference.as_str(), format!("{}@{}", used.name, used.version), used.artifacts.len()))
        .collect();
    assert_eq!(
        uses,
        [
            ("outer", "outer@0.1.0".to_owned(), 0),
            // Artifacts are collected before nested packs are built.
            ("inner@1", "inner@1.2.0".to_owned(), 1),
            ("inner@^1", "inner@1.2.0".to_owned(), 1)
        ]
    );
    assert!(plan.packs.iter().all(|used| used.digest.starts_with("sha256:") && used.source == "library"));
}

#[test]
fn a_second_load_finds_the_same_packs_or_fails() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    let text = configuration("pack = \"outer@^0\"", folder.path());
    let load = |text| load(ConfigOrigin::Text { name: "agent.toml", text }, &env, &FakeNodes, &FakeEndpoints, &library);
    let (plan, _) = load(&text).unwrap();
    let pipeline = &plan.pipelines[0];
    let (reference, pack) = (pipeline.reference.as_ref().unwrap(), pipeline.pack.as_ref().unwrap());
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    // A newer version that would satisfy the node in the pack.
    write("inner/1.3.0/pack.toml", &INNER.replace("1.2.0", "1.3.0").replace("hide", "conceal"));
    write("inner/1.3.0/nodes/split.wasm", "ports left right");
    let names = |library: &Library| -> Vec<String> {
        let (plan, _) = load_pack(reference, &Map::new(), &FakeNodes, library).unwrap();
        plan.nodes.into_iter().map(|node| node.name).collect()
    };
    let found = library.clone().with_found(&plan.packs, reference, pack);
    assert_eq!(names(&library)[1], "in/conceal");
    assert_eq!(names(&found)[1], "in/hide");
    // Changed content is refused, both in the pack itself and in a pack that it uses.
    for (path, text) in [("inner/1.2.0/pack.toml", INNER), ("outer/0.1.0/pack.toml", OUTER)] {
        write(path, &format!("{text}# changed\n"));
        let invalid = load_pack(reference, &Map::new(), &FakeNodes, &found).unwrap_err();
        assert_eq!(invalid.diagnostics[0].code, "E0434", "{invalid:?}");
        assert!(load_pack(reference, &Map::new(), &FakeNodes, &library).is_ok());
        write(path, text);
    }
    assert_eq!(names(&found)[1], "in/hide");
}

#[test]
fn an_error_in_a_parameter_passed_to_an_inner_pack_names_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    let params = Map::from_iter([("what".to_owned(), json!("(secret-group"))]);
    let invalid = load_pack("outer", &params, &FakeNodes, &library).unwrap_err();
    let text: String = invalid.diagnostics.iter().map(|d| d.render(false)).collect();
    assert!(text.contains("E0211") && text.contains("the parameter `pattern`, given at "), "{text}");
    assert!(!text.contains("secret-group"), "it is the value of a secret parameter too: {text}");
}

#[test]
fn a_hundred_thousand_nodes_are_refused_before_they_are_built() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for level in 0..5 {
        let mut text = format!("[pack]\nname = \"l{level}\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n");
        for node in 0..10 {
            let inner = if level == 4 {
                "artifact = \"builtin:parse\"".to_owned()
            } else {
                format!("pack = \"l{}\"", level + 1)
            };
            text += &format!("[nodes.n{node}]\n{inner}\ninputs = [\"input\"]\n");
        }
        text += "[outputs.out]\ninputs = [\"*.out\"]\n[outputs.fails]\ninputs = [\"*.fail*\"]\n";
        fs::create_dir_all(folder.path().join(format!("l{level}"))).unwrap();
        fs::write(folder.path().join(format!("l{level}/pack.toml")), text).unwrap();
    }
    let invalid = load_pack("l0", &Map::new(), &FakeNodes, &library).unwrap_err();
    assert!(invalid.diagnostics.iter().any(|d| d.code == "E0408"), "{invalid:?}");
    let (plan, _) = load_pack("l2", &Map::new(), &FakeNodes, &library).unwrap();
    assert_eq!(plan.nodes.len(), 1000);
}
