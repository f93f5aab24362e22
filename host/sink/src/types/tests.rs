//! The options of every type: valid ones, and errors that name the option.

#[cfg(any(feature = "kafka", feature = "nats"))]
mod brokers;
mod over_http;

use super::*;
use serde_json::json;

fn wrong(type_name: &str, options: &Value) -> Vec<(String, String)> {
    let errors = TYPES.check(type_name, options).unwrap_err();
    assert!(build("out", type_name, options).is_err(), "build refuses what check refuses");
    errors.into_iter().map(|e| (e.path, format!("{}; {}", e.problem, e.problem.hint().unwrap_or_default()))).collect()
}

#[test]
fn every_type_accepts_valid_options() {
    let cases = [
        ("blackhole", json!({})),
        ("console", json!({})),
        ("prometheus", json!({})),
        (
            "prometheus",
            json!({"address": "[::1]:9598", "path": "/m", "default_namespace": "wattle", "labels": {"c": "{{ body }}"},
                "expire_after": "1h", "max_series": "10", "max_bytes": "1MiB", "send_timestamps": "true",
                "max_connections": 3, "idle_timeout": "1m", "dead_letter": "dead.jsonl",
                "auth": {"strategy": "bearer", "token": "t"}}),
        ),
        ("console", json!({"target": "stderr", "encoding": {"codec": "text", "minify": "true"}})),
        ("console", json!({"preview": 5})),
        ("console", json!({"encoding": {"codec": "pretty", "except_fields": ["resource"]}})),
        ("file", json!({"path": "out.txt", "encoding": {"codec": "pretty", "framing": "none"}})),
        ("file", json!({"path": "out.json"})),
        ("file", json!({"path": "out.ndjson", "encoding": {"codec": "ndjson"}})),
        ("file", json!({"path": "%Y/{{ attributes.x }}.log", "rotate_bytes": "1.5GiB", "max_open_files": "12"})),
        ("file", json!({"path": "a", "rotate_every": "1h 30m", "idle_timeout": 2.5, "compression": "zstd"})),
        ("http", json!({"uri": "https://example.com/in?x=1"})),
        (
            "http",
            json!({"uri": "http://[::1]:80", "method": "PUT", "headers": {"x-key": "v"}, "compression": "gzip",
                "auth": {"strategy": "basic", "user": "u", "password": "p"}, "tls": {"verify": false},
                "batch": {"max_bytes": 10, "max_events": "5", "timeout": "10ms"},
                "proxy": {"enabled": "true", "http": "http://u:p@h:1", "no_proxy": ["localhost"]},
                "request": {"retry_attempts": 3, "concurrency": "1"}, "dead_letter": "dead.jsonl"}),
        ),
    ];
    let cases = [&cases[..], &otlp_cases(), &elasticsearch_cases(), &splunk_and_loki_cases(), &socket_cases()].concat();
    let cases = [&cases[..], &over_http::cases()].concat();
    #[cfg(feature = "aws")]
    let cases = [&cases[..], &aws_cases()].concat();
    #[cfg(feature = "kafka")]
    let cases = [&cases[..], &brokers::kafka_cases()].concat();
    #[cfg(feature = "nats")]
    let cases = [&cases[..], &brokers::nats_cases()].concat();
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
        assert_eq!(TYPES.check(type_name, &options), Ok(()), "{options}");
        assert!(build("out", type_name, &options).is_ok(), "{options}");
    }
}

fn socket_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("socket", json!({"address": "localhost:9000"})),
        (
            "socket",
            json!({"mode": "tcp", "address": "[::1]:9000", "framing": "octet_counting", "tls": {"verify": "false"},
                "encoding": {"codec": "text", "template": "{{ body }}"}, "dead_letter": "dead.jsonl",
                "request": {"retry_attempts": "3", "retry_initial_backoff": "10ms", "retry_max_backoff": "1s"}}),
        ),
        ("socket", json!({"mode": "udp", "address": "10.0.0.1:9000"})),
        ("socket", json!({"mode": "unix", "path": "/run/s.sock"})),
        ("syslog", json!({"address": "logs.example.com:514"})),
        (
            "syslog",
            json!({"mode": "unix_datagram", "path": "/dev/log", "facility": "local7", "severity": 3, "app_name": "a",
                "hostname": "h", "encoding": {"codec": "json"}}),
        ),
    ]
}

