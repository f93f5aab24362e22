//! The source `stdin`: reads standard input to its end.
//!
//! Two threads, because a read from a terminal or a pipe cannot be interrupted: one only reads, and may stay in its
//! last read when the source is stopped; the other decompresses and frames.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::assemble::{self, Chunk};
use crate::decompress::{Caps, Compression, Decoder, Decompression, MAGIC_BYTES, ReadFailure};
use crate::frame::{DEFAULT_MAX_EVENT_BYTES, EventTooLong, Framing, Lines, READ_BYTES, check_max_event_bytes};
use crate::options::{OptionError, verdict};
use crate::outbox::Outbox;
use crate::pool::Pool;
use crate::quantity::Size;
use crate::source::{BatchLimits, Source, SourceContext, SourceError, Stop};
use crate::stats::{SourceStats, add};
use crate::thread::Worker;

/// How long a stop may go unnoticed.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// The options of a `stdin` source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// How bytes become events.
    framing: Framing,
    /// Whether compressed input is recognised by its first bytes.
    decompression: Decompression,
    /// The longest event; a longer one ends the source with an error.
    max_event_bytes: Size,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            decompression: Decompression::default(),
            max_event_bytes: Size(DEFAULT_MAX_EVENT_BYTES),
        }
    }
}

/// Where the bytes come from.
type Input = Box<dyn Read + Send>;

/// The source, ready to run.
pub(crate) struct Stdin {
    options: Options,
    input: Option<Input>,
}

impl Stdin {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        let errors = check_max_event_bytes(options.max_event_bytes).into_iter().collect();
        verdict(Self { options, input: None }, errors)
    }
}

impl Source for Stdin {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let input = match self.input {
                Some(input) => input,
                None => {
                    add(&context.stats.total_bytes, file_bytes_on_stdin());
                    Box::new(io::stdin())
                }
            };
            let (pieces_out, pieces) = sync_channel(2);
            let (chunks_out, chunks) = mpsc::channel(1);
            let framer = Framer {
                options: self.options,
                limits: context.limits,
                stop: context.stop.clone(),
                stats: context.stats.clone(),
                output: chunks_out,
            };
            let name = context.name.clone();
            // Left alone: it ends with its input, or when it next finds that nobody takes what it read.
            let reader = Worker::spawn(format!("{name}-read"), move || {
                read(input, &pieces_out);
                Ok(())
            })?;
            drop(reader);
            let worker = Worker::spawn(format!("{name}-frame"), move || framer.run(pieces))?;
            let stats = context.stats.clone();
            stats.start();
            Outbox::new(context, "stdin").run(chunks).await;
            worker.finished().await.map_err(|error| {
                add(&stats.failures, 1);
                tracing::error!(source = %name, error = %error, "standard input was not read to its end");
                SourceError { message: format!("source `{name}`: {error}") }
            })
        })
    }
}

/// Bytes on standard input, where it is a file.
fn file_bytes_on_stdin() -> u64 {
    use std::os::fd::AsFd;
    let file = io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from);
    file.and_then(|file| file.metadata()).map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 })
}

