//! Requests as clients of Splunk send them, over the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::http::tests::{Answer, World, end_batch, send, start_type};
use crate::stats::get;
use crate::testing::{Rig, gzip, texts};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wattle_batch::{Batch, EventKind, FieldPath, Form};

const TOKEN: (&str, &str) = ("authorization", "Splunk 12345678-1234");
const GUID: (&str, &str) = (CHANNEL, "FE0ECFAD-13D5-401B-847D-77833BD77131");

async fn start(options: Value) -> World {
    start_in(Rig::new(TempDir::new().unwrap().path()), options).await
}

async fn start_in(rig: Rig, options: Value) -> World {
    start_type("splunk_hec", rig, options).await
}

/// Sends a request in the background.
fn sending(
    world: &World,
    path: &'static str,
    headers: &'static [(&str, &str)],
    body: impl AsRef<[u8]>,
) -> JoinHandle<Answer> {
    let (address, body) = (world.address, body.as_ref().to_vec());
    tokio::spawn(async move { send(address, "POST", path, headers, &body).await })
}

async fn post(world: &World, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    send(world.address, "POST", path, headers, body.as_ref()).await
}

/// A root of each row as JSON; `null` where it is missing.
fn roots(batch: &Batch, root: &str) -> Vec<Value> {
    let (bytes, offsets, _) = batch.read(&FieldPath::parse(root).unwrap(), Form::Json);
    let text = |pair: &[u32]| serde_json::from_slice(&bytes[pair[0] as usize..pair[1] as usize]).unwrap_or_default();
    offsets.windows(2).map(text).collect()
}

#[tokio::test]
async fn events_follow_each_other_and_have_time_metadata_and_fields() {
    let world = start(json!({})).await;
    // As our sink writes them, and as the documentation of Splunk has them.
    let body = concat!(
        "{\"time\":1767323045.123456789,\"host\":\"h\",\"index\":\"main\",\"sourcetype\":\"t\u{e4}\",\"source\":\"s\",",
        "\"fields\":{\"team\":\"a\",\"roles\":[1.50,\"x\"]},\"event\":{\"type\":\"t\\u00e4\",\"n\":1.50}}\n",
        "{\"event\":\"plain \\\"text\\\"\\n\\u0001\",\"time\":\"1767323045\",\"host\":\"h\",\"index\":\"main\"}",
        "{\"\\u0065vent\": 1.0e2, \"time\": null, \"fields\": {} , \"other\":{\"event\":\"x\"}}",
        "[{\"event\":false,\"host\":7},{\"event\":[1, 2]}]",
    );
    let answer = sending(&world, "/services/collector/event?host=of+query&index=%22i%22", &[], body);
    let batch = world.rig.pop().await;
    assert_eq!(
        texts(&batch),
        ["{\"type\":\"t\\u00e4\",\"n\":1.50}", "plain \"text\"\n\u{1}", "1.0e2", "false", "[1, 2]"]
    );
    let times: Vec<_> = (0..5).map(|row| batch.timestamp(row)).collect();
    assert_eq!(times, [Some(1_767_323_045_123_456_789), Some(1_767_323_045_000_000_000), None, None, None]);
    assert_eq!(roots(&batch, "attributes")[0], json!({ "team": "a", "roles": [1.5, "x"] }));
    assert!(roots(&batch, "attributes")[1..].iter().all(Value::is_null));
    let source = json!({ "name": "in", "type": "splunk_hec", "remote": "127.0.0.1" });
    let resource = |host: &str, splunk: Value| json!({ "source": source, "host": { "name": host }, "splunk": splunk });
    assert_eq!(
        roots(&batch, "resource"),
        [
            resource("h", json!({ "source": "s", "sourcetype": "t\u{e4}", "index": "main" })),
            resource("h", json!({ "index": "main" })),
            resource("of query", json!({ "index": "\"i\"" })),
            resource("7", json!({ "index": "\"i\"" })),
            resource("of query", json!({ "index": "\"i\"" })),
        ]
    );
    assert!(!answer.is_finished(), "not before the events are delivered");
    batch.into_ack().deliver();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!({ "text": "Success", "code": 0 })));
    assert_eq!(get(&world.rig.stats.events), 5);
    world.end().await;
}

