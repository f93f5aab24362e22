//! A compiled artifact: checked against the contract, linked once, ready to be instantiated.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{Component, InstancePre};
use wattle_capability::Capability;
use wattle_pack::{Artifact, NodeLimits};

use crate::bindings::{CONTRACT, GivenDescription, NODE};
use crate::cache::Cache;
use crate::inspect::{capabilities, imports, other_contract};
use crate::instance::{self, Exports};
use crate::runtime::Runtime;
use crate::state::State;

/// What is wrong with an artifact, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArtifactError {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl ArtifactError {
    pub(crate) fn new(message: impl Into<String>, hint: &str) -> Self {
        Self { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) }
    }
}

/// What an artifact says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the node type.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON schema of the options.
    pub options_schema: String,
    /// Whether the node hides data.
    pub masks: bool,
    /// Version of the state that it saves; `None` for a stateless node.
    pub state_version: Option<u32>,
}

/// An artifact that can be instantiated.
pub struct Compiled {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) exports: Exports,
    /// What it says of itself.
    pub description: Description,
    /// Capabilities that it imports, and so asks for.
    pub capabilities: Vec<Capability>,
    /// Digest of its bytes.
    pub digest: String,
}

impl Compiled {
    pub(crate) fn new(
        runtime: &Arc<Runtime>,
        artifact: &Artifact,
        cache: Option<&Cache>,
    ) -> Result<Self, ArtifactError> {
        let engine = &runtime.engine;
        let component = match cache.and_then(|c| c.load(engine, &artifact.digest)) {
            Some(component) => {
                runtime.hits.fetch_add(1, Ordering::Relaxed);
                component
            }
            None => {
                runtime.misses.fetch_add(1, Ordering::Relaxed);
                let component = runtime.compiler.compile(engine, artifact)?;
                if let Some(cache) = cache {
                    cache.store(engine, &artifact.digest, &component);
                }
                component
            }
        };
        check_imports(runtime, &component)?;
        // First of all the version: imports of another one do not fit either, and that would say less.
        let exports = Exports::find(&component).ok_or_else(|| {
            let message = match other_contract(engine, &component) {
                Some(version) => {
                    format!("artifact is built for wattle:node@{version}, this agent serves wattle:node@{CONTRACT}")
                }
                None => format!("artifact does not export `{NODE}`"),
            };
            ArtifactError::new(message, "build it again with the WIT files of this version")
        })?;
        let pre = runtime.linker.instantiate_pre(&component).map_err(|error| {
            let message = format!("artifact does not fit the contract wattle:node@{CONTRACT}: {error}");
            ArtifactError::new(message, "build it again with the WIT files of this version")
        })?;
        let description = describe(runtime, &pre, &exports)?;
        let capabilities = capabilities(&imports(engine, &component));
        let digest = artifact.digest.clone();
        Ok(Self { runtime: runtime.clone(), pre, exports, description, capabilities, digest })
    }
}

/// Refuses imports that the contract does not have, all of them in one message.
fn check_imports(runtime: &Runtime, component: &Component) -> Result<(), ArtifactError> {
    let foreign: Vec<String> =
        imports(&runtime.engine, component).into_iter().filter(|i| !i.starts_with("wattle:node/")).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let hint = if foreign.iter().any(|i| i.starts_with("wasi:")) {
        "nodes get no WASI; build for wasm32-unknown-unknown, or stub WASI out when the component is made"
    } else {
        "nodes may import interfaces of wattle:node only"
    };
    let message = format!("artifact imports what no node gets: {}", foreign.join(", "));
    Err(ArtifactError::new(message, hint))
}

fn describe(runtime: &Runtime, pre: &InstancePre<State>, exports: &Exports) -> Result<Description, ArtifactError> {
    let failed = |error: wasmtime::Error| ArtifactError::new(format!("`describe` of the artifact failed: {error}"), "");
    let mut store = runtime.store(NodeLimits::default());
    instance::arm(&mut store, NodeLimits::default().time);
    let instance = pre.instantiate(&mut store).map_err(failed)?;
    let describe = instance.get_typed_func::<(), (GivenDescription,)>(&mut store, &exports.describe).map_err(failed)?;
    let (given,) = describe.call(&mut store, ()).map_err(failed)?;
    let state_version = match &exports.state {
        Some(state) => {
            let version = instance.get_typed_func::<(), (u32,)>(&mut store, &state.version).map_err(failed)?;
            Some(version.call(&mut store, ()).map_err(failed)?.0)
        }
        None => None,
    };
    Ok(Description {
        name: given.name,
        version: given.version,
        summary: given.summary,
        options_schema: given.options_schema,
        masks: given.masks,
        state_version,
    })
}
