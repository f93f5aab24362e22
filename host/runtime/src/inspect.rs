//! Inspects an artifact without running a pipeline: imports, exports and self-description.

use std::sync::Arc;

use wasmparser::{Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wattle_capability::Capability;
use wattle_plan::Artifact;

use crate::artifact::{ArtifactError, Description};
use crate::runtime::Runtime;

/// The inspected properties of an artifact.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Size in bytes.
    pub bytes: usize,
    /// Digest of the bytes.
    pub digest: String,
    /// Names of the interfaces and functions that it imports.
    pub imports: Vec<String>,
    /// Capabilities that it requests by its imports.
    pub capabilities: Vec<Capability>,
    /// Names of the interfaces and functions that it exports.
    pub exports: Vec<String>,
    /// Its self-description, or why it cannot be used as a node.
    pub description: Result<Description, ArtifactError>,
}

/// Inspects an artifact.
///
/// # Errors
///
/// The bytes are not a component.
pub fn inspect(runtime: &Arc<Runtime>, artifact: &Artifact) -> Result<Inspection, ArtifactError> {
    let compiled = runtime.compile(artifact);
    let component = match &compiled {
        Ok(compiled) => compiled.code().component().clone(),
        // It may be a component, although not a node.
        Err(error) if error.is_fatal => return Err(error.clone()),
        Err(error) => {
            let (tier, cache) = (&runtime.optimized, runtime.cache());
            runtime.compiler.compile(tier, cache, artifact).map_err(|_| error.clone())?
        }
    };
    let engine = component.engine();
    let ty = component.component_type();
    let exports = ty.exports(engine).flat_map(|(name, item)| names(engine, name, &item.ty)).collect();
    let imports = imports(engine, &component);
    Ok(Inspection {
        bytes: artifact.size(),
        digest: artifact.digest.clone(),
        capabilities: capabilities(&imports),
        imports,
        exports,
        description: compiled.map(|compiled| compiled.description.clone()),
    })
}

/// Lists the interfaces that an artifact imports, in order, from its bytes and without compiling;
/// stops where the bytes are not a component.
pub fn imported_interfaces(artifact: &Artifact) -> Vec<String> {
    let bytes = artifact.bytes();
    let mut names = Vec::new();
    // Nested modules and components have their own imports, which do not count.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentImportSection(section)) if depth == 1 => {
                names.extend(section.into_iter().map_while(Result::ok).map(|import| import.name.name.to_owned()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The capabilities of imports, without duplicates.
pub(crate) fn capabilities(imports: &[String]) -> Vec<Capability> {
    let asked =
        |capability: &Capability| imports.iter().any(|import| Capability::of_import(import) == Some(*capability));
    Capability::ALL.into_iter().filter(asked).collect()
}

/// Names of everything that a component imports; functions include their interface.
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

/// Returns the version of `wattle:node` that a component exports, if it differs from ours.
pub(crate) fn other_contract(engine: &Engine, component: &Component) -> Option<String> {
    let ty = component.component_type();
    let mut versions = ty.exports(engine).filter_map(|(name, _)| name.strip_prefix("wattle:node/node@"));
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_plan::Origin;

    #[test]
    fn imports_are_those_of_the_outermost_component() {
        let text = r#"(component
            (import "wasi:random/random@0.2.0" (instance (export "get" (func))))
            (core module (import "env" "inner" (func)))
            (component (import "not:mine/x" (func)))
            (import "wattle:node/batch@0.1.0" (instance)))"#;
        let artifact = Artifact::new("a", wat::parse_str(text).unwrap(), Origin::Builtin);
        assert_eq!(imported_interfaces(&artifact), ["wasi:random/random@0.2.0", "wattle:node/batch@0.1.0"]);
        let compiled = Component::from_binary(&Engine::default(), &artifact.bytes()).unwrap();
        let interface = |name: String| name.split('#').next().unwrap().to_owned();
        let all: Vec<String> = imports(&Engine::default(), &compiled).into_iter().map(interface).collect();
        assert_eq!(imported_interfaces(&artifact), all);
        let none = Artifact::new("b", b"no component".as_slice(), Origin::Builtin);
        assert_eq!(imported_interfaces(&none), Vec::<String>::new());
    }
}
