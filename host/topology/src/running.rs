//! The running topology: starting it, swapping what changed, draining it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattle_buffer::Queue;
use wattle_pack::{ComponentPlan, Plan};
use wattle_sink::SinkContext;
use wattle_source::{BatchLimits, SourceContext, SourceError, Stop};

use crate::generation::{BuildError, Generation, MakeNode, SinkHandle};
use crate::lane::{Lane, Lanes};
use crate::observer::Observer;
use crate::worker::Worker;

/// Bytes that may wait between a source and the workers.
const SOURCE_QUEUE_BYTES: usize = 4 << 20;
/// Bytes that may wait in front of a sink.
const SINK_QUEUE_BYTES: usize = 8 << 20;
/// How long a source that is replaced may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(30);

/// What does not change while the topology runs.
#[derive(Clone)]
pub struct TopologySettings {
    /// The agent's data folder.
    pub data_dir: PathBuf,
    /// Number of worker threads.
    pub workers: usize,
    /// Sources take what is there now, and end.
    pub once: bool,
}

struct RunningSource {
    digest: String,
    lane: Arc<Lane>,
    stop: watch::Sender<bool>,
    /// None once its end was seen.
    task: Option<JoinHandle<Result<(), SourceError>>>,
}

struct RunningSink {
    digest: String,
    handle: Arc<SinkHandle>,
    /// Ends with the sink; a successor that writes to the same place waits for it.
    ended: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// Sources, workers and sinks as they run.
pub struct Topology {
    settings: TopologySettings,
    make: Arc<MakeNode>,
    observer: Observer,
    lanes: Arc<Lanes>,
    current: Arc<ArcSwap<Generation>>,
    workers: Vec<std::thread::JoinHandle<()>>,
    sources: HashMap<String, RunningSource>,
    sinks: HashMap<String, RunningSink>,
    /// Sinks of former generations that are still writing.
    leaving: Vec<JoinHandle<()>>,
}

/// Components of a plan that are built but not started.
struct Built {
    sinks: Vec<(ComponentPlan, wattle_sink::Built)>,
    sources: Vec<(ComponentPlan, Box<dyn wattle_source::Source>)>,
}

impl Topology {
    /// Builds a plan and starts it.
    ///
    /// # Errors
    ///
    /// What could not be built; nothing runs then.
    pub async fn start(plan: &Plan, settings: TopologySettings, make: Arc<MakeNode>) -> Result<Self, BuildError> {
        let observer = Observer::default();
        let lanes = Lanes::new();
        let current = Arc::new(ArcSwap::from_pointee(Generation::empty(0)));
        let mut topology = Self {
            settings,
            make,
            observer,
            lanes,
            current,
            workers: Vec::new(),
            sources: HashMap::new(),
            sinks: HashMap::new(),
            leaving: Vec::new(),
        };
        topology.spawn_workers()?;
        match topology.swap(plan).await {
            Ok(_) => Ok(topology),
            Err(error) => {
                topology.stop_workers();
                Err(error)
            }
        }
    }

    fn spawn_workers(&mut self) -> Result<(), BuildError> {
        for index in 0..self.settings.workers {
            let worker = Worker { index, lanes: self.lanes.clone(), current: self.current.clone() };
            let thread = std::thread::Builder::new()
                .name(format!("wattle-worker-{index}"))
                .spawn(move || worker.run())
                .map_err(|error| BuildError { what: "worker", name: index.to_string(), message: error.to_string() })?;
            self.workers.push(thread);
        }
        Ok(())
    }

