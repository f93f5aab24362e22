//! Static binaries by rustc and zig, on a machine without cross compilers.
//!
//! rustc brings what links: `rust-lld`, musl and its start code for both architectures. Only the C in crates (zstd,
//! mimalloc, ring, libdeflate) needs a compiler with headers of musl; zig from PyPI is one in a single package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::nodes;
use crate::process::{cargo, run, target_dir};
use crate::remap::{Remap, flags_for, printed};
use crate::tools;

/// What a release is built for.
pub(crate) struct Target {
    /// The name that rustc has for it.
    pub(crate) triple: &'static str,
    /// The name in OCI images and in names of files.
    pub(crate) oci: &'static str,
    /// The name that zig has for it.
    zig: &'static str,
    /// The oldest processor that runs it, as zig names it. `evex512` changes no code: without it, clang refuses functions for
    /// newer processors, which libdeflate calls after it has asked the processor.
    cpu: &'static str,
}

pub(crate) const TARGETS: &[Target] = &[
    Target { triple: "x86_64-unknown-linux-musl", oci: "amd64", zig: "x86_64-linux-musl", cpu: "x86_64+evex512" },
    Target { triple: "aarch64-unknown-linux-musl", oci: "arm64", zig: "aarch64-linux-musl", cpu: "generic" },
];

/// Builds the agent for a target. Returns the binary with its symbols.
pub(crate) fn build(target: &Target, zig: &Path) -> anyhow::Result<PathBuf> {
    run(Command::new("rustup").args(["target", "add", target.triple]))?;
    let remap = Remap::of_this_machine()?;
    let tools = target_dir()?.join("dist-tools");
    fs::create_dir_all(&tools)?;
    let compiler = script(&tools.join(format!("cc-{}", target.oci)), &compiler(target, zig, &remap))?;
    let archiver = script(&tools.join("ar"), &format!("#!/bin/sh\nexec {} ar \"$@\"\n", quote(zig)))?;
    let mut flags = remap.rust_flags();
    // The binary moves at its start: with packed relocations, the file is 2 MB smaller.
    flags.push("-Clink-arg=--pack-dyn-relocs=relr".to_owned());
    let variable = |name: &str| format!("{name}_{}", target.triple.replace('-', "_"));
    let mut command = cargo();
    command.args(["build", "--locked", "--release", "--package", "wattle", "--target", target.triple]);
    command.arg("--config").arg(flags_for(target.triple, &flags));
    command.arg("--config").arg(format!("target.{}.linker=\"rust-lld\"", target.triple));
    command.env(variable("CC"), compiler).env(variable("AR"), archiver);
    command.env("ZIG_GLOBAL_CACHE_DIR", tools.join("cache")).env("ZIG_LOCAL_CACHE_DIR", tools.join("cache"));
    run(&mut command)?;
    Ok(target_dir()?.join(target.triple).join("release/wattle"))
}

/// Builds what all targets share, and returns the path of zig.
pub(crate) fn prepare() -> anyhow::Result<PathBuf> {
    nodes::build_builtin()?;
    tools::add_zig()
}

/// A compiler as the crate `cc` calls it, which passes the name that rustc has for the target.
fn compiler(target: &Target, zig: &Path, remap: &Remap) -> String {
    // mimalloc names the time at which it was compiled.
    let times = ["-Wno-builtin-macro-redefined", "-D__DATE__=\"\"", "-D__TIME__=\"\""].map(str::to_owned);
    let flags: Vec<String> = remap.c_flags().into_iter().chain(times).map(|flag| quote(Path::new(&flag))).collect();
    format!(
        "#!/bin/sh\n\
         for argument do\n  \
           shift\n  \
           case \"$argument\" in --target=*) ;; *) set -- \"$@\" \"$argument\";; esac\n\
         done\n\
         exec {} cc -target {} -mcpu={} -g0 -fno-sanitize=undefined {} \"$@\"\n",
        quote(zig),
        target.zig,
        target.cpu,
        flags.join(" ")
    )
}

/// Text that a shell reads as one word.
pub(super) fn quote(text: &Path) -> String {
    format!("'{}'", text.display().to_string().replace('\'', r"'\''"))
}

/// Writes a program, unless it is there: a newer one would build all C again.
pub(super) fn script(path: &Path, text: &str) -> anyhow::Result<PathBuf> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(path.to_owned());
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(path.to_owned())
}

/// Copies a binary without its symbols to `to`, and adds sections. rustc brings the program, which reads the files of every
/// target.
pub(crate) fn finish(binary: &Path, to: &Path, sections: &[(&str, &Path)]) -> anyhow::Result<()> {
    let sysroot = printed(Command::new("rustc").args(["--print", "sysroot"]))?;
    let version = printed(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let libraries = Path::new(sysroot.trim()).join("lib");
    let program = libraries.join("rustlib").join(host).join("bin/rust-objcopy");
    let objcopy = || {
        let mut objcopy = Command::new(&program);
        // The program does not find the library of LLVM by itself.
        objcopy.env("LD_LIBRARY_PATH", &libraries);
        objcopy
    };
    run(objcopy().arg("--strip-all").arg(binary).arg(to))?;
    // In a second call, because `--strip-all` removes sections that are not loaded.
    let mut add = objcopy();
    for (name, file) in sections {
        let mut section = std::ffi::OsString::from(format!("{name}="));
        section.push(file);
        add.arg("--add-section").arg(section);
    }
    run(add.arg(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler prints its arguments instead of compiling.
    #[test]
    fn a_compiler_has_the_target_of_zig_and_every_argument_as_it_is() {
        let remap = Remap::of_this_machine().unwrap();
        let text = compiler(&TARGETS[1], Path::new("/bin/echo"), &remap);
        let path = std::env::temp_dir().join(format!("wattle-cc-{}", std::process::id()));
        script(&path, &text).unwrap();
        let arguments = ["--target=aarch64-unknown-linux-musl", "-DA=\"b  c\"", "-c"];
        let said = printed(Command::new("sh").arg(&path).args(arguments)).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(said.starts_with("cc -target aarch64-linux-musl -mcpu=generic -g0 "), "{said}");
        assert!(said.ends_with(" -DA=\"b  c\" -c\n"), "{said}");
        assert!(!said.contains("unknown-linux-musl"), "{said}");
        assert!(said.contains(" -D__TIME__=\"\" "), "the time of the build is not in the binary: {said}");
    }
}
