//! Tools from crates.io that rustup does not bring: installed once, at a version of ours, below the target folder.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{cargo, run, target_dir};

/// A tool: its crate, which is also the name of its program, and its version.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Tool {
    /// Installs the tool if it is not there, and answers with the path of its program.
    pub(crate) fn installed(&self) -> anyhow::Result<PathBuf> {
        let root = target_dir()?.join("tools");
        let program = root.join("bin").join(self.name);
        // As subcommands of cargo, both answer with `<name> <version>`.
        let subcommand = self.name.strip_prefix("cargo-").unwrap_or(self.name);
        let found = Command::new(&program).arg(subcommand).arg("--version").output();
        let is_there = found.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).trim().ends_with(self.version));
        if !is_there {
            println!("installing {} {}", self.name, self.version);
            let version = format!("{}@{}", self.name, self.version);
            run(cargo().args(["install", "--quiet", "--locked", "--force", &version, "--root"]).arg(&root))?;
        }
        Ok(program)
    }
}

/// Installs clang and its linker, which nodes in C are built with, from Debian where they are not there. Where that is not
/// allowed it says so, and so do the tests that need them.
pub(crate) fn add_clang() {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if is_there("clang") && is_there("wasm-ld") {
        return;
    }
    let arguments = ["install", "--yes", "--no-install-recommends", "clang", "lld"];
    let installed = Command::new("apt-get").args(arguments).status().is_ok_and(|status| status.success());
    if !installed {
        println!("clang and lld could not be installed; nodes in C are not built");
    }
}
