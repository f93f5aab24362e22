//! The running agent: loads its configuration, starts the topology, handles requests, drains at the
//! end.

mod problem;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;
use wattle_diagnostics::{Diagnostic, Invalid, Severity};
use wattle_pack::Library;
use wattle_plan::{AdminSettings, Artifact, SinkPlan};
use wattle_runtime::{Catalog, Runtime, RuntimeError};
use wattle_source::SourceError;
use wattle_topology::{BuildError, NodeFactory, Observer, Topology, TopologySettings, sandboxed};

pub use self::problem::Problem;
use self::problem::{CHECK_INTERVAL, broken, lost, skipped, unread};
use crate::admin::{Admin, ListenError, State};
use crate::certificates;
use crate::configuration::Configuration;
use crate::control::{Command, CommandRequest, Control};
use crate::data_folder::{self, DataFolderError};
use crate::frontend::Frontend;
use crate::history::{Entry, Event, History};
use crate::pack_tests::PackTests;
use crate::reload::{Loader, ReloadCause, Running};
use crate::remote::Remotes;
use crate::requests::{Request, Requests};
use crate::rollout::Rollout;
use crate::service_manager::ServiceManager;
use crate::time::Moment;
use crate::trial::trials::Trials;
use crate::watch::Watch;

/// How often rollout rules are evaluated.
const DECIDE_INTERVAL: Duration = Duration::from_millis(200);
/// How often log lines that nodes wrote above their limit are reported.
const SUPPRESSED_REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a run drains whose sinks cannot deliver.
const LAST_DRAIN: Duration = Duration::from_secs(1);

/// What the command line adds to a configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Sources read the data that exists now, and end.
    pub once: bool,
    /// Reload when a file of the configuration changes.
    pub watch: bool,
    /// Number of worker threads; overrides the configuration.
    pub workers: Option<usize>,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The sandbox cannot be set up.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The admin listener cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The configuration has errors. They were passed to [`Frontend::show`].
    #[error("the configuration has {errors} error{}", if *.errors == 1 { "" } else { "s" })]
    Invalid {
        /// Number of errors.
        errors: usize,
    },
    /// The configuration is valid but cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The system cannot start a thread.
    #[error(transparent)]
    Thread(std::io::Error),
}

impl StartError {
    /// Whether a change of the configuration solves the problem.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::DataFolder(_) | Self::Listen(_) | Self::Invalid { .. } | Self::Build(_) => true,
            Self::Runtime(_) | Self::Thread(_) => false,
        }
    }
}

/// An agent before it starts.
pub struct Supervisor {
    loader: Loader,
    make: Arc<NodeFactory>,
    settings: TopologySettings,
    options: Options,
    drain_timeout: Duration,
    io_threads: usize,
    /// The admin address until the configuration is loaded.
    admin: Option<AdminSettings>,
    state: Arc<State>,
    lock: Option<File>,
    manager: ServiceManager,
}

