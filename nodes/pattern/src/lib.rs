//! The node `pattern`: finds the templates of log messages with Drain, labels each event with its template, and reports
//! how often each occurs.
//!
//! Pinjia He, Jieming Zhu, Zibin Zheng, Michael R. Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree",
//! IEEE International Conference on Web Services 2017, <https://doi.org/10.1109/ICWS.2017.13>. The README says what is
//! different here.

mod mask;
mod options;
mod prepare;
mod report;
mod seeds;
mod state;
mod store;
mod tree;
mod words;

use std::time::Duration;

use wattle_convert::time::Format;
use wattle_node::json::Kind;
use wattle_node::{
    Batch, Column, ColumnWriter, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, export_timed_node,
};
use wattle_snapshot::{EventId, Window, hash, write_hex};

pub use crate::options::{CustomMask, Mask, Options, Template};
use crate::prepare::Checked;
use crate::report::Reports;
use crate::seeds::Seeds;
use crate::store::{GroupId, Store};
use crate::words::{Splitter, Words};

/// Number of the port for reports.
const REPORTS: u8 = 1;
/// Period of ticks: with reports at most, and without.
const TICK: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(60);
/// Names of groups are cut to this many bytes; a hash keeps them apart.
const MAX_GROUP_BYTES: usize = 256;

/// The configured node. Keeps its memory from batch to batch.
pub struct Pattern {
    field: Field,
    group: Option<Field>,
    /// Read only for reports.
    timestamp: Option<Field>,
    id_field: Option<Field>,
    template_field: Option<Field>,
    splitter: Splitter,
    seeds: Seeds,
    learn: bool,
    warm_up: u64,
    sample: bool,
    /// Length of an interval in nanoseconds.
    interval: Option<i64>,
    /// The interval that the counts are about; `None` before the first call of the timer.
    window: Option<Window>,
    now: i64,
    id: EventId,
    limits: store::Limits,
    store: Store,
    words: Words,
}

impl Node for Pattern {
    const NAME: &'static str = "pattern";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Finds the templates of log messages, labels events, and reports how often each occurs.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let Checked { splitter, seeds, limits, interval } = prepare::check(&options, setup);
        let field = setup.read("field", &options.field);
        let group = options.group.as_deref().map(|path| setup.read("group", path));
        let timestamp = interval.map(|_| setup.read("interval", "timestamp"));
        let mut target = |name: &str, path: &str| (!path.is_empty()).then(|| setup.write_value(name, path));
        let id_field = target("id_field", &options.id_field);
        let template_field = target("template_field", &options.template_field);
        setup.ports(vec!["out".to_owned(), "reports".to_owned()]);
        // A node with a timer must ask for ticks, also if it makes no reports.
        setup.tick_every(interval.map_or(IDLE, |interval| Duration::from_nanos(interval.unsigned_abs()).min(TICK)));
        setup.share(options.group.clone().map_or(Sharing::Single, |group| Sharing::Key(vec![group])));
        let id = EventId::new(Self::NAME).with(options.field.as_bytes());
        let id = id.with(options.group.as_deref().unwrap_or_default().as_bytes()).with_number(interval.unwrap_or(0));
        let resolved = |field: Option<Option<Field>>| field.map_or(Some(None), |field| field.map(Some));
        Some(Self {
            field: field?,
            group: resolved(group)?,
            timestamp: resolved(timestamp)?,
            id_field: resolved(id_field)?,
            template_field: resolved(template_field)?,
            splitter,
            seeds,
            learn: options.learn,
            warm_up: options.warm_up,
            sample: options.sample,
            interval,
            window: None,
            now: 0,
            id,
            limits,
            store: Store::new(limits),
            words: Words::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let texts = batch.read(self.field, Form::Text);
        let groups = self.group.map(|field| batch.read(field, Form::Text));
        let times = self.timestamp.map(|field| batch.read(field, Form::Text));
        let mut clock = Clock::new(times, self.now);
        let mut group_of = GroupOf::new(groups);
        let rows = batch.len();
        let mut labels = Labels::new(self.id_field.is_some(), self.template_field.is_some(), rows);
        let (first_number, mut uncovered) = (self.store.next_number(), 0);
        for row in 0..rows {
            let group = group_of.row(row, &mut self.store);
            let time = clock.row(row);
            let text = if texts.kind(row) == Kind::Null { &[] } else { texts.row(row) };
            match self.row(group, text, time) {
                Some(slot) => labels.push(self.store.get(slot)),
                None => {
                    uncovered += 1;
                    labels.push(None);
                }
            }
        }
        labels.set(batch, self.id_field, self.template_field);
        batch.count("uncovered", uncovered);
        batch.count("new-patterns", self.store.next_number() - first_number);
        let evicted = std::mem::take(&mut self.store.evicted);
        batch.count("evicted-patterns", evicted.patterns);
        batch.count("evicted-events", evicted.events);
        Ok(())
    }
}

impl Pattern {
    /// Finds the pattern of an event and counts it. Returns the slot of the pattern for the label.
    fn row(&mut self, group: GroupId, text: &[u8], time: i64) -> Option<u32> {
        self.splitter.split(text, &mut self.words);
        let slot = if self.words.text().is_empty() { None } else { self.search(group) };
        let is_empty = self.words.text().is_empty();
        let group = self.store.groups.get_mut(group)?;
        group.counts.events += 1;
        let Some(slot) = slot else {
            *(if is_empty { &mut group.counts.no_text } else { &mut group.counts.unmatched }) += 1;
            return None;
        };
        let warms_up = group.learned < self.warm_up;
        if warms_up {
            group.learned += 1;
            group.counts.warm_up += 1;
        }
        self.store.touch(slot);
        let pattern = self.store.get_mut(slot)?;
        pattern.known_since = Some(pattern.known_since.map_or(time, |known| known.min(time)));
        if warms_up {
            return None;
        }
        if self.interval.is_some() {
            pattern.seen.add(time);
            if self.sample && pattern.seen.sample.is_empty() {
                pattern.seen.sample = String::from_utf8_lossy(self.words.text()).into();
            }
        }
        Some(slot)
    }

