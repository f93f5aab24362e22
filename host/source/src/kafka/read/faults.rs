//! Partitions that cannot be read although the brokers answer.
//!
//! The client repeats failed requests for a partition, and says so only in its log (see [`ClientLog`](wattle_kafka::ClientLog)).
//! A failure that an operator must end is reported at once. Others are reported when they last, since elections of leaders
//! are normal. What the client does not even log shows in positions: one that does not move while the partition has more.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use wattle_kafka::krafka::consumer::{Consumer, PartitionLag, TopicPartition};
use wattle_kafka::{Failure, FailureKind};

use super::super::group::COMMIT_TIMEOUT;
use super::super::offsets::Key;
use super::super::reports::Action;
use super::Reader;

/// How old what is known about a partition may be to be the result of a request that worked. Longer than a poll.
pub(super) const FRESH: Duration = Duration::from_secs(3);

/// How long a failure that may end by itself lasts before it is reported.
const LASTING: Duration = Duration::from_secs(2);

/// Longer than the longest pause of the client between two attempts, 30 s.
const FORGOTTEN: Duration = Duration::from_secs(40);

/// Interval at which partitions that do not move are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// While more bytes are read between two looks, partitions may wait for their turn.
const BUSY_BYTES: u64 = 1 << 20;

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Group,
    Partition(Key),
}

#[derive(Debug)]
struct Fault {
    first: Instant,
    last: Instant,
    /// The position at the time of the last failure, when it is known.
    position: Option<i64>,
}

/// What fails now.
#[derive(Debug, Default)]
pub(super) struct Faults {
    all: BTreeMap<Subject, Fault>,
    /// The positions of partitions when they were looked at.
    positions: HashMap<Key, i64>,
    looked: Option<Instant>,
    /// Bytes that were read until then.
    read_bytes: u64,
}

impl Faults {
    /// Whether everything can be read.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Reading is paused, so no position moves.
    pub(super) fn pause(&mut self) {
        self.looked = Some(Instant::now());
        self.positions.clear();
    }

    /// Notes a failure. Returns whether it is to be reported.
    fn add(&mut self, subject: Subject, failure: &Failure, now: Instant) -> bool {
        let fault = self.all.entry(subject).or_insert(Fault { first: now, last: now, position: None });
        (fault.last, fault.position) = (now, None);
        // A broker says so also about partitions that it does not know yet.
        let is_certain = failure.kind.needs_operator() && failure.kind != FailureKind::UnknownTopic;
        is_certain || now.saturating_duration_since(fault.first) >= LASTING
    }

    /// Forgets what is over. Returns whether this was the last of the failures.
    fn retain(&mut self, lag: &HashMap<TopicPartition, PartitionLag>, is_paused: bool, now: Instant) -> bool {
        let was_failing = !self.all.is_empty();
        let of = |key: &Key| lag.get(&TopicPartition::new(&*key.0, key.1));
        self.all.retain(|subject, fault| {
            if is_paused {
                // Nothing is asked for, so nothing fails or works.
                fault.last = now;
                return true;
            }
            let since = now.saturating_duration_since(fault.last);
            match subject {
                // It was joined, and said what it has committed.
                Subject::Group => {
                    let is_missing = lag.is_empty() || lag.values().any(|lag| lag.position.is_none());
                    since < FRESH || (is_missing && since < FORGOTTEN)
                }
                Subject::Partition(key) => {
                    let Some(lag) = of(key) else { return false };
                    let has_moved = fault.position.is_some() && fault.position != lag.position;
                    fault.position = fault.position.or(lag.position);
                    let works = has_moved || (since >= FRESH && !lag.stale) || since >= FORGOTTEN;
                    !works
                }
            }
        });
        was_failing && self.all.is_empty()
    }

    /// The partitions that did not move since they were looked at before, with their positions, when it is time to look.
    fn standing(
        &mut self,
        lag: &HashMap<TopicPartition, PartitionLag>,
        read_bytes: u64,
        now: Instant,
    ) -> Vec<(Key, i64)> {
        if self.looked.is_some_and(|looked| now < looked + LOOK) {
            return Vec::new();
        }
        self.looked = Some(now);
        let read = read_bytes.saturating_sub(std::mem::replace(&mut self.read_bytes, read_bytes));
        let positions = lag.iter().filter_map(|(of, lag)| Some(((of.topic().into(), of.partition()), lag.position?)));
        let positions = if read > BUSY_BYTES { HashMap::new() } else { positions.collect() };
        let before = std::mem::replace(&mut self.positions, positions);
        let is_standing = |(key, position): &(&Key, &i64)| before.get(*key) == Some(*position);
        let standing = self.positions.iter().filter(is_standing);
        standing.map(|(key, position)| (key.clone(), *position)).collect()
    }
}

impl Reader<'_> {
    /// A request for a partition failed.
    pub(super) fn failed(&mut self, key: &Key, failure: Failure) {
        self.fault(Subject::Partition(key.clone()), &failure);
    }

    /// The group does not work.
    pub(super) fn group_failed(&mut self, failure: Failure) {
        self.fault(Subject::Group, &failure);
    }

    fn fault(&mut self, subject: Subject, failure: &Failure) {
        if self.faults.add(subject, failure, Instant::now()) {
            self.reports.failed(self.context, Action::Read, failure);
        }
    }

    /// Finds out which failures are over, and which partitions stand still.
    pub(super) async fn check(&mut self, consumer: &Consumer, is_paused: bool) {
        let lag = consumer.lag().await;
        let now = Instant::now();
        if self.faults.retain(&lag, is_paused, now) {
            self.reports.worked(self.context, Action::Read);
        }
        let mut standing = self.faults.standing(&lag, self.context.stats.read_bytes.load(Ordering::Relaxed), now);
        // These are reported already.
        standing.retain(|(key, _)| !self.faults.all.contains_key(&Subject::Partition(key.clone())));
        if standing.is_empty() {
            return;
        }
        let partitions: Vec<(&str, i32)> =
            standing.iter().map(|((topic, partition), _)| (&**topic, *partition)).collect();
        // The newest offset; with transactions, that up to which they are complete.
        let Ok(ends) = timeout(COMMIT_TIMEOUT, consumer.offsets_for_times(&partitions, -1)).await else { return };
        for (key, position) in &standing {
            let (topic, partition) = (&*key.0, key.1);
            let end = match ends.get(&(topic.to_owned(), partition)) {
                Some(Ok(end)) => *end,
                Some(Err(error)) => {
                    self.stands(key, &Failure::of(error));
                    continue;
                }
                None => continue,
            };
            if end > *position && consumer.position(topic, partition).await == Some(*position) {
                let text = format!(
                    "`{topic}/{partition}`: no message was returned for {} s, although there are messages at offsets {position} \
                     to {end}",
                    LOOK.as_secs()
                );
                self.stands(key, &Failure { kind: FailureKind::Unavailable, text });
            }
        }
    }

    /// A partition stood still long enough to say so.
    fn stands(&mut self, key: &Key, failure: &Failure) {
        self.faults.add(Subject::Partition(key.clone()), failure, Instant::now());
        self.reports.failed(self.context, Action::Read, failure);
    }
}
