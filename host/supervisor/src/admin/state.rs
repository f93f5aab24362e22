//! The state that the admin listener reports: phase, running pipelines, results of reloads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use wattle_api::packs::Packs;
use wattle_capability::Services;
use wattle_plan::{AdminSettings, CanarySettings, PackId, Plan};
use wattle_registry::{PollState, Poller};
use wattle_runtime::Runtime;
use wattle_topology::{EndpointState, Observer, QuarantineStore};

use super::api::{Live, graph, packs};
use super::rates::Rates;
use crate::certificates::CertificateFile;
use crate::outcome::Outcome;
use crate::rollout::Progress;
use crate::trial::trials::Trials;

/// Phase of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It reads its configuration and compiles.
    Starting,
    /// Its topology runs.
    Running,
    /// Its sources stop, and it delivers the events in progress.
    Draining,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

/// A pipeline of the configuration that runs.
#[derive(Clone, Debug)]
pub(crate) struct PipelineInfo {
    pub(crate) name: String,
    pub(crate) pack: Option<PackId>,
    /// Name, and type with version, of each node.
    pub(crate) nodes: Vec<(String, String)>,
    /// The version that takes a share of its batches.
    pub(crate) canary: Option<CanaryInfo>,
}

/// A canary of the configuration that runs.
#[derive(Clone, Debug)]
pub(crate) struct CanaryInfo {
    pub(crate) pack: Option<PackId>,
    pub(crate) settings: CanarySettings,
}

/// The last reload.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    pub(crate) outcome: Outcome,
    pub(crate) at: SystemTime,
    /// The error, if it failed.
    pub(crate) error: Option<String>,
}

/// What changes while the agent runs.
struct Current {
    phase: Phase,
    observer: Observer,
    /// None before anything runs.
    data_dir: Option<PathBuf>,
    pipelines: Arc<[PipelineInfo]>,
    graph: Arc<graph::Running>,
    packs: Arc<Packs>,
    certificates: Arc<[CertificateFile]>,
    /// Digests of packs that passed their tests.
    tested: BTreeSet<String>,
    /// What the operator allows.
    settings: Arc<AdminSettings>,
    /// Time at which the running configuration was applied.
    loaded: SystemTime,
    last_reload: Option<LastReload>,
}

impl Current {
    fn follow(&mut self, plan: &Plan) {
        self.pipelines = pipelines(plan);
        self.graph = Arc::new(graph::Running::new(plan, self.observer.generation()));
        self.packs = Arc::new(packs::packs(plan, &self.tested));
        self.certificates = CertificateFile::of(plan);
        self.settings = Arc::new(plan.agent.admin.clone().unwrap_or_default());
        self.loaded = SystemTime::now();
    }
}

pub(crate) struct State {
    pub(crate) started: SystemTime,
    pub(crate) since: Instant,
    /// Name of the configuration in diagnostics.
    pub(crate) config: String,
    pub(crate) workers: usize,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) services: Arc<Services>,
    reloads: [AtomicU64; Outcome::ALL.len()],
    /// Promotions and rollbacks, by pipeline.
    rollouts: Mutex<BTreeMap<String, [u64; 2]>>,
    /// How far canaries are, by pipeline.
    canaries: Mutex<BTreeMap<String, Progress>>,
    current: Mutex<Current>,
    /// Increased when a generation starts, and when the drain begins.
    changes: watch::Sender<u64>,
    rates: Mutex<Rates>,
    poller: OnceLock<Arc<Poller>>,
    /// What the clients of the stream share.
    pub(crate) live: Live,
    trials: OnceLock<Arc<Trials>>,
}

impl State {
    pub(crate) fn new(config: String, workers: usize, runtime: Arc<Runtime>, services: Arc<Services>) -> Self {
        let started = SystemTime::now();
        Self {
            started,
            since: Instant::now(),
            config,
            workers,
            runtime,
            services,
            reloads: Default::default(),
            rollouts: Mutex::default(),
            canaries: Mutex::default(),
            current: Mutex::new(Current {
                phase: Phase::Starting,
                observer: Observer::default(),
                data_dir: None,
                pipelines: Arc::default(),
                graph: Arc::default(),
                packs: Arc::default(),
                certificates: Arc::default(),
                tested: BTreeSet::new(),
                settings: Arc::default(),
                loaded: started,
                last_reload: None,
            }),
            changes: watch::Sender::default(),
            rates: Mutex::default(),
            poller: OnceLock::new(),
            live: Live::default(),
            trials: OnceLock::new(),
        }
    }

