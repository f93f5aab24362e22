//! Tier-up: recompiles artifacts that run on baseline code, in the background, one after the other.
//!
//! A runner switches to the new code between two batches, in the same way as it replaces an
//! instance that outgrew its memory; the state of a stateful node moves along.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::Artifact;

use crate::artifact::{Code, Compiled};
use crate::resident::unmap_idle_code;

/// Delay. A swap goes first: it has more to compile, test and configure on the same cores.
const AFTER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Optimizer {
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    /// Each entry keeps its artifact compiled until its code is in the cache, because a validated
    /// configuration is built a little later.
    waiting: VecDeque<(Arc<Compiled>, Artifact)>,
    is_running: bool,
}

impl Optimizer {
    /// Queues an artifact for optimized compilation.
    pub(crate) fn add(compiled: &Arc<Compiled>, artifact: &Artifact) {
        let mut jobs = compiled.runtime.optimizer.jobs.lock();
        jobs.waiting.push_back((compiled.clone(), artifact.clone()));
        if jobs.is_running {
            return;
        }
        let runtime = compiled.runtime.clone();
        let work = move || {
            std::thread::sleep(AFTER);
            loop {
                let Some((compiled, artifact)) = runtime.optimizer.next() else { break };
                // Threads that wait for the code must not wait forever.
                if catch_unwind(AssertUnwindSafe(|| optimize(&compiled, &artifact))).is_err() {
                    tracing::error!(artifact = artifact.name, "the optimizer panicked; please report this");
                }
                compiled.finalize();
            }
            // The compiler is a third of the program, and seldom runs again.
            let _ = unmap_idle_code();
        };
        match std::thread::Builder::new().name("wattle-optimize".into()).spawn(work) {
            Ok(_) => jobs.is_running = true,
            Err(error) => {
                tracing::warn!(%error, "cannot start the optimizer thread; keeping baseline code");
                jobs.waiting.drain(..).for_each(|(compiled, _)| compiled.finalize());
            }
        }
    }

    fn next(&self) -> Option<(Arc<Compiled>, Artifact)> {
        let mut jobs = self.jobs.lock();
        let next = jobs.waiting.pop_front();
        jobs.is_running = next.is_some();
        next
    }
}

fn optimize(compiled: &Compiled, artifact: &Artifact) {
    let (runtime, since) = (&compiled.runtime, Instant::now());
    let (tier, baseline) = (&runtime.optimized, compiled.code());
    if let Some(cache) = runtime.cache() {
        // Store the baseline code, so a process that ends early does not start from zero the next
        // time.
        cache.keep(&baseline.engine, &artifact.digest, baseline.component());
    }
    let compiled_again = runtime.compiler.compile_apart(tier, runtime.cache(), artifact);
    let compiled_again = compiled_again.map(|component| {
        // Code in a file is resident only where it is executed, and the kernel can read it again.
        let stored = runtime.cache().and_then(|cache| {
            cache.store(&tier.engine, &artifact.digest, &component);
            cache.load(&tier.engine, &artifact.digest)
        });
        stored.unwrap_or(component)
    });
    let code = compiled_again.and_then(|component| Code::link(tier, &component));
    match code {
        Ok(code) => {
            if let Some(cache) = runtime.cache() {
                cache.remove(&baseline.engine, &artifact.digest);
            }
            compiled.replace(code);
            let ms = since.elapsed().as_millis();
            tracing::info!(artifact = artifact.name, ms, "optimized code is ready");
        }
        Err(error) => {
            tracing::warn!(artifact = artifact.name, %error, "cannot optimize the artifact; it continues on slower baseline code");
        }
    }
}
