//! The nodes that validation may ask for: the built-in artifacts, and configuring any artifact in its sandbox.

use std::sync::Arc;

use wattle_pack::{Artifact, NodeError, NodeLimits, NodeShape, Nodes};

use crate::instance::{ConfigureError, Instance};
use crate::runtime::Runtime;

/// The runtime with the artifacts built into the agent.
pub struct Catalog {
    runtime: Arc<Runtime>,
    builtin: Vec<Arc<Artifact>>,
}

impl Catalog {
    /// A catalog of these built-in artifacts.
    pub fn new(runtime: Arc<Runtime>, builtin: Vec<Artifact>) -> Self {
        Self { runtime, builtin: builtin.into_iter().map(Arc::new).collect() }
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

    fn configure(&self, artifact: &Arc<Artifact>, options: &str, limits: &NodeLimits) -> Result<NodeShape, NodeError> {
        let compiled = self.runtime.compile(artifact).map_err(|error| NodeError::Artifact {
            message: error.message,
            hint: error.hint,
            imports: error.imports,
        })?;
        let name = artifact.name.as_str().into();
        match Instance::new(&compiled, &name, options, limits) {
            Ok((_, info)) => Ok(NodeShape {
                ports: info.ports,
                name: compiled.description.name.clone(),
                version: compiled.description.version.clone(),
                masks: compiled.description.masks,
            }),
            Err(ConfigureError::Options(errors)) => Err(NodeError::Options(errors)),
            Err(ConfigureError::Fault(fault)) => Err(NodeError::Artifact {
                message: format!("node faulted while it was configured: {fault}"),
                hint: None,
                imports: Vec::new(),
            }),
        }
    }
}
