//! The engine: one a process, with a clock for time limits and a cache of compiled artifacts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, OptLevel, Store};
use wattle_pack::{Artifact, ArtifactLimits, NodeLimits};

use crate::artifact::{ArtifactError, Compiled};
use crate::bindings;
use crate::cache::Cache;
use crate::compile::Compiler;
use crate::state::State;

/// How often the clock for time limits ticks. Limits are exact to two ticks; a shorter tick costs wake-ups of an idle
/// agent.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// So many ticks are at least this long. The current tick may end at once, so it is one more than that needs.
pub(crate) fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// Stack of a guest. Nodes do not recurse on data, so a deep recursion is a fault.
const STACK_BYTES: usize = 512 << 10;

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("webassembly engine: {0}")]
pub struct RuntimeError(#[source] wasmtime::Error);

/// Compiles artifacts and runs them.
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) metered: bool,
    pub(crate) linker: Linker<State>,
    pub(crate) compiler: Compiler,
    cache: Option<Cache>,
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

/// How often compiled code was found in the cache on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Artifacts whose compiled code was there.
    pub hits: u64,
    /// Artifacts that were compiled.
    pub misses: u64,
}

impl Runtime {
    /// A runtime that compiles artifacts within these limits, and keeps compiled code in `cache_dir`, or in memory only.
    ///
    /// # Errors
    ///
    /// The engine does not run on this machine. A cache that cannot be used is logged and done without.
    pub fn new(cache_dir: Option<&Path>, limits: ArtifactLimits) -> Result<Arc<Self>, RuntimeError> {
        Self::make(cache_dir, limits, false)
    }

    /// A runtime that counts what a guest executes as fuel, which does not depend on the machine; slower, and without a
    /// cache.
    ///
    /// # Errors
    ///
    /// As [`Runtime::new`].
    pub fn metered(limits: ArtifactLimits) -> Result<Arc<Self>, RuntimeError> {
        Self::make(None, limits, true)
    }

    fn make(cache_dir: Option<&Path>, limits: ArtifactLimits, metered: bool) -> Result<Arc<Self>, RuntimeError> {
        let mut config = Config::new();
        config
            .cranelift_opt_level(OptLevel::Speed)
            .epoch_interruption(true)
            .consume_fuel(metered)
            .max_wasm_stack(STACK_BYTES)
            .generate_address_map(false);
        let engine = Engine::new(&config).map_err(RuntimeError)?;
        let linker = bindings::linker(&engine).map_err(RuntimeError)?;
        let ticker = engine.weak();
        std::thread::Builder::new()
            .name("wattle-epoch".into())
            .spawn(move || {
                while let Some(engine) = ticker.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| RuntimeError(error.into()))?;
        let cache = cache_dir.and_then(|dir| {
            Cache::open(dir)
                .inspect_err(|error| tracing::warn!(%error, dir = %dir.display(), "compile cache is not used"))
                .ok()
        });
        Ok(Arc::new(Self {
            engine,
            metered,
            linker,
            compiler: Compiler::new(limits),
            cache,
            compiled: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// A store for an instance.
    pub(crate) fn store(&self, limits: NodeLimits) -> Store<State> {
        let mut store = Store::new(&self.engine, State::new(limits));
        if self.metered {
            // It is there to be counted and not to be a limit; setting it fails only where it is not counted.
            let _ = store.set_fuel(u64::MAX);
        }
        store
    }

    /// How often the cache helped so far.
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }

    /// Compiles an artifact, or takes it from the cache.
    ///
    /// # Errors
    ///
    /// What is wrong with the artifact, and how to mend it.
    pub fn compile(self: &Arc<Self>, artifact: &Artifact) -> Result<Arc<Compiled>, ArtifactError> {
        if let Some(known) = self.compiled.lock().get(&artifact.digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let compiled = Arc::new(Compiled::new(self, artifact, self.cache.as_ref())?);
        let mut all = self.compiled.lock();
        all.retain(|_, weak| weak.strong_count() > 0);
        all.insert(artifact.digest.clone(), Arc::downgrade(&compiled));
        Ok(compiled)
    }
}
