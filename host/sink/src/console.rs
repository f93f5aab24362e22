//! The sink `console`: writes events to standard output or standard error.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_options::{Number, OptionError};
use wattle_printable as printable;

use crate::append::needs_operator;
use crate::encode::{Codec, Encoding, EncodingOptions, schema_for_people};
use crate::error::SinkError;
use crate::output::{Output, Todo};
use crate::preview::{self, Preview};
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::{Built, Payload, Prepared, Running, Sink, SinkContext};

/// Initial and maximum wait between attempts to write.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Options of the sink `console`.
///
/// Events are acknowledged when the pipe, terminal or file behind the target has accepted them. If
/// the reader of a pipe closes it, a run whose only sinks are of this type ends without an error,
/// like other filters. An agent with other sinks continues: the sink logs an error and counts the
/// events that it cannot write as failed, so that other sinks do not receive events twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleOptions {
    /// Where to write. Default: `stdout`.
    #[serde(default)]
    target: Target,
    /// How to write an event.
    #[serde(default)]
    encoding: EncodingOptions,
    /// Number of events that a terminal shows, one line each: the name of the sink, the reason if
    /// the event failed, and the body, cut to the width of the terminal. A pipe or file gets all
    /// events. Default: all events, in full.
    preview: Option<Number<usize>>,
}

/// One of the process's outputs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        })
    }
}

impl Target {
    /// The file behind the output, without the line buffer of `std::io::stdout`.
    fn open(self) -> std::io::Result<File> {
        let descriptor = match self {
            Self::Stdout => std::io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => std::io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(File::from(descriptor))
    }
}

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (options, encoding) = wattle_options::read(options, |options: ConsoleOptions, errors| {
        let encoding = Encoding::for_people(&options.encoding, errors);
        Some((options, encoding))
    })?;
    Ok(Box::new(move |name: &Arc<str>| build(name, options, encoding)))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    schema_for_people::<ConsoleOptions>()
}

fn build(name: &Arc<str>, options: ConsoleOptions, mut encoding: Encoding) -> Result<Built, SinkError> {
    let target = options.target;
    let output = target.open().map_err(SinkError::Console)?;
    let is_pretty = encoding.codec == Codec::Pretty;
    encoding.color =
        is_pretty && output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let encoder = Arc::new(encoding);
    if !output.is_terminal() {
        return Ok(Built { encoder, sink: Box::new(Console { target, output: Box::new(output) }) });
    }
    let Some(Number(max_events)) = options.preview else {
        let escape: fn(&[u8]) -> String = if is_pretty { escape_styled } else { escape };
        let output = Box::new(Terminal::new(output, move |_, part| escape(part)));
        return Ok(Built { encoder, sink: Box::new(Console { target, output }) });
    };
    let name = name.clone();
    let output = Box::new(Terminal::new(output, move |terminal: &File, lines| preview::render(&name, lines, terminal)));
    Ok(Built { encoder: Arc::new(Preview::new(max_events)), sink: Box::new(Console { target, output }) })
}

/// Escapes whole events for a terminal.
fn escape(part: &[u8]) -> String {
    let is_json = part.first() == Some(&b'{');
    let escaped = match std::str::from_utf8(part) {
        Ok(text) if is_json => printable::json(text),
        _ => printable::bytes(part),
    };
    escaped.into_owned()
}

/// Escapes all but the styles of the codec `pretty`, which has escaped what is in the events.
fn escape_styled(part: &[u8]) -> String {
    printable::styled(&String::from_utf8_lossy(part)).into_owned()
}

/// A terminal. Events are escaped, so that control characters in them have no effect.
struct Terminal<W, R> {
    inner: W,
    /// Formats a payload for the terminal.
    render: R,
    /// The escaped payload; the terminal has accepted the first `taken` bytes.
    escaped: Vec<u8>,
    taken: usize,
}

impl<W, R: Fn(&W, &[u8]) -> String> Terminal<W, R> {
    fn new(inner: W, render: R) -> Self {
        Self { inner, render, escaped: Vec::new(), taken: 0 }
    }
}

