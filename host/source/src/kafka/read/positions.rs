//! Where reading begins in a partition, and where it goes on when the brokers do not have what is next.
//!
//! The client does not choose positions by itself. It asks for one when the group has no offset, and when the offset is out of
//! range. Only the first case is that of `auto_offset_reset`. An offset that the group had is never skipped to the newest
//! message: what is left in the topic is read, and what is lost is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout};
use wattle_kafka::krafka::KrafkaError;
use wattle_kafka::krafka::consumer::{AutoOffsetReset, Consumer, TopicPartition};
use wattle_kafka::{Failure, FailureKind, Note};

use super::super::group::COMMIT_TIMEOUT;
use super::super::offsets::Key;
use super::Reader;
use crate::source::SourceContext;

/// How long a topic that was created again waits for its partitions to be assigned.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// What was found out about the topics, also by earlier consumers.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// The number of partitions when the source began. Those that came later are read from the beginning.
    first: BTreeMap<String, usize>,
    ids: BTreeMap<String, [u8; 16]>,
    /// Topics that were created again, and that are to be read from the beginning, until then.
    again: BTreeMap<String, Instant>,
}

impl Topics {
    /// A topic has so many partitions; the id is zero if the brokers have none.
    pub(super) fn found(&mut self, context: &SourceContext, topic: &str, partitions: usize, id: [u8; 16]) {
        self.first.entry(topic.to_owned()).or_insert(partitions);
        if id == [0; 16] {
            return;
        }
        if self.ids.insert(topic.to_owned(), id).is_some_and(|before| before != id) {
            tracing::warn!(
                source = %context.name, topic,
                "the topic was deleted and created again; it is read from its beginning"
            );
            self.again.insert(topic.to_owned(), Instant::now() + PATIENCE);
        }
    }
}

