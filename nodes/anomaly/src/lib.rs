//! The node `anomaly`: counts events by key, and reports keys that are new or have vanished, and counts that differ from
//! those at the same time of earlier days.

mod detector;
mod finding;
mod grid;
mod key;
mod options;
mod prepare;
mod state;
mod statistics;

use std::time::Duration;

use wattle_condition::{Check, Compiler, OneOrMany, ReadFields, Spare};
use wattle_convert::time::Format;
use wattle_node::json::Kind as JsonKind;
use wattle_node::{
    Batch, Column, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, export_timed_node,
};
use wattle_snapshot::{EventId, hash, write_hex};

use crate::detector::{Counts, Detector};
use crate::finding::SEPARATOR;
pub use crate::options::{Kind, Options};
use crate::prepare::Checked;

/// Number of the port for findings.
const FINDINGS: u8 = 1;
/// Values of keys are cut to this many bytes; a hash keeps them apart.
const MAX_VALUE: usize = 256;
/// Period of ticks, where no interval is shorter.
const TICK: i64 = 10_000_000_000;

/// The configured node.
pub struct Anomaly {
    keys: Vec<Field>,
    /// Names of the fields of the key.
    names: Vec<String>,
    count_field: Option<Field>,
    sample_field: Option<Field>,
    timestamp: Field,
    changes: Option<Check>,
    fields: ReadFields,
    columns: Vec<Column>,
    spare: Spare,
    /// In nanoseconds.
    delay: i64,
    quiet: i64,
    tick: i64,
    last_tick: Option<i64>,
    id: EventId,
    detector: Detector,
    name: Vec<u8>,
}

