//! All destinations with a server that is not theirs: login pages, redirects, and errors that repeat the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wattle_batch::Disposition::Delivered;

use super::testing::{Call, Double, Reply};
use crate::testing::Running;

/// A type, its options, and what its server responds when it accepts one event.
fn destinations(address: &str) -> Vec<(&'static str, Value, &'static str)> {
    let endpoint = format!("http://{address}");
    let basic = json!({"strategy": "basic", "user": "u", "password": "geheim-4711"});
    vec![
        ("splunk_hec", json!({"endpoint": endpoint, "token": "geheim-4711"}), r#"{"text":"Success","code":0}"#),
        ("loki", json!({"endpoint": endpoint, "auth": basic, "labels": {"job": "test"}}), ""),
        ("datadog_logs", json!({"endpoint": endpoint, "default_api_key": "geheim-4711"}), "{}"),
        (
            "clickhouse",
            json!({"endpoint": endpoint, "auth": basic, "table": "logs", "encoding": {"codec": "ndjson"}}),
            "",
        ),
        (
            "elasticsearch",
            json!({"endpoint": endpoint, "auth": {"strategy": "api_key", "key": "geheim-4711"}, "bulk": {"index": "logs"}}),
            r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
        ),
        ("otlp", json!({"uri": endpoint, "protocol": "http", "headers": {"x-key": "geheim-4711"}}), ""),
        ("http", json!({"uri": endpoint, "auth": {"strategy": "bearer", "token": "geheim-4711"}}), ""),
    ]
}

fn echo(call: &Call) -> String {
    let headers = call.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()));
    format!(
        "bad request with {}",
        headers.filter(|line| !line.starts_with("user-agent")).collect::<Vec<_>>().join("; ")
    )
}

#[tokio::test]
async fn a_server_that_is_not_the_destination_delivers_nothing_and_its_errors_show_no_secret() {
    for index in 0..destinations("x").len() {
        for mode in 0..3 {
            let stage = Arc::new(AtomicUsize::new(mode));
            let double = Double::start({
                let stage = stage.clone();
                move |call| match stage.load(Ordering::SeqCst) {
                    0 => Reply::new(200, "<!DOCTYPE html><title>Log in</title>"),
                    1 => Reply::new(403, echo(call)),
                    2 => Reply::new(302, "moved"),
                    _ => Reply::new(200, destinations("x").remove(index).2),
                }
            })
            .await;
            let (type_name, mut options, _) = destinations(&double.address.to_string()).remove(index);
            if mode == 0 && type_name == "http" {
                // Any response with a status of success is one of a server of the user.
                continue;
            }
            let request = json!({"retry_initial_backoff": "5ms", "retry_max_backoff": "10ms"});
            options
                .as_object_mut()
                .unwrap()
                .extend([("batch".to_owned(), json!({"timeout": "5ms"})), ("request".to_owned(), request)]);
            let sink = Running::start(type_name, &options);
            sink.push(&[r#"{"a":1}"#]);
            sink.rig.wait_for_retries(2).await;
            let error =
                sink.rig.context().stats.broken(Duration::ZERO).unwrap_or_else(|| panic!("{type_name}: {mode}"));
            let expected = ["the response is a web page", "***", "a redirect without an address"][mode];
            assert!(error.contains(expected), "{type_name}: {error}");
            assert!(!error.contains("geheim"), "{type_name}: {error}");
            let (delivered, ..) = sink.rig.counts();
            assert_eq!(delivered, 0, "{type_name}");
            stage.store(3, Ordering::SeqCst);
            assert_eq!(sink.finish().await.acks(), [Delivered], "{type_name}");
        }
    }
}
