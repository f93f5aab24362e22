//! The format `csv`: one line of columns, quoted as in RFC 4180.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use wattle_node::Setup;

use super::{Fault, HEADER, Key, check_types};
use crate::options::Options;

/// Columns, and memory for one line.
pub(crate) struct Csv {
    reader: Reader,
    columns: Vec<Key>,
    skips_header: bool,
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl Csv {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let names = options.columns.as_deref().unwrap_or_default();
        let delimiter = options.delimiter.unwrap_or(',');
        let byte = u8::try_from(delimiter).ok().filter(|b| b.is_ascii() && !matches!(b, b'"' | b'\r' | b'\n'));
        if byte.is_none() {
            setup.error("delimiter", "the delimiter must be one ASCII character, no quote and no line end");
        }
        if names.is_empty() {
            setup.error("columns", "the format `csv` needs the name of each column");
        }
        for (number, name) in names.iter().enumerate() {
            if names.iter().take(number).any(|before| before == name) {
                setup.error(format!("columns[{number}]"), format!("column `{name}` is named twice"));
            }
        }
        let columns: Vec<Key> = names.iter().map(|name| Key::new(name, options)).collect();
        check_types(options, &columns, "column", setup);
        // The extra place detects lines with too many columns.
        let ends = vec![0; columns.len() + 1];
        let escape =
            options.escape.map(|c| u8::try_from(c).ok().filter(|b| b.is_ascii() && Some(*b) != byte && *b != b'"'));
        if escape == Some(None) {
            setup.error("escape", "the escape must be one ASCII character, not the quote and not the delimiter");
        }
        let mut reader = ReaderBuilder::new();
        reader.delimiter(byte?).escape(escape.flatten()).double_quote(escape.is_none());
        let (reader, skips_header) = (reader.build(), options.skip_header == Some(true));
        Some(Self { reader, skips_header, columns, fields: Vec::new(), ends })
    }

    pub(super) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let count = self.split(text)?;
        let wanted = self.columns.len();
        if count != wanted {
            let found = if count > wanted { format!("more than {wanted} columns") } else { format!("{count} columns") };
            return Err(wrong_count(format!("has {found} where {wanted} are named")));
        }
        if self.skips_header && self.is_header() {
            return Err(Fault { code: HEADER, message: String::new() });
        }
        let mut start = 0;
        out.push(b'{');
        for (number, (column, &end)) in self.columns.iter().zip(&self.ends).enumerate() {
            column.write(self.fields.get(start..end).unwrap_or_default(), number == 0, out)?;
            start = end;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether the line that was split contains the names of the columns.
    fn is_header(&self) -> bool {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.columns.iter().zip(starts.zip(&self.ends)).all(|(column, (start, &end))| {
            self.fields.get(start..end).unwrap_or_default().trim_ascii() == column.name.as_bytes()
        })
    }

    /// Splits a line into `fields` and `ends`. Returns the number of columns, at most one more than
    /// named.
    fn split(&mut self, text: &[u8]) -> Result<usize, Fault> {
        // Removing quotes never makes a line longer.
        if self.fields.len() < text.len() {
            self.fields.resize(text.len(), 0);
        }
        self.reader.reset();
        let (mut rest, mut bytes, mut count) = (text, 0, 0);
        loop {
            let fields = self.fields.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(count..).unwrap_or_default();
            // The call after the last byte finishes the line.
            let (result, read, written, ended) = self.reader.read_record(rest, fields, ends);
            rest = rest.get(read..).unwrap_or_default();
            bytes += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() + rest.len() + 1, 0),
                ReadRecordResult::OutputEndsFull | ReadRecordResult::End => return Ok(count),
                ReadRecordResult::Record if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => return Ok(count),
                ReadRecordResult::Record => return Err(wrong_count("has more than one line".into())),
            }
        }
    }
}

fn wrong_count(message: String) -> Fault {
    Fault { code: "wrong-column-count", message }
}
