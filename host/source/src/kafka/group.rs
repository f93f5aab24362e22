//! What happens when partitions come to this member and leave it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wattle_kafka::Failure;
use wattle_kafka::krafka::KrafkaError;
use wattle_kafka::krafka::consumer::{Consumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition};

use super::offsets::{Commit, Key};
use super::shared::Shared;
use crate::source::SourceContext;

/// Interval at which the end of deliveries is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Time limit for a commit. It is repeated at the next interval.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The listener of a consumer.
pub(super) struct Listener {
    pub(super) shared: Arc<Shared>,
    pub(super) context: Arc<SourceContext>,
    pub(super) drain_timeout: Duration,
}

fn keys(partitions: &[TopicPartition]) -> Vec<Key> {
    partitions.iter().map(|partition| (partition.topic().into(), partition.partition())).collect()
}

impl ConsumerRebalanceListener for Listener {
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        tracing::info!(source = %self.context.name, partitions = partitions.len(), "partitions assigned");
        self.shared.assign(keys(partitions));
    }

    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) {
        let keys = keys(partitions);
        self.shared.leave(&keys);
        let until = Instant::now() + self.drain_timeout;
        let waiting = (self.shared.outstanding(&keys) > 0).then(|| self.context.waits.begin());
        while self.shared.outstanding(&keys) > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        drop(waiting);
        let undelivered = self.shared.outstanding(&keys);
        if let Some(consumer) = self.shared.consumer()
            && let Err(failure) = commit(&consumer, &self.shared, Some(&keys)).await
        {
            tracing::warn!(
                source = %self.context.name, error = %failure,
                "cannot commit the offsets of partitions that leave; some of their events may be sent again"
            );
        }
        tracing::info!(
            source = %self.context.name, partitions = keys.len(), undelivered_batches = undelivered, "partitions revoked"
        );
        self.shared.forget(&keys);
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        tracing::warn!(
            source = %self.context.name, partitions = partitions.len(),
            "the group gave the partitions of this member to others; some of their events may be sent again"
        );
        self.shared.forget(&keys(partitions));
    }
}

/// Commits what is delivered and not committed, of one or of all partitions.
///
/// # Errors
///
/// The brokers did not take the offsets. Committing again is safe.
pub(super) async fn commit(consumer: &Consumer, shared: &Shared, keys: Option<&[Key]>) -> Result<(), Failure> {
    let commits = shared.to_commit(keys);
    if commits.is_empty() {
        return Ok(());
    }
    let offsets = commits.iter().map(|Commit { key: (topic, partition), offset, leader_epoch, .. }| {
        let offset = match leader_epoch {
            ..0 => OffsetAndMetadata::new(*offset),
            epoch => OffsetAndMetadata::with_epoch(*offset, *epoch),
        };
        (TopicPartition::new(&**topic, *partition), offset)
    });
    let committed = tokio::time::timeout(COMMIT_TIMEOUT, consumer.commit_offsets(offsets)).await;
    match committed.unwrap_or_else(|_| Err(KrafkaError::timeout("committing offsets"))) {
        Ok(()) => {
            shared.committed(&commits);
            Ok(())
        }
        Err(error) => Err(Failure::of(&error)),
    }
}
