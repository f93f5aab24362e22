//! The sink with a real server on the loopback interface.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response};
use serde_json::json;
use tokio::net::TcpListener;
use wattle_batch::Disposition::{Delivered, GivenUp, Rejected, Retry};

use super::*;
use crate::compress::{Compression, decompress};
use crate::testing::Running;

/// How the server handles a request.
#[derive(Clone, Debug)]
enum Act {
    Answer(u16),
    AnswerWith(u16, &'static str, &'static str),
    /// 200 with this body.
    Say(&'static str),
    /// 413 for bodies longer than this, 200 for others.
    Limit(usize),
    /// 400 for bodies that contain this text, 200 for others.
    Refuse(&'static str),
    Hang,
}

#[derive(Default)]
struct Log {
    acts: VecDeque<Act>,
    /// After `acts`; `None` means 200.
    then: Option<Act>,
    /// Requests with a 2xx response.
    taken: Vec<(HeaderMap, Bytes)>,
    /// Length and time of every request.
    seen: Vec<(usize, Instant)>,
    running: usize,
    max_running: usize,
    pause: Duration,
}

/// A server and its log.
#[derive(Clone)]
struct Server {
    log: Arc<Mutex<Log>>,
    address: std::net::SocketAddr,
}

impl Server {
    async fn start(acts: &[Act]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), acts)
    }

    fn on(listener: TcpListener, acts: &[Act]) -> Self {
        let log = Arc::new(Mutex::new(Log { acts: acts.to_vec().into(), ..Log::default() }));
        let address = listener.local_addr().unwrap();
        let to = log.clone();
        let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| answer(to.clone(), headers, body));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { log, address }
    }

    fn uri(&self) -> String {
        format!("http://{}/in?q=geheim", self.address)
    }

    fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().unwrap())
    }

    /// Bodies of the accepted requests.
    fn bodies(&self) -> Vec<String> {
        self.log(|log| log.taken.iter().map(|(_, body)| String::from_utf8(body.to_vec()).unwrap()).collect())
    }
}

async fn answer(log: Arc<Mutex<Log>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let (act, pause) = {
        let mut log = log.lock().unwrap();
        log.seen.push((body.len(), Instant::now()));
        log.running += 1;
        log.max_running = log.max_running.max(log.running);
        let then = log.then.clone().unwrap_or(Act::Answer(200));
        (log.acts.pop_front().unwrap_or(then), log.pause)
    };
    tokio::time::sleep(pause).await;
    let mut response = Response::builder();
    let text = if let Act::Say(text) = act { text } else { "because \"of\" reasons" };
    let status = match act {
        Act::Answer(status) => status,
        Act::Say(_) => 200,
        Act::AnswerWith(status, name, value) => {
            response = response.header(name, value);
            status
        }
        Act::Limit(max) => {
            if body.len() > max {
                413
            } else {
                200
            }
        }
        Act::Refuse(text) => {
            if String::from_utf8_lossy(&body).contains(text) {
                400
            } else {
                200
            }
        }
        Act::Hang => {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            500
        }
    };
    let mut log = log.lock().unwrap();
    log.running -= 1;
    if (200..300).contains(&status) {
        log.taken.push((headers, body));
    }
    response.status(status).body(Body::from(text)).unwrap()
}

/// Starts a sink with these options. Defaults: codec `text`, small requests and short waits.
fn start_sink(uri: &str, mut options: Value) -> Running {
    let defaults = json!({
        "uri": uri,
        "encoding": {"codec": "text"},
        "batch": {"timeout": "10ms"},
        "request": {},
    });
    for (key, value) in defaults.as_object().unwrap() {
        options.as_object_mut().unwrap().entry(key).or_insert(value.clone());
    }
    for (key, value) in [("retry_initial_backoff", "20ms"), ("retry_max_backoff", "40ms")] {
        options["request"].as_object_mut().unwrap().entry(key).or_insert(value.into());
    }
    Running::start("http", &options)
}

