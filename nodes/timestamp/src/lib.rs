//! The node `timestamp`: reads the time of an event from a field.

mod options;
mod read;
mod skew;
mod target;
mod verdicts;
mod zones;

use wattle_convert::time::{Context, Format};
use wattle_node::{Batch, Field, Form, Node, Setup, export_node};

pub use crate::options::{OnError, OnMissing, OnSkew, Options, Texts};
use crate::read::{Found, Reader};
use crate::skew::Limits;
use crate::target::Target;
use crate::verdicts::{Outcome, Verdicts};
use crate::zones::Zones;

/// The configured node.
pub struct Timestamp {
    reader: Reader,
    zones: Option<Zones>,
    limits: Limits,
    target: Target,
    /// Becomes the side of the limits on which a time is.
    tag: Option<Field>,
    /// The present timestamps, if the formats or the limits need them.
    present: Option<Field>,
    outcome: Outcome,
    times: Vec<Option<i64>>,
}

impl Node for Timestamp {
    const NAME: &'static str = "timestamp";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Reads the time of an event from a field.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        // Prepare all parts before the first `None` ends the configuration, to report every error at once.
        let reader = Reader::new(&options, setup);
        let limits = Limits::new(&options, setup);
        let target = Target::new(&options, setup);
        let tag = skew::tag(&options, setup);
        let zones = options.timezone_from.as_deref().map(|path| setup.read("timezone_from", path).map(Zones::new));
        let zones = match zones {
            Some(zones) => Some(zones?),
            None => None,
        };
        let (reader, limits) = (reader?, limits?);
        let needs_present = reader.needs_present() || limits.any();
        // A node cannot resolve a field that it does not use, because the host would read it.
        let present = if needs_present { Some(setup.read("from", "timestamp")?) } else { None };
        Some(Self {
            outcome: Outcome::new(&options, &reader),
            reader,
            zones,
            limits,
            target: target?,
            tag: tag?,
            present,
            times: Vec::new(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let columns = self.reader.columns(batch);
        let present = self.present.map(|field| batch.read(field, Form::Text));
        let names = self.zones.as_ref().map(|zones| batch.read(zones.field, Form::Text));
        let name = |row: usize| read::value(names.as_ref()?, row);
        let mut verdicts = Verdicts::default();
        self.times.clear();
        // Events of a batch mostly have the same present timestamp, and neighbours often the same time.
        let mut near = None;
        let mut last: Option<(usize, Found)> = None;
        for row in 0..batch.len() {
            let mut near_changed = false;
            if let Some(present) = &present {
                near_changed = row == 0 || present.get(row) != present.get(row - 1);
                if near_changed {
                    near = present.get(row).and_then(|text| Format::Rfc3339.parse(text));
                }
            }
            let found = match last {
                Some((before, found))
                    if !near_changed && self.reader.are_equal(&columns, before, row) && name(before) == name(row) =>
                {
                    found
                }
                _ => {
                    let zone = match (&mut self.zones, name(row)) {
                        (Some(zones), Some(name)) => zones.find(name),
                        _ => Some(self.reader.zone()),
                    };
                    zone.map_or(Found::NoZone, |zone| self.reader.find(&columns, row, &Context { zone, near }))
                }
            };
            last = Some((row, found));
            let found = self.target.check(found).within(&self.limits, near);
            self.times.push(self.outcome.decide(row, found, &mut verdicts));
        }
        self.target.set(batch, &self.times);
        verdicts.apply(batch, self.tag);
        Ok(())
    }
}

export_node!(Timestamp);
