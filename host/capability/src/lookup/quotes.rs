//! Checks the quotes of CSV while it is read. The csv crate reads on where a quote is not closed, so that all rows up to
//! the next quote, or to the end of the file, become one cell.

use std::io::{self, Read};

use wattle_plan::TableGrant;

use super::error::TableError;

/// Excel writes a byte order mark.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where in a row the next byte is. The states are those of the csv crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    CellStart,
    /// In a cell without quotes, which may have quotes in it.
    Cell,
    /// In a quoted cell that began in this line.
    Quoted(u64),
    /// After a quote in such a cell, which closes it, or is the first of two.
    Quote(u64),
}

/// A text of CSV that is checked while it passes.
pub(super) struct Checked<'a> {
    from: &'a mut dyn Read,
    at: At,
    line: u64,
    bytes: u64,
    problem: Option<TableError>,
}

impl<'a> Checked<'a> {
    pub(super) fn new(from: &'a mut dyn Read) -> Self {
        Self { from, at: At::CellStart, line: 1, bytes: 0, problem: None }
    }

    /// What is wrong with the text that was read.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn finish(self) -> Result<(), TableError> {
        self.problem.map_or(Ok(()), Err)
    }

    fn pass(&mut self, byte: u8) {
        let is_mark = usize::try_from(self.bytes).is_ok_and(|place| BYTE_ORDER_MARK.get(place) == Some(&byte));
        self.bytes += 1;
        self.at = match (self.at, byte) {
            (At::CellStart, _) if is_mark => At::CellStart,
            (At::CellStart, b'"') => At::Quoted(self.line),
            (At::Quoted(opened), b'"') => At::Quote(opened),
            (At::Quote(opened), b'"') | (At::Quoted(opened), _) => At::Quoted(opened),
            (_, b',' | b'\n' | b'\r') => At::CellStart,
            (At::Quote(opened), _) => {
                self.note(TableError::AfterQuote { opened, line: self.line });
                At::Cell
            }
            (At::CellStart | At::Cell, _) => At::Cell,
        };
        match byte {
            b'\n' => self.line += 1,
            0 => self.note(TableError::ZeroByte(self.line)),
            _ => {}
        }
    }

    fn note(&mut self, problem: TableError) {
        self.problem.get_or_insert(problem);
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        buffer.iter().take(count).for_each(|byte| self.pass(*byte));
        if self.bytes > TableGrant::MAX_BYTES {
            self.note(TableError::TooLarge);
        }
        if let (0, false, At::Quoted(opened)) = (count, buffer.is_empty(), self.at) {
            self.note(TableError::OpenQuote(opened));
        }
        Ok(count)
    }
}
