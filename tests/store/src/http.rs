//! Requests and responses, and the faults between them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep};

use crate::storage::Answer;
use crate::{Event, Shared, queue, storage};

/// Pieces of a slow body, and the longest pause between them.
const PIECES: usize = 8;
const MAX_PAUSE: Duration = Duration::from_millis(125);

/// Accepts connections for ever.
pub(crate) async fn serve(listener: &TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move {
                    // In a task, because services continue a request whose client disconnected.
                    tokio::spawn(answer(shared, request)).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
                }
            });
            // How a connection ends is the client's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The response to a request; an error ends the connection.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Reply>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix("AmazonSQS."));
    if head.uri.path() == "/collect" && head.method == Method::POST {
        let mut state = shared.lock();
        state.requests += 1;
        state.note(|| Event::Posted { body });
        return Ok(response(Answer { status: 200, ..Answer::default() }, head.method == Method::HEAD));
    }
    let (faults, unanswered) = {
        let mut state = shared.lock();
        state.requests += 1;
        let faults = state.faults;
        let refusal = if state.meets("expired", faults.expired) {
            Some((403, "ExpiredToken"))
        } else if operation.is_some() {
            state.meets("throttled", faults.throttled).then_some((400, "ThrottlingException"))
        } else {
            state.meets("slow_down", faults.slow_down).then_some((503, "SlowDown"))
        };
        if let Some((status, code)) = refusal {
            let answer = match operation {
                Some(_) => json(status, &queue::error(code).1),
                None => storage::error(status, code),
            };
            return Ok(response(answer, head.method == Method::HEAD));
        }
        (faults, state.meets("unanswered", faults.unanswered))
    };
    let answer = match operation {
        Some("ReceiveMessage") => receive(&shared, &serde_json::from_slice(&body)?).await,
        Some(operation) => {
            let request = serde_json::from_slice(&body)?;
            let (status, value) = queue::answer(&mut shared.lock(), operation, &request);
            // A message may be visible again, or new.
            shared.arrived.notify_waiters();
            json(status, &value)
        }
        None => storage::answer(&mut shared.lock(), &head.method, &head.uri, &head.headers, body),
    };
    if unanswered {
        return Err(io::Error::other("no response"));
    }
    let is_object = operation.is_none() && head.method == Method::GET && answer.status < 300;
    let mut response = response(answer, head.method == Method::HEAD);
    if is_object {
        let mut state = shared.lock();
        let reply = response.body_mut();
        if state.meets("cut", faults.cut) {
            reply.rest.truncate(state.random.usize(..reply.rest.len().max(1)));
        }
        if state.meets("slow", faults.slow) {
            reply.pause = Some(MAX_PAUSE.mul_f64(state.random.f64()));
            reply.piece = reply.rest.len().div_ceil(PIECES).max(1);
        }
    }
    Ok(response)
}

fn json(status: u16, value: &Value) -> Answer {
    let headers = vec![("content-type", "application/x-amz-json-1.0".to_owned())];
    Answer { status, headers, body: value.to_string().into() }
}

/// Waits for messages.
async fn receive(shared: &Shared, request: &Value) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap_or_default());
    loop {
        let arrived = shared.arrived.notified();
        tokio::pin!(arrived);
        // Before looking, so that no message comes unnoticed in between.
        arrived.as_mut().enable();
        let (messages, due) = {
            let mut state = shared.lock();
            (queue::receive(&mut state, request), state.queue.next_due())
        };
        if !messages.is_empty() || Instant::now() >= deadline {
            return json(200, &serde_json::json!({ "Messages": messages }));
        }
        let wake = due.map_or(deadline, |due| deadline.min(due.into()));
        tokio::select! {
            () = arrived => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

fn response(answer: Answer, is_head: bool) -> Response<Reply> {
    let promised = answer.body.len() as u64;
    let rest = if is_head { Bytes::new() } else { answer.body };
    let piece = rest.len().max(1);
    let mut builder = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    if is_head {
        builder = builder.header("content-length", promised);
    }
    let promised = if is_head { 0 } else { promised };
    builder.body(Reply { rest, promised, piece, pause: None, sleep: None }).expect("headers are valid")
}

/// The body of a response.
struct Reply {
    rest: Bytes,
    /// Bytes that the head promises and that are not sent yet.
    promised: u64,
    /// Length of a frame.
    piece: usize,
    /// Pause before each frame.
    pause: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pause) = self.pause {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
        let piece = self.piece.min(self.rest.len());
        Poll::Ready(if piece > 0 {
            self.promised -= piece as u64;
            Some(Ok(Frame::data(self.rest.split_to(piece))))
        } else if self.promised > 0 {
            Some(Err(io::Error::other("cut")))
        } else {
            None
        })
    }

    fn is_end_stream(&self) -> bool {
        self.promised == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
