//! The format `key_value`: pairs such as `level=info msg="all well"`.

use memchr::memchr2;
use memchr::memmem::Finder;
use wattle_convert::{Type, write_string, write_value};
use wattle_node::{Setup, json};

use super::{Fault, wrong_type};
use crate::options::{BareKeys, Options, Quotes};
use crate::texts::Texts;

/// Separators, and memory for one row.
pub(crate) struct KeyValue {
    between_pairs: Separator,
    within_pair: Finder<'static>,
    /// Ignore white space around keys and values, unless it separates pairs.
    spaces_separate: bool,
    bare_keys: BareKeys,
    /// Key for the text before the first pair; empty if the text is left out.
    pre: Option<Box<str>>,
    quotes: Quotes,
    types: Vec<(String, Type)>,
    keys: Texts,
    values: Texts,
}

/// What separates pairs.
enum Separator {
    /// Any white space. This is the meaning of a space, because logs mix spaces and tabs.
    WhiteSpace,
    Text(Box<Finder<'static>>),
}

impl Separator {
    fn new(text: &str) -> Self {
        if text == " " { Self::WhiteSpace } else { Self::Text(Box::new(Finder::new(text).into_owned())) }
    }

    /// Offset of the first separator.
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::WhiteSpace => text.iter().position(u8::is_ascii_whitespace),
            Self::Text(finder) => finder.find(text),
        }
    }

    /// Length of the separator that the text begins with.
    fn at_start_of(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::WhiteSpace => text.first().filter(|byte| byte.is_ascii_whitespace()).map(|_| 1),
            Self::Text(finder) => text.starts_with(finder.needle()).then(|| finder.needle().len()),
        }
    }
}

