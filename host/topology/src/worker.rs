//! Workers: each is a thread with separate instances that takes batches from the lanes. The spare
//! worker takes batches while all others are stuck (`watch.rs`), so a node that spins cannot block
//! other sources.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::emitter::Emitter;
use crate::generation::{Generation, NodeSet};
use crate::lane::Work;
use crate::lanes::Lanes;
use crate::watch::LONG;

/// Safety net for a missed signal.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Shortest sleep before a timer is due.
const MIN_SLEEP: Duration = Duration::from_millis(1);
/// How long a worker waits for sinks before it makes the last events of nodes that a reload removed.
const MAX_WAIT_FOR_SINKS: Duration = Duration::from_secs(5);
/// A batch with a fault that took longer than this makes its source a suspect. This is much less
/// than [`LONG`], after which the spare worker steps in: otherwise faults that each take a little
/// less than [`LONG`] would occupy all workers and delay every other source again and again. It is
/// much more than most faults take, and these are no reason to hold a source back.
const SLOW_FAULT: Duration = Duration::from_millis(1);

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) current: Arc<ArcSwap<Generation>>,
}

impl Worker {
    /// Runs until the lanes are stopped.
    pub(crate) fn run(self) {
        let Some(mut generation) = self.enter() else { return };
        let mut nodes = generation.take_nodes(self.index);
        let mut last = 0;
        while !self.lanes.is_stopped() {
            self.lanes.watch.turn(self.index);
            let signals = self.lanes.signals();
            // Adopt a new generation: workers read the current one, a single pointer, only between
            // two batches.
            if self.current.load().number != generation.number {
                self.end_nodes(&generation, &mut nodes);
                save(&mut nodes);
                drop(nodes);
                self.lanes.users.leave(generation.number);
                // An old generation keeps its sinks open.
                drop(generation);
                generation = match self.enter() {
                    Some(next) => next,
                    None => return,
                };
                nodes = generation.take_nodes(self.index);
            }
            let next_tick = self.attend(&generation, &mut nodes);
            match self.lanes.take(&mut last, |source| generation.is_held(source)) {
                Some(work) => {
                    self.lanes.watch.begin(self.index);
                    process(&generation, &mut nodes, work);
                    self.lanes.watch.end(self.index);
                }
                None => self.lanes.wait(signals, next_tick),
            }
        }
        save(&mut nodes);
        generation.give_back_nodes(self.index, nodes);
        self.lanes.users.leave(generation.number);
    }

    fn enter(&self) -> Option<Arc<Generation>> {
        self.lanes.users.enter(&self.current, || self.lanes.is_stopped())
    }

    /// Between two batches: calls timers that are due, takes snapshots that were asked for, and sends
    /// events again that came back. Returns how long the worker may sleep.
    fn attend(&self, generation: &Generation, nodes: &mut NodeSet) -> Duration {
        let all = || generation.pipelines.iter().flat_map(|pipeline| &pipeline.nodes);
        // Of the spare worker's instances, only those with state that it left have anything to do.
        let spare = self.lanes.watch.workers();
        let mine = [Some(self.index), (self.index == 0).then_some(spare)];
        let needs = |worker: usize| all().flat_map(|l| l.own_slots(worker)).any(|slot| slot.needs_attention());
        let is_needed = mine.into_iter().flatten().any(needs);
        if is_needed {
            nodes.iter_mut().flatten().for_each(|node| node.save_if_wanted());
        }
        let due = nodes.iter().flatten().filter_map(|node| node.next_tick()).min();
        let now = Instant::now();
        if is_needed || due.is_some_and(|due| due <= now) {
            self.lanes.watch.begin(self.index);
            self.tick(generation, nodes, self.index);
            if self.index == 0 {
                generation.with_resting_nodes(spare, |nodes| {
                    nodes.iter_mut().flatten().for_each(|node| node.save_if_wanted());
                    self.tick(generation, nodes, spare);
                    nodes.iter_mut().flatten().for_each(|node| node.rest());
                });
            }
            self.lanes.watch.end(self.index);
        }
        let due = nodes.iter().flatten().filter_map(|node| node.next_tick()).min();
        due.map_or(LOOK_AGAIN, |due| due.saturating_duration_since(now).clamp(MIN_SLEEP, LOOK_AGAIN))
    }

    /// Has the nodes that the next generation lacks make what they hold. All workers do this for a node
    /// that they share: the last one has what came after the others. If the sinks accept nothing in
    /// time, the state of the nodes stays on disk (`states.rs`).
    fn end_nodes(&self, generation: &Generation, nodes: &mut NodeSet) {
        if !generation.ends_nodes() {
            return;
        }
        let until = Instant::now() + MAX_WAIT_FOR_SINKS;
        let begin = || loop {
            match self.lanes.timers.begin() {
                None if Instant::now() < until && !self.lanes.is_stopped() => std::thread::sleep(MIN_SLEEP),
                begun => return begun,
            }
        };
        self.lanes.watch.begin(self.index);
        if let Some(sequence) = begin() {
            tick(generation, nodes, self.index, false, Emitter::new(&self.lanes.timers, sequence));
        }
        if self.index == 0 {
            let spare = self.lanes.watch.workers();
            generation.with_resting_nodes(spare, |nodes| {
                if let Some(sequence) = begin() {
                    tick(generation, nodes, spare, false, Emitter::new(&self.lanes.timers, sequence));
                }
                nodes.iter_mut().flatten().for_each(|node| node.rest());
            });
        }
        self.lanes.watch.end(self.index);
    }

