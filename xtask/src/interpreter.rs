//! Builds an agent that interprets nodes, and checks that it does what the usual one does, without executable memory.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::dist::smoke;
use crate::nodes::build_agent;
use crate::process::{cargo, run, target_dir};

/// The pack whose tests run in the interpreter.
const PACK: &str = "packs/cloudtrail/1.2.0";

/// Builds the agent to `target/interpreter/release/wattle`.
pub(crate) fn interpreter() -> anyhow::Result<()> {
    let usual = build_agent()?;
    // Its own folder, because the tests and benchmarks run the agent in `target/release`.
    let folder = target_dir()?.join("interpreter");
    let build = ["build", "--release", "--package", "wattle", "--features", "interpreter", "--target-dir"];
    run(cargo().args(build).arg(&folder))?;
    let binary = folder.join("release/wattle");
    run(Command::new(&binary).args(["pack", "test", PACK]))?;
    smoke::pipelines(&[(smoke::OWN, usual.clone()), (smoke::OWN, binary.clone())])?;
    ensure!(
        !executable_memory(&usual)?.is_empty(),
        "the check finds no compiled nodes in the memory of the usual agent"
    );
    let found = executable_memory(&binary)?;
    ensure!(found.is_empty(), "the agent has executable memory beside programs and libraries: {found:?}");
    println!("{} has no executable memory beside programs and libraries", binary.display());
    Ok(())
}

/// What a running agent may execute beside itself, the libraries and the code of the kernel: lines of `/proc/PID/maps`.
fn executable_memory(binary: &Path) -> anyhow::Result<Vec<String>> {
    let mut agent = Command::new(binary);
    agent.args(["run", "--pack", "cloudtrail"]).env("WATTLE_DATA_DIR", target_dir()?.join("interpreter/data"));
    // The agent reads events until its input ends.
    let mut agent = agent.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut log = BufReader::new(agent.stderr.take().context("the log is a pipe")?).lines();
    let runs = log.by_ref().map_while(Result::ok).any(|line| line.contains(" running "));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", agent.id()));
    drop(agent.stdin.take());
    log.for_each(drop);
    agent.wait()?;
    ensure!(runs, "{} did not start", binary.display());
    let program = binary.display().to_string();
    Ok(maps?.lines().filter(|line| is_executable(line, &program)).map(str::to_owned).collect())
}

/// Whether a line of `/proc/PID/maps` is executable memory that is neither a program, a library nor from the kernel.
fn is_executable(line: &str, program: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_executable = words.nth(1).is_some_and(|rights| rights.contains('x'));
    let file = words.nth(3).unwrap_or_default();
    is_executable && file != program && !file.contains(".so") && !file.starts_with("[v")
}

#[cfg(test)]
mod tests {
    use super::is_executable;

    #[test]
    fn programs_and_libraries_are_no_executable_memory_of_nodes() {
        for (line, expected) in [
            ("7f00-7f10 r-xp 00000000 00:00 0 ", true),
            ("7f00-7f10 rw-p 00000000 00:00 0 ", false),
            ("7f00-7f10 r-xp 00001000 fe:00 77 /data/cache/ab-cd.cwasm", true),
            ("7f00-7f10 r-xp 00001000 fe:00 77 /usr/bin/wattle", false),
            ("7f00-7f10 r-xp 00001000 fe:00 77 /usr/lib/x86_64-linux-gnu/libc.so.6", false),
            ("7f00-7f10 r-xp 00000000 00:00 0 [vdso]", false),
        ] {
            assert_eq!(is_executable(line, "/usr/bin/wattle"), expected, "{line}");
        }
    }
}