impl KeyValue {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let pairs = options.field_split.as_deref().unwrap_or(" ");
        let pair = options.pair_split.as_deref().unwrap_or("=");
        let mut good = true;
        for (option, text) in [("field_split", pairs), ("pair_split", pair)] {
            if text.is_empty() || text.contains('"') {
                setup.error(option, "a separator is at least one character, and no quote");
                good = false;
            }
        }
        if pairs == pair {
            setup.error("pair_split", format!("`{pair}` separates pairs already; choose another separator"));
            good = false;
        }
        good.then(|| Self {
            between_pairs: Separator::new(pairs),
            within_pair: Finder::new(pair).into_owned(),
            spaces_separate: pairs.starts_with(|c: char| c.is_ascii_whitespace()),
            bare_keys: options.bare_keys.unwrap_or_default(),
            pre: options.pre.as_deref().map(Into::into),
            quotes: options.quotes.unwrap_or_default(),
            types: options.types.iter().map(|(key, wanted)| (key.clone(), *wanted)).collect(),
            keys: Texts::default(),
            values: Texts::default(),
        })
    }

    pub(super) fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.keys.clear();
        self.values.clear();
        let start = self.before_pairs(text)?;
        let mut at = self.next_pair(text, start);
        if at == text.len() {
            return fault("holds no pair".into());
        }
        let (mut pairs, mut bare) = (0, None);
        while at < text.len() {
            match self.key(text, at)? {
                Key::Paired(end) => {
                    pairs += 1;
                    at = self.value(text, end)?;
                }
                Key::Bare(end) => {
                    bare.get_or_insert(at);
                    at = end;
                }
            }
            at = self.next_pair(text, at);
        }
        // A text of bare words, such as a sentence, has another format.
        if let Some(at) = bare.filter(|_| pairs == 0) {
            return no_separator(self.within_pair.needle(), at);
        }
        self.keys.sort();
        out.push(b'{');
        for number in 0..self.keys.len() {
            let key = self.keys.get(number);
            // Of equal keys the first counts, as everywhere.
            if self.keys.first(key) != Some(number) {
                continue;
            }
            if number > 0 {
                out.push(b',');
            }
            write_string(key, out);
            out.push(b':');
            let wanted = self.types.binary_search_by(|(name, _)| name.as_bytes().cmp(key)).ok();
            let wanted = wanted.and_then(|place| self.types.get(place));
            write_value(self.values.get(number), wanted.map(|(_, wanted)| *wanted), out)
                .map_err(|wrong| wrong_type(wanted.map_or("", |(name, _)| name), wrong))?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Reads the text before the first pair, if there may be one, and returns where that pair begins.
    fn before_pairs(&mut self, text: &[u8]) -> Result<usize, Fault> {
        let Some(key) = self.pre.as_deref() else { return Ok(0) };
        let Some(start) = self.first_pair(text) else { return fault("holds no pair".into()) };
        let mut before = text.get(..start).unwrap_or_default().trim_ascii();
        if let Separator::Text(separator) = &self.between_pairs {
            before = before.strip_suffix(separator.needle()).unwrap_or(before).trim_ascii_end();
        }
        if !key.is_empty() && !before.is_empty() {
            self.keys.add(|out| out.extend_from_slice(key.as_bytes()));
            self.values.add(|out| out.extend_from_slice(before));
        }
        Ok(start)
    }

    /// Where the first key that has a separator begins: a word, or a text in quotes.
    fn first_pair(&self, text: &[u8]) -> Option<usize> {
        self.within_pair.find_iter(text).find_map(|separator| {
            let before = text.get(..separator)?;
            let before = if self.spaces_separate { before } else { before.trim_ascii_end() };
            if let Some(quoted) = before.strip_suffix(b"\"").filter(|_| self.quotes.has_double()) {
                return memchr::memrchr(b'"', quoted);
            }
            // The word ends the search for white space: otherwise each separator of a line of them would look at all
            // bytes before it.
            let after = match &self.between_pairs {
                Separator::WhiteSpace => 0,
                Separator::Text(finder) => {
                    let needle = finder.needle();
                    memchr::memmem::rfind(before, needle).map_or(0, |at| at + needle.len())
                }
            };
            let word = before.get(after..)?;
            let start = after + word.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
            Some(start).filter(|&start| start < before.len())
        })
    }

    /// Skips white space and separators up to the next pair, or the end.
    fn next_pair(&self, text: &[u8], mut at: usize) -> usize {
        loop {
            at = after_spaces(text, at);
            match text.get(at..).and_then(|rest| self.between_pairs.at_start_of(rest)) {
                Some(length) => at += length,
                None => return at,
            }
        }
    }

    /// Reads a key and the separator after it. A key without a separator gets its value here.
    fn key(&mut self, text: &[u8], at: usize) -> Result<Key, Fault> {
        let rest = text.get(at..).unwrap_or_default();
        let separator = self.within_pair.needle();
        if rest.starts_with(b"\"") && self.quotes.has_double() {
            let end = quoted(text, at, &mut self.keys)?;
            if end == at + 2 {
                return without_key(at);
            }
            let end = if self.spaces_separate { end } else { after_spaces(text, end) };
            return match text.get(end..) {
                Some(rest) if rest.starts_with(separator) => Ok(Key::Paired(end + separator.len())),
                _ => self.bare(at, end),
            };
        }
        let end = self.between_pairs.find(rest).unwrap_or(rest.len());
        // Searching the whole rest for each word would take quadratic time in a text of words. The
        // separator may begin with the byte that ends the word.
        let word = rest.get(..end + separator.len()).unwrap_or(rest);
        let key = self.within_pair.find(word).and_then(|end| rest.get(..end));
        let Some(key) = key.filter(|key| self.between_pairs.find(key).is_none()) else {
            let name = rest.get(..end).unwrap_or_default().trim_ascii();
            self.keys.add(|out| out.extend_from_slice(name));
            return self.bare(at, at + end);
        };
        let name = key.trim_ascii();
        if name.is_empty() {
            return without_key(at);
        }
        self.keys.add(|out| out.extend_from_slice(name));
        Ok(Key::Paired(at + key.len() + separator.len()))
    }

    /// Gives the last key, which begins at `at` and has no separator, the value of bare keys.
    fn bare(&mut self, at: usize, end: usize) -> Result<Key, Fault> {
        match self.bare_keys {
            BareKeys::True => self.values.add(|out| out.extend_from_slice(b"true")),
            BareKeys::Empty => self.values.add(|_| {}),
            BareKeys::Fail => return no_separator(self.within_pair.needle(), at),
        }
        Ok(Key::Bare(end))
    }

    /// Reads a value in single quotes without unescaping it. If no closing quote ends the value, as
    /// in `'tis`, the quote is part of the value.
    fn single_quoted(&mut self, text: &[u8], start: usize) -> Option<usize> {
        let inner = text.get(start..)?.strip_prefix(b"'")?;
        let end = memchr::memchr_iter(b'\'', inner).find(|&end| {
            let after = inner.get(end + 1..).unwrap_or_default();
            let after = if self.spaces_separate { after } else { after.trim_ascii_start() };
            after.is_empty() || self.between_pairs.at_start_of(after).is_some()
        })?;
        self.values.add(|out| out.extend_from_slice(inner.get(..end).unwrap_or_default()));
        Some(start + 1 + end + 1)
    }

    /// Reads a value up to the separator after it.
    fn value(&mut self, text: &[u8], at: usize) -> Result<usize, Fault> {
        let start = if self.spaces_separate { at } else { after_spaces(text, at) };
        let rest = text.get(start..).unwrap_or_default();
        if self.quotes.has_single()
            && let Some(end) = self.single_quoted(text, start)
        {
            return Ok(end);
        }
        if rest.starts_with(b"\"") && self.quotes.has_double() {
            let end = quoted(text, start, &mut self.values)?;
            let after = if self.spaces_separate { end } else { after_spaces(text, end) };
            let rest = text.get(after..).unwrap_or_default();
            let ends = rest.is_empty() || self.between_pairs.at_start_of(rest).is_some();
            if !ends && after_spaces(text, after) == after {
                return fault(format!("has text after the closing quote before byte {after}"));
            }
            return Ok(after);
        }
        let end = self.between_pairs.find(rest).unwrap_or(rest.len());
        let value = rest.get(..end).unwrap_or_default();
        self.values.add(|out| out.extend_from_slice(value.trim_ascii()));
        Ok(start + end)
    }
}

/// A key, and where it ends.
enum Key {
    /// A key with its separator.
    Paired(usize),
    /// A bare key, with its value.
    Bare(usize),
}

/// Reads the quoted text that begins at `at`, with the escapes of JSON, and returns the offset
/// after it.
fn quoted(text: &[u8], at: usize, out: &mut Texts) -> Result<usize, Fault> {
    let mut end = at + 1;
    loop {
        let rest = text.get(end..).unwrap_or_default();
        let Some(stop) = memchr2(b'"', b'\\', rest) else {
            return fault(format!("has a quote at byte {at} that is not closed"));
        };
        end += stop;
        if text.get(end) == Some(&b'"') {
            break;
        }
        end += 2;
    }
    out.add(|out| json::unescape_leniently(text.get(at + 1..end).unwrap_or_default(), out));
    Ok(end + 1)
}

fn after_spaces(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn without_key<T>(at: usize) -> Result<T, Fault> {
    fault(format!("has a pair without a key at byte {at}"))
}

fn no_separator<T>(separator: &[u8], at: usize) -> Result<T, Fault> {
    fault(format!("has no `{}` in the pair at byte {at}", String::from_utf8_lossy(separator)))
}

fn fault<T>(message: String) -> Result<T, Fault> {
    Err(Fault { code: "not-key-value", message })
}
