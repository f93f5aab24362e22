//! Runs built-in nodes on sample events, in the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use wattle_cases::{Ran, Refusal, Subject as _};
use wattle_devkit::{Provided, Sandboxed};
use wattle_plan::Nodes as _;
use wattle_runtime::{Catalog, Compiled};

use crate::configuration::plain_catalog;
use crate::exit::Failure;
use crate::waiting::Waiting;

/// The built-in nodes, each compiled when it is first used.
pub(super) struct Trial {
    catalog: Catalog,
    compiled: BTreeMap<String, Arc<Compiled>>,
}

impl Trial {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { catalog: plain_catalog()?, compiled: BTreeMap::new() })
    }

    /// Shows what is compiled, for as long as it lives.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting::compiling(self.catalog.runtime())
    }

    /// The outcome of a node for events in one batch; `None` if it refuses the options or faults.
    pub(super) fn run(&mut self, node: &str, options: &Value, events: &[Value]) -> Result<Option<Ran>, Failure> {
        let mut subject = Sandboxed::new(self.compiled(node)?, Provided::default());
        let ports = match subject.configure(&options.to_string()) {
            Ok(ports) => ports,
            Err(Refusal::Options(_) | Refusal::Fault(_)) => return Ok(None),
        };
        let batch = wattle_cases::batch(events).map_err(Failure::new)?;
        match subject.process(batch) {
            Ok(outcome) => Ok(Some(Ran::of(&ports, outcome, events.len()).map_err(Failure::new)?)),
            Err(_) => Ok(None),
        }
    }

    fn compiled(&mut self, node: &str) -> Result<Arc<Compiled>, Failure> {
        if let Some(compiled) = self.compiled.get(node) {
            return Ok(compiled.clone());
        }
        let artifact = self.catalog.builtin(node);
        let artifact = artifact.ok_or_else(|| Failure::new(format!("there is no built-in node `{node}`")))?;
        let compiled = self.catalog.runtime().compile(&artifact).map_err(|error| Failure::new(error.message))?;
        self.compiled.insert(node.to_owned(), compiled.clone());
        Ok(compiled)
    }
}
