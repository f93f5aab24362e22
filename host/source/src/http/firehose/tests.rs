//! Requests as Firehose sends them, over the loopback interface.

use super::*;
use crate::http::tests::{Answer, World, end_batch, send, start_type};
use crate::stats::get;
use crate::testing::{Rig, gzip, resource, texts};
use tempfile::TempDir;

const ID: (&str, &str) = (REQUEST_ID, "ed4acda5-034f-9f42-bba1-f29aea6d7d8f");

async fn start(options: Value) -> World {
    start_type("aws_firehose", Rig::new(TempDir::new().unwrap().path()), options).await
}

/// A request with these records.
fn body(records: &[&[u8]]) -> Vec<u8> {
    let records: Vec<Value> = records.iter().map(|data| json!({ "data": BASE64_STANDARD.encode(data) })).collect();
    json!({ "requestId": ID.1, "timestamp": 1_578_090_901_599_u64, "records": records }).to_string().into_bytes()
}

/// What `requestId` of a response must be, and that it has a time.
fn check(answer: &Answer) {
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.body["requestId"], ID.1);
    assert!(answer.body["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{}", answer.body);
}

#[tokio::test]
async fn each_document_and_line_of_each_record_is_an_event() {
    let world = start(json!({})).await;
    let address = world.address;
    let envelope = br#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"a"}]}"#;
    let request = body(&[&gzip(envelope), b"{\"a\":1}{\"a\":2}", b"plain\n\ntext\n", b"", b"\x1f\x8b\x08 damaged"]);
    let headers = [
        ID,
        (SOURCE_ARN, "arn:aws:firehose:eu-west-1:123456789012:deliverystream/trail"),
        (COMMON_ATTRIBUTES, r#"{"commonAttributes":{"env":"prod"}}"#),
        ("content-type", "application/json"),
    ];
    let answer = tokio::spawn(async move { send(address, "POST", "/", &headers, &request).await });
    let batch = world.rig.pop().await;
    assert_eq!(texts(&batch)[..5], [std::str::from_utf8(envelope).unwrap(), "{\"a\":1}", "{\"a\":2}", "plain", "text"]);
    assert_eq!(batch.body().row(5), b"\x1f\x8b\x08 damaged", "nothing is lost");
    assert_eq!(
        resource(&batch),
        json!({ "name": "in", "type": "aws_firehose", "remote": "127.0.0.1", "request_id": ID.1, "arn": headers[1].1,
            "common_attributes": { "env": "prod" } })
    );
    assert!(!answer.is_finished(), "not before the events are delivered");
    batch.into_ack().deliver();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    check(&answer);
    assert_eq!((get(&world.rig.stats.events), get(&world.rig.stats.skipped_empty)), (6, 2));
    world.end().await;
}

#[tokio::test]
async fn a_whole_body_can_be_compressed_and_have_no_record() {
    let world = start(json!({})).await;
    let delivering = world.delivering();
    let answer = world.send(&[ID, ("content-encoding", "gzip")], &gzip(body(&[b"a", b"b"]))).await;
    assert_eq!(answer.status, StatusCode::OK);
    check(&answer);
    assert_eq!(world.send(&[ID], &body(&[])).await.status, StatusCode::OK);
    world.rig.queue.close();
    assert_eq!(delivering.await.unwrap(), ["a", "b"]);
    world.end().await;
}

#[tokio::test]
async fn only_a_status_of_200_ends_a_request() {
    let world = start(json!({})).await;
    for (end, status) in [("reject", 200), ("give up", 503), ("drop", 503)] {
        let address = world.address;
        let answer = tokio::spawn(async move { send(address, "POST", "/", &[ID], &body(&[b"x"])).await });
        let batch = world.rig.pop().await;
        end_batch(batch, end);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, status, "{end}");
        check(&answer);
        assert_eq!(answer.body.get("errorMessage").is_some(), status != 200);
    }
    world.end().await;
}

/// Headers and body of a request, the status of the response, and a part of its reason.
type Case<'c> = (&'c [(&'c str, &'c str)], &'c [u8], u16, &'c str);

#[tokio::test]
async fn a_request_that_is_refused_names_the_cause_and_never_has_status_413() {
    let world = start(json!({ "access_keys": ["old", "new"], "max_body_bytes": 2000 })).await;
    let delivering = world.delivering();
    for key in ["old", "new"] {
        let answer = world.send(&[ID, (ACCESS_KEY, key)], &body(&[b"x"])).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let key = (ACCESS_KEY, "new");
    let bomb = body(&[b"small", &gzip([b'x'; 100_000])]);
    let cases: [Case; 10] = [
        (&[ID], b"{}", 401, "x-amz-firehose-access-key"),
        (&[ID, (ACCESS_KEY, "ne")], b"{}", 401, "missing or wrong"),
        (&[ID, ("authorization", "Bearer new")], b"{}", 401, "missing or wrong"),
        (&[ID, key], b"", 400, "not that of a request of Firehose"),
        (&[ID, key], b"{\"records\":[{}]}", 400, "missing field `data`"),
        (&[ID, key], b"{\"records\":[{\"data\":\"?\"}]}", 400, "record 0: `data` is not base64"),
        (&[ID, key], b"{\"requestId\":\"x\",\"records\":[]}", 400, "not the one in the header"),
        (&[ID, key, (COMMON_ATTRIBUTES, "[]")], b"{\"records\":[]}", 400, "commonAttributes"),
        (&[ID, key], &[b' '; 2001], 400, "`max_body_bytes`"),
        (&[ID, key], &bomb, 400, "record 1: the records have more than 2000 bytes"),
    ];
    for (headers, body, status, reason) in cases {
        let answer = world.send(headers, body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        check(&answer);
        assert!(answer.body["errorMessage"].as_str().unwrap().contains(reason), "{reason}: {}", answer.body);
        assert!(!answer.body.to_string().contains("\"new\""), "no secret in a response");
    }
    let answer = world.send(&[key], &body(&[])).await;
    assert!(answer.status == 400 && answer.body["errorMessage"].as_str().unwrap().contains(REQUEST_ID));
    world.rig.queue.close();
    assert_eq!(delivering.await.unwrap(), ["x", "x"]);
    world.end().await;
}

#[tokio::test]
async fn a_compression_that_is_set_is_not_guessed() {
    for (compression, expected) in [("none", gzip(b"x")), ("gzip", b"x".to_vec())] {
        let world = start(json!({ "record_compression": compression })).await;
        let address = world.address;
        let answer = tokio::spawn(async move { send(address, "POST", "/", &[ID], &body(&[&gzip(b"x")])).await });
        let batch = world.rig.pop().await;
        assert_eq!(batch.body().row(0), expected);
        batch.into_ack().deliver();
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
        world.end().await;
    }
}
