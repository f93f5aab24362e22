//! The sink `console`: writes events to standard output or standard error.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::encode::{Encoding, EncodingOptions};
use crate::options::{self, OptionError};
use crate::output::{Output, Todo};
use crate::retry::{Backoff, Outage};
use crate::sink::{Built, Running, Sink, SinkContext, SinkError};

/// Waits between attempts to write.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Options of the sink `console`.
///
/// Events are acknowledged when the pipe, terminal or file behind the target has taken them. When the reader of a pipe
/// goes away, the sink closes its queue and ends without an error; what it had not written is not acknowledged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleOptions {
    /// Where to write. Default: `stdout`.
    #[serde(default)]
    target: Target,
    /// What to write of an event.
    #[serde(default)]
    encoding: EncodingOptions,
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

pub(crate) fn build(options: &Value) -> Result<Built, SinkError> {
    let fail = |message| SinkError { message };
    let options = options::read::<ConsoleOptions>(options).map_err(|errors| fail(options::summary(&errors)))?;
    let output = options.target.open().map_err(|error| fail(format!("the console cannot be opened: {error}")))?;
    let encoder = Arc::new(Encoding::new(&options.encoding));
    Ok(Built { encoder, sink: Box::new(Console { output: Box::new(output) }) })
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
                    // Whoever reads has enough, as `head` does. Nobody shall wait for room in a queue that none empties.
                    context.input.close();
                    while context.input.try_pop().is_some() {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fake::FakeOutput;
    use crate::testing::Far;
    use std::io::Read;
    use wattle_batch::Disposition;

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
    async fn ends_quietly_when_nobody_reads() {
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
        task.await.unwrap().unwrap();
        assert!(far.context().input.is_closed());
        assert_eq!(far.heard(), [Disposition::Delivered, Disposition::Retry]);
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
