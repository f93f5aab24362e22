//! SQS.

use std::time::Duration;

use serde_json::{Value, json};
use wattle_aws::{ErrorKind, Receive, Retry, Sqs};

use crate::double::{Double, Reply, ok};
use crate::session;

const URL: &str = "http://queue.local/1/q";

fn json_error(status: u16, code: &str) -> Reply {
    Reply::Full(
        status,
        Vec::new(),
        json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "m"}).to_string().into(),
    )
}

#[tokio::test]
async fn messages_are_received_with_their_attributes() {
    let message = json!({"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "MD5OfBody": "x",
        "Attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1545082649636"}});
    let double = Double::with(vec![ok(json!({ "Messages": [message] }).to_string()), ok("{}")]).await;
    let queue = Sqs::new(&session(&double.address).await, URL);
    let receive = Receive { max: 10, wait: Duration::from_secs(20), visibility: Some(Duration::from_secs(60)) };
    let messages = queue.receive(&receive).await.unwrap();
    assert_eq!((messages[0].receive_count(), messages[0].sent_at()), (Some(3), Some(1_545_082_649_636)));
    assert_eq!((messages[0].receipt.as_str(), messages[0].body.as_str()), ("r", "b"));
    assert!(queue.receive(&receive).await.unwrap().is_empty());
    let seen = &double.seen()[0];
    assert_eq!(seen.header("x-amz-target"), Some("AmazonSQS.ReceiveMessage"));
    assert!(seen.header("authorization").unwrap().contains("/eu-west-1/sqs/aws4_request"));
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (&body["WaitTimeSeconds"], &body["VisibilityTimeout"], &body["QueueUrl"]),
        (&json!(20), &json!(60), &json!(URL))
    );
}

#[tokio::test]
async fn requirement_04_a_batch_reports_every_message_that_was_not_deleted() {
    let reply = json!({"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "old"}]});
    let double = Double::with(vec![ok(reply.to_string())]).await;
    let queue = Sqs::new(&session(&double.address).await, URL);
    let failures = queue.delete(&["a", "b", "c"]).await.unwrap();
    let found: Vec<(usize, ErrorKind)> = failures.iter().map(|failure| (failure.index, failure.error.kind)).collect();
    assert_eq!(found, [(1, ErrorKind::Rejected), (2, ErrorKind::InvalidResponse)]);
    assert_eq!(&*failures[0].error.reason, "old");
    assert!(queue.delete(&[]).await.unwrap().is_empty());
    assert_eq!(queue.delete(&["x"; 11]).await.unwrap_err().kind, ErrorKind::Rejected);
    assert_eq!(double.seen().len(), 1);
    let failures = queue.change_visibility(&["a"], Duration::ZERO).await.unwrap();
    assert!(failures.is_empty());
    assert!(double.seen()[1].body.contains(r#""VisibilityTimeout":0"#));
}

#[tokio::test]
async fn errors_of_the_json_protocol_have_kinds() {
    for (reply, kind, retry) in [
        (json_error(400, "QueueDoesNotExist"), ErrorKind::NotFound, Retry::Never),
        (json_error(400, "ThrottlingException"), ErrorKind::Throttled, Retry::Backoff),
        (json_error(400, "RequestThrottled"), ErrorKind::Throttled, Retry::Backoff),
        (json_error(403, "AccessDeniedException"), ErrorKind::Denied, Retry::Operator),
        (json_error(403, "InvalidClientTokenId"), ErrorKind::Credentials, Retry::Operator),
        (json_error(403, "ExpiredTokenException"), ErrorKind::ExpiredCredentials, Retry::Backoff),
        (json_error(500, "InternalFailure"), ErrorKind::Server, Retry::Backoff),
        (ok("<html>"), ErrorKind::InvalidResponse, Retry::Backoff),
        (ok(r#"{"Messages":[{"MessageId":5}]}"#), ErrorKind::InvalidResponse, Retry::Backoff),
        (Reply::Cut(50, b"{".to_vec()), ErrorKind::Connection, Retry::Backoff),
        (Reply::Silence, ErrorKind::Timeout, Retry::Backoff),
    ] {
        let double = Double::with(vec![reply.clone()]).await;
        let queue = Sqs::new(&session(&double.address).await, URL);
        let receive = Receive { max: 1, wait: Duration::ZERO, visibility: None };
        let error = queue.receive(&receive).await.unwrap_err();
        assert_eq!((error.kind, error.retry()), (kind, retry), "{reply:?}: {error}");
        assert!(error.to_string().contains(URL), "{error}");
    }
}

#[tokio::test]
async fn queues_are_found_by_name_and_dead_letters_sent() {
    let double = Double::answering(|seen| match seen.header("x-amz-target") {
        Some("AmazonSQS.GetQueueUrl") => ok(json!({ "QueueUrl": URL }).to_string()),
        Some("AmazonSQS.GetQueueAttributes") => ok(r#"{"Attributes":{"VisibilityTimeout":"30"}}"#),
        _ => ok(r#"{"MessageId":"m1"}"#),
    })
    .await;
    let queue = Sqs::find(&session(&double.address).await, "q", Some("123456789012")).await.unwrap();
    assert_eq!(queue.url(), URL);
    assert_eq!(queue.attributes(&["All"]).await.unwrap()["VisibilityTimeout"], "30");
    assert_eq!(queue.send("{\"a\":\"ü\"}").await.unwrap(), "m1");
    assert!(double.seen()[0].body.contains("123456789012"));
}
