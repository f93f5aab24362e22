//! The node `sample`: keeps a share of the events, and writes how many events each kept event stands for.

mod floor;
mod options;
mod prepare;
mod rates;

use wattle_condition::{Check, Compiler, Counter, Key, ReadFields, Share, Spare};
use wattle_convert::time::Format;
use wattle_node::{Batch, Column, Field, Form, Node, Setup, export_node};

use crate::floor::Floor;
pub use crate::options::{Class, Options};

/// The field for rates without a configured one.
const RATE_FIELD: &str = "attributes.sample_rate";

/// The configured node. Keeps its memory from batch to batch.
pub struct Sample {
    always_keep: Option<Check>,
    steps: Vec<Step>,
    rate_field: Option<Field>,
    /// Read only if a class has a floor.
    timestamp: Option<Field>,
    fields: ReadFields,
    columns: Vec<Column>,
    /// Rows that no step has decided yet.
    open: Vec<bool>,
    /// The rate of each row; 0 for a dropped row.
    rates: Vec<f64>,
    dropped: Vec<u32>,
    spare: Spare,
}

/// A class, or the rest of the events.
struct Step {
    /// `None` holds for every event.
    check: Option<Check>,
    rate: Rate,
    /// The reason for which events are dropped.
    reason: String,
}

/// Decides which events of a class are kept.
struct Rate {
    share: Share,
    key: Option<Key>,
    /// Decides about events without a key.
    counter: Counter,
    floor: Option<Floor>,
}

impl Rate {
    fn new(share: Share, key: Option<Key>, floor: Option<Floor>) -> Self {
        Self { share, key, counter: Counter::default(), floor }
    }

    /// The rate of the event in this row; 0 drops it.
    fn of(&mut self, columns: &[Column], row: usize, times: &Column) -> f64 {
        if self.floor.as_mut().is_some_and(|floor| floor.takes(Format::Auto.parse(times.row(row)))) {
            return 1.0;
        }
        let kept = match self.key.as_ref().and_then(|key| key.hash(columns, row)) {
            Some(hash) => self.share.has(hash),
            None => self.share.count(&mut self.counter),
        };
        if kept { self.share.rate() } else { 0.0 }
    }
}

impl Node for Sample {
    const NAME: &'static str = "sample";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Keeps a share of the events, by count, key or class, and writes the rate.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(ReadFields::default());
        let always_keep = options.always_keep.as_ref().map(|keep| compiler.condition("always_keep", keep, setup));
        let steps = prepare::steps(&options, &mut compiler, setup);
        let rate_field = match options.rate_field.as_deref().unwrap_or(RATE_FIELD) {
            "" => None,
            path => Some(setup.read_write_value("rate_field", path)?),
        };
        let steps: Vec<Step> = steps.into_iter().collect::<Option<_>>()?;
        let floors = steps.iter().any(|step| step.rate.floor.is_some());
        let timestamp = if floors { Some(setup.read("classes", "timestamp")?) } else { None };
        Some(Self {
            always_keep: match always_keep {
                Some(check) => Some(check?),
                None => None,
            },
            steps,
            rate_field,
            timestamp,
            fields: compiler.into_resolver(),
            columns: Vec::new(),
            open: Vec::new(),
            rates: Vec::new(),
            dropped: Vec::new(),
            spare: Spare::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.fields.read(batch, &mut self.columns);
        let times = self.timestamp.map(|field| batch.read(field, Form::Text)).unwrap_or_default();
        self.open.clear();
        self.open.resize(batch.len(), true);
        self.rates.clear();
        self.rates.resize(batch.len(), 1.0);
        if let Some(check) = &self.always_keep {
            let mut hits = self.spare.copy_of(&self.open);
            check.narrow(&self.columns, &mut hits, &mut self.spare);
            for (open, hit) in self.open.iter_mut().zip(&hits) {
                *open &= !hit;
            }
            self.spare.give_back(hits);
        }
        for step in &mut self.steps {
            let mut hits = self.spare.copy_of(&self.open);
            if let Some(check) = &step.check {
                check.narrow(&self.columns, &mut hits, &mut self.spare);
            }
            self.dropped.clear();
            let rows = self.open.iter_mut().zip(&mut self.rates).zip(&hits);
            for (row, ((open, rate), _)) in rows.enumerate().filter(|(_, (_, hit))| **hit) {
                *open = false;
                *rate = step.rate.of(&self.columns, row, &times);
                if *rate <= 0.0 {
                    self.dropped.push(u32::try_from(row).unwrap_or(u32::MAX));
                }
            }
            batch.drop_rows(&self.dropped, &step.reason);
            self.spare.give_back(hits);
        }
        // The columns are spans of the host's buffers; drop them before the batch ends.
        self.columns.clear();
        if let Some(field) = self.rate_field {
            let present = batch.read(field, Form::Text);
            batch.set(field, Form::Json, rates::column(&self.rates, &present));
        }
        Ok(())
    }
}

export_node!(Sample);
