mod positions;

use std::sync::atomic::Ordering;
use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::producer::Producer;
use krafka::testing::{ApiKey, Control, FakeBroker};
use krafka::{Kafka, Record};
use serde_json::{Value, json};
use wattle_batch::{Batch, FieldPath, Form, Root};

use crate::stats::get;
use crate::testing::{Rig, resource, texts};

/// A broker with the topic `t`, and a producer for it.
async fn broker(partitions: i32) -> (FakeBroker, Producer) {
    let broker = FakeBroker::start().await.unwrap();
    broker.create_topic("t", partitions);
    let producer = producer(&broker).await;
    (broker, producer)
}

async fn producer(broker: &FakeBroker) -> Producer {
    let kafka = Kafka::builder(broker.bootstrap_servers()).connect().await.unwrap();
    kafka.producer().linger(Duration::ZERO).build().await.unwrap()
}

fn options(broker: &FakeBroker, more: Value) -> Value {
    let mut options = json!({
        "bootstrap_servers": broker.bootstrap_servers(), "topics": ["t"], "group_id": "g", "auto_offset_reset": "earliest",
        "commit_interval": "50ms", "fetch_wait_max": "10ms", "session_timeout": "6s",
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

async fn send(producer: &Producer, partition: i32, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let record = Record::new("t", number.to_string()).partition(partition);
        drop(producer.send(record).await.unwrap());
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn attributes(batch: &Batch) -> Vec<Value> {
    let (bytes, offsets, _) = batch.read(&FieldPath::whole(Root::Attributes), Form::Json);
    let row = |at: &[u32]| serde_json::from_slice(&bytes[at[0] as usize..at[1] as usize]).unwrap();
    offsets.windows(2).map(row).collect()
}

fn rig() -> (tempfile::TempDir, Rig) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    (folder, rig)
}

#[tokio::test]
async fn messages_become_events_with_their_facts_and_tombstones_are_skipped() {
    let (broker, producer) = broker(1).await;
    let record = Record::new("t", "one\n").key("k").timestamp(1_700_000_000_123);
    let record = record.header("a", "1").header("b", b"\xff".to_vec()).header("a", "2").null_header("z");
    drop(producer.send(record).await.unwrap());
    drop(producer.send(Record::tombstone("t", "k")).await.unwrap());
    drop(producer.send(Record::new("t", "two").key(b"\xfe".to_vec())).await.unwrap());
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({})));
    let mut found = Vec::new();
    let mut times = Vec::new();
    while found.len() < 2 {
        let batch = rig.pop().await;
        assert_eq!(resource(&batch), json!({ "name": "in", "type": "kafka", "topic": "t", "partition": 0 }));
        times.extend((0..batch.rows()).map(|row| batch.timestamp(row)));
        found.extend(texts(&batch).into_iter().zip(attributes(&batch)));
        batch.into_ack().deliver();
    }
    let headers = json!({ "a": ["1", "2"], "b": { "bytesValue": "/w==" }, "z": null });
    let expected = [
        ("one\n".to_owned(), json!({ "kafka": { "offset": 0, "key": "k", "headers": headers } })),
        ("two".to_owned(), json!({ "kafka": { "offset": 2, "key": { "bytesValue": "/g==" } } })),
    ];
    assert_eq!(found, expected);
    assert_eq!(times[0], Some(1_700_000_000_123_000_000));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(3)).await;
    assert_eq!(get(&rig.stats.skipped_empty), 1);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn framing_finds_several_events_in_a_message_and_skips_long_ones() {
    let (broker, producer) = broker(1).await;
    drop(producer.send(Record::new("t", "a\n\nbb\ncccccc\n")).await.unwrap());
    drop(producer.send(Record::new("t", "d")).await.unwrap());
    for (framing, expected, long) in [("lines", &["a", "bb", "d"][..], 1), ("document", &["d"][..], 1)] {
        let (_folder, rig) = rig();
        let more = json!({ "framing": framing, "max_event_bytes": 4, "group_id": framing });
        let running = rig.start("kafka", options(&broker, more));
        assert_eq!(rig.take(expected.len()).await, expected);
        rig.until(|| broker.committed_offset(framing, "t", 0) == Some(2)).await;
        assert_eq!(get(&rig.stats.skipped_long), long);
        rig.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn only_what_is_delivered_without_a_gap_is_committed() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..6).await;
    let (_folder, mut rig) = rig();
    rig.limits.max_events = 2;
    let running = rig.start("kafka", options(&broker, json!({})));
    let (first, second, third) = (rig.pop().await, rig.pop().await, rig.pop().await);
    let committed = || broker.committed_offset("g", "t", 0);
    third.into_ack().deliver();
    second.into_ack().reject(2);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(committed(), None | Some(0)), "{:?}", committed());
    first.into_ack().deliver();
    rig.until(|| committed() == Some(6)).await;
    // What is in flight at the stop stays uncommitted, and the next member reads it again.
    send(&producer, 0, 6..7).await;
    let batch = rig.pop().await;
    assert_eq!(texts(&batch), ["6"]);
    rig.stop();
    drop(batch);
    running.ended().await.unwrap();
    send(&producer, 0, 7..8).await;
    assert_eq!(committed(), Some(6));
    let (_folder, rig) = self::rig();
    let running = rig.start("kafka", options(&broker, json!({})));
    assert_eq!(rig.take(2).await, ["6", "7"]);
    rig.stop();
    running.ended().await.unwrap();
    assert_eq!(committed(), Some(8));
}

