//! What is known of the text of a column without a check: where whole JSON containers are.
//!
//! A source that cuts its input into documents has checked their grammar, and knows where a document, its arrays and their
//! elements begin and end. A mask replaces parts of strings, and a split makes events of the elements: both keep this
//! knowledge, so that `parse` needs no second check ([`Batch::body_kinds`](crate::Batch::body_kinds)). Anything else loses
//! it, and the texts are checked.
//!
//! # Invariant
//!
//! Each span is exactly one JSON array or object that [`wattle_json::check`] accepts.

use std::sync::Arc;

use crate::batch::MAX_JSON_DEPTH;
use crate::column::Span;

/// Levels of containers that the prefix and suffix of a split may add.
const WRAPPER_DEPTH: usize = 8;

/// Spans of a buffer that are valid JSON containers.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// In the order of their first bytes; no two begin at the same one.
    spans: Arc<[Span]>,
    /// How deep they nest at most.
    depth: usize,
}

impl Known {
    /// Knowledge of these spans, which are in the order of their first bytes and nest up to this depth.
    pub fn new(spans: Vec<Span>, depth: usize) -> Option<Self> {
        let is_sorted = spans.array_windows().all(|[one, next]| one.start < next.start);
        (is_sorted && depth <= MAX_JSON_DEPTH).then(|| Self { spans: spans.into(), depth })
    }

    /// The spans that are in no other one.
    fn outermost(&self) -> impl Iterator<Item = Span> {
        let mut end = 0;
        self.spans.iter().copied().filter(move |span| {
            let is_outer = span.start >= end;
            end = if is_outer { span.end } else { end };
            is_outer
        })
    }

    /// Whether a span is known.
    pub(crate) fn has(&self, span: Span) -> bool {
        let found = self.spans.binary_search_by_key(&span.start, |known| known.start);
        found.is_ok_and(|index| self.spans.get(index) == Some(&span))
    }

    /// The knowledge in a copy of these rows of the buffer, one after the other. `None` if the rows are not in the order of
    /// the buffer.
    pub(crate) fn in_rows(&self, rows: &[Span]) -> Option<Self> {
        let mut spans = Vec::with_capacity(self.spans.len());
        let mut known = self.spans.iter().copied().peekable();
        let (mut before, mut at) = (0, 0_u32);
        for row in rows {
            if row.start < before {
                return None;
            }
            before = row.end;
            while known.next_if(|span| span.start < row.start).is_some() {}
            while let Some(span) = known.next_if(|span| span.start < row.end) {
                if span.end <= row.end {
                    let start = at + (span.start - row.start);
                    spans.push(Span { start, end: start + (span.end - span.start) });
                }
            }
            at = at.checked_add(row.end - row.start)?;
        }
        Some(Self { spans: spans.into(), depth: self.depth })
    }

    /// The knowledge after replacements in this text. `None` unless each replaces a part of a string by plain text.
    pub(crate) fn after<'t>(
        &self,
        text: &[u8],
        edits: impl Iterator<Item = (u32, u32, &'t [u8])> + Clone,
    ) -> Option<Self> {
        let mut outer = self.outermost().peekable();
        let mut strings = Strings { text, inside: 0, is_inside: false };
        let mut checked: &[u8] = &[];
        for (start, end, with) in edits.clone() {
            while outer.next_if(|outer| outer.end <= start).is_some() {}
            let Some(outer) = outer.peek().filter(|outer| outer.start < end) else { continue };
            if start < outer.start {
                return None;
            }
            strings.enter(outer.start as usize);
            // Usually all replacements are the same.
            let is_same = std::ptr::eq(checked, with);
            if !(strings.contain(start as usize, end as usize) && (is_same || is_plain(with))) {
                return None;
            }
            checked = with;
        }
        // Both ends of a container are outside of strings, so each is before or after a replacement as a whole.
        let mut spans: Vec<Span> = Vec::with_capacity(self.spans.len());
        let mut edits = edits.peekable();
        let mut moved = 0_i64;
        let mut ends: Vec<(u32, usize)> = Vec::new();
        let place = |at: u32, moved: i64| u32::try_from(i64::from(at) + moved).ok();
        let mut advance = |upto: u32, moved: &mut i64| {
            while let Some((start, end, with)) = edits.next_if(|(start, ..)| *start < upto) {
                *moved += i64::try_from(with.len()).unwrap_or(i64::MAX) - i64::from(end - start);
            }
        };
        for span in self.spans.iter() {
            // Containers that end before this one begins, the innermost first.
            while let Some((end, index)) = ends.pop_if(|(end, _)| *end <= span.start) {
                advance(end, &mut moved);
                spans.get_mut(index)?.end = place(end, moved)?;
            }
            advance(span.start, &mut moved);
            ends.push((span.end, spans.len()));
            spans.push(Span { start: place(span.start, moved)?, end: 0 });
        }
        while let Some((end, index)) = ends.pop() {
            advance(end, &mut moved);
            spans.get_mut(index)?.end = place(end, moved)?;
        }
        Some(Self { spans: spans.into(), depth: self.depth })
    }

