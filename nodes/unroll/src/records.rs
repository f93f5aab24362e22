//! Finds the records in a text. Reads them only as far as necessary to find their ends.

use crate::known::Known;
use wattle_node::json::{Error, ErrorKind, Kind, Path, Segment, Value, elements_from, locate, skip, white};

/// Where records may be.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// Paths to the array of records, tried in order.
    pub(crate) paths: Vec<Path>,
    /// The member that identifies a root object as one record.
    pub(crate) single: Option<Path>,
    /// Documents to refuse.
    pub(crate) known: Known,
    /// Whether the records around a broken part continue.
    pub(crate) salvages: bool,
}

/// Why no records were found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not JSON.
    NotJson(Error),
    /// The root value at this byte has no array at any of the paths.
    MissingPath(usize),
    /// The value at the path with this index is not an array.
    NotAnArray(usize, Kind),
    /// The document matches this entry of `unsupported`.
    Unsupported(usize),
    /// The value at this path of `zip` is not an array.
    NotAnArrayToZip(usize, Kind),
    /// The array of records and the one at this path of `zip` have these lengths.
    Lengths(usize, usize, usize),
    /// A record that gets further members is not an object.
    NotAnObject(Kind),
    /// The children have more bytes than this.
    TooLarge(usize),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::NotJson(error)
    }
}

impl Fault {
    /// The same fault in a text with `before` more bytes at its start.
    fn shifted(self, before: usize) -> Self {
        match self {
            Self::NotJson(error) => Self::NotJson(Error { offset: error.offset + before, ..error }),
            Self::MissingPath(at) => Self::MissingPath(at + before),
            other => other,
        }
    }
}

impl Shapes {
    /// Calls back with every record of `text`, in order.
    ///
    /// # Errors
    ///
    /// A root value of the text is not JSON or has no records. The records before it were called
    /// back.
    pub(crate) fn records(&self, text: &[u8], mut found: impl FnMut(Value)) -> Result<(), Fault> {
        each_root(text, |rest, at| {
            self.root(rest, |v| found(Value { start: v.start + at, end: v.end + at, kind: v.kind }))
        })
    }

    /// Finds the records of the first root value and returns where that ends.
    pub(crate) fn root(&self, text: &[u8], mut found: impl FnMut(Value)) -> Result<usize, Fault> {
        for (number, path) in self.paths.iter().enumerate() {
            let Some(start) = locate(text, path)? else { continue };
            match text.get(start).map_or(Kind::Missing, |&byte| Kind::of_first_byte(byte)) {
                Kind::Array => {
                    if let Some(known) = self.known.find(text, white(text, start + 1)) {
                        return Err(Fault::Unsupported(known));
                    }
                    let walked = elements_from(text, start, found)?;
                    return Ok(leave(text, walked.end, path.segments())?);
                }
                // The root always exists, so if there are other shapes, it only counts if it is an
                // array.
                _ if path.is_root() && (self.paths.len() > 1 || self.single.is_some()) => {}
                kind => {
                    let known = self.known.find(text, white(text, 0));
                    return Err(known.map_or(Fault::NotAnArray(number, kind), Fault::Unsupported));
                }
            }
        }
        if let Some(known) = self.known.find(text, white(text, 0)) {
            return Err(Fault::Unsupported(known));
        }
        if let Some(key) = &self.single
            && locate(text, key)?.is_some()
        {
            let root = skip(text, 0)?;
            found(root);
            return Ok(root.end);
        }
        // Report a truncated text as truncated, even if the path is missing as well.
        let root = skip(text, 0)?;
        Err(Fault::MissingPath(root.start))
    }
}

/// Calls back with the text from each root value on, and with its offset. `root` returns where that
/// value ends.
pub(crate) fn each_root(text: &[u8], mut root: impl FnMut(&[u8], usize) -> Result<usize, Fault>) -> Result<(), Fault> {
    // Skip a byte order mark.
    let mut at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    loop {
        let end = root(text.get(at..).unwrap_or_default(), at).map_err(|fault| fault.shifted(at))?;
        at = white(text, at + end);
        if at == text.len() {
            return Ok(());
        }
    }
}

/// From inside the containers on a path, skips to the end of the outermost.
fn leave(text: &[u8], mut at: usize, path: &[Segment]) -> Result<usize, Error> {
    for segment in path.iter().rev() {
        let in_object = matches!(segment, Segment::Key(_));
        let (close, expected) = match in_object {
            true => (b'}', ErrorKind::ExpectedCommaOrBrace),
            false => (b']', ErrorKind::ExpectedCommaOrBracket),
        };
        loop {
            at = white(text, at);
            match text.get(at) {
                Some(b',') if in_object => at = member(text, at + 1)?,
                Some(b',') => at = skip(text, at + 1)?.end,
                Some(&byte) if byte == close => break,
                Some(_) => return Err(Error { kind: expected, offset: at }),
                None => return Err(Error { kind: ErrorKind::EndOfText, offset: at }),
            }
        }
        at += 1;
    }
    Ok(at)
}

/// Skips a key, its colon and its value.
fn member(text: &[u8], at: usize) -> Result<usize, Error> {
    let key = skip(text, at)?;
    if key.kind != Kind::String {
        return Err(Error { kind: ErrorKind::ExpectedKey, offset: key.start });
    }
    let colon = white(text, key.end);
    match text.get(colon) {
        Some(b':') => Ok(skip(text, colon + 1)?.end),
        Some(_) => Err(Error { kind: ErrorKind::ExpectedColon, offset: colon }),
        None => Err(Error { kind: ErrorKind::EndOfText, offset: colon }),
    }
}

#[cfg(test)]
mod tests;
