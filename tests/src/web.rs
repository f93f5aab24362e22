//! HTTP peers of the agent: a client, and a server that tests turn on and off.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::agent::wait_until;
use crate::records::json_lines;

/// A response to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub text: String,
}

/// Posts a body and waits for the response.
#[track_caller]
pub fn send(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(90)));
    let mut request = ureq::Agent::from(config.build()).post(format!("http://{address}/"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.send(body).unwrap();
    Answer { status: response.status().as_u16(), text: response.body_mut().read_to_string().unwrap() }
}

/// Gets a path; `None` if no server listens.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(90)));
    match ureq::Agent::from(config.build()).get(format!("http://{address}{path}")).call() {
        Ok(mut response) => {
            let status = response.status().as_u16();
            Some(Answer { status, text: response.body_mut().read_to_string().unwrap() })
        }
        Err(ureq::Error::Io(_) | ureq::Error::ConnectionFailed) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// A free address on loopback.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the system uses for outgoing connections, one of which could take the
    // port before the test listens; and a separate range for each process, because tests run in
    // parallel.
    let first = u16::try_from(std::process::id() * 97 % 20_000).unwrap();
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::SeqCst)) % 20_000;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// A server that keeps the requests that it receives.
#[derive(Debug)]
pub struct Endpoint {
    runtime: Option<Runtime>,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    status: AtomicU16,
    /// The required value of `authorization`; empty if any is accepted.
    authorization: std::sync::Mutex<String>,
    taken: std::sync::Mutex<Vec<(HeaderMap, Bytes)>>,
    refused: std::sync::atomic::AtomicUsize,
}

impl Endpoint {
    /// Listens at an address, and accepts everything.
    pub fn listen(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Arc::new(Seen { status: AtomicU16::new(200), ..Seen::default() });
        let app = Router::new().fallback(take).with_state(seen.clone());
        let mut listener = None;
        // A child process that another test starts holds a copy of every socket until it runs its
        // program, so an address can stay in use for a moment after its listener is closed.
        wait_until("the address is free", || match runtime.block_on(tokio::net::TcpListener::bind(address)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => false,
            bound => listener.replace(bound.unwrap()).is_none(),
        });
        let listener = listener.unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { runtime: Some(runtime), seen }
    }

    /// Responds with this status from now on; only 2xx accepts the request.
    pub fn answer(&self, status: u16) {
        self.seen.status.store(status, Ordering::SeqCst);
    }

    /// Responds with 401 from now on unless the header `authorization` has this value.
    pub fn require(&self, authorization: &str) {
        *self.seen.authorization.lock().unwrap() = authorization.to_owned();
    }

    /// The bodies of all requests so far, one after the other.
    pub fn text(&self) -> String {
        let taken = self.seen.taken.lock().unwrap();
        taken.iter().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect()
    }

    /// The events of all requests so far.
    pub fn events(&self) -> Vec<Value> {
        self.seen.taken.lock().unwrap().iter().flat_map(|(_, body)| json_lines(body)).collect()
    }

    /// The headers of all accepted requests so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.seen.taken.lock().unwrap().iter().map(|(headers, _)| headers.clone()).collect()
    }

    /// Number of refused requests.
    pub fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits, so the port is free afterwards.
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        }
    }
}

async fn take(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let wanted = seen.authorization.lock().unwrap().clone();
    let given = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let status = match wanted.is_empty() || wanted == given {
        true => StatusCode::from_u16(seen.status.load(Ordering::SeqCst)).unwrap(),
        false => StatusCode::UNAUTHORIZED,
    };
    if status.is_success() {
        seen.taken.lock().unwrap().push((headers, body));
    } else {
        seen.refused.fetch_add(1, Ordering::SeqCst);
    }
    status
}