#[test]
fn errors_in_options_of_sockets_name_the_option() {
    for (type_name, options, expected) in [
        ("socket", json!({}), &[("address", "is missing")][..]),
        ("socket", json!({"address": "514"}), &[("address", "has no port or no host")]),
        ("socket", json!({"address": "h:1", "facility": 1}), &[("facility", "unknown option")]),
        (
            "socket",
            json!({"mode": "udp", "address": "h:1", "path": "/p", "framing": "lines", "tls": {},
                "encoding": {"framing": "none"}, "dead_letter": ""}),
            &[
                ("framing", "applies to connections"),
                ("encoding.framing", "use `framing`"),
                ("tls", "requires the mode `tcp`"),
                ("dead_letter", "empty"),
                ("path", "is for Unix sockets"),
            ],
        ),
        ("syslog", json!({"mode": "unix", "address": "h:1"}), &[("address", "remove it"), ("path", "is missing")]),
        (
            "syslog",
            json!({"address": "h:1", "facility": "local9", "severity": 8, "app_name": "a b", "hostname": ""}),
            &[
                ("facility", "from 0 to 23"),
                ("severity", "from 0 to 7"),
                ("app_name", "1 to 48 characters"),
                ("hostname", "1 to 255 characters"),
            ],
        ),
        ("syslog", json!({"address": "h:1", "tls": {"crt_file": "/c"}}), &[("tls.crt_file", "set `tls.key_file`")]),
        ("syslog", json!({"address": "h:1", "tls": {"ca_file": "/none"}}), &[("tls.ca_file", "cannot read")]),
        (
            "syslog",
            json!({"address": "h:1", "encoding": {"codec": "json", "template": "x"}}),
            &[("encoding.template", "text")],
        ),
    ] {
        let errors = wrong(type_name, &options);
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for ((path, message), (expected_path, part)) in errors.iter().zip(expected) {
            assert!(path == expected_path && message.contains(part), "{errors:?}");
        }
    }
}

fn elasticsearch_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("elasticsearch", json!({"endpoint": "https://localhost:9200"})),
        (
            "elasticsearch",
            json!({"endpoint": "http://localhost:7280/api/v1/_elastic", "mode": "data_stream", "id_key": "attributes.id",
                "data_stream": {"type": "metrics", "dataset": "{{ resource.service.name }}", "namespace": "prod"},
                "generate_ids": "false", "pipeline": "p", "auth": {"strategy": "api_key", "key": "k"},
                "headers": {"x-a": "b"}, "encoding": {"codec": "ndjson"}, "compression": "gzip",
                "batch": {"max_events": 5}, "request": {"concurrency": "adaptive"}, "dead_letter": "dead.jsonl"}),
        ),
    ]
}

fn splunk_and_loki_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("splunk_hec", json!({"endpoint": "https://localhost:8088", "token": "t"})),
        (
            "splunk_hec",
            json!({"endpoint": "https://localhost:8088", "token": "t", "endpoint_target": "raw", "index": "main",
                "sourcetype": "{{ attributes.type }}", "source": "s", "host": "", "encoding": {"codec": "text"},
                "acknowledgements": {"indexer_acknowledgements_enabled": false, "query_interval": "1s",
                    "timeout": 30, "max_pending_bytes": "1MiB"},
                "tls": {"verify": false}, "batch": {"timeout": "1s"}, "request": {"concurrency": 2},
                "compression": "gzip", "dead_letter": "dead.jsonl"}),
        ),
        ("splunk_hec", json!({"endpoint": "http://h:1", "token": "t", "indexed_fields": {"team": "{{ body.team }}"}})),
        ("loki", json!({"endpoint": "http://localhost:3100", "labels": {"job": "wattle"}})),
        (
            "loki",
            json!({"endpoint": "http://h:1/prefix", "path": "/push", "labels": {"a_1": "{{ body.a }}"},
                "structured_metadata": {"trace_id": "{{ trace_id }}"}, "tenant_id": "{{ resource.t }}",
                "max_streams": "5", "auth": {"strategy": "bearer", "token": "t"}, "headers": {"x-a": "b"},
                "encoding": {"codec": "text", "minify": true}, "request": {"concurrency": "adaptive"},
                "compression": "gzip", "batch": {"max_events": 5}, "dead_letter": "dead.jsonl"}),
        ),
    ]
}

