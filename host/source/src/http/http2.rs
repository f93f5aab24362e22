//! HTTP/2 without TLS, as gRPC uses it.

use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::MAX_HEAD_BYTES;

/// What a connection of HTTP/2 begins with (RFC 9113, section 3.4); no method of HTTP/1 begins so.
const BEGIN: &[u8] = b"PRI";

/// Pause until more bytes of the beginning may have arrived.
const PAUSE: Duration = Duration::from_millis(10);

/// Whether the client begins to speak HTTP/2. One that sends too little for `idle_timeout` does not.
pub(super) async fn is_begun(stream: &TcpStream, idle_timeout: Duration) -> bool {
    let decided = async {
        let mut begin = [0; BEGIN.len()];
        loop {
            match stream.peek(&mut begin).await {
                // More may be on its way.
                Ok(length @ 1..) if length < BEGIN.len() && BEGIN.starts_with(begin.get(..length).unwrap_or(BEGIN)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                peeked => return peeked.is_ok_and(|length| begin.get(..length) == Some(BEGIN)),
            }
        }
    };
    tokio::time::timeout(idle_timeout, decided).await.unwrap_or(false)
}

/// The settings of connections. A client that does not answer for `idle_timeout` loses its connection.
pub(super) fn server(idle_timeout: Duration) -> Builder<Tasks> {
    let mut builder = Builder::new(Tasks::default());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(idle_timeout / 2)
        .keep_alive_timeout(idle_timeout / 2)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    builder
}

/// The requests of a connection. They end with it.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, request: F) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(request);
    }
}
