//! How far a value may reach: in a row that is JSON not beyond the string that its key is in.

use memchr::memchr;
use wattle_node::json::check;

use super::super::quotes::backslashes_before;
use crate::node::MAX_JSON_DEPTH;

/// Knows how far a value may reach: to the end of the string of JSON that it is in, or of the row.
#[derive(Default)]
pub(in super::super) struct Bounds {
    /// The row that was asked for last: where it begins, and whether it is JSON.
    row: Option<(usize, bool)>,
    /// A part of the row that is inside of one string, with the string's end.
    string: Option<(usize, usize)>,
}

impl Bounds {
    /// Forgets what it knew of another text.
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

    /// Where a value of a name at `at` ends at the latest.
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
