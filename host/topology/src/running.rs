//! The running topology: starts it, and swaps the parts that changed. `handover.rs` describes how a
//! sink leaves, `drain.rs` the end.

mod drain;
mod handover;
mod source;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattle_buffer::Queue;
use wattle_buffer::disk::Folder;
use wattle_listen::Listeners;
use wattle_plan::{BufferKind, BufferPlan, EndpointPlan, PipelinePlan, Plan, SinkPlan, WhenFull};
use wattle_sink::{FlushSignal, SinkContext};
use wattle_source::{BatchLimits, InputEnd, Source, SourceContext, Stop};

pub use self::drain::{Drained, Left};
use self::handover::{Handover, SinkTask, stalled};
use self::source::RunningSource;
use crate::buffer::{self, DiskBuffer};
use crate::canary::canary_name;
use crate::generation::{BuildContext, BuildError, Generation, NodeFactory};
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::observer::Observer;
use crate::sink_handle::SinkHandle;
use crate::snapshots::Snapshots;
use crate::states::States;
use crate::worker::Worker;

/// Bytes that may wait between a source and the workers.
const SOURCE_QUEUE_BYTES: usize = 4 << 20;
/// How long a replaced source may take to hand over, as long as sinks deliver.
const HAND_OVER: Duration = Duration::from_secs(30);

/// Settings that do not change while the topology runs.
#[derive(Clone)]
pub struct TopologySettings {
    /// The agent's data folder.
    pub data_dir: PathBuf,
    /// Number of worker threads.
    pub workers: usize,
    /// Sources read the data that exists now, and end.
    pub once: bool,
    /// Whether state of nodes is kept in the data folder between runs.
    pub keeps_state: bool,
}

/// A change that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Number of the new generation.
    pub generation: u64,
    /// Nodes, as `pipeline.node`, that started without the state of their predecessors.
    pub emptied: Vec<String>,
}

struct RunningSink {
    digest: (String, BufferPlan),
    handle: Arc<SinkHandle>,
    /// Set when the sink ends; a successor that writes to the same place waits for it.
    ended: watch::Receiver<bool>,
    /// Makes the sink deliver at once.
    flush: watch::Sender<bool>,
    /// Whether its buffer is on disk.
    is_disk: bool,
    task: JoinHandle<()>,
}

/// The running sources, workers and sinks.
pub struct Topology {
    settings: TopologySettings,
    make: Arc<NodeFactory>,
    /// Listening sockets, which a source or sink takes over from its predecessor.
    listeners: Listeners,
    /// Sources that do not come from the plan, until they are started.
    given: HashMap<String, Box<dyn Source>>,
    observer: Observer,
    states: Arc<States>,
    snapshots: Option<Snapshots>,
    lanes: Arc<Lanes>,
    current: Arc<ArcSwap<Generation>>,
    workers: Vec<std::thread::JoinHandle<()>>,
    sources: HashMap<String, RunningSource>,
    sinks: HashMap<String, RunningSink>,
    /// Sinks of former generations that are still writing.
    leaving: Vec<JoinHandle<()>>,
    /// Names of the sources that feed each sink.
    feeds: HashMap<String, Vec<String>>,
    /// Set at the end: the deadline for delivering disk buffers.
    deliver_until: watch::Sender<Option<Instant>>,
}

/// Whether a plan has a node, in a pipeline or in a canary.
fn has_node(plan: &Plan, pipeline: &str, node: &str) -> bool {
    let is_in = |p: &PipelinePlan| p.nodes.iter().any(|n| n.name == node);
    plan.pipelines.iter().any(|p| {
        let canary = p.canary.as_ref().filter(|_| canary_name(&p.name) == pipeline);
        p.name == pipeline && is_in(p) || canary.is_some_and(|canary| is_in(&canary.candidate))
    })
}

