//! Reloading: from a changed configuration to the generation that runs it, or to every reason why not.
//!
//! Load and validate (which compiles and configures every node once), pass the packs' tests, build, swap. A failure
//! anywhere leaves what runs as it is, and is told in the log, the metrics, `/status`, the history, and to whoever asked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use wattle_pack::{Diagnostic, Invalid, Library, Plan};
use wattle_runtime::Catalog;
use wattle_topology::{Swapped, Topology};

use crate::admin::{Admin, Outcome, State};
use crate::configuration::Configuration;
use crate::control::response::Response;
use crate::frontend::Frontend;
use crate::history::{Entry, History};
use crate::pack_tests::PackTests;
use crate::remote::Remotes;
use crate::rollout::{Decision, Rollout, version_name};
use crate::shadow;
use crate::time::Moment;
use crate::watch::{Change, Watch};

/// ReloadCause a configuration is loaded anew.
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

/// Loads the configuration, again and again.
pub(crate) struct Loader {
    pub(crate) configuration: Configuration,
    pub(crate) catalog: Catalog,
    pub(crate) library: Library,
    /// Packs of registries, which the library knows too.
    pub(crate) remotes: Remotes,
    pub(crate) frontend: Box<dyn Frontend>,
}

impl Loader {
    pub(crate) fn load(&self) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
        let _loading = self.frontend.loading(self.catalog.runtime());
        // Compiling takes its time; the workers have threads of their own.
        tokio::task::block_in_place(|| {
            let loaded =
                self.remotes.load(&self.configuration, || self.configuration.load(&self.catalog, &self.library))?;
            self.wait_for_trials(&loaded.0);
            Ok(loaded)
        })
    }

    /// Versions that are compared must not differ by how far the compiler has got.
    fn wait_for_trials(&self, plan: &Plan) {
        for pipeline in plan.pipelines.iter().filter(|pipeline| pipeline.versions().count() > 1) {
            for node in pipeline.versions().flat_map(|version| &version.nodes) {
                // It has been compiled just now; if that fails nevertheless, building the pipeline says so.
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

/// What runs, and what a reload changes of it.
pub(crate) struct Running {
    pub(crate) topology: Topology,
    pub(crate) admin: Admin,
    pub(crate) watch: Option<Watch>,
    pub(crate) history: History,
    pub(crate) state: Arc<State>,
    /// The plan as the configuration has it.
    pub(crate) loaded: Plan,
    /// The plan that runs: with what was decided about its pipelines.
    pub(crate) plan: Plan,
    pub(crate) rollout: Rollout,
    pub(crate) tests: PackTests,
}

impl Running {
    /// Loads the configuration anew and swaps to it. `None` if a change that came early was not whole, and is waited for.
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
                self.take_up(loader, plan, &why, since).await.with(&warnings)
            }
            Err(invalid) => {
                loader.show(&invalid.diagnostics);
                self.follow(&invalid.files);
                self.refuse(Outcome::Invalid, &format!("{invalid}; see the log"), &why).with(&invalid.diagnostics)
            }
        };
        loader.remotes.poller().settle(response.error.is_none());
        response.ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(response)
    }

    fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        if let Some(watch) = &mut self.watch {
            watch.set(files);
        }
    }

    /// Runs what was loaded, with what was decided about its pipelines.
    async fn take_up(&mut self, loader: &Loader, loaded: Plan, why: &ReloadCause, since: Instant) -> Response {
        let plan = self.rollout.apply(loaded.clone());
        let notes = self.rollout.notes(&loaded);
        Rollout::log_notes(&notes);
        // A pipeline that stopped begins again with any reload.
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
            return self.refuse(Outcome::Failed, &failed, why);
        }
        match self.change(plan, &why.to_string(), Outcome::Applied.name(), since).await {
            Ok(emptied) => {
                self.loaded = loaded;
                Response { emptied, notes, ..self.response(Outcome::Applied, None) }
            }
            Err(error) => self.refuse(Outcome::Failed, &error, why),
        }
    }

    /// Runs another plan from now on. Answers with the nodes that begin without former state.
    async fn change(&mut self, plan: Plan, why: &str, what: &str, since: Instant) -> Result<Vec<String>, String> {
        let Swapped { generation, emptied } = self.swap(&plan).await?;
        // First of all, since what was done before it looks at the counts is not held against the new version.
        self.rollout.began(Some(&self.plan), &plan, self.topology.observer(), Moment::now());
        if !emptied.is_empty() {
            tracing::warn!(nodes = emptied.join(" "), "these nodes begin with nothing instead of former state");
        }
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

    /// Promotes or rolls back what is due.
    pub(crate) async fn decide(&mut self, now: Moment) {
        if let Some(decision) = self.rollout.decide(&self.plan, self.topology.observer(), now) {
            // Whatever comes of it is in the log and the history.
            let _ = self.settle(&decision).await;
        }
    }

    /// Rolls pipelines back, one or all that can be, because somebody asked for it.
    pub(crate) async fn roll_back(&mut self, pipeline: Option<String>) -> Response {
        let since = Instant::now();
        let all = pipeline.map_or_else(|| self.rollout.reversible(&self.plan), |name| vec![name]);
        let (mut errors, mut notes) = (Vec::new(), Vec::new());
        for pipeline in &all {
            let why = "wattle rollback".to_owned();
            let decision = Decision { pipeline: pipeline.clone(), is_promotion: false, why };
            match self.settle(&decision).await {
                Ok(note) => notes.push(note),
                Err(error) => errors.push(error),
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

    /// Promotes a canary, or rolls a pipeline back. Answers with what ran and what runs now.
    async fn settle(&mut self, decision: &Decision) -> Result<String, String> {
        let since = Instant::now();
        let before = running(&self.plan, &decision.pipeline);
        let Decision { pipeline, is_promotion, why } = decision;
        let what = if *is_promotion { "promoted" } else { "rolled-back" };
        self.rollout.settle(decision, &self.plan)?;
        let plan = self.rollout.apply(self.loaded.clone());
        let (from, to) = (before, running(&plan, pipeline));
        match *is_promotion {
            true => tracing::info!(pipeline, from, to, why, "canary promoted"),
            false => tracing::warn!(pipeline, from, to, why, "rolled back"),
        }
        self.state.note_rollout(pipeline, *is_promotion);
        let done = self.change(plan, &format!("{pipeline}: from {from} to {to}: {why}"), what, since).await;
        if let Err(error) = &done {
            tracing::error!(pipeline, error, "what was decided cannot be built; the running generation stays");
        }
        done.map(|_| format!("pipeline `{pipeline}`: from {from} to {to}"))
    }

    /// What shadows have found, with the first events that are not the same.
    pub(crate) fn shadows(&self) -> serde_json::Value {
        let all = self.topology.observer().shadows();
        serde_json::Value::Object(all.iter().map(|(name, s)| (name.clone(), shadow::json(s, true))).collect())
    }

    async fn swap(&mut self, plan: &Plan) -> Result<Swapped, String> {
        let listened = self.admin.settings().clone();
        self.admin.follow(&plan.agent.admin).await.map_err(|error| error.to_string())?;
        match self.topology.swap(plan).await {
            Ok(swapped) => Ok(swapped),
            Err(error) => {
                if let Err(error) = self.admin.follow(&listened).await {
                    tracing::error!(%error, "the admin listener stays where the refused configuration has it");
                }
                Err(error.to_string())
            }
        }
    }

    /// Notes that what runs stays.
    fn refuse(&self, outcome: Outcome, error: &str, why: &ReloadCause) -> Response {
        let generation = self.topology.generation();
        match outcome {
            Outcome::Invalid => {
                tracing::error!(generation, %why, "the changed configuration is invalid; the running one stays");
            }
            _ => tracing::error!(error, generation, %why, "reload failed; the running generation stays"),
        }
        self.state.note_reload(outcome, Some(error.to_owned()));
        let entry = Entry::new(generation, outcome.name(), why.to_string());
        self.history.add(&Entry { error: Some(error.to_owned()), ..entry });
        self.response(outcome, Some(error.to_owned()))
    }

    fn response(&self, outcome: Outcome, error: Option<String>) -> Response {
        Response {
            outcome: outcome.name().into(),
            generation: self.topology.generation(),
            error,
            ..Response::default()
        }
    }
}

/// What runs of a pipeline, for people: its version, and that of its canary.
fn running(plan: &Plan, pipeline: &str) -> String {
    let Some(pipeline) = plan.pipelines.iter().find(|p| p.name == pipeline) else { return "nothing".into() };
    let canary = pipeline.canary.as_ref().map(|trial| format!(" with canary {}", version_name(&trial.candidate)));
    version_name(pipeline) + &canary.unwrap_or_default()
}
