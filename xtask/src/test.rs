//! Runs all tests and the lints.

use std::io::{BufRead as _, BufReader};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{anyhow, ensure};

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
    tools::add_emulator();
    let moto = tools::add_moto()?;
    let noida = tools::add_noida()?;
    let elasticsearch = tools::add_elasticsearch()?;
    let readers = tools::add_parquet_readers()?;
    let opentelemetry = tools::add_opentelemetry()?;
    let kafka = tools::add_kafka()?;
    let nats = tools::add_nats()?;
    let browser = tools::add_chromium()?;
    let helm = tools::add_helm()?;
    // End-to-end tests run the agent's binary.
    nodes::build_all()?;
    let environment: [(&str, &Path); 9] = [
        ("WATTLE_MOTO", &moto),
        ("WATTLE_NOIDA", &noida),
        ("WATTLE_ELASTICSEARCH", &elasticsearch),
        ("WATTLE_PARQUET_READERS", &readers),
        ("WATTLE_OPENTELEMETRY", &opentelemetry),
        ("WATTLE_KAFKA", &kafka),
        ("WATTLE_NATS", &nats),
        ("WATTLE_BROWSER", &browser),
        ("WATTLE_HELM", &helm),
    ];
    let counts = std::thread::scope(|scope| {
        let lanes = LANES.map(|selections| scope.spawn(move || lane(selections, &environment)));
        lanes.map(|lane| lane.join().map_err(|_| anyhow!("a lane of tests panicked"))?)
    });
    let mut sum = Counts::default();
    let mut failures = Vec::new();
    for lane in counts {
        let lane = lane?;
        sum.passed += lane.passed;
        sum.failed += lane.failed;
        failures.extend(lane.failures);
    }
    // Cargo prints one result per test binary; this line sums them up.
    println!("{} passed, {} failed", sum.passed, sum.failed);
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(sum.passed > 0, "no test was run");
    Ok(())
}

/// What runs side by side, because most tests of agents and servers wait most of their time. Each lane calls cargo once for
/// each of its selections, which take about equally long in sum. Together they select every test.
const LANES: [&[&[&str]]; 2] = [&[&["--lib", "--bins", "--test", "[a-h]*"], &["--doc"]], &[&["--test", "[!a-h]*"]]];

/// What a lane counted, and the calls that failed.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

/// Runs the selections of a lane one after the other. The output of each test binary is printed as one block.
fn lane(selections: &[&[&str]], environment: &[(&str, &Path)]) -> anyhow::Result<Counts> {
    // More than there are cores, because the tests wait; the other lane runs as many.
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get) * 3 / 2;
    let mut counts = Counts::default();
    for selection in selections {
        let (output, writer) = std::io::pipe()?;
        let mut tests = cargo();
        // Every call selects the whole workspace, because cargo unifies features per selection of packages.
        tests.args(["test", "--release", "--workspace", "--no-fail-fast"]).args(*selection);
        tests.env("RUST_TEST_THREADS", threads.to_string()).envs(environment.iter().copied());
        let mut running = tests.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        // The command holds the writing end, too; the reader below would wait for it.
        drop(tests);
        let mut block = String::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            block.push_str(&line);
            block.push('\n');
            let (passed, failed) = (count(&line, "passed"), count(&line, "failed"));
            counts.passed += passed;
            counts.failed += failed;
            // A slow test is shown at once, so that a run that hangs says where.
            if line.starts_with("test result: ") || line.contains("has been running for") {
                print!("{block}");
                block.clear();
            }
        }
        print!("{block}");
        let status = running.wait()?;
        if !status.success() {
            counts.failures.push(format!("cargo test {} ended with {status}", selection.join(" ")));
        }
    }
    Ok(counts)
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
