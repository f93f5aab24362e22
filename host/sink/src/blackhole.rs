//! The sink `blackhole`: counts events, acknowledges them and discards them. Used to measure a
//! pipeline without a sink.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_batch::Batch;
use wattle_options::OptionError;

use crate::sink::{Built, Encoder, Payload, Prepared, Running, Sink, SinkContext};

/// Options of the sink `blackhole`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BlackholeOptions {}

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let BlackholeOptions {} = wattle_options::read(options, |options, _| Some(options))?;
    Ok(Box::new(|_: &Arc<str>| Ok(Built { encoder: Arc::new(Blackhole), sink: Box::new(Blackhole) })))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    wattle_options::schema_of::<BlackholeOptions>()
}

struct Blackhole;

impl Encoder for Blackhole {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let events = batch.rows();
        vec![Payload { key: None, bytes: Vec::new(), events, ends: Vec::new(), ack: batch.into_ack() }]
    }
}

impl Sink for Blackhole {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(async move {
            while let Some(payload) = context.input.pop().await {
                context.stats.deliver(payload.into_written());
            }
            Ok(())
        })
    }
}
