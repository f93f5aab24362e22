//! Paths of this machine are not part of what is built, so that the same commit gives the same bytes in every folder.
//!
//! Panic messages name the file of their code, and so paths of the sources are in every program. `trim-paths` of cargo would
//! replace them, but needs a nightly toolchain.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::process::target_dir;

/// What rustc replaces paths by.
pub(crate) struct Remap(Vec<(PathBuf, String)>);

impl Remap {
    /// The paths of this machine: the workspace, the crates of others, the target folder, and the sources of the standard
    /// library, which rustc names if they are installed.
    pub(crate) fn of_this_machine() -> anyhow::Result<Self> {
        let root = std::env::current_dir()?;
        let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = match cargo {
            Some(cargo) => cargo,
            None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
        };
        let sysroot = printed(Command::new("rustc").args(["--print", "sysroot"]))?;
        let version = printed(Command::new("rustc").arg("-vV"))?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let commit = commit.context("`rustc -vV` names no commit")?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
        // The last prefix that matches counts, and the target folder is usually in the workspace.
        Ok(Self(vec![
            (root, "/wattle".to_owned()),
            (cargo, "/cargo".to_owned()),
            (target_dir()?, "/target".to_owned()),
            (library, format!("/rustc/{commit}")),
        ]))
    }

    /// The flags of rustc.
    pub(crate) fn rust_flags(&self) -> Vec<String> {
        self.0.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect()
    }

    /// The flags of a compiler for C.
    pub(crate) fn c_flags(&self) -> Vec<String> {
        self.0.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect()
    }
}

/// An argument of cargo that appends flags of rustc to those of `.cargo/config.toml`. The variable `RUSTFLAGS` would
/// replace these.
pub(crate) fn flags_for(target: &str, flags: &[String]) -> String {
    format!("target.{target}.rustflags={}", serde_json::Value::from(flags))
}

/// What a program prints.
pub(crate) fn printed(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("could not start {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_an_array_that_cargo_reads() {
        let remap = Remap(vec![("/home/a b".into(), "/wattle".to_owned())]);
        let argument = flags_for("x", &remap.rust_flags());
        assert_eq!(argument, r#"target.x.rustflags=["--remap-path-prefix=/home/a b=/wattle"]"#);
        assert_eq!(remap.c_flags(), ["-ffile-prefix-map=/home/a b=/wattle"]);
    }
}
