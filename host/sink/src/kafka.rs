//! The sink `kafka`: writes events as messages to topics.
//!
//! Workers encode each event with its key, headers and time ([`encoder`], [`message`]), and choose the topic. The task gives
//! the messages to an idempotent producer in their order, and acknowledges events when all replicas in sync have them
//! ([`deliver`]). The client collects messages into batches for each partition, and repeats what fails in a way that
//! neither doubles nor reorders them.
//!
//! # Invariants
//!
//! - Events are acknowledged after the brokers have confirmed them, or when they are in the dead letters.
//! - Messages with the same key stay in order, also over failures: what the client gives up is sent again only after
//!   everything else in flight has ended, and before anything new.
//! - Events in memory have at most `max_in_flight_bytes` and one payload, twice: encoded, and in the client.

mod deliver;
mod encoder;
mod message;
mod options;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use wattle_options::OptionError;

use self::deliver::Delivery;
use self::options::{Checked, Settings};
use crate::sink::{Built, Prepared, Running, Sink, SinkContext};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let Checked { encoder, settings } = options::read(options)?;
    Ok(Box::new(move |_: &Arc<str>| Ok(Built { encoder: Arc::new(encoder), sink: Box::new(KafkaSink { settings }) })))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

struct KafkaSink {
    settings: Settings,
}

impl Sink for KafkaSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(async move { Delivery::new(self.settings, context).run().await })
    }
}
