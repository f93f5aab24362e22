//! One document of each shape, the genuine ones among them.

use std::path::Path;

use serde_json::{Value, json};
use wattle_node::testing::{Ran, run_bodies};
use wattle_node_unroll::Unroll;

use super::{base64, cloudtrail, gzip};

fn record(number: u32) -> Value {
    json!({"eventVersion": "1.08", "eventName": "GetObject", "n": number, "text": "a \"quote\" and a \\ and é"})
}

fn wrapped(number: u32) -> Value {
    json!({ "Record": record(number) })
}

fn ran(broken: &str, document: &str) -> Ran {
    run_bodies::<Unroll>(&cloudtrail(broken), &[document]).unwrap()
}

fn values(ran: &Ran, port: &str) -> Vec<Value> {
    ran.bodies(port).iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

/// Checks that a document gives these records and nothing else.
#[track_caller]
fn gives(document: &Value, numbers: &[u32]) {
    let expected: Vec<Value> = numbers.iter().map(|number| wrapped(*number)).collect();
    for text in [document.to_string(), serde_json::to_string_pretty(document).unwrap()] {
        for broken in ["fail", "apart", "port"] {
            let ran = ran(broken, &text);
            assert_eq!(ran.codes(), Vec::<String>::new(), "{text}");
            assert_eq!(values(&ran, "out"), expected, "{text}");
            assert!(ran.dropped.is_empty() && ran.ports.values().map(Vec::len).sum::<usize>() == expected.len());
        }
    }
}

fn text(value: &Value) -> Value {
    Value::String(value.to_string())
}

#[test]
fn every_shape_gives_its_records() {
    let records = |numbers: &[u32]| json!({"Records": numbers.iter().map(|n| record(*n)).collect::<Vec<_>>()});
    gives(&records(&[1, 2]), &[1, 2]);
    gives(&json!([record(1), record(2)]), &[1, 2]);
    gives(&record(1), &[1]);
    let logs = |messages: &[Value]| {
        let events: Vec<Value> = messages.iter().map(|message| json!({"id": "1", "message": text(message)})).collect();
        json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logEvents": events})
    };
    gives(&logs(&[record(1), record(2), records(&[3, 4])]), &[1, 2, 3, 4]);
    let event = json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "detail": record(5)});
    gives(&event, &[5]);
    let row = |number| json!({"EventId": "x", "CloudTrailEvent": text(&record(number))});
    gives(&row(6), &[6]);
    gives(&json!({"Events": [row(6), row(7)], "NextToken": "t"}), &[6, 7]);
    gives(&json!([row(6), row(7)]), &[6, 7]);
    let sns = |inner: &Value| json!({"Type": "Notification", "TopicArn": "arn", "Message": text(inner)});
    gives(&sns(&record(8)), &[8]);
    gives(&json!({"Records": [{"EventSource": "aws:sns", "Sns": sns(&event)}]}), &[5]);
    let sqs = |inner: &Value| json!({"messageId": "1", "receiptHandle": "h", "body": text(inner)});
    gives(&json!({"Records": [sqs(&records(&[1, 2])), sqs(&sns(&event)), sqs(&record(3))]}), &[1, 2, 5, 3]);
    let received = |inner: &Value| json!({"MessageId": "1", "ReceiptHandle": "h", "Body": text(inner)});
    gives(&json!({"Messages": [received(&event), received(&logs(&[record(9)]))]}), &[5, 9]);
    gives(&received(&event), &[5]);
    gives(&json!({"_raw": serde_json::to_string_pretty(&record(1)).unwrap()}), &[1]);
    gives(&json!({"records": [record(1)]}), &[1]);
    for encode in [|text: &str| base64(&gzip(text)), |text: &str| base64(text.as_bytes())] {
        let data = encode(&logs(&[record(1), record(2)]).to_string());
        gives(&json!({"awslogs": {"data": data}}), &[1, 2]);
        let lines = encode(&format!("{}\n{}\n", record(3), record(4)));
        let kinesis = |data: &str| json!({"kinesis": {"data": data}, "eventSource": "aws:kinesis"});
        gives(&json!({"Records": [kinesis(&data), kinesis(&lines)]}), &[1, 2, 3, 4]);
        gives(&json!({"invocationId": "i", "records": [{"data": data}, {"data": lines}]}), &[1, 2, 3, 4]);
        gives(&json!({"Records": [{"SequenceNumber": "1", "Data": lines, "PartitionKey": "p"}]}), &[3, 4]);
    }
}

