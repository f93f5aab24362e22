//! Converts a core module to a component, like `wasm-tools component embed` and `component new`,
//! for users without these tools.
//!
//! If a bindings generator wrote the module, a custom section names the world that it implements; a
//! module written by hand has none, and is treated as the contract's world. WASI preview 1 imports
//! of a toolchain are stubbed out: a node has no files, no clock and no environment, so every
//! function returns an error or nothing, and the component imports only the contract.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

/// The files of the contract: name and text.
pub const WIT: &[(&str, &str)] = &[
    ("batch.wit", include_str!("../../../wit/batch.wit")),
    ("clock.wit", include_str!("../../../wit/clock.wit")),
    ("diagnostics.wit", include_str!("../../../wit/diagnostics.wit")),
    ("events.wit", include_str!("../../../wit/events.wit")),
    ("fields.wit", include_str!("../../../wit/fields.wit")),
    ("fusion.wit", include_str!("../../../wit/fusion.wit")),
    ("host.wit", include_str!("../../../wit/host.wit")),
    ("http-client.wit", include_str!("../../../wit/http-client.wit")),
    ("kv.wit", include_str!("../../../wit/kv.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("lookup.wit", include_str!("../../../wit/lookup.wit")),
    ("metrics.wit", include_str!("../../../wit/metrics.wit")),
    ("node.wit", include_str!("../../../wit/node.wit")),
    ("random.wit", include_str!("../../../wit/random.wit")),
    ("seen.wit", include_str!("../../../wit/seen.wit")),
    ("state.wit", include_str!("../../../wit/state.wit")),
    ("timer.wit", include_str!("../../../wit/timer.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];

/// World for a module written by hand: that of a node, with the interfaces that it also exports and
/// the capabilities that it imports.
const WRAPPED_WORLD: &str = "wrapped";
/// Prefix of the contract's interfaces, and their version.
const CONTRACT: &str = "wattle:node/";
const VERSION: &str = "0.2.0";
const ALWAYS: &[&str] = &["types", "fields", "batch", "events", "diagnostics"];
/// Interface that every node exports, and those that it can export in addition.
const NODE: &str = "node";
const OPTIONAL: &[&str] = &["fusion", "state", "timer"];
/// Module name of WASI imports in old toolchains.
const PREVIEW1: &str = "wasi_snapshot_preview1";
/// Implements every WASI import (preview 1): assembled from `stub.wat`. A test compares the two.
const STUB: &[u8] = include_bytes!("stub.wasm");

/// Why a module could not be converted to a component, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WrapError {
    /// Description of the problem.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

fn error(message: impl Into<String>, hint: &str) -> WrapError {
    WrapError { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) }
}

/// Properties of a module.
#[derive(Default)]
struct Seen {
    is_component: bool,
    has_world: bool,
    exports_node: bool,
    exports_realloc: bool,
    /// Interfaces that it exports in addition to that of every node.
    exports: BTreeSet<String>,
    wants_preview1: bool,
    /// Interfaces that it imports in addition to those of every node.
    capabilities: BTreeSet<String>,
    /// The first interface of another version of the contract.
    other_version: Option<String>,
    foreign: Vec<String>,
}

impl Seen {
    /// The name of an interface of the contract, such as `batch` of `wattle:node/batch@0.2.0`.
    /// Remembers one of another version.
    fn interface<'a>(&mut self, path: &'a str) -> Option<&'a str> {
        let (name, version) = path.strip_prefix(CONTRACT)?.split_once('@')?;
        if version != VERSION {
            self.other_version.get_or_insert_with(|| path.to_owned());
        }
        Some(name)
    }
}

/// Converts a core module to a component; returns a component unchanged.
///
/// # Errors
///
/// The bytes are not a module, an export of a node is missing, or an import is not available to
/// nodes.
pub fn wrap(bytes: &[u8]) -> Result<Vec<u8>, WrapError> {
    let seen = look(bytes)?;
    if seen.is_component {
        return Ok(bytes.to_vec());
    }
    if let Some(interface) = &seen.other_version {
        return Err(error(
            format!("the module uses `{interface}`, but this version makes components of contract {VERSION}"),
            "build it with the SDK of this version, or use the component that the other version made",
        ));
    }
    if !seen.exports_node {
        return Err(error(
            format!("the module exports no `{CONTRACT}{NODE}@{VERSION}`"),
            "a node exports describe, configure and process; check that it exports them as its SDK requires",
        ));
    }
    if !seen.exports_realloc {
        return Err(error(
            "the module exports no `cabi_realloc`",
            "export it; the agent uses it to allocate memory for the data that it passes to the node",
        ));
    }
    if let Some(import) = seen.foreign.first() {
        return Err(error(
            format!("the module imports `{import}`, which is not available to nodes"),
            "link its implementation into the module, or remove the import",
        ));
    }
    let mut module = bytes.to_vec();
    if !seen.has_world {
        let (resolve, world) = world(&seen)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .map_err(|e| error(format!("the world could not be embedded: {e:#}"), ""))?;
    }
    let misfit = |e| error(format!("the module does not fit the contract: {e:#}"), "compare its functions with wit/");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&module).map_err(misfit)?;
    if seen.wants_preview1 {
        encoder.adapter(PREVIEW1, STUB).map_err(misfit)?;
    }
    encoder.encode().map_err(misfit)
}

fn look(bytes: &[u8]) -> Result<Seen, WrapError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(error("this is not WebAssembly", "pass a module or a component in binary form"));
    }
    let mut seen = Seen::default();
    let broken = |e| error(format!("the module cannot be read: {e}"), "");
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                seen.is_component = true;
                return Ok(seen);
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(broken)?;
                    match import.module {
                        PREVIEW1 => seen.wants_preview1 = true,
                        module if let Some(name) = seen.interface(module) => {
                            let file = format!("{name}.wit");
                            if !WIT.iter().any(|(known, _)| *known == file) {
                                seen.foreign.push(module.to_owned());
                            } else if !ALWAYS.contains(&name) {
                                seen.capabilities.insert(name.to_owned());
                            }
                        }
                        module if module.contains(':') => {}
                        module => seen.foreign.push(format!("{module}.{}", import.name)),
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let name = export.map_err(broken)?.name;
                    seen.exports_realloc |= name == "cabi_realloc";
                    let interface = name.split('#').next().unwrap_or(name);
                    match seen.interface(interface) {
                        Some(NODE) => seen.exports_node = true,
                        Some(name) if OPTIONAL.contains(&name) => _ = seen.exports.insert(name.to_owned()),
                        _ => {}
                    }
                }
            }
            Payload::CustomSection(section) => seen.has_world |= section.name().starts_with("component-type"),
            _ => {}
        }
    }
    Ok(seen)
}

/// The world of a module, from the embedded files.
fn world(seen: &Seen) -> Result<(Resolve, wit_parser::WorldId), WrapError> {
    let wrong = |e: String| error(format!("the contract cannot be read: {e}"), "please report this");
    let mut sources = SourceMap::default();
    for (name, text) in WIT {
        sources.push(Path::new(name), *text);
    }
    let mut wrapped = format!("world {WRAPPED_WORLD} {{ include processor;");
    // Writing to a string does not fail.
    for capability in &seen.capabilities {
        let _ = write!(wrapped, " import {capability};");
    }
    for interface in &seen.exports {
        let _ = write!(wrapped, " export {interface};");
    }
    sources.push(Path::new("wrapped.wit"), wrapped + " }");
    let group = sources.parse().map_err(|(_, e)| wrong(format!("{e:#}")))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(|e| wrong(format!("{e:#}")))?;
    let world = resolve.select_world(&[package], Some(WRAPPED_WORLD)).map_err(|e| wrong(format!("{e:#}")))?;
    Ok((resolve, world))
}

#[cfg(test)]
mod tests;
