//! A client and a server of HTTP/1.1 that cost as little as possible.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};

use super::payload;

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What Elasticsearch says about each document that it took.
const ITEM: &str = r#"{"create":{"_index":".ds-logs-generic-default-2026.01.31-000001","_id":"5Qm0tpsBTqkX8wJm1c2d","_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":4711,"_primary_term":1,"status":201}}"#;

/// A server that answers each request with 200 and counts what it gets. It lives until the process ends.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    events: Arc<AtomicU64>,
}

impl Receiver {
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Self { address: listener.local_addr()?, events: Arc::default() };
        let events = receiver.events.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let events = events.clone();
                // The agent closes the connection, which ends the thread.
                std::thread::spawn(move || serve(stream, &events));
            }
        });
        Ok(receiver)
    }

    /// Number of events: log records of OTLP, documents of bulk requests, lines of others.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, events: &AtomicU64) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let mut body = Vec::new();
    while let Some((first, length)) = head(&mut stream)? {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        let lines = || body.iter().filter(|byte| **byte == b'\n').count() as u64;
        let is_bulk = first.contains("/_bulk");
        let found = if first.contains("/v1/logs") {
            payload::records(&body)
        } else if is_bulk {
            // Each document has a line that says what to do with it.
            lines() / 2
        } else {
            // The last line may end without a newline.
            lines() + u64::from(body.last().is_some_and(|byte| *byte != b'\n'))
        };
        events.fetch_add(found, Ordering::Relaxed);
        let response = if is_bulk { taken(found) } else { EMPTY.to_vec() };
        stream.get_mut().write_all(&response)?;
    }
    Ok(())
}

/// The response of a bulk API that took so many documents.
fn taken(documents: u64) -> Vec<u8> {
    let items = vec![ITEM; usize::try_from(documents).unwrap_or(0)].join(",");
    let body = format!(r#"{{"took":1,"errors":false,"items":[{items}]}}"#);
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into()
}

/// Reads a head: its first line, and the length of the body. `None` at the end of the connection.
fn head(stream: &mut BufReader<impl std::io::Read>) -> anyhow::Result<Option<(String, usize)>> {
    let (mut first, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(first.map(|first| (first, length)));
        }
        match text.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().context("the length is not a number")?;
            }
            _ if first.is_none() => first = Some(text.to_owned()),
            _ => {}
        }
    }
}

/// Sends a request and waits for its response, which must be 200.
pub(super) fn post(stream: &mut TcpStream, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<()> {
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    let mut stream = BufReader::new(stream);
    let (first, length) = head(&mut stream)?.context("the agent closed the connection")?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    ensure!(first.starts_with("HTTP/1.1 200"), "the agent answered `{first}`: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
