//! Installs the package in a clean Debian under systemd and follows it until its purge.
//!
//! `systemd-nspawn` starts systemd as the first process of a container. It needs root, but neither a network nor a systemd
//! outside of the container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::process::{run, target_dir};
use crate::tools;

/// Release of Debian to install in.
const RELEASE: &str = "bookworm";
/// The steps, which run in the container.
const SCRIPT: &str = include_str!("check.sh");
/// Runs the steps. The container ends with their exit code.
const UNIT: &str = "\
[Unit]
Description=Check of the package
After=multi-user.target
SuccessAction=exit
FailureAction=exit

[Service]
Type=oneshot
ExecStart=/bin/sh /package/check.sh
StandardOutput=append:/package/log
StandardError=append:/package/log
TimeoutStartSec=4min
";

/// Installs `package` in a container, and fails at the first step that does.
pub(super) fn check(package: &Path) -> anyhow::Result<()> {
    tools::add_debian();
    let folder = target_dir()?.join("package-check");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (shared, root) = (folder.join("package"), folder.join("root"));
    fs::create_dir_all(&shared)?;
    // Not an overlay: journald and its readers would see different files.
    run(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(debian()?).arg(&root))?;
    fs::copy(package, shared.join("wattle.deb")).with_context(|| package.display().to_string())?;
    fs::write(shared.join("check.sh"), SCRIPT)?;
    fs::write(root.join("etc/systemd/system/wattle-check.service"), UNIT)?;
    let mut bind = shared.clone().into_os_string();
    bind.push(":/package");
    let mut container = Command::new("systemd-nspawn");
    container.args(["--quiet", "--boot", "--private-network", "--machine=wattle-check"]);
    // Nothing here is a service of systemd, or need be.
    container.args(["--register=no", "--keep-unit"]).arg("--directory").arg(&root).arg("--bind").arg(bind);
    container.args(["systemd.unit=wattle-check.service", "systemd.wants=multi-user.target"]);
    let console = fs::File::create(folder.join("console"))?;
    let status = container.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console).status();
    let status = status.context("could not start systemd-nspawn")?;
    let log = fs::read_to_string(shared.join("log"))
        .with_context(|| format!("the container started no unit; see {}", folder.join("console").display()))?;
    print!("{log}");
    ensure!(status.success(), "the check of the package ended with {status}");
    fs::remove_dir_all(root)?;
    Ok(())
}

/// A folder with a small Debian that systemd can start, made at the first call.
fn debian() -> anyhow::Result<PathBuf> {
    let folder = target_dir()?.join("tools/debian").join(RELEASE);
    if folder.exists() {
        return Ok(folder);
    }
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    println!("installing Debian {RELEASE} in {}", folder.display());
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=systemd-sysv,dbus", RELEASE]).arg(&unfinished);
    run(debootstrap.stdout(Stdio::null()))?;
    fs::rename(unfinished, &folder)?;
    Ok(folder)
}
