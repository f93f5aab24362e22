//! Failed attempts in a row: when to try again, when to give up, and what the log says.

use std::sync::Arc;

use super::failure::Failure;
use super::options::Settings;
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::SinkStats;

/// Attempts of one sink.
pub(super) struct Attempts {
    sink: Arc<str>,
    stats: Arc<SinkStats>,
    address: String,
    backoff: Backoff,
    outage: Outage,
    max: Option<usize>,
    failed: usize,
}

impl Attempts {
    pub(super) fn new(sink: Arc<str>, settings: &Settings, stats: Arc<SinkStats>) -> Self {
        Self {
            sink,
            stats,
            address: settings.destination.to_string(),
            backoff: Backoff::new(settings.retry_initial_backoff, settings.retry_max_backoff),
            outage: Outage::default(),
            max: settings.retry_attempts,
            failed: 0,
        }
    }

    /// Counts and logs a failed attempt. Returns the wait before the next one; `None` if the attempts are used up.
    pub(super) fn failed(&mut self, failure: &Failure) -> Option<std::time::Duration> {
        match failure.needs_operator() {
            true => self.stats.set_broken(|| failure.to_string()),
            false => self.stats.clear_broken(),
        }
        if let Some(attempts) = self.outage.failed() {
            let (sink, address) = (&self.sink, &self.address);
            if failure.needs_operator() {
                tracing::error!(%sink, address, reason = %failure, attempts, "cannot deliver events; retrying");
            } else {
                tracing::warn!(%sink, address, reason = %failure, attempts, "cannot deliver events; retrying");
            }
        }
        if self.max.is_some_and(|max| self.failed >= max) {
            self.restart();
            return None;
        }
        self.failed += 1;
        self.stats.retried();
        Some(self.backoff.next())
    }

    /// Begins again after events were delivered.
    pub(super) fn succeeded(&mut self) {
        self.restart();
        if let Some(Recovery { lasted, attempts }) = self.outage.over() {
            tracing::info!(sink = %self.sink, address = self.address, ?lasted, attempts, "server accepts events again");
        }
    }

    fn restart(&mut self) {
        self.failed = 0;
        self.backoff.reset();
    }
}