#[tokio::test]
async fn a_batch_that_returns_is_sent_again_and_holds_back_its_offsets() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..1).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({})));
    drop(rig.pop().await);
    let again = rig.pop().await;
    assert!(again.is_redelivered() && texts(&again) == ["0"]);
    assert!(matches!(broker.committed_offset("g", "t", 0), None | Some(0)));
    again.into_ack().deliver();
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(1)).await;
    assert_eq!(get(&rig.stats.retries), 1);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn reading_pauses_at_the_limit_of_bytes_without_leaving_the_group() {
    let (broker, producer) = broker(2).await;
    let (_folder, mut rig) = rig();
    rig.limits.max_events = 10;
    for round in 0..20 {
        send(&producer, round % 2, 0..10).await;
    }
    let running = rig.start("kafka", options(&broker, json!({ "max_in_flight_bytes": 4000 })));
    let held = [rig.pop().await, rig.pop().await, rig.pop().await];
    rig.until(|| rig.waits.is_any()).await;
    let (fetches, joins) = (broker.request_count(ApiKey::Fetch), broker.request_count(ApiKey::JoinGroup));
    let beats = broker.request_count(ApiKey::Heartbeat);
    send(&producer, 0, 0..10).await;
    // Longer than the session of a member that sends no heartbeats.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(broker.request_count(ApiKey::Fetch) <= fetches + 1, "a paused source reads nothing");
    assert!(broker.request_count(ApiKey::Heartbeat) > beats);
    held.into_iter().for_each(|batch| batch.into_ack().deliver());
    let mut events = 30;
    while events < 210 {
        let batch = rig.pop().await;
        events += batch.rows();
        batch.into_ack().deliver();
    }
    assert_eq!(broker.request_count(ApiKey::JoinGroup), joins);
    rig.until(|| (0..2).all(|p| broker.committed_offset("g", "t", p) == broker.next_offset("t", p))).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_down_is_reported_and_read_when_it_is_back() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..2).await;
    broker.crash(0);
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({})));
    let last = || rig.stats.last_failure.lock().clone().map(|(_, text)| text).unwrap_or_default();
    rig.until(|| last().contains("cannot connect to Kafka")).await;
    broker.restart(0);
    assert_eq!(rig.take(2).await, ["0", "1"]);
    broker.crash(0);
    rig.until(|| last().contains("cannot read from Kafka") || last().contains("cannot commit")).await;
    assert!(!running.is_ended());
    broker.restart(0);
    send(&producer, 0, 2..4).await;
    let rest = rig.take(2).await;
    assert_eq!(rest, ["2", "3"]);
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(4)).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn errors_of_the_coordinator_lose_nothing() {
    let (broker, producer) = broker(1).await;
    for (api, code) in [
        (ApiKey::JoinGroup, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::SyncGroup, ErrorCode::RebalanceInProgress),
        (ApiKey::OffsetCommit, ErrorCode::NotCoordinator),
        (ApiKey::OffsetCommit, ErrorCode::RequestTimedOut),
        (ApiKey::Fetch, ErrorCode::NotLeaderForPartition),
        (ApiKey::OffsetFetch, ErrorCode::CoordinatorNotAvailable),
    ] {
        broker.on_once(api, move |_| Control::Error(code));
    }
    send(&producer, 0, 0..10).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({})));
    assert_eq!(rig.take(10).await, numbers(0..10));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(10)).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_topic_never_end_the_source() {
    let (broker, _) = broker(1).await;
    broker.require_sasl_plain("u", "right");
    let sasl = |password: &str| json!({ "username": "u", "password": password });
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "sasl": sasl("wrong") })));
    let last = |rig: &Rig| rig.stats.last_failure.lock().clone().map(|(_, text)| text).unwrap_or_default();
    rig.until(|| last(&rig).contains("`sasl`")).await;
    assert!(!running.is_ended());
    rig.stop();
    running.ended().await.unwrap();
    let (_folder, rig) = self::rig();
    let running = rig.start("kafka", options(&broker, json!({ "sasl": sasl("right"), "topics": ["t", "later"] })));
    rig.until(|| last(&rig).contains("unknown topic `later`")).await;
    broker.create_topic("later", 1);
    let kafka = Kafka::builder(broker.bootstrap_servers());
    let kafka = kafka.security(krafka::auth::AuthConfig::sasl_plain("u", "right")).connect().await.unwrap();
    let producer = kafka.producer().build().await.unwrap();
    drop(producer.send(Record::new("later", "x")).await.unwrap());
    drop(producer.send(Record::new("t", "y")).await.unwrap());
    let mut found = rig.take(2).await;
    found.sort();
    assert_eq!(found, ["x", "y"]);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_partition_moves_after_its_events_are_delivered() {
    let (broker, producer) = broker(4).await;
    for partition in 0..4 {
        send(&producer, partition, 0..5).await;
    }
    let (_one, one) = rig();
    let first = one.start("kafka", options(&broker, json!({ "group_protocol": "consumer", "drain_timeout": "5s" })));
    let mut held = Vec::new();
    let mut events = 0;
    while events < 20 {
        let batch = one.pop().await;
        events += batch.rows();
        held.push(batch);
    }
    let (_two, two) = rig();
    let second = two.start("kafka", options(&broker, json!({ "group_protocol": "consumer" })));
    // The first member waits for its events before it gives partitions away.
    one.until(|| one.waits.is_any()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.into_iter().for_each(|batch| batch.into_ack().deliver());
    let lag_of = |rig: &Rig| rig.stats.lag.parts().len();
    one.until(|| lag_of(&one) == 2 && lag_of(&two) == 2).await;
    for partition in 0..4 {
        send(&producer, partition, 5..10).await;
    }
    let (left, right) = tokio::join!(one.take(10), two.take(10));
    // Nothing that was delivered before is read again.
    assert!(left.iter().chain(&right).all(|text| text.parse::<usize>().unwrap() >= 5), "{left:?} {right:?}");
    // When one leaves, the other has everything.
    one.stop();
    first.ended().await.unwrap();
    two.until(|| lag_of(&two) == 4).await;
    for partition in 0..4 {
        send(&producer, partition, 10..12).await;
    }
    assert_eq!(two.take(8).await.len(), 8);
    two.stop();
    second.ended().await.unwrap();
    assert!((0..4).all(|p| broker.committed_offset("g", "t", p) == Some(12)));
}

#[tokio::test]
async fn a_member_that_cannot_deliver_gives_partitions_up_in_time_and_others_read_the_events_again() {
    let (broker, producer) = broker(2).await;
    send(&producer, 0, 0..3).await;
    send(&producer, 1, 0..3).await;
    let (_one, one) = rig();
    let first = one.start("kafka", options(&broker, json!({ "group_protocol": "consumer", "drain_timeout": "300ms" })));
    let mut held = Vec::new();
    while held.iter().map(Batch::rows).sum::<usize>() < 6 {
        held.push(one.pop().await);
    }
    let (_two, two) = rig();
    let second = two.start("kafka", options(&broker, json!({ "group_protocol": "consumer" })));
    assert_eq!(two.take(3).await, numbers(0..3));
    // Late acknowledgements of the partition that moved count for nothing.
    held.into_iter().for_each(|batch| batch.into_ack().deliver());
    one.until(|| (0..2).all(|p| broker.committed_offset("g", "t", p) == Some(3))).await;
    one.stop();
    two.stop();
    first.ended().await.unwrap();
    second.ended().await.unwrap();
}

#[tokio::test]
async fn with_latest_a_crash_before_the_first_delivery_skips_nothing() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..3).await;
    let (_folder, rig) = rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    rig.until(|| broker.committed_offset("g", "t", 0) == Some(3)).await;
    send(&producer, 0, 3..5).await;
    drop(rig.pop().await);
    running.kill().await;
    send(&producer, 0, 5..6).await;
    let (_folder, rig) = self::rig();
    let running = rig.start("kafka", options(&broker, json!({ "auto_offset_reset": "latest" })));
    assert_eq!(rig.take(3).await, numbers(3..6));
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn once_reads_what_is_there_and_ends() {
    let (broker, producer) = broker(3).await;
    send(&producer, 0, 0..10).await;
    send(&producer, 2, 10..20).await;
    let (_folder, rig) = rig();
    let rig = rig.once();
    let running = rig.start("kafka", options(&broker, json!({})));
    let (mut bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    bodies.sort_by_key(|body| body.parse::<usize>().unwrap());
    assert_eq!(bodies, numbers(0..20));
    assert_eq!((broker.committed_offset("g", "t", 0), broker.committed_offset("g", "t", 2)), (Some(10), Some(10)));
    assert_eq!(rig.stats.read_bytes.load(Ordering::Relaxed), 30);
}

#[tokio::test]
async fn partitions_that_a_topic_gets_later_are_read() {
    let (broker, producer) = broker(1).await;
    send(&producer, 0, 0..1).await;
    let (_folder, rig) = rig();
    let more = json!({ "topics": ["t", "missing"] });
    // With a missing topic, topics are looked up often.
    let running = rig.start("kafka", options(&broker, more));
    assert_eq!(rig.take(1).await, ["0"]);
    broker.add_partitions("t", 2);
    let producer = self::producer(&broker).await;
    send(&producer, 1, 1..2).await;
    assert_eq!(rig.take(1).await, ["1"]);
    rig.stop();
    running.ended().await.unwrap();
}
