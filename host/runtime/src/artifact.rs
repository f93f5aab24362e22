//! A compiled artifact: checked against the contract, linked once, ready to be instantiated.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store};
use wattle_capability::Capability;
use wattle_plan::{Artifact, NodeLimits, Origin};

use crate::bindings::{Contract, GivenDescription};
use crate::fault::{Fault, FaultKind};
use crate::inspect::{capabilities, imports, other_contract};
use crate::instance::{self, Exports};
use crate::optimizer::Optimizer;
use crate::runtime::Runtime;
use crate::state::State;
use crate::tier::{Kind, Tier};

/// A problem of an artifact, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ArtifactError {
    /// Description of the problem.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Whether the artifact exhausted or crashed the compiler, so that no other compiler is tried.
    pub is_fatal: bool,
}

impl ArtifactError {
    pub(crate) fn new(message: impl Into<String>, hint: &str) -> Self {
        Self { message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()), is_fatal: false }
    }
}

/// The self-description of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the node type.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence about the node.
    pub summary: String,
    /// JSON schema of the options.
    pub options_schema: String,
    /// Whether the node masks data.
    pub masks: bool,
    /// Version of its saved state; `None` for a stateless node.
    pub state_version: Option<u32>,
    /// Version of the contract that it is built for.
    pub contract: &'static str,
    /// Whether it acts on the time.
    pub has_timer: bool,
    /// Whether it holds rows or makes events, so that its state must survive a crash.
    pub holds_events: bool,
}

/// An artifact that can be instantiated.
pub struct Compiled {
    pub(crate) runtime: Arc<Runtime>,
    code: RwLock<Arc<Code>>,
    /// Set when the code is final.
    finalized: OnceLock<()>,
    /// Self-description of the artifact.
    pub description: Description,
    /// Capabilities that it imports, and thereby requires. The options of a built-in artifact decide what it needs, and
    /// its call of `configure` shows that, except for `seen`, which a node can call only in `process`. Each call of a
    /// capability is checked in any case.
    pub capabilities: Vec<Capability>,
    /// Digest of its bytes.
    pub digest: String,
}

/// Linked code of an artifact from one of the compilers.
pub(crate) struct Code {
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<State>,
    pub(crate) exports: Exports,
}

impl Compiled {
    pub(crate) fn new(runtime: &Arc<Runtime>, artifact: &Artifact) -> Result<Arc<Self>, ArtifactError> {
        let (tier, component) = obtain(runtime, artifact)?;
        let code = Code::link(tier, &component)?;
        let compiled = Arc::new(Self {
            runtime: runtime.clone(),
            description: describe(runtime, &code)?,
            capabilities: {
                let mut imported = capabilities(&imports(&tier.engine, &component));
                imported.retain(|imported| artifact.origin != Origin::Builtin || *imported == Capability::Seen);
                imported
            },
            digest: artifact.digest.clone(),
            code: RwLock::new(Arc::new(code)),
            finalized: OnceLock::new(),
        });
        match tier.kind {
            Kind::Baseline => Optimizer::add(&compiled, artifact),
            Kind::Optimized => compiled.finalize(),
        }
        Ok(compiled)
    }

    /// Returns the fastest code that is ready.
    pub(crate) fn code(&self) -> Arc<Code> {
        self.code.read().clone()
    }

    pub(crate) fn replace(&self, code: Code) {
        *self.code.write() = Arc::new(code);
    }

    pub(crate) fn finalize(&self) {
        let _ = self.finalized.set(());
    }

    /// Whether the code is final.
    pub fn is_optimized(&self) -> bool {
        self.code().kind == Kind::Optimized
    }

    /// Waits until the code is final; returns at once unless the runtime is tiered.
    pub fn wait_optimized(&self) {
        self.finalized.wait();
    }
}

/// Loads the code of an artifact from the cache, or compiles it.
fn obtain<'r>(runtime: &'r Runtime, artifact: &Artifact) -> Result<(&'r Tier, Component), ArtifactError> {
    let optimized = &runtime.optimized;
    let cached = |tier: &'r Tier| Some((tier, runtime.cache()?.load(&tier.engine, &artifact.digest)?));
    if let Some(found) = cached(optimized).or_else(|| cached(runtime.baseline()?)) {
        runtime.hits.fetch_add(1, Ordering::Relaxed);
        return Ok(found);
    }
    runtime.misses.fetch_add(1, Ordering::Relaxed);
    let cache = runtime.cache();
    let compile = |tier: &'r Tier| -> Result<(&'r Tier, Component), ArtifactError> {
        Ok((tier, runtime.compiler.compile(tier, cache, artifact)?))
    };
    match runtime.baseline().map(compile) {
        Some(Ok(compiled)) => return Ok(compiled),
        // If one compiler died of it, do not try the other one.
        Some(Err(error)) if error.is_fatal => return Err(error),
        // The optimizing compiler may accept what the baseline refuses, and otherwise reports the
        // reason.
        Some(Err(_)) | None => {}
    }
    let (tier, component) = compile(optimized)?;
    if let Some(cache) = runtime.cache() {
        cache.store(&tier.engine, &artifact.digest, &component);
    }
    Ok((tier, component))
}

