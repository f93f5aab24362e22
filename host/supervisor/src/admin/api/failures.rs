//! `GET /api/v1/failures`: the last failed events, by pipeline, node and code.

use std::collections::HashMap;
use std::sync::Arc;

use wattle_api::failures::{FailedEvents, Failures, Sample};
use wattle_topology::FailedSample;

use super::super::state::State;
use super::tap::value;
use crate::time::rfc3339;

/// Pipeline, node and code.
type Key = (Arc<str>, Arc<str>, Arc<str>);

/// Makes the document. All codes of the pipelines that run have their counts; most have samples.
pub(super) fn collect(state: &State) -> Failures {
    let observer = state.observer();
    let mut samples: HashMap<Key, Vec<FailedSample>> = HashMap::new();
    for found in observer.taps().failures() {
        samples.insert((found.pipeline, found.node, found.code), found.samples);
    }
    let mut failures = Vec::new();
    for pipeline in state.pipelines().iter() {
        let counts = observer.counts().pipeline(&pipeline.name);
        for (node, _) in &pipeline.nodes {
            for (code, events) in counts.node(node).failed.counts() {
                let key = (pipeline.name.as_str().into(), node.as_str().into(), code.as_str().into());
                let samples = samples.remove(&key).unwrap_or_default().into_iter().map(sample).collect();
                failures.push(FailedEvents {
                    pipeline: pipeline.name.clone(),
                    node: node.clone(),
                    code,
                    events,
                    samples,
                });
            }
        }
    }
    Failures { failures }
}

fn sample(sample: FailedSample) -> Sample {
    let FailedSample { at, message, json, is_cut, .. } = sample;
    Sample {
        at: rfc3339(at),
        message: message.map(|message| message.to_string()).unwrap_or_default(),
        event: json.map(|json| value(&json, is_cut)),
    }
}
