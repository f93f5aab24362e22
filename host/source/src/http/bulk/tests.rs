//! Requests as clients of Elasticsearch send them, over the loopback interface.

use super::*;
use crate::http::tests::{Answer, World, end_batch, send, start_type};
use crate::stats::get;
use crate::testing::{Rig, gzip, texts};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wattle_batch::{Batch, FieldPath, Form};

async fn start(options: Value) -> World {
    start_in(Rig::new(TempDir::new().unwrap().path()), options).await
}

async fn start_in(rig: Rig, options: Value) -> World {
    start_type("elasticsearch_bulk", rig, options).await
}

fn sending(world: &World, path: &'static str, body: impl AsRef<[u8]>) -> JoinHandle<Answer> {
    let (address, body) = (world.address, body.as_ref().to_vec());
    tokio::spawn(async move { send(address, "POST", path, &[], &body).await })
}

/// The attributes of each row.
fn attributes(batch: &Batch) -> Vec<Value> {
    let (bytes, offsets, _) = batch.read(&FieldPath::parse("attributes.elasticsearch").unwrap(), Form::Json);
    let text = |pair: &[u32]| serde_json::from_slice(&bytes[pair[0] as usize..pair[1] as usize]).unwrap_or_default();
    offsets.windows(2).map(text).collect()
}

#[tokio::test]
async fn each_document_is_an_event_and_each_action_has_its_status() {
    let world = start(json!({})).await;
    let body = concat!(
        // As our sink writes them.
        "{\"index\":{\"_index\":\"logs-a\",\"_id\":\"1\",\"pipeline\":\"p\"}}\n",
        "{\"@timestamp\":\"2026-01-02T03:04:05.123456789Z\",\"n\":1.50}\n",
        // As Filebeat and Fluent Bit do.
        "{\"create\":{}}\r\n{\"@timestamp\":1767323045123,\"message\":\"a\"}\r\n\n",
        "{\"delete\":{\"_index\":\"x\",\"_id\":\"2\"}}\n",
        "{\"update\":{\"_id\":\"3\"}}\n{\"doc\":{}}\n",
        "{\"index\":{}}\n[1]\n",
        "{\"index\":{}}\n{\"a\":\n",
        "{\"index\":{\"_id\":7,\"_type\":\"_doc\"}}\n{ \"@timestamp\" : \"soon\" }",
    );
    let answer = sending(&world, "/of%20path/_bulk?pipeline=_none", body);
    let batch = world.rig.pop().await;
    assert_eq!(
        texts(&batch),
        [
            "{\"@timestamp\":\"2026-01-02T03:04:05.123456789Z\",\"n\":1.50}",
            "{\"@timestamp\":1767323045123,\"message\":\"a\"}",
            "{ \"@timestamp\" : \"soon\" }",
        ]
    );
    let times: Vec<_> = (0..3).map(|row| batch.timestamp(row)).collect();
    assert_eq!(times, [Some(1_767_323_045_123_456_789), Some(1_767_323_045_123_000_000), None]);
    assert_eq!(
        attributes(&batch),
        [
            json!({ "index": "logs-a", "id": "1", "pipeline": "p" }),
            json!({ "index": "of path" }),
            json!({ "index": "of path", "id": "7" }),
        ]
    );
    assert!(!answer.is_finished(), "not before the events are delivered");
    batch.into_ack().deliver();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, &answer.headers[PRODUCT]), (StatusCode::OK, &HeaderValue::from_static("Elasticsearch")));
    assert_eq!(answer.body["errors"], true);
    assert!(answer.body["took"].is_u64());
    let items: Vec<(String, &Value)> = answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item.as_object().unwrap().iter().map(|(name, item)| (name.clone(), item)))
        .collect();
    let found: Vec<(&str, u64, &str)> = items
        .iter()
        .map(|(name, item)| {
            let reason = item["error"]["reason"].as_str().unwrap_or_default();
            (name.as_str(), item["status"].as_u64().unwrap(), reason.split([';', ':']).next().unwrap())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("index", 201, ""),
            ("create", 201, ""),
            ("delete", 400, "the agent takes documents only"),
            ("update", 400, "the agent takes documents by `index` and `create`"),
            ("index", 400, "the document is not an object"),
            ("index", 400, "the document is not valid JSON"),
            ("index", 201, ""),
        ]
    );
    assert_eq!(items[0].1, &json!({ "_index": "logs-a", "_id": "1", "result": "created", "status": 201 }));
    assert_eq!(get(&world.rig.stats.events), 3);
    world.end().await;
}

