//! The options of each type: valid ones are accepted, and all errors of others are reported.

use super::*;
use serde_json::json;

#[track_caller]
fn expect(type_name: &str, options: Value, expected: &[(&str, &str)]) {
    let errors = TYPES.check(type_name, &options).err().unwrap_or_default();
    let found: Vec<(&str, String)> = errors.iter().map(|e| (e.path.as_str(), e.to_string())).collect();
    assert_eq!(found.len(), expected.len(), "{type_name} {options}: {found:?}");
    for ((path, message), (expected_path, part)) in found.iter().zip(expected) {
        assert_eq!(path, expected_path, "{found:?}");
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
    }
}

#[test]
fn every_type_accepts_valid_options() {
    let cases = [
        ("stdin", json!({})),
        ("stdin", json!({ "framing": "document", "decompression": "none", "max_event_bytes": "1MiB" })),
        ("file", json!({ "include": ["/var/log/*.log"] })),
        ("file", json!({ "include": ["a/**/*.json.gz"], "when_finished": { "move_to": "done" }, "follow": "true" })),
        ("file", json!({ "include": ["x"], "when_finished": "delete", "max_open_files": "10", "stable_after": 0 })),
        ("kubernetes_logs", json!({})),
        ("kubernetes_logs", json!({ "metadata": "path", "namespaces": ["shop"], "max_event_bytes": "64KiB" })),
        (
            "kubernetes_logs",
            json!({ "extra_label_selector": "app in (a, b)", "exclude_namespaces": ["kube-system"], "self_node_name": "n1",
                "api_server": "https://10.0.0.1:6443", "token_file": "/t", "ca_file": "/c", "metadata_timeout": "1s",
                "pod_annotations": ["team/*"], "pod_labels": false, "extra_namespace_label_selector": "env=prod" }),
        ),
        ("docker_logs", json!({})),
        ("docker_logs", json!({ "include_images": ["shop/web"], "include_labels": ["env=prod"], "read_from": "end" })),
        ("http", json!({})),
        ("http", json!({ "address": "localhost:0", "path": "/in", "token": "s", "max_body_bytes": "1MB" })),
        ("http", json!({ "auth": { "strategy": "basic", "user": "u", "password": "p" } })),
        ("http", json!({ "auth": { "strategy": "header", "name": "x-api-key", "value": "k" } })),
        ("aws_firehose", json!({})),
        ("aws_firehose", json!({ "address": "localhost:0", "access_keys": ["a", "b"], "record_compression": "gzip" })),
        ("otlp", json!({ "grpc_address": "localhost:0", "http_address": "localhost:0" })),
        ("otlp", json!({ "grpc_address": "", "http_address": "localhost:0", "token": "t" })),
        ("splunk_hec", json!({})),
        (
            "splunk_hec",
            json!({ "address": "localhost:0", "valid_tokens": ["a", "b"], "acknowledgements": { "enabled": true,
                "max_pending_acks": "5", "max_idle_time": "1m", "ack_idle_cleanup": "false" } }),
        ),
        ("elasticsearch_bulk", json!({})),
        (
            "elasticsearch_bulk",
            json!({ "address": "localhost:0", "version": "9.1.0", "auth": { "strategy": "api_key", "key": "a:b" } }),
        ),
        ("http_client", json!({ "endpoint": "https://api.example.com/v1/logs" })),
        (
            "http_client",
            json!({ "endpoint": "http://h/logs?x=1", "method": "post", "body": "{\"c\":\"{{ cursor }}\"}", "framing": "auto",
                "query": { "since": "{{ since }}", "limit": 100, "tag": ["a", true] }, "headers": { "x-a": "b" },
                "interval": 30, "timeout": "5", "items_path": "body.items", "max_pages": "7",
                "max_response_bytes": "1MiB", "max_run_bytes": "1GiB", "proxy": "http://p:3128", "tls": { "verify": false },
                "pagination": { "strategy": "cursor", "path": "headers.x-next", "has_more": "body.more" },
                "since": { "path": "body.id", "start": 5, "format": "number" },
                "auth": { "strategy": "header", "name": "x-api-key", "value": "k" } }),
        ),
        (
            "http_client",
            json!({ "endpoint": "http://h/", "pagination": { "strategy": "page", "start": 0, "page_size": "50" },
                "query": { "p": "{{ page }}" } }),
        ),
        ("socket", json!({ "address": "localhost:0" })),
        ("socket", json!({ "mode": "udp", "address": "localhost:0", "receive_buffer_bytes": "1MiB" })),
        ("syslog", json!({ "address": "localhost:0", "max_message_bytes": 2048, "framing": "octet_counting" })),
        ("journald", json!({})),
        (
            "journald",
            json!({ "include_units": ["sshd"], "exclude_units": ["nginx.service"], "priority": "warning",
                "include_matches": { "_TRANSPORT": ["kernel", "audit"] }, "exclude_matches": { "_UID": ["0"] },
                "current_boot_only": "false", "journal_directory": "/var/log/journal", "journalctl_path": "/bin/journalctl",
                "max_event_bytes": "1MiB", "max_in_flight_bytes": 1 }),
        ),
        ("journald", json!({ "since_now": true, "journal_namespace": "+web", "priority": 4 })),
        ("demo", json!({})),
        ("demo", json!({ "records_per_document": [1, 5], "rate": "2.5", "seed": "7", "shape": "cloudwatch" })),
    ];
    #[cfg(feature = "aws")]
    let cases = [&cases[..], &aws_cases()].concat();
    #[cfg(feature = "kafka")]
    let cases = [&cases[..], &kafka_cases()].concat();
    #[cfg(feature = "nats")]
    let cases = [&cases[..], &nats_cases()].concat();
    let is_built = |name: &str| match name {
        "aws_s3" => cfg!(feature = "aws"),
        "kafka" => cfg!(feature = "kafka"),
        "nats" => cfg!(feature = "nats"),
        _ => true,
    };
    for row in TYPES.rows.iter().filter(|row| is_built(row.name)) {
        assert!(cases.iter().any(|(name, _)| *name == row.name), "no case for the type `{}`", row.name);
    }
    for (type_name, options) in cases {
        assert_eq!(TYPES.check(type_name, &options), Ok(()), "{type_name} {options}");
        assert!(build(type_name, &options, &Listeners::default()).is_ok());
    }
}