impl Code {
    pub(crate) fn link(tier: &Tier, component: &Component) -> Result<Self, ArtifactError> {
        let engine = tier.engine.clone();
        check_imports(&engine, component)?;
        // Check the version first: imports of another version would fail as well, with a less
        // useful message.
        let exports = Exports::find(component).ok_or_else(|| {
            let message = match other_contract(&engine, component) {
                Some(version) => {
                    let served = wattle_plan::CONTRACT_VERSIONS.join(" and ");
                    format!("artifact is built for wattle:node@{version}, this agent serves {served}")
                }
                None => format!("the artifact does not export `{}`", Contract::V02.interface("node")),
            };
            ArtifactError::new(message, "build it again with the WIT files of this version")
        })?;
        let pre = tier.linker.instantiate_pre(component).map_err(|error| {
            let version = exports.contract.version();
            let message = format!("artifact does not fit the contract wattle:node@{version}: {error}");
            ArtifactError::new(message, "build it again with the WIT files of this version")
        })?;
        Ok(Self { kind: tier.kind, engine, pre, exports })
    }

    /// Creates a store for an instance; with a metered engine it counts fuel.
    pub(crate) fn store(&self, limits: NodeLimits, metered: bool) -> Store<State> {
        let times = self.kind.times();
        let (time, time_per_kib) = (limits.time.saturating_mul(times), limits.time_per_kib.saturating_mul(times));
        let mut store = Store::new(&self.engine, State::new(NodeLimits { time, time_per_kib, ..limits }));
        if metered {
            // Fuel is counted here, not limited. Setting it fails only on an engine without
            // metering.
            let _ = store.set_fuel(u64::MAX);
        }
        store
    }

    pub(crate) fn component(&self) -> &Component {
        self.pre.component()
    }
}

/// Refuses imports outside of the contract, all of them in one message.
fn check_imports(engine: &Engine, component: &Component) -> Result<(), ArtifactError> {
    let foreign: Vec<String> =
        imports(engine, component).into_iter().filter(|i| !i.starts_with("wattle:node/")).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let hint = if foreign.iter().any(|i| i.starts_with("wasi:")) {
        "nodes cannot use WASI; build for wasm32-unknown-unknown, or stub out WASI in the component"
    } else {
        "nodes can import only interfaces of wattle:node"
    };
    let message = format!("artifact has imports that no node can use: {}", foreign.join(", "));
    Err(ArtifactError::new(message, hint))
}

fn describe(runtime: &Runtime, code: &Code) -> Result<Description, ArtifactError> {
    let mut store = code.store(runtime.describe_limits(), runtime.metered);
    let time = store.data().limits.time;
    instance::arm(&mut store, time);
    describe_in(&mut store, code).map_err(|error| {
        let fault = Fault::of(&error, store.data_mut());
        let hint = match fault.kind {
            FaultKind::MemoryLimit | FaultKind::TimeLimit => "[agent.limits] applies to `describe`",
            _ => "",
        };
        ArtifactError::new(format!("`describe` of the artifact failed: {fault}"), hint)
    })
}

/// Whether a node with state can hold rows or make events, by its imports.
fn holds_events(code: &Code) -> bool {
    let holds = |import: &String| ["/batch@0.2.0#hold", "/events@0.2.0#emit"].iter().any(|end| import.ends_with(end));
    code.exports.state.is_some() && imports(&code.engine, code.component()).iter().any(holds)
}

fn describe_in(store: &mut Store<State>, code: &Code) -> wasmtime::Result<Description> {
    let Code { pre, exports, .. } = code;
    let instance = pre.instantiate(&mut *store)?;
    let describe = instance.get_typed_func::<(), (GivenDescription,)>(&mut *store, &exports.describe)?;
    let (given,) = describe.call(&mut *store, ())?;
    let state_version = match &exports.state {
        Some(state) => {
            let version = instance.get_typed_func::<(), (u32,)>(&mut *store, &state.version)?;
            Some(version.call(&mut *store, ())?.0)
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
        contract: exports.contract.version(),
        has_timer: exports.has_timer(),
        holds_events: holds_events(code),
    })
}
