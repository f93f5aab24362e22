//! The package for Fedora, RHEL and SUSE, by `rpmbuild`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::Package;
use crate::process::{run, target_dir};

pub(crate) fn build(package: &Package) -> anyhow::Result<PathBuf> {
    let Package { binary, root, out, time } = package;
    let work = target_dir()?.join("package-rpm");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let arch = binary.arch.rpm;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--target", arch, "packaging/rpm/wattle.spec"]);
    for (name, value) in [
        ("_topdir", work.display().to_string()),
        ("_rpmdir", work.display().to_string()),
        ("wattle_version", binary.version.clone()),
        ("wattle_root", root.display().to_string()),
    ] {
        rpmbuild.arg("--define").arg(format!("{name} {value}"));
    }
    run(rpmbuild.env("SOURCE_DATE_EPOCH", time.to_string()))?;
    let name = format!("wattle-{}-1.{arch}.rpm", binary.version);
    let file = out.join(&name);
    let built = work.join(arch).join(&name);
    fs::copy(&built, &file).with_context(|| built.display().to_string())?;
    Ok(file)
}
