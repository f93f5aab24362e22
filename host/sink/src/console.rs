//! The sink `console`: writes events to standard output or standard error.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_printable as printable;

use crate::encode::{Encoding, EncodingOptions};
use crate::options::{self, Count, OptionError};
use crate::output::{Output, Todo};
use crate::preview::{self, Preview};
use crate::retry::{Backoff, Outage};
use crate::sink::{Built, Payload, Running, Sink, SinkContext, SinkError};

/// Waits between attempts to write.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Options of the sink `console`.
///
/// Events are acknowledged when the pipe, terminal or file behind the target has taken them. When the reader of a pipe
/// closes it, a run whose only sinks are of this type ends without an error, as any filter does. An agent with other sinks
/// goes on: the sink logs an error, and counts what it cannot write as failed, so that other sinks get no event twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleOptions {
    /// Where to write. Default: `stdout`.
    #[serde(default)]
    target: Target,
    /// What to write of an event.
    #[serde(default)]
    encoding: EncodingOptions,
    /// On a terminal, show only the first so many events, one line each: the name of the sink, why the event failed, and
    /// the body, cut to the width of the terminal. A pipe or file gets all events. Default: all events, whole.
    preview: Option<Count>,
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

impl Target {
    /// The file behind it, without the buffer and the search for line ends that `std::io::stdout` has.
    fn open(self) -> std::io::Result<File> {
        let descriptor = match self {
            Self::Stdout => std::io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => std::io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(File::from(descriptor))
    }
}

pub(crate) fn check(options: &Value) -> Result<(), Vec<OptionError>> {
    options::read::<ConsoleOptions>(options).map(|_| ())
}

/// The schema of the options.
pub(crate) fn schema() -> Value {
    options::schema_of::<ConsoleOptions>()
}

pub(crate) fn build(name: &Arc<str>, options: &Value) -> Result<Built, SinkError> {
    let fail = |message| SinkError { message };
    let options = options::read::<ConsoleOptions>(options).map_err(|errors| fail(options::summary(&errors)))?;
    let output = options.target.open().map_err(|error| fail(format!("the console cannot be opened: {error}")))?;
    let encoder = Arc::new(Encoding::new(&options.encoding));
    if !output.is_terminal() {
        return Ok(Built { encoder, sink: Box::new(Console { output: Box::new(output) }) });
    }
    let Some(Count(most)) = options.preview else {
        let output = Box::new(Terminal::new(output, |_, part| escape(part)));
        return Ok(Built { encoder, sink: Box::new(Console { output }) });
    };
    let name = name.clone();
    let output = Box::new(Terminal::new(output, move |terminal: &File, lines| preview::render(&name, lines, terminal)));
    Ok(Built { encoder: Arc::new(Preview::new(most)), sink: Box::new(Console { output }) })
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

/// A terminal, which gets events with control characters escaped. A pipe or file gets them as they are.
struct Terminal<W, R> {
    inner: W,
    /// Turns a payload into what the terminal gets.
    render: R,
    /// An escaped payload of which the terminal has taken `taken` bytes.
    escaped: Vec<u8>,
    taken: usize,
}

impl<W, R: Fn(&W, &[u8]) -> String> Terminal<W, R> {
    fn new(inner: W, render: R) -> Self {
        Self { inner, render, escaped: Vec::new(), taken: 0 }
    }
}

impl<W: Write + Send, R: Fn(&W, &[u8]) -> String + Send> Output for Terminal<W, R> {
    /// Writes the first part. After an error the caller comes again with the same part, and the rest of it goes on.
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
    output: Box<dyn Output>,
}

impl Sink for Console {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(write_all(self.output, context))
    }
}

async fn write_all(mut output: Box<dyn Output>, context: SinkContext) -> Result<(), SinkError> {
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
            (todo, output, done) = task.await.map_err(|error| SinkError {
                message: format!("sink `{}`: the thread that writes ended: {error}", context.name),
            })?;
            match done {
                Ok(()) => {
                    backoff.reset();
                    if let Some(lasted) = outage.over() {
                        tracing::info!(sink = %context.name, ?lasted, "console takes events again");
                    }
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    context.stats.close();
                    todo.payloads.drain(..).for_each(|payload| give_up(payload, &context));
                    // A sink that ended would return events to sources that offer them to all sinks again.
                    while let Some(payload) = context.input.pop().await {
                        give_up(payload, &context);
                    }
                    return Ok(());
                }
                Err(error) => {
                    context.stats.retried();
                    // Another process that shares the terminal can make it non-blocking; then this is no trouble.
                    if error.kind() != ErrorKind::WouldBlock
                        && let Some(attempts) = outage.failed()
                    {
                        tracing::warn!(sink = %context.name, %error, attempts, "console takes no events, trying again");
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }
    Ok(())
}

/// Ends a payload that no reader takes any more.
fn give_up(payload: Payload, context: &SinkContext) {
    context.stats.rejected_events.fetch_add(payload.events as u64, Ordering::Relaxed);
    payload.ack.deliver();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fake::FakeOutput;
    use crate::testing::Far;
    use std::io::Read;
    use wattle_batch::Disposition;

    /// A terminal that takes a few bytes at a time, and nothing every other time.
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
    async fn writes_in_order_and_acknowledges_what_was_taken() {
        let far = Far::new();
        let output = FakeOutput::default();
        output.0.lock().unwrap().plan = [Ok(1), Err(ErrorKind::StorageFull), Ok(3), Err(ErrorKind::WouldBlock)].into();
        for text in ["one\n", "two\n", "three\n"] {
            far.push(text, 1);
        }
        far.context().input.close();
        write_all(Box::new(output.clone()), far.context()).await.unwrap();
        assert_eq!(output.0.lock().unwrap().written, b"one\ntwo\nthree\n");
        assert_eq!(far.heard(), [Disposition::Delivered; 3]);
        assert_eq!(far.counts(), (3, 14, 0, 2));
    }

    #[tokio::test]
    async fn goes_on_without_a_reader_and_counts_what_it_cannot_write() {
        let far = Far::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        far.push("one\n", 1);
        let task = tokio::spawn(write_all(Box::new(writer), far.context()));
        let reader = tokio::task::spawn_blocking(move || {
            let mut got = [0; 4];
            reader.read_exact(&mut got).unwrap();
            got
        });
        assert_eq!(&reader.await.unwrap(), b"one\n");
        far.wait(1).await;
        far.push("two\n", 1);
        far.wait(2).await;
        assert!(far.context().stats.is_closed());
        far.push("three\n", 2);
        far.context().input.close();
        task.await.unwrap().unwrap();
        assert_eq!(far.heard(), [Disposition::Delivered; 3], "no source offers these again to other sinks");
        assert_eq!(far.counts(), (1, 4, 3, 0));
    }

    #[tokio::test]
    async fn what_waits_when_the_sink_is_dropped_is_not_acknowledged() {
        let far = Far::new();
        let output = FakeOutput::default();
        output.0.lock().unwrap().plan = std::iter::repeat_n(Err(ErrorKind::StorageFull), 1000).collect();
        far.push("one\n", 1);
        let task = tokio::spawn(write_all(Box::new(output), far.context()));
        far.wait_for_retries(2).await;
        task.abort();
        far.wait(1).await;
        assert_eq!(far.heard(), [Disposition::Retry]);
    }
}
