//! `wattle pack build`: builds a node of a pack from Rust source to an artifact with a digest.

use std::fs;

use wattle_tests::{Ended, Folder, built, finish, workspace};

use crate::commands::{fails, run};

const NODE: &str = r###"
use wattle_node::{Batch, Field, Form, Node, Setup, export_node};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options { field: String }

pub struct DropEmpty { field: Field }

impl Node for DropEmpty {
    const NAME: &'static str = "drop-empty";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Drops events whose field is empty.";
    const OPTIONS_SCHEMA: &'static str = r##"{"type":"object","properties":{"field":{"type":"string"}}}"##;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { field: setup.read("field", &options.field)? })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.field, Form::Text);
        let empty: Vec<u32> = (0..).zip(column.rows()).filter(|(_, row)| row.is_empty()).map(|(i, _)| i).collect();
        batch.drop_rows(&empty, "empty");
        Ok(())
    }
}

export_node!(DropEmpty);
"###;

/// A pack whose node `drop-empty` is a Rust project, before it is built. Tests share cargo's target
/// folder; the package name distinguishes projects in temporary folders.
fn pack(folder: &Folder, package: &str) {
    run(folder, &["pack", "new", "p"]);
    let sdk = workspace().join("nodes/sdk");
    folder.write(
        "p/nodes/drop-empty/Cargo.toml",
        format!(
            "[package]\nname = \"{package}\"\nversion = \"0.3.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\nwattle-node = {{ path = {:?} }}\n\n\
             [workspace]\n",
            sdk.to_str().unwrap()
        ),
    );
    folder.write("p/nodes/drop-empty/src/lib.rs", NODE);
    // The versions of this workspace, so cargo need not download anything.
    folder.write("p/nodes/drop-empty/Cargo.lock", fs::read(workspace().join("Cargo.lock")).unwrap());
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    let node = "# A node of our own.\n[nodes.drop-empty]\nartifact = \"nodes/drop-empty.wasm\" # built\n\
                inputs = [\"input\"]\noptions = { field = \"body\" }\n\n[nodes.mask]\n";
    let manifest = manifest
        .replace("[nodes.mask]\n", node)
        .replace("inputs = [\"input\"]\noptions.fields", "inputs = [\"drop-empty\"]\noptions.fields");
    folder.write("p/pack.toml", manifest);
}

fn build(folder: &Folder, more: &[&str]) -> Ended {
    let mut command = folder.wattle();
    command.args(["pack", "build", "./p"]).args(more);
    // Kept from run to run, because it contains all dependencies of the SDK.
    let target = built("release/wattle").parent().unwrap().with_file_name("pack-nodes");
    command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    finish(&mut command, b"")
}

#[test]
fn a_rust_node_is_built_and_its_digest_written_and_checked() {
    let folder = Folder::new();
    pack(&folder, "drop-empty");
    assert!(fails(&folder, 78, &["pack", "lint", "./p"]).contains("error[E0204]"), "it is not built yet");
    let before = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    let ended = build(&folder, &["--check"]);
    assert_eq!(ended.code, 78, "there is no artifact to check: {}{}", ended.text(), ended.log);
    let ended = build(&folder, &[]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.log);
    assert!(ended.text().starts_with("./p/nodes/drop-empty.wasm: built, "), "{}", ended.text());
    let after = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    let line = after.lines().find(|line| line.starts_with("digest = \"sha256:")).unwrap();
    assert_eq!(after.replace(&format!("{line}\n"), ""), before, "nothing but the digest is new, comments stay");
    assert!(ended.text().contains(line.split('"').nth(1).unwrap()), "{}", ended.text());

    let again = build(&folder, &["--check"]);
    assert_eq!((again.code, again.text().lines().count()), (0, 1), "{}{}", again.text(), again.log);
    assert_eq!(run(&folder, &["pack", "lint", "./p"]), "./p: no findings\n");
    assert!(run(&folder, &["pack", "test", "./p"]).contains("1 passed"));
    let shown = run(&folder, &["pack", "show", "./p"]);
    assert!(shown.contains("drop-empty: drop-empty 0.3.0, sha256:"), "{shown}");
    let mut command = folder.wattle();
    command.args(["run", "--pack", "./p", "--framing", "document", "--out", "out"]);
    let ended = finish(&mut command, b"{\"level\":\"error\"}");
    assert_eq!(ended.summary().pipeline().output("urgent"), 1, "{}", ended.log);

    let artifact = folder.read("p/nodes/drop-empty.wasm");
    let mut altered = artifact.clone();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    folder.write("p/nodes/drop-empty.wasm", altered);
    assert!(fails(&folder, 1, &["pack", "test", "./p"]).contains("E0207"), "the test does not run");
    assert!(fails(&folder, 78, &["run", "--pack", "./p"]).contains("error[E0207]"));
    let ended = build(&folder, &["--check"]);
    assert_eq!(ended.code, 1, "{}{}", ended.text(), ended.log);
    assert_eq!(build(&folder, &[]).code, 0);
    assert_eq!(folder.read("p/nodes/drop-empty.wasm"), artifact, "the same source gives the same bytes");
}

#[test]
fn a_build_error_of_cargo_is_reported_and_changes_nothing() {
    let folder = Folder::new();
    pack(&folder, "broken");
    folder.write("p/nodes/drop-empty/src/lib.rs", "fn broken( {");
    let ended = build(&folder, &[]);
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("cargo could not build `./p/nodes/drop-empty`"), "{}", ended.log);
    assert!(!folder.path("p/nodes/drop-empty.wasm").exists());
    assert!(!String::from_utf8(folder.read("p/pack.toml")).unwrap().contains("digest"));
}
