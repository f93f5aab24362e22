//! Both packages of a small program that speaks like the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Options, package};

/// Prints a version, a help with a subcommand, and completions.
const AGENT: &str = r#"
#include <stdio.h>
#include <string.h>
int main(int count, char **argument) {
    const char *last = argument[count - 1], *first = argument[1];
    if (!strcmp(first, "completions")) printf("completions of %s\n", last);
    else if (!strcmp(first, "--version")) puts("wattle 1.2.3");
    else if (!strcmp(first, "--help")) puts("An agent\n\nUsage: wattle\n\nCommands:\n  run  Run the agent\n");
    else puts("Run the agent\n\nUsage: wattle run\n");
    return 0;
}
"#;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wattle-package-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn said(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` does not start; run `cargo xtask test`: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the files in a list whose lines end with names.
fn files(list: &str) -> Vec<&str> {
    let names = list.lines().filter(|line| !line.starts_with('d')).filter_map(|line| line.split_whitespace().last());
    let mut names: Vec<&str> = names.map(|name| name.trim_start_matches(['.', '/'])).collect();
    names.sort_unstable();
    names
}

/// One test, because both packages are made of one folder in the target folder.
#[test]
fn the_same_program_gives_the_same_packages_with_every_file() {
    crate::process::enter_root().unwrap();
    let folder = Folder::new();
    let (source, binary) = (folder.0.join("agent.c"), folder.0.join("agent"));
    fs::write(&source, AGENT).unwrap();
    assert!(Command::new("cc").arg(&source).arg("-o").arg(&binary).status().unwrap().success());
    let build = |name: &str| {
        let out = folder.0.join(name);
        let options =
            Options { binary: Some(binary.clone()), out: out.clone(), time: Some(1_700_000_000), check: false };
        package(&options).unwrap();
        let mut packages: Vec<PathBuf> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
        packages.sort();
        packages
    };
    let (first, second) = (build("first"), build("second"));
    for (first, second) in first.iter().zip(&second) {
        assert!(fs::read(first).unwrap() == fs::read(second).unwrap(), "{} differs in a second build", first.display());
    }
    let [rpm, deb] = &first[..] else { panic!("{first:?}") };
    assert!(deb.ends_with("wattle_1.2.3_amd64.deb") || deb.ends_with("wattle_1.2.3_arm64.deb"), "{}", deb.display());

    let list = said("dpkg-deb", &["--contents"], deb);
    let debian = files(&list);
    for name in ["usr/bin/wattle", "usr/share/man/man1/wattle-run.1", "usr/share/zsh/vendor-completions/_wattle"] {
        assert!(debian.contains(&name), "{name} is not in the package: {debian:?}");
    }
    for line in list.lines() {
        assert!(line.contains(" root/root "), "{line}");
        assert!(!line.contains("2026") && line.contains(" 2023-11-14 "), "a file is newer than asked for: {line}");
    }
    assert!(list.lines().any(|line| line.starts_with("-rw-r-----") && line.ends_with("/etc/wattle/agent.toml")));
    assert!(said("dpkg-deb", &["--field"], deb).contains("libc6 (>= 2."), "the program uses glibc");

    let list = said("rpm", &["--query", "--list", "--verbose", "--package"], rpm);
    let zsh = |name: &&str| name.replace("site-functions", "vendor-completions");
    let mut red_hat: Vec<String> = files(&list).iter().map(zsh).collect();
    red_hat.sort_unstable();
    assert_eq!(red_hat, debian, "both packages have the same files");
    let kept = said("rpm", &["--query", "--configfiles", "--package"], rpm);
    assert_eq!(files(&kept), ["etc/default/wattle", "etc/wattle/agent.toml"], "an upgrade keeps what was changed");

    // A binary for another machine, which cannot run here: the header says which one.
    let other = folder.0.join("other");
    let mut bytes = fs::read(&binary).unwrap();
    let (machine, debian, red_hat) = if bytes[18] == 62 { (183, "arm64", "aarch64") } else { (62, "amd64", "x86_64") };
    bytes[18] = machine;
    fs::write(&other, bytes).unwrap();
    let out = folder.0.join("third");
    super::write(&other, &binary, &out, 1_700_000_000).unwrap();
    let field = said(
        "dpkg-deb",
        &["--show", "--showformat=${Architecture} ${Version}"],
        &out.join(format!("wattle_1.2.3_{debian}.deb")),
    );
    assert_eq!(field, format!("{debian} 1.2.3"));
    let rpm = out.join(format!("wattle-1.2.3-1.{red_hat}.rpm"));
    assert_eq!(said("rpm", &["--query", "--queryformat", "%{ARCH}", "--package"], &rpm), red_hat);
}
