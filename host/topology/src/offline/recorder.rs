//! Records what one event is at each point of its way through a pipeline.

use std::sync::Arc;

use wattle_batch::{Batch, Failure, Outcome};

/// Maximum number of steps of one event; a document can have any number of children.
const MAX_STEPS: usize = 200;
/// Maximum bytes of the events of all steps.
const MAX_BYTES: usize = 4 << 20;

/// Reason of a step at which an event ended in the memory of a node.
const HELD: &str = "held";

/// A place in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the first node.
    Input,
    /// After a node, on the port with this index.
    Port(Arc<str>, usize),
    /// At a node that the event did not leave.
    Node(Arc<str>),
    /// At the output with this index.
    Output(usize),
}

/// What an event is at a point.
#[derive(Clone, Debug)]
pub struct Step {
    /// The place.
    pub point: Point,
    /// The event as the codec `json` writes it; `None` where it ended.
    pub event: Option<Vec<u8>>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it ended at a node: the code of a drop, or `held`.
    pub ended: Option<String>,
}

/// The steps of one event, in the order in which it passed the points. An event that was split or copied has several
/// steps for one point.
#[derive(Debug, Default)]
pub struct Recorder {
    steps: Vec<Step>,
    bytes: usize,
    is_cut: bool,
}

impl Recorder {
    /// The steps, and whether further ones were left out.
    pub fn finish(self) -> (Vec<Step>, bool) {
        (self.steps, self.is_cut)
    }

    pub(crate) fn input(&mut self, batch: &Batch) {
        self.rows(&Point::Input, batch);
    }

    pub(crate) fn port(&mut self, node: &Arc<str>, port: usize, batch: &Batch) {
        self.rows(&Point::Port(node.clone(), port), batch);
    }

    pub(crate) fn output(&mut self, index: usize, batch: &Batch) {
        self.rows(&Point::Output(index), batch);
    }

    /// Records the rows of a call that do not leave the node.
    pub(crate) fn ended(&mut self, node: &Arc<str>, outcome: &Outcome) {
        let dropped = outcome.dropped.iter().map(|(code, rows)| (code.as_str(), *rows));
        for (reason, rows) in dropped.chain([(HELD, outcome.held)]) {
            for _ in 0..rows {
                let point = Point::Node(node.clone());
                if !self.add(Step { point, event: None, failure: None, ended: Some(reason.to_owned()) }) {
                    return;
                }
            }
        }
    }

    fn rows(&mut self, point: &Point, batch: &Batch) {
        for row in 0..batch.rows() {
            if self.is_full() {
                self.is_cut = true;
                return;
            }
            let mut event = Vec::new();
            batch.write_json(row, &mut event);
            let failure = batch.failure(row).cloned();
            self.bytes += event.len();
            self.add(Step { point: point.clone(), event: Some(event), failure, ended: None });
        }
    }

    fn is_full(&self) -> bool {
        self.steps.len() >= MAX_STEPS || self.bytes >= MAX_BYTES
    }

    /// Adds a step; returns whether there was room for it.
    fn add(&mut self, step: Step) -> bool {
        if self.is_full() {
            self.is_cut = true;
            return false;
        }
        self.steps.push(step);
        true
    }
}
