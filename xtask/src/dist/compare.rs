//! Builds the same commit in another folder, and compares every file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::process::{cargo, run, target_dir};

/// Clones the commit below the target folder, runs `cargo xtask dist` there, and compares its digests with those in `out`.
pub(crate) fn with_another_folder(out: &Path, arch: &[String], repository: &str, builder: &str) -> anyhow::Result<()> {
    let clone = target_dir()?.join("dist-check/another-folder");
    if clone.exists() {
        fs::remove_dir_all(&clone)?;
    }
    run(Command::new("git").args(["clone", "--quiet", "--shared", "."]).arg(&clone))?;
    let second = clone.join("target/dist");
    let mut build = cargo();
    build.args(["xtask", "dist", "--arch", &arch.join(","), "--repository", repository, "--builder", builder]);
    // Its own target folder, and no signature, which nothing here verifies.
    build.current_dir(&clone).env_remove("CARGO_TARGET_DIR").env_remove("WATTLE_SIGN_KEY");
    run(&mut build)?;
    let read = |folder: &Path| {
        let path = folder.join("SHA256SUMS");
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let different = different(&read(out)?, &read(&second)?);
    ensure!(different.is_empty(), "a build in another folder differs in: {}", different.join(", "));
    println!("REPRODUCED: a build in another folder gives the same files");
    Ok(())
}

/// The names of the files whose digests differ, or that only one list has.
fn different(first: &str, second: &str) -> Vec<String> {
    let only = |these: &str, those: &str| -> Vec<String> {
        let lines = these.lines().filter(|line| !those.lines().any(|it| it == *line));
        lines.filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect()
    };
    let mut names = [only(first, second), only(second, first)].concat();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::different;

    #[test]
    fn a_file_that_differs_or_is_missing_is_named_once() {
        assert_eq!(different("aa  a\nbb  b\n", "bb  b\naa  a\n"), [] as [&str; 0]);
        assert_eq!(different("aa  a\nbb  b\n", "ab  a\ncc  c\n"), ["a", "b", "c"]);
    }
}
