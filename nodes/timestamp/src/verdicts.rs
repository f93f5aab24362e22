//! What happens to the rows.

use wattle_node::{Batch, ColumnWriter, Field, Form, Reasons};

use crate::options::{OnError, OnMissing, OnSkew, Options};
use crate::read::{Found, Reader};
use crate::skew::Skew;

/// What the options want for each kind of row, with the messages.
pub(crate) struct Outcome {
    on_skew: OnSkew,
    on_missing: OnMissing,
    on_error: OnError,
    missing: String,
    no_time: String,
    no_zone: String,
    too_old: String,
    in_future: String,
}

impl Outcome {
    pub(crate) fn new(options: &Options, reader: &Reader) -> Self {
        let fields = reader.fields();
        let limit = |limit: &Option<String>| limit.clone().unwrap_or_default();
        Self {
            on_skew: options.on_skew,
            on_missing: options.on_missing,
            on_error: options.on_error,
            missing: format!("the event has no value at {fields}"),
            no_time: format!("the value at {fields} is not {}, between the years 1677 and 2262", reader.meaning()),
            no_zone: format!(
                "the value at `{}` is not a time zone, such as `Europe/Berlin` or `+02:00`",
                options.timezone_from.as_deref().unwrap_or_default()
            ),
            too_old: format!(
                "the time at {fields} is more than {} before the timestamp of the event",
                limit(&options.max_age)
            ),
            in_future: format!(
                "the time at {fields} is more than {} after the timestamp of the event",
                limit(&options.max_future)
            ),
        }
    }

    /// The time to set for a row, if any. Notes what else happens to the row.
    pub(crate) fn decide(&self, row: usize, found: Found, verdicts: &mut Verdicts) -> Option<i64> {
        match found {
            Found::Time(time) => return Some(time),
            Found::Skewed { skew, time, limit } => return self.skewed(row, skew, time, limit, verdicts),
            Found::Nothing => match self.on_missing {
                OnMissing::Keep => {}
                OnMissing::Fail => verdicts.reasons.add(row, "missing-field", &self.missing),
                OnMissing::Drop => verdicts.without_field.push(index(row)),
            },
            Found::NoTime | Found::NoZone => match self.on_error {
                OnError::Keep => verdicts.bad_times += 1,
                OnError::Fail => {
                    let message = if found == Found::NoZone { &self.no_zone } else { &self.no_time };
                    verdicts.reasons.add(row, "bad-timestamp", message);
                }
                OnError::Drop => verdicts.without_time.push(index(row)),
            },
        }
        None
    }

    fn skewed(&self, row: usize, skew: Skew, time: i64, limit: i64, verdicts: &mut Verdicts) -> Option<i64> {
        let (message, counted, dropped) = match skew {
            Skew::TooOld => (&self.too_old, &mut verdicts.old, &mut verdicts.old_rows),
            Skew::InFuture => (&self.in_future, &mut verdicts.future, &mut verdicts.future_rows),
        };
        match self.on_skew {
            OnSkew::Fail => verdicts.reasons.add(row, skew.code(), message),
            OnSkew::Drop => dropped.push(index(row)),
            OnSkew::Keep => *counted += 1,
            OnSkew::Clamp => {
                *counted += 1;
                return Some(limit);
            }
            OnSkew::Tag => {
                *counted += 1;
                verdicts.tags.push((row, skew));
                return Some(time);
            }
        }
        None
    }
}

/// Rows that fail, rows to drop, and counts.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    reasons: Reasons,
    without_field: Vec<u32>,
    without_time: Vec<u32>,
    /// In the order of rows.
    tags: Vec<(usize, Skew)>,
    old_rows: Vec<u32>,
    future_rows: Vec<u32>,
    bad_times: u64,
    old: u64,
    future: u64,
}

impl Verdicts {
    /// Passes them to the host.
    pub(crate) fn apply(&self, batch: &mut Batch<'_>, tag: Option<Field>) {
        if let Some(field) = tag.filter(|_| !self.tags.is_empty()) {
            let mut values = ColumnWriter::with_capacity(self.tags.len() * 16, batch.len());
            let mut tags = self.tags.iter().peekable();
            for row in 0..batch.len() {
                match tags.next_if(|(tagged, _)| *tagged == row) {
                    Some((_, skew)) => values.push(skew.code().as_bytes()),
                    None => values.push_none(),
                }
            }
            batch.set(field, Form::Text, values);
        }
        batch.drop_rows(&self.without_field, "missing-field");
        batch.drop_rows(&self.without_time, "bad-timestamp");
        batch.drop_rows(&self.old_rows, Skew::TooOld.code());
        batch.drop_rows(&self.future_rows, Skew::InFuture.code());
        batch.fail(&self.reasons);
        batch.count("bad-timestamp", self.bad_times);
        batch.count(Skew::TooOld.code(), self.old);
        batch.count(Skew::InFuture.code(), self.future);
    }
}

fn index(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
