//! The source against S3 and SQS in memory.

#[path = "../../../aws/tests/faults/double.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `wattle-aws`, which use more of it")]
mod double;
mod failures;
mod fake;
mod integrity;
mod messages;
mod metrics;
mod objects;
mod resume;
mod walks;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use wattle_batch::Batch;
use wattle_options::OptionErrors;

use super::options::Settings;
use super::{Options, S3Source};

/// A source with settings that options do not allow.
fn source(options: Value, change: impl FnOnce(&mut Settings)) -> Box<S3Source> {
    let options: Options = serde_json::from_value(options).unwrap();
    let mut source = S3Source::new(options, &mut OptionErrors::default()).unwrap();
    change(&mut source.settings);
    Box::new(source)
}

/// Lines with numbers.
fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("line {number:06}\n")).collect()
}

fn deliver(batch: Batch) {
    batch.into_ack().deliver();
}

/// The lines that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects the lines until the guard is dropped.
    fn collect() -> (Self, DefaultGuard) {
        let log = Self::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_max_level(Level::DEBUG).with_writer(move || to.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// The fields of the lines with this message.
    fn fields(&self, message: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].take());
        lines.filter(|fields| fields["message"] == message).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
