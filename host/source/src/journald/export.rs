//! Parses the export format of the journal: lines `FIELD=value`, fields with any bytes as a name, a length of 8 bytes
//! (little endian) and the bytes, and an empty line after each entry.
//!
//! The input comes in pieces of any size. An entry above the limit is read to its end and not kept, but for its cursor.

use std::ops::Range;

use memchr::memchr;

/// Most bytes of the name of a field; journald allows 64.
const MAX_NAME: usize = 256;
/// Most bytes of a cursor; those of systemd have some 120.
const MAX_CURSOR: usize = 1024;
/// Greatest length of a field. journald takes up to 768 MiB.
const MAX_LENGTH: u64 = 4 << 30;
/// Memory of a field, in addition to its text.
const FIELD_BYTES: usize = 32;

/// The input is not in the export format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotExport {
    #[error("an entry has a line that is not a field of a journal")]
    Field,
    #[error("a field of an entry is longer than its limit")]
    Length,
    #[error("an entry has no cursor")]
    NoCursor,
}

/// An entry of the journal.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Where it is in the journal, as `journalctl` names it.
    pub(super) cursor: String,
    /// When journald received it, in microseconds since 1970.
    pub(super) realtime: Option<u64>,
    text: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// Bytes of its fields, as exported.
    pub(super) bytes: u64,
    /// It exceeds the limit, and its fields were not kept.
    pub(super) is_too_long: bool,
}

impl Entry {
    /// Names and values of all fields, in the order of the journal. A name can occur more than once.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.fields.iter().map(move |(name, value)| (part(name), part(value)))
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    /// All values of a field.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e [u8]> {
        self.fields().filter(move |(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    fn clear(&mut self) {
        let Self { text, fields, .. } = std::mem::take(self);
        (self.text, self.fields) = (text, fields);
        self.text.clear();
        self.fields.clear();
        // One long entry must not keep its memory for good.
        self.text.shrink_to(64 << 10);
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A line: a field, the name of one, or the empty line at the end.
    Line,
    /// The length of a field: so many of its bytes are here.
    Length { got: u32, length: u64 },
    /// The bytes of a field, of which so many are left, and a line feed.
    Data { left: u64 },
}

/// Finds entries.
#[derive(Debug)]
pub(super) struct Parser {
    max_bytes: usize,
    entry: Entry,
    state: State,
    /// Where the current line or field begins in the text of the entry.
    begin: usize,
    /// Bytes of the current line, also if they are not kept.
    line: usize,
    /// The current line has a `=`.
    has_value: bool,
    /// The entry was returned.
    is_returned: bool,
}

impl Parser {
    /// Entries of up to `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            entry: Entry::default(),
            state: State::Line,
            begin: 0,
            line: 0,
            has_value: false,
            is_returned: false,
        }
    }

    /// Takes input up to the end of an entry, and removes it from `input`. Returns the entry if there is one.
    ///
    /// # Errors
    ///
    /// The input is not in the export format; there is no way to find a later entry.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<&Entry>, NotExport> {
        if std::mem::take(&mut self.is_returned) {
            self.entry.clear();
            self.begin = 0;
        }
        while !input.is_empty() {
            let is_end = match self.state {
                State::Line => self.line(input)?,
                State::Length { got, length } => self.length(got, length, input)?,
                State::Data { left } => self.data(left, input)?,
            };
            if is_end {
                self.is_returned = true;
                return if self.entry.cursor.is_empty() { Err(NotExport::NoCursor) } else { Ok(Some(&self.entry)) };
            }
        }
        Ok(None)
    }

    /// Takes a line, or the part of it that is there. Returns whether it ends an entry.
    fn line(&mut self, input: &mut &[u8]) -> Result<bool, NotExport> {
        let end = memchr(b'\n', input);
        let part = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        self.line += part.len();
        self.has_value |= memchr(b'=', part).is_some();
        self.keep(part);
        if !self.has_value && self.line > MAX_NAME {
            return Err(NotExport::Field);
        }
        let Some(end) = end else {
            *input = &[];
            return Ok(false);
        };
        *input = input.get(end + 1..).unwrap_or_default();
        let line = std::mem::take(&mut self.line);
        if line == 0 {
            // Before the first entry, an empty line ends nothing.
            return Ok(self.entry.bytes > 0);
        }
        self.entry.bytes += 1;
        if std::mem::take(&mut self.has_value) {
            self.field()?;
        } else {
            self.name()?;
            self.state = State::Length { got: 0, length: 0 };
        }
        Ok(false)
    }

