//! What metrics and the log say.

use std::time::Duration;

use serde_json::json;

use super::double::s3_error;
use super::fake::{Fake, announce};
use super::{Log, deliver};
use crate::stats::get;
use crate::testing::{Rig, gzip};

#[tokio::test]
async fn requirement_18_a_queue_has_metrics_and_each_object_a_line_in_the_log() {
    let (log, _guard) = Log::collect();
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    let body = gzip("one\ntwo\nthree\n");
    let size = body.len() as u64;
    fake.put("a", body);
    // The first attempt fails, and counts.
    fake.state.lock().faults.insert("a".to_owned(), s3_error(503, "SlowDown"));
    fake.state.lock().denied.insert("b".to_owned());
    let created = jiff::Timestamp::now() - Duration::from_secs(40);
    let mut announced = announce(&["a"]);
    announced["Records"][0]["eventTime"] = created.to_string().into();
    fake.send("m1", announced);
    let running = rig.start("aws_s3", fake.options(json!({})));
    let batch = rig.pop().await;
    let queue = &rig.stats.queue;
    assert_eq!((get(&queue.in_flight), queue.delays.snapshot().count), (1, 0));
    // The messages of the queue were sent on 2026-01-31.
    let since = jiff::Timestamp::now().duration_since("2026-01-31T00:00:00Z".parse().unwrap()).as_secs();
    rig.until(|| i64::try_from(queue.oldest_seconds()).is_ok_and(|age| (age - since).abs() <= 2)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    deliver(batch);
    rig.until(|| fake.is_deleted("m1")).await;
    assert_eq!((get(&rig.stats.events), get(&rig.stats.bytes)), (3, 11));
    assert_eq!((get(&rig.stats.read_bytes), get(&queue.objects), get(&queue.retried_requests)), (size, 1, 1));
    // Bounds of 30 and 60 s.
    let delays = queue.delays.snapshot();
    assert_eq!((delays.at_most, delays.count), ([0, 0, 0, 0, 1, 1, 1, 1, 1, 1], 1));
    assert!((Duration::from_secs(40)..Duration::from_secs(60)).contains(&delays.sum), "{:?}", delays.sum);
    fake.send("m2", announce(&["b"]));
    rig.until(|| !fake.changes_of("m2").is_empty()).await;
    rig.until(|| get(&queue.in_flight) == 0 && queue.oldest_seconds() == 0).await;
    rig.stop();
    running.ended().await.unwrap();
    let lines = log.fields("object");
    let (first, second) = (&lines[0], &lines[1]);
    let place = |line: &serde_json::Value| ["source", "bucket", "key", "message_id"].map(|name| line[name].clone());
    assert_eq!(place(first), ["in", "logs", "a", "m1"]);
    assert_eq!(place(second), ["in", "logs", "b", "m2"]);
    assert_eq!((&first["size"], &first["bytes"], &first["events"]), (&json!(size), &json!(14), &json!(3)));
    assert_eq!((&first["result"], &second["result"]), (&json!("delivered"), &json!("failed")));
    assert!(first["duration_milliseconds"].as_u64().unwrap() >= 50, "{first}");
    assert!(first["delay_milliseconds"].as_u64().unwrap() >= 40_000, "{first}");
    assert!(second.get("size").is_none() && second.get("delay_milliseconds").is_none(), "{second}");
    assert_eq!(lines.len(), 2);
}
