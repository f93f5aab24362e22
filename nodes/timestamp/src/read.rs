//! Finds the time of a row: in the first field that has one, by the first format that reads it.

use wattle_convert::time::{Context, Format, Zone};
use wattle_node::json::Kind;
use wattle_node::{Batch, Column, Field, Form, Setup};

use crate::options::Options;
use crate::skew::{Limits, Skew};

/// What the fields of a row contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A time, in nanoseconds since 1970.
    Time(i64),
    /// A time outside of the limits.
    Skewed {
        /// The side.
        skew: Skew,
        /// The time.
        time: i64,
        /// The nearest limit.
        limit: i64,
    },
    /// No value.
    Nothing,
    /// Values that are not times.
    NoTime,
    /// The field with the zone has none.
    NoZone,
}

impl Found {
    /// Compares a time with the limits around `near`, the present timestamp.
    pub(crate) fn within(self, limits: &Limits, near: Option<i64>) -> Self {
        match (self, near) {
            (Self::Time(time), Some(near)) => {
                limits.check(time, near).map_or(self, |(skew, limit)| Self::Skewed { skew, time, limit })
            }
            _ => self,
        }
    }
}

/// The fields and formats of the options.
pub(crate) struct Reader {
    fields: Vec<Field>,
    names: Vec<String>,
    formats: Vec<Format>,
    zone: Zone,
}

impl Reader {
    /// Prepares the fields, formats and zone. Returns `None` after it reported errors to `setup`.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut fields = Vec::new();
        let mut names = Vec::new();
        let mut is_valid = true;
        for (at, path) in options.from.each("from") {
            names.push(path.to_owned());
            match setup.read(&at, path) {
                Some(field) => fields.push(field),
                None => is_valid = false,
            }
        }
        if names.is_empty() {
            setup.error("from", "at least one field is needed");
        }
        let mut formats = Vec::new();
        for (at, text) in options.formats.each("formats") {
            match Format::new(text) {
                Ok(format) => formats.push(format),
                Err(reason) => {
                    setup.error(at, reason);
                    is_valid = false;
                }
            }
        }
        if formats.is_empty() && is_valid {
            setup.error("formats", "at least one format is needed");
        }
        let zone = Zone::new(&options.timezone);
        if let Err(reason) = &zone {
            setup.error("timezone", reason);
        }
        let is_valid = is_valid && !names.is_empty() && !formats.is_empty();
        Some(Self { fields, names, formats, zone: zone.ok()? }).filter(|_| is_valid)
    }

    /// Whether a format needs the present timestamp of the event.
    pub(crate) fn needs_present(&self) -> bool {
        self.formats.iter().any(Format::needs_near)
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The fields, for messages: `` `body.time` `` or `` `body.time`, `body.ts` ``.
    pub(crate) fn fields(&self) -> String {
        self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// What the formats accept, for messages.
    pub(crate) fn meaning(&self) -> String {
        self.formats.iter().map(Format::meaning).collect::<Vec<_>>().join(", or ")
    }

    pub(crate) fn columns(&self, batch: &mut Batch<'_>) -> Vec<Column> {
        self.fields.iter().map(|field| batch.read(*field, Form::Text)).collect()
    }

    /// Whether two rows have the same values.
    pub(crate) fn are_equal(&self, columns: &[Column], one: usize, other: usize) -> bool {
        columns.iter().all(|column| value(column, one) == value(column, other))
    }

    /// The time of a row.
    pub(crate) fn find(&self, columns: &[Column], row: usize, context: &Context<'_>) -> Found {
        let mut found = Found::Nothing;
        for column in columns {
            let Some(text) = value(column, row) else { continue };
            match self.formats.iter().find_map(|format| format.parse_any_in(text, context)) {
                Some(time) => return Found::Time(time),
                None => found = Found::NoTime,
            }
        }
        found
    }
}

/// The value of a row. A field that is missing, null, empty or `-` has none: logs write `-` where there is no value.
pub(crate) fn value(column: &Column, row: usize) -> Option<&[u8]> {
    // In text form, null is `null`, and so is a text of these letters.
    let text = (column.kind(row) > Kind::Null).then(|| column.row(row))?.trim_ascii();
    (!text.is_empty() && text != b"-").then_some(text)
}
