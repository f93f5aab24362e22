//! An API server for tests: lists and watches of pods and namespaces over plain HTTP/1.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The server. Dropping it closes all connections.
pub(super) struct ApiServer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By resource (`pods`, `namespaces`) and UID.
    objects: BTreeMap<(String, String), Value>,
    version: u64,
    /// Events by version and resource, as lines of a watch.
    events: Vec<(u64, String, String)>,
    /// The oldest version from which a watch can begin.
    oldest: u64,
    token: Option<String>,
    /// Response to all requests instead of the objects.
    refusal: Option<(u16, String)>,
    /// Bytes that all watches get next, as they are.
    raw: Vec<u8>,
    /// Watches end when this grows.
    cuts: u64,
    requests: Vec<String>,
    connections: Vec<JoinHandle<()>>,
}

impl ApiServer {
    pub(super) async fn start() -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap()).await
    }

    /// Listens on an address, for a server that comes back.
    pub(super) async fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.state.lock().version = 10;
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let connection = tokio::spawn(serve(stream, shared.clone()));
                    shared.state.lock().connections.push(connection);
                }
            }
        });
        Self { address, shared, task }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.changed.notify_waiters();
    }

    /// Adds or changes an object.
    pub(super) fn set(&self, resource: &str, mut object: Value) {
        self.change(|state| {
            state.version += 1;
            object["metadata"]["resourceVersion"] = state.version.to_string().into();
            let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
            let before = state.objects.insert((resource.to_owned(), uid), object.clone());
            let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
            let line = json!({ "type": kind, "object": object }).to_string();
            state.events.push((state.version, resource.to_owned(), line));
        });
    }

    pub(super) fn delete(&self, resource: &str, uid: &str) {
        self.change(|state| {
            state.version += 1;
            let mut object = state.objects.remove(&(resource.to_owned(), uid.to_owned())).unwrap();
            object["metadata"]["resourceVersion"] = state.version.to_string().into();
            let line = json!({ "type": "DELETED", "object": object }).to_string();
            state.events.push((state.version, resource.to_owned(), line));
        });
    }

    /// Forgets all events, so that no watch can begin at an earlier version, and ends all watches.
    pub(super) fn compact(&self) {
        self.change(|state| {
            state.version += 1;
            state.oldest = state.version;
            state.events.clear();
            state.cuts += 1;
        });
    }

    /// Ends all watches.
    pub(super) fn cut(&self) {
        self.change(|state| state.cuts += 1);
    }

    /// Accepts only this token, and ends all watches.
    pub(super) fn accept(&self, token: &str) {
        self.change(|state| {
            state.token = Some(token.to_owned());
            state.cuts += 1;
        });
    }

    /// Answers all requests with this status, and ends all watches; `None` ends this.
    pub(super) fn refuse(&self, refusal: Option<(u16, &str)>) {
        self.change(|state| {
            state.refusal = refusal.map(|(status, message)| (status, message.to_owned()));
            state.cuts += 1;
        });
    }

    /// Sends bytes to all watches.
    pub(super) fn send_raw(&self, bytes: Vec<u8>) {
        self.change(|state| state.raw = bytes);
    }

    /// Targets of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.state.lock().requests.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.state.lock().connections.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ").map(str::to_owned));
        let refusal = {
            let mut state = shared.state.lock();
            state.requests.push(target.clone());
            let is_known = state.token.is_none() || state.token == token;
            state.refusal.clone().or_else(|| (!is_known).then(|| (401, "Unauthorized".to_owned())))
        };
        let done = match refusal {
            Some((status, message)) => {
                let body = json!({ "kind": "Status", "message": message, "code": status }).to_string();
                respond(&mut stream, status, &body).await
            }
            None if target.contains("watch=true") => return watch(stream, &target, &shared).await,
            None => {
                let body = list(&target, &shared.state.lock());
                respond(&mut stream, 200, &body).await
            }
        };
        if done.is_err() {
            return;
        }
    }
}

fn resource(target: &str) -> &str {
    target.strip_prefix("/api/v1/").unwrap().split('?').next().unwrap()
}

fn list(target: &str, state: &State) -> String {
    let items = state.objects.iter().filter(|((of, _), _)| of == resource(target)).map(|(_, object)| object);
    let items: Vec<&Value> = items.collect();
    json!({ "metadata": { "resourceVersion": state.version.to_string() }, "items": items }).to_string()
}

async fn respond(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await
}

async fn watch(mut stream: TcpStream, target: &str, shared: &Shared) {
    let from: u64 = target.split("resourceVersion=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
    let (cuts, oldest) = {
        let state = shared.state.lock();
        (state.cuts, state.oldest)
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut sent = from;
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let (lines, raw, is_cut) = {
            let mut state = shared.state.lock();
            let events = state.events.iter().filter(|(version, of, _)| *version > sent && of == resource(target));
            let lines: Vec<String> = events.map(|(_, _, line)| format!("{line}\n")).collect();
            sent = state.version;
            (lines, std::mem::take(&mut state.raw), state.cuts > cuts)
        };
        if from < oldest {
            let line = json!({ "type": "ERROR", "object": { "kind": "Status", "code": 410, "reason": "Expired" } });
            let _ = chunk(&mut stream, format!("{line}\n").as_bytes()).await;
            let _ = stream.write_all(b"0\r\n\r\n").await;
            return;
        }
        if is_cut {
            let _ = stream.write_all(b"0\r\n\r\n").await;
            return;
        }
        for line in lines {
            // An event arrives in pieces.
            let (one, other) = line.as_bytes().split_at(line.len() / 2);
            if chunk(&mut stream, one).await.is_err() || chunk(&mut stream, other).await.is_err() {
                return;
            }
        }
        if !raw.is_empty() && chunk(&mut stream, &raw).await.is_err() {
            return;
        }
        changed.await;
    }
}
