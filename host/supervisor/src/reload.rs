//! Reloads: turns a changed configuration into the generation that runs it, or into all errors.
//!
//! The steps: load and validate, which compiles and configures every node once; run the tests of
//! new packs; build; swap. If a step fails, the running generation stays. The error goes to the
//! log, the metrics, `/status`, the history and the caller.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_pack::Library;
use wattle_plan::Plan;
use wattle_runtime::Catalog;
use wattle_topology::{BuildError, Swapped, Topology};

use crate::admin::{Admin, ListenError, State};
use crate::configuration::Configuration;
use crate::control::response::Response;
use crate::frontend::Frontend;
use crate::history::{Entry, Event, History};
use crate::outcome::Outcome;
use crate::pack_tests::{PackTests, PackTestsError};
use crate::remote::Remotes;
use crate::rollout::{Decision, RollbackError, Rollout, version_name};
use crate::supervisor::unmap_idle_code;
use crate::time::Moment;
use crate::watch::{Change, Watch};

/// Why the supervisor cannot apply a plan. The running generation stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is nothing to roll back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// Packs fail their tests.
    #[error(transparent)]
    Tests(#[from] PackTestsError),
    /// The admin listener cannot move.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The topology cannot build the plan.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The cause of a reload.
#[derive(Clone, Debug)]
pub(crate) enum ReloadCause {
    /// Files changed.
    Changed(Change),
    /// SIGHUP.
    Signal,
    /// `wattle reload`.
    Command,
    /// A tag in a registry names another image.
    Registry,
}

impl fmt::Display for ReloadCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(change) => {
                let names: BTreeSet<_> = change.files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
                write!(f, "changed: {}", names.into_iter().collect::<Vec<_>>().join(", "))
            }
            Self::Signal => f.write_str("SIGHUP"),
            Self::Command => f.write_str("wattle reload"),
            Self::Registry => f.write_str("a pack in a registry changed"),
        }
    }
}

/// Loads the configuration, at the start and for each reload.
pub(crate) struct Loader {
    pub(crate) configuration: Configuration,
    pub(crate) catalog: Catalog,
    pub(crate) library: Library,
    /// Packs of registries, which the library knows as well.
    pub(crate) remotes: Remotes,
    pub(crate) frontend: Box<dyn Frontend>,
}

impl Loader {
    pub(crate) fn load(&self) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
        let _loading = self.frontend.loading(self.catalog.runtime());
        // Loading compiles and can take seconds. Workers do not need the threads of this runtime.
        tokio::task::block_in_place(|| {
            let loaded =
                self.remotes.load(&self.configuration, || self.configuration.load(&self.catalog, &self.library))?;
            self.wait_for_optimized(&loaded.0);
            Ok(loaded)
        })
    }

    /// Waits until the code of canaries and shadows is optimized: a comparison must compare
    /// versions and not compilers.
    fn wait_for_optimized(&self, plan: &Plan) {
        for pipeline in plan.pipelines.iter().filter(|pipeline| pipeline.versions().count() > 1) {
            for node in pipeline.versions().flat_map(|version| &version.nodes) {
                // The artifact was compiled a moment ago. If this fails nevertheless, building the
                // pipeline reports it.
                if let Ok(compiled) = self.catalog.runtime().compile(&node.artifact) {
                    compiled.wait_optimized();
                }
            }
        }
    }

    pub(crate) fn show(&self, diagnostics: &[Diagnostic]) {
        self.frontend.show(diagnostics);
    }
}

/// The state that a reload changes.
pub(crate) struct Running {
    pub(crate) topology: Topology,
    pub(crate) admin: Admin,
    pub(crate) watch: Option<Watch>,
    pub(crate) history: History,
    pub(crate) state: Arc<State>,
    /// The plan of the configuration.
    pub(crate) loaded: Plan,
    /// The running plan: `loaded` after all decisions about its pipelines.
    pub(crate) plan: Plan,
    pub(crate) rollout: Rollout,
    pub(crate) tests: PackTests,
}

