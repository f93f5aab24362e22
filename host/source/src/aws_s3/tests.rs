//! The source against S3 and SQS in memory.

#[path = "../../../aws/tests/faults/double.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `wattle-aws`, which use more of it")]
mod double;
mod failures;
mod fake;
mod integrity;
mod messages;
mod objects;
mod resume;
mod walks;

use serde_json::Value;
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
