//! The words of a text, after masks.

use std::borrow::Cow;

use regex::Regex;
use wattle_snapshot::hash;

use crate::mask::Masks;

/// A place of a template that any word fits.
pub(crate) const WILDCARD: &str = "<*>";
/// The hash of such a place.
pub(crate) const WILD: u64 = 0;
/// The last word of a text that was cut.
const CUT: &[u8] = b"<...>";

/// A user's mask.
#[derive(Clone, Debug)]
pub(crate) struct CustomMask {
    pub(crate) regex: Regex,
    /// Such as `<block>`.
    pub(crate) placeholder: String,
}

/// Splits texts into words and masks them.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    masks: Masks,
    custom: Vec<CustomMask>,
    classes: [Class; 256],
    max_bytes: usize,
}

impl Splitter {
    /// `delimiters` are ASCII characters that separate words, in addition to white space.
    pub(crate) fn new(masks: Masks, custom: Vec<CustomMask>, delimiters: &str, max_bytes: usize) -> Self {
        let classes = std::array::from_fn(|byte| match u8::try_from(byte) {
            Ok(byte) if byte.is_ascii_digit() => Class::Digit,
            Ok(byte) if byte.is_ascii_whitespace() || byte == 0x0b || delimiters.as_bytes().contains(&byte) => {
                Class::End
            }
            _ => Class::Plain,
        });
        Self { masks, custom, classes, max_bytes }
    }

    /// Reads the words of a text.
    pub(crate) fn split(&self, text: &[u8], words: &mut Words) {
        // Only so much can have an effect; the factor leaves room for what masks shorten.
        let text = text.get(..self.max_bytes.saturating_mul(4)).unwrap_or(text);
        if self.custom.is_empty() && std::str::from_utf8(text).is_ok() {
            return self.plain(text, words);
        }
        let mut text = String::from_utf8_lossy(text);
        for mask in &self.custom {
            if let Cow::Owned(masked) = mask.regex.replace_all(&text, regex::NoExpand(&mask.placeholder)) {
                text = Cow::Owned(masked);
            }
        }
        self.plain(text.as_bytes(), words);
    }

    /// Reads the words of a text with the user's masks applied. Copies what lies between two words with digits at once.
    fn plain(&self, text: &[u8], words: &mut Words) {
        words.clear();
        let out = &mut words.text;
        // What is copied next, the current word, and the current byte begin here.
        let (mut from, mut word, mut at) = (0, 0, 0);
        let span = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let next = |at: usize, is: &dyn Fn(Class) -> bool| {
            let step = span(at, text.len()).iter().position(|byte| is(self.class(*byte)));
            step.map_or(text.len(), |step| at + step)
        };
        loop {
            let rest = span(at, text.len());
            let Some(step) = rest.iter().position(|byte| self.class(*byte) != Class::Plain) else { break };
            at += step;
            if rest.get(step).is_some_and(|byte| self.class(*byte) == Class::Digit) {
                out.extend_from_slice(span(from, word));
                at = next(at, &|class| class == Class::End);
                self.masks.word(span(word, at), out);
                from = at;
                if out.len() > self.max_bytes {
                    break;
                }
                continue;
            }
            let end = next(at, &|class| class != Class::End);
            let is_canonical = end == at + 1 && text.get(at) == Some(&b' ') && end < text.len();
            if is_canonical && (at > from || !out.is_empty()) {
                at = end;
            } else {
                out.extend_from_slice(span(from, at));
                if end < text.len() && !out.is_empty() {
                    out.push(b' ');
                }
                (from, at) = (end, end);
            }
            word = at;
        }
        out.extend_from_slice(span(from, text.len()));
        self.cut(out);
    }

    /// Cuts a masked text that is too long before the first word that does not fit.
    fn cut(&self, text: &mut Vec<u8>) {
        if text.len() <= self.max_bytes {
            return;
        }
        let end = text.iter().take(self.max_bytes + 1).rposition(|byte| *byte == b' ');
        text.truncate(end.unwrap_or(0));
        if end.is_some() {
            text.push(b' ');
        }
        text.extend_from_slice(CUT);
    }