impl Running {
    /// What runs, in one line, for the service manager.
    pub(crate) fn line(&self) -> String {
        let (generation, plan) = (self.topology.generation(), &self.plan);
        let (sources, pipelines, sinks) = (plan.sources.len(), plan.pipelines.len(), plan.sinks.len());
        format!("generation {generation}: {sources} sources, {pipelines} pipelines, {sinks} sinks")
    }

    /// Loads the configuration and swaps to it. Returns `None` if the change of files was early and
    /// is not complete.
    pub(crate) async fn reload(&mut self, loader: &Loader, why: ReloadCause) -> Option<Response> {
        let since = Instant::now();
        let loaded = loader.load();
        let why = match (why, &loaded, &mut self.watch) {
            (ReloadCause::Changed(change), Err(_), Some(watch)) if change.is_early => {
                watch.wait_for_more(change);
                return None;
            }
            (why, ..) => why,
        };
        let mut response = match loaded {
            Ok((plan, warnings)) => {
                loader.show(&warnings);
                self.follow(&plan.files);
                self.apply(loader, plan, &why, since).await.with(&warnings)
            }
            Err(invalid) => {
                loader.show(&invalid.diagnostics);
                self.follow(&invalid.files);
                self.refuse(Outcome::Invalid, &format!("{invalid}; see the log"), &why).with(&invalid.diagnostics)
            }
        };
        loader.remotes.poller().end_load(response.error.is_none());
        response.ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        unmap_idle_code();
        Some(response)
    }

    fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        if let Some(watch) = &mut self.watch {
            watch.set(files);
        }
    }

    /// Applies the loaded plan, with all decisions about its pipelines.
    async fn apply(&mut self, loader: &Loader, loaded: Plan, why: &ReloadCause, since: Instant) -> Response {
        let plan = self.rollout.apply(loaded.clone());
        let notes = self.rollout.notes(&loaded);
        Rollout::log_notes(&notes);
        // Every reload restarts pipelines that stopped.
        let has_stopped = !self.topology.observer().stops().list().is_empty();
        if plan.fingerprint() == self.plan.fingerprint() && !has_stopped {
            let generation = self.topology.generation();
            tracing::info!(generation, %why, "nothing changed");
            self.state.note_reload(Outcome::Unchanged, None);
            self.loaded = loaded;
            return Response { notes, ..self.response(Outcome::Unchanged, None) };
        }
        if plan.agent.pack_tests
            && let Err(failed) = self.tests.pass(&loader.catalog, &loader.library, &self.plan, &plan)
        {
            return self.refuse(Outcome::Failed, &failed.to_string(), why);
        }
        match self.change(plan, &why.to_string(), Event::Applied, since).await {
            Ok(emptied) => {
                self.loaded = loaded;
                Response { emptied, notes, ..self.response(Outcome::Applied, None) }
            }
            Err(error) => self.refuse(Outcome::Failed, &error.to_string(), why),
        }
    }

    /// Swaps to another plan. Returns the nodes that start without the state of their predecessors.
    async fn change(&mut self, plan: Plan, why: &str, what: Event, since: Instant) -> Result<Vec<String>, ChangeError> {
        let Swapped { generation, emptied } = self.swap(&plan).await?;
        // First, because it reads the counts: the counts of the old version must not count against
        // the new one.
        self.rollout.began(Some(&self.plan), &plan, self.topology.observer(), Moment::now());
        if !emptied.is_empty() {
            tracing::warn!(nodes = emptied.join(" "), "nodes start without the state of their predecessors");
        }
        self.state.note_tested(self.tests.passed().cloned());
        self.state.reloaded(&plan);
        let packs: Vec<String> = plan
            .pipelines
            .iter()
            .map(|p| p.pack.as_ref().map_or_else(|| p.name.clone(), |pack| format!("{}={pack}", p.name)))
            .collect();
        let ms = since.elapsed().as_millis();
        tracing::info!(generation, pipelines = packs.join(" "), ms, why, "reloaded");
        let entry = Entry::new(generation, what, why).running(&plan);
        self.history.add(&Entry { emptied: emptied.clone(), ..entry });
        self.plan = plan;
        Ok(emptied)
    }

    /// Evaluates the rules of rollouts, and promotes or rolls back.
    pub(crate) async fn decide(&mut self, now: Moment) {
        self.state.note_canaries(self.rollout.progress(&self.plan, self.topology.observer(), now));
        if let Some(decision) = self.rollout.decide(&self.plan, self.topology.observer(), now) {
            // The log and the history contain the result.
            let _ = self.carry_out(&decision).await;
        }
    }

    /// Rolls back one pipeline, or all that can be rolled back, at the request of an operator.
    pub(crate) async fn roll_back(&mut self, pipeline: Option<String>) -> Response {
        let since = Instant::now();
        let all = pipeline.map_or_else(|| self.rollout.reversible(&self.plan), |name| vec![name]);
        let (mut errors, mut notes) = (Vec::new(), Vec::new());
        for pipeline in &all {
            let why = "wattle rollback".to_owned();
            let decision = Decision { pipeline: pipeline.clone(), is_promotion: false, why };
            match self.carry_out(&decision).await {
                Ok(note) => notes.push(note),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if all.is_empty() {
            errors.push("no pipeline ran in another version before".into());
        }
        let outcome = if errors.is_empty() { Outcome::Applied } else { Outcome::Failed };
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Response { ms, notes, ..self.response(outcome, error) }
    }

    /// Promotes a canary or rolls a pipeline back. Returns a sentence with both versions.
    async fn carry_out(&mut self, decision: &Decision) -> Result<String, ChangeError> {
        let since = Instant::now();
        let before = running(&self.plan, &decision.pipeline);
        let Decision { pipeline, is_promotion, why } = decision;
        let what = if *is_promotion { Event::Promoted } else { Event::RolledBack };
        self.rollout.record_decision(decision, &self.plan)?;
        let plan = self.rollout.apply(self.loaded.clone());
        let (from, to) = (before, running(&plan, pipeline));
        self.state.note_rollout(pipeline, *is_promotion);
        match *is_promotion {
            true => tracing::info!(pipeline, from, to, why, "canary promoted"),
            false => tracing::warn!(pipeline, from, to, why, "rolled back"),
        }
        let done = self.change(plan, &format!("{pipeline}: from {from} to {to}: {why}"), what, since).await;
        if let Err(error) = &done {
            tracing::error!(pipeline, %error, "cannot build the plan of a rollout decision; the running generation stays");
        }
        done.map(|_| format!("pipeline `{pipeline}`: from {from} to {to}"))
    }

    async fn swap(&mut self, plan: &Plan) -> Result<Swapped, ChangeError> {
        let listened = self.admin.settings().clone();
        self.admin.follow(&plan.agent.admin).await?;
        match self.topology.swap(plan).await {
            Ok(swapped) => Ok(swapped),
            Err(error) => {
                if let Err(error) = self.admin.follow(&listened).await {
                    tracing::error!(%error, "cannot move the admin listener back; it keeps the address of the refused configuration");
                }
                Err(error.into())
            }
        }
    }

    /// Reports that a reload failed and the running generation stays.
    fn refuse(&self, outcome: Outcome, error: &str, why: &ReloadCause) -> Response {
        // Before the log line, so a reader of the log finds the reload in the metrics.
        self.state.note_reload(outcome, Some(error.to_owned()));
        let generation = self.topology.generation();
        let event = if outcome == Outcome::Invalid {
            tracing::error!(generation, %why, "the changed configuration is invalid; the running one stays");
            Event::Invalid
        } else {
            tracing::error!(error, generation, %why, "reload failed; the running generation stays");
            Event::Failed
        };
        let entry = Entry::new(generation, event, why.to_string());
        self.history.add(&Entry { error: Some(error.to_owned()), ..entry });
        self.response(outcome, Some(error.to_owned()))
    }

    fn response(&self, outcome: Outcome, error: Option<String>) -> Response {
        Response { outcome, generation: self.topology.generation(), error, ..Response::default() }
    }
}

/// The running versions of a pipeline and of its canary, for messages.
fn running(plan: &Plan, pipeline: &str) -> String {
    let Some(pipeline) = plan.pipelines.iter().find(|p| p.name == pipeline) else { return "nothing".into() };
    let canary = pipeline.canary.as_ref().map(|canary| format!(" with canary {}", version_name(&canary.candidate)));
    version_name(pipeline) + &canary.unwrap_or_default()
}