    fn tick(&self, generation: &Generation, nodes: &mut NodeSet, worker: usize) {
        // Too much waits for the sinks otherwise; a later call makes up for it.
        if let Some(sequence) = self.lanes.timers.begin() {
            tick(generation, nodes, worker, false, Emitter::new(&self.lanes.timers, sequence));
        }
    }

    /// Like [`Worker::run`], but only while all other workers are stuck.
    pub(crate) fn run_spare(self) {
        while !self.lanes.is_stopped() {
            self.lanes.watch.wait_until_stuck();
            if self.lanes.watch.is_stuck() {
                self.help();
            }
        }
    }

    /// Works until a worker is free again. In between it holds no generation, which would keep the
    /// sinks of an old one open, and its instances are at rest.
    fn help(&self) {
        let Some(generation) = self.enter() else { return };
        let mut nodes = generation.take_nodes(self.index);
        while self.lanes.watch.is_stuck() && !self.lanes.is_stopped() && self.current.load().number == generation.number
        {
            let signals = self.lanes.signals();
            match self.lanes.take_spare(|source| generation.is_held(source)) {
                Some(work) => process(&generation, &mut nodes, work),
                None => self.lanes.wait(signals, LONG),
            }
        }
        if !self.lanes.is_stopped() && self.current.load().number != generation.number {
            self.end_nodes(&generation, &mut nodes);
        }
        nodes.iter_mut().flatten().for_each(|node| node.rest());
        generation.give_back_nodes(self.index, nodes);
        self.lanes.users.leave(generation.number);
        // The spare worker may have consumed a signal for the worker that is free, so pass it on.
        self.lanes.wake_one();
    }
}

/// Saves the state of nodes for their successors.
fn save(nodes: &mut NodeSet) {
    nodes.iter_mut().flatten().for_each(|node| node.save());
}

/// Calls the timers of all pipelines, each pipeline before those that it feeds.
pub(crate) fn tick(
    generation: &Generation,
    nodes: &mut NodeSet,
    worker: usize,
    is_last: bool,
    mut emitter: Emitter<'_>,
) {
    for &index in generation.order() {
        if let Some((pipeline, own)) = generation.pipelines.get(index).zip(nodes.get_mut(index)) {
            pipeline.tick(own, worker, is_last, &mut emitter);
        }
        // What it made for other pipelines, before their timers.
        run_onward(generation, nodes, &mut emitter);
    }
    emitter.finish();
}

fn run_onward(generation: &Generation, nodes: &mut NodeSet, emitter: &mut Emitter<'_>) {
    while let Some((index, batch)) = emitter.next_onward() {
        run(generation, nodes, index, batch, emitter);
    }
}

pub(crate) fn process(generation: &Generation, nodes: &mut NodeSet, work: Work) {
    let Work { lane, sequence, batch } = work;
    let since = Instant::now();
    let mut emitter = Emitter::new(&lane, sequence);
    let targets = generation.pipelines_of(&lane.source);
    match targets.split_last() {
        Some((last, others)) => {
            for &index in others {
                run(generation, nodes, index, batch.share(), &mut emitter);
            }
            run(generation, nodes, *last, batch, &mut emitter);
        }
        // Not a bug: a removed source that did not hand over in time leaves batches behind.
        // Dropping them leaves them unacknowledged.
        None => {
            let (source, rows) = (&*lane.source, batch.rows());
            tracing::warn!(source, rows, "no pipeline reads this source any more; its events stay unacknowledged");
        }
    }
    // Batches that pipelines sent to other pipelines. The links have no cycle, so this ends.
    run_onward(generation, nodes, &mut emitter);
    if emitter.faulted && since.elapsed() >= SLOW_FAULT {
        lane.suspect();
    }
    emitter.finish();
}

fn run(generation: &Generation, nodes: &mut NodeSet, index: usize, batch: wattle_batch::Batch, to: &mut Emitter<'_>) {
    let (index, shadow) = generation.choose(index);
    let (Some(pipeline), Some(nodes)) = (generation.pipelines.get(index), nodes.get_mut(index)) else {
        // Dropping the batch leaves it unacknowledged, so its source sends it again.
        return generation.bugs.report("", "a source that leads to a pipeline that does not exist");
    };
    match shadow.and_then(|shadow| shadow.watch(&batch)) {
        Some(watched) => watched.compare(to, |to| pipeline.receive(nodes, batch, to)),
        None => pipeline.receive(nodes, batch, to),
    }
}
