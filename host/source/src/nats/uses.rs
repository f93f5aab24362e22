//! The subjects of a source, for the comparison with those of sinks.

use serde_json::Value;
use wattle_options::uses::text;
use wattle_options::{Topic, Use, Used};

/// The subjects that a source with these options receives. Those of a whole stream are known to the server only.
pub(crate) fn uses(options: &Value) -> Vec<Use> {
    let servers = Topic::servers(text(options, "url").unwrap_or_default());
    let subjects = options.get("subjects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let topic = |name: &str| Topic { servers: servers.clone(), name: name.to_owned(), has_wildcards: true };
    subjects.map(|name| Use { option: "subjects", what: Used::Subscribes(topic(name)) }).collect()
}
