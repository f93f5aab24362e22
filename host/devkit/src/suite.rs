//! The conformance suite: what holds for every node, whatever it does.

mod batches;
mod itself;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_capability::LogTarget;
use wattle_plan::{Artifact, NodeLimits, OptionError};
use wattle_runtime::{Compiled, Refused, Runtime, SingleInstance};

use crate::provided::Provided;

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

/// Checks a component with options that it takes and what its project provides.
///
/// It stops after the first check when the component is none that this agent can run, or when it refuses the options:
/// nothing else could be told then.
pub fn conformance(runtime: &Arc<Runtime>, artifact: &Artifact, options: &str, provided: &Provided) -> Report {
    let mut report = Report::default();
    let Some(compiled) = compile(&mut report, runtime, artifact) else { return report };
    let node = Subject { compiled: &compiled, options, provided };
    if itself::checks(&mut report, runtime, artifact, &node) {
        batches::checks(&mut report, &node);
        state::checks(&mut report, &node);
    }
    report
}

/// The component that is checked, and what its instances get.
pub(crate) struct Subject<'a> {
    compiled: &'a Arc<Compiled>,
    options: &'a str,
    provided: &'a Provided,
}

impl Subject<'_> {
    /// A fresh instance with other options, and with services of its own, so that no instance sees what another kept.
    fn configure(&self, options: &str) -> Result<SingleInstance, Refused> {
        let wrong = |message| Refused::Options(vec![OptionError { path: "mocks".into(), message }]);
        let services = self.provided.services(LogTarget::Nowhere).map_err(wrong)?;
        SingleInstance::new(self.compiled.clone(), "node", options, &NodeLimits::default(), Some(services))
    }

    /// A fresh instance.
    fn start(&self) -> Result<SingleInstance, String> {
        self.configure(self.options).map_err(|_| "options were refused that were taken before".to_owned())
    }
}