#[cfg(feature = "aws")]
fn aws_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("aws_s3", json!({ "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/logs" })),
        (
            "aws_s3",
            json!({ "queue_url": "http://127.0.0.1:5555/1/q", "endpoint": "http://127.0.0.1:5555", "max_objects": "4",
                "backfill": { "bucket": "logs", "from": "2026-01-31T00:00:00Z", "prefixes": ["a/", "b/"] },
                "auth": { "access_key_id": "A", "secret_access_key": "B" }, "framing": "lines" }),
        ),
        ("aws_s3", json!({ "listing": { "bucket": "logs", "interval": "10s" }, "include": ["AWSLogs/**"] })),
    ]
}

#[cfg(feature = "kafka")]
fn kafka_cases() -> Vec<(&'static str, Value)> {
    let required = json!({ "bootstrap_servers": "a:9092", "topics": ["t"], "group_id": "g" });
    let mut more = required.clone();
    let given = json!({ "bootstrap_servers": "a:9092,[::1]:9093", "topics": ["t", "u.v-w_x"],
        "group_protocol": "consumer", "auto_offset_reset": "smallest", "session_timeout": "30s", "drain_timeout": "20s", "commit_interval": "1s",
        "fetch_wait_max": "500ms", "request_timeout": 10, "max_in_flight_bytes": "1MiB", "framing": "auto",
        "max_line_bytes": "1KiB", "max_event_bytes": "2KiB", "tls": { "verify": false },
        "sasl": { "mechanism": "SCRAM-SHA-512", "username": "u", "password": "p" } });
    more.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    vec![("kafka", required), ("kafka", more)]
}

