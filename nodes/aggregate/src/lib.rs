//! The node `aggregate`: one event for each key and window, with counts, sums, quantiles and more of its events.

mod definition;
mod event;
mod function;
mod options;
mod pane;
mod prepare;
mod windows;

use wattle_condition::{Check, Compiler, ReadFields, Spare};
use wattle_convert::time::Format;
use wattle_node::json::Kind;
use wattle_node::{Batch, Column, Node, Setup, Snapshot, Stateful, Tick, Timed, export_timed_node};
use wattle_snapshot::{Damaged, Reader, Writer, align};

use crate::event::Made;
use crate::function::{Given, Missed, write_value};
pub use crate::options::Options;
use crate::options::{Mode, OnLate};
use crate::pane::{END, MAX_KEY_BYTES};
use crate::prepare::Prepared;
use crate::windows::{Fate, Windows};

/// The port of the events that the node makes.
const WINDOWS: u8 = 1;
/// The port of late events.
const LATE: u8 = 2;

/// The value of each field of the key of events that are counted together because a limit is reached.
const OTHER: &[u8] = b"\"_other\"";

/// The configured node.
pub struct Aggregate {
    prepared: Prepared,
    windows: Windows,
    /// Open windows of former options, which the first tick makes.
    former: Vec<Windows>,
    mode: Mode,
    on_late: OnLate,
    /// The time of the last tick.
    now: i64,
    /// The time of the last batch with events of this node, by the last tick before it.
    last_event: Option<i64>,
    fields: ReadFields,
    rows: Rows,
}

/// What the rows of a batch need, kept from batch to batch.
#[derive(Default)]
struct Rows {
    columns: Vec<Column>,
    spare: Spare,
    key: Vec<u8>,
    other: Vec<u8>,
    counted: Vec<u32>,
    late: Vec<u32>,
    ahead: Vec<u32>,
}

/// Counts of a batch.
#[derive(Default)]
struct Tally {
    late_in_part: u64,
    other: u64,
    key_too_long: u64,
    out_of_range: u64,
}

impl Node for Aggregate {
    const NAME: &'static str = "aggregate";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Makes one event for each key and window, with counts, sums, quantiles and more of its events.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(ReadFields::default());
        let prepared = prepare::prepare(&options, &mut compiler, setup)?;
        let on_late = prepare::on_late(&options);
        let mut ports = vec!["out".to_owned(), "windows".to_owned()];
        if on_late == OnLate::Port {
            ports.push("late".to_owned());
        }
        setup.ports(ports);
        setup.tick_every(prepared.tick);
        setup.share(prepared.sharing.clone());
        let windows = Windows::new(prepared.definition.clone(), prepared.limits);
        let other = prepared.by.iter().flat_map(|_| OTHER.iter().copied().chain([END])).collect();
        Some(Self {
            prepared,
            windows,
            former: Vec::new(),
            mode: options.mode,
            on_late,
            now: 0,
            last_event: None,
            fields: compiler.into_resolver(),
            rows: Rows { other, ..Rows::default() },
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let rows = &mut self.rows;
        self.fields.read(batch, &mut rows.columns);
        rows.counted.clear();
        rows.late.clear();
        rows.ahead.clear();
        let mut open = rows.spare.copy_of(&vec![true; batch.len()]);
        if let Some(check) = &self.prepared.condition {
            check.narrow(&rows.columns, &mut open, &mut rows.spare);
        }
        let mut hits = |check: &Check| {
            let mut hits = rows.spare.copy_of(&open);
            check.narrow(&rows.columns, &mut hits, &mut rows.spare);
            hits
        };
        let hits: Vec<Vec<bool>> = self.prepared.conditions.iter().map(&mut hits).collect();
        let (mut made, mut tally) = (Made::new(), Tally::default());
        for row in open.iter().enumerate().filter(|(_, open)| **open).map(|(row, _)| row) {
            self.count(row, &hits, &mut made, &mut tally);
        }
        let rows = &mut self.rows;
        rows.spare.give_back(open);
        hits.into_iter().for_each(|hits| rows.spare.give_back(hits));
        // The columns are spans of the host's buffers; drop them before the batch ends.
        rows.columns.clear();
        if !rows.counted.is_empty() {
            self.last_event = Some(self.now);
        }
        self.decide(batch);
        if let Some(time) = self.prepared.event_time {
            self.windows.close_behind_newest(time.lateness, &mut made);
        }
        batch.emit(WINDOWS, made.events);
        tally.out_of_range = made.out_of_range;
        self.report(tally, |name, count| batch.count(name, count));
        Ok(())
    }
}

impl Aggregate {
    /// Counts an event, or finds that it is late.
    fn count(&mut self, row: usize, hits: &[Vec<bool>], made: &mut Made, tally: &mut Tally) {
        let Rows { columns, key, other, counted, late, ahead, .. } = &mut self.rows;
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let time = match self.prepared.event_time {
            // The clock may have been set back while the agent was stopped.
            None => self.now.max(self.windows.watermark()),
            Some(event) => {
                let text = columns.get(event.column).map(|column| column.row(row)).unwrap_or_default();
                let time = Format::Auto.parse(text).unwrap_or(self.now);
                if time > self.now.saturating_add(event.max_ahead) {
                    return ahead.push(number);
                }
                match self.windows.fate(time) {
                    Fate::Late => return late.push(number),
                    Fate::LateInPart => tally.late_in_part += 1,
                    Fate::Open => {}
                }
                time
            }
        };
        counted.push(number);
        key.clear();
        for column in self.prepared.by.iter().filter_map(|by| columns.get(*by)) {
            write_value(column.kind(row), column.row(row), key);
            key.push(END);
        }
        let values = &self.prepared.definition.values;
        let inputs = &self.prepared.inputs;
        let add = |states: &mut [function::State], missed: &mut Missed| {
            let mut grown = 0;
            for (((_, function), input), state) in values.iter().zip(inputs).zip(states) {
                if input.condition.and_then(|at| hits.get(at)?.get(row)).is_some_and(|hit| !hit) {
                    continue;
                }
                let given = match input.column.and_then(|at| columns.get(at)) {
                    None => Given { kind: Kind::Bool, text: b"true", time },
                    Some(column) if column.kind(row) > Kind::Null => {
                        Given { kind: column.kind(row), text: column.row(row), time }
                    }
                    Some(_) => continue,
                };
                grown += function.add(state, given, missed);
            }
            grown
        };
        let is_other = self.windows.update(time, (key, other), made, add);
        let is_too_long = key.len() > MAX_KEY_BYTES;
        tally.key_too_long += u64::from(is_too_long);
        tally.other += u64::from(is_other && !is_too_long);
    }

