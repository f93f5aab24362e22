//! A version of a graph that a trial runs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use wattle_capability::Clock;
use wattle_cases::Mocks;
use wattle_diagnostics::Invalid;
use wattle_mocks::Provided;
use wattle_pack::Library;
use wattle_plan::PipelinePlan;
use wattle_runtime::Catalog;
use wattle_topology::{NodeFactory, sandboxed_at};

use crate::mocked;

/// Why a version cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The pack is invalid with these parameters.
    #[error("{}", .0.text().trim_end())]
    Invalid(Invalid),
    /// The mocks are invalid.
    #[error("{0}")]
    Mocks(String),
}

/// A graph with its nodes, ready to be tried.
pub struct Version {
    /// As `name@version`, or the name of the pipeline.
    pub(super) name: String,
    pub(super) plan: PipelinePlan,
    pub(super) make: Arc<NodeFactory>,
    /// The time at which all events are read, in nanoseconds since 1970.
    pub(super) now: i64,
}

impl Version {
    /// A pack on its own, with these parameters. Its nodes have every capability, as in its tests: keys and claims in
    /// memory, the tables and responses of the mocks. All events are read at `time`, unless the mocks have another one.
    ///
    /// # Errors
    ///
    /// The pack, its parameters or the mocks are invalid, or a node needs a table that has no mock.
    pub fn of_pack(
        reference: &str,
        params: &Map<String, Value>,
        mocks: &Map<String, Value>,
        catalog: &Catalog,
        library: &Library,
        time: SystemTime,
    ) -> Result<Self, VersionError> {
        let mocks = Mocks::read(&Value::Object(mocks.clone())).map_err(VersionError::Mocks)?;
        let provided = Provided::default().with(&mocks).map_err(VersionError::Mocks)?;
        let now = mocks.clock.unwrap_or_else(|| nanos(time));
        let catalog = mocked::catalog(catalog, &provided, Clock::moved(now));
        let (plan, _) =
            wattle_manifest::load_pack(reference, params, &catalog, library).map_err(VersionError::Invalid)?;
        Ok(Self::new(plan, &catalog, now))
    }

    /// A pipeline of a configuration, with its grants. Its nodes have no effects: keys and claims begin empty and end with
    /// the trial, and no request is sent.
    pub fn of_pipeline(plan: PipelinePlan, catalog: &Catalog, time: SystemTime) -> Self {
        Self::new(plan, catalog, nanos(time))
    }

    fn new(plan: PipelinePlan, catalog: &Catalog, now: i64) -> Self {
        let name = plan.pack.as_ref().map_or_else(|| plan.name.clone(), ToString::to_string);
        let make = sandboxed_at(catalog.runtime().clone(), catalog.services().clone(), Clock::moved(now));
        Self { name, plan, make, now }
    }

    /// The name of the pack with its version, or of the pipeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The graph.
    pub fn plan(&self) -> &PipelinePlan {
        &self.plan
    }
}

fn nanos(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}