#[cfg(feature = "kafka")]
#[test]
fn check_reports_all_errors_of_kafka() {
    expect("kafka", json!({}), &[("", "`bootstrap_servers` is missing")]);
    expect(
        "kafka",
        json!({ "bootstrap_servers": "a", "topics": [], "group_id": "", "auto_offset_reset": "earliest",
            "session_timeout": "5s", "drain_timeout": "5s", "commit_interval": "0s", "fetch_wait_max": "31s",
            "request_timeout": "0s", "max_in_flight_bytes": 0, "max_event_bytes": "8GiB", "secret": "x",
            "sasl": { "username": "u" }, "tls": { "ca_file": "/missing/ca.pem" } }),
        &[
            ("secret", "unknown option"),
            ("bootstrap_servers", "`a` is not a host name and a port"),
            ("sasl.password", "missing"),
            ("tls.ca_file", "cannot read"),
            ("topics", "names no topic"),
            ("group_id", "empty"),
            ("session_timeout", "between `6s` and `30m`"),
            ("fetch_wait_max", "between"),
            ("request_timeout", "between"),
            ("commit_interval", "longer than 0"),
            ("drain_timeout", "shorter than `session_timeout`"),
            ("max_in_flight_bytes", "at least 1"),
            ("max_event_bytes", "at most"),
        ],
    );
    let of = |topics: Value| json!({ "bootstrap_servers": "a:1", "topics": topics, "group_id": "g" });
    expect("kafka", of(json!(["^logs-.*"])), &[("topics[0]", "is a pattern")]);
    expect("kafka", of(json!(["t", "a b"])), &[("topics[1]", "not the name of a topic")]);
}

#[cfg(feature = "nats")]
fn nats_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("nats", json!({ "url": "nats://a:4222", "stream": "LOGS", "consumer": "wattle" })),
        (
            "nats",
            json!({ "url": "tls://a:4222,tls://b", "stream": "LOGS", "consumer": "wattle", "subjects": ["logs.>", "a.*"],
                "deliver_policy": "last_per_subject", "ack_wait": "1m", "max_ack_pending": "50", "max_deliver": 5,
                "max_in_flight": 10, "max_in_flight_bytes": "1MiB", "framing": "lines", "domain": "hub",
                "auth": { "user": "u", "password": "p" }, "tls": { "verify": false } }),
        ),
        ("nats", json!({ "url": "a", "jetstream": false, "subjects": ["logs.>"], "queue_group": "g" })),
    ]
}

#[test]
fn check_reports_all_errors_of_container_logs() {
    expect(
        "kubernetes_logs",
        json!({ "directory": "", "namespaces": ["Shop", "dev"], "exclude_namespaces": ["dev", ""], "extra_label_selector": "a b",
            "extra_namespace_label_selector": "x in (y", "self_node_name": "a_b", "api_server": "10.0.0.1:6443",
            "max_metadata_bytes": 0, "max_event_bytes": "2GiB", "exclude": ["a["], "label": "x" }),
        &[
            ("label", "unknown option"),
            ("extra_label_selector", "`a b` is not a requirement"),
            ("extra_namespace_label_selector", "without `)`"),
            ("max_metadata_bytes", "at least 1"),
            ("api_server", "is not the address of a server"),
            ("namespaces[0]", "`Shop` is not the name of a namespace"),
            ("exclude_namespaces[1]", "is not the name of a namespace"),
            ("namespaces[1]", "is in `exclude_namespaces` too"),
            ("self_node_name", "is not the name of a node"),
            ("directory", "names no folder"),
            ("max_event_bytes", "at most `1GiB`"),
            ("exclude[0]", "is not a valid glob"),
        ],
    );
    let by_path =
        json!({ "metadata": "path", "extra_label_selector": "app", "pod_annotations": ["a"], "ca_file": "/ca" });
    let without_api = "`metadata = \"path\"` does not use";
    let options = ["extra_label_selector", "pod_annotations", "ca_file"];
    expect("kubernetes_logs", by_path, &options.map(|option| (option, without_api)));
    expect(
        "docker_logs",
        json!({ "include_images": [""], "include_labels": ["a", ""], "max_open_files": 0, "directory": "" }),
        &[
            ("include_images[0]", "is empty"),
            ("include_labels[1]", "is empty"),
            ("directory", "names no folder"),
            ("max_open_files", "at least 1"),
        ],
    );
}

