//! The server of an `http` sink: counts the events that it receives, and simulates the failures of
//! servers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use wattle_tests::{free_address, wait_until};

use crate::load::id_of;

/// Reads the id of an event; `None` if the line is not complete.
type Read = fn(&[u8]) -> Option<String>;

/// Makes the response to the ids of a request.
type Respond = fn(&[String]) -> Bytes;

/// How the server treats a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Accepts it.
    Take,
    /// Accepts it after a delay.
    Slow(Duration),
    /// Answers with this status, and with `Retry-After` in seconds.
    Refuse(u16, Option<u64>),
    /// Never answers.
    Hang,
    /// Breaks the connection in the middle of the request.
    CutRequest,
    /// Takes the request, and breaks the connection in the middle of the response.
    CutAnswer,
}

struct State {
    mode: Mutex<Mode>,
    read: Read,
    respond: Respond,
    /// Ids by the path of the request.
    taken: Mutex<HashMap<String, Vec<String>>>,
    /// Requests that hit a fault.
    troubled: AtomicUsize,
    broken: AtomicUsize,
    connections: AtomicUsize,
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::of(id_of)
    }

    /// A server that keeps what `read` returns for each line.
    pub(crate) fn of(read: Read) -> Self {
        Self::with(read, |_| Bytes::from_static(b"ok"))
    }

    /// A server with the bulk API of Elasticsearch, which accepts every document. `read` returns the id of an action, and
    /// then something for its document.
    pub(crate) fn bulk(read: Read) -> Self {
        Self::with(read, |ids| {
            let item = |action: &[String]| json!({ "index": { "_id": action[0], "status": 200 } });
            let items: Vec<Value> = ids.chunks_exact(2).map(item).collect();
            json!({ "took": 1, "errors": false, "items": items }).to_string().into()
        })
    }

    fn with(read: Read, respond: Respond) -> Self {
        let state = State {
            mode: Mutex::new(Mode::Take),
            read,
            respond,
            taken: Mutex::default(),
            troubled: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        };
        let mut server = Self { address: free_address(), state: Arc::new(state), runtime: None };
        server.up();
        server
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// Listens, at the same address as before.
    pub(crate) fn up(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        let state = self.state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(state.clone(), request));
                    // The end of a connection is not checked; the agent must handle all cases.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    state.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Closes every connection, and stops listening.
    pub(crate) fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        self.state.connections.store(0, Ordering::SeqCst);
    }

    /// Waits until all connections are closed, so that every sent event is counted.
    pub(crate) fn wait_until_left_alone(&self) {
        wait_until("the end of all connections", || self.state.connections.load(Ordering::SeqCst) == 0);
    }

    /// The ids sent to a path since the last call.
    pub(crate) fn take(&self, path: &str) -> Vec<String> {
        assert_eq!(self.state.broken.load(Ordering::SeqCst), 0, "lines that are no events were sent");
        self.state.taken.lock().unwrap().remove(path).unwrap_or_default()
    }

    /// The ids that are not taken yet, of all paths.
    pub(crate) fn peek(&self) -> Vec<String> {
        self.state.taken.lock().unwrap().values().flatten().cloned().collect()
    }

    /// Number of ids that are not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.state.taken.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Requests that hit a fault.
    pub(crate) fn troubled(&self) -> usize {
        self.state.troubled.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Answer>> {
    let mode = *state.mode.lock().unwrap();
    if !matches!(mode, Mode::Take) {
        state.troubled.fetch_add(1, Ordering::SeqCst);
    }
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut body = request.into_body();
    let whole = match mode {
        Mode::Hang => return std::future::pending().await,
        Mode::CutRequest => {
            let _ = body.frame().await;
            return Err(io::Error::other("cut"));
        }
        _ => body.collect().await.map_err(io::Error::other)?.to_bytes(),
    };
    match mode {
        Mode::Refuse(status, after) => {
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after.to_string());
            }
            return Ok(response.body(Answer::whole("no")).unwrap());
        }
        Mode::Slow(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let lines = whole.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(state.read);
    let ids: Vec<Option<String>> = lines.collect();
    state.broken.fetch_add(ids.iter().filter(|id| id.is_none()).count(), Ordering::SeqCst);
    let ids: Vec<String> = ids.into_iter().flatten().collect();
    let response = (state.respond)(&ids);
    state.taken.lock().unwrap().entry(path).or_default().extend(ids);
    Ok(Response::new(if matches!(mode, Mode::CutAnswer) { Answer::cut() } else { Answer::whole(response) }))
}

/// The body of a response; a cut one promises more than it sends.
struct Answer {
    bytes: Option<Bytes>,
    promised: u64,
}

impl Answer {
    fn whole(text: impl Into<Bytes>) -> Self {
        let bytes = text.into();
        Self { promised: bytes.len() as u64, bytes: Some(bytes) }
    }

    fn cut() -> Self {
        Self { promised: 1000, ..Self::whole("half of ") }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => {
                self.promised = self.promised.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            None if self.promised > 0 => Some(Err(io::Error::other("cut"))),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