impl Node for Anomaly {
    const NAME: &'static str = "anomaly";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Reports keys that are new or vanished, and counts that differ from earlier days.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let checked = prepare::check(&options, setup);
        let mut compiler = Compiler::new(ReadFields::default());
        let changes = options.changes.as_ref().map(|changes| compiler.condition("changes", changes, setup));
        let (names, is_list) = match options.key {
            OneOrMany::One(field) => (vec![field], false),
            OneOrMany::Many(fields) => (fields, true),
        };
        if names.is_empty() {
            setup.error("key", "needs at least one field, such as `attributes.pattern_id`");
        }
        let at = |number: usize| if is_list { format!("key[{number}]") } else { "key".to_owned() };
        let keys: Vec<_> = names.iter().enumerate().map(|(number, path)| setup.read(&at(number), path)).collect();
        let count_field = options.count_field.as_deref().map(|path| setup.read("count_field", path));
        let sample_field = (options.samples > 0).then(|| setup.read("sample_field", &options.sample_field));
        let timestamp = setup.read("key", "timestamp");
        setup.ports(vec!["out".to_owned(), "findings".to_owned()]);
        let Checked { grid, settings, delay, quiet } = checked?;
        let tick = grid.interval.min(TICK);
        setup.tick_every(Duration::from_nanos(tick.unsigned_abs()));
        setup.share(Sharing::Single);
        let resolved = |field: Option<Option<Field>>| field.map_or(Some(None), |field| field.map(Some));
        let id = names.iter().fold(EventId::new(Self::NAME), |id, name| id.with(name.as_bytes()));
        Some(Self {
            keys: keys.into_iter().collect::<Option<_>>().filter(|keys: &Vec<_>| !keys.is_empty())?,
            names,
            count_field: resolved(count_field)?,
            sample_field: resolved(sample_field)?,
            timestamp: timestamp?,
            changes: match changes {
                Some(changes) => Some(changes?),
                None => None,
            },
            fields: compiler.into_resolver(),
            columns: Vec::new(),
            spare: Spare::default(),
            delay,
            quiet,
            tick,
            last_tick: None,
            id: id.with_number(grid.interval),
            detector: Detector::new(grid, settings),
            name: Vec::new(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let keys: Vec<Column> = self.keys.iter().map(|field| batch.read(*field, Form::Text)).collect();
        let counts = self.count_field.map(|field| batch.read(field, Form::Text));
        let samples = self.sample_field.map(|field| batch.read(field, Form::Text));
        let times = batch.read(self.timestamp, Form::Text);
        self.announced(batch, &times);
        let now = self.detector.grid.index(self.last_tick.unwrap_or(0));
        let (mut no_key, mut no_count) = (0, 0);
        let (mut last_time, mut index) = (None, now);
        for row in 0..batch.len() {
            if !self.read_name(&keys, row) {
                no_key += 1;
                continue;
            }
            let count = counts.as_ref().map_or(Some(1), |counts| number(counts.row(row)));
            let Some(count) = count else {
                no_count += 1;
                continue;
            };
            // Neighbours often have the same time.
            if last_time != Some(times.row(row)) {
                index = Format::Auto.parse(times.row(row)).map_or(now, |time| self.detector.grid.index(time));
                last_time = Some(times.row(row));
            }
            let Some((place, index)) = self.detector.add(&self.name, index, now, count) else { continue };
            let most = self.detector.settings.max_samples;
            if let (Some(samples), Some(key)) = (&samples, self.detector.keys.get_mut(place)) {
                key.sample(index, most, samples.row(row));
            }
        }
        batch.count("no-key", no_key);
        batch.count("no-count", no_count);
        let Counts { late, evicted, quiet, limited } = std::mem::take(&mut self.detector.counts);
        batch.count("late", late);
        batch.count("evicted-keys", evicted);
        // Those of snapshots; others are counted where they are made.
        batch.count("quiet-findings", quiet);
        batch.count("findings-limit", limited);
        Ok(())
    }
}

impl Anomaly {
    /// Begins a quiet time with each event that announces a change.
    fn announced(&mut self, batch: &mut Batch<'_>, times: &Column) {
        let Some(changes) = &self.changes else { return };
        self.fields.read(batch, &mut self.columns);
        let mut hits = vec![true; batch.len()];
        changes.narrow(&self.columns, &mut hits, &mut self.spare);
        self.columns.clear();
        let now = self.last_tick.unwrap_or(0);
        for (row, _) in hits.iter().enumerate().filter(|(_, hit)| **hit) {
            // A change is announced when it happens, or before; an old one must not end the quiet time too early.
            let time = Format::Auto.parse(times.row(row)).unwrap_or(now);
            let grid = &self.detector.grid;
            let (from, to) = (grid.index(time), grid.index(time.max(now).saturating_add(self.quiet)));
            self.detector.be_quiet(from, to);
            batch.count("changes", 1);
        }
    }

    /// Reads the key of a row. Returns `false` if it has none.
    fn read_name(&mut self, keys: &[Column], row: usize) -> bool {
        self.name.clear();
        let mut is_there = false;
        for (number, column) in keys.iter().enumerate() {
            if number > 0 {
                self.name.push(SEPARATOR);
            }
            if matches!(column.kind(row), JsonKind::Missing | JsonKind::Null) {
                continue;
            }
            is_there = true;
            let value = column.row(row);
            match value.get(..MAX_VALUE) {
                Some(start) if value.len() > MAX_VALUE => {
                    let whole = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                    self.name.extend_from_slice(whole.as_bytes());
                    self.name.extend_from_slice(b"...");
                    write_hex(hash(0, value), &mut self.name);
                }
                _ if std::str::from_utf8(value).is_ok() => self.name.extend_from_slice(value),
                // The separator is no UTF-8, so it must not occur in a value.
                _ => self.name.extend_from_slice(String::from_utf8_lossy(value).as_bytes()),
            }
        }
        is_there
    }
}

/// A whole number of events; fractions do not count.
fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and `as` saturates")]
    let number = number as u64;
    Some(number)
}

impl Timed for Anomaly {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        let (now, last) = (tick.now(), self.last_tick.replace(tick.now()));
        let index = self.detector.grid.index(now);
        self.detector.start(index);
        // Nothing was counted between two ticks that are far apart. Short stops are no gap: sources go on where they were.
        let gap = self.delay.max(self.tick.saturating_mul(3));
        if let Some(last) = last
            && now.saturating_sub(last) > gap
        {
            self.detector.skip(self.detector.grid.index(last), index);
        }
        let wait = if tick.is_last() { 0 } else { self.delay };
        while let Some(next) = self.detector.next
            && self.detector.grid.start(next + 1).saturating_add(wait) <= now
        {
            let Some((ended, found)) = self.detector.end_interval() else { break };
            tick.emit(FINDINGS, finding::events(ended, &found, &self.detector, &self.names, &self.id));
        }
        let Counts { quiet, limited, .. } = self.detector.counts;
        (self.detector.counts.quiet, self.detector.counts.limited) = (0, 0);
        for (name, count) in [("quiet-findings", quiet), ("findings-limit", limited)] {
            if count > 0 {
                tick.count(name, count);
            }
        }
        Ok(())
    }
}

impl Stateful for Anomaly {
    const STATE_VERSION: u32 = state::VERSION;

    fn save(&self) -> Vec<u8> {
        state::save(self.last_tick, &self.detector)
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        let mut last_tick = None;
        let mut detector: Option<Detector> = None;
        for snapshot in snapshots {
            if snapshot.version != state::VERSION {
                return Err(format!("the snapshot has version {}, expected {}", snapshot.version, state::VERSION));
            }
            let saved = state::read(&snapshot.bytes, &self.detector)?;
            last_tick = last_tick.max(saved.last_tick);
            match &mut detector {
                Some(detector) => state::merge(detector, saved.detector),
                None => detector = Some(saved.detector),
            }
        }
        if let Some(detector) = detector {
            (self.detector, self.last_tick) = (detector, last_tick);
        }
        Ok(())
    }
}

export_timed_node!(Anomaly);
