//! Adaptive concurrency with a server that turns requests away beyond a number at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;
use wattle_batch::Disposition::Delivered;

use super::*;
use crate::testing::Running;

/// Requests that the server handles at a time.
const CAPACITY: usize = 6;

#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    most: AtomicUsize,
    refused: AtomicUsize,
}

/// Sends 600 requests; returns what the server saw, and how long it took.
async fn send(request: Value) -> (Arc<Counts>, Duration) {
    let counts = Arc::new(Counts::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let seen = counts.clone();
    let router = Router::new().fallback(move || {
        let seen = seen.clone();
        async move {
            let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(running, Ordering::SeqCst);
            let status = if running > CAPACITY { 429 } else { 200 };
            tokio::time::sleep(Duration::from_millis(if status == 200 { 10 } else { 1 })).await;
            seen.running.fetch_sub(1, Ordering::SeqCst);
            if status == 429 {
                seen.refused.fetch_add(1, Ordering::SeqCst);
            }
            axum::http::StatusCode::from_u16(status).unwrap()
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut options = json!({"uri": uri, "batch": {"max_events": 1, "timeout": "1ms"}, "request": request});
    options["request"]["retry_initial_backoff"] = json!("5ms");
    options["request"]["retry_max_backoff"] = json!("10ms");
    let started = Instant::now();
    let sink = Running::start("http", &options);
    (0..600).for_each(|_| sink.push(&["x"]));
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered; 600], 600, 0));
    (counts, started.elapsed())
}

#[tokio::test]
async fn adaptive_requests_use_what_the_server_takes_without_many_refusals() {
    let (one, slow) = send(json!({"concurrency": 1})).await;
    assert_eq!((one.most.load(Ordering::SeqCst), one.refused.load(Ordering::SeqCst)), (1, 0));
    let adaptive = json!({"concurrency": "adaptive", "adaptive_concurrency": {"max_concurrency_limit": 40}});
    let (adaptive, fast) = send(adaptive).await;
    let (fixed, _) = send(json!({"concurrency": 40})).await;
    let refused = [&adaptive, &fixed].map(|counts| counts.refused.load(Ordering::SeqCst));
    assert!(fast < slow, "{fast:?} {slow:?}");
    assert!(refused[0] * 2 < refused[1], "{refused:?}");
    println!("1 request {slow:?}, adaptive {fast:?}; refused: adaptive {}, 40 requests {}", refused[0], refused[1]);
}
