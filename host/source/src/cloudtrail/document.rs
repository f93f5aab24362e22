//! Documents: records wrapped in one of the shapes in which CloudTrail arrives.

use super::Shape;

/// What stands around the records of a document, as compact JSON.
#[derive(Debug, Clone)]
pub(super) struct Wrapping {
    pub(super) open: String,
    pub(super) close: &'static str,
    /// Between two records.
    pub(super) separator: &'static str,
}

impl Wrapping {
    /// Returns the wrapping of `shape` for records of one account and region.
    pub(super) fn new(shape: Shape, account: &str, region: &str) -> Self {
        let (open, close) = match shape {
            Shape::Records => (r#"{"Records":["#.to_owned(), "]}"),
            Shape::Array => ("[".to_owned(), "]"),
            Shape::Ndjson => {
                return Self { open: String::new(), close: "", separator: "" };
            }
            Shape::CloudWatch => (
                format!(
                    r#"{{"messageType":"DATA_MESSAGE","owner":"{account}","logGroup":"aws-cloudtrail-logs-{account}","logStream":"{account}_CloudTrail_{region}","subscriptionFilters":["to-wattle"],"logEvents":["#
                ),
                "]}",
            ),
        };
        Self { open, close, separator: "," }
    }
}

/// Returns what precedes the text of message number `index` in a CloudWatch document; `"}` follows it.
pub(super) fn message_start(index: u64, millisecond: i64) -> String {
    format!(r#"{{"id":"3568926364839183747297373978172801970{index:019}","timestamp":{millisecond},"message":""#)
}