#[test]
fn errors_in_options_of_splunk_and_loki_name_the_option() {
    for (type_name, options, path, part) in [
        ("splunk_hec", json!({"endpoint": "http://h/"}), "", "`token` is missing"),
        ("splunk_hec", json!({"endpoint": "h"}), "endpoint", "`http://`"),
        ("splunk_hec", json!({"token": "geheim\n"}), "token", "line break"),
        ("splunk_hec", json!({"index": "{{ message }}"}), "index", "`body`"),
        ("splunk_hec", json!({"endpoint_target": "json"}), "endpoint_target", "`event`, `raw`"),
        (
            "splunk_hec",
            json!({"endpoint_target": "raw", "indexed_fields": {"a": "b"}}),
            "indexed_fields",
            "requires the endpoint `event`",
        ),
        ("splunk_hec", json!({"indexed_fields": {"a": "{{"}}), "indexed_fields.a", "`}}`"),
        ("splunk_hec", json!({"acknowledgements": {"timeout": 0}}), "acknowledgements.timeout", "longer than 0"),
        ("loki", json!({"endpoint": "http://h/"}), "", "`labels` is missing"),
        ("loki", json!({"labels": {}}), "labels", "names no label"),
        ("loki", json!({"labels": {"a-b": "c"}}), "labels.a-b", "is not a name"),
        ("loki", json!({"labels": {"__a": "c"}}), "labels.__a", "is not a name"),
        ("loki", json!({"labels": {"a": "{{ b }}"}}), "labels.a", "`body`"),
        ("loki", json!({"structured_metadata": {"1": "c"}}), "structured_metadata.1", "is not a name"),
        ("loki", json!({"path": "push"}), "path", "begin with `/`"),
        ("loki", json!({"max_streams": 0}), "max_streams", "at least 1"),
        ("loki", json!({"tenant_id": "{{ t }}"}), "tenant_id", "`body`"),
    ] {
        let mut options = options;
        if !path.is_empty() {
            let defaults = match type_name {
                "loki" => json!({"endpoint": "http://h/", "labels": {"job": "wattle"}}),
                _ => json!({"endpoint": "http://h/", "token": "geheim"}),
            };
            for (key, value) in defaults.as_object().unwrap() {
                options.as_object_mut().unwrap().entry(key).or_insert(value.clone());
            }
        }
        let errors = wrong(type_name, &options);
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
        assert!(!format!("{errors:?}").contains("geheim"), "{errors:?}");
    }
}

