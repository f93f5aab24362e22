//! Makes a component of a core module, as `wasm-tools component embed` and `component new` would, for people who have
//! neither.
//!
//! A module says in a custom section which world it implements when a generator of bindings wrote it; one that was
//! written by hand says nothing, and is taken for the contract's world. What a toolchain drags in of WASI (preview 1) is
//! stubbed out: a node has no files, no clock and no environment, so everything answers with an error or with nothing,
//! and the component imports the contract alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

/// The files of the contract, name and text.
pub const WIT: &[(&str, &str)] = &[
    ("batch.wit", include_str!("../../../wit/batch.wit")),
    ("clock.wit", include_str!("../../../wit/clock.wit")),
    ("diagnostics.wit", include_str!("../../../wit/diagnostics.wit")),
    ("fields.wit", include_str!("../../../wit/fields.wit")),
    ("http-client.wit", include_str!("../../../wit/http-client.wit")),
    ("kv.wit", include_str!("../../../wit/kv.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("lookup.wit", include_str!("../../../wit/lookup.wit")),
    ("metrics.wit", include_str!("../../../wit/metrics.wit")),
    ("node.wit", include_str!("../../../wit/node.wit")),
    ("random.wit", include_str!("../../../wit/random.wit")),
    ("state.wit", include_str!("../../../wit/state.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];

/// The world that a node implements, and that of one that keeps state.
const WORLD: &str = "processor";
const STATEFUL_WORLD: &str = "stateful-processor";
/// What a module by hand is taken for: one of these, and the capabilities that it imports.
const WRAPPED_WORLD: &str = "wrapped";
/// Interfaces of the contract, and those of them that every node gets.
const CONTRACT: &str = "wattle:node/";
const ALWAYS: &[&str] = &["types", "fields", "batch", "diagnostics"];
/// What a node's module exports, however it was made.
const EXPORT: &str = "wattle:node/node@";
/// What it exports besides if it keeps state.
const STATE: &str = "wattle:node/state@";
/// Module that old toolchains import WASI from.
const PREVIEW1: &str = "wasi_snapshot_preview1";
/// Answers every import of WASI (preview 1) by itself: what `stub.wat` says, assembled. A test keeps the two the same.
const STUB: &[u8] = include_bytes!("stub.wasm");

/// Why a module could not be made a component, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WrapError {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

fn error(message: impl Into<String>, hint: &str) -> WrapError {
    WrapError { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) }
}

/// What a module shows of itself.
#[derive(Default)]
struct Seen {
    is_component: bool,
    has_world: bool,
    exports_node: bool,
    exports_state: bool,
    exports_realloc: bool,
    wants_preview1: bool,
    /// Interfaces that it imports besides those that every node gets.
    capabilities: BTreeSet<String>,
    foreign: Vec<String>,
}

/// Makes a component of a core module; a component stays as it is.
///
/// # Errors
///
/// It is no module, lacks what a node exports, or imports what no node gets.
pub fn wrap(bytes: &[u8]) -> Result<Vec<u8>, WrapError> {
    let seen = look(bytes)?;
    if seen.is_component {
        return Ok(bytes.to_vec());
    }
    if !seen.exports_node {
        return Err(error(
            format!("the module exports no `{EXPORT}…`"),
            "a node exports describe, configure and process; does it use its SDK's way to export them?",
        ));
    }
    if !seen.exports_realloc {
        return Err(error(
            "the module exports no `cabi_realloc`",
            "the agent puts what it gives to the node into memory that this function allocates; export it",
        ));
    }
    if let Some(import) = seen.foreign.first() {
        return Err(error(
            format!("the module imports `{import}`, which no node gets"),
            "link what it names into the module, or do without it",
        ));
    }
    let mut module = bytes.to_vec();
    if !seen.has_world {
        let (resolve, world) = world(if seen.exports_state { STATEFUL_WORLD } else { WORLD }, &seen.capabilities)?;
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
        return Err(error("this is not webassembly", "give a module or a component in binary form"));
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
                        module if let Some(name) = module.strip_prefix(CONTRACT) => {
                            let name = name.split('@').next().unwrap_or(name);
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
                    seen.exports_node |= name.starts_with(EXPORT);
                    seen.exports_state |= name.starts_with(STATE);
                    seen.exports_realloc |= name == "cabi_realloc";
                }
            }
            Payload::CustomSection(section) => seen.has_world |= section.name().starts_with("component-type"),
            _ => {}
        }
    }
    Ok(seen)
}

/// A world of the contract that imports these capabilities besides, from the files that this program carries.
fn world(name: &str, capabilities: &BTreeSet<String>) -> Result<(Resolve, wit_parser::WorldId), WrapError> {
    let wrong = |e: String| error(format!("the contract cannot be read: {e}"), "please report this");
    let mut sources = SourceMap::default();
    for (name, text) in WIT {
        sources.push(Path::new(name), *text);
    }
    let mut wrapped = format!("world {WRAPPED_WORLD} {{ include {name};");
    for capability in capabilities {
        let _ = write!(wrapped, " import {capability};");
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
