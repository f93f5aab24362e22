//! Offsets that the brokers do not have, and partitions that cannot be read.

use super::*;

fn last(rig: &Rig) -> String {
    rig.stats.last_failure.lock().clone().map(|(_, text)| text).unwrap_or_default()
}

/// Reads and commits this many messages as the group `g`.
async fn read(broker: &FakeBroker, count: usize) {
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(broker, json!({})));
    assert_eq!(rig.take(count).await, numbers(0..count));
    rig.until(|| broker.committed_offset("g", "t", 0) == i64::try_from(count).ok()).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn what_was_deleted_before_it_was_read_is_counted_and_the_rest_is_read() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    read(&broker, 10).await;
    send(&producer, 0, 10..30).await;
    // As the retention does it.
    broker.with_state(|state| state.partition_mut("t", 0).unwrap().log_start_offset = 20);
    broker.on_once(ApiKey::Fetch, |_| Control::Error(ErrorCode::OffsetOutOfRange));
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    assert_eq!(rig.take(10).await, numbers(20..30));
    assert_eq!(get(&rig.stats.expired_messages), 10);
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(30)).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn an_empty_partition_that_lost_everything_is_counted_once() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    read(&broker, 5 + 5).await;
    send(&producer, 0, 10..30).await;
    broker.with_state(|state| state.partition_mut("t", 0).unwrap().log_start_offset = 30);
    broker.on_once(ApiKey::Fetch, |_| Control::Error(ErrorCode::OffsetOutOfRange));
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    // The next start does not count them again.
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(30)).await;
    assert_eq!(get(&rig.stats.expired_messages), 20);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn with_none_an_offset_out_of_range_waits_for_an_operator() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    read(&broker, 10).await;
    broker.with_state(|state| state.partition_mut("t", 0).unwrap().log_start_offset = 20);
    broker.on(ApiKey::Fetch, |_| Control::Error(ErrorCode::OffsetOutOfRange));
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "none" })));
    rig.until(|| last(&rig).contains("offset 10 is out of range, 20 to")).await;
    assert_eq!(get(&rig.stats.expired_messages), 0);
    rig.stop();
    running.ended().await.unwrap();
    assert_eq!(broker.committed_offset("g", "t", 0), Some(10));
}

#[tokio::test]
async fn a_topic_that_was_created_again_while_the_source_was_stopped_is_read_from_its_beginning() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    read(&broker, 10).await;
    broker.delete_topic("t");
    broker.create_topic("t", 1);
    send(&self::producer(&broker).await, 0, 0..3).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    assert_eq!(rig.take(3).await, numbers(0..3));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(3)).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_created_again_under_a_running_source_is_read_and_committed() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "earliest" })));
    assert_eq!(rig.take(10).await, numbers(0..10));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(10)).await;
    broker.delete_topic("t");
    broker.create_topic("t", 1);
    let producer = self::producer(&broker).await;
    send(&producer, 0, 0..3).await;
    assert_eq!(rig.take(3).await, numbers(0..3));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(3)).await;
    rig.stop();
    running.ended().await.unwrap();
    // A stop and a start deliver nothing again.
    send(&producer, 0, 3..4).await;
    let (_folder, rig) = self::rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    assert_eq!(rig.take(1).await, ["3"]);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_created_again_with_more_messages_loses_none_of_them() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..10).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(10)).await;
    broker.delete_topic("t");
    rig.until(|| last(&rig).contains("unknown topic `t`")).await;
    broker.create_topic("t", 1);
    let producer = self::producer(&broker).await;
    send(&producer, 0, 0..30).await;
    let mut found = std::collections::BTreeSet::new();
    while found.len() < 30 {
        let batch = rig.pop().await;
        found.extend(texts(&batch));
        batch.into_ack().deliver();
    }
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(30)).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn with_latest_a_topic_that_appears_later_is_read_from_its_beginning() {
    let (broker, _) = broker(1).await;
    let (_folder, rig) = rig();
    let more = json!({ "topics": ["t", "later"], "auto_offset_reset": "latest" });
    let running = rig.start("kafka", options(&broker, more));
    rig.until(|| last(&rig).contains("unknown topic `later`")).await;
    broker.create_topic("later", 1);
    let producer = self::producer(&broker).await;
    for number in 0..5 {
        drop(producer.send(Record::new("later", number.to_string())).await.unwrap());
    }
    assert_eq!(rig.take(5).await, numbers(0..5));
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn errors_of_a_partition_are_reported_until_it_can_be_read() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..1).await;
    for (group, (code, text)) in [
        (ErrorCode::TopicAuthorizationFailed, "give the user the permission"),
        (ErrorCode::KafkaStorageException, "KafkaStorageException"),
        (ErrorCode::InvalidRecord, "InvalidRecord"),
        (ErrorCode::UnknownServerError, "UnknownServerError"),
    ]
    .into_iter()
    .enumerate()
    {
        broker.on(ApiKey::Fetch, move |_| Control::Error(code));
        let (_folder, rig) = rig();
        let running = rig.start("kafka", options(&broker, json!({ "group_id": group.to_string() })));
        rig.until(|| last(&rig).contains("`t/0`: the broker sends no messages") && last(&rig).contains(text)).await;
        broker.clear_hooks();
        assert_eq!(rig.take(1).await, ["0"]);
        rig.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn a_group_that_does_not_say_what_it_has_committed_is_reported() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..1).await;
    broker.on(ApiKey::OffsetFetch, |_| Control::Error(ErrorCode::GroupAuthorizationFailed));
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    rig.until(|| last(&rig).contains("GroupAuthorizationFailed")).await;
    broker.clear_hooks();
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(1)).await;
    rig.stop();
    running.ended().await.unwrap();
}