#[tokio::test]
async fn events_are_sent_together_and_counted_when_accepted() {
    let server = Server::start(&[]).await;
    let sink = start_sink(&server.uri(), json!({"batch": {"timeout": "100s"}}));
    sink.push(&["one", "two"]);
    sink.push(&["{\n \"three\": 3\n}"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.rig.acks(), [], "the request waits for more events");
    let rig = sink.finish().await;
    assert_eq!(server.bodies(), ["one\ntwo\n{\"three\":3}\n"]);
    assert_eq!(rig.acks(), [Delivered; 2]);
    assert_eq!(rig.counts(), (3, 20, 0, 0));
    let headers = server.log(|log| log.taken[0].0.clone());
    assert_eq!(headers["content-type"], "application/x-ndjson");
    assert_eq!(headers["content-length"], "20");
    assert!(headers["user-agent"].to_str().unwrap().starts_with("wattle/"));
}

#[tokio::test]
async fn format_compression_method_and_headers_follow_the_options() {
    for (name, compression) in [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let server = Server::start(&[]).await;
        let options = json!({"format": "array", "compression": name, "method": "PUT", "headers": {"x-a": "b"},
            "auth": {"strategy": "basic", "user": "me", "password": "geheim"}});
        let sink = start_sink(&server.uri(), options);
        sink.push(&["{\"a\": 1}", "no json"]);
        sink.finish().await;
        let (headers, body) = server.log(|log| log.taken[0].clone());
        assert_eq!(decompress(compression, &body).unwrap(), br#"[{"a": 1},"no json"]"#);
        assert_eq!(headers.get("content-encoding").map_or("none", |v| v.to_str().unwrap()), name);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["authorization"], "Basic bWU6Z2VoZWlt");
        assert_eq!(headers["x-a"], "b");
    }
}

#[tokio::test]
async fn temporary_errors_are_retried_until_success() {
    let acts: Vec<Act> = [429, 500, 503, 401, 403, 404, 408, 425, 302].map(Act::Answer).to_vec();
    let server = Server::start(&acts).await;
    let sink = start_sink(&server.uri(), json!({}));
    sink.push(&["one"]);
    sink.rig.wait(1).await;
    let rig = sink.finish().await;
    assert_eq!(server.bodies(), ["one\n"]);
    assert_eq!(rig.acks(), [Delivered]);
    assert_eq!(rig.counts(), (1, 4, 0, 9));
}

#[tokio::test]
async fn a_server_that_is_down_or_hangs_or_disconnects_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sink = start_sink(&format!("http://{address}/"), json!({"request": {"timeout": "200ms"}}));
    sink.push(&["one"]);
    sink.rig.wait_for_retries(2).await;
    // A server that accepts a connection and closes it.
    let listener = TcpListener::bind(address).await.unwrap();
    drop(listener.accept().await.unwrap());
    let before = sink.rig.counts().3;
    let server = Server::on(listener, &[Act::Hang]);
    sink.rig.wait_for_retries(before + 1).await;
    let rig = sink.finish().await;
    assert_eq!(server.bodies(), ["one\n"]);
    assert_eq!(server.log(|log| log.seen.len()), 2, "one request hung");
    assert_eq!(rig.acks(), [Delivered]);
}

#[tokio::test]
async fn retry_after_is_respected() {
    let server = Server::start(&[Act::AnswerWith(429, "retry-after", "1")]).await;
    let sink = start_sink(&server.uri(), json!({}));
    sink.push(&["one"]);
    sink.finish().await;
    let seen = server.log(|log| log.seen.iter().map(|(_, time)| *time).collect::<Vec<_>>());
    assert_eq!(seen.len(), 2);
    assert!(seen[1] - seen[0] >= Duration::from_secs(1));
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved() {
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Limit(12)));
    let sink = start_sink(&server.uri(), json!({"request": {"concurrency": 1}}));
    let bodies: Vec<String> = (0..10).map(|n| format!("ev-{n}")).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!(server.bodies().concat(), bodies.iter().map(|b| format!("{b}\n")).collect::<String>());
    assert_eq!(rig.acks(), [Delivered]);
    assert_eq!(rig.counts().0, 10);
}

#[tokio::test]
async fn a_single_event_that_is_too_large_is_rejected_and_the_others_are_not() {
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Limit(12)));
    let sink = start_sink(&server.uri(), json!({}));
    sink.push(&["one", "much too large for this", "two"]);
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Rejected]);
    assert_eq!((rig.counts().0, rig.counts().2), (2, 1));
    let mut taken = server.bodies();
    taken.sort();
    assert_eq!(taken, ["one\n", "two\n"]);
}