impl Supervisor {
    /// Locks the data folder and sets up the sandbox, with `artifacts` as built-in nodes and
    /// `library` as packs.
    ///
    /// # Errors
    ///
    /// The configuration does not say where the data folder is, or the data folder or the sandbox cannot be used.
    pub fn new(
        configuration: Configuration,
        artifacts: Vec<Artifact>,
        library: Library,
        options: Options,
        frontend: Box<dyn Frontend>,
        manager: ServiceManager,
    ) -> Result<Self, StartError> {
        // A file that cannot be parsed does not name its data folder, and another agent may use the default one. So the
        // agent fails here, before it locks or creates anything.
        let agent = configuration.known_settings().map_err(|invalid| refused(frontend.as_ref(), &invalid))?;
        let is_file = matches!(configuration, Configuration::Files(_));
        // A run without a file keeps nothing in the data folder, so any number of such agents can
        // run.
        let lock = if is_file { Some(data_folder::lock(&agent.data_dir)?) } else { None };
        // A run that ends with its input optimizes at once, so the next run finds the code in the
        // cache.
        let is_lasting = is_file && !options.once && agent.artifacts.baseline;
        let runtime = if is_lasting { Runtime::tiered } else { Runtime::new };
        let catalog = Catalog::new(runtime(Some(&agent.data_dir.join("cache")), agent.artifacts)?, artifacts);
        if is_file {
            catalog.services().keep_in(agent.data_dir.clone());
        }
        let make = sandboxed(catalog.runtime().clone(), catalog.services().clone());
        let settings = TopologySettings {
            data_dir: agent.data_dir,
            workers: options.workers.unwrap_or(agent.workers).max(1),
            once: options.once,
            keeps_state: is_file,
        };
        let state =
            State::new(configuration.name(), settings.workers, catalog.runtime().clone(), catalog.services().clone());
        state.try_with(Arc::new(Trials::new(configuration.clone(), &catalog, library.clone())));
        let remotes = Remotes::new(&configuration);
        state.watch(remotes.poller());
        let library = library.with_remote(remotes.poller().clone());
        let loader = Loader { configuration, catalog, library, remotes, frontend };
        let (admin, drain_timeout, io_threads) = (agent.admin, agent.drain_timeout, agent.io_threads);
        let state = Arc::new(state);
        Ok(Self { loader, make, settings, options, drain_timeout, io_threads, admin, state, lock, manager })
    }

    /// Whether the agent keeps its state and can therefore be reloaded.
    pub fn keeps_state(&self) -> bool {
        self.settings.keeps_state
    }

    /// Number of threads of the tokio runtime that the agent needs.
    pub fn io_threads(&self) -> usize {
        self.io_threads
    }

    /// Loads the configuration and starts its topology.
    ///
    /// # Errors
    ///
    /// The configuration is invalid or cannot be built.
    pub async fn start(self, requests: Requests) -> Result<Agent, StartError> {
        let (since, loading) = (Instant::now(), SystemTime::now());
        let watchdog = self.manager.watch();
        // Before any slow step, so a probe sees that the agent is starting.
        let mut admin = Admin::start(self.admin.clone(), self.state.clone()).await?;
        let control = self.settings.keeps_state.then(|| self.listen()).flatten();
        let (loaded, warnings) =
            self.loader.load().map_err(|invalid| refused(self.loader.frontend.as_ref(), &invalid))?;
        self.loader.show(&warnings);
        let data_dir = self.settings.keeps_state.then_some(self.settings.data_dir.as_path());
        let mut rollout = Rollout::open(data_dir);
        let plan = rollout.apply(loaded.clone());
        Rollout::log_notes(&rollout.notes(&loaded));
        admin.follow(&plan.agent.admin).await?;
        let is_bounded = self.options.once || plan.sources.iter().all(|s| s.type_name == "stdin");
        let topology = Topology::start(&plan, self.settings.clone(), self.make.clone()).await?;
        tracing::info!(
            sources = plan.sources.len(),
            pipelines = plan.pipelines.len(),
            sinks = plan.sinks.len(),
            workers = self.settings.workers,
            start_ms = since.elapsed().as_millis(),
            "running"
        );
        let observer = topology.observer().clone();
        self.state.run(observer.clone(), &plan);
        self.loader.remotes.poller().end_load(true);
        self.loader.remotes.start().map_err(StartError::Thread)?;
        rollout.began(None, &plan, &observer, Moment::now());
        let history = History::new(data_dir);
        history.add(&Entry::new(topology.generation(), Event::Started, "the agent started").running(&plan));
        let started = Instant::now();
        let watch = self.watch(&plan.files, loading);
        unmap_idle_code();
        let running = Running {
            topology,
            admin,
            watch,
            history,
            state: self.state.clone(),
            loaded,
            plan,
            rollout,
            tests: PackTests::default(),
        };
        let services = self.state.services.clone();
        let suppressed_reports = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SUPPRESSED_REPORT_INTERVAL).await;
                services.report_suppressed(false);
            }
        });
        let certificate_watch = tokio::spawn(certificates::watch(self.state.clone()));
        // Not when every source runs, as `/readyz`: a server that is down would make systemd end the agent.
        self.manager.ready(&running.line());
        Ok(Agent {
            loader: self.loader,
            running,
            manager: self.manager,
            watchdog,
            control,
            requests,
            observer,
            started,
            is_bounded,
            drain_timeout: self.drain_timeout,
            suppressed_reports,
            certificate_watch,
            _lock: self.lock,
        })
    }

    /// Listens for commands. If the agent cannot listen, it runs without them.
    fn listen(&self) -> Option<Control> {
        let made = Control::listen(&self.settings.data_dir, &self.state);
        made.inspect_err(|error| tracing::warn!(%error, "no control socket; `wattle reload` does not reach this agent"))
            .ok()
    }

    /// Watches the files of the configuration, including changes since they were loaded.
    fn watch(&self, files: &BTreeSet<PathBuf>, loading: SystemTime) -> Option<Watch> {
        let Configuration::Files(paths) = &self.loader.configuration else { return None };
        if !self.options.watch {
            return None;
        }
        let made = Watch::new(paths);
        let made = made.inspect_err(|error| tracing::warn!(%error, "changes are not noticed; send SIGHUP to reload"));
        let mut watch = made.ok()?;
        watch.set(files);
        watch.catch_up(loading);
        Some(watch)
    }
}