#[tokio::test]
async fn lines_of_a_raw_body_have_the_metadata_of_the_query() {
    let world = start(json!({})).await;
    let path = "/services/collector/raw/1.0?host=h&sourcetype=a%20b&channel=c";
    let answer = sending(&world, path, &[("content-encoding", "gzip")], gzip(b"one\r\n\n{\"two\":2}"));
    let batch = world.rig.pop().await;
    assert_eq!(texts(&batch), ["one", "{\"two\":2}"]);
    let resources = roots(&batch, "resource");
    assert_eq!(resources[0], resources[1]);
    assert_eq!(
        (&resources[0]["host"], &resources[0]["splunk"]),
        (&json!({ "name": "h" }), &json!({ "sourcetype": "a b" }))
    );
    batch.into_ack().deliver();
    assert_eq!(answer.await.unwrap().body["code"], 0);
    world.end().await;
}

#[tokio::test]
async fn metrics_are_metric_events_with_the_same_dimensions() {
    let world = start(json!({})).await;
    let body = concat!(
        r#"{"time":1,"event":"metric","host":"h","fields":{"region":"us","cpu":2,"none":null,"metric_name:cpu.usr":11.120,"#,
        r#""metric_name:cpu.\u0073ys":"-1.5e3"}}"#,
        r#"{"event":"metric","fields":{"metric_name":"one","_value":0}}{"event":"metric"}"#,
        r#"{"event":"metric","fields":{"a":"b"}}{"event":"x","fields":{"metric_name:a":1}}"#,
    );
    let answer = sending(&world, "/services/collector", &[], body);
    let mut batches = [world.rig.pop().await, world.rig.pop().await];
    batches.sort_by_key(|batch| batch.kind() == EventKind::Metric);
    let [logs, metrics] = batches;
    assert_eq!(texts(&logs), ["metric", "metric", "x"]);
    assert_eq!(
        texts(&metrics),
        [
            r#"{"name":"cpu.usr","unit":"","type":"gauge","value":11.120}"#,
            r#"{"name":"cpu.\u0073ys","unit":"","type":"gauge","value":-1.5e3}"#,
            r#"{"name":"one","unit":"","type":"gauge","value":0}"#,
        ]
    );
    let dimensions = json!({ "region": "us", "cpu": "2" });
    assert_eq!(roots(&metrics, "attributes"), [dimensions.clone(), dimensions, json!(null)]);
    assert_eq!((metrics.timestamp(1), metrics.timestamp(2)), (Some(1_000_000_000), None));
    logs.into_ack().deliver();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!answer.is_finished(), "all kinds are one request");
    metrics.into_ack().deliver();
    assert_eq!(answer.await.unwrap().body["code"], 0);
    world.end().await;
}

/// Path, headers and body of a request; the status, code and event of the response; a part of its reason.
type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c [u8], u16, u16, Option<u64>, &'c str);

