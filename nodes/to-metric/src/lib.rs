//! The node `to-metric`: makes metrics of fields of events.

mod event;
mod metric;
mod options;
mod prepare;
mod value;

use wattle_condition::{Check, Compiler, ReadFields, Spare};
use wattle_convert::time::Format;
use wattle_node::capabilities::metrics;
use wattle_node::export_timed_node;
use wattle_node::json::Kind as JsonKind;
use wattle_node::{Batch, Column, EventKind, Events, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed};
use wattle_sketch::Number;
use wattle_snapshot::{Damaged, Reader, Writer, align, hash};

use crate::metric::{END, Exemplar, MAX_DIMENSION_BYTES, Metric, OTHER, is_kept, keep};
pub use crate::options::Options;
use crate::prepare::{Input, Settings, Source};
use crate::value::Kind;

/// The port of the data points.
const METRICS: u8 = 1;

/// The configured node.
pub struct ToMetric {
    settings: Settings,
    condition: Option<Check>,
    metrics: Vec<(Metric, Input)>,
    /// Metrics of former options with the begin of their interval; the first tick makes their last data points.
    former: Vec<(Metric, i64)>,
    /// The time of the last tick.
    now: i64,
    /// Begin of the interval; `None` before the first tick.
    since: Option<i64>,
    bytes: usize,
    fields: ReadFields,
    columns: Vec<Column>,
    spare: Spare,
    key: Vec<u8>,
}

/// Counts of a batch.
#[derive(Default)]
struct Tally {
    other: u64,
    not_a_number: u64,
    negative: u64,
    cut: u64,
}

impl Node for ToMetric {
    const NAME: &'static str = "to-metric";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Makes counters, gauges, sums and histograms of fields of events.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(ReadFields::default());
        let (settings, condition, metrics) = prepare::prepare(&options, &mut compiler, setup)?;
        setup.ports(vec!["out".to_owned(), "metrics".to_owned()]);
        setup.tick_every(prepare::tick(&settings));
        // Two instances with the same series would make two data points of one time.
        setup.share(Sharing::Single);
        Some(Self {
            settings,
            condition,
            metrics,
            former: Vec::new(),
            now: 0,
            since: None,
            bytes: 0,
            fields: compiler.into_resolver(),
            columns: Vec::new(),
            spare: Spare::default(),
            key: Vec::new(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.fields.read(batch, &mut self.columns);
        let mut open = self.spare.copy_of(&vec![true; batch.len()]);
        if let Some(check) = &self.condition {
            check.narrow(&self.columns, &mut open, &mut self.spare);
        }
        let mut tally = Tally::default();
        let since = self.since.unwrap_or(self.now);
        for (metric, input) in &mut self.metrics {
            let mut rows = self.spare.copy_of(&open);
            if let Some(check) = &input.check {
                check.narrow(&self.columns, &mut rows, &mut self.spare);
            }
            let before = metric.bytes;
            let mut counting = Counting {
                metric,
                input,
                columns: &self.columns,
                timestamp: self.settings.timestamp,
                times: (since, self.now),
                max_bytes: self.settings.max_bytes.saturating_sub(self.bytes - before),
                key: &mut self.key,
                tally: &mut tally,
            };
            for row in rows.iter().enumerate().filter(|(_, hit)| **hit).map(|(row, _)| row) {
                counting.count(row);
            }
            metric.expose();
            self.bytes = self.bytes - before + metric.bytes;
            self.spare.give_back(rows);
        }
        self.spare.give_back(open);
        // The columns are spans of the host's buffers; drop them before the batch ends.
        self.columns.clear();
        batch.count("other", tally.other);
        batch.count("not-a-number", tally.not_a_number);
        batch.count("negative", tally.negative);
        batch.count("value-cut", tally.cut);
        Ok(())
    }
}

/// Counts the rows of a batch for a metric.
struct Counting<'a> {
    metric: &'a mut Metric,
    input: &'a Input,
    columns: &'a [Column],
    timestamp: Option<usize>,
    /// Begin of the interval, and now.
    times: (i64, i64),
    /// Bytes that the metric may take.
    max_bytes: usize,
    key: &'a mut Vec<u8>,
    tally: &'a mut Tally,
}

impl Counting<'_> {
    fn count(&mut self, row: usize) {
        let Some(number) = self.number(row) else { return };
        let place = self.place(row);
        let max = self.input.max_exemplars;
        let (columns, input, timestamp) = (self.columns, self.input, self.timestamp);
        let Some(series) = self.metric.add(place, number, self.times.1) else { return };
        if max > 0 && is_kept(&series.exemplars, max, number) {
            let text = timestamp.and_then(|at| columns.get(at)).map(|column| column.row(row)).unwrap_or_default();
            let time = Format::Auto.parse(text).unwrap_or(self.times.1);
            let mut attributes = Vec::new();
            let texts = input.exemplar.iter().map(|source| (source.name.as_str(), text_of(source, columns, row).0));
            event::write_texts(texts, &mut attributes);
            keep(&mut series.exemplars, max, Exemplar { value: number, time, attributes: attributes.into() });
        }
    }