impl<W: Write + Send, R: Fn(&W, &[u8]) -> String + Send> Output for Terminal<W, R> {
    /// Writes the first part. After an error the caller passes the same part again, and the rest of
    /// it is written.
    fn write_parts(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(part) = parts.iter().find(|part| !part.is_empty()) else { return Ok(0) };
        if self.escaped.is_empty() {
            self.escaped = (self.render)(&self.inner, part).into_bytes();
            self.taken = 0;
        }
        while let Some(rest) = self.escaped.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match self.inner.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.taken += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.escaped.clear();
        Ok(part.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Console {
    target: Target,
    output: Box<dyn Output>,
}

impl Sink for Console {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(write_all(self.target, self.output, context))
    }
}

async fn write_all(target: Target, mut output: Box<dyn Output>, context: SinkContext) -> Result<(), SinkError> {
    let mut todo = Todo::default();
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut outage = Outage::default();
    while let Some(first) = context.input.pop().await {
        todo.gather(first, &context.input);
        while !todo.is_empty() {
            let stats = context.stats.clone();
            let task = tokio::task::spawn_blocking(move || {
                let count = todo.payloads.len();
                let done = todo.write(count, &mut *output, |payload| stats.deliver(payload.into_written()));
                (todo, output, done)
            });
            let done;
            (todo, output, done) =
                task.await.map_err(|error| SinkError::task("the thread that writes to the console", error))?;
            match done {
                Ok(()) => {
                    backoff.reset();
                    if let Some(Recovery { lasted, attempts }) = outage.over() {
                        tracing::info!(sink = %context.name, ?lasted, attempts, "console accepts events again");
                    }
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    context.stats.close();
                    todo.payloads.drain(..).for_each(|payload| give_up(payload, &context));
                    // The sink must not end here: the sources would send these events to all sinks
                    // again.
                    while let Some(payload) = context.input.pop().await {
                        give_up(payload, &context);
                    }
                    return Ok(());
                }
                Err(error) => {
                    context.stats.retried();
                    if needs_operator(&error) {
                        context.stats.set_broken(|| format!("cannot write to {target}: {error}"));
                    }
                    // Another process that shares the terminal can make it non-blocking; this is
                    // not an outage.
                    if error.kind() != ErrorKind::WouldBlock
                        && let Some(attempts) = outage.failed()
                    {
                        tracing::warn!(sink = %context.name, %error, attempts, "cannot write to the console; retrying");
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }
    Ok(())
}

/// Counts a payload whose output has no reader as failed.
fn give_up(payload: Payload, context: &SinkContext) {
    context.stats.rejected_events.fetch_add(payload.events as u64, Ordering::Relaxed);
    // Delivered, not rejected: other sinks may have these events, so the source must not send them
    // again.
    payload.ack.deliver();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fake::FakeOutput;
    use crate::testing::Rig;
    use std::io::Read;
    use wattle_batch::Disposition;

    /// A terminal that accepts a few bytes at a time, and fails every second write.
    #[derive(Default)]
    struct Slow {
        shown: Vec<u8>,
        calls: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(3);
            self.shown.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_gets_escapes_and_each_byte_once() {
        let mut terminal = Terminal::new(Slow::default(), |_, part: &[u8]| escape(part));
        for payload in [b"a\x1b[2J\xff\n".as_slice(), "{\"a\":\"\u{202e}\u{9b}\"}\n".as_bytes()] {
            let mut offset = 0;
            while offset < payload.len() {
                match terminal.write_parts(&[IoSlice::new(&payload[offset..])]) {
                    Ok(taken) => offset += taken,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        let shown = String::from_utf8(terminal.inner.shown).unwrap();
        assert_eq!(shown, "a\\u{1b}[2J\\xff\n{\"a\":\"\\u202e\\u009b\"}\n");
    }

    #[tokio::test]
    async fn payloads_are_written_in_order_and_acknowledged_when_accepted() {
        let rig = Rig::new();
        let output = FakeOutput::default();
        output.0.lock().unwrap().plan = [Ok(1), Err(ErrorKind::StorageFull), Ok(3), Err(ErrorKind::WouldBlock)].into();
        for text in ["one\n", "two\n", "three\n"] {
            rig.push(text, 1);
        }
        rig.context().input.close();
        write_all(Target::Stdout, Box::new(output.clone()), rig.context()).await.unwrap();
        assert_eq!(output.0.lock().unwrap().written, b"one\ntwo\nthree\n");
        assert_eq!(rig.acks(), [Disposition::Delivered; 3]);
        assert_eq!(rig.counts(), (3, 14, 0, 2));
    }

    #[tokio::test]
    async fn without_a_reader_the_sink_continues_and_counts_events_as_failed() {
        let rig = Rig::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        rig.push("one\n", 1);
        let task = tokio::spawn(write_all(Target::Stdout, Box::new(writer), rig.context()));
        let reader = tokio::task::spawn_blocking(move || {
            let mut got = [0; 4];
            reader.read_exact(&mut got).unwrap();
            got
        });
        assert_eq!(&reader.await.unwrap(), b"one\n");
        rig.wait(1).await;
        rig.push("two\n", 1);
        rig.wait(2).await;
        assert!(rig.context().stats.is_closed());
        rig.push("three\n", 2);
        rig.context().input.close();
        task.await.unwrap().unwrap();
        assert_eq!(rig.acks(), [Disposition::Delivered; 3], "no source sends these to other sinks again");
        assert_eq!(rig.counts(), (1, 4, 3, 0));
    }

    #[tokio::test]
    async fn an_output_on_a_full_disk_needs_an_operator_until_it_is_written() {
        let rig = Rig::new();
        let output = FakeOutput::default();
        output.0.lock().unwrap().plan = [Err(ErrorKind::StorageFull), Err(ErrorKind::WouldBlock)].into();
        rig.push("one\n", 1);
        let task = tokio::spawn(write_all(Target::Stdout, Box::new(output), rig.context()));
        let stats = rig.context().stats;
        let mut error = None;
        rig.until("the error or the delivery", || {
            error = error.take().or_else(|| stats.broken(Duration::ZERO));
            rig.counts().0 == 1
        })
        .await;
        assert!(stats.broken(Duration::ZERO).is_none());
        rig.context().input.close();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn payloads_of_a_dropped_sink_are_not_acknowledged() {
        let rig = Rig::new();
        let output = FakeOutput::default();
        output.0.lock().unwrap().plan = std::iter::repeat_n(Err(ErrorKind::StorageFull), 1000).collect();
        rig.push("one\n", 1);
        let task = tokio::spawn(write_all(Target::Stdout, Box::new(output), rig.context()));
        rig.wait_for_retries(2).await;
        task.abort();
        rig.wait(1).await;
        assert_eq!(rig.acks(), [Disposition::Retry]);
    }
}
