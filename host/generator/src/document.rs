//! Document wrappers for the shapes in which CloudTrail is delivered.

use crate::options::Shape;

/// The text around the records of a document, as compact JSON.
#[derive(Debug, Clone)]
pub(crate) struct Wrapping {
    pub(crate) open: String,
    pub(crate) close: &'static str,
    /// Between two records.
    pub(crate) separator: &'static str,
}

impl Wrapping {
    /// Returns the wrapping of `shape` for records of one account and region.
    pub(crate) fn new(shape: Shape, account: &str, region: &str) -> Self {
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

/// Returns the text before message number `index` in a CloudWatch document; `"}` must follow the
/// message.
pub(crate) fn message_start(index: u64, millisecond: i64) -> String {
    format!(r#"{{"id":"3568926364839183747297373978172801970{index:019}","timestamp":{millisecond},"message":""#)
}