/// Passes on whatever a read gives. The end is the end of the channel.
fn read(mut input: Input, pieces: &SyncSender<io::Result<Bytes>>) {
    let pool = Pool::default();
    loop {
        let mut piece = pool.take(READ_BYTES);
        let result = match input.read(&mut piece) {
            Ok(0) => return,
            Ok(n) => Ok(pool.share(piece, n)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if pieces.send(result).is_err() || failed {
            return;
        }
    }
}

/// The other end of [`read`]: says `WouldBlock` where it has waited long enough, and ends when the source is stopped.
struct Pieces {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
    at: usize,
    stop: Stop,
    stats: Arc<SourceStats>,
}

impl Pieces {
    /// Waits a moment for more, if there is nothing. Returns whether there is something now, or the end.
    fn wait(&mut self) -> io::Result<bool> {
        if self.at < self.piece.len() {
            return Ok(true);
        }
        match self.pieces.recv_timeout(STOP_CHECK) {
            Ok(piece) => {
                self.piece = piece?;
                self.at = 0;
                add(&self.stats.read_bytes, self.piece.len() as u64);
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) if self.stop.is_stopped() => Ok(true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Ok(true),
        }
    }

    /// The first bytes, enough to recognise a compression.
    fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while head.len() < MAGIC_BYTES {
            let mut more = [0; MAGIC_BYTES];
            let free = more.get_mut(head.len()..).unwrap_or_default();
            match self.read(free) {
                Ok(0) => break,
                Ok(n) => head.extend(free.iter().take(n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(head)
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Ok(0);
        }
        if !self.wait()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.piece.get(self.at..).unwrap_or_default().read(out)?;
        self.at += n;
        Ok(n)
    }
}

/// Why standard input was not read to its end.
#[derive(Debug, thiserror::Error)]
enum StdinError {
    #[error("standard input {0}")]
    Read(#[from] ReadFailure),
    #[error("{0}; set `max_event_bytes` higher, or another `framing`")]
    TooLong(#[from] EventTooLong),
}

/// Nobody takes chunks any more.
struct Unwanted;

struct Framer {
    options: Options,
    limits: BatchLimits,
    stop: Stop,
    stats: Arc<SourceStats>,
    output: mpsc::Sender<Chunk>,
}

impl Framer {
    fn run(self, pieces: Receiver<io::Result<Bytes>>) -> Result<(), SourceError> {
        let result = self.frame(pieces);
        if self.stop.is_stopped() {
            tracing::info!("standard input was left before its end");
            return Ok(());
        }
        result.map_err(|error| SourceError { message: error.to_string() })
    }

    fn frame(&self, pieces: Receiver<io::Result<Bytes>>) -> Result<(), StdinError> {
        let (stop, stats) = (self.stop.clone(), self.stats.clone());
        let mut pieces = Pieces { pieces, piece: Bytes::new(), at: 0, stop, stats };
        let (head, compression) = match self.options.decompression {
            Decompression::None => (Vec::new(), Compression::None),
            Decompression::Auto => {
                let head = pieces.head().map_err(ReadFailure::Io)?;
                let compression = Compression::detect(&head);
                (head, compression)
            }
        };
        let input = io::Cursor::new(head).chain(pieces);
        // `max_event_bytes` bounds what is held here, and the queue what has left.
        let caps = Caps { max_bytes: u64::MAX, max_ratio: u64::MAX };
        let decoder = Decoder::new(compression, input, caps).map_err(ReadFailure::Io)?;
        match self.options.framing {
            Framing::Lines => self.lines(decoder),
            Framing::Document => self.document(decoder),
        }
    }

    fn lines(&self, mut input: Decoder<impl Read>) -> Result<(), StdinError> {
        let mut lines = Lines::new(0, self.limits.max_bytes, self.options.max_event_bytes.0);
        let mut oldest = None;
        let result = loop {
            match input.read(lines.space()) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    if let Err(error) = lines.advance(n) {
                        break Err(error.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(input.explain(error).into()),
            }
            let is_old = |since: &mut Instant| since.elapsed() >= self.limits.max_age;
            if !lines.has_lines() {
                oldest = None;
            } else if lines.is_full(&self.limits) || is_old(oldest.get_or_insert_with(Instant::now)) {
                oldest = None;
                if self.send(lines.take(&self.limits)).is_err() {
                    return Ok(());
                }
            }
        };
        // After an error too: the unfinished line was read and cannot be read again. A line that is too long is cut
        // off by that error instead of passing as an event.
        let rest = if matches!(result, Err(StdinError::TooLong(_))) {
            lines.take(&self.limits)
        } else {
            lines.finish(&self.limits)
        };
        add(&self.stats.skipped_empty, lines.take_skipped());
        let _ = self.send(rest);
        result
    }

    fn document(&self, mut input: Decoder<impl Read>) -> Result<(), StdinError> {
        let max = self.options.max_event_bytes.0;
        let mut document = Vec::new();
        let result = loop {
            match input.by_ref().take(max + 1 - document.len() as u64).read_to_end(&mut document) {
                Ok(_) => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break Err(input.explain(error).into()),
            }
        };
        let too_long = EventTooLong { max, position: 0 };
        if document.len() as u64 > max {
            return Err(too_long.into());
        }
        if document.is_empty() {
            add(&self.stats.skipped_empty, 1);
        } else {
            // What could be read of a damaged document is an event too, and fails where it is taken apart.
            let _ = self.send([assemble::document(document).map_err(|_| too_long)?]);
        }
        result
    }

    fn send(&self, chunks: impl IntoIterator<Item = Chunk>) -> Result<(), Unwanted> {
        chunks.into_iter().try_for_each(|chunk| self.output.blocking_send(chunk).map_err(|_| Unwanted))
    }
}

#[cfg(test)]
mod tests;
