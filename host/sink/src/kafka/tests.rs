use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control, FakeBroker};
use serde_json::{Value, json};
use wattle_batch::{Column, Disposition, FieldPath, Form, Root};

use crate::testing::Running;

/// A broker with the topic `t` of one partition.
async fn broker() -> FakeBroker {
    let broker = FakeBroker::start().await.unwrap();
    broker.create_topic("t", 1);
    broker
}

fn options(broker: &FakeBroker, more: Value) -> Value {
    let mut options = json!({
        "bootstrap_servers": broker.bootstrap_servers(), "topic": "t", "encoding": { "codec": "text" },
        "batch": { "timeout": "20ms" },
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn start(broker: &FakeBroker, more: Value) -> Running {
    Running::start("kafka", &options(broker, more))
}

/// The values in a topic of one partition, in their order.
fn values(broker: &FakeBroker, topic: &str) -> Vec<String> {
    let mut records = broker.all_records(topic).unwrap();
    records.sort_by_key(|record| record.offset);
    records.iter().map(|record| record.value_str().unwrap().to_owned()).collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn push(running: &Running, texts: &[String]) {
    running.push(&texts.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn events_arrive_with_topic_key_and_headers_and_are_acknowledged() {
    let broker = broker().await;
    broker.create_topic("logs-a", 1);
    for compression in ["none", "gzip", "snappy", "lz4"] {
        let running = start(
            &broker,
            json!({ "topic": "logs-{{ attributes.t }}", "key_field": "attributes.k", "headers_key": "attributes.h",
                "compression": compression }),
        );
        let mut batch = running.rig.batch(&[compression, "two"]);
        let attributes = r#"{"t":"a","k":"key","h":{"a":["1","2"],"z":null}}"#;
        let attributes = Column::from_rows([attributes, attributes]).unwrap();
        batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[]).unwrap();
        for payload in running.encoder.encode(batch) {
            assert!(running.rig.context().input.try_push(payload).is_ok());
        }
        let rig = running.finish().await;
        assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Disposition::Delivered], 2, 0));
    }
    let records = broker.all_records("logs-a").unwrap();
    assert_eq!(values(&broker, "logs-a"), ["none", "two", "gzip", "two", "snappy", "two", "lz4", "two"]);
    for record in records {
        assert_eq!(record.key_str(), Some("key"));
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected: [(&str, Option<&[u8]>); 3] = [("a", Some(b"1")), ("a", Some(b"2")), ("z", None)];
        assert_eq!(headers, expected);
    }
}

#[tokio::test]
async fn a_broker_that_is_down_and_comes_back_gets_everything_once_and_in_order() {
    let broker = broker().await;
    broker.crash(0);
    let running = start(&broker, json!({}));
    push(&running, &texts(0..50));
    running.rig.wait_for_retries(1).await;
    assert!(running.rig.context().stats.failing_since().is_some());
    assert_eq!(running.rig.acks(), []);
    broker.restart(0);
    running.rig.wait(1).await;
    assert!(running.rig.context().stats.failing_since().is_none());
    // In the middle, with messages on their way.
    for round in 1..6 {
        push(&running, &texts(round * 50..(round + 1) * 50));
        if round == 2 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            broker.crash(0);
            tokio::time::sleep(Duration::from_millis(200)).await;
            broker.restart(0);
        }
    }
    let rig = running.finish().await;
    assert_eq!(rig.acks(), [Disposition::Delivered; 6]);
    assert_eq!(values(&broker, "t"), texts(0..300));
}

#[tokio::test]
async fn errors_that_pass_neither_double_nor_reorder() {
    let broker = broker().await;
    let controls = [
        Control::Error(ErrorCode::NotLeaderForPartition),
        Control::ApplyThen(Box::new(Control::Disconnect)),
        Control::Error(ErrorCode::NotEnoughReplicas),
        Control::ApplyThen(Box::new(Control::Error(ErrorCode::RequestTimedOut))),
        Control::Disconnect,
    ];
    for control in controls {
        broker.on_once(ApiKey::Produce, move |_| control.clone());
    }
    let running = start(&broker, json!({ "batch": { "max_bytes": 40, "timeout": "0s" } }));
    for round in 0..10 {
        push(&running, &texts(round * 20..(round + 1) * 20));
    }
    let rig = running.finish().await;
    assert_eq!(rig.acks(), [Disposition::Delivered; 10]);
    assert_eq!(values(&broker, "t"), texts(0..200));
}

#[tokio::test]
async fn a_message_that_is_too_large_goes_to_the_dead_letters_and_the_others_arrive() {
    let broker = broker().await;
    // The batch of both; the first one alone, twice; the second one.
    broker.on(ApiKey::Produce, |info| match info.api_call_index {
        0 | 1 | 3 => Control::Error(ErrorCode::MessageTooLarge),
        _ => Control::Pass,
    });
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.jsonl");
    let running = start(&broker, json!({ "dead_letter": dead }));
    running.push(&["too large", "good"]);
    let rig = running.finish().await;
    assert_eq!(values(&broker, "t"), ["good"]);
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Disposition::Delivered], 1, 1));
    let line: Value = serde_json::from_str(&std::fs::read_to_string(dead).unwrap()).unwrap();
    assert_eq!((&line["event"], &line["status"]), (&json!("too large"), &Value::Null));
    assert!(line["reason"].as_str().unwrap().contains("MessageTooLarge"), "{line}");
}

