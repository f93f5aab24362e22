//! A double of a server: answers each request by a function of the test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, Uri};
use tokio::net::TcpListener;

use crate::compress::{Compression, decompress};

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// The body as it arrived.
    pub(super) bytes: Bytes,
    /// The body, decompressed if its compression is one of the sinks, as text.
    pub(super) body: String,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A response: its status, its body, and how long it takes.
#[derive(Clone, Debug)]
pub(super) struct Reply(pub(super) u16, pub(super) String, pub(super) Duration);

impl Reply {
    pub(super) fn new(status: u16, body: impl ToString) -> Self {
        Self(status, body.to_string(), Duration::ZERO)
    }
}

/// A server on the loopback interface.
pub(super) struct Double {
    pub(super) address: SocketAddr,
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Double {
    pub(super) async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    /// A server at this address, such as that of one that was stopped.
    pub(super) async fn at(address: SocketAddr, answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let seen = calls.clone();
        let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let compression = match headers.get("content-encoding").map(|value| value.to_str().unwrap()) {
                    Some("gzip") => Compression::Gzip,
                    Some("zstd") => Compression::Zstd,
                    _ => Compression::None,
                };
                let text = String::from_utf8_lossy(&decompress(compression, &body).unwrap()).into_owned();
                let call = Call { uri, headers, bytes: body, body: text };
                seen.lock().unwrap().push(call.clone());
                let Reply(status, text, pause) = answer(&call);
                tokio::time::sleep(pause).await;
                Response::builder().status(status).body(Body::from(text)).unwrap()
            }
        };
        let router = Router::new().fallback(handler).layer(axum::extract::DefaultBodyLimit::disable());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, calls, task }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Stops listening. Connections that are open end with the runtime.
    pub(super) async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}
