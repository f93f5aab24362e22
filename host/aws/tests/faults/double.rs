//! A server that answers each request as a test says: with a response, slowly, partly, or not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A response with status, headers and body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A head that announces this many bytes, and a shorter body; then the connection closes.
    Cut(usize, Vec<u8>),
    /// A head that announces this many bytes, and a shorter body; then nothing, with an open connection.
    Stalled(usize, Vec<u8>),
    /// A response whose body comes byte by byte, each after this time.
    #[allow(dead_code, reason = "the tests of sinks do not use it")]
    Dripping(Duration, Vec<u8>),
    /// Nothing, with an open connection.
    Silence,
    /// The connection closes.
    Close,
    /// These bytes.
    Raw(Vec<u8>),
}

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub(crate) body: String,
    #[allow(dead_code, reason = "only the tests of sinks use it")]
    pub(crate) bytes: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The server.
pub(crate) struct Double {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    /// A server that answers with this function.
    pub(crate) async fn answering(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, to): (Handler, _) = (Arc::new(handler), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, handler.clone(), to.clone()));
            }
        });
        Self { address, seen }
    }

    /// A server that gives these answers in turn, and the last one again and again.
    pub(crate) async fn with(replies: Vec<Reply>) -> Self {
        let replies = Mutex::new(VecDeque::from(replies));
        Self::answering(move |_| {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front().unwrap() } else { replies.front().cloned().unwrap() }
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// An XML error of S3.
pub(crate) fn s3_error(status: u16, code: &str) -> Reply {
    let body =
        format!("<Error><Code>{code}</Code><Message>message of {code}</Message><RequestId>R1</RequestId></Error>");
    Reply::Full(status, vec![("content-type", "application/xml".to_owned())], body.into_bytes())
}

/// A response with status 200.
pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Full(200, Vec::new(), body.into())
}

async fn serve(mut stream: TcpStream, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let reply = handler(&request);
        let is_head = request.method == "HEAD";
        seen.lock().unwrap().push(request);
        let bytes = match &reply {
            Reply::Full(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\n");
                if !headers.iter().any(|(name, _)| *name == "content-length") {
                    head.push_str(&format!("content-length: {}\r\n", body.len()));
                }
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                let body = if is_head { &[][..] } else { body };
                [head.as_bytes(), b"\r\n", body].concat()
            }
            Reply::Cut(length, body) | Reply::Stalled(length, body) => {
                [format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes(), body].concat()
            }
            Reply::Dripping(_, body) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into(),
            Reply::Raw(bytes) => bytes.clone(),
            Reply::Silence | Reply::Close => Vec::new(),
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        match reply {
            Reply::Full(..) => {}
            Reply::Dripping(pause, body) => {
                for byte in body {
                    tokio::time::sleep(pause).await;
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
            }
            Reply::Cut(..) | Reply::Close | Reply::Raw(_) => return,
            // The test ends before this does.
            Reply::Silence | Reply::Stalled(..) => tokio::time::sleep(Duration::from_secs(600)).await,
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let length: usize = length.unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let bytes: Vec<u8> = buffer.drain(..length).collect();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Some(Seen { method, target, headers, body, bytes })
}
