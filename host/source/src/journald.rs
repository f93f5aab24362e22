//! The source `journald`: reads the journal of systemd by its own reader, the program `journalctl`.
//!
//! The reader ([`read`]) keeps a child process ([`journalctl`]) that follows the journal and writes the export format,
//! which keeps every byte of every field. A parser ([`export`]) finds the entries in it, and a builder ([`events`]) makes
//! batches of them. The sender ([`sending`]) pushes batches to the queue. What they share is in [`shared`]; the position, which
//! is the cursor of an entry, is saved by [`position`].
//!
//! # Why a child process
//!
//! systemd keeps extending the format of its files (compact files, keyed hashes, compression with zstd),
//! and only its own reader merges several files, skips damaged ones and stays right over rotation. `sdjournal` 0.1.15 reads
//! the files in Rust. It was not taken: it is less than a year old with a changing interface, it buffers what it follows
//! without a limit (until 0.1.19), and a damaged file ends following (until 0.1.18). `libsystemd` would tie the agent to a C
//! library of the host. A child process also keeps damaged files out of the process of the agent.
//!
//! # Invariants
//!
//! - The saved position never passes an entry that was not acknowledged. An entry that the options exclude, or that is too
//!   long, is passed when all entries before it are acknowledged.
//! - Memory does not depend on the journal: `max_in_flight_bytes` of events, and one entry of `max_event_bytes`.
//! - No failure of `journalctl` ends the source, unless it reads once.

mod entry;
mod events;
mod export;
mod journalctl;
mod options;
mod position;
mod read;
mod shared;

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
use position::Saver;
use shared::Shared;

/// The source, ready to run.
pub(crate) struct JournaldSource {
    settings: Settings,
}

impl JournaldSource {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Settings::new(options, errors)? })
    }
}

impl Source for JournaldSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let settings = self.settings;
            let shared = Arc::new(Shared::new(settings.max_in_flight_bytes));
            let (saver, begin) = Saver::open(&context, &shared, &settings).await?;
            context.stats.start();
            let result = tokio::select! {
                result = read::run(&settings, &context, &shared, begin) => result,
                () = sending::run(&context, &shared) => Ok(()),
                never = saver.keep() => match never {},
            };
            // What is on its way is still acknowledged; what was not sent is read again after the next start.
            shared.stop();
            tokio::select! {
                () = shared.drained() => {}
                never = saver.keep() => match never {},
            }
            result.and(saver.save().await)
        })
    }
}
