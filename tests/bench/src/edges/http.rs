//! A client and a server of HTTP/1.1 that cost as little as possible.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The response of a bulk API that took all documents.
const BULK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n\
                      {\"took\":1,\"errors\":false,\"items\":[]}";

/// A server that answers each request with 200 and counts what it gets. It lives until the process ends.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    documents: AtomicU64,
}

impl Receiver {
    pub(super) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Self { address: listener.local_addr()?, counts: Arc::default() };
        let counts = receiver.counts.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let counts = counts.clone();
                // The agent closes the connection, which ends the thread.
                std::thread::spawn(move || serve(stream, &counts));
            }
        });
        Ok(receiver)
    }

    /// Number of requests.
    pub(super) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Number of lines, without those that say what to do with the next one in a bulk request.
    pub(super) fn documents(&self) -> u64 {
        self.counts.documents.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, counts: &Counts) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let mut body = Vec::new();
    while let Some((first, length)) = head(&mut stream)? {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let lines = body.iter().filter(|byte| **byte == b'\n').count() as u64;
        let is_bulk = first.contains("/_bulk");
        counts.documents.fetch_add(if is_bulk { lines / 2 } else { lines }, Ordering::Relaxed);
        let response: &[u8] = if is_bulk { BULK } else { EMPTY };
        stream.get_mut().write_all(response)?;
    }
    Ok(())
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
