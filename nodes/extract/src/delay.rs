//! How long an event was under way: from its own time to the time at which the source read it.

use wattle_convert::{duration, time::Format};
use wattle_node::{Batch, ColumnWriter, Field, Form, Setup};

/// In nanoseconds; the clocks that a delay compares are no more exact.
const MILLISECOND: i64 = 1_000_000;

/// Where the delay goes.
#[derive(Debug)]
pub(crate) struct Delay {
    present: Field,
    into: Field,
}

impl Delay {
    /// Resolves the fields. `at` is the path of the rule in the options.
    pub(crate) fn new(at: &str, into: &str, setup: &mut Setup<'_>) -> Option<Self> {
        let option = format!("{at}.delay_into");
        let root = into.split(['.', '[']).next().unwrap_or_default();
        if into == root || !matches!(root, "attributes" | "resource") {
            setup.error(option, "the delay goes to `attributes.<key>` or `resource.<key>`");
            return None;
        }
        let present = setup.read(&option, "timestamp");
        let into = setup.write(&option, into);
        Some(Self { present: present?, into: into? })
    }

    /// Sets the delay of each row that gets a time, in seconds; `i64::MIN` is a row without one.
    pub(crate) fn set(&self, batch: &mut Batch<'_>, times: &[i64]) {
        let present = batch.read(self.present, Form::Text);
        let mut out = ColumnWriter::with_capacity(8 * times.len(), times.len());
        // The events of a batch mostly have the same present timestamp, and neighbours the same time.
        let mut read = None;
        for (row, time) in times.iter().enumerate() {
            if row == 0 || present.get(row) != present.get(row - 1) {
                read = present.get(row).and_then(|text| Format::Rfc3339.parse(text));
            }
            match read.filter(|_| *time != i64::MIN) {
                Some(read) => {
                    let delay = read.saturating_sub(*time);
                    duration::write_seconds(delay - delay % MILLISECOND, &mut out.bytes);
                    out.end_row();
                }
                None => out.push_none(),
            }
        }
        batch.set(self.into, Form::Json, out);
    }
}