    /// Replaces the running plan by another: everything new is built first, then the workers change over between two
    /// batches. What did not change goes on running. Answers with the number of the new generation.
    ///
    /// # Errors
    ///
    /// What could not be built; everything goes on as before then.
    pub async fn swap(&mut self, plan: &Plan) -> Result<u64, BuildError> {
        let built = self.build_changed(plan)?;
        let mut handles: HashMap<String, Arc<SinkHandle>> =
            self.sinks.iter().map(|(name, sink)| (name.clone(), sink.handle.clone())).collect();
        let mut fresh = Vec::new();
        for (component, built) in built.sinks {
            let stats = self.observer.sink_stats(&component.name);
            let wake = Arc::downgrade(&self.lanes);
            let on_room = move || {
                if let Some(lanes) = wake.upgrade() {
                    lanes.wake_blocked();
                }
            };
            let queue = Queue::new(SINK_QUEUE_BYTES, None, Some(Box::new(on_room)));
            let handle = Arc::new(SinkHandle { encoder: built.encoder, queue, stats });
            handles.insert(component.name.clone(), handle.clone());
            fresh.push((component, handle, built.sink));
        }
        let number = self.current.load().number + 1;
        let counts = self.observer.counts();
        let generation = Generation::build(number, plan, self.settings.workers, &handles, counts, &*self.make)?;

        // From here on nothing fails.
        self.stop_sources(plan).await;
        for (component, handle, sink) in fresh {
            self.start_sink(&component, handle, sink);
        }
        self.sinks.retain(|name, sink| {
            let stays = plan.sinks.iter().any(|s| s.component.name == *name);
            if !stays {
                self.observer.remove_sink(name);
                let task = std::mem::replace(&mut sink.task, tokio::spawn(async {}));
                self.leaving.push(task);
            }
            stays
        });
        self.current.store(Arc::new(generation));
        self.observer.set_generation(number);
        self.lanes.wake_all();
        for (component, source) in built.sources {
            self.start_source(&component, source, plan);
        }
        self.leaving.retain(|task| !task.is_finished());
        Ok(number)
    }

    /// Builds sources and sinks that are new or have other options.
    fn build_changed(&self, plan: &Plan) -> Result<Built, BuildError> {
        let mut built = Built { sinks: Vec::new(), sources: Vec::new() };
        for sink in plan.sinks.iter().map(|s| &s.component) {
            if self.sinks.get(&sink.name).is_none_or(|s| s.digest != sink.digest()) {
                let made = wattle_sink::build(&sink.name, &sink.type_name, &sink.options);
                let made =
                    made.map_err(|e| BuildError { what: "sink", name: sink.name.clone(), message: e.message })?;
                built.sinks.push((sink.clone(), made));
            }
        }
        for (index, source) in plan.sources.iter().enumerate() {
            let is_used = plan.pipelines.iter().any(|p| p.sources.contains(&index));
            let is_same = self.sources.get(&source.name).is_some_and(|s| s.digest == source.digest());
            if is_used && !is_same {
                let made = wattle_source::build(&source.type_name, &source.options);
                let made =
                    made.map_err(|e| BuildError { what: "source", name: source.name.clone(), message: e.message })?;
                built.sources.push((source.clone(), made));
            }
        }
        Ok(built)
    }

    /// Stops sources that are not in the plan any more or have other options, and waits for them to hand over.
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
        for name in names {
            if let Some(source) = self.sources.remove(&name) {
                self.observer.remove_source(&name);
                end_source(&name, source, &self.lanes, HAND_OVER).await;
            }
        }
    }

    fn start_sink(&mut self, component: &ComponentPlan, handle: Arc<SinkHandle>, sink: Box<dyn wattle_sink::Sink>) {
        let name = component.name.clone();
        let context = SinkContext {
            name: name.as_str().into(),
            input: handle.queue.clone(),
            data_dir: self.settings.data_dir.clone(),
            stats: handle.stats.clone(),
        };
        let end = self.observer.start_sink(&name, &component.type_name, &handle.queue);
        let former = self.sinks.remove(&name);
        let (ended_sender, ended) = watch::channel(false);
        let former_ended = former.as_ref().map(|f| f.ended.clone());
        let task = tokio::spawn(async move {
            if let Some(mut former) = former_ended {
                // Two writers to one place would mix their lines; the queue holds what comes meanwhile.
                let _ = former.wait_for(|ended| *ended).await;
            }
            let input = context.input.clone();
            if let Err(error) = sink.run(context).await {
                tracing::error!(sink = %name, %error, "sink ended");
                let _ = end.set(Err(error.to_string()));
                // Nobody takes from the queue any more: what is in it goes back to the sources.
                input.close();
                while input.try_pop().is_some() {}
            }
            let _ = ended_sender.send(true);
        });
        if let Some(former) = former {
            self.leaving.push(former.task);
        }
        let digest = component.digest();
        self.sinks.insert(component.name.clone(), RunningSink { digest, handle, ended, task });
    }

