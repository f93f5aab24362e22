//! The memory of keys of one node, `seen`: claims that become firm when their events are delivered.
//!
//! Its instances on all workers share it, and it lives as long as the agent. With a durable grant, firm
//! claims are also in a log in the data folder, which the next start reads.
//!
//! # Life of a claim
//!
//! - A call claims the keys of its rows. Other calls see these claims at once, so that two workers do
//!   not both pass on an event. If the call faults, its [`Claims`] are dropped, which removes them.
//! - If the call succeeds, the claims are provisional until the acknowledgement of its batch ends.
//!   Then [`Claims::end`] makes them firm or removes them. A claim that expired, was forgotten, or was
//!   replaced by another one meanwhile is not affected.
//! - A claim ends after the time that the node gave, or `max_age`. Beyond `max_keys`, the oldest claims
//!   are forgotten, also provisional ones. The store counts what the grant forgot.
//!
//! A duplicate is dropped while the first event is only on its way. This loses nothing: the first event
//! is delivered, or its source offers it again, and then its claim is removed. So is the claim of an
//! event that a sink gave up: its client may send it again.

mod flush;
mod log;
mod memory;

pub use self::log::VERSION as SEEN_VERSION;

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_plan::SeenGrant;

use self::log::Log;
use self::memory::{Firm, Hash, Memory, Span};
use crate::flusher::{Waker, WriteState};
use crate::values::Values;

/// Firm claims that wait for the log. If a disk is so slow that there are more, the whole log is
/// written again from memory.
const MAX_WAITING: usize = 1 << 18;

/// The store of one node.
#[derive(Debug, Default)]
pub(crate) struct SeenStore {
    claimed: Mutex<Claimed>,
    /// `None` if the claims are not durable. Locked during writes, which wait for the disk.
    log: Mutex<Option<LogState>>,
    /// Starts a write of the log; set together with it.
    waker: std::sync::OnceLock<Arc<Waker>>,
    usage: flush::LogUsage,
}

#[derive(Debug, Default)]
struct Claimed {
    memory: Memory,
    /// Firm claims that are not in the log yet.
    waiting: Vec<Firm>,
    /// `waiting` was too small.
    has_overflowed: bool,
}

#[derive(Debug)]
struct LogState {
    log: Log,
    writes: WriteState,
}

/// How many keys a store has, and what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenUsage {
    /// Number of claims.
    pub keys: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Writes of the log that failed; they are repeated.
    pub log_errors: u64,
}

/// Claims of one call. They are removed when this is dropped.
#[derive(Debug, Default)]
pub struct Claims {
    store: Option<Arc<SeenStore>>,
    ranges: Vec<Range<u64>>,
    is_durable: bool,
}

impl Claims {
    /// Whether nothing was claimed.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Makes the claims firm if the events are where they belong, and removes them if their source may
    /// offer them again.
    pub fn end(mut self, is_firm: bool) {
        if let Some(store) = self.store.take() {
            if is_firm {
                store.make_firm(&self.ranges, self.is_durable);
            } else {
                store.unclaim(&self.ranges);
            }
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            store.unclaim(&self.ranges);
        }
    }
}

/// Result of a claim of many keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// 1 for each row that is new, else 0.
    pub(crate) is_new: Vec<u8>,
    /// Claims that the grant forgot meanwhile.
    pub(crate) forgotten: u64,
}

fn hash(key: &[u8]) -> Hash {
    let hash = blake3::hash(key);
    hash.as_bytes().first_chunk().copied().map_or(0, u128::from_le_bytes)
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn limit(grant: &SeenGrant) -> usize {
    usize::try_from(grant.max_keys).unwrap_or(usize::MAX)
}

impl SeenStore {
    /// Creates a store in which these keys were delivered and never expire.
    pub(crate) fn with(keys: &[String]) -> Self {
        let span = Span { now: 0, until: u64::MAX, is_cut: false };
        let mut memory = Memory::default();
        for key in keys {
            memory.restore(Firm { key: hash(key.as_bytes()), until: u64::MAX }, span, usize::MAX);
        }
        Self { claimed: Mutex::new(Claimed { memory, ..Claimed::default() }), ..Self::default() }
    }

    /// Claims keys for a call. `ttl` and `now` are in milliseconds, `now` since 1970.
    pub(crate) fn claim(
        self: &Arc<Self>,
        grant: &SeenGrant,
        keys: &Values,
        ttl: u64,
        now: u64,
        claims: &mut Claims,
    ) -> Claim {
        let max_age = milliseconds(grant.max_age);
        let span = Span { now, until: now.saturating_add(ttl.min(max_age)), is_cut: ttl > max_age };
        let hashes: Vec<Option<Hash>> = keys.iter().map(|key| key.map(hash)).collect();
        let max = limit(grant);
        let mut claimed = self.claimed.lock();
        let memory = &mut claimed.memory;
        let first = memory.next();
        let is_new =
            hashes.into_iter().map(|key| u8::from(key.is_none_or(|key| memory.claim(key, span, max)))).collect();
        let (end, forgotten) = (memory.next(), memory.take_forgotten());
        drop(claimed);
        if end > first {
            claims.store.get_or_insert_with(|| self.clone());
            claims.is_durable = grant.durable;
            match claims.ranges.last_mut() {
                Some(last) if last.end == first => last.end = end,
                _ => claims.ranges.push(first..end),
            }
        }
        Claim { is_new, forgotten }
    }

    fn make_firm(&self, ranges: &[Range<u64>], is_durable: bool) {
        let mut claimed = self.claimed.lock();
        let Claimed { memory, waiting, has_overflowed } = &mut *claimed;
        let Some(waker) = self.waker.get().filter(|_| is_durable) else {
            return ranges.iter().for_each(|range| memory.make_firm(range, |_| {}));
        };
        ranges.iter().for_each(|range| memory.make_firm(range, |claim| waiting.push(claim)));
        if waiting.len() > MAX_WAITING {
            waiting.clear();
            *has_overflowed = true;
        }
        drop(claimed);
        waker.wake(flush::INTERVAL);
    }

    fn unclaim(&self, ranges: &[Range<u64>]) {
        let mut claimed = self.claimed.lock();
        ranges.iter().for_each(|range| claimed.memory.unclaim(range));
    }

    /// The current size.
    pub(crate) fn usage(&self) -> SeenUsage {
        let keys = self.claimed.lock().memory.len() as u64;
        let (log_bytes, log_errors) = self.usage.read();
        SeenUsage { keys, log_bytes, log_errors }
    }
}

#[cfg(test)]
mod tests;
