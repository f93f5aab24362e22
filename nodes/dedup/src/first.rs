//! The time after the first event in which the node only learns which keys there are.

use wattle_convert::time::Format;
use wattle_node::{Batch, Field, Form, Setup};
use wattle_snapshot::{Damaged, Reader, Writer};

/// The warm-up of a node.
#[derive(Debug, Default)]
pub(crate) struct WarmUp {
    /// Its length in nanoseconds, and the timestamps; `None` without a warm-up.
    length: Option<(i64, Field)>,
    /// The timestamp at which it began, in nanoseconds since 1970.
    begin: Option<i64>,
}

impl WarmUp {
    /// Reads the option. Returns `None` after it reported an error to `setup`.
    pub(crate) fn new(text: Option<&str>, setup: &mut Setup<'_>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::default()) };
        let Some(length) = wattle_convert::duration::parse(text.as_bytes(), None).filter(|length| *length >= 0) else {
            setup.error("warm_up", format!("`{text}` is not a duration, such as `12h` or `7d`"));
            return None;
        };
        if length == 0 {
            return Some(Self::default());
        }
        let timestamp = setup.read("warm_up", "timestamp")?;
        Some(Self { length: Some((length, timestamp)), begin: None })
    }

    /// Whether there is a warm-up.
    pub(crate) fn is_set(&self) -> bool {
        self.length.is_some()
    }

    /// Divides rows, the first ones of their keys, into those of the warm-up and those after it.
    pub(crate) fn divide(&mut self, rows: Vec<u32>, batch: &mut Batch<'_>) -> (Vec<u32>, Vec<u32>) {
        let Some((length, timestamp)) = self.length.filter(|_| !rows.is_empty()) else { return (Vec::new(), rows) };
        let times = batch.read(timestamp, Form::Text);
        let time = |row: u32| Format::Rfc3339.parse(times.row(row as usize));
        // The first event of all is the first one of its key.
        let Some(begin) = self.begin.or_else(|| rows.iter().copied().filter_map(time).min()) else {
            return (Vec::new(), rows);
        };
        self.begin = Some(begin);
        let end = begin.saturating_add(length);
        rows.into_iter().partition(|row| time(*row).is_some_and(|time| time < end))
    }

    /// Takes the begin of another instance, if it is earlier.
    pub(crate) fn add(&mut self, other: &Self) {
        self.begin = self.begin.into_iter().chain(other.begin).min();
    }

    pub(crate) fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.flag(self.begin.is_some());
        writer.signed(self.begin.unwrap_or_default());
        writer.finish()
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes)?;
        let (has_begun, begin) = (reader.flag()?, reader.signed()?);
        reader.end()?;
        Ok(Self { length: None, begin: has_begun.then_some(begin) })
    }
}
