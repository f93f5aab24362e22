//! A stream of generated CloudTrail through a pack.

use serde_json::Value;
use wattle_tests::Config;

/// The variable parts of the configuration of a stream.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) pack: String,
    pub(crate) params: String,
    /// Where the sink of `processed` writes.
    pub(crate) path: String,
}

impl Default for Load {
    fn default() -> Self {
        Self { seed: 1, pack: "cloudtrail@1.0.0".into(), params: "{}".into(), path: "processed.ndjson".into() }
    }
}

impl Load {
    /// Records in a document.
    pub(crate) const RECORDS: u32 = 20;

    pub(crate) fn config(&self) -> String {
        Config::new()
            .source("load", "demo")
            .with(format_args!("seed = {}", self.seed))
            .set("records_per_document", Self::RECORDS)
            .set("rate", 50)
            .pack("main", &["load"], &self.pack)
            .with(format_args!("params = {}", self.params))
            .file_sinks(&["get_describe_list", "fails"])
            .file_sink("processed", &["main.processed"], &self.path)
            .set("fsync", "never")
            .text()
    }
}

/// Whether the name of an event is that of a read.
pub(crate) fn is_read(event: &Value) -> bool {
    let name = event["attributes"]["eventName"].as_str().unwrap();
    ["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb))
}

/// Whether an event contains an error.
pub(crate) fn has_error(event: &Value) -> bool {
    event["attributes"]["Record"].get("errorCode").is_some()
}
