//! The conformance suite: what holds for every node, whatever it does.

mod batches;
mod itself;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_pack::Artifact;
use wattle_runtime::{Compiled, Runtime};

/// One check and what came of it.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name in kebab-case.
    pub name: String,
    /// What is wrong, if anything is.
    pub outcome: Result<(), String>,
    /// Time it took.
    pub took: Duration,
}

/// All checks of a component, in order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// How many went well.
    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.outcome.is_ok()).count()
    }

    /// How many did not.
    pub fn failed(&self) -> usize {
        self.checks.len() - self.passed()
    }

    pub(crate) fn check(&mut self, name: impl Into<String>, run: impl FnOnce() -> Result<(), String>) -> bool {
        let since = Instant::now();
        let outcome = run();
        let passed = outcome.is_ok();
        self.checks.push(Check { name: name.into(), outcome, took: since.elapsed() });
        passed
    }
}

/// Compiles a component, as the first check of a report.
pub(crate) fn compile(report: &mut Report, runtime: &Arc<Runtime>, artifact: &Artifact) -> Option<Arc<Compiled>> {
    let mut compiled = None;
    report.check("contract", || {
        let made = runtime.compile(artifact).map_err(|error| match &error.hint {
            Some(hint) => format!("{}; {hint}", error.message),
            None => error.message.clone(),
        })?;
        compiled = Some(made);
        Ok(())
    });
    compiled
}

/// Checks a component with options that it takes.
///
/// It stops after the first check when the component is none that this agent can run, or when it refuses the options:
/// nothing else could be told then.
pub fn conformance(runtime: &Arc<Runtime>, artifact: &Artifact, options: &str) -> Report {
    let mut report = Report::default();
    let Some(compiled) = compile(&mut report, runtime, artifact) else { return report };
    if itself::checks(&mut report, runtime, artifact, &compiled, options) {
        batches::checks(&mut report, &compiled, options);
        state::checks(&mut report, &compiled, options);
    }
    report
}
