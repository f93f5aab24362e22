//! Looking at an artifact without running a pipeline: what it imports, exports and says of itself.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wattle_pack::Artifact;

use crate::artifact::{ArtifactError, Description};
use crate::runtime::Runtime;

/// What can be seen of an artifact.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Size in bytes.
    pub bytes: usize,
    /// Digest of the bytes.
    pub digest: String,
    /// Names of the interfaces and functions that it imports.
    pub imports: Vec<String>,
    /// Names of the interfaces and functions that it exports.
    pub exports: Vec<String>,
    /// What it says of itself, or why it cannot be used as a node.
    pub description: Result<Description, ArtifactError>,
}

/// Looks at an artifact.
///
/// # Errors
///
/// The bytes are no component at all.
pub fn inspect(runtime: &Arc<Runtime>, artifact: &Artifact) -> Result<Inspection, ArtifactError> {
    let description = runtime.compile(artifact);
    let component = match runtime.compiler.compile(&runtime.engine, artifact) {
        Ok(component) => component,
        Err(error) => return Err(description.err().unwrap_or(error)),
    };
    let ty = component.component_type();
    let exports = ty.exports(&runtime.engine).flat_map(|(name, item)| names(&runtime.engine, name, &item.ty)).collect();
    Ok(Inspection {
        bytes: artifact.bytes.len(),
        digest: artifact.digest.clone(),
        imports: imports(&runtime.engine, &component),
        exports,
        description: description.map(|compiled| compiled.description.clone()),
    })
}

/// Names of everything that a component imports, functions with their interface.
pub(crate) fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).flat_map(|(name, item)| names(engine, name, &item.ty)).collect()
}

fn names(engine: &Engine, name: &str, item: &ComponentItem) -> Vec<String> {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            let functions: Vec<String> = instance
                .exports(engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                .map(|(function, _)| format!("{name}#{function}"))
                .collect();
            if functions.is_empty() { vec![name.to_owned()] } else { functions }
        }
        _ => vec![name.to_owned()],
    }
}

/// The version of `wattle:node` that a component exports, if it is another one.
pub(crate) fn other_contract(engine: &Engine, component: &Component) -> Option<String> {
    let ty = component.component_type();
    let mut versions = ty.exports(engine).filter_map(|(name, _)| name.strip_prefix("wattle:node/node@"));
    versions.next().map(str::to_owned)
}
