//! Writes the logs of firm claims, a group at most every 100 ms.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wattle_plan::SeenGrant;

use super::log::{Found, Log, RECORD_BYTES};
use super::memory::{Firm, Span};
use super::{LogState, SeenStore, limit, milliseconds};
use crate::ambient::Clock;
use crate::flusher::{Durable, Waker, WriteState};

/// Minimum interval between two groups. A kill forgets at most what was delivered in this time.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// The store is not locked for more claims than these at once while the log is read or written.
const CHUNK: usize = 4096;

/// A log is written again when it has more than twice as many records as there are claims, plus this
/// number, so that a small log is not written all the time.
const SLACK_RECORDS: u64 = 4096;

/// Counts of the log of a store.
#[derive(Debug, Default)]
pub(super) struct LogUsage {
    bytes: AtomicU64,
    errors: AtomicU64,
}

impl LogUsage {
    pub(super) fn read(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.errors.load(Ordering::Relaxed))
    }
}

impl SeenStore {
    /// Reads the log at this path, if the store has none yet, and keeps firm claims there from now on.
    /// Returns the number of claims that exceed the grant. A log that cannot be read is reported, and
    /// replaced with the next claim.
    pub(crate) fn keep_in(&self, path: PathBuf, grant: &SeenGrant, waker: &Arc<Waker>) -> u64 {
        // Others wait here until the claims are read.
        let mut state = self.log.lock();
        if state.is_some() {
            return 0;
        }
        let mut log = Log::new(path);
        match self.read(&mut log, grant) {
            Ok(Found { damaged: 0, .. }) => {}
            Ok(Found { records, damaged }) => {
                tracing::warn!(
                    path = %log.path().display(), records, damaged,
                    "some claims of a node were damaged; duplicates of their events can pass"
                );
            }
            Err(error) => {
                self.usage.errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    path = %log.path().display(), %error,
                    "cannot read the claims of a node; duplicates of earlier events can pass"
                );
            }
        }
        self.usage.bytes.store(log.records * RECORD_BYTES as u64, Ordering::Relaxed);
        *state = Some(LogState { log, writes: WriteState::default() });
        let _ = self.waker.set(waker.clone());
        self.claimed.lock().memory.take_forgotten()
    }

    fn read(&self, log: &mut Log, grant: &SeenGrant) -> std::io::Result<Found> {
        let now = Clock::Machine.steady();
        let (max, latest) = (limit(grant), now.saturating_add(milliseconds(grant.max_age)));
        let mut chunk: Vec<Firm> = Vec::with_capacity(CHUNK);
        let add = |chunk: &mut Vec<Firm>| {
            let memory = &mut self.claimed.lock().memory;
            for claim in chunk.drain(..) {
                // The clock may have been ahead when the claim was made.
                let span = Span { now, until: claim.until.min(latest), is_cut: claim.until > latest };
                memory.restore(claim, span, max);
            }
        };
        let found = log.read(|claim| {
            if claim.until > now {
                chunk.push(claim);
            }
            if chunk.len() >= CHUNK {
                add(&mut chunk);
            }
        });
        add(&mut chunk);
        found
    }
}

impl Durable for SeenStore {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn flush(&self, is_last: bool) {
        let mut state = self.log.lock();
        let Some(LogState { log, writes }) = &mut *state else { return };
        let now = Clock::Machine.steady();
        if writes.is_paused(now) && !is_last {
            return;
        }
        let (group, has_overflowed, live) = {
            let mut claimed = self.claimed.lock();
            let has_overflowed = std::mem::take(&mut claimed.has_overflowed);
            (std::mem::take(&mut claimed.waiting), has_overflowed, claimed.memory.len() as u64)
        };
        // Also after a failure: the file may lack a group.
        writes.must_rewrite |= has_overflowed;
        if group.is_empty() && !writes.must_rewrite {
            return;
        }
        let is_long = log.records + group.len() as u64 > 2 * live + SLACK_RECORDS;
        let written = if log.is_appendable() && !writes.must_rewrite && !is_long {
            log.append(&group)
        } else {
            // The memory has all claims of the group that still count.
            let mut from = Some(0);
            log.rewrite(|chunk| {
                if let Some(serial) = from {
                    from = self.claimed.lock().memory.firm_from(serial, now, CHUNK, chunk);
                }
                from.is_some()
            })
        };
        self.usage.bytes.store(log.records * RECORD_BYTES as u64, Ordering::Relaxed);
        match written {
            Ok(()) => writes.succeed(),
            Err(error) => {
                self.usage.errors.fetch_add(1, Ordering::Relaxed);
                if writes.fail(now) || is_last {
                    tracing::warn!(
                        path = %log.path().display(), %error,
                        "cannot write the claims of a node; retrying, until then a kill or the end of the agent forgets them"
                    );
                }
            }
        }
    }

    fn has_waiting(&self) -> bool {
        let claimed = self.claimed.lock();
        let has_claims = !claimed.waiting.is_empty() || claimed.has_overflowed;
        drop(claimed);
        // A write that failed is repeated.
        has_claims || self.log.lock().as_ref().is_some_and(|state| state.writes.must_rewrite)
    }

    fn path(&self) -> Option<PathBuf> {
        self.log.lock().as_ref().map(|state| state.log.path().to_owned())
    }
}
