//! A worker: one thread with instances of its own, taking batches from the lanes.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::generation::{Generation, NodeSet};
use crate::lane::{Lanes, Work};
use crate::pipeline::Emitter;

pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) current: Arc<ArcSwap<Generation>>,
}

impl Worker {
    /// Runs until the lanes are stopped.
    pub(crate) fn run(self) {
        let mut generation = self.current.load_full();
        let mut nodes = generation.take_nodes(self.index);
        let mut last = 0;
        while !self.lanes.is_stopped() {
            let signals = self.lanes.signals();
            // The swap of a generation: one pointer, looked at between two batches.
            if self.current.load().number != generation.number {
                generation = self.current.load_full();
                nodes = generation.take_nodes(self.index);
            }
            match self.lanes.take(&mut last, |source| generation.is_held(source)) {
                Some(work) => process(&generation, &mut nodes, work),
                None => self.lanes.wait(signals),
            }
        }
    }
}

pub(crate) fn process(generation: &Generation, nodes: &mut NodeSet, work: Work) {
    let Work { lane, turn, batch } = work;
    let mut emitter = Emitter::new(&lane, turn);
    let targets = generation.pipelines_of(&lane.source);
    // A source without a pipeline is not running; should a batch of it still come, dropping it leaves it
    // unacknowledged.
    if let Some((last, others)) = targets.split_last() {
        for &index in others {
            run(generation, nodes, index, batch.share(), &mut emitter);
        }
        run(generation, nodes, *last, batch, &mut emitter);
    }
    emitter.finish();
}

fn run(generation: &Generation, nodes: &mut NodeSet, index: usize, batch: wattle_batch::Batch, to: &mut Emitter<'_>) {
    if let (Some(pipeline), Some(nodes)) = (generation.pipelines.get(index), nodes.get_mut(index)) {
        pipeline.receive(nodes, batch, to);
    }
}
