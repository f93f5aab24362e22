//! The running agent: loads its configuration, starts the topology, reloads on change, drains at the end.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wattle_pack::{AdminSettings, Invalid, Library, Plan, Severity};
use wattle_runtime::Catalog;
use wattle_source::SourceError;
use wattle_topology::{MakeNode, Topology, TopologySettings, sandboxed};

use crate::admin::{Admin, Outcome, State};
use crate::builtin;
use crate::cli::RunOptions;
use crate::configuration::{Configuration, catalog};
use crate::exit::{self, Done, Failure};
use crate::progress::Progress;
use crate::signals::{Asked, Signals};
use crate::summary;
use crate::watch::Watch;

pub(crate) struct Supervisor {
    configuration: Configuration,
    catalog: Catalog,
    library: Library,
    make: Arc<MakeNode>,
    settings: TopologySettings,
    drain_timeout: Duration,
    /// Where to listen until the configuration is loaded.
    admin: Option<AdminSettings>,
    state: Arc<State>,
    color: bool,
    /// Held as long as the agent uses its data folder.
    _lock: Option<File>,
}

/// Why the agent stops running.
enum End {
    /// Every source has ended, these of them by an error.
    Finished(Vec<(String, SourceError)>),
    /// Somebody asked for it.
    Asked,
}

impl Supervisor {
    pub(crate) fn new(configuration: Configuration, options: &RunOptions, color: bool) -> Result<Self, Failure> {
        let agent = configuration.settings();
        let lock = match &configuration {
            Configuration::File(_) => Some(lock(&agent.data_dir)?),
            // Standard input keeps nothing in the data folder, so any number of such agents may run.
            Configuration::Text(_) => None,
        };
        let catalog = catalog(&agent.data_dir, agent.artifacts)?;
        let make = sandboxed(catalog.runtime().clone());
        let settings = TopologySettings {
            data_dir: agent.data_dir,
            workers: options.workers.unwrap_or(agent.workers).max(1),
            once: options.once,
        };
        let state = State::new(configuration.name(), settings.workers, catalog.runtime().clone());
        let (admin, state, library) = (agent.admin, Arc::new(state), builtin::library_for(options.locked));
        let drain_timeout = agent.drain_timeout;
        Ok(Self { configuration, catalog, library, make, settings, drain_timeout, admin, state, color, _lock: lock })
    }

