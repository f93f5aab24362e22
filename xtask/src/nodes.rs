//! Builds nodes as components, and the agent that contains them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo, run, target_dir};
use crate::remap::{Remap, flags_for};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Nodes that are built into the agent: folder in `nodes/`, which is also the name of the artifact.
pub(crate) const BUILTIN: &[&str] = &[
    "aggregate",
    "anomaly",
    "dedup",
    "edit",
    "enrich",
    "extract",
    "filter",
    "join",
    "mask",
    "parse",
    "pattern",
    "route",
    "sample",
    "serialize",
    "suppress",
    "throttle",
    "timestamp",
    "to-metric",
    "unroll",
    "user-agent",
];
/// Guests for tests only: folder in `tests/guests/`.
const GUESTS: &[&str] =
    &["capable", "counter", "counter-2", "faulty", "fusible", "hostile", "json-per-event", "memory", "shifty"];

/// The example nodes in Rust, in one component.
const EXAMPLES: &str = "wattle-examples";

/// Builds all nodes and test guests to `target/nodes/` and `target/guests/`.
pub(crate) fn build() -> anyhow::Result<()> {
    build_artifacts(GUESTS, &[EXAMPLES])
}

/// Builds the built-in nodes, these test guests, and these further packages, in one call of cargo.
fn build_artifacts(guests: &[&str], examples: &[&str]) -> anyhow::Result<()> {
    add_target()?;
    let target = target_dir()?;
    let mut command = cargo();
    command.args(["build", "--profile", "node", "--target", TARGET]);
    // The same commit gives the same digests on every machine.
    command.args(["--config", &flags_for(TARGET, &Remap::of_this_machine()?.rust_flags())]);
    let mut artifacts = Vec::new();
    for (kind, folder, names) in [("node", "nodes", BUILTIN), ("guest", "guests", guests)] {
        for name in names {
            let package = format!("wattle-{kind}-{name}");
            artifacts.push((package.replace('-', "_"), format!("{folder}/{name}.wasm")));
            command.args(["--package", &package]);
        }
    }
    for package in examples {
        artifacts.push((package.replace('-', "_"), "guests/examples.wasm".to_owned()));
        command.args(["--package", package]);
    }
    run(&mut command)?;
    // Unoptimized, the WIT libraries compile in a quarter of the time, and wrapping takes 0.3 s a
    // node.
    run(cargo().args(["build", "--profile", "xtask", "--package", "wattle-wrap"]))?;
    // Started directly, since `cargo run` prints the paths of all nodes in one long line.
    let mut wrap = Command::new(target.join("xtask/wattle-wrap"));
    for (module, component) in artifacts {
        wrap.arg(target.join(TARGET).join("node").join(module).with_extension("wasm")).arg(target.join(component));
    }
    run(&mut wrap)
}

/// Builds the built-in nodes alone.
pub(crate) fn build_builtin() -> anyhow::Result<()> {
    build_artifacts(&[], &[])
}

/// Builds the agent with its built-in nodes, moves its symbols to `wattle.debug` beside it, and
/// returns the path of the binary. It leaves out the test guests.
pub(crate) fn build_agent() -> anyhow::Result<PathBuf> {
    build_builtin()?;
    run(cargo().args(["build", "--release", "--package", "wattle"]))?;
    let binary = target_dir()?.join("release/wattle");
    split_symbols(&binary)?;
    Ok(binary)
}

/// Moves the symbols of a binary to a file beside it, where debuggers find them. They are a fifth
/// of its size.
fn split_symbols(binary: &Path) -> anyhow::Result<()> {
    let symbols = binary.with_extension("debug");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if changed(&symbols).is_some_and(|split| Some(split) >= changed(binary)) {
        return Ok(());
    }
    let objcopy = || Command::new("objcopy");
    if objcopy().arg("--version").output().is_err() {
        eprintln!("objcopy is not installed; the binary keeps its symbols");
        return Ok(());
    }
    run(objcopy().arg("--only-keep-debug").arg(binary).arg(&symbols))?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&symbols);
    run(objcopy().arg("--strip-all").arg(link).arg(binary))?;
    // Marks the split as done for the next call.
    run(Command::new("touch").arg(&symbols))
}

/// Builds nodes, the agent and tests. The agent and the tests share one call, because cargo unifies
/// features per call: `--package wattle` would compile wasmtime a second time.
pub(crate) fn build_all() -> anyhow::Result<()> {
    build()?;
    run(cargo().args(["build", "--release", "--workspace", "--all-targets"]))
}

/// Adds the compilation target for guests. `rust-toolchain.toml` names it too, but not every
/// version of rustup extends an installed toolchain.
fn add_target() -> anyhow::Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let is_there = installed.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).lines().any(|l| l.trim() == TARGET));
    if is_there { Ok(()) } else { run(Command::new("rustup").args(["target", "add", TARGET])) }
}
