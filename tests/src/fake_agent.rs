//! An agent that serves the API from documents, for the commands that read it.
//!
//! `fixtures/api` has the documents. The first status is a second older than all others, so the rates of a client are
//! always the same.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::runtime::Runtime;

use crate::agent::wait_until;

/// Pause between two events of a stream; a real agent writes once a second.
const PAUSE: Duration = Duration::from_millis(50);

/// What the agent does.
#[derive(Debug, Default)]
struct Served {
    /// Number of requests for the status.
    statuses: AtomicUsize,
    /// Whether there is no API, as in an older version.
    is_old: AtomicBool,
    /// Whether `tap` is refused.
    is_off: AtomicBool,
    /// Paths and queries of all requests.
    requests: Mutex<Vec<String>>,
}

/// A server in place of an agent. Dropping it closes all connections.
#[derive(Debug)]
pub struct FakeAgent {
    runtime: Option<Runtime>,
    served: Arc<Served>,
}

impl FakeAgent {
    /// Listens at an address.
    pub fn listen(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let served = Arc::new(Served::default());
        let app = Router::new().fallback(serve).with_state(served.clone());
        let mut listener = None;
        // As in `Endpoint::listen`: another test can hold a copy of the socket for a moment.
        wait_until("the address is free", || match runtime.block_on(tokio::net::TcpListener::bind(address)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => false,
            bound => listener.replace(bound.unwrap()).is_none(),
        });
        let listener = listener.unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { runtime: Some(runtime), served }
    }

    /// Serves `/status` only, as an agent without the API.
    pub fn without_api(self) -> Self {
        self.served.is_old.store(true, Ordering::SeqCst);
        self
    }

    /// Refuses `tap`.
    pub fn without_tap(self) -> Self {
        self.served.is_off.store(true, Ordering::SeqCst);
        self
    }

    /// Paths and queries of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.served.requests.lock().unwrap().clone()
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits, so the port is free afterwards.
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

const BEFORE: &str = include_str!("../fixtures/api/status-before.json");
const STATUS: &str = include_str!("../fixtures/api/status.json");
const GRAPH: &str = include_str!("../fixtures/api/graph.json");
const INDEX: &str = r#"{"version":"0.1.0","api":1,"tap":"masked","can_try":false,"max_try_bytes":0}"#;

async fn serve(State(served): State<Arc<Served>>, request: Request) -> Response {
    let uri = request.uri();
    served.requests.lock().unwrap().push(uri.to_string());
    let query = uri.query().unwrap_or_default();
    match uri.path() {
        "/status" => json(StatusCode::OK, BEFORE),
        _ if served.is_old.load(Ordering::SeqCst) => json(StatusCode::NOT_FOUND, "not found"),
        "/api/v1" => json(StatusCode::OK, INDEX),
        "/api/v1/graph" => json(StatusCode::OK, GRAPH),
        "/api/v1/status" => {
            let is_first = served.statuses.fetch_add(1, Ordering::SeqCst) == 0;
            json(StatusCode::OK, if is_first { BEFORE } else { STATUS })
        }
        "/api/v1/stream" => events(|number| match number {
            0 => Some(event("graph", GRAPH)),
            _ => Some(event("status", STATUS)),
        }),
        "/api/v1/tap" if served.is_off.load(Ordering::SeqCst) => {
            json(StatusCode::FORBIDDEN, r#"{"error":"tap is off; set `tap` in `[admin]`"}"#)
        }
        "/api/v1/tap" => {
            let limit = query.split('&').find_map(|pair| pair.strip_prefix("limit=")?.parse().ok());
            events(move |number| tapped(number, limit.unwrap_or(u64::MAX)))
        }
        _ => json(StatusCode::NOT_FOUND, r#"{"error":"no such document"}"#),
    }
}

/// Events with a report after each, up to the limit.
fn tapped(number: u64, limit: u64) -> Option<String> {
    let shown = number.min(limit);
    let report = format!(r#"{{"passed":{},"shown":{shown},"skipped":{}}}"#, shown * 10, shown * 2);
    match number {
        0 => Some(event("report", &report)),
        _ if number > limit => None,
        _ => {
            let document = format!(
                r#"{{"at":"2026-11-30T20:00:00Z","point":"trail.processed","generation":12,"event":{{"timestamp":"2026-11-30T19:59:59Z","body":"event {number}","attributes":{{"id":12345678901234567890123}}}},"bytes":100}}"#
            );
            Some(event("event", &document) + &event("report", &report))
        }
    }
}

fn event(name: &str, data: &str) -> String {
    let data: Vec<String> = data.trim_end().lines().map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{}\n", data.concat())
}

/// A stream that ends with the first `None`.
fn events(make: impl Fn(u64) -> Option<String> + Send + 'static) -> Response {
    let stream = stream::unfold((0, make), |(number, make)| async move {
        if number > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let text = make(number)?;
        Some((Ok::<_, Infallible>(text), (number + 1, make)))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

fn json(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