    /// The knowledge in a text of these spans one after the other, each between a prefix and a suffix. `None` unless all of
    /// them are known, and stay JSON in between.
    pub(crate) fn wrapped(&self, children: impl Iterator<Item = Span>, prefix: &[u8], suffix: &[u8]) -> Option<Self> {
        let wrapper = [prefix, b"0", suffix].concat();
        let kind = wattle_json::check(&wrapper, WRAPPER_DEPTH).ok()?;
        let depth = self.depth.checked_add(WRAPPER_DEPTH).filter(|depth| *depth <= MAX_JSON_DEPTH)?;
        let is_tight = wrapper.trim_ascii().len() == wrapper.len();
        if !(is_tight && matches!(kind, wattle_json::Kind::Array | wattle_json::Kind::Object)) {
            return None;
        }
        let (before, after) = (u32::try_from(prefix.len()).ok()?, u32::try_from(suffix.len()).ok()?);
        let mut spans = Vec::with_capacity(2 * children.size_hint().0);
        let mut at = 0_u32;
        for child in children {
            if !self.has(child) {
                return None;
            }
            let start = at.checked_add(before)?;
            let end = start.checked_add(child.end - child.start)?;
            spans.extend([Span { start: at, end: end.checked_add(after)? }, Span { start, end }]);
            at = end + after;
        }
        Some(Self { spans: spans.into(), depth })
    }
}

/// Finds out whether spans of valid JSON texts are inside of strings. May say no where they are.
///
/// In a valid text, a quote begins or ends a string unless a backslash escapes it. So the bytes after one, up to the next,
/// are in a string or between two strings. Between two strings are only separators, brackets, white space, numbers, `true`,
/// `false` and `null`, and the first byte is not of a number or a word.
struct Strings<'t> {
    text: &'t [u8],
    /// Start of the valid text, or end of the latest span in it.
    inside: usize,
    /// Whether that span is in a string.
    is_inside: bool,
}

impl Strings<'_> {
    /// The next spans are in the valid text that begins here.
    fn enter(&mut self, start: usize) {
        if self.inside <= start {
            (self.inside, self.is_inside) = (start, false);
        }
    }

    /// Whether this span, which is behind all before it, is in a string and cuts no escape and no character.
    fn contain(&mut self, start: usize, end: usize) -> bool {
        let text = self.text;
        let Some(span) = text.get(start..end) else { return false };
        let mut quotes = span.iter().zip(start..).filter(|(byte, _)| **byte == b'"');
        if !is_cut(text, start) || !is_cut(text, end) || quotes.any(|(_, at)| is_quote(text, at)) {
            return false;
        }
        let before = text.get(self.inside..start).unwrap_or_default();
        let quote = memchr::memrchr_iter(b'"', before).map(|at| self.inside + at).find(|at| is_quote(text, *at));
        self.is_inside = match quote {
            Some(quote) => is_of_string(text.get(quote + 1..end).unwrap_or_default()),
            None => self.is_inside,
        };
        self.inside = end;
        self.is_inside
    }
}

/// Whether a quote begins or ends a string.
fn is_quote(text: &[u8], at: usize) -> bool {
    backslashes(text, at).is_multiple_of(2)
}

/// How many backslashes are before a place.
fn backslashes(text: &[u8], at: usize) -> usize {
    text.get(..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count()
}

/// Whether the text can be cut at a place of a string: not in a character, an escape, or a pair of them.
fn is_cut(text: &[u8], at: usize) -> bool {
    const LONGEST_ESCAPE: usize = 6;
    let is_in_character = text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let near = text.get(at.saturating_sub(LONGEST_ESCAPE)..(at + 2).min(text.len())).unwrap_or_default();
    !is_in_character && backslashes(text, at).is_multiple_of(2) && !near.windows(2).any(|pair| pair == b"\\u")
}

/// Whether bytes after a quote, up to the next one or before it, are certainly those of a string.
fn is_of_string(bytes: &[u8]) -> bool {
    let is_after_string = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b':' | b',' | b'}' | b']');
    let is_between = |byte: &u8| is_after_string(byte) || byte.is_ascii_digit() || b"{[+-.eEtrufalsn".contains(byte);
    bytes.first().is_some_and(|first| !is_after_string(first)) || !bytes.iter().all(is_between)
}

/// Whether a text is the content of a JSON string without escapes.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| !matches!(byte, b'"' | b'\\' | ..=0x1f)) && std::str::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests;
