//! The source `demo`: generates CloudTrail documents.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::ColumnBuilder;
use wattle_generator::{DocumentSize, Generator};
use wattle_options::{Number, OptionError, Period};

use crate::assemble::{BatchLimits, Chunk};

use crate::error::SourceError;
use crate::outbox::{Intake, Outbox};
use crate::source::{Source, SourceContext, Stop};
use crate::stats::{SourceStats, add};
use crate::thread::Worker;

/// Interval at which a stop is checked.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Number of documents with `once`, since the generator has no end.
const DOCUMENTS_ONCE: u64 = 100;

/// The options of a `demo` source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// What the source generates; `cloudtrail` is the only format. Default: `cloudtrail`.
    #[serde(rename = "format")]
    _format: Format,
    /// Seed of the generator: the same seed and options give the same bytes. Default: 0.
    seed: Number<u64>,
    /// Number of documents. Default: no end, or 100 with `wattle run --once`.
    documents: Option<Number<u64>>,
    /// Records in a document: a number, a range, or `natural`, as CloudTrail delivers them.
    /// Default: `natural`.
    records_per_document: Records,
    /// Time between documents. Default: none.
    interval: Option<Period>,
    /// Documents per second. Default: without `interval`, as fast as the pipeline accepts them.
    rate: Option<Number<f64>>,
    /// Layout of the JSON. Default: `compact`.
    form: Form,
    /// Shape of a document. With `ndjson` each record is an event; otherwise each document is.
    /// Default: `records`.
    shape: Shape,
    /// Share of records with an `errorCode`, from 0 to 1. Default: 0.1.
    error_rate: Number<f64>,
    /// Share of records with a readable `accessKeyId`, from 0 to 1. Default: 0.6.
    secret_rate: Number<f64>,
}

