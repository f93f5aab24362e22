//! A stream of generated CloudTrail through a pack.

use serde_json::Value;

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
        let Self { seed, pack, params, path } = self;
        let mut config = format!(
            "[sources.load]\ntype = \"demo\"\nseed = {seed}\nrecords_per_document = {}\nrate = 50\n\
             [pipelines.main]\ninputs = [\"load\"]\npack = \"{pack}\"\nparams = {params}\n",
            Self::RECORDS
        );
        for (output, path) in
            [("processed", path.as_str()), ("get_describe_list", "get_describe_list.ndjson"), ("fails", "fails.ndjson")]
        {
            config += &format!(
                "[sinks.{output}]\ntype = \"file\"\ninputs = [\"main.{output}\"]\npath = \"{path}\"\nfsync = \"never\"\n"
            );
        }
        config
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
