//! The running agent: loads its configuration, starts the topology, does what is asked, drains at the end.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use wattle_pack::{AdminSettings, Invalid, Severity, SinkPlan};
use wattle_sink::SinkStats;
use wattle_source::SourceError;
use wattle_topology::{Component, MakeNode, Observer, Topology, TopologySettings, sandboxed};

use crate::admin::{Admin, State};
use crate::builtin;
use crate::cli::RunOptions;
use crate::configuration::{Configuration, PREVIEW, catalog, lasting_catalog};
use crate::control::{Asked, Command, Control};
use crate::data_folder;
use crate::exit::{self, Done, Failure};
use crate::history::{Entry, History};
use crate::pack_tests::PackTests;
use crate::progress::Progress;
use crate::reload::{Loader, Running, Why};
use crate::remote::Remotes;
use crate::rollout::Rollout;
use crate::signals::{Asked as Signalled, Signals};
use crate::summary;
use crate::waiting::Waiting;
use crate::watch::Watch;

/// How often it is looked at whether a canary is to be promoted or something is to be rolled back.
const DECIDE: Duration = Duration::from_millis(200);

/// How often the outputs of sinks are checked in a run that may end because of them.
const LOOK: Duration = Duration::from_millis(50);
/// How long a sink must be unable to deliver before a run that ends by itself gives up.
const BROKEN: Duration = Duration::from_secs(3);
/// How long such a run drains.
const LAST_TRY: Duration = Duration::from_secs(1);

pub(crate) struct Supervisor {
    loader: Loader,
    make: Arc<MakeNode>,
    settings: TopologySettings,
    drain_timeout: Duration,
    /// Where to listen until the configuration is loaded.
    admin: Option<AdminSettings>,
    state: Arc<State>,
    /// Held as long as the agent uses its data folder.
    _lock: Option<File>,
}

/// Why the agent stops running.
enum End {
    /// Every source has ended, these of them by an error.
    Finished(Vec<(String, SourceError)>),
    /// A signal asked for it.
    Asked,
    /// The reader of the only output has closed it.
    Closed,
    /// A run that ends by itself has sinks that cannot deliver until an operator acts; their errors.
    Broken(Vec<String>),
}

impl Supervisor {
    pub(crate) fn new(configuration: Configuration, options: &RunOptions, color: bool) -> Result<Self, Failure> {
        let agent = configuration.settings();
        let lock = match &configuration {
            Configuration::File(_) => Some(data_folder::lock(&agent.data_dir)?),
            // Standard input keeps nothing in the data folder, so any number of such agents may run.
            Configuration::Text(_) => None,
        };
        // What ends when its input does is better off with its code in the cache for the next time.
        let is_lasting = matches!(configuration, Configuration::File(_)) && !options.once && agent.artifacts.baseline;
        let catalog = if is_lasting { lasting_catalog } else { catalog }(&agent.data_dir, agent.artifacts)?;
        let make = sandboxed(catalog.runtime().clone(), catalog.services().clone());
        let settings = TopologySettings {
            data_dir: agent.data_dir,
            workers: options.workers.unwrap_or(agent.workers).max(1),
            once: options.once,
            keeps_state: matches!(configuration, Configuration::File(_)),
        };
        let state =
            State::new(configuration.name(), settings.workers, catalog.runtime().clone(), catalog.services().clone());
        let remotes = Remotes::new(&configuration);
        state.watch(remotes.poller());
        let library = builtin::library_for(options.locked).with_remote(remotes.poller().clone());
        let loader = Loader { configuration, catalog, library, remotes, color };
        let (admin, drain_timeout) = (agent.admin, agent.drain_timeout);
        Ok(Self { loader, make, settings, drain_timeout, admin, state: Arc::new(state), _lock: lock })
    }