    /// Sets what tries packs.
    pub(crate) fn try_with(&self, trials: Arc<Trials>) {
        let _ = self.trials.set(trials);
    }

    /// Tries packs; none before the agent starts.
    pub(crate) fn trials(&self) -> Option<&Arc<Trials>> {
        self.trials.get()
    }

    /// Sets the plan whose packs can be tried.
    fn try_plan(&self, plan: &Plan) {
        if let Some(trials) = self.trials.get() {
            trials.follow(plan);
        }
    }

    /// Sets the source of the states of registries.
    pub(crate) fn watch(&self, poller: &Arc<Poller>) {
        let _ = self.poller.set(poller.clone());
    }

    /// The states of all packs of registries that a configuration used, by reference.
    pub(crate) fn registries(&self) -> Vec<(String, PollState)> {
        let states = self.poller.get().map(|poller| poller.states()).unwrap_or_default();
        states.into_iter().map(|(reference, state)| (reference.to_string(), state)).collect()
    }

    /// Records that a topology runs.
    pub(crate) fn run(&self, observer: Observer, plan: &Plan) {
        self.try_plan(plan);
        let mut current = self.current.lock();
        current.observer = observer;
        current.data_dir = Some(plan.agent.data_dir.clone());
        current.follow(plan);
        current.phase = Phase::Running;
        drop(current);
        self.change();
    }

    /// Records that the topology drains.
    pub(crate) fn drain(&self) {
        self.current.lock().phase = Phase::Draining;
        self.change();
    }

    /// Whether the topology drains.
    pub(crate) fn is_draining(&self) -> bool {
        self.phase() == Phase::Draining
    }

    /// Waits until the topology drains.
    pub(crate) async fn draining(&self) {
        // The sender lives as long as `self`.
        let _ = self.changes.subscribe().wait_for(|_| self.is_draining()).await;
    }

    /// Receives a value when a generation starts, and when the drain begins.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Records a reload that took effect.
    pub(crate) fn reloaded(&self, plan: &Plan) {
        self.try_plan(plan);
        self.current.lock().follow(plan);
        self.note_reload(Outcome::Applied, None);
        self.change();
    }

    /// Records the outcome of a reload.
    pub(crate) fn note_reload(&self, outcome: Outcome, error: Option<String>) {
        if let Some(count) = self.reloads.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.current.lock().last_reload = Some(LastReload { outcome, at: SystemTime::now(), error });
    }

    /// Records a promotion or a rollback.
    pub(crate) fn note_rollout(&self, pipeline: &str, is_promotion: bool) {
        let mut all = self.rollouts.lock();
        let [promoted, rolled_back] = all.entry(pipeline.to_owned()).or_default();
        *(if is_promotion { promoted } else { rolled_back }) += 1;
    }

    /// Promotions and rollbacks, by pipeline.
    pub(crate) fn rollouts(&self) -> BTreeMap<String, [u64; 2]> {
        self.rollouts.lock().clone()
    }

    /// Records how far canaries are.
    pub(crate) fn note_canaries(&self, canaries: BTreeMap<String, Progress>) {
        *self.canaries.lock() = canaries;
    }

    /// How far the canary of a pipeline is.
    pub(crate) fn canary(&self, pipeline: &str) -> Progress {
        self.canaries.lock().get(pipeline).cloned().unwrap_or_default()
    }

    /// Samples the counts for the rates.
    pub(crate) fn sample(&self) {
        self.rates.lock().note(Instant::now(), self.observer().counts());
    }

    /// Reads the rates.
    pub(crate) fn rates<T>(&self, read: impl FnOnce(&Rates) -> T) -> T {
        read(&self.rates.lock())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.current.lock().phase
    }

    /// The observer of the topology; empty before it starts.
    pub(crate) fn observer(&self) -> Observer {
        self.current.lock().observer.clone()
    }

