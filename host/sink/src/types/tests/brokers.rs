//! The options of `kafka` and `nats`.

use super::*;

#[cfg(feature = "kafka")]
pub(super) fn kafka_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("kafka", json!({"bootstrap_servers": "a:9092", "topic": "t"})),
        (
            "kafka",
            json!({"bootstrap_servers": "a:9092,b:9092", "topic": "logs-{{ attributes.x }}-%Y", "compression": "lz4",
                "key_field": "attributes.kafka.key", "headers_key": "attributes.kafka.headers",
                "encoding": {"codec": "text"}, "batch": {"max_bytes": "1MiB", "timeout_secs": 1},
                "max_in_flight_bytes": "1MiB", "request_timeout": "10s", "dead_letter": "dead.jsonl",
                "sasl": {"username": "u", "password": "p"}, "tls": {"verify": false}}),
        ),
    ]
}

#[cfg(feature = "kafka")]
#[test]
fn an_error_in_the_options_of_kafka_names_the_option() {
    for (options, path, part) in [
        (json!({}), "", "`bootstrap_servers` is missing"),
        (json!({"bootstrap_servers": "a"}), "bootstrap_servers", "host name and a port"),
        (json!({"topic": "a b"}), "topic", "not the name of a topic"),
        (json!({"topic": "{{ message }}"}), "topic", "`body`"),
        (json!({"key_field": "key"}), "key_field", "must begin with `body`"),
        (json!({"headers_key": "headers"}), "headers_key", "must begin with `body`"),
        (json!({"compression": "zstd"}), "compression", "`none`, `gzip`, `snappy`, `lz4`"),
        (json!({"acks": "1"}), "acks", "unknown option"),
        (json!({"encoding": {"framing": "newline"}}), "encoding.framing", "each event is one message"),
        (json!({"batch": {"max_bytes": 0}}), "batch.max_bytes", "at least 1"),
        (json!({"batch": {"timeout": "2m"}}), "batch.timeout", "at most"),
        (json!({"max_in_flight_bytes": "1KiB"}), "max_in_flight_bytes", "`batch.max_bytes`"),
        (json!({"request_timeout": "0s"}), "request_timeout", "between"),
        (json!({"dead_letter": ""}), "dead_letter", "empty"),
        (json!({"sasl": {"enabled": true}}), "sasl.username", "missing"),
        (json!({"tls": {"ca_file": "/missing/ca.pem"}}), "tls.ca_file", "cannot read"),
    ] {
        let mut all = options.as_object().unwrap().clone();
        if !all.is_empty() {
            all.entry("bootstrap_servers").or_insert(json!("a:1"));
            all.entry("topic").or_insert(json!("t"));
        }
        let errors = wrong("kafka", &all.into());
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
    }
}

#[cfg(feature = "nats")]
pub(super) fn nats_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("nats", json!({"url": "nats://a:4222", "subject": "logs"})),
        (
            "nats",
            json!({"url": "tls://a,tls://b:1", "subject": "logs.{{ attributes.x }}", "encoding": {"codec": "text"},
                "message_id": "{{ resource.source.stream }}-{{ attributes.nats.sequence }}",
                "headers_key": "attributes.nats.headers", "max_in_flight": 10, "max_in_flight_bytes": "1MiB",
                "request_timeout": "5s", "dead_letter": "dead.jsonl", "auth": {"token": "t"}, "tls": {"verify": false}}),
        ),
        ("nats", json!({"url": "a", "subject": "{{ attributes.nats.subject }}", "jetstream": "false"})),
    ]
}

#[cfg(feature = "nats")]
#[test]
fn an_error_in_the_options_of_nats_names_the_option() {
    for (options, path, part) in [
        (json!({}), "", "`url` is missing"),
        (json!({"url": "http://a"}), "url", "not the address of a server"),
        (json!({"subject": "a b"}), "subject", "not a subject"),
        (json!({"subject": "a.*"}), "subject", "not a subject"),
        (json!({"subject": ""}), "subject", "not a subject"),
        (json!({"subject": "{{ message }}"}), "subject", "`body`"),
        (json!({"subject": "{{ body"}), "subject", "has no `}}`"),
        (json!({"message_id": "{{ id }}"}), "message_id", "`body`"),
        (json!({"message_id": "same"}), "message_id", "names no field"),
        (json!({"message_id": "{{ body.id }}", "jetstream": false}), "message_id", "`jetstream = false`"),
        (json!({"headers_key": "headers"}), "headers_key", "must begin with `body`"),
        (json!({"encoding": {"framing": "newline"}}), "encoding.framing", "each event is one message"),
        (json!({"max_in_flight": 0}), "max_in_flight", "at least 1"),
        (json!({"max_in_flight_bytes": 0}), "max_in_flight_bytes", "at least 1"),
        (json!({"request_timeout": "0s"}), "request_timeout", "between"),
        (json!({"dead_letter": ""}), "dead_letter", "empty"),
        (json!({"auth": {"user": "u"}}), "auth.password", "missing"),
        (json!({"tls": {"ca_file": "/missing/ca.pem"}}), "tls.ca_file", "cannot read"),
    ] {
        let mut all = options.as_object().unwrap().clone();
        if !all.is_empty() {
            all.entry("url").or_insert(json!("a:1"));
            all.entry("subject").or_insert(json!("s"));
        }
        let errors = wrong("nats", &all.into());
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
    }
}