#[test]
fn check_reports_all_errors_of_http_client() {
    expect("http_client", json!({}), &[("", "`endpoint` is missing")]);
    expect(
        "http_client",
        json!({ "endpoint": "api.example.com", "method": "DELETE", "query": { "a": "{{ cursor", "b": "{{ next }}" },
            "headers": { "a b": "c", "d": "e\n" }, "body": "{{ x }}", "interval": 0, "timeout": "0s", "items_path": "items",
            "framing": "lines", "pagination": { "strategy": "page", "page_size": 0, "has_more": "more" }, "max_pages": 0,
            "since": { "path": "body[*].t", "start": "yesterday" }, "max_response_bytes": "2GiB", "max_run_bytes": 0,
            "auth": { "strategy": "bearer", "token": "" }, "proxy": "socks5://p", "url": "x" }),
        &[
            ("url", "unknown option"),
            ("endpoint", "must begin with `http://` or `https://`"),
            ("method", "is not `GET` or `POST`"),
            ("query.a", "without a `}}`"),
            ("query.b", "unknown field"),
            ("body", "unknown field"),
            ("auth.token", "is empty"),
            ("headers.a b", "is not the name of a header"),
            ("headers.d", "must not contain"),
            ("items_path", "must begin with `body`"),
            ("pagination.page_size", "at least 1"),
            ("pagination.has_more", "must begin with `body`"),
            ("since.path", "without `[*]`"),
            ("since.start", "must be a duration"),
            ("pagination", "`{{ page }}`"),
            ("since", "is not used"),
            ("interval", "longer than 0"),
            ("timeout", "longer than 0"),
            ("max_pages", "at least 1"),
            ("max_response_bytes", "at most `1GiB`"),
            ("max_run_bytes", "at least 1"),
            ("proxy", "not supported"),
        ],
    );
    let with = |name: &str, value: Value| {
        let mut options = json!({ "endpoint": "http://h/" });
        options[name] = value;
        options
    };
    expect("http_client", with("query", json!({ "a": "{{ since }}" })), &[("since", "is missing")]);
    expect(
        "http_client",
        with("query", json!({ "a": "{{ page }}" })),
        &[("query", "`pagination.strategy = \"page\"`")],
    );
    expect("http_client", with("endpoint", json!("http://u:p@h/")), &[("endpoint", "use `auth`")]);
    expect("http_client", with("body", json!("x")), &[("body", "`method = \"POST\"`")]);
    expect("http_client", with("tls", json!({ "ca_file": "/missing/ca.pem" })), &[("tls.ca_file", "cannot read")]);
    let lines = json!({ "endpoint": "http://h/", "framing": "lines",
        "pagination": { "strategy": "next_url", "path": "body.next" } });
    expect("http_client", lines, &[("pagination", "reads a JSON body")]);
}

