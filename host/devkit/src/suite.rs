//! The conformance suite: rules that hold for every node.

mod batches;
mod itself;
mod state;
mod timer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_capability::LogTarget;
use wattle_plan::{Artifact, NodeLimits};
use wattle_runtime::{Compiled, GuestOptionError, Refused, Runtime, SingleInstance};

use wattle_mocks::Provided;

/// A check and its result.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name in kebab-case.
    pub name: String,
    /// The problem, if there is one.
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
    /// Number of passed checks.
    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.outcome.is_ok()).count()
    }

    /// Number of failed checks.
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

/// Checks a component with valid options and what its project provides.
///
/// Stops after the first check if the component cannot run in this agent or refuses the options,
/// since no other check is possible then.
pub fn conformance(runtime: &Arc<Runtime>, artifact: &Artifact, options: &str, provided: &Provided) -> Report {
    let mut report = Report::default();
    let Some(compiled) = compile(&mut report, runtime, artifact) else { return report };
    let node = Subject { compiled: &compiled, options, provided };
    if itself::checks(&mut report, runtime, artifact, &node) {
        batches::checks(&mut report, &node);
        state::checks(&mut report, &node);
        timer::checks(&mut report, &node);
    }
    report
}

/// The component under test, with what its instances get.
pub(crate) struct Subject<'a> {
    compiled: &'a Arc<Compiled>,
    options: &'a str,
    provided: &'a Provided,
}

impl Subject<'_> {
    /// Creates an instance with other options and its own services, so that instances do not share
    /// data.
    fn configure(&self, options: &str) -> Result<SingleInstance, Refused> {
        let wrong = |message| Refused::Options(vec![GuestOptionError { path: "mocks".into(), message }]);
        let services = self.provided.services(LogTarget::Nowhere).map_err(wrong)?;
        SingleInstance::new(self.compiled.clone(), "node", options, &NodeLimits::default(), Some(services))
    }

    /// Creates an instance.
    fn start(&self) -> Result<SingleInstance, String> {
        self.configure(self.options).map_err(|_| "refused options that it accepted before".to_owned())
    }

    /// Makes an instance ready for batches: a node with a timer receives a tick before the first one.
    fn ready(&self, mut instance: SingleInstance) -> Result<SingleInstance, String> {
        if self.compiled.description.has_timer {
            timer::tick(&mut instance, timer::START, false)?;
        }
        Ok(instance)
    }

    /// Creates an instance that is ready for batches.
    fn start_ready(&self) -> Result<SingleInstance, String> {
        self.ready(self.start()?)
    }
}