/// Unmaps the code that only start-up and reloads need.
pub(crate) fn unmap_idle_code() {
    match wattle_runtime::unmap_idle_code() {
        Ok(bytes) => tracing::debug!(bytes, "unmapped idle code of the program"),
        Err(error) => tracing::debug!(%error, "cannot unmap idle code of the program; it stays in memory"),
    }
}

/// Shows why a configuration is refused.
fn refused(frontend: &dyn Frontend, invalid: &Invalid) -> StartError {
    frontend.show(&invalid.diagnostics);
    let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
    StartError::Invalid { errors: invalid.diagnostics.iter().filter(is_error).count() }
}

/// Why an agent stops running.
#[derive(Debug)]
pub enum End {
    /// Every source has ended; the name and error of each one that failed.
    Finished(Vec<(String, SourceError)>),
    /// A request to stop.
    Requested,
    /// The reader of the only output has closed it.
    Closed,
    /// A run that ends by itself has sinks that cannot deliver until an operator acts.
    Broken(Vec<Problem>),
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// Time from the start to the beginning of the drain.
    pub elapsed: Duration,
    /// Whether the run ended because the reader of its only output closed it, as for any filter.
    pub is_closed: bool,
    /// What went wrong; empty for a successful run.
    pub problems: Vec<Problem>,
}

/// A running agent.
pub struct Agent {
    loader: Loader,
    manager: ServiceManager,
    watchdog: Option<JoinHandle<()>>,
    running: Running,
    control: Option<Control>,
    requests: Requests,
    observer: Observer,
    started: Instant,
    is_bounded: bool,
    drain_timeout: Duration,
    suppressed_reports: JoinHandle<()>,
    certificate_watch: JoinHandle<()>,
    /// Held while the agent uses its data folder.
    _lock: Option<File>,
}

impl Agent {
    /// Reads the counts and states of the running agent.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Whether the run ends by itself with its input.
    pub fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    /// Maximum duration of [`Self::drain`] after this end.
    pub fn drain_timeout(&self, end: &End) -> Duration {
        match end {
            End::Broken(_) => self.drain_timeout.min(LAST_DRAIN),
            End::Finished(_) | End::Requested | End::Closed => self.drain_timeout,
        }
    }

