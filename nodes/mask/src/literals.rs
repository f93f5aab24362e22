//! One search for the beginnings of many patterns, instead of one pass over the column per pattern.
//!
//! A pattern such as `token=([a-z]+)` matches nowhere without `token=`. One pass over the column
//! finds the literals of all patterns, and each pattern is tried only on rows that contain one of
//! its literals.

use aho_corasick::AhoCorasick;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::Extractor;

use crate::column::{Rows, Walk};

/// Shorter literals occur in nearly every row.
const MIN_LEN: usize = 3;
/// A pattern with more beginnings than this is tried on every row.
const MAX_SPELLINGS: usize = 64;
/// For fewer patterns, separate searches are faster, each with its own vectors.
const MIN_PATTERNS: usize = 8;

/// The literals of some patterns.
pub(crate) struct Literals {
    search: AhoCorasick,
    /// The pattern of each literal.
    owners: Vec<usize>,
    /// For each pattern with literals, the rows to try it on, in order.
    rows: Vec<Option<Vec<usize>>>,
}

impl Literals {
    /// Prepares the search for the texts of the patterns. Returns `None` if it would not be faster.
    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p str>) -> Option<Self> {
        let literals: Vec<Option<Vec<Vec<u8>>>> = patterns.map(beginnings).collect();
        if literals.iter().flatten().count() < MIN_PATTERNS {
            return None;
        }
        let rows = literals.iter().map(|l| l.as_ref().map(|_| Vec::new())).collect();
        let owned = literals
            .into_iter()
            .enumerate()
            .flat_map(|(owner, literals)| literals.into_iter().flatten().map(move |literal| (owner, literal)));
        let (owners, literals): (Vec<usize>, Vec<Vec<u8>>) = owned.unzip();
        // Too many literals for one search are not an error: then the patterns are tried on every
        // row.
        let search = AhoCorasick::new(literals).ok()?;
        Some(Self { search, owners, rows })
    }

    /// Searches a column. Afterwards [`rows_of`](Self::rows_of) returns where to try a pattern.
    pub(crate) fn find(&mut self, column: Rows<'_>) {
        self.rows.iter_mut().flatten().for_each(Vec::clear);
        let (mut walk, mut last_end) = (Walk::default(), 0);
        let mut row = 0;
        for found in self.search.find_overlapping_iter(column.bytes) {
            // A literal across the end of a row belongs to no row. It is harmless in the row of its
            // last byte.
            if found.end() > last_end {
                last_end = found.end();
                row = walk.row_of(column, last_end - 1).0;
            }
            let rows = self.owners.get(found.pattern().as_usize()).and_then(|&owner| self.rows.get_mut(owner));
            if let Some(Some(rows)) = rows
                && rows.last() != Some(&row)
            {
                rows.push(row);
            }
        }
    }

    /// The rows to try the pattern with this index on, in order; `None` means all rows.
    pub(crate) fn rows_of(&self, pattern: usize) -> Option<&[usize]> {
        self.rows.get(pattern)?.as_deref()
    }
}

/// The literals with which every match of a pattern begins; `None` if there are no useful ones.
fn beginnings(pattern: &str) -> Option<Vec<Vec<u8>>> {
    // Parse it like the regular expression itself: bytes, with Unicode on.
    let parsed = ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
    let sequence = Extractor::new().extract(&parsed);
    let literals = sequence.literals()?;
    let is_useful = (1..=MAX_SPELLINGS).contains(&literals.len()) && literals.iter().all(|l| l.len() >= MIN_LEN);
    is_useful.then(|| literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::bytes::Regex;

    const PATTERNS: [&str; 11] = [
        "abc[a-c]",
        "cab",
        "bca+",
        "(abb|bab)c?",
        "(?i)AAB",
        "^bcc",
        r"\bcca",
        "abca|bcab",
        "[ab]cb",
        "aaa$",
        "abcabc",
    ];

    proptest! {
        #[test]
        fn a_row_that_a_pattern_matches_is_never_skipped(texts in proptest::collection::vec("[abcA ]{0,12}", 0..12)) {
            let mut offsets = vec![0];
            offsets.extend(texts.iter().scan(0, |end, text| {
                *end += u32::try_from(text.len()).unwrap();
                Some(*end)
            }));
            let bytes = texts.concat();
            let mut literals = Literals::new(PATTERNS.into_iter()).expect("enough patterns");
            for _ in 0..2 {
                literals.find(Rows { bytes: bytes.as_bytes(), offsets: &offsets });
                for (index, pattern) in PATTERNS.iter().enumerate() {
                    let regex = Regex::new(pattern).unwrap();
                    let Some(rows) = literals.rows_of(index) else { continue };
                    prop_assert!(rows.is_sorted_by(|a, b| a < b));
                    for (row, text) in texts.iter().enumerate() {
                        prop_assert!(!regex.is_match(text.as_bytes()) || rows.contains(&row), "{} in {}", pattern, text);
                    }
                }
            }
        }
    }

    #[test]
    fn every_match_begins_with_a_literal_of_its_pattern() {
        let of = |pattern: &str| {
            let found = beginnings(pattern)?;
            Some(found.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of("token=([a-z]+)").unwrap(), ["token="]);
        assert_eq!(of(r"\b(AKIA|ASIA)[A-Z0-9]{16}").map(|l| l.iter().all(|l| l.starts_with('A'))), Some(true));
        assert!(of("(?i)key").unwrap().contains(&"kEy".to_owned()));
        for none in ["[a-z]+@", "ab", "(token)?=x", "", ".*secret", "(a|secret)"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
