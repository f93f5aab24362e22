//! The options of `prometheus_remote_write`, `datadog_logs` and `clickhouse`.

use super::*;

pub(super) fn cases() -> Vec<(&'static str, Value)> {
    vec![
        ("prometheus_remote_write", json!({"endpoint": "http://localhost:9090/api/v1/write"})),
        (
            "prometheus_remote_write",
            json!({"endpoint": "https://h/write?x=1", "labels": {"cluster": "{{ resource.cluster }}", "a_1": "b"},
                "exponential_histograms": "classic", "tenant_id": "{{ resource.tenant }}",
                "auth": {"strategy": "basic", "user": "u", "password": "p"}, "headers": {"x-a": "b"},
                "tls": {"verify": false}, "batch": {"max_events": 5}, "request": {"concurrency": "adaptive"},
                "dead_letter": "dead.jsonl"}),
        ),
        ("datadog_logs", json!({"default_api_key": "k"})),
        (
            "datadog_logs",
            json!({"default_api_key": "k", "site": "datadoghq.eu", "endpoint": "http://h:1", "ddsource": "s",
                "ddtags": {"env": "{{ attributes.env }}"}, "service": "s", "hostname": "", "status": "info",
                "encoding": {"codec": "text"}, "compression": "zstd", "headers": {"x-a": "b"}, "tls": {"verify": false},
                "batch": {"max_events": 1000, "max_bytes": "5MB"}, "request": {"concurrency": "adaptive"},
                "dead_letter": "dead.jsonl"}),
        ),
        ("clickhouse", json!({"endpoint": "http://localhost:8123", "table": "logs"})),
        (
            "clickhouse",
            json!({"endpoint": "https://h:8443/?x=1", "database": "{{ resource.db }}", "table": "logs_{{ attributes.t }}",
                "skip_unknown_fields": false, "date_time_best_effort": true, "insert_random_shard": "true",
                "deduplicate": false, "auth": {"strategy": "basic", "user": "u", "password": "p"},
                "headers": {"x-a": "b"}, "tls": {"verify": false}, "batch": {"max_events": 5},
                "encoding": {"codec": "ndjson"}, "compression": "none", "request": {"concurrency": 2},
                "dead_letter": "dead.jsonl"}),
        ),
    ]
}

#[test]
fn errors_in_options_of_prometheus_name_the_option() {
    for (options, path, part) in [
        (json!({"labels": {"a": "b"}}), "", "`endpoint` is missing"),
        (json!({"endpoint": "h"}), "endpoint", "`http://`"),
        (json!({"endpoint": "http://u:geheim@h/"}), "endpoint", "use `auth`"),
        (json!({"endpoint": "http://h/", "labels": {"a-b": "c"}}), "labels.a-b", "is not a label"),
        (json!({"endpoint": "http://h/", "labels": {"le": "c"}}), "labels.le", "is not a label"),
        (json!({"endpoint": "http://h/", "labels": {"__name__": "c"}}), "labels.__name__", "is not a label"),
        (json!({"endpoint": "http://h/", "labels": {"a": "{{ b }}"}}), "labels.a", "`body`"),
        (json!({"endpoint": "http://h/", "tenant_id": "{{ t }}"}), "tenant_id", "`body`"),
        (json!({"endpoint": "http://h/", "exponential_histograms": "x"}), "exponential_histograms", "`classic`"),
        (json!({"endpoint": "http://h/", "compression": "gzip"}), "compression", "unknown option"),
        (json!({"endpoint": "http://h/", "request": {"timeout": 0}}), "request.timeout", "longer than 0"),
    ] {
        let errors = wrong("prometheus_remote_write", &options);
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
        assert!(!format!("{errors:?}").contains("geheim"), "{errors:?}");
    }
}

#[test]
fn errors_in_options_of_datadog_and_clickhouse_name_the_option() {
    for (type_name, options, path, part) in [
        ("datadog_logs", json!({}), "", "`default_api_key` is missing"),
        ("datadog_logs", json!({"default_api_key": "geheim\n"}), "default_api_key", "line break"),
        ("datadog_logs", json!({"default_api_key": "geheim", "site": "http://x"}), "site", "not the name of a site"),
        ("datadog_logs", json!({"default_api_key": "geheim", "endpoint": "h"}), "endpoint", "`http://`"),
        ("datadog_logs", json!({"default_api_key": "geheim", "ddtags": {"a:b": "c"}}), "ddtags.a:b", "leave out"),
        ("datadog_logs", json!({"default_api_key": "geheim", "service": "{{ a }}"}), "service", "`body`"),
        (
            "datadog_logs",
            json!({"default_api_key": "geheim", "batch": {"max_events": 1001, "max_bytes": "6MB"}}),
            "batch.max_bytes",
            "at most 5MB",
        ),
        ("clickhouse", json!({"endpoint": "http://h/"}), "", "`table` is missing"),
        ("clickhouse", json!({"endpoint": "http://h/", "table": ""}), "table", "must not be empty"),
        ("clickhouse", json!({"endpoint": "http://h/", "table": "{{ t }}"}), "table", "`body`"),
        ("clickhouse", json!({"endpoint": "h", "table": "t"}), "endpoint", "`http://`"),
        ("clickhouse", json!({"endpoint": "http://h/", "table": "t", "format": "x"}), "format", "unknown option"),
    ] {
        let errors = wrong(type_name, &options);
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
        assert!(!format!("{errors:?}").contains("geheim"), "{errors:?}");
    }
}
