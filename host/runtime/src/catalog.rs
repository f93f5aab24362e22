//! The nodes that validation may ask for: the built-in artifacts, and configuring any artifact in its sandbox.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_capability::Services;
use wattle_pack::{Artifact, Grants, NodeError, NodeLimits, NodeShape, Nodes, Origin};

use crate::bindings::is_contract;
use crate::inspect::imported_interfaces;
use crate::instance::{ConfigureError, Instance};
use crate::runtime::Runtime;

/// The runtime with the artifacts built into the agent.
pub struct Catalog {
    runtime: Arc<Runtime>,
    services: Arc<Services>,
    builtin: Vec<Arc<Artifact>>,
    /// What was configured without an error, by digest, options and limits: a reload asks for most of it again.
    shapes: Mutex<HashMap<(String, String, NodeLimits, Grants), NodeShape>>,
}

/// Configured nodes that are remembered.
const MOST_SHAPES: usize = 10_000;

impl Catalog {
    /// A catalog of these built-in artifacts.
    pub fn new(runtime: Arc<Runtime>, builtin: Vec<Artifact>) -> Self {
        Self {
            runtime,
            services: Arc::default(),
            builtin: builtin.into_iter().map(Arc::new).collect(),
            shapes: Mutex::default(),
        }
    }

    /// What nodes have beyond their batches.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The runtime.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
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
        // Those that the agent carries need none, and to look would bring all their bytes into memory.
        if artifact.origin == Origin::Builtin {
            return Vec::new();
        }
        let mut imports = imported_interfaces(artifact);
        imports.retain(|import| !is_contract(import));
        imports
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
        let compiled = self
            .runtime
            .compile(artifact)
            .map_err(|error| NodeError::Artifact { message: error.message, hint: error.hint })?;
        let name: Arc<str> = artifact.name.as_str().into();
        // Nobody must notice that it was tried.
        let services = self.services.dry("", &name, grants);
        match Instance::new(&compiled, &name, options, limits, Some(&services)) {
            Ok((_, info)) => {
                let shape = NodeShape {
                    ports: info.ports,
                    name: compiled.description.name.clone(),
                    version: compiled.description.version.clone(),
                    masks: compiled.description.masks,
                };
                let mut shapes = self.shapes.lock();
                if shapes.len() >= MOST_SHAPES {
                    shapes.clear();
                }
                shapes.insert(key, shape.clone());
                Ok(shape)
            }
            Err(ConfigureError::Options(errors)) => Err(NodeError::Options(errors)),
            Err(ConfigureError::Fault(fault)) => Err(NodeError::Artifact {
                message: format!("node faulted while it was configured: {fault}"),
                hint: None,
            }),
        }
    }
}
