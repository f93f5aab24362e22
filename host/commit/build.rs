//! Finds the commit that is built, for `wattle version`.
//!
//! `WATTLE_COMMIT` and `SOURCE_DATE_EPOCH` take precedence, for builds without a repository. Otherwise it asks git, and
//! watches what git changes at a commit and at a checkout. It is a separate crate so that a commit builds little again.

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let root = Path::new(&manifest).join("../..").canonicalize()?;
    for name in ["WATTLE_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let lock = root.join("Cargo.lock");
    for path in [lock.clone(), Path::new(&manifest).join("build.rs")] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").arg("-C").arg(&root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    // An archive that is unpacked inside another repository has the commit of neither.
    let is_repository = git(&["rev-parse", "--show-toplevel"])
        .is_some_and(|top| Path::new(&top).canonicalize().is_ok_and(|top| top == root));
    let in_repository = |arguments: &[&str]| is_repository.then(|| git(arguments)).flatten();
    let branch = in_repository(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = in_repository(&["rev-parse", "--git-path", name]).map(|path| root.join(path));
        // A missing path would run this program at each build.
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let commit = variable("WATTLE_COMMIT").or_else(|| in_repository(&["rev-parse", "HEAD"]));
    // Never the time of the build: the same commit gives the same bytes.
    let time = variable("SOURCE_DATE_EPOCH").or_else(|| in_repository(&["show", "-s", "--format=%ct", "HEAD"]));
    let wasmtime = locked(&std::fs::read_to_string(&lock)?, "wasmtime");
    for (name, value) in [("WATTLE_COMMIT", commit), ("WATTLE_COMMIT_TIME", time), ("WATTLE_WASMTIME", wasmtime)] {
        // Also if it is unknown: a variable of the environment must not be used in its place.
        println!("cargo::rustc-env={name}={}", value.unwrap_or_default());
    }
    println!("cargo::rustc-env=WATTLE_TARGET={}", std::env::var("TARGET")?);
    Ok(())
}

/// The version of a package in `Cargo.lock`.
fn locked(lock: &str, package: &str) -> Option<String> {
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).map(str::to_owned)
}