    fn start_source(&mut self, component: &ComponentPlan, source: Box<dyn wattle_source::Source>, plan: &Plan) {
        let name: Arc<str> = component.name.as_str().into();
        let lane = Lane::new(name.clone(), SOURCE_QUEUE_BYTES, &self.lanes);
        self.lanes.add(lane.clone());
        let (stop, stopped) = Stop::new();
        let stats = self.observer.source_stats(&component.name);
        let end = self.observer.start_source(&name, &component.type_name, &lane.queue);
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
        };
        let task = tokio::spawn(async move {
            let done = source.run(context).await;
            if let Err(error) = &done {
                tracing::error!(source = %name, %error, "source ended");
            }
            let _ = end.set(done.as_ref().copied().map_err(ToString::to_string));
            done
        });
        let digest = component.digest();
        self.sources.insert(component.name.clone(), RunningSource { digest, lane, stop, task: Some(task) });
    }

    /// Waits until every source has ended by itself and all of its events are delivered. Answers with the errors of
    /// those that ended before their time.
    ///
    /// # Cancel safety
    ///
    /// A cancelled wait can be taken up again.
    pub async fn finished(&mut self) -> Vec<(String, SourceError)> {
        let mut errors = Vec::new();
        for (name, source) in &mut self.sources {
            if let Some(task) = &mut source.task {
                if let Ok(Err(error)) = task.await {
                    errors.push((name.clone(), error));
                }
                source.task = None;
            }
            source.lane.queue.close();
        }
        errors
    }

    /// Stops the sources, lets everything under way reach the sinks, and ends. What is not delivered within the deadline
    /// stays unacknowledged. Answers whether all was delivered.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        for source in self.sources.values() {
            let _ = source.stop.send(true);
        }
        let mut clean = true;
        for (name, source) in std::mem::take(&mut self.sources) {
            clean &= end_source(&name, source, &self.lanes, until.saturating_duration_since(Instant::now())).await;
        }
        self.stop_workers();
        // The last handles to the sinks: their queues close, and they flush.
        self.current.store(Arc::new(Generation::empty(u64::MAX)));
        let mut tasks: Vec<JoinHandle<()>> = std::mem::take(&mut self.leaving);
        tasks.extend(std::mem::take(&mut self.sinks).into_values().map(|sink| sink.task));
        for mut task in tasks {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
            if tokio::time::timeout(left, &mut task).await.is_err() {
                task.abort();
                clean = false;
            }
        }
        clean
    }

    fn stop_workers(&mut self) {
        self.lanes.stop();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread ended by a panic");
            }
        }
    }

    /// What can be seen of the topology, also when it has ended.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Number of the current generation.
    pub fn generation(&self) -> u64 {
        self.current.load().number
    }
}

/// Stops a source, waits for its acknowledgements, and removes its lane. Answers whether all was delivered in time.
async fn end_source(name: &str, mut source: RunningSource, lanes: &Arc<Lanes>, deadline: Duration) -> bool {
    let _ = source.stop.send(true);
    let mut in_time = true;
    if let Some(mut task) = source.task.take()
        && tokio::time::timeout(deadline, &mut task).await.is_err()
    {
        in_time = false;
        task.abort();
        tracing::warn!(source = %name, "source did not hand over in time; what is not delivered is offered again");
    }
    source.lane.queue.close();
    let until = Instant::now() + deadline.min(Duration::from_secs(1));
    while in_time && !source.lane.is_drained() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let clean = in_time && source.lane.is_drained();
    source.lane.close();
    lanes.remove(&source.lane);
    lanes.wake_all();
    clean
}
