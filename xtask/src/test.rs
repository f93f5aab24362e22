//! Running all tests, and the lints.

use crate::nodes;
use crate::process::{cargo, run};

/// Builds what tests use, then runs every test of the workspace.
pub(crate) fn test() -> anyhow::Result<()> {
    nodes::build()?;
    // End-to-end tests run the agent's binary. Built with everything else, because cargo chooses features of dependencies
    // by what is built together: `--package wattle` would compile wasmtime a second time.
    run(cargo().args(["build", "--release", "--workspace", "--all-targets"]))?;
    run(cargo().args(["test", "--release", "--workspace"]))
}

/// Formatting and lints.
pub(crate) fn lint() -> anyhow::Result<()> {
    nodes::build()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}
