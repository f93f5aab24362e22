//! The source `stdin`: reads standard input to its end.
//!
//! A thread reads into the buffers that become columns. A read from a terminal or a pipe cannot be
//! interrupted, so it is preceded by a poll with a timeout, after which a stop is noticed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{OptionError, Size};

use crate::assemble::{self, Chunk};
use crate::decompress::{Caps, Compression, Decoder, Decompression, MAGIC_BYTES, ReadFailure};
use crate::error::SourceError;
use crate::frame::{
    DEFAULT_MAX_EVENT_BYTES, DEFAULT_MAX_LINE_BYTES, EventTooLong, Framer, Framing, LineFormat, Rules, check_max_bytes,
    multiline,
};
use crate::outbox::{Intake, Outbox, Unwanted};
use crate::source::{BatchLimits, Source, SourceContext, Stop};
use crate::stats::{SourceStats, add};
use crate::thread::Worker;
use crate::transcode::{Encoding, MARK_BYTES, Transcoder, transcode};

/// Interval at which a stop is checked.
const STOP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The options of a `stdin` source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// How bytes become events. `auto`: each JSON document is an event, compact or pretty, with or
    /// without line feeds between documents; each line that is not JSON is an event. `lines`: each
    /// line is an event. `document`: the whole input is one event. Default: `auto`.
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
    /// Format of lines. `auto`: joins the parts of lines that a container runtime (CRI) has split.
    /// `cri`: the same, and the event is the message without time, stream and tag. `raw`: lines
    /// stay unchanged. Default: `auto`.
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
        let rules = Rules {
            // With `multiline`, events are lines only.
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
            let input = File::from(input.map_err(|error| failed(ReadFailure::Io(error).into()))?);
            add(
                &context.stats.total_bytes,
                input.metadata().map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 }),
            );
            let (name, stats) = (context.name.clone(), context.stats.clone());
            let (limits, stop) = (context.limits, context.stop.clone());
            let (intake, outbox) = Outbox::new(context, "stdin");
            let pump = Pump {
                name: name.to_string(),
                framing: self.framing,
                decompression: self.decompression,
                rules: self.rules,
                limits,
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

impl Input {
    /// Reads the first bytes, enough to detect a compression.
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

/// An error that prevents reading standard input to its end.
#[derive(Debug, thiserror::Error)]
enum StdinError {
    #[error("standard input {0}")]
    Read(#[from] ReadFailure),
    #[error("{0}; raise `max_event_bytes` or use another `framing`")]
    TooLong(#[from] EventTooLong),
}

struct Pump {
    name: String,
    framing: Framing,
    decompression: Decompression,
    rules: Rules,
    limits: BatchLimits,
    stop: Stop,
    stats: Arc<SourceStats>,
    output: Intake,
}

impl Pump {
    fn run(self, file: File) -> Result<(), SourceError> {
        let result = self.frame(file);
        if self.stop.is_stopped() {
            tracing::info!("stopped reading standard input before its end");
            return Ok(());
        }
        result.map_err(|error| SourceError::Input { name: self.name, error: error.into() })
    }

    fn frame(&self, file: File) -> Result<(), StdinError> {
        let mut input = Input { file, stop: self.stop.clone(), stats: self.stats.clone() };
        let (head, compression) = match self.decompression {
            Decompression::None => (Vec::new(), Compression::None),
            Decompression::Auto => {
                let head = input.head().map_err(ReadFailure::Io)?;
                let compression = Compression::detect(&head);
                (head, compression)
            }
        };
        let input = io::Cursor::new(head).chain(input);
        // `max_event_bytes` limits the memory of the event, and the queue limits sent batches.
        let caps = Caps { max_bytes: u64::MAX, max_ratio: u64::MAX };
        let decoder = Decoder::new(compression, input, caps).map_err(ReadFailure::Io)?;
        match self.framing {
            Framing::Lines | Framing::Auto => self.events(decoder),
            Framing::Document => self.document(decoder),
        }
    }

    fn events(&self, mut decoder: Decoder<impl Read>) -> Result<(), StdinError> {
        let head = head_of(&mut decoder).map_err(|error| decoder.explain(error))?;
        let (encoding, mark) = self.rules.encoding.of(&head);
        let rules = Rules { encoding, ..self.rules.clone() };
        let mut framer = Framer::new(rules, mark, self.limits.max_bytes);
        let behind = head.get(usize::try_from(mark).unwrap_or(0)..).unwrap_or_default().to_vec();
        let mut input = Transcoder::new(io::Cursor::new(behind).chain(decoder), encoding);
        let patience = self.rules.patience();
        let mut oldest = None;
        let mut last_read = Instant::now();
        let result = loop {
            match input.read(framer.space()) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    framer.advance(n);
                    last_read = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // No data arrived for a while, so an event that may continue ends here.
                    if framer.is_waiting() && last_read.elapsed() >= patience {
                        framer.flush();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(input.input.get_ref().1.explain(error).into()),
            }
            self.stats.skip(&self.name, "standard input", &framer.take_skipped());
            let is_old = |since: &mut Instant| since.elapsed() >= self.limits.max_age;
            if !framer.has_events() {
                oldest = None;
            } else if framer.is_full(&self.limits) || is_old(oldest.get_or_insert_with(Instant::now)) {
                oldest = None;
                // The receiver is closed, so nothing more can be sent.
                if self.send(framer.take(&self.limits)).is_err() {
                    return Ok(());
                }
            }
        };
        // Also after an error, because the unfinished event cannot be read again.
        let rest = framer.finish(&self.limits);
        self.stats.skip(&self.name, "standard input", &framer.take_skipped());
        // If the receiver is closed, these events cannot be sent either.
        let _ = self.send(rest);
        result
    }

    fn document(&self, mut input: Decoder<impl Read>) -> Result<(), StdinError> {
        let max = self.rules.max_event_bytes;
        let mut document = Vec::new();
        let result = loop {
            // One byte beyond the limit shows that the document is too long.
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
            let document = transcode(document, self.rules.encoding);
            // The readable part of a damaged document is an event too; nodes that parse it will
            // fail it.
            let _ = self.send([assemble::document(document).map_err(|_| too_long)?]);
        }
        result
    }

    fn send(&self, chunks: impl IntoIterator<Item = Chunk>) -> Result<(), Unwanted> {
        chunks.into_iter().try_for_each(|chunk| self.output.send(chunk))
    }
}

/// Reads the first bytes of an input, up to the length of a byte order mark.
fn head_of(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        match input.by_ref().take((MARK_BYTES - head.len()) as u64).read_to_end(&mut head) {
            Ok(_) => return Ok(head),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
