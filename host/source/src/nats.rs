//! The source `nats`: reads a stream of JetStream as a client of a pull consumer, or subjects without JetStream.
//!
//! With JetStream, the reader ([`read`]) keeps a connection, finds or creates the consumer ([`consumer`]), asks for as many
//! messages as fit ([`pull`]), and makes batches of them ([`events`]). The sender ([`sending`]) pushes batches to the queue.
//! Beside the reader, one task acknowledges what is delivered, and one reports to the server that what is held is in work
//! ([`acks`]). What they share is in [`shared`].
//!
//! Without JetStream ([`core`]), there are no acknowledgements: the server forgets a message when it has sent it.
//!
//! What ends a message:
//!
//! | its events | the message |
//! | --- | --- |
//! | are delivered, rejected or dropped on purpose | is acknowledged (`+ACK`) |
//! | return undelivered | is given back with a pause (`-NAK`), which grows with the number of deliveries |
//! | are in the source when it stops | is given back at once |
//! | are longer than the limits | is ended for good (`+TERM`), which the server announces as an advisory |
//! | there are none | is acknowledged |
//!
//! # Invariants
//!
//! - A message is acknowledged only after all of its events are.
//! - A message that waits for delivery is never delivered again because of that: the server gets a report in time (`+WPI`).
//! - Memory does not depend on the size of streams: `max_in_flight_bytes` of events and `max_in_flight` messages.
//! - No failure of a server ends the source.

mod acks;
mod consumer;
mod core;
mod events;
mod gaps;
mod options;
mod pull;
mod read;
mod reports;
mod shared;
mod uses;

use std::pin::Pin;
use std::sync::Arc;

use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::sending;
use crate::source::{Source, SourceContext};
pub(crate) use options::Options;
use options::{Mode, Settings};
use shared::Shared;
pub(crate) use uses::uses;

/// The source, ready to run.
pub(crate) struct NatsSource {
    settings: Settings,
}

impl NatsSource {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Settings::new(options, errors)? })
    }
}

impl Source for NatsSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let settings = self.settings;
            let shared = Arc::new(Shared::new(settings.max_in_flight_bytes, settings.max_in_flight));
            if settings.connection.is_unverified() {
                tracing::warn!(
                    source = %context.name,
                    "`tls.verify` is false: others on the network path can read and change events"
                );
            }
            let read = async {
                match &settings.mode {
                    Mode::JetStream(stream) => read::run(&settings, stream, &context, &shared).await,
                    Mode::Core(subscription) => core::run(&settings, subscription, &context, &shared).await,
                }
            };
            // When the queue is closed, the reader ends, after it has given back what it holds.
            let send = async {
                loop {
                    sending::run(&context, &shared).await;
                }
            };
            tokio::select! {
                () = read => Ok(()),
                () = send => Ok(()),
            }
        })
    }
}