    fn number(&mut self, row: usize) -> Option<Number> {
        let Some(column) = self.input.column else { return Some(Number::Int(1)) };
        let column = self.columns.get(column)?;
        let number = match column.kind(row) {
            JsonKind::Missing | JsonKind::Null => return None,
            JsonKind::Number | JsonKind::String => Number::parse(column.row(row)),
            _ => None,
        };
        let Some(number) = number else {
            self.tally.not_a_number += 1;
            return None;
        };
        if self.metric.spec.kind == Kind::Counter && number.compare(Number::Int(0)).is_lt() {
            self.tally.negative += 1;
            return None;
        }
        Some(number)
    }

    /// The place of the series of a row.
    fn place(&mut self, row: usize) -> usize {
        self.key.clear();
        for source in &self.input.dimensions {
            let (text, is_cut) = text_of(source, self.columns, row);
            self.tally.cut += u64::from(is_cut);
            self.key.extend_from_slice(text);
            self.key.push(END);
        }
        if let Some(place) = self.metric.find(hash(0, self.key), self.key) {
            return place;
        }
        let max = self.input.max_exemplars;
        let bytes = self.metric.bytes + self.metric.series_bytes(self.key, max);
        if self.metric.series.len() >= self.input.max_series || bytes > self.max_bytes {
            self.key.clear();
            for _ in &self.input.dimensions {
                self.key.extend_from_slice(OTHER);
                self.key.push(END);
            }
            self.tally.other += u64::from(!self.input.dimensions.is_empty());
            if let Some(place) = self.metric.find(hash(0, self.key), self.key) {
                return place;
            }
        }
        self.metric.insert(self.key, self.times.0, max)
    }
}

/// The text of a dimension, and whether it was cut.
fn text_of<'a>(source: &'a Source, columns: &'a [Column], row: usize) -> (&'a [u8], bool) {
    let Some(column) = columns.get(source.column).filter(|column| column.kind(row) > JsonKind::Null) else {
        return (source.default.as_bytes(), false);
    };
    let text = column.row(row);
    // A body can have other bytes than UTF-8: what is before them is the text.
    let valid = text.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default();
    let mut end = valid.len().min(MAX_DIMENSION_BYTES);
    while !valid.is_char_boundary(end) {
        end -= 1;
    }
    (text.get(..end).unwrap_or_default(), end < text.len())
}

impl ToMetric {
    /// Makes the data points of an interval. Returns how many have a sum that is out of range.
    fn make(&mut self, start: i64, end: i64, made: &mut Events) -> u64 {
        let Settings { expire_after, has_zeros, .. } = self.settings;
        let mut out_of_range = 0;
        for (metric, input) in &mut self.metrics {
            out_of_range += make(metric, (start, end), has_zeros, made);
            let is_delta = !metric.spec.is_cumulative;
            let is_exposed = metric.exposed_as.is_some();
            metric.retain(input.max_exemplars, |series| {
                let is_needless = is_delta && !has_zeros && !is_exposed;
                !is_needless && end.saturating_sub(series.last) < expire_after
            });
            if let Some((name, _)) = &metric.exposed_as {
                #[expect(clippy::cast_precision_loss, reason = "a number of series")]
                metrics::set(metrics::gauge("to_metric_series", &[("metric", name)]), metric.series.len() as f64);
            }
        }
        self.bytes = self.metrics.iter().map(|(metric, _)| metric.bytes).sum();
        out_of_range
    }
}