#[tokio::test]
async fn a_refused_message_is_found_in_its_batch_and_rejected_alone() {
    let broker = broker().await;
    // All four, twice; the second half; its second half.
    broker.on(ApiKey::Produce, |info| match info.api_call_index {
        0 | 1 | 3 | 5 => Control::Error(ErrorCode::InvalidRecord),
        _ => Control::Pass,
    });
    let running = start(&broker, json!({}));
    running.push(&["a", "b", "c", "bad"]);
    running.push(&["later"]);
    let rig = running.finish().await;
    assert_eq!(values(&broker, "t"), ["a", "b", "c", "later"]);
    assert_eq!((rig.counts().0, rig.counts().2), (4, 1));
    let mut acks = rig.acks();
    acks.sort();
    assert_eq!(acks, [Disposition::Delivered, Disposition::Rejected], "no dead letters, so the event is lost");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_topic_are_shown_and_retried() {
    let broker = broker().await;
    broker.require_sasl_plain("u", "right");
    let sasl = |password: &str| json!({ "sasl": { "username": "u", "password": password } });
    let running = start(&broker, sasl("wrong"));
    running.push(&["x"]);
    running.rig.wait_for_retries(1).await;
    let broken = running.rig.context().stats.broken(Duration::ZERO).unwrap();
    assert!(broken.contains("`sasl`") && !broken.contains("wrong"), "{broken}");
    assert_eq!(running.rig.acks(), []);
    running.task.abort();
    let mut with_topic = sasl("right");
    with_topic["topic"] = "new".into();
    let running = start(&broker, with_topic);
    running.push(&["y"]);
    running.rig.wait_for_retries(1).await;
    let broken = running.rig.context().stats.broken(Duration::ZERO).unwrap();
    assert!(broken.contains("create the topic"), "{broken}");
    broker.create_topic("new", 1);
    let rig = running.finish().await;
    assert_eq!((rig.acks(), values(&broker, "new")), (vec![Disposition::Delivered], vec!["y".to_owned()]));
    assert_eq!(rig.context().stats.broken(Duration::ZERO), None);
}

#[tokio::test]
async fn no_more_is_taken_than_the_limit_of_bytes() {
    let broker = broker().await;
    let is_held = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let held = is_held.clone();
    broker.on(ApiKey::Produce, move |_| match held.load(Ordering::Relaxed) {
        true => Control::Error(ErrorCode::NotEnoughReplicas),
        false => Control::Pass,
    });
    let running =
        start(&broker, json!({ "max_in_flight_bytes": 4096, "batch": { "max_bytes": 1024, "timeout": "0s" } }));
    let body = "x".repeat(1000);
    for _ in 0..20 {
        running.push(&[&body]);
    }
    let queued = || running.rig.context().input.usage().events;
    running.rig.until("a full sink", || queued() <= 16).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Each message has a head.
    assert!((15..=16).contains(&queued()), "{}", queued());
    is_held.store(false, Ordering::Relaxed);
    let rig = running.finish().await;
    assert_eq!((rig.acks(), values(&broker, "t").len()), (vec![Disposition::Delivered; 20], 20));
}

#[tokio::test]
async fn a_kill_acknowledges_nothing_that_was_not_confirmed() {
    let broker = broker().await;
    broker.on(ApiKey::Produce, |_| Control::Silence);
    let running = start(&broker, json!({}));
    running.push(&["x", "y"]);
    assert!(broker.wait_for_requests(ApiKey::Produce, 1, Duration::from_secs(10)).await);
    let Running { rig, task, .. } = running;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    rig.wait(1).await;
    assert_eq!(rig.acks(), [Disposition::Retry]);
}

#[tokio::test]
async fn a_flush_does_not_wait_for_the_timeout_of_a_batch() {
    let broker = broker().await;
    let running = start(&broker, json!({ "batch": { "timeout": "1m" } }));
    running.push(&["x"]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.rig.acks(), []);
    running.rig.flush();
    running.rig.wait(1).await;
    assert_eq!(values(&broker, "t"), ["x"]);
}
