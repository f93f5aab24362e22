//! The last rows that the node has seen, to recognize rows that a source sends again after a crash.
//!
//! The agent can be killed after it has stored a snapshot, and before the source has stored the position that follows from
//! it. The source then sends rows again that the snapshot contains. If they begin before the open joined event of their
//! key, they belong to the one before it, and appended to the open one they would mix two events. So the node compares the
//! first rows of such a key with the last ones before the snapshot.

use std::collections::VecDeque;

use wattle_keyed::KeyHash;
use wattle_snapshot::{Damaged, Reader, Writer, hash};

/// Rows that it remembers, of all keys: more than a source sends between two positions that it stores under load.
pub(crate) const MAX_ROWS: usize = 1024;

/// Bytes of a text that its hash covers, so that long texts cost no time. Its length counts, too.
const HASHED_BYTES: usize = 256;

/// Rows that must repeat if a batch does not have all rows up to the last one.
const MIN_REPEATED: usize = 16;

/// Half of the hash of a key, and half of the hash of a text. A match needs a sequence of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    key: u32,
    text: u32,
}

impl Seen {
    #[expect(clippy::cast_possible_truncation, reason = "a part of a hash")]
    pub(crate) fn new(key: KeyHash, text: &[u8]) -> Self {
        let part = text.get(..HASHED_BYTES).unwrap_or(text);
        Self { key: key as u32, text: hash(text.len() as u64, part) as u32 }
    }
}

/// The last rows.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<Seen>);

impl Tail {
    pub(crate) fn add(&mut self, row: Seen) {
        if self.0.len() == MAX_ROWS {
            self.0.pop_front();
        }
        self.0.push_back(row);
    }

    /// Whether these rows of one key, the first ones after a restart, repeat the last ones from before the open joined
    /// event, which has this number of rows.
    pub(crate) fn is_repeated_by(&self, rows: &[Seen], events: u64) -> bool {
        let Some(first) = rows.first() else { return false };
        let last: Vec<Seen> = self.0.iter().filter(|row| row.key == first.key).copied().collect();
        // The first match is the longest: a source goes back to one place.
        let repeated = (0..last.len()).filter_map(|start| last.get(start..)).find(|rest| {
            let common = rest.len().min(rows.len());
            (common == rest.len() || common >= MIN_REPEATED) && rest.get(..common) == rows.get(..common)
        });
        repeated.is_some_and(|rest| rest.len() as u64 > events)
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.size(self.0.len());
        self.0.iter().for_each(|row| writer.word(u64::from(row.key) << 32 | u64::from(row.text)));
    }

    /// Adds those of a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for _ in 0..reader.size(8)? {
            let word = reader.word()?;
            self.add(Seen { key: (word >> 32) as u32, text: word as u32 });
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|row| self.add(row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(key: KeyHash, texts: &str) -> Vec<Seen> {
        texts.split(' ').filter(|text| !text.is_empty()).map(|text| Seen::new(key, text.as_bytes())).collect()
    }

    fn tail(texts: &str) -> Tail {
        let mut tail = Tail::default();
        for (at, row) in rows(1, texts).into_iter().enumerate() {
            tail.add(row);
            // Rows of other keys between them.
            (0..at % 3).for_each(|_| tail.add(Seen::new(2, b"other")));
        }
        tail
    }

    #[test]
    fn rows_from_before_the_open_event_are_a_repetition() {
        // The open event has the rows `s c d`.
        let tail = tail("s a b s c d");
        let is_repeated = |texts: &str| tail.is_repeated_by(&rows(1, texts), 3);
        assert!(is_repeated("a b s c d e"));
        assert!(is_repeated("b s c d"));
        assert!(is_repeated("s a b s c d s"));
        assert!(!is_repeated("s c d e"), "the event itself");
        assert!(!is_repeated("d e"), "a part of it");
        assert!(!is_repeated("e f"), "new rows");
        assert!(!is_repeated("a b s"), "too few to be sure");
        assert!(!is_repeated("a b s c e"), "new rows that begin like old ones");
        assert!(!tail.is_repeated_by(&rows(3, "a b s c d"), 3), "another key");
        assert!(!tail.is_repeated_by(&[], 3));
    }

    #[test]
    fn a_batch_that_ends_early_needs_enough_rows() {
        let texts: Vec<String> = (0..40).map(|row| format!("r{row}")).collect();
        let tail = tail(&texts.join(" "));
        let is_repeated = |rows_: &[String]| tail.is_repeated_by(&rows(1, &rows_.join(" ")), 2);
        assert!(is_repeated(&texts[..MIN_REPEATED]));
        assert!(!is_repeated(&texts[..MIN_REPEATED - 1]));
        assert!(is_repeated(&texts[37..]));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_rows() {
        let mut tail = Tail::default();
        (0..MAX_ROWS + 1).for_each(|row| tail.add(Seen::new(1, row.to_string().as_bytes())));
        assert_eq!(tail.0.len(), MAX_ROWS);
        assert_eq!(tail.0[0], Seen::new(1, b"1"));
    }
}