impl Reader<'_> {
    /// Gives partitions a position that have none, or one that is out of range. Returns `false` if one of them still has
    /// none, so that the next poll must wait.
    pub(super) async fn position(&mut self, consumer: &Consumer, partitions: Vec<(String, i32)>) -> bool {
        let known = consumer.lag().await;
        let mut is_done = true;
        for (topic, partition) in partitions {
            // If it was revoked meanwhile, it needs no position.
            let Some(lag) = known.get(&TopicPartition::new(topic.clone(), partition)) else { continue };
            let key: Key = (topic.as_str().into(), partition);
            is_done &= match lag.position {
                None => self.begin(consumer, &key).await,
                Some(position) => self.out_of_range(consumer, &key, position).await,
            };
        }
        is_done
    }

    /// The group has no offset.
    async fn begin(&mut self, consumer: &Consumer, key: &Key) -> bool {
        let (topic, partition) = (&*key.0, key.1);
        let is_later = |first: &usize| usize::try_from(partition).is_ok_and(|partition| partition >= *first);
        let is_new = self.topics.first.get(topic).is_some_and(is_later);
        let was_committed = self.shared.has_committed(key);
        match self.settings.reset {
            AutoOffsetReset::Latest if was_committed || is_new => {
                // All messages are newer than the source, or the brokers forgot the offset with a topic that they deleted.
                tracing::info!(
                    source = %self.context.name, topic, partition, was_committed,
                    "the partition is newer than the source; it is read from its beginning"
                );
                consumer.seek_to_beginning(topic, partition).await.is_ok()
            }
            AutoOffsetReset::Latest => consumer.seek_to_end(topic, partition).await.is_ok(),
            AutoOffsetReset::None => {
                let failure = Failure::of(&KrafkaError::no_offset(vec![(topic.to_owned(), partition)]));
                self.failed(key, failure);
                false
            }
            _ => consumer.seek_to_beginning(topic, partition).await.is_ok(),
        }
    }

    /// The brokers do not have the message at the position.
    async fn out_of_range(&mut self, consumer: &Consumer, key: &Key, position: i64) -> bool {
        let (topic, partition) = (&*key.0, key.1);
        let found = timeout(COMMIT_TIMEOUT, consumer.fetch_watermarks(topic, partition)).await;
        let found = found.unwrap_or_else(|_| Err(KrafkaError::timeout("looking up the oldest message")));
        let (first, end) = match found {
            Ok(found) => found,
            Err(error) => {
                self.failed(key, Failure::of(&error));
                return false;
            }
        };
        let fail = |kind, text: &str| Failure {
            kind,
            text: format!("`{topic}/{partition}`: offset {position} is out of range, {first} to {end} are there{text}"),
        };
        if (first..=end).contains(&position) {
            // A replica that is behind.
            self.failed(key, fail(FailureKind::Unavailable, ""));
            return false;
        }
        if matches!(self.settings.reset, AutoOffsetReset::None) {
            let text = "; stop the agent and set the offset of the group, or set `auto_offset_reset`";
            self.failed(key, fail(FailureKind::NoOffset, text));
            return false;
        }
        if position < first {
            let lost = first.saturating_sub(position).unsigned_abs();
            self.context.stats.expired_messages.fetch_add(lost, Ordering::Relaxed);
            tracing::error!(
                source = %self.context.name, topic, partition, lost, position, first,
                "messages are lost: they were deleted from the topic before they were read; reading goes on at the oldest one"
            );
            self.shared.pass(key, position, first);
            return consumer.seek(topic, partition, first).await.is_ok();
        }
        if !self.is_created_again(consumer, topic).await {
            self.report_beginning(key, position, end);
            return consumer.seek(topic, partition, first).await.is_ok();
        }
        true
    }

    /// Reports that a partition is read from its beginning.
    fn report_beginning(&self, (topic, partition): &Key, position: i64, end: i64) {
        tracing::error!(
            source = %self.context.name, %topic, partition, position, end,
            "the topic ends before the offset that is next: it was created again, or has lost messages; it is read from its \
             beginning, and some of its events may be sent again"
        );
    }

    /// Whether a topic has another id than before. Then all of its partitions begin again.
    async fn is_created_again(&mut self, consumer: &Consumer, topic: &str) -> bool {
        let looked_up = timeout(COMMIT_TIMEOUT, consumer.fetch_metadata(Some(topic))).await;
        if let Some(found) = looked_up.ok().and_then(Result::ok).and_then(|found| found.topics.into_iter().next()) {
            self.topics.found(self.context, topic, found.partitions.len(), found.topic_id);
        }
        self.topics.again.contains_key(topic)
    }

    /// Notes what the client has said during a poll.
    pub(super) async fn note(&mut self, consumer: &Consumer, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Partition { topic, partition, failure } => self.failed(&(topic.into(), partition), failure),
                Note::Group(failure) => self.group_failed(failure),
                Note::Truncated { topic, partition, from, to } => {
                    self.truncated(consumer, &topic, partition, from, to).await;
                }
            }
        }
    }

    /// The brokers have fewer messages than were read, and the client has moved the position to their end.
    async fn truncated(&mut self, consumer: &Consumer, topic: &str, partition: i32, from: i64, to: i64) {
        let is_known = self.topics.ids.contains_key(topic);
        if self.is_created_again(consumer, topic).await {
            return;
        }
        if is_known {
            // Messages before are the same as those that were read.
            tracing::error!(
                source = %self.context.name, topic, partition, from, to,
                "the brokers have lost messages that were read; reading goes on where they are the same"
            );
            return;
        }
        // It may be another topic with the same name. Then going on here would skip messages.
        self.report_beginning(&(topic.into(), partition), from, to);
        let _ = consumer.seek_to_beginning(topic, partition).await;
    }

    /// Moves to the beginning of topics that were created again.
    pub(super) async fn begin_again(&mut self, consumer: &Consumer) {
        if self.topics.again.is_empty() {
            return;
        }
        let assigned = consumer.assignment().await;
        let mut begun = BTreeSet::new();
        for (topic, until) in &self.topics.again {
            for partition in assigned.get(topic).into_iter().flatten() {
                let _ = consumer.seek_to_beginning(topic, *partition).await;
                begun.insert(topic.clone());
            }
            if Instant::now() > *until {
                // Other members have the partitions.
                begun.insert(topic.clone());
            }
        }
        self.topics.again.retain(|topic, _| !begun.contains(topic));
    }
}
