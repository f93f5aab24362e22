//! The options of `prometheus_remote_write`.

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
