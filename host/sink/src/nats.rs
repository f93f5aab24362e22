//! The sink `nats`: writes events as messages to subjects.
//!
//! Workers encode each event with its headers and its id ([`encoder`], [`message`]), and choose the subject ([`subject`]).
//! The task publishes the messages in their order, many at a time, and acknowledges events when their stream has confirmed
//! them ([`deliver`]). What is not confirmed is sent again with the same id, so the stream stores it once.
//!
//! # Invariants
//!
//! - Events are acknowledged after a stream has confirmed them, or when they are in the dead letters. Without JetStream, when
//!   they are written to the connection.
//! - What failed is sent again only after everything else in flight has ended, and before anything new. So messages stay in
//!   order when a connection breaks.
//! - At most `max_in_flight` messages and `max_in_flight_bytes` and one payload are not confirmed.
//! - No event chooses a subject of the server, or a header that directs JetStream.

mod deliver;
mod encoder;
mod message;
mod options;
mod subject;

use std::sync::Arc;

use serde_json::Value;
use wattle_options::OptionError;

use self::deliver::Delivery;
use self::options::{Checked, Settings};
use crate::sink::{Built, Prepared, Running, Sink, SinkContext};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let Checked { encoder, settings } = options::read(options)?;
    Ok(Box::new(move |_: &Arc<str>| Ok(Built { encoder: Arc::new(encoder), sink: Box::new(NatsSink { settings }) })))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

struct NatsSink {
    settings: Settings,
}

impl Sink for NatsSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(async move { Delivery::new(self.settings, context).run().await })
    }
}
