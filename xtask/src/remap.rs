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

    /// Fails if something that was built names a path of this machine. `what` is its name.
    pub(crate) fn ensure_absent(&self, what: &str, bytes: &[u8]) -> anyhow::Result<()> {
        for (path, _) in &self.0 {
            let path = path.display().to_string();
            let at = memchr::memmem::find(bytes, path.as_bytes());
            ensure!(at.is_none(), "{what} names {path}, so that another folder gives other bytes");
        }
        Ok(())
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

    /// The nodes that `cargo xtask test` has built with these flags.
    #[test]
    fn built_in_nodes_name_no_path_of_this_machine() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut remap = Remap::of_this_machine().unwrap();
        // The current folder of a test is that of its package.
        remap.0.push((root.to_owned(), "/wattle".to_owned()));
        remap.0.push((root.join("target"), "/target".to_owned()));
        for name in crate::nodes::BUILTIN {
            let path = root.join(format!("target/nodes/{name}.wasm"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            remap.ensure_absent(name, &bytes).unwrap();
        }
    }

    /// Builds a program of Rust and C in `folder`, with or without the flags, and returns its bytes.
    fn built(folder: &Path, is_remapped: bool) -> Vec<u8> {
        std::fs::create_dir_all(folder).unwrap();
        let (rust, c) = (folder.join("main.rs"), folder.join("part.c"));
        let text = "unsafe extern \"C\" { fn part() -> *const u8; }\n\
            fn main() { let n = std::env::args().count(); assert!(n < 9 && !unsafe { part() }.is_null(), \"{n}\"); }\n";
        std::fs::write(&rust, text).unwrap();
        std::fs::write(&c, "const char *part(void) { return __FILE__; }\n").unwrap();
        let remap = Remap(vec![(folder.to_owned(), "/wattle".to_owned())]);
        let (mut compile, mut archive, mut link) = (Command::new("cc"), Command::new("ar"), Command::new("rustc"));
        compile.arg("-c").arg(&c).arg("-o").arg(folder.join("part.o"));
        archive.arg("rcsD").arg(folder.join("libpart.a")).arg(folder.join("part.o"));
        link.args(["--edition", "2024", "-lstatic=part"]).arg("-L").arg(folder).arg(&rust).arg("-o");
        link.arg(folder.join("main"));
        if is_remapped {
            compile.args(remap.c_flags());
            link.args(remap.rust_flags());
        }
        for command in [&mut compile, &mut archive, &mut link] {
            crate::process::run(command).unwrap();
        }
        let bytes = std::fs::read(folder.join("main")).unwrap();
        assert_eq!(remap.ensure_absent("the program", &bytes).is_ok(), is_remapped);
        bytes
    }

    /// What `cargo xtask dist --check` does with the agent, in a second.
    #[test]
    fn the_flags_make_builds_in_two_folders_equal() {
        let folder = std::env::temp_dir().join(format!("wattle-remap-{}", std::process::id()));
        let (one, other) = (folder.join("one"), folder.join("another/folder"));
        assert_eq!(built(&one, true), built(&other, true));
        assert_ne!(built(&one, false), built(&other, false), "the folder is in the program without the flags");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