#[tokio::test]
async fn rejected_events_go_to_the_dead_letter_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/dead.jsonl");
    for with_file in [true, false] {
        let server = Server::start(&[]).await;
        server.log(|log| log.then = Some(Act::Refuse("bad")));
        let mut options = json!({"batch": {"timeout": "1ms", "max_events": 2}});
        if with_file {
            options["dead_letter"] = path.to_str().unwrap().into();
        }
        let sink = start_sink(&server.uri(), options);
        sink.push(&["good", "good too", "bad", "its neighbour"]);
        let rig = sink.finish().await;
        assert_eq!(rig.acks(), [if with_file { Delivered } else { Rejected }]);
        assert_eq!(rig.counts(), (3, 28, 1, 1), "its neighbour is not rejected");
        let stats = rig.context().stats;
        let kept = [&stats.dead_letter_events, &stats.lost_events].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(kept, if with_file { [1, 0] } else { [0, 1] });
        let mut taken = server.bodies();
        taken.sort();
        assert_eq!(taken, ["good\ngood too\n", "its neighbour\n"]);
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "bad");
    assert_eq!(lines[0]["status"], 400);
    assert_eq!(lines[0]["reason"], "because \"of\" reasons");
    assert_eq!(lines[0]["sink"], "out");
}

#[tokio::test]
async fn only_the_bad_events_of_a_large_request_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Refuse("bad")));
    let sink = start_sink(&server.uri(), json!({"dead_letter": path, "request": {"concurrency": 1}}));
    let events: Vec<String> = (0..100).map(|n| if n % 50 == 7 { format!("bad {n}") } else { format!("{n}") }).collect();
    sink.push(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!((rig.counts().0, rig.counts().2), (98, 2));
    let expected: String = events.iter().filter(|e| !e.starts_with("bad")).map(|e| format!("{e}\n")).collect();
    assert_eq!(server.bodies().concat(), expected, "each event once, in order");
    let dead = std::fs::read_to_string(path).unwrap();
    assert!(dead.lines().count() == 2 && dead.contains("\"bad 7\"") && dead.contains("\"bad 57\""), "{dead}");
    assert!(server.log(|log| log.seen.len()) < 40);
}

#[tokio::test]
async fn the_search_for_rejected_events_is_bounded() {
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Answer(400)));
    let sink = start_sink(&server.uri(), json!({"request": {"concurrency": 1}}));
    sink.push(&["x"; 5000]);
    let rig = sink.finish().await;
    assert_eq!((rig.counts().0, rig.counts().2), (0, 5000));
    assert_eq!(server.log(|log| log.seen.len()), 1001);
}

#[tokio::test]
async fn a_multi_status_response_is_not_a_delivery() {
    let server = Server::start(&[Act::Answer(207)]).await;
    let sink = start_sink(&server.uri(), json!({"request": {"concurrency": 1}}));
    sink.push(&["one", "two"]);
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Delivered]);
    assert_eq!(server.bodies(), ["one\ntwo\n", "one\n", "two\n"]);
}

#[tokio::test]
async fn each_event_of_a_bulk_request_has_its_own_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let answers = [
        Act::Say("<html>a proxy</html>"),
        Act::Say(
            r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception"}}},{"create":{"status":201}},
            {"create":{"status":503}}]}"#,
        ),
        Act::Answer(503),
        Act::Say(r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429}}]}"#),
        Act::Say(r#"{"errors":false,"items":[{"create":{"status":201}}]}"#),
    ];
    let server = Server::start(&answers).await;
    let sink = start_sink(&server.uri(), json!({"format": "bulk", "dead_letter": path}));
    sink.push(&["{\"a\": 1}", "no json", "3"]);
    sink.push(&["4", "5"]);
    sink.rig.wait(2).await;
    let rig = sink.finish().await;
    let sent = |bodies: &[&str]| bodies.iter().map(|body| format!("{{\"create\":{{}}}}\n{body}\n")).collect::<String>();
    let all = sent(&["{\"a\": 1}", "\"no json\"", "3", "4", "5"]);
    assert_eq!(server.bodies(), [all.clone(), all, sent(&["\"no json\"", "5"]), sent(&["5"])]);
    assert_eq!(rig.acks(), [Delivered; 2]);
    assert_eq!(rig.counts(), (4, 23, 1, 4), "each event once, except in the request without a readable response");
    let line: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(line["event"], "3");
    assert_eq!(line["status"], 400);
    assert_eq!(line["reason"], r#"{"type":"mapper_parsing_exception"}"#);
}