#[test]
fn a_document_that_is_alone_in_its_envelope_is_unwrapped_without_a_path() {
    let rules = json!({"rules": [
        {"keys": ["detail"], "unwrap": "detail"},
        {"keys": ["items"], "unwrap": "items[*]"},
        {"keys": ["message"], "unwrap": "message"},
    ]});
    for envelope in [r#"{"detail":{"a":1}}"#, r#"{"items":[{"a":1}]}"#, r#"{"message":"{\"a\":1}"}"#] {
        let ran = run_bodies::<Unroll>(&rules, &[envelope]).unwrap();
        assert_eq!(ran.bodies("out"), [r#"{"a":1}"#], "{envelope}");
    }
    let ran = run_bodies::<Unroll>(&rules, &[r#"{"message":""}"#, " {\"b\" : 1} "]).unwrap();
    assert_eq!(ran.bodies("out"), ["", " {\"b\" : 1} "]);
}

#[test]
fn documents_of_other_kinds_leave_on_their_ports_from_any_depth() {
    let digest = json!({"digestStartTime": "a", "digestEndTime": "b", "logFiles": []});
    let insight = json!({"eventVersion": "1.07", "insightDetails": {"state": "Start"}});
    let body = json!({"Records": [
        {"messageId": "1", "receiptHandle": "h", "body": text(&digest)},
        {"messageId": "2", "receiptHandle": "h", "body": text(&json!({"Records": [insight, insight]}))},
        {"messageId": "3", "receiptHandle": "h", "body": text(&record(1))},
    ]});
    let found = ran("fail", &body.to_string());
    assert_eq!(values(&found, "digests"), std::slice::from_ref(&digest));
    assert_eq!(values(&found, "insights"), [insight.clone(), insight.clone()]);
    assert_eq!(values(&found, "out"), [wrapped(1)]);
    let pretty = format!("{}\n", serde_json::to_string_pretty(&digest).unwrap());
    assert_eq!(ran("fail", &pretty).bodies("digests"), [pretty.trim_end()]);
}

#[test]
fn documents_of_no_use_are_dropped_and_counted() {
    let control = json!({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "CWL CONTROL MESSAGE"}]});
    let alone = ran("port", &control.to_string());
    assert_eq!(alone.dropped.get("control-message"), Some(&1));
    let message = |inner: &Value| json!({"MessageId": "1", "ReceiptHandle": "h", "Body": text(inner)});
    let mixed = json!({"Messages": [message(&control), message(&record(1)), message(&control)]});
    let mixed = ran("fail", &mixed.to_string());
    assert_eq!((values(&mixed, "out"), mixed.counts.get("control-message")), (vec![wrapped(1)], Some(&2)));
    assert!(mixed.dropped.is_empty());
    let both = run_bodies::<Unroll>(&cloudtrail("fail"), &[&control.to_string(), "{\"Records\":[]}"]).unwrap();
    assert_eq!((both.dropped.get("control-message"), both.dropped.get("empty")), (Some(&1), Some(&1)));
}

#[test]
fn a_broken_document_fails_by_itself_with_its_own_reason() {
    let message = |body: &str| json!({"MessageId": "1", "ReceiptHandle": "h", "Body": body});
    let (good, s3) = (record(1).to_string(), r#"{"Records":[{"eventSource":"aws:s3","s3":{}}]}"#);
    let (cut, other) = (r#"{"Records":[{"eventVersion""#, r#"{"foo":1}"#);
    let messages =
        [message(cut), message(&good), message(s3), message(other), json!({"MessageId": "1", "ReceiptHandle": "h"})];
    let document = json!({ "Messages": messages }).to_string();
    let whole = ran("fail", &document);
    assert_eq!((whole.codes(), whole.bodies("out").len()), (vec!["not-json".to_owned()], 0));
    let parts = [cut, s3, other, r#"{"MessageId":"1","ReceiptHandle":"h"}"#];
    let found = ran("apart", &document);
    assert_eq!(found.bodies("out"), [parts[0], &wrapped(1).to_string(), parts[1], parts[2], parts[3]]);
    let found = ran("port", &document);
    assert_eq!((values(&found, "out"), found.bodies("broken")), (vec![wrapped(1)], parts.map(str::to_owned).to_vec()));
    // What left on `broken` fails in a second node with the same options.
    let again = run_bodies::<Unroll>(&cloudtrail("port"), &parts).unwrap();
    assert_eq!(again.codes(), ["not-json", "unsupported", "missing-path", "missing-path"]);
    // Nothing good: the row fails as it is, with the first reason.
    let only = ran("port", &json!({"Messages": [message(s3), message(cut)]}).to_string());
    assert_eq!((only.codes(), only.ports.values().all(Vec::is_empty)), (vec!["unsupported".to_owned()], true));
}

#[test]
fn a_value_that_does_not_decode_fails_by_itself_with_its_own_reason() {
    let put = |data: &str| json!({"SequenceNumber": "1", "Data": data});
    let (bomb, cut) = (base64(&gzip(&" ".repeat(40 << 20))), base64(&gzip("{}")[..12]));
    let bad = ["%%%", &cut, &base64(b"\xff\xff"), &bomb];
    let mut records: Vec<Value> = bad.iter().map(|data| put(data)).collect();
    records.push(put(&base64(record(1).to_string().as_bytes())));
    let found = ran("port", &json!({ "Records": records }).to_string());
    let parts: Vec<String> = bad.iter().map(|data| json!(data).to_string()).collect();
    assert_eq!((values(&found, "out"), found.bodies("broken")), (vec![wrapped(1)], parts.clone()));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let again = run_bodies::<Unroll>(&cloudtrail("fail"), &parts).unwrap();
    assert_eq!(again.codes(), ["not-decodable", "not-decodable", "not-decodable", "too-large"]);
    assert_eq!(again.failed[0]["failure"]["message"], "`body` is not base64");
    // Other strings are no documents either, and neither is one that arrives at a node with `broken`.
    let texts = [r#""e30=""#, "5"];
    assert_eq!(run_bodies::<Unroll>(&cloudtrail("fail"), &texts).unwrap().codes(), ["missing-path"; 2]);
    assert_eq!(run_bodies::<Unroll>(&cloudtrail("port"), &[r#""%%%""#]).unwrap().codes(), ["missing-path"]);
}

#[test]
fn messages_name_the_value() {
    let check = |document: Value, code: &str, part: &str| {
        let ran = ran("port", &document.to_string());
        let failure = &ran.failed[0]["failure"];
        let message = failure["message"].as_str().unwrap();
        assert_eq!((failure["code"].as_str().unwrap(), message.contains(part)), (code, true), "{message}");
    };
    let sns = |message: Value| json!({"TopicArn": "a", "Message": message});
    check(sns("{".into()), "not-json", "`Message` in `body` is not JSON: ");
    check(sns("\u{1}".into()), "not-json", "`Message` in `body` is not JSON: ");
    check(sns(json!(null)), "not-a-document", "`Message` in `body` is null");
    check(sns(json!(5)), "not-a-document", "`Message` in `body` is a number");
    check(sns(text(&sns("x".into()))), "not-json", "`Message` in `body` is not JSON");
    check(json!({"kinesis": {}, "eventSource": 1}), "missing-path", "unwraps `kinesis.data`");
    check(json!({"messageType": 1, "logEvents": {}}), "missing-path", "unwraps `logEvents[*].message`");
    let data = |data: Value| json!({"awslogs": {"data": data}});
    check(data("%%".into()), "not-decodable", "`awslogs.data` in `body` is not base64");
    check(data(base64(&gzip("{}")[..12]).into()), "not-decodable", "damaged or incomplete gzip");
    check(data(base64(b"\xff\xff").into()), "not-decodable", "is not UTF-8");
    check(data(json!({})), "not-a-document", "`awslogs.data` in `body` is an object");
    check(data(base64(&gzip(&" ".repeat(40 << 20))).into()), "too-large", "decodes to more than ");
    check(json!({"Type": "SubscriptionConfirmation", "TopicArn": "a", "Message": "m"}), "unsupported", "confirm");
}

/// The genuine documents in a folder; none where the folder is absent.
fn genuine(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return Vec::new();
    };
    let mut all: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn genuine_wrapped_documents_are_read_completely() {
    for (folder, events) in [("cloudwatch-envelope", 4), ("lookup-events", 0), ("pretty-sample", 44)] {
        for (name, document) in genuine(folder) {
            let ran = ran("port", &document);
            let records = values(&ran, "out");
            assert!(ran.codes().is_empty() && ran.bodies("broken").is_empty(), "{name}: {:?}", ran.codes());
            assert!(records.iter().all(|record| record["Record"]["eventVersion"].is_string()), "{name}");
            assert!(!records.is_empty() && (events == 0 || records.len() == events), "{name}: {}", records.len());
        }
    }
    for (name, document) in genuine("eventbridge") {
        let cases: Vec<Value> = serde_json::from_str(&document).unwrap();
        for case in cases {
            let event = &case["data"];
            let ran = ran("port", &event.to_string());
            // Most are events of EventBridge, some are log files.
            let records = event["Records"].as_array().map_or_else(|| vec![event["detail"].clone()], Vec::clone);
            let expected: Vec<Value> = records.iter().map(|record| json!({ "Record": record })).collect();
            assert_eq!(values(&ran, "out"), expected, "{name}: {:?}", ran.failed);
        }
    }
}

#[test]
fn genuine_notifications_fail_and_say_what_they_are() {
    for (name, document) in genuine("notifications") {
        let ran = ran("port", &document);
        assert!(ran.ports.values().all(Vec::is_empty), "{name}");
        let message = ran.failed[0]["failure"]["message"].as_str().unwrap();
        let is_known = ["S3 event notification", "test notification of S3"].iter().any(|part| message.contains(part));
        assert!(is_known, "{name}: {message}");
    }
}
