//! Places to mask, and how overlapping ones merge.

/// A place in a column that a rule masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// One after the last byte.
    pub(crate) end: usize,
    /// Index of the rule.
    pub(crate) rule: usize,
    /// The kind of the place.
    pub(crate) place: Place,
}

/// The kind of text in a span, which decides the form of the replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Unknown text.
    Text,
    /// The content of a JSON string whose quotes are escaped this many times.
    Content(u32),
    /// A JSON number or word: its replacement adds quotes, escaped this many times.
    Bare(u32),
}

/// Sorts spans and merges those that overlap: the first rule wins, and the enclosing span decides
/// the kind of the place.
pub(crate) fn merge(spans: &mut Vec<Span>) {
    if !spans.is_sorted_by_key(|s| s.start) {
        spans.sort_by_key(|s| (s.start, s.rule));
    }
    spans.dedup_by(|next, kept| {
        if next.start >= kept.end {
            return false;
        }
        let (start, end) = (kept.start, kept.end.max(next.end));
        let covers = |span: &Span| span.start == start && span.end == end;
        let place = match (covers(kept), covers(next)) {
            // A reader of JSON knows more about the same place than a pattern does.
            (true, true) if kept.place == Place::Text => next.place,
            (true, _) => kept.place,
            (false, true) => next.place,
            (false, false) => Place::Text,
        };
        *kept = Span { start, end, rule: kept.rule.min(next.rule), place };
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_become_one_of_the_first_rule() {
        #[track_caller]
        fn check(spans: &[(usize, usize, usize, Place)], expected: &[(usize, usize, usize, Place)]) {
            let mut spans: Vec<Span> =
                spans.iter().map(|&(start, end, rule, place)| Span { start, end, rule, place }).collect();
            merge(&mut spans);
            let merged: Vec<_> = spans.iter().map(|s| (s.start, s.end, s.rule, s.place)).collect();
            assert_eq!(merged, expected);
        }
        use Place::{Bare, Content, Text};
        check(&[], &[]);
        check(&[(5, 6, 0, Text), (0, 2, 1, Text)], &[(0, 2, 1, Text), (5, 6, 0, Text)]);
        // Adjacent spans stay separate.
        check(&[(0, 2, 0, Text), (2, 4, 1, Text)], &[(0, 2, 0, Text), (2, 4, 1, Text)]);
        // One inside the other.
        check(&[(0, 9, 1, Content(2)), (3, 5, 0, Text)], &[(0, 9, 0, Content(2))]);
        check(&[(3, 5, 0, Content(1)), (3, 9, 1, Text)], &[(3, 9, 0, Text)]);
        // The same place twice.
        check(&[(0, 5, 0, Text), (0, 5, 1, Bare(0))], &[(0, 5, 0, Bare(0))]);
        // Half and half, in a chain.
        check(&[(0, 4, 2, Content(0)), (3, 6, 1, Text), (5, 8, 3, Text)], &[(0, 8, 1, Text)]);
    }
}
