//! An API for tests over plain HTTP/1.1, whose answers are a function of the requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Asked {
    /// A parameter of the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.query(name).map(|text| text.parse().unwrap())
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection closes.
    cut: Option<usize>,
    /// The connection stays open without a response.
    is_silent: bool,
}

impl Reply {
    pub(super) fn json(body: &Value) -> Self {
        Self::text(&body.to_string()).with("content-type", "application/json; charset=utf-8")
    }

    pub(super) fn text(body: &str) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec(), cut: None, is_silent: false }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::text("") }
    }

    pub(super) fn silent() -> Self {
        Self { is_silent: true, ..Self::text("") }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    /// A header `Link` to the next page.
    pub(super) fn link(self, url: &str) -> Self {
        self.with("link", &format!("<{url}>; rel=\"next\""))
    }
}

type Answer = Box<dyn FnMut(&Asked) -> Reply + Send>;

#[derive(Default)]
struct Shared {
    answer: Mutex<Option<Answer>>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<Vec<JoinHandle<()>>>,
}

/// The server. Dropping it closes all connections.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Api {
    pub(super) async fn start(answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        *shared.answer.lock() = Some(Box::new(answer));
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let connection = tokio::spawn(serve(stream, shared.clone()));
                    shared.connections.lock().push(connection);
                }
            }
        });
        Self { address, shared, task }
    }

    /// Answers otherwise from now on.
    pub(super) fn answer(&self, answer: impl FnMut(&Asked) -> Reply + Send + 'static) {
        *self.shared.answer.lock() = Some(Box::new(answer));
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.shared.asked.lock().len()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.connections.lock().iter().for_each(JoinHandle::abort);
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(asked) = read(&mut stream).await {
        let reply = {
            let reply = shared.answer.lock().as_mut().unwrap()(&asked);
            // After the answer, so that a request that is listed has had its effect.
            shared.asked.lock().push(asked);
            reply
        };
        if reply.is_silent {
            return std::future::pending().await;
        }
        let mut text = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&reply.body[..reply.cut.unwrap_or(reply.body.len())]);
        if stream.write_all(&bytes).await.is_err() || reply.cut.is_some() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { method, target, headers, body: String::from_utf8(body).unwrap() })
}
