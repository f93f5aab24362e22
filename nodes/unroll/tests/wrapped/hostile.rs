//! Documents that someone made to break the node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wattle_node::testing::{Ran, run_bodies};
use wattle_node_unroll::Unroll;

use super::{base64, cloudtrail, gzip};

/// Runs a document in every mode and checks that it takes no time worth mentioning.
fn ran(document: &str) -> [Ran; 3] {
    ["fail", "apart", "port"].map(|broken| {
        let since = Instant::now();
        let ran = run_bodies::<Unroll>(&cloudtrail(broken), &[document]).unwrap();
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
        ran
    })
}

#[track_caller]
fn fails(document: &str, code: &str) {
    for ran in ran(document) {
        assert_eq!((ran.codes(), ran.ports.values().all(Vec::is_empty)), (vec![code.to_owned()], true));
    }
}

#[test]
fn documents_in_each_other_have_a_limit() {
    let nested = |depth: usize| {
        let (before, after) = (r#"{"detail-type":1,"detail":"#.repeat(depth), "}".repeat(depth));
        format!(r#"{before}{{"eventVersion":1}}{after}"#)
    };
    for ran in ran(&nested(16)) {
        assert_eq!(ran.bodies("out"), [r#"{"Record":{"eventVersion":1}}"#]);
    }
    fails(&nested(17), "too-deep");
    fails(&nested(1000), "too-deep");
    fails(&nested(200_000), "too-deep");
    let arrays =
        format!("{}{}", r#"{"Records":[{"kinesis":1,"eventSource":1,"Records":["#.repeat(500), "]}]}".repeat(500));
    for broken in ["fail", "apart", "port"] {
        run_bodies::<Unroll>(&cloudtrail(broken), &[&arrays]).unwrap();
    }
    // The size doubles with each level, since every level escapes the backslashes of the one before.
    let mut text = json!({"eventVersion": 1});
    for _ in 0..14 {
        text = json!({"TopicArn": 1, "Message": text.to_string()});
    }
    for ran in ran(&text.to_string()) {
        assert_eq!(ran.bodies("out"), [r#"{"Record":{"eventVersion":1}}"#]);
    }
}

#[test]
fn a_large_document_is_read_completely() {
    let record = json!({"eventVersion": "1", "text": "x\n\"".repeat(500)}).to_string();
    let events = vec![json!({"message": record}); (32 << 20) / 3000];
    let document = json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string();
    assert!(document.len() > 32 << 20);
    for ran in ran(&document) {
        assert_eq!(ran.bodies("out").len(), events.len());
    }
}

#[test]
fn a_million_empty_texts_fail_as_one_or_each_by_itself() {
    let all = |first: &str| {
        let mut events = vec![json!({"message": ""}); 1_000_000];
        events[0] = json!({ "message": first });
        json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string()
    };
    fails(&all(""), "not-json");
    let [whole, apart, port] = ran(&all(r#"{"eventVersion":1}"#));
    assert_eq!((whole.codes().len(), apart.bodies("out").len()), (1, 1_000_000));
    assert_eq!((port.bodies("out").len(), port.bodies("broken").len()), (1, 999_999));
}

#[test]
fn compressed_values_have_a_limit_alone_and_together() {
    let bomb = base64(&gzip(&" ".repeat(64 << 20)));
    fails(&json!({"awslogs": {"data": bomb}}).to_string(), "too-large");
    // Each of these is small enough by itself.
    let part = base64(&gzip(&json!({"eventVersion": 1, "x": " ".repeat(700 << 10)}).to_string()));
    let records = vec![json!({ "data": part }); 100];
    let [whole, _, port] = ran(&json!({"invocationId": 1, "records": records}).to_string());
    assert_eq!(whole.codes(), ["too-large"]);
    assert_eq!(port.bodies("out").len() + port.bodies("broken").len(), 100);
    assert_eq!(port.bodies("out").len(), (32 << 20) / (700 << 10));
}

#[test]
fn a_document_can_be_cut_anywhere() {
    let record = json!({"eventVersion": "1", "text": "\"é\\\n"});
    let inner = json!({"Records": [record, record]}).to_string();
    let logs =
        json!({"messageType": "DATA_MESSAGE", "logEvents": [{"message": inner}, {"message": record.to_string()}]});
    let data = base64(&gzip(&logs.to_string()));
    let sqs = |body: &Value| json!({"messageId": 1, "receiptHandle": 1, "body": body.to_string()});
    let documents = [
        json!({"Records": [sqs(&json!({"TopicArn": 1, "Message": logs.to_string()})), sqs(&record)]}).to_string(),
        json!({"invocationId": 1, "records": [{"data": data}, {"data": data}]}).to_string(),
        format!("{logs}\n{logs}\n{record}"),
    ];
    for document in documents {
        for end in (0..=document.len()).filter(|end| document.is_char_boundary(*end)) {
            // The harness checks that every row is accounted for.
            for ran in ran(&document[..end]) {
                let left = ran.ports.values().map(Vec::len).sum::<usize>();
                assert_eq!(ran.failed.len() + usize::from(left > 0), 1, "{}", &document[..end]);
            }
        }
    }
    // The same inside the string, where the outer document stays whole.
    let text = logs.to_string();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let document = json!({"Messages": [{"MessageId": 1, "ReceiptHandle": 1, "Body": text[..end]},
            {"MessageId": 1, "ReceiptHandle": 1, "Body": record.to_string()}]});
        let [whole, apart, port] = ran(&document.to_string());
        assert_eq!((whole.codes().len(), apart.bodies("out").len()), (1, 2), "{end}");
        assert_eq!((port.bodies("out").len(), port.bodies("broken")), (1, vec![text[..end].to_owned()]), "{end}");
    }
}