    /// Runs until the sources end or a signal says so.
    pub(crate) async fn run(self, options: &RunOptions) -> Done {
        let mut signals = Signals::new()?;
        let (since, loading) = (Instant::now(), SystemTime::now());
        // Before anything that takes time, so that whoever asks hears that the agent is starting.
        let cannot_listen = |error| Failure::config(format!("{error}"));
        let mut admin = Admin::start(self.admin.clone(), self.state.clone()).await.map_err(cannot_listen)?;
        let plan = self.load().map_err(|invalid| self.refused(&invalid))?;
        admin.follow(&plan.agent.admin).await.map_err(cannot_listen)?;
        let is_bounded = options.once || plan.sources.iter().all(|s| s.type_name == "stdin");
        let mut topology = Topology::start(&plan, self.settings.clone(), self.make.clone())
            .await
            .map_err(|error| Failure::config(error.to_string()))?;
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
        let running = Instant::now();
        let progress = Progress::start(is_bounded && !options.quiet, &observer);
        let watch = self.watch(!options.no_watch, &plan.files, loading);
        let end = self.serve(&mut topology, &mut admin, watch, &mut signals, is_bounded).await?;
        self.state.drain();
        let mut problems = Vec::new();
        if let End::Finished(errors) = end {
            for (name, error) in errors {
                problems.push(format!("source `{name}`: {error}"));
            }
        }
        problems.extend(observer.stops().list().iter().map(ToString::to_string));
        let elapsed = running.elapsed();
        let clean = topology.drain(self.drain_timeout).await;
        progress.end();
        if !options.quiet {
            exit::say(&summary::render(&observer, elapsed));
        }
        if !clean {
            problems.push("not everything was delivered in time; the sources offer it again at the next start".into());
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
    }

    /// Watches the files of the configuration, with what changed in them since they were loaded.
    fn watch(&self, watched: bool, files: &BTreeSet<PathBuf>, loading: SystemTime) -> Option<Watch> {
        if !watched || !matches!(self.configuration, Configuration::File(_)) {
            return None;
        }
        let made = Watch::new();
        let made = made.inspect_err(|error| tracing::warn!(%error, "changes are not noticed; send SIGHUP to reload"));
        let mut watch = made.ok()?;
        watch.set(files);
        watch.catch_up(loading);
        Some(watch)
    }

    /// Waits for the end, reloading meanwhile what changes.
    async fn serve(
        &self,
        topology: &mut Topology,
        admin: &mut Admin,
        mut watch: Option<Watch>,
        signals: &mut Signals,
        is_bounded: bool,
    ) -> Result<End, Failure> {
        loop {
            let changed = async {
                match &watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = signals.next() => if asked == Asked::End {
                    return Ok(End::Asked);
                },
                () = changed => {}
                errors = topology.finished(is_bounded) => return Ok(End::Finished(errors)),
            }
            let files = self.reload(topology, admin).await;
            if let Some(watch) = &mut watch {
                watch.set(&files);
            }
        }
    }

    /// Loads the configuration anew and swaps to it; if anything is wrong with it, the running one stays. Answers with
    /// the files to watch.
    async fn reload(&self, topology: &mut Topology, admin: &mut Admin) -> BTreeSet<PathBuf> {
        let since = Instant::now();
        let plan = match self.load() {
            Ok(plan) => plan,
            Err(invalid) => {
                self.show(&invalid);
                tracing::error!(
                    generation = topology.generation(),
                    "the changed configuration is invalid; the running one stays"
                );
                self.state.reload_refused(Outcome::Invalid, format!("{invalid}; see the log"));
                return invalid.files;
            }
        };
        let failed = |error: String, generation: u64| {
            tracing::error!(%error, generation, "reload failed; the running generation stays");
            self.state.reload_refused(Outcome::Failed, error);
        };
        let listened = admin.settings().clone();
        if let Err(error) = admin.follow(&plan.agent.admin).await {
            failed(error.to_string(), topology.generation());
            return plan.files;
        }
        match topology.swap(&plan).await {
            Ok(generation) => {
                self.state.reloaded(&plan);
                let packs: Vec<String> = plan
                    .pipelines
                    .iter()
                    .map(|p| p.pack.as_ref().map_or_else(|| p.name.clone(), |pack| format!("{}={pack}", p.name)))
                    .collect();
                tracing::info!(generation, pipelines = packs.join(" "), ms = since.elapsed().as_millis(), "reloaded");
            }
            Err(error) => {
                failed(error.to_string(), topology.generation());
                if let Err(error) = admin.follow(&listened).await {
                    tracing::error!(%error, "the admin listener stays where the refused configuration has it");
                }
            }
        }
        plan.files
    }

    fn load(&self) -> Result<Plan, Invalid> {
        // Compiling takes its time; the workers have threads of their own.
        let loaded = tokio::task::block_in_place(|| self.configuration.load(&self.catalog, &self.library));
        let (plan, warnings) = loaded?;
        for warning in warnings {
            exit::say(&warning.render(self.color));
        }
        Ok(plan)
    }

    fn show(&self, invalid: &Invalid) {
        for diagnostic in &invalid.diagnostics {
            exit::say(&diagnostic.render(self.color));
        }
    }

    fn refused(&self, invalid: &Invalid) -> Failure {
        self.show(invalid);
        let errors = invalid.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        Failure::config(format!("the configuration has {errors} error{}", if errors == 1 { "" } else { "s" }))
    }
}

/// Keeps a second agent out of the data folder.
pub(crate) fn lock(data_dir: &std::path::Path) -> Result<File, Failure> {
    let wrong = |what: &str, error: &io::Error| {
        let hint = "set [agent] data_dir or WATTLE_DATA_DIR to a folder that this user may write";
        Failure::config(format!("data folder `{}` {what}: {error}; {hint}", data_dir.display()))
    };
    std::fs::create_dir_all(data_dir).map_err(|e| wrong("cannot be made", &e))?;
    let path = data_dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|e| wrong("cannot be locked", &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::config(format!(
            "data folder `{}` is used by another agent; stop that one, or set [agent] data_dir to another folder",
            data_dir.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(wrong("cannot be locked", &error)),
    }
}
