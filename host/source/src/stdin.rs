//! The source `stdin`: reads standard input to its end.
//!
//! A thread reads into the buffers that become columns. A read from a terminal or a pipe cannot be
//! interrupted, so it is preceded by a poll with a timeout, after which a stop is noticed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{OptionError, Size};

use crate::assemble::{Chunk, Unwanted};
use crate::decompress::{Caps, Decompression, ReadFailure};
use crate::error::SourceError;
use crate::frame::{
    DEFAULT_MAX_EVENT_BYTES, DEFAULT_MAX_LINE_BYTES, EventTooLong, Framing, LineFormat, Rules, Skipped, check_csv,
    check_max_bytes, multiline,
};
use crate::outbox::{Intake, Outbox};
use crate::reading::{ReadError, Receive, Stream};
use crate::source::{Source, SourceContext, Stop};
use crate::stats::{SourceStats, add};
use crate::thread::Worker;
use crate::transcode::Encoding;

/// Interval at which a stop is checked.
const STOP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The options of a `stdin` source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// How bytes become events. Default: `auto`.
    framing: Framing,
    /// Whether compressed input is recognised by its first bytes: `auto` or `none`.
    /// Default: `auto`.
    decompression: Decompression,
    /// Maximum length of a line in bytes. Longer lines are skipped, counted and logged.
    /// Default: `1MiB`.
    max_line_bytes: Size,
    /// Maximum length of an event in bytes, including JSON documents and events of several lines.
    /// With framing `document` a longer input ends the source with an error; otherwise the event is
    /// skipped, counted and logged. Default: `1GiB`.
    max_event_bytes: Size,
    /// Format of lines. Default: `auto`.
    line_format: LineFormat,
    /// Encoding of the text: `utf-8`, `utf-16le`, `utf-16be` or `windows-1252` (includes Latin-1).
    /// A byte order mark of UTF-16 or UTF-8 overrides the option and is removed. Default: `utf-8`.
    encoding: Encoding,
    /// Joins several lines to one event, such as a stack trace. Default: none.
    multiline: Option<multiline::Options>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            decompression: Decompression::default(),
            max_line_bytes: Size(DEFAULT_MAX_LINE_BYTES),
            max_event_bytes: Size(DEFAULT_MAX_EVENT_BYTES),
            line_format: LineFormat::default(),
            encoding: Encoding::default(),
            multiline: None,
        }
    }
}

/// The source, ready to run.
pub(crate) struct Stdin {
    framing: Framing,
    decompression: Decompression,
    rules: Rules,
    /// Replaces standard input in tests.
    input: Option<OwnedFd>,
}

impl Stdin {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        let mut errors: Vec<OptionError> = check_max_bytes("max_event_bytes", options.max_event_bytes)
            .into_iter()
            .chain(check_max_bytes("max_line_bytes", options.max_line_bytes))
            .collect();
        let multiline = options.multiline.as_ref().and_then(|written| multiline::Multiline::new(written, &mut errors));
        errors.extend(check_csv(options.framing == Framing::Csv, options.multiline.is_some(), options.line_format));
        let rules = Rules {
            // With `multiline`, events are lines only.
            quotes: options.framing == Framing::Csv,
            documents: options.framing == Framing::Auto && multiline.is_none(),
            max_line_bytes: options.max_line_bytes.0.min(options.max_event_bytes.0),
            max_event_bytes: options.max_event_bytes.0,
            line_format: options.line_format,
            multiline: multiline.map(Arc::new),
            encoding: options.encoding,
        };
        let (framing, decompression) = (options.framing, options.decompression);
        if errors.is_empty() { Ok(Self { framing, decompression, rules, input: None }) } else { Err(errors) }
    }
}

impl Source for Stdin {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let input = self.input.map_or_else(|| io::stdin().as_fd().try_clone_to_owned(), Ok);
            let failed = |error: StdinError| SourceError::Input { name: context.name.to_string(), error: error.into() };
            let input = File::from(input.map_err(|error| failed(StdinError::Read(ReadFailure::Io(error))))?);
            add(
                &context.stats.total_bytes,
                input.metadata().map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 }),
            );
            let (name, stats) = (context.name.clone(), context.stats.clone());
            let (limits, stop) = (context.limits, context.stop.clone());
            let (intake, outbox) = Outbox::new(context, "stdin");
            let pump = Pump {
                name: name.to_string(),
                stream: Stream {
                    framing: self.framing,
                    decompression: self.decompression,
                    caps: Caps::NONE,
                    rules: self.rules,
                    limits,
                },
                stop,
                stats: stats.clone(),
                output: intake,
            };
            let worker = Worker::spawn(format!("{name}-read"), move || pump.run(input))?;
            stats.start();
            outbox.run().await;
            worker.finished().await.map_err(|error| {
                stats.fail(format!("cannot read standard input to its end: {error}"));
                tracing::error!(source = %name, error = %error, "cannot read standard input to its end");
                error
            })
        })
    }
}

/// Standard input that returns `WouldBlock` after a timeout, and ends when the source is stopped.
struct Input {
    file: File,
    stop: Stop,
    stats: Arc<SourceStats>,
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

/// An error that prevents reading standard input to its end.
#[derive(Debug, thiserror::Error)]
enum StdinError {
    #[error("standard input {0}")]
    Read(ReadFailure),
    #[error("{0}; raise `max_event_bytes` or use another `framing`")]
    TooLong(EventTooLong),
}

impl From<ReadError> for StdinError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Read(failure) => Self::Read(failure),
            ReadError::TooLong(failure) => Self::TooLong(failure),
        }
    }
}

struct Pump {
    name: String,
    stream: Stream,
    stop: Stop,
    stats: Arc<SourceStats>,
    output: Intake,
}

impl Pump {
    fn run(self, file: File) -> Result<(), SourceError> {
        let input = Input { file, stop: self.stop.clone(), stats: self.stats.clone() };
        let mut receiver = Receiver { name: &self.name, stats: &self.stats, output: &self.output };
        let result = self.stream.read(input, &mut receiver).map_err(StdinError::from);
        if self.stop.is_stopped() {
            tracing::info!("stopped reading standard input before its end");
            return Ok(());
        }
        result.map_err(|error| SourceError::Input { name: self.name, error: error.into() })
    }
}

/// Passes the events of standard input to the outbox.
struct Receiver<'p> {
    name: &'p str,
    stats: &'p SourceStats,
    output: &'p Intake,
}

impl Receive for Receiver<'_> {
    fn receive(&mut self, chunk: Chunk) -> Result<(), Unwanted> {
        self.output.send(chunk)
    }

    fn skipped(&mut self, skipped: &Skipped) {
        self.stats.skip(self.name, "standard input", skipped);
    }
}

#[cfg(test)]
mod tests;
