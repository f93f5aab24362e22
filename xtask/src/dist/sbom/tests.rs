//! The documents of a small graph, and of this repository.

use std::io::Read as _;

use super::*;

const TREE: &str = "0|wattle v0.1.0 (/x/host/agent)|Apache-2.0|\n1|clap v4.6.9|MIT/Apache-2.0|\n2|strsim v0.11.1|MIT|\n\
                    1|wattle-json v0.1.0 (/x/host/json)|Apache-2.0|\n2|clap v4.6.9|MIT/Apache-2.0| (*)\n\n\
                    0|wattle-node-edit v0.1.0 (/x/nodes/edit)|Apache-2.0|\n1|memchr v2.8.3|MIT|\n";
const LOCK: &str = "[[package]]\nname = \"clap\"\nversion = \"4.6.9\"\nchecksum = \"abc\"\ndependencies = [\n \"strsim\",\n]\n\n\
                    [[package]]\nname = \"wattle\"\nversion = \"0.1.0\"\n";

fn graph() -> Graph {
    let mut graph = Graph::new();
    read_tree(TREE, &mut graph).unwrap();
    graph
}

fn document() -> Value {
    let nodes = [("edit".to_owned(), "beef".to_owned())];
    let release = Release {
        version: "0.1.0",
        triple: "x86_64-unknown-linux-musl",
        time: "2026-01-01T00:00:00Z",
        rustc: ("1.95.0", "c0ffee"),
        nodes: &nodes,
    };
    serde_json::from_str(&cyclonedx(&graph(), LOCK, &release)).unwrap()
}

#[test]
fn every_crate_is_a_component_once() {
    let document = document();
    let components = document["components"].as_array().unwrap();
    let names: Vec<&str> = components.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clap", "memchr", "strsim", "wattle-json", "wattle-node-edit", "rust-std", "edit.wasm"]);
    assert_eq!(components[0]["hashes"][0]["content"], "abc");
    assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(components[0]["purl"], "pkg:cargo/clap@4.6.9");
    assert_eq!(components[3].get("purl"), None, "no registry has it");
    assert_eq!(components[6]["hashes"][0]["content"], "beef");
}

#[test]
fn every_reference_names_a_component() {
    let document = document();
    let refs = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|it| it["bom-ref"].as_str().unwrap().to_owned()).collect()
    };
    let mut known = refs(&document["components"]);
    known.insert(document["metadata"]["component"]["bom-ref"].as_str().unwrap().to_owned());
    for dependency in document["dependencies"].as_array().unwrap() {
        assert!(known.contains(dependency["ref"].as_str().unwrap()), "{dependency}");
        for needed in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(needed.as_str().unwrap()), "{dependency}");
        }
    }
    let wattle = &document["dependencies"][3];
    let expected = json!(["pkg:cargo/clap@4.6.9", "pkg:cargo/wattle-json@0.1.0", "rust-std", "node:edit"]);
    assert_eq!((&wattle["ref"], &wattle["dependsOn"]), (&json!("pkg:cargo/wattle@0.1.0"), &expected));
}

#[test]
fn the_number_follows_from_the_content() {
    let number = document()["serialNumber"].as_str().unwrap().to_owned();
    assert_eq!(number, document()["serialNumber"].as_str().unwrap());
    assert_eq!(number.len(), "urn:uuid:01234567-0123-8123-a123-0123456789ab".len());
}

#[test]
fn the_list_for_scanners_has_every_crate_and_its_dependencies() {
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(&auditable(&graph()).unwrap()[..]).read_to_string(&mut text).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let clap = json!({ "name": "clap", "version": "4.6.9", "source": "crates.io", "dependencies": [2] });
    assert_eq!(list["packages"][0], clap);
    assert_eq!(list["packages"][2]["name"], "strsim");
    assert_eq!(list["packages"][3]["root"], true);
}

#[test]
fn other_output_of_cargo_is_an_error() {
    assert!(read_tree("error: something", &mut Graph::new()).is_err());
}

/// As a release asks for it, but nothing is built.
#[test]
fn the_crates_of_this_repository_are_those_of_the_release() {
    crate::process::enter_root().unwrap();
    let mut tree = crate::process::cargo();
    tree.args(["tree", "--locked", "--quiet", "--edges", "normal,no-proc-macro", "--prefix", "depth"]);
    tree.args(["--format", TREE_FORMAT, "--package", "wattle", "--target", "aarch64-unknown-linux-musl"]);
    let mut graph = Graph::new();
    read_tree(&crate::remap::printed(&mut tree).unwrap(), &mut graph).unwrap();
    let has = |name: &str| graph.keys().any(|package| package.name == name);
    for name in ["wattle", "wattle-runtime", "wasmtime", "zstd-sys", "mimalloc", "ring"] {
        assert!(has(name), "{name} is in the agent");
    }
    // Of tests, of builds, of other systems.
    for name in ["wattle-tests", "proptest", "syn", "cc", "windows-sys"] {
        assert!(!has(name), "{name} is not in the agent");
    }
    let checksums = checksums(&std::fs::read_to_string("Cargo.lock").unwrap());
    for package in graph.keys().filter(|package| !package.is_ours) {
        let key = (package.name.clone(), package.version.clone());
        assert_eq!(checksums.get(&key).map(String::len), Some(64), "{package:?}");
    }
    assert!(graph.keys().all(|package| !package.license.is_empty()));
}
