//! Regular expressions, matched row by row against the raw text.

use std::ops::Range;

use regex::bytes::{CaptureLocations, Regex};

/// The pattern of one rule.
pub(crate) struct PatternRule {
    /// Index of the rule.
    pub(crate) rule: usize,
    regex: Regex,
    group: usize,
    locations: CaptureLocations,
}

impl PatternRule {
    /// Prepares a rule that masks a group of a pattern.
    pub(crate) fn new(rule: usize, regex: Regex, group: usize) -> Self {
        let locations = regex.capture_locations();
        Self { rule, regex, group, locations }
    }

    /// The text of the pattern.
    pub(crate) fn text(&self) -> &str {
        self.regex.as_str()
    }

    /// Calls back with every place of the group in a row, or with the whole match if the group is
    /// not part of it. Skips empty places, because they hide nothing.
    pub(crate) fn each(&mut self, row: &[u8], mut found: impl FnMut(Range<usize>)) {
        if self.group == 0 {
            self.regex.find_iter(row).filter(|m| !m.is_empty()).for_each(|m| found(m.range()));
            return;
        }
        let mut at = 0;
        while at <= row.len()
            && let Some(whole) = self.regex.captures_read_at(&mut self.locations, row, at)
        {
            at = whole.end() + usize::from(whole.is_empty());
            // If the group is not part of the match, mask the whole match.
            let place = self.locations.get(self.group).map_or(whole.range(), |(start, end)| start..end);
            if !place.is_empty() {
                found(place);
            }
        }
    }
}
