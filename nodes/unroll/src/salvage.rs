//! Recovers the rest of a text after a broken part: records, which are recognised by their key, and
//! the parts between them.

use std::ops::Range;

use wattle_node::json::{Kind, Value, check, locate, skip};

use crate::records::{Found, Shapes};
use crate::rules::Action;

/// Maximum passes over the text after the broken part, for all attempts together. Values nested in
/// a broken part are tried as records too, and these attempts must not take quadratic time.
const MAX_PASSES: usize = 8;
/// Maximum depth of JSON that the host accepts.
const MAX_JSON_DEPTH: usize = 512;

/// A part of a text with a broken part.
pub(crate) enum Piece {
    Found(Found),
    Broken(Range<usize>),
}

impl Shapes {
    /// Calls back with every record from `at` on, and every part between records, in order.
    pub(crate) fn salvage(&self, text: &[u8], at: usize, mut piece: impl FnMut(Piece)) {
        let mut budget = text.len().saturating_sub(at).saturating_mul(MAX_PASSES);
        // Start of the part that is not a record.
        let mut from = at;
        let mut candidate = begin(text, at);
        while let Some(start) = candidate {
            let Some(end) = self.record_at(text, start, &mut budget, &mut |found| {
                report(text, from..start, &mut piece);
                from = start;
                piece(Piece::Found(found));
            }) else {
                candidate = begin(text, start + 1);
                continue;
            };
            from = end;
            candidate = begin(text, end);
        }
        report(text, from..text.len(), &mut piece);
    }

    /// Calls back with the record, or the records of the document, that begins at `start`. Returns
    /// its end.
    fn record_at(&self, text: &[u8], start: usize, budget: &mut usize, record: &mut dyn FnMut(Found)) -> Option<usize> {
        let rest = text.get(start..text.len().min(start.saturating_add(*budget)))?;
        let value = skip(rest, 0);
        // A failed attempt has read at most the whole rest.
        let looked_at = value.as_ref().map_or(rest.len(), |value| value.end);
        *budget = budget.saturating_sub(looked_at);
        let root = rest.get(..value.ok()?.end)?;
        // The brackets of a broken record can balance with those of its neighbour.
        check(root, MAX_JSON_DEPTH).ok()?;
        if let Some(rule) = self.rules.find(root, 0)
            && !matches!(self.rules.action(rule), Some(Action::Fail(_)))
        {
            record(Found::Matched(rule, Value { start, end: start + root.len(), kind: Kind::Object }));
            return Some(start + root.len());
        }
        if self.single.as_ref().is_some_and(|key| matches!(locate(root, key), Ok(Some(_)))) {
            record(Found::Record(Value { start, end: start + root.len(), kind: Kind::Object }));
            return Some(start + root.len());
        }
        let mut found = Vec::new();
        self.root(root, |value| found.push(value)).ok()?;
        for part in found {
            record(part.shifted(start));
        }
        Some(start + root.len())
    }
}

/// Where the next possible record begins, from `at` on: at the start, or after a line feed or one
/// of `,[}`.
fn begin(text: &[u8], at: usize) -> Option<usize> {
    memchr::memchr_iter(b'{', text.get(at..)?).map(|found| at + found).find(|&start| {
        let before = text.get(..start).unwrap_or_default();
        let gap = before.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (before, gap) = before.split_at(before.len() - gap);
        before.last().is_none_or(|byte| matches!(byte, b',' | b'[' | b'}' | b']')) || gap.contains(&b'\n')
    })
}

/// Calls back with a part, trimmed of separators, unless it is then empty.
fn report(text: &[u8], part: Range<usize>, piece: &mut impl FnMut(Piece)) {
    let between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let inner = text.get(part.clone()).unwrap_or_default();
    let before = inner.iter().take_while(|byte| between(byte)).count();
    let after = inner.iter().rev().take_while(|byte| between(byte)).count();
    let is_punctuation = |byte: &u8| between(byte) || matches!(byte, b'[' | b']' | b'{' | b'}');
    if !inner.iter().all(is_punctuation) {
        piece(Piece::Broken(part.start + before..part.end - after));
    }
}

#[cfg(test)]
mod tests;