    /// Runs until the agent must end. Until then it reloads, promotes and rolls back.
    pub async fn serve(&mut self) -> End {
        let Self { loader, manager, running, control, requests, is_bounded, .. } = self;
        let mut is_closed = false;
        let beat_interval = manager.beat_interval();
        loop {
            manager.beat(running.topology.stalled());
            let changed = async {
                match &mut running.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            let command = async {
                match control {
                    Some(control) => control.next().await,
                    None => std::future::pending().await,
                }
            };
            let is_busy = running.rollout.is_busy();
            let observer = running.topology.observer().clone();
            let is_console = |sink: &SinkPlan| sink.endpoint.type_name == "console";
            let has_console = !is_closed && running.plan.sinks.iter().any(is_console);
            let is_filter = has_console && running.plan.sinks.iter().all(is_console);
            let cause = tokio::select! {
                request = requests.next() => match request {
                    Request::Stop => return End::Requested,
                    Request::Reload => ReloadCause::Signal,
                },
                change = changed => ReloadCause::Changed(change),
                () = loader.remotes.changed() => ReloadCause::Registry,
                request = command => {
                    manager.reloading();
                    respond(loader, running, request).await;
                    manager.ready(&running.line());
                    continue;
                }
                () = tokio::time::sleep(beat_interval.unwrap_or_default()), if beat_interval.is_some() => continue,
                () = tokio::time::sleep(DECIDE_INTERVAL), if is_busy => {
                    running.decide(Moment::now()).await;
                    continue;
                }
                sink = closed(&observer), if has_console => {
                    if is_filter {
                        return End::Closed;
                    }
                    is_closed = true;
                    tracing::error!(
                        %sink,
                        "output is closed by its reader; events for this sink count as failed, other sinks continue"
                    );
                    continue;
                }
                problems = broken(&observer), if *is_bounded => return End::Broken(problems),
                errors = running.topology.finished(*is_bounded) => return End::Finished(errors),
            };
            manager.reloading();
            running.reload(loader, cause).await;
            manager.ready(&running.line());
        }
    }

    /// Stops the sources and delivers the events in progress, for at most [`Self::drain_timeout`].
    pub async fn drain(self, end: End) -> Report {
        let drain_timeout = self.drain_timeout(&end);
        let Running { topology, admin: _admin, state, .. } = self.running;
        self.manager.stopping();
        self.suppressed_reports.abort();
        self.certificate_watch.abort();
        state.drain();
        let is_closed = matches!(end, End::Closed);
        let mut problems = Vec::new();
        match end {
            End::Finished(errors) => {
                let unread = unread(&self.observer, |name| errors.iter().any(|(failed, _)| failed == name));
                problems.extend(errors.into_iter().map(|(name, error)| Problem::Source { name, error }));
                problems.extend(unread);
            }
            End::Broken(broken) => problems.extend(broken),
            End::Requested | End::Closed => {}
        }
        problems.extend(self.observer.stops().list().iter().cloned().map(Problem::Stopped));
        let elapsed = self.started.elapsed();
        let drained = topology.drain(drain_timeout).await;
        state.services.report_suppressed(true);
        let services = state.services.clone();
        // It waits for the disk. If it panics, the end of the process writes what is left.
        let unsaved = tokio::task::spawn_blocking(move || services.flush()).await.unwrap_or_default();
        problems.extend(drained.unsaved.into_iter().chain(unsaved).map(Problem::Unsaved));
        // An agent that keeps running has already counted and logged them; they do not make its end
        // a failure.
        if self.is_bounded {
            problems.extend(skipped(&self.observer));
            problems.extend(lost(&self.observer));
        }
        if !drained.is_clean {
            problems.push(Problem::Undelivered);
            problems.extend(drained.left.into_iter().map(Problem::Left));
        }
        if let Some(watchdog) = self.watchdog {
            watchdog.abort();
        }
        Report { elapsed, is_closed, problems }
    }
}

/// Runs a command of the control socket and responds. The client may have closed the connection by
/// then.
async fn respond(loader: &Loader, running: &mut Running, request: CommandRequest) {
    let response = match request.command {
        Command::Reload => json(running.reload(loader, ReloadCause::Command).await),
        Command::RollBack(pipeline) => json(running.roll_back(pipeline).await),
    };
    let _ = request.response.send(response);
}

fn json(response: impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(response).unwrap_or_default()
}

/// Waits until the reader of a sink's output closes it, and returns the name of the sink.
async fn closed(observer: &Observer) -> String {
    loop {
        if let Some(sink) = observer.sinks().into_iter().find(|sink| sink.stats.is_closed()) {
            return sink.name;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests;
