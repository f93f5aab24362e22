//! `wattle run`: the agent.

use crate::cli::RunOptions;
use crate::configuration::Configuration;
use crate::exit::{Done, Failure};
use crate::supervisor::Supervisor;

pub(crate) fn run(options: &RunOptions, color: bool) -> Done {
    check_memory()?;
    raise_descriptors();
    let configuration = Configuration::of(options)?;
    let supervisor = Supervisor::new(configuration, options, color)?;
    // Two threads serve sources, sinks and timers; guests never run on them.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("wattle-io").enable_all().build()?;
    let done = runtime.block_on(supervisor.run(options));
    // A read of standard input cannot be interrupted; it must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Lets the agent have as many files open as it may: the soft limit, often 1024, is there for old programs.
fn raise_descriptors() {
    match wattle_descriptors::raise() {
        Ok((before, after)) if before < after => tracing::debug!(before, after, "limit of open files raised"),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, limit = wattle_descriptors::limit(), "limit of open files cannot be raised");
        }
    }
}

/// Refuses to start where the control group leaves too little memory, and says so where it leaves little.
fn check_memory() -> Done {
    let Some(bytes) = wattle_pack::memory_limit() else { return Ok(()) };
    let (mib, least_mib) = (bytes >> 20, wattle_pack::LEAST_BYTES >> 20);
    if bytes < wattle_pack::LEAST_BYTES {
        return Err(Failure::config(format!(
            "the control group of this process may use {mib} MiB of memory; the agent needs {least_mib} MiB at least"
        )));
    }
    if bytes < wattle_pack::SMALL_BYTES {
        tracing::info!(memory_mib = mib, "little memory: defaults are those of the small profile (docs/LIMITS.md)");
    }
    Ok(())
}
