//! Sends payloads over a connection, in order, and acknowledges those that the server's kernel has acknowledged.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wattle_tls::ClientTls;

use super::connection::{Connection, Progress};
use super::failure::Failure;
use super::options::Settings;
use super::outage::Attempts;
use crate::batcher::RequestBatch;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::retry::Backoff;
use crate::sink::SinkContext;

/// With this many bytes written and not acknowledged, the sink takes no further payload.
const MAX_HELD_BYTES: usize = 4 << 20;

/// Interval between questions to the kernel what the server has acknowledged: the first one, and the last one after doubling.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Time limit for closing the connection in order.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A payload that was written.
struct Sent {
    /// Position after its last byte in the stream, below TLS.
    end: u64,
    batch: RequestBatch,
}

/// A payload that is being written.
struct Writing {
    left: Bytes,
    batch: RequestBatch,
}

/// Why a connection ends.
enum End {
    /// The input has ended, and everything is acknowledged.
    Done,
    /// It ended while nothing waited.
    Idle(Failure),
    Failed(Failure),
}

/// Sends the payloads of a sink.
pub(super) struct Streams {
    settings: Settings,
    tls: Option<ClientTls>,
    context: SinkContext,
    attempts: Attempts,
    dead_letters: DeadLetters,
    /// Payloads to write, of the last connection or new.
    waiting: VecDeque<RequestBatch>,
    /// Written and not acknowledged.
    sent: VecDeque<Sent>,
    /// Bytes in both.
    held: usize,
    is_open: bool,
}

impl Streams {
    pub(super) fn new(settings: Settings, tls: Option<ClientTls>, context: SinkContext) -> Self {
        let attempts = Attempts::new(context.name.clone(), &settings, context.stats.clone());
        let backoff = Backoff::new(settings.retry_initial_backoff, settings.retry_max_backoff);
        let address = settings.destination.to_string();
        let (sink, stats, path) = (context.name.clone(), context.stats.clone(), settings.dead_letter.clone());
        let dead_letters = DeadLetters::new(sink, address, stats, path, backoff);
        let (waiting, sent) = Default::default();
        Self { settings, tls, context, attempts, dead_letters, waiting, sent, held: 0, is_open: true }
    }

    /// Sends payloads until the input has ended and all of them are acknowledged.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, payloads that were not acknowledged stay unacknowledged.
    pub(super) async fn run(mut self) {
        loop {
            // The connection is opened for the first payload, and not before.
            if self.waiting.is_empty() {
                match self.context.input.pop().await {
                    Some(payload) => self.hold(RequestBatch::of(payload)),
                    None => return,
                }
            }
            let end = match Connection::open(&self.settings.destination, self.tls.as_ref()).await {
                Ok(connection) => self.use_connection(connection).await,
                Err(failure) => End::Failed(failure),
            };
            match end {
                End::Done => return,
                End::Idle(reason) => tracing::debug!(sink = %self.context.name, %reason, "the idle connection ended"),
                End::Failed(failure) => self.failed(&failure).await,
            }
            if !self.is_open && self.waiting.is_empty() {
                return;
            }
        }
    }

    fn hold(&mut self, batch: RequestBatch) {
        self.held += batch.byte_len();
        self.waiting.push_back(batch);
    }

