//! The format `csv`: one line of columns, quoted as in RFC 4180, or with white space between them.

mod columns;
mod quotes;

use std::collections::BTreeMap;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use wattle_convert::Type;
use wattle_node::Setup;

use self::columns::{Columns, MAX_COLUMNS};
use super::{Fault, HEADER, Key};
use crate::options::{Delimiter, ExtraColumns, Options};

/// Types by name.
pub(crate) type Types = BTreeMap<String, Type>;

/// Columns, and memory for one line.
pub(crate) struct Csv {
    columns: Columns,
    types: Types,
    extra: ExtraColumns,
    skips_header: bool,
    line: Line,
}

/// The columns of one line.
struct Line {
    /// `None` for white space between columns.
    quoted: Option<Quoted>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

/// Reads columns that can be in quotes.
struct Quoted {
    reader: Reader,
    delimiter: u8,
    /// Without it, two quotes stand for one.
    escape: Option<u8>,
}

impl Csv {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let extra = options.extra_columns.unwrap_or_default();
        let quoted = match options.delimiter.unwrap_or(Delimiter::One(',')) {
            Delimiter::One(delimiter) => {
                if extra == ExtraColumns::Join {
                    setup.error("extra_columns", "`join` belongs to the delimiter `whitespace`");
                }
                Quoted::new(delimiter, options, setup).map(Some)
            }
            Delimiter::Named(_) => {
                if options.escape.is_some() {
                    setup.error("escape", "columns with white space between them have no quotes; remove `escape`");
                }
                if extra == ExtraColumns::Join && options.column_sets.is_some() {
                    setup.error(
                        "extra_columns",
                        "the sets can have different numbers of columns; use `fail` or `ignore`",
                    );
                }
                Some(None)
            }
        };
        let columns = Columns::new(options, setup);
        Some(Self {
            columns,
            types: options.types.clone(),
            extra,
            skips_header: options.skip_header == Some(true),
            line: Line { quoted: quoted?, fields: Vec::new(), ends: Vec::new(), count: 0 },
        })
    }

    pub(super) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let Self { columns, line, .. } = self;
        if let Some(names) = columns.names_of(text) {
            line.split(names?, MAX_COLUMNS, ExtraColumns::Fail)?;
            columns.keep((0..line.count).map(|number| line.column(number)), &self.types);
            return Err(Fault { code: HEADER, message: String::new() });
        }
        let extra = self.extra;
        if let Some(most) = columns.most() {
            line.split(text, most, extra)?;
        }
        let keys = columns.of(|number| line.column(number))?;
        let (count, wanted) = (line.count, keys.len());
        if count < wanted || (count > wanted && extra == ExtraColumns::Fail) {
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

impl Quoted {
    /// Prepares columns with one character between them. Returns `None` after it reported an error to `setup`.
    fn new(delimiter: char, options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let byte = u8::try_from(delimiter).ok().filter(|b| b.is_ascii() && !matches!(b, b'"' | b'\r' | b'\n'));
        if byte.is_none() {
            let message = "the delimiter must be one ASCII character, no quote and no line end, or `whitespace`";
            setup.error("delimiter", message);
        }
        let escape =
            options.escape.map(|c| u8::try_from(c).ok().filter(|b| b.is_ascii() && Some(*b) != byte && *b != b'"'));
        if escape == Some(None) {
            setup.error("escape", "the escape must be one ASCII character, not the quote and not the delimiter");
        }
        let (delimiter, escape) = (byte?, escape.flatten());
        let mut reader = ReaderBuilder::new();
        let reader = reader.delimiter(delimiter).escape(escape).double_quote(escape.is_none()).build();
        Some(Self { reader, delimiter, escape })
    }
}

/// A space or a tab.
const fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
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

    /// Splits a line at white space, as [`split`](Self::split).
    fn split_at_spaces(&mut self, text: &[u8], most: usize, extra: ExtraColumns) -> Result<(), Fault> {
        let text = text.trim_ascii();
        if text.contains(&b'\n') {
            return Err(more_than_one_line());
        }
        self.fields.clear();
        self.ends.clear();
        let mut rest = text;
        while !rest.is_empty() && self.ends.len() <= most && (extra == ExtraColumns::Fail || self.ends.len() < most) {
            let is_last = extra == ExtraColumns::Join && self.ends.len() + 1 == most;
            let length = rest.iter().position(is_space).filter(|_| !is_last).unwrap_or(rest.len());
            let (column, after) = rest.split_at(length);
            self.fields.extend_from_slice(column);
            self.ends.push(self.fields.len());
            rest = after.trim_ascii_start();
        }
        self.count = self.ends.len();
        Ok(())
    }

    /// Splits a line into `fields` and `ends`, and counts up to one column more than `most`.
    fn split(&mut self, text: &[u8], most: usize, extra: ExtraColumns) -> Result<(), Fault> {
        let Some(Quoted { reader, delimiter, escape }) = &mut self.quoted else {
            return self.split_at_spaces(text, most, extra);
        };
        quotes::check(text, *delimiter, *escape)?;
        // Removing quotes never makes a line longer.
        if self.fields.len() < text.len() {
            self.fields.resize(text.len(), 0);
        }
        // The extra place detects lines with too many columns. A column is at least one byte of the line.
        let places = most.min(text.len() + 1) + 1;
        if self.ends.len() < places {
            self.ends.resize(places, 0);
        }
        reader.reset();
        self.count = 0;
        let (mut rest, mut bytes) = (text, 0);
        loop {
            let fields = self.fields.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(self.count..places).unwrap_or_default();
            // The call after the last byte finishes the line.
            let (result, read, written, ended) = reader.read_record(rest, fields, ends);
            rest = rest.get(read..).unwrap_or_default();
            bytes += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() + rest.len() + 1, 0),
                ReadRecordResult::OutputEndsFull if extra != ExtraColumns::Fail => {
                    self.count = self.count.min(most);
                    return Ok(());
                }
                ReadRecordResult::OutputEndsFull | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::Record if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => return Ok(()),
                ReadRecordResult::Record => return Err(more_than_one_line()),
            }
        }
    }
}

fn more_than_one_line() -> Fault {
    wrong_count("has more than one line".into())
}

fn wrong_count(message: String) -> Fault {
    Fault { code: "wrong-column-count", message }
}