    /// Runs until the sources end or a signal says so.
    pub(crate) async fn run(self, options: &RunOptions) -> Done {
        let mut signals = Signals::new(self.settings.keeps_state)?;
        let (since, loading) = (Instant::now(), SystemTime::now());
        // Before anything that takes time, so that whoever asks hears that the agent is starting.
        let cannot_listen = |error| Failure::config(format!("{error}"));
        let mut admin = Admin::start(self.admin.clone(), self.state.clone()).await.map_err(cannot_listen)?;
        let control = self.settings.keeps_state.then(|| self.listen()).flatten();
        let (loaded, warnings) = self.loader.load().map_err(|invalid| self.refused(&invalid))?;
        self.loader.show(&warnings);
        let data_dir = self.settings.keeps_state.then_some(self.settings.data_dir.as_path());
        let mut rollout = Rollout::open(data_dir);
        let plan = rollout.apply(loaded.clone());
        Rollout::log_notes(&rollout.notes(&loaded));
        admin.follow(&plan.agent.admin).await.map_err(cannot_listen)?;
        let is_bounded = options.once || plan.sources.iter().all(|s| s.type_name == "stdin");
        let topology = Topology::start(&plan, self.settings.clone(), self.make.clone())
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
        self.loader.remotes.poller().settle(true);
        self.loader.remotes.start()?;
        rollout.began(None, &plan, &observer);
        let history = History::new(data_dir);
        history.add(&Entry::new(topology.generation(), "started", "the agent started").running(&plan));
        let started = Instant::now();
        let progress = Progress::start(is_bounded && !options.quiet, &observer);
        let watch = self.watch(!options.no_watch, &plan.files, loading);
        let mut running = Running {
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
        let settling = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                services.settle(false);
            }
        });
        let end = self.serve(&mut running, control, &mut signals, is_bounded).await;
        let Running { topology, admin: _admin, .. } = running;
        settling.abort();
        self.state.drain();
        let mut problems = Vec::new();
        let mut drain_timeout = self.drain_timeout;
        let is_closed = matches!(end, End::Closed);
        match end {
            End::Finished(errors) => {
                problems.extend(errors.iter().map(|(name, error)| format!("source `{name}`: {error}")));
                problems.extend(unread(&observer, |name| errors.iter().any(|(of, _)| of == name)));
            }
            End::Broken(errors) => {
                drain_timeout = drain_timeout.min(LAST_TRY);
                problems.extend(errors);
            }
            End::Asked | End::Closed => {}
        }
        problems.extend(observer.stops().list().iter().map(ToString::to_string));
        let elapsed = started.elapsed();
        progress.end();
        let waiting = Waiting::start("draining:", {
            let (observer, until) = (observer.clone(), Instant::now() + drain_timeout);
            move || Some(summary::render_left(&observer, until.saturating_duration_since(Instant::now())))
        });
        let drained = topology.drain(drain_timeout).await;
        drop(waiting);
        self.state.services.settle(true);
        if is_closed {
            // The reader has closed the only output, so the run is over, as that of any filter.
            return Ok(());
        }
        if !options.quiet {
            exit::say(&summary::render(&observer, elapsed));
        }
        if options.previews() {
            exit::say(&summary::render_preview(&observer, PREVIEW.into()));
        }
        if !drained.is_clean {
            problems.push("not everything was delivered in time; the sources offer it again at the next start".into());
            problems.extend(drained.left.iter().map(|left| {
                format!("sink `{}` did not deliver {} events ({} bytes)", left.sink, left.events, left.bytes)
            }));
        }
        if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
    }

    /// Listens for commands. An agent that cannot goes on without.
    fn listen(&self) -> Option<Control> {
        let made = Control::listen(&self.settings.data_dir, &self.state);
        made.inspect_err(|error| tracing::warn!(%error, "no control socket; `wattle reload` does not reach this agent"))
            .ok()
    }

    /// Watches the files of the configuration, with what changed in them since they were loaded.
    fn watch(&self, watched: bool, files: &BTreeSet<PathBuf>, loading: SystemTime) -> Option<Watch> {
        let Configuration::File(path) = &self.loader.configuration else { return None };
        if !watched {
            return None;
        }
        let made = Watch::new(path);
        let made = made.inspect_err(|error| tracing::warn!(%error, "changes are not noticed; send SIGHUP to reload"));
        let mut watch = made.ok()?;
        watch.set(files);
        watch.catch_up(loading);
        Some(watch)
    }

    /// Waits for the end, and does meanwhile what is asked.
    async fn serve(
        &self,
        running: &mut Running,
        mut control: Option<Control>,
        signals: &mut Signals,
        is_bounded: bool,
    ) -> End {
        let mut is_closed = false;
        loop {
            let changed = async {
                match &mut running.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            let asked = async {
                match &mut control {
                    Some(control) => control.next().await,
                    None => std::future::pending().await,
                }
            };
            let is_busy = running.rollout.is_busy();
            let observer = running.topology.observer().clone();
            let is_console = |sink: &SinkPlan| sink.component.type_name == "console";
            let has_console = !is_closed && running.plan.sinks.iter().any(is_console);
            let is_filter = has_console && running.plan.sinks.iter().all(is_console);
            let why = tokio::select! {
                signalled = signals.next() => match signalled {
                    Signalled::End => return End::Asked,
                    Signalled::Reload => Why::Signal,
                },
                change = changed => Why::Changed(change),
                () = self.loader.remotes.changed() => Why::Registry,
                asked = asked => {
                    self.answer(running, asked).await;
                    continue;
                }
                () = tokio::time::sleep(DECIDE), if is_busy => {
                    running.decide().await;
                    continue;
                }
                sink = closed(&observer), if has_console => {
                    if is_filter {
                        return End::Closed;
                    }
                    is_closed = true;
                    tracing::error!(
                        %sink,
                        "output is closed by its reader; events for this sink count as failed, other sinks go on"
                    );
                    continue;
                }
                errors = broken(&observer), if is_bounded => return End::Broken(errors),
                errors = running.topology.finished(is_bounded) => return End::Finished(errors),
            };
            running.reload(&self.loader, why).await;
        }
    }

    /// Does what was asked over the control socket. Whoever asked may have gone.
    async fn answer(&self, running: &mut Running, asked: Asked) {
        let answer = match asked.command {
            Command::Reload => json(running.reload(&self.loader, Why::Asked).await),
            Command::RollBack(pipeline) => json(running.roll_back(pipeline).await),
            Command::Shadow => running.shadows(),
        };
        let _ = asked.answer.send(answer);
    }

    fn refused(&self, invalid: &Invalid) -> Failure {
        self.loader.show(&invalid.diagnostics);
        let errors = invalid.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        Failure::config(format!("the configuration has {errors} error{}", if errors == 1 { "" } else { "s" }))
    }
}

