//! `wattle pack build`: builds the nodes of a pack and writes the digests of its artifacts.
//!
//! cargo builds a Rust project to a core module with its WIT; `wattle_wrap` converts it to a
//! component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use wattle_pack::FileList;

use super::digests::with_digests;
use crate::cli::pack::BuildOptions;
use crate::exit::{Done, Failure, print};
use crate::waiting::Waiting;

/// The target of nodes, without WASI, so that they import only the contract.
const TARGET: &str = "wasm32-unknown-unknown";
/// Folder of the nodes in a pack.
const NODES: &str = "nodes";

pub(super) fn build(options: &BuildOptions) -> Done {
    let folder = &options.folder;
    let manifest = folder.join("pack.toml");
    let text = fs::read_to_string(&manifest)
        .map_err(|error| Failure::config(format!("cannot read `{}`: {error}", manifest.display())))?;
    let mut changes = Vec::new();
    for project in projects(folder) {
        let component = build_project(&project)?;
        let artifact = project.with_extension("wasm");
        if fs::read(&artifact).is_ok_and(|old| old == component) {
            continue;
        }
        changes.push(format!("{}: built, {} bytes", artifact.display(), component.len()));
        if !options.check {
            fs_err::write(&artifact, component)?;
        }
    }
    let (new, digests) = with_digests(folder, &text)?;
    changes.extend(digests);
    if new != text && !options.check {
        let partial = manifest.with_extension("toml.new");
        fs_err::write(&partial, new)?;
        fs_err::rename(&partial, &manifest)?;
    }
    for change in &changes {
        print(change)?;
    }
    if options.check && !changes.is_empty() {
        return Err(Failure::new(format!("`{}` is not built; run `wattle pack build`", folder.display())));
    }
    let list = FileList::of_folder(folder).map_err(|error| Failure::config(error.to_string()))?;
    print(&format!("{}: {} files, {}", folder.display(), list.len(), list.digest()))
}

/// Folders of node projects, in order.
fn projects(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(NODES)).into_iter().flatten();
    let mut projects: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    projects.retain(|project| project.join("Cargo.toml").is_file());
    projects.sort();
    projects
}

/// Builds a project to a component.
fn build_project(project: &Path) -> Result<Vec<u8>, Failure> {
    let module = compile(project)?;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!(
            "cannot build a component from `{}`: {error}; does it call `export_node!`?",
            project.display()
        ))
    };
    let bytes = fs_err::read(&module)?;
    wattle_wrap::wrap(&bytes).map_err(|error| failed(&error))
}

/// Runs cargo and returns the module.
fn compile(project: &Path) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    let _waiting = Waiting::beside_programs("building", project.display().to_string());
    let ran = command.current_dir(project).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| Failure::new(format!("cannot run cargo: {error}; install it from rustup.rs")))?;
    if !ran.status.success() {
        let hint = format!("if the target is missing: `rustup target add {TARGET}`");
        return Err(Failure::new(format!("cargo could not build `{}`; {hint}", project.display())));
    }
    let messages = String::from_utf8_lossy(&ran.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let files = messages
        .filter(|message| message.get("reason").is_some_and(|reason| reason == "compiler-artifact"))
        .filter_map(|message| message.get("filenames")?.as_array().cloned())
        .flatten();
    let mut modules = files.filter_map(|file| file.as_str().filter(|path| path.ends_with(".wasm")).map(PathBuf::from));
    modules.next_back().ok_or_else(|| {
        Failure::new(format!("`{}` builds no module; set `crate-type = [\"cdylib\"]` in its [lib]", project.display()))
    })
}
