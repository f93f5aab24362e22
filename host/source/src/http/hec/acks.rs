//! Acknowledgements: which requests were delivered, until the client has asked.
//!
//! Numbers never repeat, not even after a restart: a client that asks for a request of an earlier run gets `false`, and
//! sends its events again. Splunk counts from 0 in each channel, and so confirms a request that it has never seen.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wattle_batch::Disposition;

use crate::http::hec::Code;
use crate::http::refusal::Refusal;

/// Minimum time between two searches for channels that are not used, which look at all of them.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Bits for the requests of one second of the clock, so that numbers of this run are greater than those before. Clients
/// that keep numbers as floating point hold 53 bits.
const COUNT_BITS: u32 = 20;

/// How much is kept for clients that do not ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) pending: usize,
    pub(super) pending_of_channel: usize,
    pub(super) channels: usize,
    /// Time after which a channel is not used; `None` to keep all.
    pub(super) idle: Option<Duration>,
}

/// The requests that clients can ask about.
#[derive(Debug)]
pub(super) struct Acks {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Requests of all channels.
    pending: usize,
    channels: HashMap<Box<str>, Channel>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Channel {
    used: Instant,
    open: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
}

/// The acknowledgement of one request. Dropped without a result, the client can ask forever and never gets `true`.
#[derive(Debug)]
pub(in crate::http) struct Ticket {
    acks: Arc<Acks>,
    channel: Box<str>,
    pub(in crate::http) id: u64,
}

impl Acks {
    pub(super) fn new(limits: Limits) -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let state = State { next: seconds << COUNT_BITS, pending: 0, channels: HashMap::new(), swept: None };
        Self { limits, state: Mutex::new(state) }
    }

    /// Begins to track a request.
    ///
    /// # Errors
    ///
    /// There are too many, or too many channels.
    pub(super) fn begin(self: &Arc<Self>, channel: &str) -> Result<Ticket, Refusal> {
        self.begin_at(channel, Instant::now())
    }

    fn begin_at(self: &Arc<Self>, channel: &str, now: Instant) -> Result<Ticket, Refusal> {
        let limits = self.limits;
        let mut state = self.state.lock();
        if !state.channels.contains_key(channel) && state.channels.len() >= limits.channels {
            state.sweep(limits.idle, now);
            if state.channels.len() >= limits.channels {
                return Err(busy("acknowledgements.max_number_of_ack_channels"));
            }
        }
        if state.pending >= limits.pending {
            state.sweep(limits.idle, now);
        }
        let is_full = state.pending >= limits.pending;
        let State { next, pending, channels, .. } = &mut *state;
        let of_channel = match channels.get_mut(channel) {
            Some(found) => found,
            None if is_full => return Err(busy("acknowledgements.max_pending_acks")),
            None => channels.entry(channel.into()).or_insert_with(|| Channel::new(now)),
        };
        of_channel.used = now;
        if is_full || of_channel.len() >= limits.pending_of_channel {
            // The client had the time to ask for it while it sent all that came after.
            if of_channel.delivered.pop_first().is_none() {
                let limit = if is_full { "max_pending_acks" } else { "max_pending_acks_per_channel" };
                return Err(busy(&format!("acknowledgements.{limit}")));
            }
            *pending -= 1;
        }
        let id = *next;
        *next += 1;
        *pending += 1;
        of_channel.open.insert(id);
        Ok(Ticket { acks: self.clone(), channel: channel.into(), id })
    }

    /// Whether these requests were delivered. Those that were are forgotten, as Splunk does.
    pub(super) fn ask(&self, channel: &str, ids: &[u64]) -> Vec<bool> {
        let mut state = self.state.lock();
        let State { pending, channels, .. } = &mut *state;
        let Some(channel) = channels.get_mut(channel) else { return vec![false; ids.len()] };
        channel.used = Instant::now();
        let delivered: Vec<bool> = ids.iter().map(|id| channel.delivered.contains(id)).collect();
        for id in ids {
            *pending -= usize::from(channel.delivered.remove(id));
        }
        delivered
    }
}

impl State {
    /// Forgets channels that are not used.
    fn sweep(&mut self, idle: Option<Duration>, now: Instant) {
        let Some(idle) = idle else { return };
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_PAUSE) {
            return;
        }
        self.swept = Some(now);
        self.channels.retain(|_, channel| now.saturating_duration_since(channel.used) < idle);
        self.pending = self.channels.values().map(Channel::len).sum();
    }
}