#[tokio::test]
async fn refused_requests_have_the_codes_of_splunk_and_queue_no_event() {
    let options = json!({ "valid_tokens": ["0", "12345678-1234"], "max_body_bytes": 1000 });
    let world = start(options).await;
    const E: &str = "/services/collector/event";
    let cases: &[Case] = &[
        (E, &[], b"{}", 401, 2, None, "missing"),
        ("/services/collector/event?token=0", &[], b"{}", 400, 16, None, "in the header"),
        (E, &[("authorization", "Bearer 0")], b"{}", 401, 3, None, "`Splunk TOKEN`"),
        (E, &[("authorization", "Splunk")], b"{}", 401, 3, None, ""),
        (E, &[("authorization", "Basic ?")], b"{}", 401, 3, None, ""),
        (E, &[("authorization", "Splunk 12345678-123")], b"{}", 403, 4, None, "wrong"),
        // x:1
        (E, &[("authorization", "Basic eDox")], b"{}", 403, 4, None, "wrong"),
        (E, &[TOKEN], b"", 400, 5, None, "no event"),
        (E, &[TOKEN], b" \n[]", 400, 5, None, "no event"),
        ("/services/collector/raw", &[TOKEN], b"\n\n", 400, 5, None, "no event"),
        (E, &[TOKEN], b"{\"event\":1} {\"event\":2", 400, 6, Some(1), "at byte"),
        (E, &[TOKEN], b"{\"event\":1}\x00", 400, 6, Some(1), "at byte 11"),
        (E, &[TOKEN], b"{\"event\":\"\xff\"}", 400, 6, Some(0), "UTF-8"),
        (E, &[TOKEN], b"{\"event\":1}[{\"event\":2},3]", 400, 6, Some(2), "not an object"),
        (E, &[TOKEN], b"{\"event\":1,\"time\":\"now\"}", 400, 6, Some(0), "`time`"),
        (E, &[TOKEN], b"{\"event\":1,\"time\":{}}", 400, 6, Some(0), "`time`"),
        (E, &[TOKEN], b"{\"event\":1,\"host\":[]}", 400, 6, Some(0), "`host`"),
        (E, &[TOKEN], b"{\"event\":1}{\"host\":\"h\"}", 400, 12, Some(1), "missing"),
        (E, &[TOKEN], b"{\"event\":null}", 400, 12, Some(0), "missing"),
        (E, &[TOKEN], b"{\"event\":1}{\"event\":1}{\"event\":\"\"}", 400, 13, Some(2), "empty"),
        (E, &[TOKEN], b"{\"event\":1,\"fields\":\"x\"}", 400, 15, Some(0), "`fields`"),
        (E, &[TOKEN], b"{\"event\":\"metric\",\"fields\":{\"metric_name:a\":\"x\"}}", 400, 15, Some(0), "`a`"),
        ("/services/collector/ack", &[TOKEN, GUID], b"{\"acks\":[0]}", 400, 14, None, "acknowledgements.enabled"),
        (E, &[TOKEN], &[b' '; 1001], 413, 27, None, "max_body_bytes"),
        (E, &[TOKEN, ("content-encoding", "br")], b"{}", 400, 6, None, "`br`"),
        (E, &[TOKEN, ("content-encoding", "gzip")], b"{}", 400, 6, None, "damaged"),
        ("/services/collectors", &[TOKEN], b"{}", 404, 404, None, "/services/collector/event"),
    ];
    for (path, headers, body, status, code, event, reason) in cases {
        let answer = post(&world, path, headers, body).await;
        let found = (
            answer.status.as_u16(),
            answer.body["code"].as_u64().unwrap(),
            answer.body["invalid-event-number"].as_u64(),
        );
        assert_eq!(found, (*status, u64::from(*code), *event), "{path} {headers:?}: {}", answer.body);
        assert!(answer.body["reason"].as_str().unwrap().contains(reason), "{}", answer.body);
        assert!(answer.body["text"].is_string());
    }
    assert!(world.rig.queue.is_empty());
    assert_eq!(get(&world.rig.stats.failures), cases.len() as u64);
    let delivering = world.delivering();
    // x:12345678-1234
    for right in [TOKEN, ("authorization", "splunk 0"), ("authorization", "Basic eDoxMjM0NTY3OC0xMjM0")] {
        assert_eq!(post(&world, "/services/collector/event/1.0/", &[right], b"{\"event\":1}").await.body["code"], 0);
    }
    // The driver of Docker.
    for (headers, status) in [(&[TOKEN][..], 200), (&[], 401)] {
        let answer = send(world.address, "OPTIONS", "/services/collector/event/1.0", headers, b"").await;
        assert_eq!(answer.status.as_u16(), status);
    }
    world.rig.queue.close();
    assert_eq!(delivering.await.unwrap(), ["1", "1", "1"]);
    world.end().await;
}

#[tokio::test]
async fn the_code_reports_the_result_of_the_events() {
    let world = start(json!({})).await;
    // What was rejected was counted as lost; sending all again would only repeat the others.
    for (end, status, code) in [("reject", 200, 0), ("give up", 503, 9), ("drop", 503, 9)] {
        let answer = sending(&world, "/services/collector", &[], b"{\"event\":1}");
        end_batch(world.rig.pop().await, end);
        let answer = answer.await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)), "{end}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
    world.end().await;
}

#[tokio::test]
async fn back_pressure_is_server_is_busy() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.queue = wattle_buffer::Queue::new(1, None, None);
    let world = start_in(rig, json!({ "max_wait": "50ms" })).await;
    let first = sending(&world, "/services/collector", &[], b"{\"event\":1}");
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    let answer = post(&world, "/services/collector", &[], b"{\"event\":2}").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!(9)));
    assert_eq!(answer.headers["retry-after"], "1");
    let health = send(world.address, "GET", "/services/collector/health", &[], b"").await;
    assert_eq!((health.status.as_u16(), &health.body["code"]), (503, &json!(18)));
    world.rig.pop().await.into_ack().deliver();
    assert_eq!(first.await.unwrap().body["code"], 0);
    let health = send(world.address, "GET", "/services/collector/health/1.0", &[], b"").await;
    assert_eq!((health.status.as_u16(), health.body), (200, json!({ "text": "HEC is healthy", "code": 17 })));
    let wrong = send(world.address, "DELETE", "/services/collector/event", &[], b"").await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (405, &json!(405)));
    world.end().await;
}

