//! The topics of a source, for the comparison with those of sinks.

use serde_json::Value;
use wattle_options::uses::text;
use wattle_options::{Topic, Use, Used};

/// The topics that a source with these options reads.
pub(crate) fn uses(options: &Value) -> Vec<Use> {
    let servers = Topic::servers(text(options, "bootstrap_servers").unwrap_or_default());
    let topics = options.get("topics").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let topic = |name: &str| Topic { servers: servers.clone(), name: name.to_owned(), has_wildcards: false };
    topics.map(|name| Use { option: "topics", what: Used::Subscribes(topic(name)) }).collect()
}