#[tokio::test]
async fn a_wrong_address_rejects_nothing() {
    for status in [404, 405, 415] {
        let server = Server::start(&[Act::Answer(status)]).await;
        let sink = start_sink(&server.uri(), json!({}));
        sink.push(&["one"]);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().2), (vec![Delivered], 0), "{status}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf8_reach_the_dead_letter_file_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let server = Server::start(&[Act::Answer(422)]).await;
    let sink = start_sink(&server.uri(), json!({"dead_letter": path}));
    let column = wattle_batch::Column::from_rows([&b"\xff\x00\n\n"[..]]).unwrap();
    let batch = wattle_batch::Batch::new(column, sink.rig.batch(&[]).origin().clone(), sink.rig.ack());
    for payload in sink.encoder.encode(batch) {
        assert!(sink.rig.context().input.try_push(payload).is_ok());
    }
    sink.finish().await;
    let line: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(line["event_base64"], "/wAKCg==");
}

#[tokio::test]
async fn attempts_can_be_limited() {
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Answer(500)));
    let sink = start_sink(&server.uri(), json!({"request": {"retry_attempts": 2}}));
    sink.push(&["one"]);
    let rig = sink.finish().await;
    assert_eq!(server.log(|log| log.seen.len()), 3);
    assert_eq!(rig.acks(), [GivenUp]);
}

#[tokio::test]
async fn one_request_at_a_time_keeps_the_order_and_more_run_concurrently() {
    for concurrency in [1, 3] {
        let server = Server::start(&[Act::Answer(500), Act::Answer(200), Act::Answer(503)]).await;
        server.log(|log| log.pause = Duration::from_millis(20));
        let options = json!({"batch": {"max_events": 1}, "request": {"concurrency": concurrency}});
        let sink = start_sink(&server.uri(), options);
        let bodies: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        bodies.iter().for_each(|body| sink.push(&[body]));
        let rig = sink.finish().await;
        assert_eq!(rig.counts().0, 12);
        assert_eq!(server.log(|log| log.max_running), concurrency);
        let taken: Vec<String> = server.bodies().iter().map(|b| b.trim_end().to_owned()).collect();
        if concurrency == 1 {
            assert_eq!(taken, bodies);
        }
    }
}

#[tokio::test]
async fn a_server_that_accepts_nothing_blocks_the_queue() {
    let server = Server::start(&[]).await;
    server.log(|log| log.then = Some(Act::Answer(503)));
    let sink = start_sink(&server.uri(), json!({"batch": {"max_bytes": "10KiB"}, "request": {"concurrency": 2}}));
    let body = "x".repeat(10 << 10);
    (0..50).for_each(|_| sink.push(&[&body]));
    sink.rig.wait_for_retries(5).await;
    let held = 50 - sink.rig.context().input.byte_len() / body.len();
    assert!(held <= 4, "{held} payloads were taken from the queue");
    sink.task.abort();
    sink.rig.wait(held).await;
    assert!(sink.rig.acks().iter().all(|&d| d == Retry));
    assert_eq!(sink.rig.counts().0, 0);
}

#[tokio::test]
async fn a_document_larger_than_a_request_is_sent_in_parts_under_one_acknowledgement() {
    let server = Server::start(&[]).await;
    let sink = start_sink(&server.uri(), json!({"batch": {"max_bytes": "1KiB"}}));
    let bodies: Vec<String> = (0..1000).map(|n| format!("{n:0>50}")).collect();
    sink.push(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Delivered]);
    assert_eq!(rig.counts(), (1000, 51_000, 0, 0));
    assert!(server.bodies().iter().all(|body| body.len() <= 1024));
    assert_eq!(server.bodies().concat().lines().count(), 1000);
}