    /// Ends a field of one line.
    fn field(&mut self) -> Result<(), NotExport> {
        if self.entry.is_too_long {
            return Ok(());
        }
        let (begin, end) = (self.begin, self.entry.text.len());
        let text = self.entry.text.get(begin..end).unwrap_or_default();
        let at = memchr(b'=', text).ok_or(NotExport::Field)?;
        check_name(text.get(..at).unwrap_or_default())?;
        self.end_field(begin..begin + at, begin + at + 1..end)
    }

    /// Ends the name of a field with a length.
    fn name(&self) -> Result<(), NotExport> {
        if self.entry.is_too_long {
            return Ok(());
        }
        check_name(self.entry.text.get(self.begin..).unwrap_or_default())
    }

    fn end_field(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), NotExport> {
        let entry = &mut self.entry;
        let part = |range: &Range<usize>| entry.text.get(range.clone()).unwrap_or_default();
        match part(&name) {
            b"__CURSOR" => {
                let cursor = std::str::from_utf8(part(&value)).map_err(|_| NotExport::NoCursor)?;
                if cursor.len() > MAX_CURSOR {
                    return Err(NotExport::NoCursor);
                }
                entry.cursor = cursor.to_owned();
            }
            b"__REALTIME_TIMESTAMP" => entry.realtime = number(part(&value)),
            _ => {}
        }
        entry.fields.push((name, value));
        self.begin = entry.text.len();
        self.limit();
        Ok(())
    }

    /// Takes bytes of the length of a field.
    fn length(&mut self, got: u32, length: u64, input: &mut &[u8]) -> Result<bool, NotExport> {
        let Some((&byte, rest)) = input.split_first() else { return Ok(false) };
        *input = rest;
        let length = length | u64::from(byte) << (8 * got);
        self.state = match got + 1 {
            8 if length > MAX_LENGTH => return Err(NotExport::Length),
            8 => {
                // The end of the name; the value begins after it.
                self.line = self.entry.text.len() - self.begin.min(self.entry.text.len());
                State::Data { left: length }
            }
            got => State::Length { got, length },
        };
        Ok(false)
    }

    /// Takes bytes of a field, and the line feed after it.
    fn data(&mut self, left: u64, input: &mut &[u8]) -> Result<bool, NotExport> {
        if left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
            self.keep(input.get(..length).unwrap_or_default());
            *input = input.get(length..).unwrap_or_default();
            self.state = State::Data { left: left - length as u64 };
            return Ok(false);
        }
        if input.first() != Some(&b'\n') {
            return Err(NotExport::Field);
        }
        *input = input.get(1..).unwrap_or_default();
        let name = std::mem::take(&mut self.line);
        self.state = State::Line;
        if !self.entry.is_too_long {
            let middle = self.begin + name;
            self.end_field(self.begin..middle, middle..self.entry.text.len())?;
        }
        Ok(false)
    }

    fn keep(&mut self, part: &[u8]) {
        self.entry.bytes += part.len() as u64;
        if !self.entry.is_too_long {
            self.entry.text.extend_from_slice(part);
            self.limit();
        }
    }

    /// Gives up the fields of an entry that is too long.
    fn limit(&mut self) {
        let entry = &mut self.entry;
        if entry.text.len().saturating_add(FIELD_BYTES * entry.fields.len()) <= self.max_bytes {
            return;
        }
        // The cursor is the first field, and nothing can be saved without it.
        if entry.cursor.is_empty() && entry.text.len() <= MAX_CURSOR + MAX_NAME {
            return;
        }
        entry.is_too_long = true;
        entry.text = Vec::new();
        entry.fields = Vec::new();
        self.begin = 0;
    }
}

