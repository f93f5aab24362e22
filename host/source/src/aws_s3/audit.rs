//! The line in the log about each object.

use std::time::{Duration, Instant};

use super::read::{Place, Read};

/// Logs at the level `debug` how an attempt to read and deliver an object ended. `bytes` are those that are delivered,
/// decompressed; `events` those that this source delivered.
pub(super) struct Audit<'a> {
    pub(super) source: &'a str,
    pub(super) place: &'a Place,
    pub(super) message: Option<&'a str>,
    pub(super) begun: Instant,
    pub(super) bytes: u64,
    pub(super) events: u64,
    /// From the creation of the object to the delivery of all of its events.
    pub(super) delay: Option<Duration>,
}

impl Audit<'_> {
    pub(super) fn log(&self, read: &Read) {
        tracing::debug!(
            source = self.source,
            bucket = self.place.bucket,
            key = self.place.key,
            message_id = self.message,
            size = read.size,
            bytes = self.bytes,
            events = self.events,
            duration_milliseconds = milliseconds(self.begun.elapsed()),
            delay_milliseconds = self.delay.map(milliseconds),
            result = read.ended.name(),
            "object"
        );
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
