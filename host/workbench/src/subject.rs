//! A component in its sandbox as the subject of cases.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_batch::{Batch, Outcome};
use wattle_capability::{
    Clock, FAILURES, Failure, LogTarget, Mock, NodeServices, Random, Response, Table, level_name, samples,
};
use wattle_cases::{CaseFault, MockAnswer, Mocks, Observed, Refusal, Subject};
use wattle_pack::{Grants, LogLevel, NodeLimits, TableKind};
use wattle_runtime::{Compiled, Fault, Refused, Trial};

/// A component that cases are run on. Each case gets a fresh instance.
pub struct Sandboxed {
    compiled: Arc<Compiled>,
    limits: NodeLimits,
    log: Lines,
    services: Option<NodeServices>,
    trial: Option<Trial>,
}

/// Lines of a log as they come.
type Lines = Arc<Mutex<Vec<(LogLevel, String)>>>;

impl Sandboxed {
    /// A component with the limits that a node has unless a configuration says otherwise.
    pub fn new(compiled: Arc<Compiled>) -> Self {
        Self { compiled, limits: NodeLimits::default(), log: Lines::default(), services: None, trial: None }
    }
}

pub(crate) fn case_fault(fault: Fault) -> CaseFault {
    CaseFault { kind: fault.kind.name().into(), message: fault.message }
}

impl Subject for Sandboxed {
    fn mock(&mut self, mocks: &Mocks) -> Result<(), String> {
        self.log = Lines::default();
        self.services = Some(mocked(mocks, self.log.clone())?);
        Ok(())
    }

    fn observed(&self) -> Observed {
        let log = self.log.lock().iter().map(|(level, line)| format!("{}: {line}", level_name(*level))).collect();
        let metrics = self.services.iter().flat_map(|s| samples(&s.metrics().snapshot())).collect();
        Observed { log, metrics }
    }

    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal> {
        let name = self.compiled.description.name.clone();
        let services = self.services.clone().unwrap_or_else(NodeServices::harmless);
        let trial =
            Trial::new(self.compiled.clone(), &name, options, &self.limits, Some(services)).map_err(|refused| {
                match refused {
                    Refused::Options(all) => Refusal::Options(all.into_iter().map(|e| (e.path, e.message)).collect()),
                    Refused::Fault(fault) => Refusal::Fault(case_fault(fault)),
                }
            })?;
        let ports = trial.info().ports.clone();
        self.trial = Some(trial);
        Ok(ports)
    }

    fn restart(&mut self) -> Result<(), String> {
        self.trial.as_mut().ok_or("it was not configured")?.restart()
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        match &mut self.trial {
            Some(trial) => trial.process(batch).map_err(case_fault),
            None => Err(CaseFault { kind: "node-error".into(), message: "it was not configured".into() }),
        }
    }
}

/// Services that answer as the mocks of a case say. Everything is granted; what is not mocked is harmless.
fn mocked(mocks: &Mocks, log: Lines) -> Result<NodeServices, String> {
    let mut tables = BTreeMap::new();
    for (name, table) in &mocks.lookup {
        let kind = if table.is_cidr { TableKind::Cidr } else { TableKind::Exact };
        let rows = serde_json::Value::from(table.rows.clone()).to_string();
        let made = Table::from_json(rows.as_bytes(), kind, Some(&table.key));
        tables.insert(name.clone(), Arc::new(made.map_err(|error| format!("`mocks.lookup.{name}`: {error}"))?));
    }
    let http = mocks.http.iter().map(|(request, answer)| {
        let answer = match answer {
            MockAnswer::Response(status, headers, body) => {
                Ok(Response { status: *status, headers: headers.clone(), body: body.clone() })
            }
            MockAnswer::Failure(code) => {
                let code = FAILURES.iter().find(|known| *known == code).ok_or_else(|| {
                    format!("`mocks.http.{request}`: unknown failure `{code}`; there are {}", FAILURES.join(", "))
                })?;
                Err(Failure { code, message: "the case says so".into() })
            }
        };
        Ok((request.clone(), answer))
    });
    NodeServices::mocked(Mock {
        grants: Grants::of_tests(),
        clock: Clock::Fixed(mocks.clock.unwrap_or_default()),
        random: Random::Seeded(mocks.random.unwrap_or_default().into()),
        log: LogTarget::Kept(log),
        tables,
        values: mocks.kv.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        http: http.collect::<Result<_, String>>()?,
    })
}
