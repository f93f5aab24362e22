//! Begins connections: the TLS handshake, and the clients that fail it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wattle_tls::{AcceptError, TlsConfigError, accept};

use crate::log_limit::LogLimit;
use crate::options::Tls;
use crate::owner::Owner;
use crate::stats::{TlsStats, UNEXPECTED_TLS};
use crate::stream::Stream;

/// Maximum time of a handshake. Clients complete it within a few round trips.
const MAX_HANDSHAKE: Duration = Duration::from_secs(10);

/// Minimum time between two log lines about failed handshakes.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Interval between checks of the files while no client connects, so that the log reports an unusable certificate before
/// the previous one expires.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Time for a client without TLS to read why it is refused.
const LAST_ANSWER: Duration = Duration::from_millis(50);

/// How long a server that stops waits for the first bytes of a client.
const FIRST_BYTES: Duration = Duration::from_millis(100);

/// Maximum bytes of such a client that are read and ignored.
const MAX_IGNORED: usize = 64 << 10;

/// First byte of a TLS connection: the type of a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Begins the connections of a server.
pub struct Acceptor {
    owner: Owner,
    stats: Arc<TlsStats>,
    tls: Option<Tls>,
    idle_timeout: Option<Duration>,
    reply_without_tls: &'static [u8],
    log: LogLimit,
}

impl Acceptor {
    /// For the server of `owner`, which counts failed handshakes in `stats`. A client that sends nothing for `idle_timeout`
    /// loses its connection; `None` if it may stay, which only concerns connections without TLS. With TLS, a client that
    /// does not use it gets `reply_without_tls`, in the protocol of the server.
    pub fn new(
        owner: Owner,
        stats: Arc<TlsStats>,
        tls: Option<Tls>,
        idle_timeout: Option<Duration>,
        reply_without_tls: &'static [u8],
    ) -> Self {
        if tls.is_some() {
            stats.set_used();
        }
        Self { owner, stats, tls, idle_timeout, reply_without_tls, log: LogLimit::new(LOG_PAUSE) }
    }

    /// Begins an accepted connection; `None` if it has ended, which is logged and counted. Waits for the first bytes of the
    /// client, so call it in the task of the connection. Dropping the future closes the connection.
    pub async fn accept(&self, stream: TcpStream, peer: SocketAddr) -> Option<Stream> {
        let Some(tls) = &self.tls else {
            return self.is_plain(&stream, peer).await.then_some(Stream::Plain(stream));
        };
        let limit = self.idle_timeout.map_or(MAX_HANDSHAKE, |idle| idle.min(MAX_HANDSHAKE));
        let accepted = tokio::time::timeout(limit, self.accept_tls(tls, stream, peer)).await;
        accepted.unwrap_or(Err(AcceptError::Timeout(limit))).unwrap_or_else(|error| {
            self.refuse(peer, error.kind(), &error.to_string());
            None
        })
    }

    /// The same for a server without acknowledgements, when it has `stopped`: a client that has not sent anything yet does
    /// not hold it up, but what it has sent must be read. So its connection begins soon after the stop, unless it needs a
    /// handshake, which may take `handshake` from then on.
    pub async fn accept_before(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stopped: impl Future<Output = ()>,
        handshake: Duration,
    ) -> Option<Stream> {
        let stopped_for = async move |time: Duration| {
            stopped.await;
            tokio::time::sleep(time).await;
        };
        if self.tls.is_none() {
            let is_plain = tokio::select! {
                biased;
                is_plain = self.is_plain(&stream, peer) => is_plain,
                () = stopped_for(FIRST_BYTES) => true,
            };
            return is_plain.then_some(Stream::Plain(stream));
        }
        tokio::select! {
            biased;
            stream = self.accept(stream, peer) => stream,
            () = stopped_for(handshake) => None,
        }
    }

    async fn accept_tls(&self, tls: &Tls, stream: TcpStream, peer: SocketAddr) -> Result<Option<Stream>, AcceptError> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            // A probe, which only asks whether the port is open.
            Ok(0) | Err(_) => {
                let (source, sink) = (self.owner.source(), self.owner.sink());
                tracing::debug!(source, sink, peer = %peer, "connection ended before the client sent anything");
                return Ok(None);
            }
            Ok(_) if first == [HANDSHAKE] => {}
            Ok(_) => {
                self.reply(stream).await;
                return Err(AcceptError::NotTls);
            }
        }
        let config = tls.refreshed(self.log_change()).await;
        Ok(Some(Stream::Tls(Box::new(accept(config, stream).await?))))
    }

    /// Without TLS, a client that begins a handshake gets no answer that it could read, so the log must say it.
    async fn is_plain(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        let mut first = [0; 3];
        let peeked = match self.idle_timeout {
            Some(limit) => match tokio::time::timeout(limit, stream.peek(&mut first)).await {
                Ok(peeked) => peeked,
                Err(_) => return false,
            },
            None => stream.peek(&mut first).await,
        };
        // The version of the record follows the type.
        if peeked.is_ok_and(|length| length == first.len()) && matches!(first, [HANDSHAKE, 3, 0..=4]) {
            let reason = format!(
                "the client uses TLS, but the {} does not; set `tls.crt_file` and `tls.key_file`, or use the client \
                 without TLS",
                self.owner.kind()
            );
            self.refuse(peer, UNEXPECTED_TLS, &reason);
            return false;
        }
        true
    }

    /// Replies to a client without TLS why its connection ends.
    async fn reply(&self, mut stream: TcpStream) {
        let replying = async {
            stream.write_all(self.reply_without_tls).await?;
            stream.shutdown().await?;
            // Closing a socket with unread bytes resets the connection, and the client could lose the reply.
            let (mut ignored, mut buffer) = (0, [0; 1024]);
            while ignored < MAX_IGNORED {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    read => ignored += read,
                }
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(LAST_ANSWER, replying).await;
    }

    fn refuse(&self, peer: SocketAddr, kind: &'static str, reason: &str) {
        self.stats.count(kind);
        if let Some(not_logged) = self.log.pass() {
            let (source, sink) = (self.owner.source(), self.owner.sink());
            tracing::warn!(source, sink, peer = %peer, reason, not_logged, "TLS handshake failed");
        }
    }

    /// Checks the files while the server runs. Never returns.
    pub async fn follow_files(&self) -> std::convert::Infallible {
        let Some(tls) = &self.tls else { return std::future::pending().await };
        loop {
            tls.changed(CHECK_INTERVAL, self.log_change()).await;
        }
    }

    /// Logs whether changed files can be used.
    fn log_change(&self) -> impl Fn(Result<(), TlsConfigError>) + Clone + Send + 'static {
        let owner = self.owner.clone();
        move |result| match result {
            Ok(()) => {
                let (source, sink) = (owner.source(), owner.sink());
                tracing::info!(source, sink, "TLS files changed; new connections use them");
            }
            Err(error) => tracing::warn!(
                source = owner.source(), sink = owner.sink(), option = error.option(), %error,
                "TLS files changed but cannot be used; new connections use the previous ones"
            ),
        }
    }
}