    pub(crate) fn pipelines(&self) -> Arc<[PipelineInfo]> {
        self.current.lock().pipelines.clone()
    }

    /// What the operator allows.
    pub(crate) fn settings(&self) -> Arc<AdminSettings> {
        self.current.lock().settings.clone()
    }

    /// Sets what the operator allows before a plan is known.
    pub(crate) fn allow(&self, settings: Option<&AdminSettings>) {
        self.current.lock().settings = Arc::new(settings.cloned().unwrap_or_default());
    }

    /// The graph that runs; empty before anything runs.
    pub(crate) fn graph(&self) -> Arc<graph::Running> {
        self.current.lock().graph.clone()
    }

    /// The certificates of the sources and sinks that run.
    pub(crate) fn certificates(&self) -> Arc<[CertificateFile]> {
        self.current.lock().certificates.clone()
    }

    /// The packs that run.
    pub(crate) fn packs(&self) -> Arc<Packs> {
        self.current.lock().packs.clone()
    }

    /// Records the digests of packs that passed their tests.
    pub(crate) fn note_tested(&self, digests: impl Iterator<Item = String>) {
        self.current.lock().tested.extend(digests);
    }

    /// The data folder, once something runs.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        self.current.lock().data_dir.clone()
    }

    pub(crate) fn loaded(&self) -> SystemTime {
        self.current.lock().loaded
    }

    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        self.current.lock().last_reload.clone()
    }

    /// Bytes in quarantine, of each pipeline that runs or has events there.
    pub(crate) fn quarantines(&self) -> BTreeMap<String, u64> {
        let (data_dir, pipelines) = {
            let current = self.current.lock();
            (current.data_dir.clone(), current.pipelines.clone())
        };
        let mut all: BTreeMap<String, u64> = pipelines.iter().map(|info| (info.name.clone(), 0)).collect();
        // Pipelines report a quarantine folder that cannot be read.
        let stores = data_dir.and_then(|data_dir| QuarantineStore::all(&data_dir).ok()).unwrap_or_default();
        all.extend(stores.iter().map(|store| (store.pipeline().to_owned(), store.size())));
        all
    }

    /// Number of reloads with this outcome.
    pub(crate) fn reloads(&self, outcome: Outcome) -> u64 {
        self.reloads.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The reason why the agent is not ready; `None` if it is.
    pub(crate) fn unready(&self) -> Option<String> {
        let (phase, observer) = {
            let current = self.current.lock();
            (current.phase, current.observer.clone())
        };
        match phase {
            Phase::Starting => return Some("starting: the configuration is being read and compiled".into()),
            Phase::Draining => return Some("draining: the agent delivers what it has, and ends".into()),
            Phase::Running => {}
        }
        let trouble = |kind: &str, name: &str, state: &EndpointState| match state {
            EndpointState::Starting => Some(format!("{kind} `{name}` is starting")),
            EndpointState::Failed(error) => Some(format!("{kind} `{name}` ended: {error}")),
            EndpointState::Running | EndpointState::Ended | EndpointState::Removed => None,
        };
        let sources = observer.sources();
        let sinks = observer.sinks();
        let stopped = observer.stops().list().into_iter().next().map(|stop| stop.to_string());
        let troubles = sources
            .iter()
            .find_map(|source| trouble("source", &source.name, &source.state))
            .or_else(|| sinks.iter().find_map(|sink| trouble("sink", &sink.name, &sink.state)));
        stopped.or(troubles)
    }
}

fn pipelines(plan: &Plan) -> Arc<[PipelineInfo]> {
    let info = plan.pipelines.iter().map(|pipeline| PipelineInfo {
        name: pipeline.name.clone(),
        pack: pipeline.pack.clone(),
        nodes: pipeline
            .nodes
            .iter()
            .map(|node| (node.name.clone(), format!("{}@{}", node.shape.name, node.shape.version)))
            .collect(),
        canary: pipeline
            .canary
            .as_ref()
            .map(|canary| CanaryInfo { pack: canary.candidate.pack.clone(), settings: canary.settings }),
    });
    info.collect()
}
