//! The format `csv`: one line of columns, quoted as in RFC 4180.

mod columns;

use std::collections::BTreeMap;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use wattle_convert::Type;
use wattle_node::Setup;

use self::columns::{Columns, MAX_COLUMNS};
use super::{Fault, HEADER, Key};
use crate::options::{ExtraColumns, Options};

/// Types by name.
pub(crate) type Types = BTreeMap<String, Type>;

/// Columns, and memory for one line.
pub(crate) struct Csv {
    columns: Columns,
    types: Types,
    ignores_extra: bool,
    skips_header: bool,
    line: Line,
}

/// The columns of one line.
struct Line {
    reader: Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Csv {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let delimiter = options.delimiter.unwrap_or(',');
        let byte = u8::try_from(delimiter).ok().filter(|b| b.is_ascii() && !matches!(b, b'"' | b'\r' | b'\n'));
        if byte.is_none() {
            setup.error("delimiter", "the delimiter must be one ASCII character, no quote and no line end");
        }
        let columns = Columns::new(options, setup);
        let escape =
            options.escape.map(|c| u8::try_from(c).ok().filter(|b| b.is_ascii() && Some(*b) != byte && *b != b'"'));
        if escape == Some(None) {
            setup.error("escape", "the escape must be one ASCII character, not the quote and not the delimiter");
        }
        let mut reader = ReaderBuilder::new();
        reader.delimiter(byte?).escape(escape.flatten()).double_quote(escape.is_none());
        Some(Self {
            columns,
            types: options.types.clone(),
            ignores_extra: options.extra_columns.unwrap_or_default() == ExtraColumns::Ignore,
            skips_header: options.skip_header == Some(true),
            line: Line { reader: reader.build(), fields: Vec::new(), ends: Vec::new(), count: 0 },
        })
    }

    pub(super) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let Self { columns, line, .. } = self;
        if let Some(names) = columns.names_of(text) {
            line.split(names?, MAX_COLUMNS, false)?;
            columns.keep((0..line.count).map(|number| line.column(number)), &self.types);
            return Err(Fault { code: HEADER, message: String::new() });
        }
        let ignores_extra = self.ignores_extra;
        if let Some(most) = columns.most() {
            line.split(text, most, ignores_extra)?;
        }
        let keys = columns.of(|number| line.column(number))?;
        let (count, wanted) = (line.count, keys.len());
        if count < wanted || (count > wanted && !ignores_extra) {
            let found = if count > wanted { format!("more than {wanted} columns") } else { format!("{count} columns") };
            return Err(wrong_count(format!("has {found} where {wanted} are named")));
        }
        if self.skips_header && line.is_header(keys) {
            return Err(Fault { code: HEADER, message: String::new() });
        }
        out.push(b'{');
        let (mut start, mut is_first) = (0, true);
        for (column, &end) in keys.iter().zip(&line.ends) {
            if !column.name.is_empty() {
                let value = line.fields.get(start..end).unwrap_or_default();
                column.write(value, std::mem::take(&mut is_first), out)?;
            }
            start = end;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether the columns depend on the stream, or on a field of the event.
    pub(super) const fn selects(&self) -> bool {
        matches!(self.columns, Columns::Header { .. } | Columns::Sets { by: None, .. })
    }

    /// Sets the stream of the next line, or the value that chooses its columns.
    pub(super) fn select(&mut self, value: &[u8]) {
        match &mut self.columns {
            Columns::Header { streams, .. } => streams.select(value),
            Columns::Sets { chosen, .. } => {
                chosen.clear();
                chosen.extend_from_slice(value);
            }
            Columns::Fixed(_) => {}
        }
    }

    /// Gives the last header to its stream.
    pub(super) fn adopt(&mut self, stream: &[u8]) {
        if let Columns::Header { streams, .. } = &mut self.columns {
            streams.adopt(stream);
        }
    }
}

impl Line {
    fn column(&self, number: usize) -> &[u8] {
        let ends = self.ends.get(..self.count).unwrap_or_default();
        let start = number.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied());
        start.zip(ends.get(number)).and_then(|(start, &end)| self.fields.get(start..end)).unwrap_or_default()
    }

    /// Whether the line contains the names of the columns.
    fn is_header(&self, keys: &[Key]) -> bool {
        keys.iter().enumerate().all(|(number, key)| self.column(number).trim_ascii() == key.name.as_bytes())
    }

    /// Splits a line into `fields` and `ends`, and counts up to one column more than `most`.
    fn split(&mut self, text: &[u8], most: usize, ignores_extra: bool) -> Result<(), Fault> {
        // Removing quotes never makes a line longer.
        if self.fields.len() < text.len() {
            self.fields.resize(text.len(), 0);
        }
        // The extra place detects lines with too many columns. A column is at least one byte of the line.
        let places = most.min(text.len() + 1) + 1;
        if self.ends.len() < places {
            self.ends.resize(places, 0);
        }
        self.reader.reset();
        self.count = 0;
        let (mut rest, mut bytes) = (text, 0);
        loop {
            let fields = self.fields.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(self.count..places).unwrap_or_default();
            // The call after the last byte finishes the line.
            let (result, read, written, ended) = self.reader.read_record(rest, fields, ends);
            rest = rest.get(read..).unwrap_or_default();
            bytes += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() + rest.len() + 1, 0),
                ReadRecordResult::OutputEndsFull if ignores_extra => {
                    self.count = self.count.min(most);
                    return Ok(());
                }
                ReadRecordResult::OutputEndsFull | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::Record if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => return Ok(()),
                ReadRecordResult::Record => return Err(wrong_count("has more than one line".into())),
            }
        }
    }
}

fn wrong_count(message: String) -> Fault {
    Fault { code: "wrong-column-count", message }
}