/// Endpoints of a plan that are built but not started.
struct Built {
    sinks: Vec<(SinkPlan, wattle_sink::Built, Option<Folder>)>,
    sources: Vec<(EndpointPlan, Box<dyn Source>)>,
}

impl Topology {
    /// Builds a plan and starts it.
    ///
    /// # Errors
    ///
    /// The part that could not be built; the topology then does not run.
    pub async fn start(plan: &Plan, settings: TopologySettings, make: Arc<NodeFactory>) -> Result<Self, BuildError> {
        Self::begin(plan, settings, make, HashMap::new()).await
    }

    /// How long the slowest worker has processed one batch, or has otherwise not looked for work. An idle worker looks
    /// every second. Zero while a worker waits for a sink.
    pub fn stalled(&self) -> Duration {
        self.lanes.watch.stalled()
    }

    /// Like [`Topology::start`], with a source that the caller created.
    pub(crate) async fn start_with(
        plan: &Plan,
        settings: TopologySettings,
        make: Arc<NodeFactory>,
        (name, source): (&str, Box<dyn Source>),
    ) -> Result<Self, BuildError> {
        Self::begin(plan, settings, make, HashMap::from([(name.to_owned(), source)])).await
    }

    async fn begin(
        plan: &Plan,
        settings: TopologySettings,
        make: Arc<NodeFactory>,
        given: HashMap<String, Box<dyn Source>>,
    ) -> Result<Self, BuildError> {
        let observer = Observer::default();
        let states = States::new(settings.keeps_state.then_some(settings.data_dir.as_path()), settings.workers);
        let states = Arc::new(states);
        let lanes = Lanes::new(settings.workers);
        let snapshots = Snapshots::start(states.clone(), lanes.clone()).map_err(|error| BuildError {
            what: "thread",
            name: "snapshots".into(),
            message: error.to_string(),
        })?;
        let current = Arc::new(ArcSwap::from_pointee(Generation::empty(0)));
        let mut topology = Self {
            settings,
            make,
            given,
            listeners: Listeners::default(),
            observer,
            states,
            snapshots: Some(snapshots),
            lanes,
            current,
            workers: Vec::new(),
            sources: HashMap::new(),
            sinks: HashMap::new(),
            leaving: Vec::new(),
            feeds: HashMap::new(),
            deliver_until: watch::Sender::new(None),
        };
        topology.spawn_workers()?;
        buffer::report_orphans(&topology.settings.data_dir, |name| {
            plan.sinks.iter().any(|sink| sink.endpoint.name == name)
        });
        topology.states.report_orphans(|pipeline, node| {
            // A canary that ended leaves its state to its pipeline.
            let primary = pipeline.strip_suffix(&canary_name("")).unwrap_or(pipeline);
            has_node(plan, pipeline, node) || has_node(plan, primary, node)
        });
        match topology.swap(plan).await {
            Ok(_) => Ok(topology),
            Err(error) => {
                topology.stop_workers(Instant::now() + HAND_OVER).await;
                Err(error)
            }
        }
    }

    fn spawn_workers(&mut self) -> Result<(), BuildError> {
        let spare = self.settings.workers;
        for index in 0..=spare {
            let worker = Worker { index, lanes: self.lanes.clone(), current: self.current.clone() };
            let thread = std::thread::Builder::new()
                .name(format!("wattle-worker-{index}"))
                .spawn(move || if index == spare { worker.run_spare() } else { worker.run() })
                .map_err(|error| BuildError { what: "worker", name: index.to_string(), message: error.to_string() })?;
            self.workers.push(thread);
        }
        Ok(())
    }

