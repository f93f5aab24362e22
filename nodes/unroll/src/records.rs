//! Finds the records in a text. Reads them only as far as necessary to find their ends.

use crate::rules::{Action, Rules};
use wattle_node::json::{Error, ErrorKind, Kind, Path, Segment, Value, elements_from, locate, skip, white};

/// Where records may be.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// Paths to the array of records, tried in order. Without any, only documents with a rule are
    /// handled.
    pub(crate) paths: Vec<Path>,
    /// The member that identifies a root object as one record.
    pub(crate) single: Option<Path>,
    /// What to do with documents of other kinds.
    pub(crate) rules: Rules,
    /// Whether the records around a broken part continue.
    pub(crate) salvages: bool,
    /// The port of broken parts.
    pub(crate) broken_port: u8,
}

/// What is in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// A record.
    Record(Value),
    /// A value that leaves unchanged.
    Unchanged(Value),
    /// An element of an array, to be handled as a document.
    Element(Value),
    /// A document that matches the rule with this index, which does not fail it.
    Matched(usize, Value),
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
    /// The document matches this rule, which fails it.
    Unsupported(usize),
    /// The value at this path of `zip` is not an array.
    NotAnArrayToZip(usize, Kind),
    /// The array of records and the one at this path of `zip` have these lengths.
    Lengths(usize, usize, usize),
    /// A record that gets further members is not an object.
    NotAnObject(Kind),
    /// The children have more bytes than this.
    TooLarge(usize),
    /// The document has no value where the rule with this index expects one.
    NoValue(usize),
    /// The value that a rule unwraps is neither text nor an object or array.
    NotADocument(Kind),
    /// The value that a rule unwraps is not encoded as the rule says.
    Encoding(&'static str),
    /// The value decodes to more bytes than this.
    DecodesTooLarge(usize),
    /// Documents are in each other deeper than this.
    TooDeep(usize),
    /// A fault in a document that the rule with this index unwrapped.
    Inside(usize, Box<Fault>),
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
    pub(crate) fn records(&self, text: &[u8], mut found: impl FnMut(Found)) -> Result<(), Fault> {
        each_root(text, |rest, at| self.root(rest, |part| found(part.shifted(at))))
    }

    /// Whether the text leaves unchanged, because there is no path and its first value has no rule.
    pub(crate) fn passes(&self, text: &[u8]) -> bool {
        if !self.paths.is_empty() {
            return false;
        }
        let start = white(text, if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
        let first = if text.get(start) == Some(&b'[') { white(text, start + 1) } else { start };
        self.rules.find(text, first).is_none()
    }

    /// Finds the records of the first root value and returns where that ends.
    pub(crate) fn root(&self, text: &[u8], mut found: impl FnMut(Found)) -> Result<usize, Fault> {
        if self.paths.is_empty() {
            return self.root_without_path(text, found);
        }
        for (number, path) in self.paths.iter().enumerate() {
            let Some(start) = locate(text, path)? else { continue };
            match text.get(start).map_or(Kind::Missing, |&byte| Kind::of_first_byte(byte)) {
                Kind::Array => {
                    let walked = match self.rules.find(text, white(text, start + 1)) {
                        Some(rule) => self.wrapped_elements(text, start, rule, found)?,
                        None => elements_from(text, start, |value| found(Found::Record(value)))?.end,
                    };
                    return Ok(leave(text, walked, path.segments())?);
                }
                // The root always exists, so if there are other shapes, it only counts if it is an
                // array.
                _ if path.is_root() && (self.paths.len() > 1 || self.single.is_some()) => {}
                kind => match self.rules.find(text, white(text, 0)) {
                    Some(rule) => return self.matched(text, rule, found),
                    None => return Err(Fault::NotAnArray(number, kind)),
                },
            }
        }
        if let Some(rule) = self.rules.find(text, white(text, 0)) {
            return self.matched(text, rule, found);
        }
        if let Some(key) = &self.single
            && locate(text, key)?.is_some()
        {
            let root = skip(text, 0)?;
            found(Found::Record(root));
            return Ok(root.end);
        }
        // Report a truncated text as truncated, even if the path is missing as well.
        let root = skip(text, 0)?;
        Err(Fault::MissingPath(root.start))
    }

    /// Finds the documents of the first root value, if there are only rules.
    fn root_without_path(&self, text: &[u8], mut found: impl FnMut(Found)) -> Result<usize, Fault> {
        let start = white(text, 0);
        if let Some(rule) = self.rules.find(text, start) {
            return self.matched(text, rule, found);
        }
        if text.get(start) == Some(&b'[')
            && let Some(rule) = self.rules.find(text, white(text, start + 1))
        {
            return self.wrapped_elements(text, start, rule, found);
        }
        let root = skip(text, start)?;
        found(Found::Unchanged(root));
        Ok(root.end)
    }

    /// Handles a root value that matches a rule, and returns where it ends.
    fn matched(&self, text: &[u8], rule: usize, mut found: impl FnMut(Found)) -> Result<usize, Fault> {
        if let Some(Action::Fail(_)) = self.rules.action(rule) {
            return Err(Fault::Unsupported(rule));
        }
        let root = skip(text, 0)?;
        found(Found::Matched(rule, root));
        Ok(root.end)
    }

    /// Handles an array whose first element matches a rule, and returns where it ends.
    fn wrapped_elements(
        &self,
        text: &[u8],
        start: usize,
        rule: usize,
        mut found: impl FnMut(Found),
    ) -> Result<usize, Fault> {
        if let Some(Action::Fail(_)) = self.rules.action(rule) {
            return Err(Fault::Unsupported(rule));
        }
        Ok(elements_from(text, start, |value| found(Found::Element(value)))?.end)
    }
}

impl Found {
    /// The same in a text with `before` more bytes at its start.
    #[inline]
    pub(crate) fn shifted(self, before: usize) -> Self {
        let shift = |v: Value| Value { start: v.start + before, end: v.end + before, kind: v.kind };
        match self {
            Self::Record(value) => Self::Record(shift(value)),
            Self::Unchanged(value) => Self::Unchanged(shift(value)),
            Self::Element(value) => Self::Element(shift(value)),
            Self::Matched(rule, value) => Self::Matched(rule, shift(value)),
        }
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
