//! How far a value can extend: in a row that is JSON, not beyond the string that contains its key.

use memchr::memchr;
use wattle_node::json::check;

use super::super::quotes::backslashes_before;
use crate::node::MAX_JSON_DEPTH;

/// Computes how far a value can extend: to the end of the JSON string that contains it, or of the
/// row.
#[derive(Default)]
pub(in super::super) struct Bounds {
    /// The row of the last call: where it begins, and whether it is JSON.
    row: Option<(usize, bool)>,
    /// A part of the row inside one string, and the end of the string.
    string: Option<(usize, usize)>,
}

impl Bounds {
    /// Clears the cache, for another text.
    pub(in super::super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a row is JSON as a whole.
    pub(super) fn is_json(&mut self, text: &[u8], row_start: usize) -> bool {
        match self.row {
            Some((start, json)) if start == row_start => json,
            _ => {
                let row = text.get(row_start..).unwrap_or_default();
                let json = check(row, MAX_JSON_DEPTH).is_ok();
                (self.row, self.string) = (Some((row_start, json)), None);
                json
            }
        }
    }

    /// The latest possible end of the value of a name at `at`.
    pub(super) fn end(&mut self, text: &[u8], row_start: usize, at: usize) -> usize {
        if !self.is_json(text, row_start) {
            return text.len();
        }
        if let Some((start, end)) = self.string
            && (start..=end).contains(&at)
        {
            return end;
        }
        let mut from = at;
        let end = loop {
            let Some(quote) = memchr(b'"', text.get(from..).unwrap_or_default()) else { break text.len() };
            if backslashes_before(text, row_start, from + quote).is_multiple_of(2) {
                break from + quote;
            }
            from += quote + 1;
        };
        self.string = Some((at, end));
        end
    }
}