#[cfg(feature = "nats")]
#[test]
fn check_reports_all_errors_of_nats() {
    expect("nats", json!({}), &[("", "`url` is missing")]);
    expect("nats", json!({ "url": "a" }), &[("stream", "is missing"), ("consumer", "`jetstream = false`")]);
    expect(
        "nats",
        json!({ "url": "nats://u:p@a", "stream": "a.b", "consumer": "w", "subjects": ["a..b"], "deliver_policy": "first",
            "ack_wait": "10ms", "max_ack_pending": 0, "max_deliver": 0, "max_in_flight": 0, "max_in_flight_bytes": 0,
            "queue_group": "g", "request_timeout": "0s", "max_event_bytes": "8GiB", "auth": { "user": "u" },
            "durable": "x" }),
        &[
            ("deliver_policy", "unknown value `first`"),
            ("durable", "unknown option"),
            ("url", "`auth.user`"),
            ("auth.password", "is missing"),
            ("subjects[0]", "is not a subject"),
            ("queue_group", "`jetstream = false`"),
            ("stream", "is not a name"),
            ("ack_wait", "between `1s` and `1h`"),
            ("max_ack_pending", "at least 1"),
            ("max_deliver", "at least 1"),
            ("max_in_flight", "at least 1"),
            ("max_in_flight_bytes", "at least 1"),
            ("request_timeout", "between"),
            ("max_event_bytes", "at most"),
        ],
    );
    expect(
        "nats",
        json!({ "url": "a", "jetstream": false, "stream": "s", "max_deliver": 1 }),
        &[("stream", "remove it"), ("max_deliver", "remove it"), ("subjects", "names no subject")],
    );
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_type_that_was_left_out_says_how_to_get_it() {
    expect("aws_s3", json!({ "queue_url": "x" }), &[("type", "default features")]);
}

#[test]
fn check_reports_all_errors_with_their_paths() {
    expect("kafak", json!({}), &[("type", "unknown source type `kafak`; the types are `stdin`, `file`")]);
    expect("stdin", json!({ "framed": "lines" }), &[("framed", "unknown option `framed`; available: `framing`")]);
    expect("stdin", json!([]), &[("", "must be a table")]);
    expect(
        "file",
        json!({ "include": ["ok", 3], "follow": "perhaps", "max_open_files": -1, "nonsense": 1 }),
        &[
            ("include[1]", "invalid value `3`: expected a string"),
            ("follow", "`perhaps` is not `true` or `false`"),
            ("max_open_files", "`-1` is not a whole number"),
            ("nonsense", "unknown option"),
        ],
    );
    expect("file", json!({}), &[("", "`include` is missing")]);
    expect("file", json!({ "include": [] }), &[("include", "names no file")]);
    expect(
        "file",
        json!({ "include": ["a[b"], "exclude": ["{x"], "max_event_bytes": "8GiB" }),
        &[("include[0]", "not a valid glob"), ("exclude[0]", "not a valid glob"), ("max_event_bytes", "at most")],
    );
    expect(
        "http",
        json!({ "address": "here", "path": "in", "token": "", "max_body_bytes": 0 }),
        &[
            ("address", "`here` has no port"),
            ("max_body_bytes", "at least"),
            ("path", "must begin with `/`"),
            ("token", "empty"),
        ],
    );
    expect(
        "http",
        json!({ "token": "a", "auth": { "strategy": "header", "name": "a b", "value": "" } }),
        &[("token", "two ways"), ("auth.name", "not the name of a header")],
    );
    expect(
        "http",
        json!({ "auth": { "strategy": "basic", "user": "a:b", "password": "" } }),
        &[("auth.user", "colon")],
    );
    expect("aws_firehose", json!({ "token": "a" }), &[("token", "unknown option `token`; available: ")]);
    expect(
        "aws_firehose",
        json!({ "access_keys": ["a", ""], "record_compression": "zstd", "path": "in" }),
        &[("record_compression", "unknown value `zstd`"), ("path", "must begin with `/`"), ("access_keys[1]", "empty")],
    );
    expect(
        "otlp",
        json!({ "grpc_address": "", "http_address": "", "path": "/" }),
        &[("path", "unknown option"), ("grpc_address", "set one of them")],
    );
    expect("otlp", json!({ "grpc_address": "4317" }), &[("grpc_address", "has no port or no host")]);
    expect(
        "splunk_hec",
        json!({ "path": "/", "valid_tokens": ["a", ""],
            "acknowledgements": { "max_pending_acks": 0, "max_idle_time": "0s", "max_acks": 1 } }),
        &[
            ("path", "unknown option"),
            ("acknowledgements.max_acks", "unknown option"),
            ("valid_tokens[1]", "empty"),
            ("acknowledgements.max_pending_acks", "at least 1"),
            ("acknowledgements.max_idle_time", "longer than 0"),
        ],
    );
    expect(
        "elasticsearch_bulk",
        json!({ "version": "8", "auth": { "strategy": "api_key", "key": "" }, "max_connections": 0 }),
        &[("max_connections", "at least 1"), ("auth.key", "empty"), ("version", "`8` is not a version")],
    );
    expect("syslog", json!({}), &[("address", "is missing")]);
    expect(
        "socket",
        json!({ "mode": "udp", "address": "514", "path": "/a", "framing": "lines", "max_message_bytes": 0,
            "tls": { "crt_file": "/a", "key_file": "/b" } }),
        &[
            ("framing", "applies to connections"),
            ("tls", "requires the mode `tcp`"),
            ("max_message_bytes", "at least 1"),
            ("path", "is for Unix sockets"),
            ("address", "no port or no host"),
            ("tls.crt_file", "cannot read"),
        ],
    );
    expect(
        "syslog",
        json!({ "mode": "unix", "address": "a:1", "socket_file_mode": "888" }),
        &[("address", "remove it"), ("socket_file_mode", "octal")],
    );
    expect(
        "demo",
        json!({ "interval": "1s", "rate": 5, "records_per_document": [5, 1] }),
        &[("records_per_document", "from low to high"), ("rate", "`interval`")],
    );
    expect("demo", json!({ "form": "tiny" }), &[("form", "unknown value `tiny`")]);
}

#[cfg(feature = "aws")]
#[test]
fn check_reports_all_errors_of_aws() {
    expect("aws_s3", json!({}), &[("queue_url", "set `queue_url`, `listing` or `backfill`")]);
    expect(
        "aws_s3",
        json!({ "queue_url": "logs", "region": "EU West", "buckets": ["a[b"], "visibility_timeout": "1s", "wait_time": "1m",
            "max_objects": 0, "max_event_bytes": "8GiB", "backfill": { "bucket": "b", "prefixes": ["a", "ab"],
            "from": "now" }, "secret": "x" }),
        &[
            ("secret", "unknown option"),
            ("region", "is not the name of a region"),
            ("queue_url", "is not the address of a queue"),
            ("buckets[0]", "not a valid glob"),
            ("visibility_timeout", "between `10s` and `12h`"),
            ("wait_time", "between `1s` and `20s`"),
            ("max_objects", "at least 1"),
            ("backfill.bucket", "not the name of a bucket"),
            ("backfill.prefixes[1]", "have keys in common"),
            ("backfill.from", "is not a time"),
            ("max_event_bytes", "at most"),
        ],
    );
}

#[test]
fn csv_excludes_what_joins_lines_otherwise() {
    for (name, mut options) in [("file", json!({ "include": ["/a"] })), ("stdin", json!({}))] {
        options["framing"] = "csv".into();
        options["line_format"] = "cri".into();
        options["multiline"] = json!({ "start_pattern": "^a", "mode": "halt_before", "condition_pattern": "^a" });
        expect(name, options, &[("multiline", "framing `csv`"), ("line_format", "framing `csv`")]);
    }
}

#[test]
fn an_error_of_building_lists_all_options() {
    let error =
        build("stdin", &json!({ "framing": "xml", "limit": 1 }), &Listeners::default()).err().unwrap().to_string();
    assert!(error.starts_with("options of a `stdin` source are wrong: "), "{error}");
    assert!(
        error.contains("option `framing`: unknown value `xml`; ") && error.contains("; option `limit`: unknown option"),
        "{error}"
    );
}