impl Default for Options {
    fn default() -> Self {
        let generator = wattle_generator::Options::default();
        Self {
            _format: Format::default(),
            seed: Number(0),
            documents: None,
            records_per_document: Records::Named(Natural::Natural),
            interval: None,
            rate: None,
            form: Form::default(),
            shape: Shape::default(),
            error_rate: Number(generator.error_rate),
            secret_rate: Number(generator.secret_rate),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    CloudTrail,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Compact,
    Pretty,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Shape {
    #[default]
    Records,
    Array,
    Ndjson,
    CloudWatch,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number, a range such as [1, 50], or `natural`")]
enum Records {
    Named(Natural),
    Fixed(Number<u64>),
    Between(Number<u64>, Number<u64>),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Natural {
    Natural,
}

/// Maximum number of records in one document; this is about 800 MB.
const MAX_RECORDS: u64 = 500_000;

impl Records {
    fn size(&self) -> Option<DocumentSize> {
        let known = |n: &Number<u64>| u32::try_from(n.0).ok().filter(|&n| u64::from(n) <= MAX_RECORDS);
        Some(match self {
            Self::Named(Natural::Natural) => DocumentSize::Natural,
            Self::Fixed(n) => DocumentSize::Fixed(known(n)?),
            Self::Between(low, high) => {
                let range: RangeInclusive<u32> = known(low)?..=known(high)?;
                if range.is_empty() {
                    return None;
                }
                DocumentSize::Between(range)
            }
        })
    }
}

/// The source, ready to run.
pub(crate) struct Demo {
    generator: Generator,
    documents: Option<u64>,
    /// Time between documents; zero for no pause.
    period: Duration,
    is_lines: bool,
}

impl Demo {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        let mut errors = Vec::new();
        let size = options.records_per_document.size();
        if size.is_none() {
            let message = format!("must be a number, or a range from low to high, of at most {MAX_RECORDS} records");
            errors.push(OptionError::new("records_per_document", message));
        }
        let period = match (&options.interval, &options.rate) {
            (Some(_), Some(_)) => {
                errors.push(OptionError::new("rate", "has the same effect as `interval`; set only one of them"));
                None
            }
            (Some(interval), None) => Some(interval.0),
            (None, Some(rate)) => {
                let period = Duration::try_from_secs_f64(1.0 / rate.0).ok();
                if period.is_none() {
                    errors.push(OptionError::new("rate", format!("`{}` is not greater than 0", rate.0)));
                }
                period
            }
            (None, None) => None,
        };
        for (name, share) in [("error_rate", options.error_rate), ("secret_rate", options.secret_rate)] {
            if !(0.0..=1.0).contains(&share.0) {
                errors.push(OptionError::new(name, format!("`{}` is not a share from 0 to 1", share.0)));
            }
        }
        let generator = Generator::new(wattle_generator::Options {
            seed: options.seed.0,
            form: match options.form {
                Form::Compact => wattle_generator::Form::Compact,
                Form::Pretty => wattle_generator::Form::Pretty,
            },
            shape: match options.shape {
                Shape::Records => wattle_generator::Shape::Records,
                Shape::Array => wattle_generator::Shape::Array,
                Shape::Ndjson => wattle_generator::Shape::Ndjson,
                Shape::CloudWatch => wattle_generator::Shape::CloudWatch,
            },
            records_per_document: size.unwrap_or_default(),
            error_rate: options.error_rate.0,
            secret_rate: options.secret_rate.0,
            ..wattle_generator::Options::default()
        });
        let demo = Self {
            generator,
            documents: options.documents.map(|n| n.0),
            period: period.unwrap_or_default(),
            is_lines: options.shape == Shape::Ndjson,
        };
        if errors.is_empty() { Ok(demo) } else { Err(errors) }
    }
}

impl Source for Demo {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let documents = self.documents.or(context.once.then_some(DOCUMENTS_ONCE));
            let (limits, stop, stats) = (context.limits, context.stop.clone(), context.stats.clone());
            let thread = format!("{}-generate", context.name);
            let (output, outbox) = Outbox::new(context, "demo");
            let producer = Producer { documents, demo: *self, limits, stop, stats: stats.clone(), output };
            let worker = Worker::spawn(thread, move || {
                producer.run();
                Ok(())
            })?;
            stats.start();
            outbox.run().await;
            worker.finished().await
        })
    }
}

struct Producer {
    demo: Demo,
    documents: Option<u64>,
    limits: BatchLimits,
    stop: Stop,
    stats: Arc<SourceStats>,
    output: Intake,
}

/// A batch under construction.
struct Draft {
    builder: ColumnBuilder,
    since: Instant,
}

impl Producer {
    fn run(mut self) {
        let start = Instant::now();
        let mut made = 0_u64;
        let mut draft = None;
        while self.documents.is_none_or(|documents| made < documents) && !self.stop.is_stopped() {
            // Relative to the start, so that the source catches up after it waited for the queue.
            let due = start + self.demo.period.mul_f64(made as f64);
            let flush = draft.as_ref().map(|draft: &Draft| draft.since + self.limits.max_age);
            if flush.is_some_and(|flush| flush < due) && !self.send(draft.take()) {
                return;
            }
            if !self.wait_until(due) {
                break;
            }
            draft = self.write_document(draft);
            made += 1;
            let full = draft.as_ref().is_some_and(|d| self.limits.reached(d.builder.byte_len(), d.builder.rows()));
            if full && !self.send(draft.take()) {
                return;
            }
        }
        self.send(draft);
    }

    /// Appends a document, as one event or as one event per line.
    fn write_document(&mut self, draft: Option<Draft>) -> Option<Draft> {
        let mut draft = draft.unwrap_or_else(|| Draft { builder: ColumnBuilder::default(), since: Instant::now() });
        let records = self.demo.generator.document_size();
        // A column can hold 4 GiB; a batch within its limits and one document need only a fraction.
        if self.demo.is_lines {
            let mut lines = Vec::new();
            self.demo.generator.next_document(records, &mut lines);
            for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let _ = draft.builder.push(line);
            }
        } else {
            self.demo.generator.next_document(records, draft.builder.buffer());
            let _ = draft.builder.finish_row();
        }
        (draft.builder.rows() > 0).then_some(draft)
    }

    /// Returns whether the receiver still accepts batches.
    fn send(&self, draft: Option<Draft>) -> bool {
        let Some(draft) = draft else { return true };
        let column = draft.builder.finish();
        add(&self.stats.read_bytes, column.byte_len() as u64);
        self.output.send(Chunk { column, end: 0, marks: Vec::new() }).is_ok()
    }

    /// Waits; returns false if the source stops first.
    fn wait_until(&self, due: Instant) -> bool {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.is_stopped() || self.output.is_unwanted() {
                return left.is_zero();
            }
            std::thread::sleep(left.min(STOP_CHECK));
        }
    }
}

#[cfg(test)]
mod tests;