#[test]
fn errors_in_options_of_elasticsearch_name_the_option() {
    for (options, path, part) in [
        (json!({}), "", "`endpoint` is missing"),
        (json!({"endpoint": "h:1"}), "endpoint", "`http://`"),
        (json!({"bulk": {"index": ""}}), "bulk.index", "empty"),
        (json!({"bulk": {"index": "{{ message }}"}}), "bulk.index", "`body`"),
        (json!({"bulk": {"index": "%Q"}}), "bulk.index", "%Q"),
        (json!({"bulk": {"action": "update"}}), "bulk.action", "`index`, `create`"),
        (json!({"mode": "data_stream", "data_stream": {"dataset": ""}}), "data_stream.dataset", "empty"),
        (json!({"id_key": "id"}), "id_key", "`attributes`"),
        (json!({"pipeline": "{{ body"}), "pipeline", "`}}`"),
        (
            json!({"auth": {"strategy": "api_key", "key": "geheim
"}}),
            "auth.key",
            "line break",
        ),
        (json!({"encoding": {"framing": "none"}}), "encoding.framing", "not an option"),
        (json!({"request": {"concurrency": 0}}), "request.concurrency", "at least 1"),
    ] {
        let mut options = options;
        if !path.is_empty() && options.get("endpoint").is_none() {
            options["endpoint"] = json!("http://h/");
        }
        let errors = wrong("elasticsearch", &options);
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
        assert!(!format!("{errors:?}").contains("geheim"), "{errors:?}");
    }
}

fn otlp_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("otlp", json!({"uri": "http://localhost:4317"})),
        (
            "otlp",
            json!({"uri": "https://example.com/otlp", "protocol": "http", "encoding": "json", "compression": "none",
                "headers": {"x-scope-orgid": "1"}, "auth": {"strategy": "bearer", "token": "t"},
                "tls": {"verify": false}, "batch": {"max_events": 5}, "request": {"concurrency": 1},
                "dead_letter": "dead.jsonl"}),
        ),
    ]
}

#[cfg(feature = "aws")]
fn aws_cases() -> Vec<(&'static str, Value)> {
    vec![
        ("aws_s3", json!({"bucket": "logs"})),
        (
            "aws_s3",
            json!({"bucket": "logs", "compression": "snappy",
                "encoding": {"codec": "parquet", "schema": {"preset": "cloudtrail",
                    "columns": [{"name": "tags", "type": "map", "element": {"type": "string"}}]}}}),
        ),
        ("aws_s3", json!({"bucket": "logs", "key_prefix": "", "filename_extension": "", "content_encoding": ""})),
        (
            "aws_s3",
            json!({"bucket": "logs", "key_prefix": "r={{ body.r }}/year=%Y/", "object_per": "source_object",
                "filename_extension": "json.gz", "compression": "gzip", "encoding": {"codec": "ndjson"},
                "batch": {"max_bytes": "1MiB", "max_events": "5", "timeout_secs": 10}, "max_open_objects": "3",
                "max_in_flight_bytes": "1MiB", "storage_class": "STANDARD_IA", "server_side_encryption": "aws:kms",
                "ssekms_key_id": "alias/logs", "tags": {"team": "a b"}, "acl": "bucket-owner-full-control",
                "content_type": "text/plain", "region": "eu-west-1", "endpoint": "http://127.0.0.1:9000",
                "path_style": true, "auth": {"access_key_id": "A", "secret_access_key": "B"},
                "request": {"concurrency": 2, "retry_attempts": 3, "retry_initial_backoff": "10ms"},
                "dead_letter": "dead.jsonl"}),
        ),
    ]
}

#[test]
fn only_objects_can_be_parquet_and_other_schemas_do_not_offer_it() {
    for (type_name, options) in
        [("console", json!({})), ("file", json!({"path": "a"})), ("http", json!({"uri": "http://h/"}))]
    {
        let mut options = options;
        options["encoding"] = json!({"codec": "parquet"});
        let errors = wrong(type_name, &options);
        assert!(
            errors.iter().any(|(p, m)| p == "encoding.codec" && m.contains("only the sink `aws_s3`")),
            "{errors:?}"
        );
        let row = TYPES.rows.iter().find(|row| row.name == type_name).unwrap();
        let schema = (row.schema)();
        assert!(!schema.to_string().contains("ColumnOptions") && !schema.to_string().contains("$defs"), "{schema}");
        let schema = schema.pointer("/properties/encoding/properties").unwrap().clone();
        assert!(schema.get("schema").is_none() && schema["codec"].to_string().contains("ndjson"), "{schema}");
        assert!(!schema.to_string().contains("parquet"), "{schema}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn errors_in_options_of_parquet_name_the_option() {
    for (mut more, path, part) in [
        (json!({"compression": "gzip"}), "compression", "`zstd`, `snappy` or `none`"),
        (json!({"encoding": {"framing": "newline"}}), "encoding.framing", "no effect"),
        (json!({"encoding": {"minify": true}}), "encoding.minify", "no effect"),
        (json!({"encoding": {"template": "{{ body }}"}}), "encoding.template", "no effect"),
        (json!({"encoding": {"only_fields": ["a"]}}), "encoding.only_fields", "no effect"),
        (json!({"encoding": {"schema": {}}}), "encoding.schema", "column"),
        (json!({"encoding": {"schema": {"preset": "cloudtrial"}}}), "encoding.schema.preset", "`cloudtrail`"),
        (
            json!({"encoding": {"schema": {"columns": [{"name": "a", "type": "list"}]}}}),
            "encoding.schema.columns[0]",
            "element",
        ),
        (json!({"batch": {"max_bytes": "256MiB"}}), "max_in_flight_bytes", "`batch.max_bytes`"),
    ] {
        let encoding = json!({"codec": "parquet", "schema": {"preset": "cloudtrail"}});
        let mut encoding = encoding.as_object().unwrap().clone();
        encoding.extend(more.get("encoding").and_then(Value::as_object).cloned().unwrap_or_default());
        more["bucket"] = json!("logs");
        more["encoding"] = encoding.into();
        let errors = wrong("aws_s3", &more);
        let found = errors.iter().any(|(p, m)| p.starts_with(path) && m.contains(part));
        assert!(found, "{more}: {errors:?}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn an_error_in_the_options_of_aws_names_the_option() {
    for (options, path, part) in [
        (json!({}), "", "`bucket` is missing"),
        (json!({"bucket": "a/b"}), "bucket", "`a/b` is not the name of a bucket"),
        (json!({"bucket": "logs", "key_prefix": "{{ message }}"}), "key_prefix", "`body`"),
        (json!({"bucket": "logs", "key_prefix": "%Q/"}), "key_prefix", "%Q"),
        (json!({"bucket": "logs", "key_prefix": "/a/"}), "key_prefix", "begin with `/`"),
        (json!({"bucket": "logs", "key_prefix": "a\u{0}"}), "key_prefix", "NUL"),
        (json!({"bucket": "logs", "object_per": "event"}), "object_per", "`batch`, `source_object`"),
        (json!({"bucket": "logs", "filename_extension": ".gz"}), "filename_extension", "no dot"),
        (json!({"bucket": "logs", "filename_extension": "a/b"}), "filename_extension", "letters"),
        (json!({"bucket": "logs", "compression": "lz4"}), "compression", "`none`, `gzip`, `zstd`, `snappy`"),
        (json!({"bucket": "logs", "compression": "snappy"}), "compression", "codec `parquet`"),
        (json!({"bucket": "logs", "encoding": {"codec": "parquet"}}), "encoding.schema", "preset = \"cloudtrail\""),
        (
            json!({"bucket": "logs", "encoding": {"schema": {"preset": "cloudtrail"}}}),
            "encoding.schema",
            "codec `parquet`",
        ),
        (json!({"bucket": "logs", "batch": {"timeout": 0}}), "batch.timeout", "0"),
        (json!({"bucket": "logs", "batch": {"max_bytes": "1GiB"}}), "max_in_flight_bytes", "`batch.max_bytes`"),
        (json!({"bucket": "logs", "max_open_objects": 0}), "max_open_objects", "at least 1"),
        (json!({"bucket": "logs", "storage_class": "cold"}), "storage_class", "`STANDARD_IA`"),
        (json!({"bucket": "logs", "server_side_encryption": "rot13"}), "server_side_encryption", "`aws:kms`"),
        (json!({"bucket": "logs", "ssekms_key_id": "k"}), "ssekms_key_id", "requires"),
        (json!({"bucket": "logs", "tags": {"": "v"}}), "tags.", "1 to 128"),
        (json!({"bucket": "logs", "acl": "everyone"}), "acl", "`private`"),
        (json!({"bucket": "logs", "content_type": "a\n"}), "content_type", "printable"),
        (json!({"bucket": "logs", "endpoint": "h:1"}), "endpoint", "http"),
        (json!({"bucket": "logs", "auth": {"access_key_id": "A"}}), "auth.access_key_id", "`auth.secret_access_key`"),
        (json!({"bucket": "logs", "request": {"concurrency": 0}}), "request.concurrency", "at least 1"),
        (json!({"bucket": "logs", "dead_letter": ""}), "dead_letter", "empty"),
        (json!({"bucket": "logs", "key": "x"}), "key", "unknown option"),
    ] {
        let errors = wrong("aws_s3", &options);
        assert!(errors.iter().any(|(p, m)| p == path && m.contains(part)), "{options}: {errors:?}");
    }
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_type_that_was_left_out_says_how_to_get_it() {
    let errors = wrong("aws_s3", &json!({"bucket": "logs"}));
    assert!(errors.iter().any(|(path, text)| path == "type" && text.contains("default features")), "{errors:?}");
}

#[test]
fn an_error_names_the_option_and_the_expected_value() {
    for (type_name, options, path, part) in [
        ("pulsar", json!({}), "type", "the types are `blackhole`"),
        ("blackhole", json!({"x": 1}), "x", "unknown option"),
        ("console", json!({"target": "printer"}), "target", "write one of `stdout`, `stderr`"),
        ("console", json!({"encoding": {"codec": "xml"}}), "encoding.codec", "write one of `json`, `text`, `ndjson`"),
        ("console", json!({"encoding": {"kodec": 1}}), "encoding.kodec", "unknown option"),
        ("file", json!({}), "", "`path` is missing"),
        ("file", json!({"path": ""}), "path", "empty"),
        ("file", json!({"path": "{{ message }}"}), "path", "`body`"),
        ("file", json!({"path": "{{ body"}), "path", "`}}`"),
        ("file", json!({"path": "%Q.log"}), "path", "%Q"),
        ("file", json!({"path": "a", "rotate_bytes": "many"}), "rotate_bytes", "`16MiB`"),
        ("file", json!({"path": "a", "rotate_every": "1 parsec"}), "rotate_every", "`5s`"),
        ("file", json!({"path": "a", "max_open_files": 0}), "max_open_files", "at least 1"),
        ("file", json!({"path": "a", "fsync": "maybe"}), "fsync", "`batch`"),
        ("http", json!({}), "", "`uri` is missing"),
        ("http", json!({"uri": "ftp://h/"}), "uri", "`http://`"),
        ("http", json!({"uri": "/only/a/path"}), "uri", "`http://`"),
        ("http", json!({"uri": "http://me:secret@h/"}), "uri", "`auth`"),
        ("http", json!({"uri": "http://h/", "method": "B AD"}), "method", "`B AD`"),
        ("http", json!({"uri": "http://h/", "headers": {"a b": "c"}}), "headers.a b", "name"),
        ("http", json!({"uri": "http://h/", "headers": {"a": "c\n"}}), "headers.a", "value"),
        ("http", json!({"uri": "http://h/", "auth": {"strategy": "magic"}}), "auth.strategy", "`basic`"),
        ("http", json!({"uri": "http://h/", "auth": {"strategy": "bearer"}}), "auth", "token"),
        ("http", json!({"uri": "http://h/", "request": {"concurrency": 0}}), "request.concurrency", "at least 1"),
        ("http", json!({"uri": "http://h/", "batch": {"max_bytes": 0}}), "batch.max_bytes", "at least 1"),
        ("http", json!({"uri": "http://h/", "encoding": {"framing": "none"}}), "encoding.framing", "`format`"),
        ("http", json!({"uri": 5}), "uri", "string"),
        ("http", json!({"uri": "http://h/", "proxy": "socks5://me:secret@p"}), "proxy", "not supported"),
        ("http", json!({"uri": "http://h/", "proxy": {"https": "http://"}}), "proxy.https", "like `http://proxy"),
        ("http", json!({"uri": "http://h/", "proxy": {"htps": "http://p"}}), "proxy", "unknown option"),
        ("http", json!({"uri": "http://h/", "proxy": 5}), "proxy", "or a table"),
        ("http", json!({"uri": "http://h/", "tls": {"key_file": "k"}}), "tls.key_file", "`tls.crt_file`"),
    ] {
        let errors = wrong(type_name, &options);
        let found = errors.iter().any(|(p, m)| p == path && m.contains(part));
        assert!(found, "{options}: {errors:?}");
        assert!(!format!("{errors:?}").contains("secret"), "{errors:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_found_before_the_sink_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("garbage"), "garbage").unwrap();
    let (absent, garbage, directory) = (path("absent"), path("garbage"), path("folder"));
    std::fs::create_dir(&directory).unwrap();
    for (file, why) in [(&absent, "cannot read"), (&directory, "cannot read"), (&garbage, "contains no PEM")] {
        for (option, tls) in
            [("tls.ca_file", json!({"ca_file": file})), ("tls.crt_file", json!({"crt_file": file, "key_file": file}))]
        {
            let errors = wrong("http", &json!({"uri": "https://h/", "tls": tls}));
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].0, option);
            assert!(errors[0].1.contains(why) && !errors[0].1.contains("option `"), "{errors:?}");
        }
    }
    let errors = wrong("file", &json!({"path": directory}));
    assert_eq!(errors[0].0, "path");
    assert!(errors[0].1.contains("is a folder; name a file in it"), "{errors:?}");
}

#[test]
fn errors_of_reading_and_of_validation_are_reported_together() {
    let options = json!({"uri": "nowhere", "method": "B AD", "batch": {"max_events": 0}});
    let paths = |options| wrong("http", &options).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(paths(options), ["uri", "method", "batch.max_events"]);
    let options = json!({"uri": "nowhere", "batch": {"max_bytes": "x", "timeout": "y"}, "tls": {"verify": "z"}});
    assert_eq!(paths(options), ["batch.max_bytes", "batch.timeout", "tls.verify", "uri"]);
}
