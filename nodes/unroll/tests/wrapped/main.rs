//! Documents inside documents: the shapes in which AWS delivers CloudTrail, in each other, whole and broken.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at what must not be"
)]

mod hostile;
mod masked;
mod model;
mod shapes;

use std::io::Write;

use serde_json::{Value, json};

/// The options of the pack `cloudtrail`, with the rules that the tests need.
fn cloudtrail(broken: &str) -> Value {
    json!({
        "path": ["Records", "$"],
        "into": "Record",
        "single": "eventVersion",
        "broken": broken,
        "rules": [
            {"equals": {"messageType": "CONTROL_MESSAGE"}, "drop": "control-message"},
            {"keys": ["messageType", "logEvents"], "unwrap": "logEvents[*].message"},
            {"keys": ["awslogs"], "unwrap": "awslogs.data", "decode": "base64"},
            {"keys": ["kinesis", "eventSource"], "unwrap": "kinesis.data", "decode": "base64"},
            {"keys": ["SequenceNumber", "Data"], "unwrap": "Data", "decode": "base64"},
            {"keys": ["invocationId", "records"], "unwrap": "records[*].data", "decode": "base64"},
            {"keys": ["detail-type", "detail"], "unwrap": "detail"},
            {"equals": {"Type": "SubscriptionConfirmation"}, "fail": "this asks to confirm an SNS subscription"},
            {"keys": ["TopicArn", "Message"], "unwrap": "Message"},
            {"keys": ["Sns", "EventSource"], "unwrap": "Sns.Message"},
            {"keys": ["messageId", "receiptHandle"], "unwrap": "body"},
            {"keys": ["MessageId", "ReceiptHandle"], "unwrap": "Body"},
            {"keys": ["Messages"], "unwrap": "Messages[*]"},
            {"keys": ["CloudTrailEvent"], "unwrap": "CloudTrailEvent"},
            {"keys": ["Events"], "unwrap": "Events[*]"},
            {"keys": ["_raw"], "unwrap": "_raw"},
            {"keys": ["records"], "unwrap": "records"},
            {"keys": ["digestStartTime", "digestEndTime"], "port": "digests"},
            {"keys": ["insightDetails"], "port": "insights"},
            {"keys": ["s3Bucket", "s3ObjectKey"], "fail": "this looks like a notification of CloudTrail"},
            {"keys": ["eventSource", "s3"], "fail": "this looks like an S3 event notification"},
            {"keys": ["bucket", "object"], "fail": "this looks like an S3 event notification of EventBridge"},
            {"keys": ["Service", "Event", "Bucket"], "fail": "this looks like a test notification of S3"},
        ],
    })
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}
