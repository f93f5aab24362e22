//! Building nodes to components, and the agent that carries them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::process::{cargo, run, target_dir};

const TARGET: &str = "wasm32-unknown-unknown";

/// Nodes that are built into the agent: folder in `nodes/`, which is also the name of the artifact.
const BUILTIN: &[&str] = &["extract", "mask", "parse", "route", "unroll"];
/// Guests that only tests use: folder in `tests/guests/`.
const GUESTS: &[&str] = &["capable", "counter", "counter-2", "faulty", "hostile", "json-per-event", "shifty"];

/// The example nodes in Rust, in one component.
const EXAMPLES: &str = "wattle-examples";

/// Builds all nodes and test guests to `target/nodes/` and `target/guests/`.
pub(crate) fn build() -> anyhow::Result<()> {
    add_target()?;
    let target = target_dir()?;
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", "node", "--target", TARGET]);
    for name in BUILTIN {
        command.args(["--package", &format!("wattle-node-{name}")]);
    }
    for name in GUESTS {
        command.args(["--package", &format!("wattle-guest-{name}")]);
    }
    command.args(["--package", EXAMPLES]);
    run(&mut command)?;
    let built = target.join(TARGET).join("node");
    for (kind, folder, names) in [("node", "nodes", BUILTIN), ("guest", "guests", GUESTS)] {
        for name in names {
            let core = built.join(format!("wattle_{kind}_{}.wasm", name.replace('-', "_")));
            componentize(&core, &target.join(folder).join(format!("{name}.wasm")))?;
        }
    }
    let core = built.join(format!("{}.wasm", EXAMPLES.replace('-', "_")));
    componentize(&core, &target.join("guests/examples.wasm"))
}

/// Builds the agent, moves its symbols to `wattle.debug` beside it, and answers with the path of the binary.
pub(crate) fn build_agent() -> anyhow::Result<PathBuf> {
    build()?;
    run(cargo().args(["build", "--release", "--package", "wattle"]))?;
    let binary = target_dir()?.join("release/wattle");
    split_symbols(&binary)?;
    Ok(binary)
}

/// Moves the symbols of a binary to a file beside it, where debuggers look for them: a fifth of its size.
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
    // So that the next call sees that this is done.
    run(Command::new("touch").arg(&symbols))
}

/// Builds everything: nodes, the agent, tests. All together, because cargo chooses features of dependencies by what is
/// built together: `--package wattle` would compile wasmtime a second time.
pub(crate) fn build_all() -> anyhow::Result<()> {
    build()?;
    run(cargo().args(["build", "--release", "--workspace", "--all-targets"]))
}

/// Adds the compilation target for guests. `rust-toolchain.toml` names it too, but a toolchain that is there already is
/// not extended by that on every version of rustup.
fn add_target() -> anyhow::Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let is_there = installed.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).lines().any(|l| l.trim() == TARGET));
    if is_there { Ok(()) } else { run(Command::new("rustup").args(["target", "add", TARGET])) }
}

/// Wraps a core module, which carries its WIT in a custom section, to a component.
fn componentize(core: &Path, to: &Path) -> anyhow::Result<()> {
    let module = std::fs::read(core).with_context(|| core.display().to_string())?;
    let component = wattle_wrap::wrap(&module).with_context(|| core.display().to_string())?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    // An unchanged artifact keeps its time, so that the agent is not linked again for nothing.
    if std::fs::read(to).is_ok_and(|old| old == component) {
        return Ok(());
    }
    std::fs::write(to, component).with_context(|| to.display().to_string())
}
