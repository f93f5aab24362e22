//! `wattle run`: the agent.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use wattle_diagnostics::Diagnostic;
use wattle_runtime::Runtime;
use wattle_supervisor::{Frontend, Options, Report, ServiceManager, StartError, Supervisor, requests};

use crate::allocator::KeepPages;
use crate::builtin;
use crate::cli::RunOptions;
use crate::configuration::{self, PREVIEW};
use crate::exit::{self, CONFIG, Done, FAILED, Failure};
use crate::io_threads;
use crate::progress::Progress;
use crate::signals;
use crate::summary;
use crate::waiting::Waiting;

pub(crate) fn run(options: &RunOptions, color: bool) -> Done {
    check_memory()?;
    raise_descriptors();
    let configuration = configuration::of(options)?;
    let settings = Options { once: options.once, watch: !options.no_watch, workers: options.workers.map(usize::from) };
    let library = builtin::library_for(options.locked);
    let terminal = Box::new(Terminal { color });
    let manager = ServiceManager::from_variables(|name| std::env::var_os(name));
    let manager = manager.map_err(|error| Failure::config(format!("cannot report to the service manager: {error}")))?;
    let supervisor = Supervisor::new(configuration, builtin::artifacts(), library, settings, terminal, manager)
        .map_err(not_started)?;
    let runtime = io_threads::start(supervisor.io_threads())?;
    let done = runtime.block_on(supervise(supervisor, options));
    // A read of standard input cannot be interrupted and must not delay the exit.
    runtime.shutdown_background();
    done
}

/// Runs until the sources end or a signal starts the drain.
async fn supervise(supervisor: Supervisor, options: &RunOptions) -> Done {
    let (requester, requests) = requests();
    // First, because a signal without a handler ends the process.
    signals::handle(requester, supervisor.keeps_state())?;
    let mut agent = supervisor.start(requests).await.map_err(not_started)?;
    let observer = agent.observer().clone();
    let progress = Progress::start(agent.is_bounded() && !options.quiet, &observer);
    let end = agent.serve().await;
    progress.end();
    let waiting = Waiting::start("draining:", {
        let (observer, until) = (observer.clone(), Instant::now() + agent.drain_timeout(&end));
        move || Some(summary::render_left(&observer, until.saturating_duration_since(Instant::now())))
    });
    let Report { elapsed, is_closed, problems } = agent.drain(end).await;
    drop(waiting);
    if is_closed {
        return Ok(());
    }
    if !options.quiet {
        exit::say(&summary::render(&observer, elapsed));
    }
    if options.previews() {
        exit::say(&summary::render_preview(&observer, PREVIEW.into()));
    }
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
}

/// Standard error, as the supervisor uses it.
struct Terminal {
    color: bool,
}

impl Frontend for Terminal {
    fn show(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            exit::say_styled(&diagnostic.render(self.color));
        }
    }

    fn loading(&self, runtime: &Arc<Runtime>) -> Box<dyn Any> {
        Box::new((KeepPages::new(), Waiting::compiling(runtime)))
    }
}

fn not_started(error: StartError) -> Failure {
    let code = if error.is_configuration() { CONFIG } else { FAILED };
    Failure::with(code, error.to_string())
}

/// Raises the soft limit of open files to the hard limit: the soft limit is often 1024, for the
/// sake of old programs.
fn raise_descriptors() {
    match wattle_descriptors::raise() {
        Ok((before, after)) if before < after => tracing::debug!(before, after, "limit of open files raised"),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, limit = wattle_descriptors::limit(), "cannot raise the limit of open files");
        }
    }
}

/// Refuses to start if the control group has too little memory, and logs if it has little.
fn check_memory() -> Done {
    let Some(bytes) = wattle_manifest::memory_limit() else { return Ok(()) };
    let (mib, least_mib) = (bytes >> 20, wattle_manifest::MIN_MEMORY_BYTES >> 20);
    if bytes < wattle_manifest::MIN_MEMORY_BYTES {
        return Err(Failure::config(format!(
            "the control group of this process may use {mib} MiB of memory; the agent needs {least_mib} MiB at least"
        )));
    }
    if bytes < wattle_manifest::SMALL_BYTES {
        tracing::info!(memory_mib = mib, "little memory: defaults are those of the small profile (docs/LIMITS.md)");
    }
    Ok(())
}
