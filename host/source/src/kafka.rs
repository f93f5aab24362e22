//! The source `kafka`: reads topics as a member of a consumer group.
//!
//! Three tasks share the offsets ([`offsets`]). The reader ([`read`]) polls the client, which also keeps the membership,
//! and makes batches of the messages of each partition ([`events`]). The sender ([`sending`]) pushes them to the queue, and
//! again if they return undelivered. The client calls the listener ([`group`]) before partitions move to another member.
//!
//! # Invariants
//!
//! - The committed offset of a partition never passes a message whose events are not acknowledged, in whatever order
//!   acknowledgements come.
//! - Polling goes on while the queue is full, with all partitions paused, so back-pressure never costs the membership.
//! - Memory does not depend on the size of topics: `max_in_flight_bytes` of events, and the responses of one fetch of each
//!   broker.
//! - No failure of a broker ends the source.

mod events;
mod group;
mod offsets;
mod options;
mod read;
mod reports;
mod shared;
mod uses;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;

use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::sending;
use crate::source::{Source, SourceContext};
pub(crate) use options::Options;
use options::Settings;
use shared::Shared;
pub(crate) use uses::uses;

/// The source, ready to run.
pub(crate) struct KafkaSource {
    settings: Settings,
}

impl KafkaSource {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Settings::new(options, errors)? })
    }
}

impl Source for KafkaSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let shared = Arc::new(Shared::new(self.settings.max_in_flight_bytes));
            let context = Arc::new(context);
            if self.settings.connection.is_unverified() {
                tracing::warn!(
                    source = %context.name,
                    "`tls.verify` is false: others on the network path can read and change events"
                );
            }
            // When the queue is closed, the reader ends, after it has committed.
            let send = async {
                loop {
                    sending::run(&context, &shared).await;
                }
            };
            tokio::select! {
                () = read::run(&self.settings, &context, &shared) => Ok(()),
                () = send => Ok(()),
            }
        })
    }
}