    /// Waits after a failed attempt. When the attempts are used up, gives up the events that wait.
    async fn failed(&mut self, failure: &Failure) {
        let Some(wait) = self.attempts.failed(failure) else {
            let rejection = Rejection { status: None, reason: failure.to_string() };
            for batch in std::mem::take(&mut self.waiting) {
                self.held -= batch.byte_len();
                self.dead_letters.reject(batch, &rejection, |ack, _| ack.give_up()).await;
            }
            return;
        };
        let files_changed = async {
            match &self.tls {
                Some(tls) => tls.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // The old certificates may be why the attempt failed.
            () = files_changed => {}
        }
    }

    /// Sends payloads over a connection until it ends. All that is not acknowledged then waits for the next one.
    async fn use_connection(&mut self, connection: Connection) -> End {
        let Connection { io, mut progress } = connection;
        let (reader, mut writer) = tokio::io::split(io);
        let mut writing: Option<Writing> = None;
        let ended = self.send(reader, &mut writer, &mut writing, &mut progress).await;
        let end = match ended {
            None => {
                // Everything is acknowledged, so it does not matter whether the server receives this.
                let _ = tokio::time::timeout(LAST_WORDS, writer.shutdown()).await;
                return End::Done;
            }
            Some(Ok(())) => {
                let ending = self.end(&mut writer, &mut writing, &mut progress);
                let _ = tokio::time::timeout(LAST_WORDS, ending).await;
                Failure::Closed(self.settings.destination.to_string())
            }
            Some(Err(error)) => Failure::broken(&self.settings.destination, &error),
        };
        let again = self.sent.drain(..).map(|sent| sent.batch).chain(writing.map(|writing| writing.batch));
        let again: Vec<RequestBatch> = again.collect();
        again.into_iter().rev().for_each(|batch| self.waiting.push_front(batch));
        // A server that refuses this client must be logged, also if nothing waits.
        let is_idle = self.waiting.is_empty() && !matches!(end, Failure::Tls { .. });
        if is_idle { End::Idle(end) } else { End::Failed(end) }
    }

    /// Ends a connection that the server has ended in order, in one direction or both.
    ///
    /// The kernel of a server that has closed the connection acknowledges no further bytes; and it ends the connection in
    /// order only if the server has read all that had arrived, and otherwise resets it. So what it acknowledged before was
    /// read. A server that stops, and reads what is on its way, gets the rest of the payload, so that no event is cut.
    async fn end(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        writing: &mut Option<Writing>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        while writing.is_some() {
            if write(writer, writing).await? {
                self.written(writing, progress);
            }
        }
        writer.shutdown().await?;
        while !self.sent.is_empty() && !progress.has_failed() {
            if !self.acknowledge(progress) {
                tokio::time::sleep(POLL.0).await;
            }
        }
        Ok(())
    }

    /// A payload is with the kernel.
    fn written(&mut self, writing: &mut Option<Writing>, progress: &mut Progress) {
        let batch = writing.take().map(|writing| writing.batch);
        self.sent.extend(batch.map(|batch| Sent { end: progress.written(), batch }));
        self.acknowledge(progress);
    }

    /// Sends payloads. Returns how the server ended the connection; `None` if the input has ended and everything is
    /// acknowledged.
    async fn send(
        &mut self,
        reader: impl AsyncRead + Unpin,
        writer: &mut (impl AsyncWrite + Unpin),
        writing: &mut Option<Writing>,
        progress: &mut Progress,
    ) -> Option<io::Result<()>> {
        let mut end = std::pin::pin!(read_to_end(reader));
        let mut pause = POLL.0;
        loop {
            if writing.is_none()
                && let Some(batch) = self.waiting.pop_front()
            {
                *writing = Some(Writing { left: batch.concatenated(), batch });
            }
            if !self.is_open && writing.is_none() && self.sent.is_empty() {
                return None;
            }
            let has_room = self.is_open && writing.is_none() && self.held < MAX_HELD_BYTES;
            tokio::select! {
                // The end first: how a connection ended says more than an error of writing.
                biased;
                ended = &mut end => return Some(ended),
                written = write(writer, writing), if writing.is_some() => match written {
                    Ok(false) => {}
                    Ok(true) => {
                        self.written(writing, progress);
                        pause = POLL.0;
                    }
                    Err(error) => return Some(Err(error)),
                },
                payload = self.context.input.pop(), if has_room => match payload {
                    Some(payload) => self.hold(RequestBatch::of(payload)),
                    None => self.is_open = false,
                },
                () = tokio::time::sleep(pause), if !self.sent.is_empty() || writing.is_some() => {
                    if self.acknowledge(progress) {
                        pause = POLL.0;
                    } else if pause < POLL.1 {
                        pause = (pause * 2).min(POLL.1);
                    } else {
                        progress.check_user_timeout();
                    }
                }
            }
        }
    }

    /// Delivers the payloads whose bytes are acknowledged. Returns whether there were any.
    fn acknowledge(&mut self, progress: &mut Progress) -> bool {
        if self.sent.is_empty() {
            return false;
        }
        let acknowledged = progress.acknowledged();
        let mut any = false;
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.end <= acknowledged) {
            self.held -= sent.batch.byte_len();
            sent.batch.deliver(&self.context.stats);
            any = true;
        }
        if any {
            self.attempts.succeeded();
        }
        any
    }
}

/// Writes a part of a payload. Returns whether all of it is with the kernel.
///
/// # Cancel safety
///
/// If the future is dropped before it is ready, nothing was written.
async fn write(writer: &mut (impl AsyncWrite + Unpin), writing: &mut Option<Writing>) -> io::Result<bool> {
    let Some(Writing { left, .. }) = writing else { return Ok(false) };
    if left.is_empty() {
        // TLS keeps the end of the payload back.
        writer.flush().await?;
        return Ok(true);
    }
    match writer.write(left).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        bytes => {
            left.advance(bytes);
            Ok(false)
        }
    }
}

/// Ignores what the server sends, until it ends the connection.
async fn read_to_end(mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while reader.read(&mut ignored).await? > 0 {}
    Ok(())
}