/// Waits until the reader of a sink's output has closed it; answers with the name of the sink.
async fn closed(observer: &Observer) -> String {
    loop {
        if let Some(sink) = observer.sinks().into_iter().find(|sink| sink.stats.is_closed()) {
            return sink.name;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until sinks cannot deliver before an operator acts; answers with their errors.
async fn broken(observer: &Observer) -> Vec<String> {
    loop {
        let sinks = observer.sinks().into_iter();
        let error = |sink: Component<SinkStats>| Some(format!("sink `{}`: {}", sink.name, sink.stats.broken(BROKEN)?));
        let errors: Vec<String> = sinks.filter_map(error).collect();
        if !errors.is_empty() {
            return errors;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Sources with inputs that they could not read to their ends, apart from those that have said so.
fn unread(observer: &Observer, is_known: impl Fn(&str) -> bool) -> Vec<String> {
    let sources = observer.sources().into_iter().filter(|source| !is_known(&source.name));
    let failed = sources.map(|source| (source.stats.failures.load(Ordering::Relaxed), source.name));
    let failed = failed.filter(|(failures, _)| *failures > 0);
    failed
        .map(|(failures, name)| format!("source `{name}`: {failures} inputs were not read in full; see the log"))
        .collect()
}

fn json(answer: impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(answer).unwrap_or_default()
}
