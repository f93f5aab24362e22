//! Reads the messages of one connection.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use wattle_batch::Origin;

use super::messages::Messages;
use super::seal::{Sealable, reset_at_close, seal};
use super::{LAST_READ, QUIET, Shared};
use crate::assemble::Unwanted;
use crate::stats::add;

/// Reads the messages of a client.
pub(super) struct Reader {
    shared: Arc<Shared>,
    messages: Messages,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client has closed it.
    Closed,
    /// The source stops.
    Stopped,
    /// Nothing came for `idle_timeout`.
    Idle,
    /// It cannot be read, or is not divided as the framing says.
    Failed(String),
}

/// What happens next on a connection.
enum Next {
    Read(std::io::Result<usize>),
    /// The oldest message has waited long enough for others.
    Due,
    Idle,
    Stop,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let settings = &shared.settings;
        let messages = Messages::new(settings.framing, settings.max_message_bytes, shared.pool.clone());
        Self { shared, messages }
    }

    /// Reads until the client closes the connection, or the source stops.
    pub(super) async fn run<S>(mut self, mut stream: S, peer: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Sealable + Unpin,
    {
        let shared = self.shared.clone();
        let (context, type_name) = (&shared.context, shared.type_name);
        let remote = peer.map(|peer| peer.ip().to_string());
        let resource: Vec<(&str, &str)> = remote.iter().map(|remote| ("remote", remote.as_str())).collect();
        let origin = || context.origin(type_name, &resource);
        let from = peer.map_or_else(|| "a client of the Unix socket".to_owned(), |peer| peer.to_string());
        let mut ended = self.read(&mut stream, &from, &origin).await;
        if matches!(ended, Ok(End::Stopped)) {
            seal(stream.as_fd(), S::FAMILY);
            ended = self.read_rest(&mut stream, &from, &origin).await;
            reset_at_close(stream.as_fd(), S::FAMILY);
        }
        // With TLS, clients wait for the answer to their own end.
        let _ = tokio::time::timeout(QUIET, stream.shutdown()).await;
        drop(stream);
        let left = self.messages.finish();
        // The receiver is closed only if the agent ends without waiting, so nothing can be sent then.
        let Ok(end) = self.send(&from, &origin).await.and(ended) else { return };
        let name = &context.name;
        match &end {
            End::Failed(reason) => {
                context.stats.fail(format!("{from}: {reason}"));
                if let Some(not_logged) = shared.log.pass() {
                    tracing::warn!(source = %name, peer = %from, %reason, not_logged, "a connection failed");
                }
            }
            end => tracing::debug!(source = %name, peer = %from, reason = ?end, "connection ended"),
        }
        if left > 0 && !matches!(end, End::Failed(_)) {
            context.stats.fail(format!("{from}: the connection ended within a message, of which {left} bytes came"));
            if let Some(not_logged) = shared.log.pass() {
                tracing::warn!(
                    source = %name, peer = %from, bytes = left, not_logged,
                    "a connection ended within a message, which is lost"
                );
            }
        }
    }

    async fn read(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        from: &str,
        origin: &impl Fn() -> Arc<Origin>,
    ) -> Result<End, Unwanted> {
        let limits = self.shared.context.limits;
        let mut stop = self.shared.context.stop.clone();
        let mut stop_at: Option<Instant> = None;
        let mut due: Option<Instant> = None;
        let mut last = Instant::now();
        loop {
            let idle = self.shared.settings.idle_timeout.map(|idle| last + idle);
            // After the stop, a client that sends nothing more for a moment has had its turn.
            let quiet = stop_at.map(|_| Instant::now() + QUIET);
            let wake = quiet.or_else(|| [due, idle].into_iter().flatten().min());
            let space = self.messages.space();
            let next = tokio::select! {
                biased;
                // First, because a client may never pause.
                () = stop.stopped(), if stop_at.is_none() => Next::Stop,
                read = stream.read(space) => Next::Read(read),
                () = tokio::time::sleep_until(wake.unwrap_or(last)), if wake.is_some() => match wake {
                    _ if stop_at.is_some() => return Ok(End::Stopped),
                    wake if due.is_some() && due == wake => Next::Due,
                    _ => Next::Idle,
                },
            };
            match next {
                Next::Read(Ok(0)) => return Ok(End::Closed),
                Next::Read(Ok(bytes)) => {
                    add(&self.shared.context.stats.read_bytes, bytes as u64);
                    if let Err(error) = self.messages.advance(bytes) {
                        return Ok(End::Failed(error.to_string()));
                    }
                    last = Instant::now();
                    if self.messages.is_full(&limits) {
                        self.send(from, origin).await?;
                    }
                    due = (self.messages.count() > 0).then(|| due.unwrap_or(last + limits.max_age));
                    // A client that sends without a pause never lets the timer fire.
                    if due.is_some_and(|due| due <= last) {
                        self.send(from, origin).await?;
                        due = None;
                    }
                    // The time for the last bytes does not run while events wait for room.
                    let waited = last.elapsed();
                    stop_at = stop_at.map(|at| at + waited);
                    last += waited;
                    if stop_at.is_some_and(|at| at <= last) {
                        return Ok(End::Stopped);
                    }
                }
                Next::Read(Err(error)) => return Ok(End::Failed(format!("the connection cannot be read ({error})"))),
                Next::Due => {
                    self.send(from, origin).await?;
                    due = None;
                }
                Next::Idle => return Ok(End::Idle),
                // The client learns that it must not send more. Everything that has arrived or is on its way is read before
                // the connection ends.
                Next::Stop => {
                    stop_at = Some(Instant::now() + LAST_READ);
                    let _ = tokio::time::timeout(QUIET, stream.shutdown()).await;
                }
            }
        }
    }

    /// Reads all that a sealed connection has.
    async fn read_rest(
        &mut self,
        mut stream: impl AsyncRead + Unpin + AsFd,
        from: &str,
        origin: &impl Fn() -> Arc<Origin>,
    ) -> Result<End, Unwanted> {
        let limits = self.shared.context.limits;
        loop {
            // Tokio may not have been notified of the last bytes, so the kernel is asked. With TLS, they can be a part of a
            // record, which never becomes complete.
            let waiting = rustix::io::ioctl_fionread(&stream).unwrap_or(0);
            let read = stream.read(self.messages.space());
            let patience = if waiting > 0 { QUIET } else { Duration::ZERO };
            match tokio::time::timeout(patience, tokio::task::unconstrained(read)).await {
                Ok(Ok(bytes)) if bytes > 0 => {
                    add(&self.shared.context.stats.read_bytes, bytes as u64);
                    if let Err(error) = self.messages.advance(bytes) {
                        return Ok(End::Failed(error.to_string()));
                    }
                    if self.messages.is_full(&limits) {
                        self.send(from, origin).await?;
                    }
                }
                // A client that has closed the connection, or reset it, needs no more.
                _ => return Ok(End::Stopped),
            }
        }
    }

    /// Sends the complete messages.
    async fn send(&mut self, from: &str, origin: &impl Fn() -> Arc<Origin>) -> Result<(), Unwanted> {
        self.shared.skip(from, &self.messages.take_skipped());
        let columns = self.messages.take(&self.shared.context.limits);
        if columns.is_empty() {
            return Ok(());
        }
        let origin = origin();
        for column in columns {
            self.shared.intake.send(column, origin.clone()).await?;
        }
        Ok(())
    }
}