    /// Replaces the running plan: builds everything new first, then the workers change over between
    /// two batches. Unchanged parts continue to run.
    ///
    /// # Errors
    ///
    /// The part that could not be built; the running plan then continues.
    pub async fn swap(&mut self, plan: &Plan) -> Result<Swapped, BuildError> {
        let built = self.build_changed(plan)?;
        let mut handles: HashMap<String, Arc<SinkHandle>> =
            self.sinks.iter().map(|(name, sink)| (name.clone(), sink.handle.clone())).collect();
        let mut fresh = Vec::new();
        for (sink, built, folder) in built.sinks {
            let name = &sink.endpoint.name;
            let stats = self.observer.sink_stats(name);
            let memory = sink.buffer.kind == BufferKind::Memory;
            let max_bytes =
                if memory { usize::try_from(sink.buffer.max_size).unwrap_or(usize::MAX) } else { buffer::MEMORY_BYTES };
            let drops = memory && sink.buffer.when_full == WhenFull::DropNewest;
            let counted = (drops || folder.is_some()).then(|| self.observer.buffer_stats(name));
            let drop_newest = counted.clone().filter(|_| drops);
            let wake = Arc::downgrade(&self.lanes);
            let on_room = move || {
                if let Some(lanes) = wake.upgrade() {
                    lanes.wake_blocked();
                }
            };
            let queue = Queue::new(max_bytes, None, Some(Box::new(on_room)));
            let disk = folder.zip(counted).map(|(folder, stats)| DiskBuffer {
                name: name.as_str().into(),
                folder,
                plan: sink.buffer,
                input: queue.clone(),
                stats,
                deliver_until: self.deliver_until.subscribe(),
            });
            built.encoder.count_in(&stats);
            let handle = Arc::new(SinkHandle { encoder: built.encoder, queue, stats, drop_newest });
            handles.insert(name.clone(), handle.clone());
            fresh.push((sink, handle, built.sink, disk));
        }
        let number = self.current.load().number + 1;
        let context = BuildContext {
            workers: self.settings.workers,
            sinks: &handles,
            counts: self.observer.counts(),
            stops: self.observer.stops(),
            states: &self.states,
            shadows: self.observer.shadow_reports(),
            taps: self.observer.taps(),
            make: &*self.make,
            is_dry: false,
            is_bounded: self.settings.once || plan.sources.iter().all(|source| source.type_name == "stdin"),
        };
        let mut generation = Generation::build(number, plan, &context).inspect_err(|_| self.states.revert())?;
        let emptied = std::mem::take(&mut generation.emptied);
        let layout = std::mem::take(&mut generation.layout);

        // No step after this one can fail.
        let until = Instant::now() + plan.agent.sink_handover_timeout;
        self.stop_sources(plan).await;
        let is_removed = |name: &&String| !plan.sinks.iter().any(|sink| sink.endpoint.name == **name);
        for name in self.sinks.keys().filter(is_removed).cloned().collect::<Vec<_>>() {
            self.observer.remove_sink(&name);
            self.leave(&name, None, until);
        }
        for (plan, handle, sink, disk) in fresh {
            self.start_sink(&plan, handle, sink, disk, until);
        }
        self.feeds = feeds(plan);
        generation.begin();
        let generation = Arc::new(generation);
        let is_wanted =
            |pipeline: &str, node: &str| has_node(plan, pipeline, node) || generation.is_heir_of(pipeline, node);
        self.current.load().end_nodes(is_wanted);
        self.current.store(generation.clone());
        self.observer.set_generation(number);
        self.observer.taps().begin(layout, plan.agent.admin.as_ref().map(|admin| admin.tap).unwrap_or_default());
        self.observer.stops().begin(number);
        self.lanes.wake_all();
        for (endpoint, source) in built.sources {
            self.start_source(&endpoint, source, plan);
        }
        self.leaving.retain(|task| !task.is_finished());
        self.states.retain(number, is_wanted);
        drop(generation);
        self.observer.shadow_reports().retain(plan);
        self.snapshots.iter().for_each(Snapshots::look_again);
        Ok(Swapped { generation: number, emptied })
    }

