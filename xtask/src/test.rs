//! Runs all tests and the lints.

use std::io::{BufRead as _, BufReader};
use std::num::NonZeroUsize;
use std::process::Stdio;

use anyhow::{Context as _, ensure};

use crate::nodes;
use crate::process::{cargo, run};
use crate::tools;

/// Builds what tests use, then runs every test of the workspace.
pub(crate) fn test() -> anyhow::Result<()> {
    tools::add_languages();
    tools::add_docker_registry();
    tools::add_rsyslog();
    tools::add_prometheus();
    tools::add_journal();
    tools::add_packagers();
    let moto = tools::add_moto()?;
    let noida = tools::add_noida()?;
    let elasticsearch = tools::add_elasticsearch()?;
    let readers = tools::add_parquet_readers()?;
    let opentelemetry = tools::add_opentelemetry()?;
    let kafka = tools::add_kafka()?;
    let nats = tools::add_nats()?;
    let helm = tools::add_helm()?;
    // End-to-end tests run the agent's binary.
    nodes::build_all()?;
    // Most tests of agents and servers wait most of their time.
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get) * 2;
    let mut tests = cargo()
        .args(["test", "--release", "--workspace", "--no-fail-fast"])
        .env("RUST_TEST_THREADS", threads.to_string())
        .env("WATTLE_MOTO", moto)
        .env("WATTLE_NOIDA", noida)
        .env("WATTLE_ELASTICSEARCH", elasticsearch)
        .env("WATTLE_PARQUET_READERS", readers)
        .env("WATTLE_OPENTELEMETRY", opentelemetry)
        .env("WATTLE_KAFKA", kafka)
        .env("WATTLE_NATS", nats)
        .env("WATTLE_HELM", helm)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(tests.stdout.take().context("the output of cargo test")?);
    let (mut passed, mut failed) = (0, 0);
    for line in output.lines() {
        let line = line?;
        println!("{line}");
        passed += count(&line, "passed");
        failed += count(&line, "failed");
    }
    let status = tests.wait()?;
    // Cargo prints one result per test binary; this line sums them up.
    println!("{passed} passed, {failed} failed");
    ensure!(status.success(), "cargo test ended with {status}");
    ensure!(passed > 0, "no test was run");
    Ok(())
}

/// The number before a word in the closing line of a test binary: `test result: ok. 3 passed; 0
/// failed; …`.
fn count(line: &str, word: &str) -> u64 {
    let Some(result) = line.strip_prefix("test result: ") else { return 0 };
    let parts = result.split(['.', ';']).map(str::trim);
    parts.filter_map(|p| p.strip_suffix(word)).find_map(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Formatting and lints.
pub(crate) fn lint() -> anyhow::Result<()> {
    nodes::build()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.5s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (12, 3));
        assert_eq!(count("12 passed", "passed"), 0);
    }
}
