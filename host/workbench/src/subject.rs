//! A component in its sandbox as the subject of cases.

use std::sync::Arc;

use wattle_batch::{Batch, Outcome};
use wattle_cases::{CaseFault, Refusal, Subject};
use wattle_pack::NodeLimits;
use wattle_runtime::{Compiled, Fault, Refused, Trial};

/// A component that cases are run on. Each case gets a fresh instance.
pub struct Sandboxed {
    compiled: Arc<Compiled>,
    limits: NodeLimits,
    trial: Option<Trial>,
}

impl Sandboxed {
    /// A component with the limits that a node has unless a configuration says otherwise.
    pub fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled, limits: NodeLimits::default(), trial: None }
    }
}

pub(crate) fn case_fault(fault: Fault) -> CaseFault {
    CaseFault { kind: fault.kind.name().into(), message: fault.message }
}

impl Subject for Sandboxed {
    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal> {
        let name = self.compiled.description.name.clone();
        let trial =
            Trial::new(self.compiled.clone(), &name, options, &self.limits).map_err(|refused| match refused {
                Refused::Options(all) => Refusal::Options(all.into_iter().map(|e| (e.path, e.message)).collect()),
                Refused::Fault(fault) => Refusal::Fault(case_fault(fault)),
            })?;
        let ports = trial.info().ports.clone();
        self.trial = Some(trial);
        Ok(ports)
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        match &mut self.trial {
            Some(trial) => trial.process(batch).map_err(case_fault),
            None => Err(CaseFault { kind: "node-error".into(), message: "it was not configured".into() }),
        }
    }
}
