//! The source `stdin`: reads standard input to its end.
//!
//! A thread reads straight to the buffers that become columns. A read from a terminal or a pipe cannot be interrupted, so
//! it is polled for first, and a stop is noticed in between.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::assemble::{self, Chunk};
use crate::decompress::{Caps, Compression, Decoder, Decompression, MAGIC_BYTES, ReadFailure};
use crate::frame::{DEFAULT_MAX_EVENT_BYTES, EventTooLong, Framing, Lines, check_max_event_bytes};
use crate::options::{OptionError, verdict};
use crate::outbox::{Intake, Outbox, Unwanted};
use crate::quantity::Size;
use crate::source::{BatchLimits, Source, SourceContext, SourceError, Stop};
use crate::stats::{SourceStats, add};
use crate::thread::Worker;

/// How long a stop may go unnoticed.
const STOP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The options of a `stdin` source.
#[derive(Debug, Deserialize, JsonSchema)]
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

/// The source, ready to run.
pub(crate) struct Stdin {
    options: Options,
    /// Stands in for standard input.
    input: Option<OwnedFd>,
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
            let input = self.input.map_or_else(|| io::stdin().as_fd().try_clone_to_owned(), Ok);
            let input = File::from(input.map_err(|error| SourceError {
                message: format!("source `{}`: standard input cannot be read: {error}", context.name),
            })?);
            add(
                &context.stats.total_bytes,
                input.metadata().map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 }),
            );
            let (name, stats) = (context.name.clone(), context.stats.clone());
            let (limits, stop) = (context.limits, context.stop.clone());
            let (intake, outbox) = Outbox::new(context, "stdin");
            let framer = Framer { options: self.options, limits, stop, stats: stats.clone(), output: intake };
            let worker = Worker::spawn(format!("{name}-read"), move || framer.run(input))?;
            stats.start();
            outbox.run().await;
            worker.finished().await.map_err(|error| {
                stats.fail(format!("standard input was not read to its end: {error}"));
                tracing::error!(source = %name, error = %error, "standard input was not read to its end");
                SourceError { message: format!("source `{name}`: {error}") }
            })
        })
    }
}

/// Standard input that says `WouldBlock` where it has waited long enough, and ends when the source is stopped.
struct Input {
    file: File,
    stop: Stop,
    stats: Arc<SourceStats>,
}

impl Input {
    /// The first bytes, enough to recognise a compression.
    fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while head.len() < MAGIC_BYTES {
            let mut more = [0; MAGIC_BYTES];
            let free = more.get_mut(head.len()..).unwrap_or_default();
            match self.read(free) {
                Ok(0) => break,
                Ok(n) => head.extend(free.iter().take(n)),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(head)
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Ok(0);
        }
        let ready = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&STOP_CHECK))?;
        if ready == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.file.read(out)?;
        add(&self.stats.read_bytes, n as u64);
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

struct Framer {
    options: Options,
    limits: BatchLimits,
    stop: Stop,
    stats: Arc<SourceStats>,
    output: Intake,
}

impl Framer {
    fn run(self, file: File) -> Result<(), SourceError> {
        let result = self.frame(file);
        if self.stop.is_stopped() {
            tracing::info!("standard input was left before its end");
            return Ok(());
        }
        result.map_err(|error| SourceError { message: error.to_string() })
    }

    fn frame(&self, file: File) -> Result<(), StdinError> {
        let mut input = Input { file, stop: self.stop.clone(), stats: self.stats.clone() };
        let (head, compression) = match self.options.decompression {
            Decompression::None => (Vec::new(), Compression::None),
            Decompression::Auto => {
                let head = input.head().map_err(ReadFailure::Io)?;
                let compression = Compression::detect(&head);
                (head, compression)
            }
        };
        let input = io::Cursor::new(head).chain(input);
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
        chunks.into_iter().try_for_each(|chunk| self.output.send(chunk))
    }
}

#[cfg(test)]
mod tests;