/// Names of fields have capital letters, digits and underscores.
fn check_name(name: &[u8]) -> Result<(), NotExport> {
    let is_valid = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    if !name.is_empty() && name.iter().all(is_valid) { Ok(()) } else { Err(NotExport::Field) }
}

/// A number in decimal digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = Vec<(String, Vec<u8>)>;

    /// Entries and whether they are too long, from input in pieces of this size.
    fn parsed(input: &[u8], piece: usize, max_bytes: usize) -> Result<Vec<(String, bool, Fields)>, NotExport> {
        let mut parser = Parser::new(max_bytes);
        let mut found = Vec::new();
        for mut piece in input.chunks(piece) {
            while let Some(entry) = parser.next(&mut piece)? {
                let fields = entry.fields().map(|(n, v)| (String::from_utf8(n.to_vec()).unwrap(), v.to_vec()));
                found.push((entry.cursor.clone(), entry.is_too_long, fields.collect()));
            }
        }
        Ok(found)
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    fn field(name: &str, value: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), value.to_vec())
    }

    #[test]
    fn entries_are_found_in_pieces_of_any_size() {
        let mut input = b"\n__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=17\nA=x=y\nA=\n".to_vec();
        input.extend(binary("MESSAGE", b"a\n\n\xff\0=b"));
        input.extend(binary("EMPTY", b""));
        input.extend(b"Z_9=end\n\n\n__CURSOR=s=1;i=2\n\n__CURSOR=cut\nX=");
        let expected = vec![
            (
                "s=1;i=1".to_owned(),
                false,
                vec![
                    field("__CURSOR", b"s=1;i=1"),
                    field("__REALTIME_TIMESTAMP", b"17"),
                    field("A", b"x=y"),
                    field("A", b""),
                    field("MESSAGE", b"a\n\n\xff\0=b"),
                    field("EMPTY", b""),
                    field("Z_9", b"end"),
                ],
            ),
            ("s=1;i=2".to_owned(), false, vec![field("__CURSOR", b"s=1;i=2")]),
        ];
        for piece in 1..=input.len() {
            assert_eq!(parsed(&input, piece, 1 << 20).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn an_entry_above_the_limit_keeps_only_its_cursor() {
        let long = vec![b'x'; 5000];
        let mut input = b"__CURSOR=1\nMESSAGE=".to_vec();
        input.extend(&long);
        input.extend(b"\nA=1\n\n__CURSOR=2\n");
        input.extend(binary("MESSAGE", &long));
        input.extend(b"A=1\n\n__CURSOR=3\n");
        // Many short fields take memory too.
        input.extend(b"A=1\n".repeat(100));
        input.extend(b"\n__CURSOR=4\nMESSAGE=short\n\n");
        for piece in [1, 7, 100, input.len()] {
            let found = parsed(&input, piece, 2000).unwrap();
            let short: Vec<(&str, bool, usize)> =
                found.iter().map(|(cursor, is_too_long, fields)| (&**cursor, *is_too_long, fields.len())).collect();
            assert_eq!(short, [("1", true, 0), ("2", true, 0), ("3", true, 0), ("4", false, 2)], "{piece}");
        }
    }

    #[test]
    fn other_input_is_an_error() {
        let long = vec![b'A'; MAX_NAME + 1];
        let mut length = b"__CURSOR=1\nA\n".to_vec();
        length.extend(u64::MAX.to_le_bytes());
        for (input, error) in [
            (&b"-- No entries --\n\0\0\0\0\0\0\0\0\n"[..], NotExport::Field),
            (b"a=1\n", NotExport::Field),
            (b"=1\n", NotExport::Field),
            (&long, NotExport::Field),
            (b"A=1\n\n", NotExport::NoCursor),
            (b"__CURSOR=\xff\n", NotExport::NoCursor),
            (&length, NotExport::Length),
            (b"A\n\x01\0\0\0\0\0\0\0xy", NotExport::Field),
        ] {
            assert_eq!(parsed(input, 3, 1 << 20), Err(error), "{}", input.escape_ascii());
        }
    }
}