    /// The pattern of the words.
    fn search(&mut self, group: GroupId) -> Option<u32> {
        let key = hash(u64::from(group), self.words.text());
        if let Some(slot) = self.store.remembered(key) {
            return Some(slot);
        }
        let slot = match self.seeds.find(&mut self.words) {
            Some(seed) => self.store.seeded(group, &seed.text, seed.id),
            None if self.learn => self.store.learn(group, &mut self.words),
            None => None,
        }?;
        self.store.remember(key, slot);
        Some(slot)
    }

    /// Makes the reports of an interval, and begins to count from zero if it has ended.
    fn report(&mut self, window: Window, tick: &mut Tick<'_>) {
        let is_partial = self.now < window.end;
        let mut reports = Reports::new(window, is_partial, &self.id);
        let shows_group = self.group.is_some();
        let mut slots = self.store.by_age();
        let count = |store: &Store, slot: &u32| store.get(*slot).map_or(0, |pattern| pattern.seen.count);
        slots.sort_by_key(|slot| std::cmp::Reverse(count(&self.store, slot)));
        for id in self.store.groups.by_name() {
            let Some(group) = self.store.groups.get(id) else { continue };
            let (mut patterns, mut new) = (0, 0);
            let of_group = slots.iter().filter_map(|slot| self.store.get(*slot)).filter(|pattern| pattern.group == id);
            for pattern in of_group.filter(|pattern| pattern.seen.count > 0) {
                patterns += 1;
                new += u64::from(!pattern.is_known);
                let name = self.seeds.name(&pattern.text, pattern.id);
                reports.pattern(pattern, name, group, shows_group);
            }
            if group.counts.events > 0 {
                reports.coverage(group, patterns, new, shows_group);
            }
        }
        tick.emit(REPORTS, reports.events);
        if is_partial {
            return;
        }
        for slot in slots {
            if let Some(pattern) = self.store.get_mut(slot) {
                // A pattern of the warm-up is not new later.
                pattern.is_known = true;
                pattern.seen = store::Seen::default();
            }
        }
        self.store.begin_interval();
    }
}

impl Timed for Pattern {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.now = tick.now();
        let Some(length) = self.interval else { return Ok(()) };
        let window = self.window.unwrap_or_else(|| Window::at(self.now, length));
        let has_ended = self.now >= window.end;
        if has_ended || tick.is_last() {
            self.report(window, tick);
        }
        // The run ends, but the next one may continue with the state.
        self.window = Some(if has_ended { Window::at(self.now, length) } else { window });
        Ok(())
    }
}

