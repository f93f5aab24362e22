//! Look-around over one character, which the crate `regex` does not have.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// A condition on the character before or after a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAround {
    pub(super) is_ahead: bool,
    pub(super) is_negative: bool,
    /// Ranges of characters, both ends included.
    set: Vec<(char, char)>,
    /// Whether the begin of the text, or its end if it looks ahead, counts as one of the characters.
    has_edge: bool,
}

impl LookAround {
    /// Reads the inside of a look-around: a character, a class, or alternatives of these and of `^` or `$`.
    pub(super) fn new(inside: &str, is_ahead: bool, is_negative: bool) -> Option<Self> {
        let hir = ParserBuilder::new().utf8(false).build().parse(inside).ok()?;
        let mut look = Self { is_ahead, is_negative, set: Vec::new(), has_edge: false };
        look.collect(&hir).then_some(look)
    }

    fn collect(&mut self, hir: &Hir) -> bool {
        match hir.kind() {
            HirKind::Literal(literal) => {
                let Some(only) = std::str::from_utf8(&literal.0).ok().and_then(only_char) else { return false };
                self.set.push((only, only));
                true
            }
            HirKind::Class(Class::Unicode(class)) => {
                self.set.extend(class.iter().map(|range| (range.start(), range.end())));
                true
            }
            HirKind::Look(Look::Start) if !self.is_ahead => {
                self.has_edge = true;
                true
            }
            HirKind::Look(Look::End) if self.is_ahead => {
                self.has_edge = true;
                true
            }
            HirKind::Capture(capture) => self.collect(&capture.sub),
            HirKind::Alternation(parts) => parts.iter().all(|part| self.collect(part)),
            _ => false,
        }
    }

    /// Whether the set has both cases of each ASCII letter that it has.
    pub(super) fn ignores_case(&self) -> bool {
        let has = |c: char| self.set.iter().any(|(first, last)| (*first..=*last).contains(&c));
        ('a'..='z').all(|c| has(c) == has(c.to_ascii_uppercase()))
    }

    /// Whether the condition holds at a byte of a text, which is UTF-8.
    pub(super) fn holds(&self, text: &[u8], at: usize) -> bool {
        let next = if self.is_ahead { char_at(text, at) } else { char_before(text, at) };
        let found = match next {
            Some((c, _)) => self.set.iter().any(|(first, last)| (*first..=*last).contains(&c)),
            None => self.has_edge,
        };
        found != self.is_negative
    }
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The character that begins at a byte, and its length.
pub(super) fn char_at(text: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = text.get(at..)?;
    let first = *rest.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let length = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let c = std::str::from_utf8(rest.get(..length)?).ok()?.chars().next()?;
    Some((c, length))
}

/// The character that ends before a byte, and its length.
fn char_before(text: &[u8], at: usize) -> Option<(char, usize)> {
    let before = text.get(..at)?;
    let length = before.iter().rev().take(4).position(|byte| byte & 0b1100_0000 != 0b1000_0000)? + 1;
    char_at(text, at - length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_at_places() {
        let not_digit = LookAround::new("[0-9]", false, true).unwrap();
        let places = |look: &LookAround, text: &str| -> Vec<usize> {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at) && look.holds(text.as_bytes(), *at)).collect()
        };
        assert_eq!(places(&not_digit, "a1é2"), [0, 1, 4]);
        assert_eq!(places(&LookAround::new("é", true, false).unwrap(), "a1é2é"), [2, 5]);
        assert_eq!(places(&LookAround::new("[ ]|$", true, false).unwrap(), "a b"), [1, 3]);
        assert_eq!(places(&LookAround::new("(?:^|,)", false, false).unwrap(), "a,b"), [0, 2]);
    }

    #[test]
    fn more_than_one_character_is_refused() {
        for inside in ["ab", "a*", ".*", "", "(a", "a|bc", "$"] {
            assert_eq!(LookAround::new(inside, false, false), None, "{inside}");
        }
    }
}