#[tokio::test]
async fn a_client_that_filters_the_response_gets_status_and_errors() {
    let world = start(json!({})).await;
    let delivering = world.delivering();
    let path = "/_bulk?filter_path=errors,items.*.error,items.*.status";
    let body = gzip("{\"index\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n{\"index\":{}}\n{}\n");
    let answer = send(world.address, "PUT", path, &[("content-encoding", "gzip")], &body).await;
    assert_eq!(answer.body["errors"], true);
    assert_eq!(answer.body["items"][0], json!({ "index": { "status": 201 } }));
    assert_eq!(answer.body["items"][1]["index"]["error"]["reason"], "index is missing");
    world.rig.queue.close();
    assert_eq!(delivering.await.unwrap(), ["{}"]);
    world.end().await;
}

#[tokio::test]
async fn a_request_without_any_valid_document_is_answered_at_once() {
    let world = start(json!({})).await;
    let answer = send(world.address, "POST", "/_bulk", &[], b"{\"delete\":{\"_index\":\"i\",\"_id\":\"1\"}}\n").await;
    assert_eq!((answer.status, &answer.body["items"][0]["delete"]["status"]), (StatusCode::OK, &json!(400)));
    world.end().await;
}

#[tokio::test]
async fn invalid_requests_are_refused_as_a_whole() {
    let world = start(json!({ "max_body_bytes": 20_000, "max_in_flight_bytes": 40_000,
        "auth": { "strategy": "api_key", "key": "id:key" } }))
    .await;
    // The base64 of `id:key`.
    let key = ("authorization", "ApiKey aWQ6a2V5");
    let many = "{\"index\":{}}\n{}\n".repeat(1000);
    let long = format!("{{\"index\":{{\"_id\":\"{}\"}}}}\n{{}}\n", "x".repeat(17_000));
    type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c [u8], u16, &'c str);
    let cases: &[Case<'_>] = &[
        ("/_bulk", &[], b"{}", 401, "API key"),
        ("/_bulk", &[("authorization", "ApiKey aWQ6a2V4")], b"{}", 401, "API key"),
        ("/_bulk", &[key], b"", 400, "no action"),
        ("/_bulk", &[key], b"\n\n", 400, "no action"),
        ("/i/_bulk", &[key], b"{\"index\":{}}\n{}\n{\"index\":{}}\n", 400, "line 3 has no document"),
        ("/i/_bulk", &[key], b"{\"index\":{}}\n{}\nnot JSON\n", 400, "line 3: not a JSON object"),
        ("/i/_bulk", &[key], b"[]\n{}\n", 400, "line 1: not an object"),
        ("/i/_bulk", &[key], b"{\"index\":{},\"create\":{}}\n{}\n", 400, "one member"),
        ("/i/_bulk", &[key], b"{\"upsert\":{}}\n{}\n", 400, "not one of `index`"),
        ("/i/_bulk", &[key], b"{\"index\":[]}\n{}\n", 400, "`index` is not an object"),
        ("/i/_bulk", &[key], &[b' '; 20_001], 413, "`max_body_bytes`"),
        ("/i/_bulk", &[key], many.as_bytes(), 413, "`max_in_flight_bytes`"),
        ("/i/_bulk", &[key], long.as_bytes(), 400, "line 1: more than 16384 bytes"),
        ("/_index_template/t", &[key], b"{}", 400, "templates"),
        ("/_search", &[key], b"{}", 400, "`_bulk` only"),
    ];
    for (path, headers, body, status, reason) in cases {
        let answer = send(world.address, "POST", path, headers, body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (*status, &json!(status)), "{}", answer.body);
        assert!(answer.body["error"]["reason"].as_str().unwrap().contains(reason), "{}", answer.body);
        assert_eq!(answer.body["error"]["root_cause"][0]["type"], answer.body["error"]["type"]);
        assert_eq!(answer.headers[PRODUCT], "Elasticsearch");
    }
    assert!(world.rig.queue.is_empty());
    assert_eq!(get(&world.rig.stats.failures), cases.len() as u64);
    let delivering = world.delivering();
    let answer = send(world.address, "POST", "/i/_doc/_bulk", &[key], b"{\"index\":{}}\n{}\n").await;
    assert_eq!(answer.body["errors"], false, "{}", answer.body);
    delivering.abort();
    world.end().await;
}

