//! The package for Debian and Ubuntu, by `dpkg-deb`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{Package, place};
use crate::process::run;

/// Files that dpkg keeps when the operator has changed them, and removes only on purge.
const CONFFILES: &str = "/etc/default/wattle\n/etc/wattle/agent.toml\n";

pub(crate) fn build(package: &Package) -> anyhow::Result<PathBuf> {
    let Package { binary, root, out, time } = package;
    let control = root.join("DEBIAN");
    place(&control.join("control"), text(package)?.as_bytes(), 0o644)?;
    place(&control.join("conffiles"), CONFFILES.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        let from = Path::new("packaging/deb").join(script);
        place(&control.join(script), &fs::read(&from).with_context(|| from.display().to_string())?, 0o755)?;
    }
    // Debian's zsh looks for completions of packages in another folder than that of other distributions.
    let (others, debian) = (root.join("usr/share/zsh/site-functions"), root.join("usr/share/zsh/vendor-completions"));
    fs::rename(&others, &debian)?;
    let file = out.join(format!("wattle_{}_{}.deb", binary.version, binary.arch.debian));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(root).arg(&file);
    // dpkg-deb uses it as the latest time of any file.
    run(dpkg.env("SOURCE_DATE_EPOCH", time.to_string()).stdout(std::process::Stdio::null()))?;
    fs::rename(debian, others)?;
    fs::remove_dir_all(control)?;
    Ok(file)
}

fn text(package: &Package) -> anyhow::Result<String> {
    let Package { binary, root, .. } = package;
    let mut depends = "passwd, systemd (>= 247)".to_owned();
    if let Some((major, minor)) = binary.glibc {
        write!(depends, ", libc6 (>= {major}.{minor}), libgcc-s1")?;
    }
    Ok(format!(
        "Package: wattle\n\
         Version: {version}\n\
         Architecture: {arch}\n\
         Maintainer: Wattle <wattle@localhost>\n\
         Installed-Size: {size}\n\
         Depends: {depends}\n\
         Recommends: ca-certificates\n\
         Section: admin\n\
         Priority: optional\n\
         Description: telemetry agent with sandboxed nodes\n \
         Wattle reads logs and other telemetry, processes them in sandboxed WebAssembly\n \
         nodes, and delivers them. It changes a whole pipeline version under load without\n \
         losing an event.\n",
        version = binary.version,
        arch = binary.arch.debian,
        size = kib(root)?,
    ))
}

/// The size of all files below a folder in KiB.
fn kib(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { 1 + kib(&entry.path())? } else { metadata.len().div_ceil(1024) };
    }
    Ok(sum)
}
