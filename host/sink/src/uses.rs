//! Where sinks send and write, for the comparison with what sources take, and with other servers.

use serde_json::Value;
use wattle_options::uses::{dead_letter, sends_to_url, text};
use wattle_options::{Address, Network, PathPattern, Topic, Use, Used};

use crate::prometheus_exporter::DEFAULT_ADDRESS;

/// The dead-letter file only.
pub(crate) fn rejected(options: &Value) -> Vec<Use> {
    dead_letter(options).into_iter().collect()
}

/// A server at the URL in `endpoint`.
pub(crate) fn endpoint(options: &Value) -> Vec<Use> {
    sends_to_url(options, "endpoint").into_iter().chain(dead_letter(options)).collect()
}

/// The sinks `http` and `otlp`.
pub(crate) fn uri(options: &Value) -> Vec<Use> {
    sends_to_url(options, "uri").into_iter().chain(dead_letter(options)).collect()
}

/// The sinks `socket` and `syslog`.
pub(crate) fn socket(options: &Value) -> Vec<Use> {
    wattle_options::uses::socket(options, Used::Sends).into_iter().chain(dead_letter(options)).collect()
}

/// The sink `prometheus`, which listens.
pub(crate) fn prometheus(options: &Value) -> Vec<Use> {
    let address = Address::new(Network::Tcp, text(options, "address").unwrap_or(DEFAULT_ADDRESS));
    let listens = address.map(|address| Use { option: "address", what: Used::Listens(address) });
    listens.into_iter().chain(dead_letter(options)).collect()
}

/// The sink `file`.
pub(crate) fn file(options: &Value) -> Vec<Use> {
    let Some(path) = text(options, "path").filter(|path| !path.is_empty()).map(PathPattern::new) else {
        return Vec::new();
    };
    let rotates = ["rotate_bytes", "rotate_every"].iter().any(|option| options.get(*option).is_some());
    let rotated = rotates.then(|| path.rotated());
    // One report is enough, so the files that are written come first.
    let paths = std::iter::once(path).chain(rotated);
    paths.map(|path| Use { option: "path", what: Used::Writes(path) }).collect()
}

/// The sink `kafka`.
pub(crate) fn kafka(options: &Value) -> Vec<Use> {
    publishes(options, "bootstrap_servers", "topic")
}

/// The sink `nats`.
pub(crate) fn nats(options: &Value) -> Vec<Use> {
    publishes(options, "url", "subject")
}

fn publishes(options: &Value, servers: &str, option: &'static str) -> Vec<Use> {
    let servers = Topic::servers(text(options, servers).unwrap_or_default());
    // A template can stand for any name.
    let name = text(options, option).filter(|name| !name.contains("{{") && !name.contains('%'));
    let topic = name.map(|name| Topic { servers, name: name.to_owned(), has_wildcards: false });
    topic.map(|topic| Use { option, what: Used::Publishes(topic) }).into_iter().chain(dead_letter(options)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The uses of a sink in short.
    fn of(type_name: &str, options: &Value) -> Vec<String> {
        let text = |used: Use| match used.what {
            Used::Listens(address) => format!("{} listens {address}", used.option),
            Used::Sends(address) => format!("{} sends {address}", used.option),
            Used::Writes(path) => format!("{} writes {}", used.option, path.glob()),
            Used::Publishes(topic) => format!("{} publishes {} {:?}", used.option, topic.name, topic.servers),
            other => panic!("{other:?}"),
        };
        crate::TYPES.uses(type_name, options).into_iter().map(text).collect()
    }

    #[test]
    fn every_sink_says_where_its_events_go() {
        let url = "http://localhost:8080/x";
        for type_name in crate::TYPES.types() {
            let (options, expected): (_, &[&str]) = match type_name {
                "blackhole" | "console" => (json!({}), &[]),
                "file" => {
                    let options = json!({ "path": "a/{{ body.x }}.log", "rotate_bytes": 9 });
                    (options, &["path writes a/*.log", "path writes a/*-*.log"])
                }
                "http" | "otlp" => {
                    (json!({ "uri": url, "dead_letter": "d" }), &["uri sends localhost:8080", "dead_letter writes d"])
                }
                "socket" | "syslog" => (json!({ "mode": "udp", "address": "h:5" }), &["address sends h:5"]),
                "prometheus" => (json!({}), &["address listens 127.0.0.1:9598"]),
                "kafka" => {
                    let options = json!({ "bootstrap_servers": "A:9092, b:9092", "topic": "t" });
                    (options, &["topic publishes t [\"a:9092\", \"b:9092\"]"])
                }
                "nats" => {
                    let options = json!({ "url": "nats://a:4222", "subject": "t.x" });
                    (options, &["subject publishes t.x [\"a:4222\"]"])
                }
                "aws_s3" => (json!({ "dead_letter": "d" }), &["dead_letter writes d"]),
                _ => (json!({ "endpoint": url }), &["endpoint sends localhost:8080"]),
            };
            assert_eq!(of(type_name, &options), expected, "{type_name}");
            let schema = serde_json::to_string(&crate::TYPES.schema(type_name)).unwrap();
            for option in expected.iter().filter_map(|used| used.split(' ').next()) {
                assert!(schema.contains(&format!("\"{option}\":")), "{type_name} has no option `{option}`");
            }
        }
        assert_eq!(of("kafka", &json!({ "bootstrap_servers": "a:1", "topic": "t-{{ body.x }}" })), [""; 0]);
        let default = serde_json::to_string(&crate::TYPES.schema("prometheus")).unwrap();
        assert!(default.contains(DEFAULT_ADDRESS));
    }
}