/// Makes the data points of a metric, in the order of its dimensions. Returns how many have a sum that is out of range.
fn make(metric: &mut Metric, (since, end): (i64, i64), has_zeros: bool, made: &mut Events) -> u64 {
    let mut out_of_range = 0;
    let (spec, is_delta) = (&metric.spec, !metric.spec.is_cumulative);
    let mut order: Vec<usize> = (0..metric.series.len()).collect();
    order.sort_unstable_by_key(|place| metric.series.get(*place).map(|series| &*series.key));
    for place in order {
        let Some(series) = metric.series.get_mut(place) else { continue };
        let is_zero = has_zeros && spec.kind != Kind::Gauge;
        if is_delta && !series.is_changed && !is_zero {
            continue;
        }
        let start = if is_delta || spec.kind == Kind::Gauge { since } else { series.start };
        out_of_range += u64::from(series.value.is_out_of_range());
        event::write(spec, series, (start, end), made);
        if is_delta && spec.kind != Kind::Gauge {
            series.value = spec.kind.start();
        }
        series.exemplars.clear();
        series.is_changed = false;
    }
    out_of_range
}

impl Timed for ToMetric {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.now = tick.now();
        let mut made = Events::new(EventKind::Metric);
        let mut out_of_range = 0;
        for (mut metric, since) in self.former.drain(..) {
            out_of_range += make(&mut metric, (since, self.now.max(since)), false, &mut made);
        }
        let interval = self.settings.interval;
        let since = *self.since.get_or_insert(self.now);
        // After a restart, the data point ends where it would have ended without one, so that it has the same id.
        let end = align(since, interval).saturating_add(interval);
        if self.now >= end {
            out_of_range += self.make(since, end, &mut made);
            self.since = Some(align(self.now, interval));
        } else if tick.is_last() {
            out_of_range += self.make(since, self.now, &mut made);
            self.since = Some(self.now);
        }
        tick.emit(METRICS, made);
        if out_of_range > 0 {
            tick.count("out-of-range", out_of_range);
        }
        Ok(())
    }
}

impl Stateful for ToMetric {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.signed(self.now);
        let own = self.metrics.iter().map(|(metric, _)| (metric, self.since));
        let former = self.former.iter().map(|(metric, since)| (metric, Some(*since)));
        writer.size(self.metrics.len() + self.former.len());
        for (metric, since) in own.chain(former) {
            writer.time(since);
            metric.save(&mut writer);
        }
        writer.finish()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        for snapshot in snapshots {
            if snapshot.version != Self::STATE_VERSION {
                return Err(format!("version {} of the state is unknown", snapshot.version));
            }
            self.restore_one(&snapshot.bytes)?;
        }
        self.bytes = self.metrics.iter().map(|(metric, _)| metric.bytes).sum();
        Ok(())
    }
}

impl ToMetric {
    fn restore_one(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes)?;
        self.now = self.now.max(reader.signed()?);
        for _ in 0..reader.size(2)? {
            let since = reader.time()?;
            let metric = Metric::restore(&mut reader)?;
            let is_same = |known: &Metric| known.spec.bytes == metric.spec.bytes;
            if let Some((known, input)) = self.metrics.iter_mut().find(|(known, _)| is_same(known)) {
                known.merge(metric, input.max_exemplars);
                self.since = self.since.into_iter().chain(since).min();
            } else if let Some((known, _)) = self.former.iter_mut().find(|(known, _)| is_same(known)) {
                known.merge(metric, prepare::MAX_EXEMPLARS);
            } else if let Some(since) = since
                && metric.series.iter().any(|series| series.is_changed)
            {
                self.former.push((metric, since));
            }
        }
        reader.end()
    }
}

export_timed_node!(ToMetric);