impl Channel {
    fn new(now: Instant) -> Self {
        Self { used: now, open: BTreeSet::new(), delivered: BTreeSet::new() }
    }

    fn len(&self) -> usize {
        self.open.len() + self.delivered.len()
    }
}

impl Ticket {
    /// Ends the wait of the request.
    pub(in crate::http) fn end(self, disposition: Disposition) {
        // What is rejected was counted as lost with a reason, and sending it again would not help.
        if matches!(disposition, Disposition::Delivered | Disposition::Rejected) {
            let mut state = self.acks.state.lock();
            // The channel may be forgotten by now.
            if let Some(channel) = state.channels.get_mut(&self.channel)
                && channel.open.remove(&self.id)
            {
                channel.delivered.insert(self.id);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.acks.state.lock();
        let State { pending, channels, .. } = &mut *state;
        if channels.get_mut(&self.channel).is_some_and(|channel| channel.open.remove(&self.id)) {
            *pending -= 1;
        }
    }
}

fn busy(limit: &str) -> Refusal {
    let reason = format!("too many acknowledgements wait for their clients to ask (`{limit}`); try again in a moment");
    Refusal::of_code(Code::Busy, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(pending: usize, pending_of_channel: usize, channels: usize) -> Arc<Acks> {
        let idle = Some(Duration::from_secs(300));
        Arc::new(Acks::new(Limits { pending, pending_of_channel, channels, idle }))
    }

    fn deliver(ticket: Ticket) -> u64 {
        let id = ticket.id;
        ticket.end(Disposition::Delivered);
        id
    }

    #[test]
    fn a_request_is_acknowledged_once_and_only_in_its_channel() {
        let acks = acks(10, 10, 10);
        let (first, second) = (acks.begin("a").unwrap(), acks.begin("a").unwrap());
        let ids = [first.id, second.id];
        assert_eq!(acks.ask("a", &ids), [false, false]);
        deliver(second);
        assert_eq!(acks.ask("b", &ids), [false, false]);
        assert_eq!(acks.ask("a", &[ids[1], ids[1]]), [true, true]);
        assert_eq!(acks.ask("a", &ids), [false, false]);
        deliver(first);
        assert_eq!(acks.ask("a", &ids), [true, false]);
        assert_eq!(acks.state.lock().pending, 0);
    }

    #[test]
    fn what_is_not_delivered_is_never_acknowledged() {
        let acks = acks(10, 10, 10);
        for disposition in [Disposition::Retry, Disposition::GivenUp] {
            let ticket = acks.begin("a").unwrap();
            let id = ticket.id;
            ticket.end(disposition);
            assert_eq!(acks.ask("a", &[id]), [false]);
        }
        drop(acks.begin("a").unwrap());
        assert_eq!(acks.state.lock().pending, 0);
    }

    #[test]
    fn numbers_of_a_later_run_are_new() {
        let first = acks(10, 10, 10).begin("a").unwrap().id;
        let later = acks(10, 10, 10);
        later.state.lock().next += 1 << COUNT_BITS;
        assert!(later.begin("a").unwrap().id > first && first < 1 << 53);
    }

    #[test]
    fn a_full_channel_forgets_the_oldest_delivered_request_or_is_busy() {
        let acks = acks(10, 2, 10);
        let (first, second) = (deliver(acks.begin("a").unwrap()), acks.begin("a").unwrap());
        let third = acks.begin("a").unwrap();
        assert_eq!(acks.ask("a", &[first]), [false]);
        assert_eq!(acks.begin("a").unwrap_err().code, Some(Code::Busy));
        let ids = [deliver(second), deliver(third)];
        assert_eq!(acks.ask("a", &ids), [true, true]);
    }

    #[test]
    fn channels_and_requests_are_limited_and_idle_channels_make_room() {
        let acks = acks(2, 2, 2);
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let (first, second) = (acks.begin_at("a", now).unwrap(), acks.begin_at("b", later(200)).unwrap());
        assert!(acks.begin_at("c", later(201)).unwrap_err().reason.contains("max_number_of_ack_channels"));
        assert!(acks.begin_at("b", later(202)).unwrap_err().reason.contains("max_pending_acks"));
        // `a` is not used for 300 s.
        let third = acks.begin_at("c", later(310)).unwrap();
        let ids = [deliver(first), deliver(second), deliver(third)];
        assert_eq!(acks.ask("a", &ids[..1]), [false]);
        assert_eq!((acks.ask("b", &ids[1..2]), acks.ask("c", &ids[2..])), (vec![true], vec![true]));
        assert_eq!(acks.state.lock().pending, 0);
    }
}
