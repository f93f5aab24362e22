//! The nodes for validation: the built-in artifacts, and a way to configure any artifact in its
//! sandbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use parking_lot::Mutex;
use wattle_batch::FieldPath;
use wattle_capability::Services;
use wattle_options::OptionError;
use wattle_plan::{Artifact, Durability, Grants, NodeError, NodeLimits, NodeShape, Nodes, Origin, StateSettings};

use crate::artifact::{ArtifactError, Compiled};
use crate::bindings::is_contract;
use crate::inspect::imported_interfaces;
use crate::instance::{ConfigureError, Instance, Options};
use crate::runtime::Runtime;

/// The runtime and the built-in artifacts.
pub struct Catalog {
    runtime: Arc<Runtime>,
    services: Arc<Services>,
    builtin: Vec<Arc<Artifact>>,
    /// Successful configurations, by digest, options, limits and grants: a reload repeats most of
    /// them.
    shapes: Mutex<HashMap<(String, String, NodeLimits, Grants), NodeShape>>,
    /// Artifacts of the last prepared graph, by digest. They stay until the next graph, because a
    /// validated configuration is built a little later.
    prepared: Arc<Mutex<Prepared>>,
}

/// Results of compilations by digest.
type Prepared = HashMap<String, Result<Arc<Compiled>, ArtifactError>>;

/// Maximum number of configurations to remember.
const MAX_SHAPES: usize = 10_000;

impl Catalog {
    /// Creates a catalog of these built-in artifacts.
    pub fn new(runtime: Arc<Runtime>, builtin: Vec<Artifact>) -> Self {
        Self {
            runtime,
            services: Arc::default(),
            builtin: builtin.into_iter().map(Arc::new).collect(),
            shapes: Mutex::default(),
            prepared: Arc::default(),
        }
    }

    /// The same nodes with other services, for tests that mock capabilities.
    #[must_use]
    pub fn with_services(&self, services: Arc<Services>) -> Self {
        Self {
            runtime: self.runtime.clone(),
            services,
            builtin: self.builtin.clone(),
            // A configuration can depend on the services.
            shapes: Mutex::default(),
            prepared: self.prepared.clone(),
        }
    }

    /// The services for capabilities of nodes.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The runtime.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn compile(&self, artifact: &Artifact) -> Result<Arc<Compiled>, ArtifactError> {
        let mut prepared = self.prepared.lock();
        match prepared.get(&artifact.digest) {
            Some(Ok(compiled)) => return Ok(compiled.clone()),
            // Return an error only once, so that the next call tries again.
            Some(Err(_)) => {
                if let Some(refused) = prepared.remove(&artifact.digest) {
                    return refused;
                }
            }
            None => {}
        }
        drop(prepared);
        self.runtime.compile(artifact)
    }
}

impl Nodes for Catalog {
    fn builtin(&self, name: &str) -> Option<Arc<Artifact>> {
        self.builtin.iter().find(|a| a.name == name).cloned()
    }

    fn builtin_names(&self) -> Vec<String> {
        self.builtin.iter().map(|a| a.name.clone()).collect()
    }

    fn imports(&self, artifact: &Artifact) -> Vec<String> {
        // `configure` finds out what a built-in one needs, and looking would load its bytes.
        if artifact.origin == Origin::Builtin {
            return Vec::new();
        }
        let mut imports = imported_interfaces(artifact);
        imports.retain(|import| !is_contract(import));
        imports
    }

    fn prepare(&self, artifacts: &[Arc<Artifact>]) {
        let mut artifacts: Vec<&Arc<Artifact>> = artifacts.iter().collect();
        artifacts.sort_by(|a, b| a.digest.cmp(&b.digest));
        artifacts.dedup_by(|a, b| a.digest == b.digest);
        let next = AtomicUsize::new(0);
        let compile = || {
            let next = || artifacts.get(next.fetch_add(1, Ordering::Relaxed));
            std::iter::from_fn(next).map(|a| (a.digest.clone(), self.runtime.compile(a))).collect::<Vec<_>>()
        };
        let cores = available_parallelism().map_or(1, usize::from);
        let compiled = thread::scope(|scope| {
            let others: Vec<_> = (1..cores.min(artifacts.len())).map(|_| scope.spawn(compile)).collect();
            let mut compiled = compile();
            // If a thread failed, its artifacts are compiled when they are configured.
            compiled.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
            compiled
        });
        *self.prepared.lock() = compiled.into_iter().collect();
    }

    fn check_field(&self, path: &str) -> Result<(), String> {
        FieldPath::parse(path).map(drop).map_err(|error| error.to_string())
    }

    fn configure(
        &self,
        artifact: &Arc<Artifact>,
        options: &str,
        limits: &NodeLimits,
        grants: &Grants,
    ) -> Result<NodeShape, NodeError> {
        let key = (artifact.digest.clone(), options.to_owned(), limits.clone(), grants.clone());
        // A table may have lost a column since.
        if let Some(shape) = self.shapes.lock().get(&key).filter(|_| grants.lookup.is_none()) {
            return Ok(shape.clone());
        }
        let compiled =
            self.compile(artifact).map_err(|error| NodeError::Artifact { message: error.message, hint: error.hint })?;
        let name: Arc<str> = artifact.name.as_str().into();
        // This configuration is only a check, so it must have no visible effect.
        let services = self.services.dry("", &name, grants);
        match Instance::new(&compiled, &name, Options::One(options), limits, Some(&services)) {
            Ok((instance, info, requested)) => {
                let durability = if compiled.description.holds_events { Durability::Disk } else { Durability::Memory };
                let state = StateSettings { sharing: requested.sharing, durability, ..StateSettings::default() };
                let used = instance.used_capabilities().iter().chain(&compiled.capabilities);
                let shape = NodeShape {
                    ports: info.ports,
                    name: compiled.description.name.clone(),
                    version: compiled.description.version.clone(),
                    summary: compiled.description.summary.clone(),
                    masks: compiled.description.masks,
                    is_stateful: compiled.description.state_version.is_some() || compiled.description.holds_events,
                    capabilities: used.map(|capability| capability.name()).collect(),
                    state,
                };
                let mut shapes = self.shapes.lock();
                if shapes.len() >= MAX_SHAPES {
                    shapes.clear();
                }
                shapes.insert(key, shape.clone());
                Ok(shape)
            }
            Err(ConfigureError::Options(errors)) => {
                let errors = errors.into_iter().map(|error| OptionError::of_serde(error.path, &error.message));
                Err(NodeError::Options(errors.collect()))
            }
            Err(ConfigureError::Capability(capability)) => Err(NodeError::Capability(capability.name())),
            Err(ConfigureError::Fault(fault)) => {
                Err(NodeError::Artifact { message: format!("the node faulted in `configure`: {fault}"), hint: None })
            }
        }
    }
}