async fn is_acknowledged(world: &World, id: u64) -> bool {
    let answer = post(world, "/services/collector/ack", &[GUID], gzip(json!({ "acks": [id] }).to_string())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body["acks"][id.to_string()].as_bool().unwrap()
}

#[tokio::test]
async fn a_number_is_acknowledged_when_all_events_of_its_request_are_delivered() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.limits.max_events = 1;
    let world = start_in(rig, json!({ "acknowledgements": { "enabled": true } })).await;
    let body = b"{\"event\":1}{\"event\":2}";
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = post(&world, "/services/collector", &[GUID], body).await;
        assert_eq!((answer.status, &answer.body["code"]), (StatusCode::OK, &json!(0)));
        ids.push(answer.body["ackId"].as_u64().unwrap());
    }
    world.rig.pop().await.into_ack().deliver();
    assert!(!is_acknowledged(&world, ids[0]).await);
    world.rig.pop().await.into_ack().deliver();
    assert!(is_acknowledged(&world, ids[0]).await);
    assert!(!is_acknowledged(&world, ids[0]).await, "once");
    // Half of the second request is lost, all of the third is rejected.
    world.rig.pop().await.into_ack().deliver();
    drop(world.rig.pop().await);
    world.rig.pop().await.into_ack().deliver();
    world.rig.pop().await.into_ack().reject(1);
    assert!(!is_acknowledged(&world, ids[1]).await);
    assert!(is_acknowledged(&world, ids[2]).await);
    world.end().await;
}

#[tokio::test]
async fn requests_with_acknowledgements_have_a_channel() {
    let world = start(json!({ "acknowledgements": { "enabled": true, "max_number_of_ack_channels": 1 } })).await;
    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                        0123456789abcdef0123456789abcdef0";
    for (path, headers, code) in [
        ("/services/collector", &[][..], 10),
        ("/services/collector/raw", &[], 10),
        ("/services/collector/ack", &[], 10),
        ("/services/collector?channel=", &[], 10),
        ("/services/collector", &[(CHANNEL, LONG)], 11),
        ("/services/collector/ack", &[GUID], 6),
    ] {
        let answer = post(&world, path, headers, b"{\"event\":1}").await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(code)), "{path} {headers:?}");
    }
    assert!(world.rig.queue.is_empty());
    let answer = post(&world, "/services/collector/raw?channel=one", &[], b"x").await;
    assert!(answer.body["ackId"].is_u64(), "{}", answer.body);
    let answer = post(&world, "/services/collector?channel=two", &[], b"{\"event\":1}").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &json!(9)));
    world.rig.pop().await.into_ack().deliver();
    world.end().await;
}

#[tokio::test]
async fn the_memory_of_many_small_events_counts() {
    // 20,000 events of 13 bytes need far more than the body.
    let world = start(json!({ "max_body_bytes": "512KiB", "max_in_flight_bytes": "2MiB" })).await;
    let events = |count| "{\"event\":\"x\"}".repeat(count);
    let refused = post(&world, "/services/collector", &[], events(40_000)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (413, &json!(27)), "{}", refused.body);
    let answer = sending(&world, "/services/collector", &[], events(20_000));
    let first = world.rig.pop().await;
    let refused = post(&world, "/services/collector", &[], events(20_000)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!(9)), "{}", refused.body);
    first.into_ack().deliver();
    let delivering = world.delivering();
    assert_eq!(answer.await.unwrap().body["code"], 0);
    delivering.abort();
    world.end().await;
}

#[test]
fn secrets_are_never_shown() {
    let options: Options = serde_json::from_value(json!({ "valid_tokens": ["hunter2"] })).unwrap();
    let written = format!("{options:?}");
    let shown = format!("{written} {:?}", Arc::new(options.check(&mut OptionErrors::default())));
    assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
}