    /// Builds sources and sinks that are new or have changed options.
    fn build_changed(&mut self, plan: &Plan) -> Result<Built, BuildError> {
        let mut built = Built { sinks: Vec::new(), sources: Vec::new() };
        for planned in &plan.sinks {
            let sink = &planned.endpoint;
            if self.sinks.get(&sink.name).is_none_or(|s| s.digest != digest(planned)) {
                let wrong = |message| BuildError { what: "sink", name: sink.name.clone(), message };
                let made = wattle_sink::build(&sink.name, &sink.type_name, &sink.options);
                let mut made = made.map_err(|e| wrong(e.to_string()))?;
                made.sink.listen(&self.listeners).map_err(|e| wrong(e.to_string()))?;
                let was_disk = self.sinks.get(&sink.name).is_some_and(|former| former.is_disk);
                let folder = buffer::folder_for(&self.settings.data_dir, &sink.name, &planned.buffer, was_disk);
                let folder = folder.map_err(|e| wrong(format!("the folder of its disk buffer cannot be made: {e}")))?;
                built.sinks.push((planned.clone(), made, folder));
            }
        }
        for (index, source) in plan.sources.iter().enumerate() {
            let is_used = plan.pipelines.iter().any(|p| p.sources.contains(&index));
            let is_same = self.sources.get(&source.name).is_some_and(|s| s.digest == source.digest());
            if is_used && !is_same {
                let made = match self.given.remove(&source.name) {
                    Some(given) => Ok(given),
                    None => wattle_source::build(&source.type_name, &source.options, &self.listeners),
                };
                let made =
                    made.map_err(|e| BuildError { what: "source", name: source.name.clone(), message: e.to_string() })?;
                built.sources.push((source.clone(), made));
            }
        }
        Ok(built)
    }

    /// Stops sources that were removed from the plan or have changed options, and waits for them to
    /// hand over, as long as sinks deliver.
    async fn stop_sources(&mut self, plan: &Plan) {
        let stays = |name: &str, digest: &str| {
            plan.sources.iter().enumerate().any(|(index, source)| {
                source.name == name
                    && source.digest() == digest
                    && plan.pipelines.iter().any(|p| p.sources.contains(&index))
            })
        };
        let names: Vec<String> =
            self.sources.iter().filter(|(name, s)| !stays(name, &s.digest)).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let flush = |on| self.sinks.values().for_each(|sink| _ = sink.flush.send_replace(on));
        flush(true);
        for name in names {
            if let Some(source) = self.sources.remove(&name) {
                if self.current.load().is_stopped(&name) {
                    source.lane.close();
                }
                self.observer.remove_source(&name);
                let stalled = stalled(&self.observer, plan.agent.sink_handover_timeout, HAND_OVER);
                source.end(&name, &self.lanes, stalled).await;
            }
        }
        flush(false);
    }

    /// Starts the handover of a running sink. `successor` is the sink of the same name in the new
    /// generation, if there is one. Returns the signal that a successor waits for.
    fn leave(&mut self, name: &str, successor: Option<&SinkPlan>, until: Instant) -> Option<watch::Receiver<bool>> {
        let RunningSink { handle, ended, flush, is_disk, task, .. } = self.sinks.remove(name)?;
        let handover = Handover {
            name: name.to_owned(),
            queue: handle.queue.clone(),
            stats: handle.stats.clone(),
            flush,
            ended: ended.clone(),
            task: SinkTask(task),
            is_disk,
            removed_from: successor.is_none().then(|| self.settings.data_dir.clone()),
            hold: self.lanes.hold(self.feeds.get(name).cloned().unwrap_or_default()),
            lanes: self.lanes.clone(),
            until,
        };
        self.leaving.push(tokio::spawn(handover.run()));
        Some(ended)
    }

