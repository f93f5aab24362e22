//! Samples of failed events, by pipeline, node and code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use wattle_batch::Batch;

use super::bucket::Bucket;
use super::{Point, Shared};

/// Samples of each code.
const SAMPLES: usize = 5;
/// Codes of each node; further ones have no samples.
const MAX_CODES: usize = 16;
/// Runs of rows with one code that are looked at in a batch.
const MAX_RUNS: usize = 64;
/// Maximum length of an event in bytes.
const MAX_EVENT_BYTES: usize = 8 << 10;
/// Samples of each node per second.
const RATE: u64 = 5;
/// Samples of each node at once, so that the codes of a batch all have one.
const BURST: u64 = 16;

/// The last failed events of a node with one code.
#[derive(Clone, Debug)]
pub struct FailedSamples {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// The node.
    pub node: Arc<str>,
    /// The code of the failure.
    pub code: Arc<str>,
    /// The newest last.
    pub samples: Vec<FailedSample>,
}

/// A failed event.
#[derive(Clone, Debug)]
pub struct FailedSample {
    /// When it failed.
    pub at: SystemTime,
    /// The message; `None` where the event may not be shown, because it can contain parts of it.
    pub message: Option<Arc<str>>,
    /// The event as JSON, or the beginning of it, if it may be shown.
    pub json: Option<Vec<u8>>,
    /// Whether the JSON is only the beginning.
    pub is_cut: bool,
    is_masked: bool,
}

type Codes = BTreeMap<Arc<str>, VecDeque<FailedSample>>;

/// The samples of one node.
pub(crate) struct NodeSamples {
    shared: Arc<Shared>,
    rate: Bucket,
    codes: Mutex<Codes>,
}

impl NodeSamples {
    /// Keeps some of these failed rows, which leave at this point. Never waits: while a reader or another worker has the
    /// samples, it keeps nothing.
    pub(crate) fn record(&self, failed: &Batch, point: &Point) {
        let now = self.shared.now();
        if self.rate.available(now) == 0 {
            return;
        }
        let Some(mut codes) = self.codes.try_lock() else { return };
        let code = |row: usize| failed.failure(row).map(|failure| &failure.code);
        // Consecutive rows usually have the same code, so one of each run is enough.
        let runs = (0..failed.rows()).filter(|&row| row == 0 || code(row) != code(row - 1));
        for row in runs.take(MAX_RUNS) {
            let Some(failure) = failed.failure(row) else { continue };
            if !codes.contains_key(&failure.code) && codes.len() >= MAX_CODES {
                continue;
            }
            if self.rate.take(now, 1) == 0 {
                return;
            }
            let samples = codes.entry(failure.code.clone()).or_default();
            if samples.len() >= SAMPLES {
                samples.pop_front();
            }
            let (mut json, mut is_cut) = (None, false);
            if self.shared.shows(point.is_masked) {
                let mut text = Vec::new();
                is_cut = failed.write_json_start(row, MAX_EVENT_BYTES, &mut text) > text.len();
                json = Some(text);
            }
            let message = Some(failure.message.clone());
            let is_masked = point.is_masked;
            samples.push_back(FailedSample { at: SystemTime::now(), message, json, is_cut, is_masked });
        }
    }
}

/// The samples of one node of a pipeline.
type ByNode = BTreeMap<(Arc<str>, Arc<str>), Arc<NodeSamples>>;

/// The samples of all nodes.
#[derive(Clone)]
pub(crate) struct FailureSamples {
    shared: Arc<Shared>,
    nodes: Arc<Mutex<ByNode>>,
}

impl FailureSamples {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, nodes: Arc::default() }
    }

    pub(super) fn node(&self, pipeline: &str, node: &str) -> Arc<NodeSamples> {
        let create = || {
            let (shared, rate) = (self.shared.clone(), Bucket::new(RATE, BURST));
            Arc::new(NodeSamples { shared, rate, codes: Mutex::default() })
        };
        self.nodes.lock().entry((pipeline.into(), node.into())).or_insert_with(create).clone()
    }

    /// Forgets nodes that do not run any more.
    pub(super) fn retain(&self, is_kept: impl Fn(&str, &str) -> bool) {
        self.nodes.lock().retain(|(pipeline, node), _| is_kept(pipeline, node));
    }

    pub(super) fn list(&self) -> Vec<FailedSamples> {
        let nodes = self.nodes.lock().clone();
        let shown = |sample: &FailedSample| match self.shared.shows(sample.is_masked) {
            true => sample.clone(),
            false => FailedSample { message: None, json: None, is_cut: false, ..*sample },
        };
        let listed = nodes.iter().flat_map(|((pipeline, node), samples)| {
            let codes = samples.codes.lock();
            let of_code = codes.iter().map(|(code, samples)| FailedSamples {
                pipeline: pipeline.clone(),
                node: node.clone(),
                code: code.clone(),
                samples: samples.iter().map(shown).collect(),
            });
            of_code.collect::<Vec<_>>()
        });
        listed.collect()
    }
}