    /// Decides what happens to the rows.
    fn decide(&self, batch: &mut Batch<'_>) {
        let Rows { counted, late, ahead, .. } = &self.rows;
        if self.mode == Mode::Hold {
            batch.hold(counted);
        }
        match self.on_late {
            OnLate::Drop => {
                batch.drop_rows(late, "late");
                batch.drop_rows(ahead, "ahead");
                return;
            }
            OnLate::Pass => {}
            OnLate::Port if late.is_empty() && ahead.is_empty() => {}
            OnLate::Port => {
                let mut ports = vec![0; batch.len()];
                for row in late.iter().chain(ahead) {
                    if let Some(port) = ports.get_mut(*row as usize) {
                        *port = LATE;
                    }
                }
                batch.route(&ports);
            }
        }
        batch.count("late", late.len() as u64);
        batch.count("ahead", ahead.len() as u64);
    }

    /// Reports what limits left out.
    fn report(&mut self, tally: Tally, mut count: impl FnMut(&str, u64)) {
        let missed = std::mem::take(&mut self.windows.missed);
        let early = std::mem::take(&mut self.windows.early);
        for (name, value) in [
            ("late-in-part", tally.late_in_part),
            ("other", tally.other),
            ("key-too-long", tally.key_too_long),
            ("not-a-number", missed.not_a_number),
            ("value-too-long", missed.too_long),
            ("list-full", missed.list_full),
            ("out-of-range", tally.out_of_range),
            ("early", early),
        ] {
            if value > 0 {
                count(name, value);
            }
        }
    }
}

impl Timed for Aggregate {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.now = tick.now();
        let mut made = Made::new();
        for mut windows in self.former.drain(..) {
            windows.flush(&mut made);
        }
        let last_event = *self.last_event.get_or_insert(self.now);
        match self.prepared.event_time {
            _ if tick.is_last() => self.windows.flush(&mut made),
            None => self.windows.close(self.now, &mut made),
            Some(time) => {
                // A batch may have left windows for later calls.
                self.windows.close_behind_newest(time.lateness, &mut made);
                if self.now.saturating_sub(last_event) >= time.idle {
                    let until = align(self.now.saturating_sub(time.lateness), self.prepared.definition.slide);
                    self.windows.make_until(until, &mut made);
                }
            }
        }
        tick.emit(WINDOWS, made.events);
        let tally = Tally { out_of_range: made.out_of_range, ..Tally::default() };
        self.report(tally, |name, count| tick.count(name, count));
        Ok(())
    }
}

impl Stateful for Aggregate {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.signed(self.now);
        writer.size(1 + self.former.len());
        for windows in std::iter::once(&self.windows).chain(&self.former) {
            windows.save(&mut writer);
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
        Ok(())
    }
}

impl Aggregate {
    fn restore_one(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes)?;
        self.now = self.now.max(reader.signed()?);
        for _ in 0..reader.size(1)? {
            let windows = Windows::restore(self.prepared.limits, &mut reader)?;
            let bytes = &windows.definition.bytes;
            let known = std::iter::once(&mut self.windows).chain(&mut self.former);
            match known.into_iter().find(|known| known.definition.bytes == *bytes) {
                Some(known) => known.merge(windows),
                None if windows.is_empty() => {}
                None => self.former.push(windows),
            }
        }
        reader.end()
    }
}

export_timed_node!(Aggregate);
