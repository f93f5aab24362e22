//! Packages for Debian and RPM, made of a built binary and of `packaging/`.
//!
//! `dpkg-deb` and `rpmbuild` write them: the tools of the distributions, which Debian has both. `cargo-deb` and
//! `cargo-generate-rpm` would compile some 200 crates to write the same files, and keep the list of files twice.

mod binary;
mod check;
mod deb;
mod man;
mod rpm;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;

use self::binary::Binary;
use crate::nodes;
use crate::process::target_dir;
use crate::tools;

#[derive(Args)]
pub(crate) struct Options {
    /// Package this binary instead of building the agent
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Folder for the packages
    #[arg(long, value_name = "DIR", default_value = "target/packages")]
    out: PathBuf,
    /// Unix time of all files; the default is that of the last commit
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    time: Option<u64>,
    /// Also install the package in a clean Debian under systemd: start, data, reload, stop, purge. Needs root
    #[arg(long)]
    check: bool,
}

/// What both formats need.
struct Package {
    binary: Binary,
    /// The files to install, below a folder that stands for `/`.
    root: PathBuf,
    out: PathBuf,
    /// Unix time of all files.
    time: u64,
}

/// Where completions of each shell belong.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/wattle"),
    ("fish", "usr/share/fish/vendor_completions.d/wattle.fish"),
    ("zsh", "usr/share/zsh/site-functions/_wattle"),
];

/// Files of `packaging/` and where they belong.
const FILES: &[(&str, &str)] = &[
    ("packaging/systemd/wattle.service", "usr/lib/systemd/system/wattle.service"),
    ("packaging/systemd/wattle.sysusers", "usr/lib/sysusers.d/wattle.conf"),
    ("packaging/systemd/wattle.tmpfiles", "usr/lib/tmpfiles.d/wattle.conf"),
    ("packaging/systemd/wattle.default", "etc/default/wattle"),
    ("packaging/agent.toml", "etc/wattle/agent.toml"),
    ("packaging/prometheus/wattle.rules.yml", "usr/share/doc/wattle/prometheus/wattle.rules.yml"),
    ("packaging/grafana/wattle-agent.json", "usr/share/doc/wattle/grafana/wattle-agent.json"),
    ("packaging/grafana/wattle-overview.json", "usr/share/doc/wattle/grafana/wattle-overview.json"),
    ("LICENSE", "usr/share/doc/wattle/copyright"),
];

/// Writes both packages.
pub(crate) fn package(options: &Options) -> anyhow::Result<()> {
    tools::add_packagers();
    let program = options.binary.clone().map_or_else(nodes::build_agent, Ok)?;
    let time = options.time.map_or_else(last_commit, Ok)?;
    let debian = write(&program, &program, &options.out, time)?;
    if options.check { check::check(&debian) } else { Ok(()) }
}

/// Writes both packages of a binary to a folder, and returns the path of that for Debian. `speaker` is the same program for
/// this machine, which prints its help.
pub(crate) fn write(program: &Path, speaker: &Path, out: &Path, time: u64) -> anyhow::Result<PathBuf> {
    let binary = Binary::read(program, speaker)?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let root = target_dir()?.join("package-root");
    let package = Package { binary, root, out: std::path::absolute(out)?, time };
    stage(&package.root, program, speaker).context("collecting the files to install")?;
    let debian = deb::build(&package)?;
    for file in [&debian, &rpm::build(&package)?] {
        println!("{} ({:.1} MB)", file.display(), fs::metadata(file)?.len() as f64 / 1e6);
    }
    Ok(debian)
}

/// The time of the last commit, so that the same commit gives the same packages.
fn last_commit() -> anyhow::Result<u64> {
    let log = Command::new("git").args(["log", "-1", "--format=%ct"]).output().context("could not start git")?;
    let text = String::from_utf8_lossy(&log.stdout);
    text.trim().parse().with_context(|| format!("the time of the last commit is `{}`; use --time", text.trim()))
}

/// Makes the folder that is installed.
fn stage(root: &Path, program: &Path, speaker: &Path) -> anyhow::Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    let installed = root.join("usr/bin/wattle");
    place(&installed, &fs::read(program).with_context(|| program.display().to_string())?, 0o755)?;
    for (from, to) in FILES {
        let mode = if *to == "etc/wattle/agent.toml" { 0o640 } else { 0o644 };
        place(&root.join(to), &fs::read(from).with_context(|| (*from).to_owned())?, mode)?;
    }
    for (shell, to) in COMPLETIONS {
        place(&root.join(to), &printed(speaker, &["completions", shell])?, 0o644)?;
    }
    for (name, page) in man::pages(&|arguments| Ok(String::from_utf8(printed(speaker, arguments)?)?))? {
        place(&root.join(format!("usr/share/man/man1/{name}.1")), page.as_bytes(), 0o644)?;
    }
    fs::set_permissions(root.join("etc/wattle"), fs::Permissions::from_mode(0o750))?;
    Ok(())
}

fn place(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder)?;
    // Whatever the umask is.
    for folder in folder.ancestors().take_while(|folder| !folder.ends_with("package-root")) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(path, content).with_context(|| path.display().to_string())?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// What the installed program prints. It has no environment, because `--help` shows the values of variables.
fn printed(program: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).env_clear().output();
    let output = output.with_context(|| format!("could not start {}", program.display()))?;
    ensure!(output.status.success(), "{} {} ended with {}", program.display(), arguments.join(" "), output.status);
    Ok(output.stdout)
}

#[cfg(test)]
mod tests;