    fn class(&self, byte: u8) -> Class {
        self.classes.get(usize::from(byte)).copied().unwrap_or(Class::Plain)
    }
}

/// What a byte means for words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Plain,
    Digit,
    /// It separates words.
    End,
}

/// The words of a text, separated by single spaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    text: Vec<u8>,
    hashes: Vec<u64>,
}

impl Words {
    fn clear(&mut self) {
        self.text.clear();
        self.hashes.clear();
    }

    /// The masked text; empty if the text has no words.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the text was longer.
    pub(crate) fn is_cut(&self) -> bool {
        self.text.ends_with(CUT)
    }

    /// The hash of each word.
    pub(crate) fn hashes(&mut self) -> &[u64] {
        if self.hashes.is_empty() {
            self.hashes.extend(hashes(&self.text));
        }
        &self.hashes
    }

    /// The hash of each word, after a call of [`hashes`](Self::hashes).
    pub(crate) fn known_hashes(&self) -> &[u64] {
        &self.hashes
    }
}

/// The id of a template: a hash of its text, equal on every agent.
pub(crate) fn id(template: &str) -> u64 {
    hash(0, template.as_bytes())
}

/// The hashes of the words of a masked text or of a template.
pub(crate) fn hashes(text: &[u8]) -> impl Iterator<Item = u64> + '_ {
    text.split(|byte| *byte == b' ').map(|word| match word {
        b"<*>" => WILD,
        // Never that of a wildcard.
        word => hash(0, word).max(1),
    })
}

/// Whether a word probably has a value: such a word never gets its own branch of the tree.
pub(crate) fn is_variable(word: &[u8]) -> bool {
    word.iter().any(|byte| byte.is_ascii_digit() || *byte == b'<')
}

/// The first words of a text, of which each may get a branch, with their hashes; [`WILD`] for those that never do.
pub(crate) fn branches(text: &[u8]) -> impl Iterator<Item = u64> + '_ {
    text.split(|byte| *byte == b' ').map(|word| if is_variable(word) { WILD } else { hash(0, word).max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Mask;

    fn split(splitter: &Splitter, text: &str) -> String {
        let mut words = Words::default();
        splitter.split(text.as_bytes(), &mut words);
        assert_eq!(
            words.hashes().len(),
            if words.text().is_empty() { 1 } else { words.text().split(|b| *b == b' ').count() }
        );
        String::from_utf8(words.text).unwrap()
    }

    #[test]
    fn words_end_at_white_space_and_delimiters() {
        let splitter = Splitter::new(Masks::default(), Vec::new(), "=,", 100);
        assert_eq!(split(&splitter, " a  b=c,\td\r\n"), "a b c d");
        assert_eq!(split(&splitter, " \n"), "");
    }

    #[test]
    fn a_long_text_is_cut_at_a_word() {
        let splitter = Splitter::new(Masks::new(&Mask::ALL), Vec::new(), "", 12);
        assert_eq!(split(&splitter, "one two four"), "one two four");
        assert_eq!(split(&splitter, "one two three"), "one two <...>");
        assert_eq!(split(&splitter, &"x".repeat(100)), "<...>");
    }

    #[test]
    fn masks_of_users_come_first() {
        let custom = CustomMask { regex: Regex::new(r"user \w+").unwrap(), placeholder: "<user>".into() };
        let splitter = Splitter::new(Masks::new(&Mask::ALL), vec![custom], "", 100);
        assert_eq!(split(&splitter, "login of user bob7 at 12"), "login of <user> at <num>");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        let splitter = Splitter::new(Masks::default(), Vec::new(), "", 100);
        let mut words = Words::default();
        splitter.split(b"a \xff b", &mut words);
        assert_eq!(std::str::from_utf8(words.text()).unwrap(), "a \u{fffd} b");
    }
}