impl Stateful for Pattern {
    const STATE_VERSION: u32 = state::VERSION;

    fn save(&self) -> Vec<u8> {
        state::save(self.window, self.limits.shape, &self.store)
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        let (mut store, mut window) = (Store::new(self.limits), None);
        for snapshot in snapshots {
            if snapshot.version != state::VERSION {
                return Err(format!("the snapshot has version {}, expected {}", snapshot.version, state::VERSION));
            }
            let saved = state::restore(&snapshot.bytes, self.limits.shape, &mut store)?;
            // Counts of an interval that another instance has already reported join those of the next one.
            window = window.into_iter().chain(saved).max_by_key(|window: &Window| window.start);
        }
        (self.store, self.window) = (store, window);
        Ok(())
    }
}

/// The times of the rows.
struct Clock {
    times: Option<Column>,
    now: i64,
    /// The row before and its time, since neighbours often have the same.
    last: (usize, i64),
}

impl Clock {
    fn new(times: Option<Column>, now: i64) -> Self {
        Self { times, now, last: (usize::MAX, now) }
    }

    /// The time of a row; that of the agent if it has none.
    fn row(&mut self, row: usize) -> i64 {
        let Some(times) = &self.times else { return self.now };
        let text = times.row(row);
        if self.last.0 == usize::MAX || times.row(self.last.0) != text {
            self.last = (row, Format::Auto.parse(text).unwrap_or(self.now));
        }
        self.last.1
    }
}

/// The groups of the rows.
struct GroupOf {
    names: Option<Column>,
    last: Option<(usize, GroupId)>,
}

impl GroupOf {
    const fn new(names: Option<Column>) -> Self {
        Self { names, last: None }
    }

    fn row(&mut self, row: usize, store: &mut Store) -> GroupId {
        if let Some((last, group)) = self.last
            && self.names.as_ref().is_none_or(|names| names.row(last) == names.row(row))
        {
            return group;
        }
        let name = self
            .names
            .as_ref()
            .map_or(&[][..], |names| if names.kind(row) == Kind::Null { &[] } else { names.row(row) });
        let group = match name.get(..MAX_GROUP_BYTES) {
            Some(start) if name.len() > MAX_GROUP_BYTES => {
                let mut short = start.utf8_chunks().next().map_or(&[][..], |chunk| chunk.valid().as_bytes()).to_vec();
                short.extend_from_slice(b"...");
                write_hex(hash(0, name), &mut short);
                store.group(&short)
            }
            _ => store.group(name),
        };
        self.last = Some((row, group));
        group
    }
}

/// The labels of the rows.
struct Labels {
    ids: Option<ColumnWriter>,
    templates: Option<ColumnWriter>,
}

impl Labels {
    fn new(ids: bool, templates: bool, rows: usize) -> Self {
        Self {
            ids: ids.then(|| ColumnWriter::with_capacity(rows * 16, rows)),
            templates: templates.then(|| ColumnWriter::with_capacity(rows * 64, rows)),
        }
    }

    fn push(&mut self, pattern: Option<&store::Pattern>) {
        if let Some(ids) = &mut self.ids {
            match pattern {
                Some(pattern) => {
                    write_hex(pattern.id, &mut ids.bytes);
                    ids.end_row();
                }
                None => ids.push_none(),
            }
        }
        if let Some(templates) = &mut self.templates {
            match pattern {
                Some(pattern) => templates.push(pattern.text.as_bytes()),
                None => templates.push_none(),
            }
        }
    }

    fn set(self, batch: &mut Batch<'_>, id_field: Option<Field>, template_field: Option<Field>) {
        for (field, column) in [(id_field, self.ids), (template_field, self.templates)] {
            if let (Some(field), Some(column)) = (field, column) {
                batch.set(field, Form::Text, column);
            }
        }
    }
}

export_timed_node!(Pattern);
