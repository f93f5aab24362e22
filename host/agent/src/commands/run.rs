//! `wattle run`: the agent.

use crate::cli::RunOptions;
use crate::configuration::Configuration;
use crate::exit::Done;
use crate::supervisor::Supervisor;

pub(crate) fn run(options: &RunOptions, color: bool) -> Done {
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
