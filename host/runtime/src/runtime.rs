//! The engines: one runtime per process, with a clock for time limits and a cache of compiled
//! artifacts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_plan::{Artifact, ArtifactLimits, NodeLimits};

use crate::artifact::{ArtifactError, Compiled};
use crate::cache::Cache;
use crate::compile::Compiler;
use crate::memory;
use crate::optimizer::Optimizer;
use crate::tier::Tier;

/// Interval of the clock for time limits. Limits are exact to two ticks; a shorter tick would wake
/// an idle agent more often.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Number of ticks that last at least this long: one more than the division gives, because the
/// current tick can end at once.
pub(crate) fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}

/// Why the engine could not be created.
#[derive(Debug, thiserror::Error)]
#[error("webassembly engine: {0}")]
pub struct RuntimeError(String);

impl RuntimeError {
    fn new(error: wasmtime::Error) -> Self {
        let text = format!("{error:#}");
        Self(match memory::explain(&text) {
            Some(cure) => format!("{cure} ({text})"),
            None => text,
        })
    }
}

/// Compiles artifacts and runs them.
pub struct Runtime {
    pub(crate) optimized: Tier,
    is_tiered: bool,
    /// Created when it is first needed; `None` inside if this machine does not support it.
    baseline: OnceLock<Option<Tier>>,
    pub(crate) metered: bool,
    pub(crate) compiler: Compiler,
    pub(crate) optimizer: Optimizer,
    cache_dir: Option<PathBuf>,
    /// Opened when the first artifact is compiled; `None` inside if it cannot be used.
    cache: OnceLock<Option<Cache>>,
    /// Limits of an artifact in `describe`.
    describe_limits: Mutex<NodeLimits>,
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

/// Counts of the cache on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Artifacts whose compiled code was in the cache.
    pub hits: u64,
    /// Artifacts that were compiled.
    pub misses: u64,
}

impl Runtime {
    /// Creates a runtime that compiles artifacts within these limits, and stores compiled code in
    /// `cache_dir`, or only in memory. The first compilation opens the cache.
    ///
    /// # Errors
    ///
    /// The engine does not run on this machine. A cache that cannot be used is logged and ignored.
    pub fn new(cache_dir: Option<&Path>, limits: ArtifactLimits) -> Result<Arc<Self>, RuntimeError> {
        Self::make(cache_dir, limits, false, false)
    }

    /// Like [`Runtime::new`], for a process that runs long: an artifact that is not in the cache
    /// starts at once on baseline code, and on optimized code a few seconds later.
    ///
    /// # Errors
    ///
    /// See [`Runtime::new`].
    pub fn tiered(cache_dir: Option<&Path>, limits: ArtifactLimits) -> Result<Arc<Self>, RuntimeError> {
        Self::make(cache_dir, limits, true, false)
    }

    /// Creates a runtime that counts the instructions of a guest as fuel, which does not depend on
    /// the machine; it is slower and has no cache.
    ///
    /// # Errors
    ///
    /// See [`Runtime::new`].
    pub fn metered(limits: ArtifactLimits) -> Result<Arc<Self>, RuntimeError> {
        Self::make(None, limits, false, true)
    }

    fn make(
        cache_dir: Option<&Path>,
        limits: ArtifactLimits,
        is_tiered: bool,
        metered: bool,
    ) -> Result<Arc<Self>, RuntimeError> {
        let runtime = Arc::new(Self {
            optimized: Tier::optimized(metered, is_tiered).map_err(RuntimeError::new)?,
            is_tiered,
            baseline: OnceLock::new(),
            metered,
            compiler: Compiler::new(limits),
            optimizer: Optimizer::default(),
            cache_dir: cache_dir.map(Path::to_owned),
            cache: OnceLock::new(),
            describe_limits: Mutex::default(),
            compiled: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        });
        let ticking = Arc::downgrade(&runtime);
        std::thread::Builder::new()
            .name("wattle-epoch".into())
            .spawn(move || {
                while let Some(runtime) = ticking.upgrade() {
                    runtime.optimized.engine.increment_epoch();
                    if let Some(Some(baseline)) = runtime.baseline.get() {
                        baseline.engine.increment_epoch();
                    }
                    drop(runtime);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| RuntimeError(error.to_string()))?;
        Ok(runtime)
    }

    /// The baseline compiler, if this runtime uses one.
    pub(crate) fn baseline(&self) -> Option<&Tier> {
        if !self.is_tiered {
            return None;
        }
        let make = || {
            Tier::baseline()
                .inspect_err(|error| tracing::debug!(%error, "no baseline compiler; artifacts are optimized at once"))
                .ok()
        };
        self.baseline.get_or_init(make).as_ref()
    }

    /// The cache on disk, if this runtime has one. The first call creates its folder, so a command
    /// that finds an error before it compiles anything leaves no folder behind.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        let open = || {
            let dir = self.cache_dir.as_deref()?;
            Cache::open(dir)
                .inspect_err(|error| tracing::warn!(%error, dir = %dir.display(), "cannot use the compile cache"))
                .ok()
        };
        self.cache.get_or_init(open).as_ref()
    }

    /// Sets the limits of `describe` to those of the agent, because no node is configured yet.
    pub fn limit_describe(&self, limits: NodeLimits) {
        *self.describe_limits.lock() = limits;
    }

    pub(crate) fn describe_limits(&self) -> NodeLimits {
        self.describe_limits.lock().clone()
    }

    /// Counts of the cache so far.
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }

    /// Names of the artifacts that are being compiled now, for progress reports.
    pub fn compiling(&self) -> Vec<String> {
        self.compiler.active()
    }

    /// Compiles an artifact, or loads it from the cache.
    ///
    /// # Errors
    ///
    /// The problem of the artifact, and how to fix it.
    pub fn compile(self: &Arc<Self>, artifact: &Artifact) -> Result<Arc<Compiled>, ArtifactError> {
        if let Some(known) = self.compiled.lock().get(&artifact.digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let compiled = Compiled::new(self, artifact)?;
        let mut all = self.compiled.lock();
        all.retain(|_, weak| weak.strong_count() > 0);
        all.insert(artifact.digest.clone(), Arc::downgrade(&compiled));
        Ok(compiled)
    }
}
