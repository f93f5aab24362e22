//! A component in its sandbox as the subject of cases.

use std::sync::Arc;

use parking_lot::Mutex;
use wattle_batch::{Batch, Outcome};
use wattle_capability::{LogTarget, NodeServices, level_name, samples};
use wattle_cases::{CaseFault, Mocks, Observed, Refusal, Requests, Subject};
use wattle_plan::{LogLevel, NodeLimits, Sharing};
use wattle_runtime::{Compiled, Fault, Refused, SingleInstance};

use wattle_mocks::Provided;

/// A component for running cases. Each case gets a fresh instance.
pub struct Sandboxed {
    compiled: Arc<Compiled>,
    limits: NodeLimits,
    provided: Provided,
    log: Lines,
    services: Option<NodeServices>,
    instance: Option<SingleInstance>,
}

/// Log lines as they arrive.
type Lines = Arc<Mutex<Vec<(LogLevel, String)>>>;

impl Sandboxed {
    /// A component with what its project provides, and with the default limits of a node.
    pub fn new(compiled: Arc<Compiled>, provided: Provided) -> Self {
        let (limits, log) = (NodeLimits::default(), Lines::default());
        Self { compiled, limits, provided, log, services: None, instance: None }
    }
}

pub(crate) fn case_fault(fault: Fault) -> CaseFault {
    CaseFault { kind: fault.kind.name().into(), message: fault.message }
}

impl Subject for Sandboxed {
    fn mock(&mut self, mocks: &Mocks) -> Result<(), String> {
        self.log = Lines::default();
        self.services = Some(self.provided.with(mocks)?.services(LogTarget::Collected(self.log.clone()))?);
        Ok(())
    }

    fn observed(&self) -> Observed {
        let log = self.log.lock().iter().map(|(level, line)| format!("{}: {line}", level_name(*level))).collect();
        let metrics = self.services.iter().flat_map(|s| samples(&s.metrics().snapshot())).collect();
        Observed { log, metrics }
    }

    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal> {
        let name = self.compiled.description.name.clone();
        let fault = |message| Refusal::Fault(CaseFault { kind: "mocks".into(), message });
        let services = match &self.services {
            Some(services) => services.clone(),
            None => self.provided.services(LogTarget::Nowhere).map_err(fault)?,
        };
        let instance = SingleInstance::new(self.compiled.clone(), &name, options, &self.limits, Some(services))
            .map_err(|refused| match refused {
                Refused::Options(all) => Refusal::Options(all.into_iter().map(|e| (e.path, e.message)).collect()),
                Refused::Fault(fault) => Refusal::Fault(case_fault(fault)),
            })?;
        let ports = instance.info().ports.clone();
        self.instance = Some(instance);
        Ok(ports)
    }

    fn requests(&self) -> Option<Requests> {
        let instance = self.instance.as_ref()?;
        let sharing = match instance.sharing() {
            Sharing::Worker => wattle_cases::Sharing::Worker,
            Sharing::Single => wattle_cases::Sharing::Single,
            Sharing::Key(paths) => wattle_cases::Sharing::Key(paths.clone()),
        };
        let tick_milliseconds = instance.tick_interval().and_then(|tick| u32::try_from(tick.as_millis()).ok());
        Some(Requests { tick_milliseconds, sharing })
    }

    fn restart(&mut self) -> Result<(), String> {
        self.instance.as_mut().ok_or("it was not configured")?.restart()
    }

    fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, CaseFault> {
        match &mut self.instance {
            Some(instance) => instance.tick(now, is_last).map_err(case_fault),
            None => Err(CaseFault { kind: "node-error".into(), message: "it was not configured".into() }),
        }
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        match &mut self.instance {
            Some(instance) => instance.process(batch).map_err(case_fault),
            None => Err(CaseFault { kind: "node-error".into(), message: "it was not configured".into() }),
        }
    }
}