    fn start_sink(
        &mut self,
        plan: &SinkPlan,
        handle: Arc<SinkHandle>,
        sink: Box<dyn wattle_sink::Sink>,
        disk: Option<DiskBuffer>,
        until: Instant,
    ) {
        let name = plan.endpoint.name.clone();
        let (flush, signal) = FlushSignal::new();
        let is_disk = disk.is_some();
        let context = SinkContext {
            name: name.as_str().into(),
            input: handle.queue.clone(),
            data_dir: self.settings.data_dir.clone(),
            stats: handle.stats.clone(),
            flush: signal,
        };
        let end = self.observer.start_sink(&name, &plan.endpoint.type_name, &handle.queue);
        let former_ended = self.leave(&name, Some(plan), until);
        let (ended_sender, ended) = watch::channel(false);
        let task = tokio::spawn(async move {
            if let Some(mut former) = former_ended {
                // Two writers to one place would mix their lines. Meanwhile the queue holds events.
                handover::ended(&mut former).await;
            }
            let input = context.input.clone();
            let ended = match disk {
                Some(disk) => disk.run(sink, context).await,
                None => sink.run(context).await,
            };
            if let Err(error) = ended {
                tracing::error!(sink = %name, %error, "sink ended");
                let _ = end.set(Err(error.to_string()));
                // The sink takes nothing more from the queue: return its contents to the sources.
                input.close();
                while input.try_pop().is_some() {}
            }
            let _ = ended_sender.send(true);
        });
        let running = RunningSink { digest: digest(plan), handle, ended, flush, is_disk, task };
        self.sinks.insert(plan.endpoint.name.clone(), running);
    }

    fn start_source(&mut self, endpoint: &EndpointPlan, source: Box<dyn Source>, plan: &Plan) {
        let name: Arc<str> = endpoint.name.as_str().into();
        let lane = Lane::new(name.clone(), SOURCE_QUEUE_BYTES, &self.lanes);
        self.lanes.add(lane.clone());
        let (stop, stopped) = Stop::new();
        let (input_end, at_end) = InputEnd::new();
        let stats = self.observer.source_stats(&endpoint.name);
        let end = self.observer.start_source(&name, &endpoint.type_name, &lane.queue);
        let batch = &plan.agent.batch;
        let context = SourceContext {
            name: name.clone(),
            output: lane.queue.clone(),
            stop: stopped,
            once: self.settings.once,
            data_dir: self.settings.data_dir.clone(),
            limits: BatchLimits {
                max_bytes: usize::try_from(batch.max_bytes).unwrap_or(usize::MAX),
                max_events: batch.max_events,
                max_age: batch.max_age,
            },
            stats,
            waits: self.snapshots.as_ref().map(Snapshots::waits).unwrap_or_default(),
            input_end,
        };
        let task = tokio::spawn(async move {
            let done = source.run(context).await;
            if let Err(error) = &done {
                tracing::error!(source = %name, %error, "source ended");
            }
            let _ = end.set(done.as_ref().copied().map_err(ToString::to_string));
            done
        });
        let digest = endpoint.digest();
        self.sources.insert(endpoint.name.clone(), RunningSource { digest, lane, stop, at_end, task: Some(task) });
    }

    /// Observes the topology, also after it has ended.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Number of the current generation.
    pub fn generation(&self) -> u64 {
        self.current.load().number
    }
}

/// Names of the sources that feed each sink of a plan.
fn feeds(plan: &Plan) -> HashMap<String, Vec<String>> {
    let sources = |sink: &SinkPlan| {
        let indices = sink.inputs.iter().flat_map(|&(pipeline, _)| plan.sources_of(pipeline));
        let names: BTreeSet<&String> =
            indices.filter_map(|source| plan.sources.get(source)).map(|source| &source.name).collect();
        names.into_iter().cloned().collect()
    };
    plan.sinks.iter().map(|sink| (sink.endpoint.name.clone(), sources(sink))).collect()
}

/// With equal digests, a sink and its buffer continue unchanged.
fn digest(sink: &SinkPlan) -> (String, BufferPlan) {
    (sink.endpoint.digest(), sink.buffer)
}