#[tokio::test]
async fn the_status_reports_the_result_of_the_events() {
    let world = start(json!({})).await;
    // What was rejected was counted as lost; sending all again would only repeat the others.
    for (end, status) in [("reject", 200), ("give up", 503), ("drop", 503)] {
        let answer = sending(&world, "/i/_bulk", "{\"index\":{}}\n{}\n");
        end_batch(world.rig.pop().await, end);
        let answer = answer.await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{end}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
    world.end().await;
}

#[tokio::test]
async fn back_pressure_is_429() {
    let mut rig = Rig::new(TempDir::new().unwrap().path());
    rig.queue = wattle_buffer::Queue::new(1, None, None);
    let world = start_in(rig, json!({ "max_wait": "50ms" })).await;
    let first = sending(&world, "/i/_bulk", "{\"index\":{}}\n{}\n");
    world.rig.until(|| !world.rig.queue.is_empty()).await;
    let answer = send(world.address, "POST", "/i/_bulk", &[], b"{\"index\":{}}\n{}\n").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["error"]["type"]),
        (429, &json!("es_rejected_execution_exception"))
    );
    assert_eq!(answer.headers["retry-after"], "1");
    world.rig.pop().await.into_ack().deliver();
    assert_eq!(first.await.unwrap().body["errors"], false);
    world.end().await;
}

#[tokio::test]
async fn a_failure_can_close_the_connection_instead_of_a_response() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = start(json!({ "disconnect_on_failure": true })).await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let body = "{\"index\":{}}\n{}\n";
    let request = format!("POST /i/_bulk HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(world.rig.pop().await);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"");
    assert_eq!(get(&world.rig.stats.failures), 1);
    // Any other response is one.
    assert_eq!(send(world.address, "POST", "/i/_bulk", &[], b"{}\n").await.status, StatusCode::BAD_REQUEST);
    let answer = sending(&world, "/i/_bulk", body);
    world.rig.pop().await.into_ack().deliver();
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    world.end().await;
}

#[tokio::test]
async fn clients_see_a_server_with_a_version_and_without_indices() {
    let world = start(json!({ "version": "9.1.2" })).await;
    let ask = async |method, path| send(world.address, method, path, &[], b"").await;
    for (path, pointer, expected) in [
        ("/", "/version/number", json!("9.1.2")),
        ("/", "/tagline", json!("You Know, for Search")),
        ("/_license", "/license/status", json!("active")),
        ("/_xpack", "/license/mode", json!("basic")),
        ("/_cluster/health", "/status", json!("green")),
        ("/_cluster/health/logs?timeout=1s", "/timed_out", json!(false)),
        ("/_nodes/http", "/nodes/d2F0dGxlLWFnZW50LWlkMQ/version", json!("9.1.2")),
    ] {
        let answer = ask("GET", path).await;
        assert_eq!(
            (answer.status, &answer.headers[PRODUCT]),
            (StatusCode::OK, &HeaderValue::from_static("Elasticsearch")),
            "{path}"
        );
        assert_eq!(answer.body.pointer(pointer), Some(&expected), "{path}: {}", answer.body);
        assert_eq!(ask("HEAD", path).await.status, StatusCode::OK);
    }
    for path in ["/logs", "/_index_template/filebeat", "/_ilm/policy/filebeat", "/_ingest/pipeline/p", "/_bulk/"] {
        let status = if path == "/_bulk/" { 405 } else { 404 };
        assert_eq!(ask("GET", path).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(ask("GET", "/health").await.body, json!({ "status": "ok" }));
    assert_eq!(get(&world.rig.stats.failures), 0, "questions are no failures");
    world.end().await;
}

#[tokio::test]
async fn questions_need_the_credentials_too() {
    let world = start(json!({ "auth": { "strategy": "basic", "user": "u", "password": "p" } })).await;
    let answer = send(world.address, "GET", "/", &[], b"").await;
    assert_eq!(
        (answer.status, &answer.body["error"]["type"]),
        (StatusCode::UNAUTHORIZED, &json!("security_exception"))
    );
    // u:p
    let answer = send(world.address, "GET", "/", &[("authorization", "Basic dTpw")], b"").await;
    assert_eq!(answer.status, StatusCode::OK);
    world.end().await;
}
